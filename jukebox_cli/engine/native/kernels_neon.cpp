#include "includes.h"

#ifdef JUKEBOX_ARM64
#include <arm_neon.h>

namespace jukebox {
namespace {
#include "lanes_neon.h"
#include "transformer.h"
#include "draw.h"
#include "convolution.h"
}  // namespace

const Kernels neon_kernels = JUKEBOX_KERNELS("neon");
}  // namespace jukebox

#endif
