// What differs between compilers and systems.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#define JUKEBOX_X86 1
#elif defined(__aarch64__) || defined(_M_ARM64)
#define JUKEBOX_ARM64 1
#endif

#if defined(_WIN32)
#define JUKEBOX_EXPORT extern "C" __declspec(dllexport)
#else
#define JUKEBOX_EXPORT extern "C" __attribute__((visibility("default")))
#endif

#if defined(_MSC_VER) && !defined(__clang__)
#define JUKEBOX_INLINE static __forceinline
#define JUKEBOX_UNROLL
#elif defined(__clang__)
#define JUKEBOX_INLINE static inline __attribute__((always_inline))
#define JUKEBOX_UNROLL _Pragma("unroll")
#else
#define JUKEBOX_INLINE static inline __attribute__((always_inline))
#define JUKEBOX_UNROLL _Pragma("GCC unroll 16")
#endif
