// What every set of kernels includes before its instruction set is switched on.
#pragma once

#include <cmath>
#include <cstring>

#include "model.h"
#include "platform.h"
#include "threads.h"
