#include "includes.h"

#ifdef JUKEBOX_X86
#include <immintrin.h>

// Everything below may use these instructions; nothing else may, so all other headers come before.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif

namespace jukebox {
namespace {
#include "lanes_avx2.h"
#include "transformer.h"
#include "draw.h"
#include "convolution.h"
}  // namespace

const Kernels avx2_kernels = JUKEBOX_KERNELS("avx2");
}  // namespace jukebox

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
