#include "includes.h"

#ifdef JUKEBOX_X86
#include <immintrin.h>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12: its own header sets it off
#endif

// Everything below may use these instructions; nothing else may, so all other headers come before.
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avx512f"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,avx512f")
#endif

namespace jukebox {
namespace {
#include "lanes_avx512.h"
#include "transformer.h"
#include "draw.h"
#include "convolution.h"
}  // namespace

const Kernels avx512_kernels = JUKEBOX_KERNELS("avx512");
}  // namespace jukebox

#if defined(__clang__)
#pragma clang attribute pop
#elif defined(__GNUC__)
#pragma GCC pop_options
#endif
#endif
