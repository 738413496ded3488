// What every set of kernels includes before its instruction set is switched on.
#pragma once

#include <cmath>
#include <cstring>

#include "convolution_stream.h"
#include "model.h"
#include "platform.h"
#include "threads.h"

// What each set of kernels defines, as `Kernels` of model.h.
#define JUKEBOX_KERNELS(name)                                                              \
  {                                                                                        \
    name, prefill, step, draw, set_memory, exponentials, read_memory, convolve_rows, nearest_codes \
  }
