#include "includes.h"

namespace jukebox {
namespace {
#include "lanes_plain.h"
#include "transformer.h"
#include "draw.h"
#include "convolution.h"
}  // namespace

const Kernels plain_kernels = JUKEBOX_KERNELS("plain");
}  // namespace jukebox
