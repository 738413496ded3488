// Sixteen fp32 lanes in four NEON registers (ARM, 64 bit).
#pragma once

struct Lanes {
  float32x4_t a, b, c, d;
};

// Rows and panels that a tile of a matrix product holds in registers at once.
#define JUKEBOX_TILES(TILE) TILE(6, 1) TILE(4, 1) TILE(2, 2) TILE(1, 4)
constexpr int MAX_TILE_ROWS = 6;
// Panels of a tile of a convolution at most, and rows of one of so many panels.
constexpr int CONVOLUTION_PANELS = 1;
constexpr int tile_rows_of(int) { return 6; }

JUKEBOX_INLINE Lanes broadcast(float x) {
  float32x4_t v = vdupq_n_f32(x);
  return {v, v, v, v};
}
JUKEBOX_INLINE Lanes zero() { return broadcast(0); }
JUKEBOX_INLINE Lanes load(const float* p) {
  return {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}
JUKEBOX_INLINE void store(float* p, Lanes x) {
  vst1q_f32(p, x.a);
  vst1q_f32(p + 4, x.b);
  vst1q_f32(p + 8, x.c);
  vst1q_f32(p + 12, x.d);
}

#define JUKEBOX_LANEWISE(name, instruction)                                       \
  JUKEBOX_INLINE Lanes name(Lanes x, Lanes y) {                                   \
    return {instruction(x.a, y.a), instruction(x.b, y.b), instruction(x.c, y.c), \
            instruction(x.d, y.d)};                                               \
  }
// As on x86: the second argument if either is NaN
JUKEBOX_INLINE float32x4_t maximum_or_second(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
JUKEBOX_INLINE float32x4_t minimum_or_second(float32x4_t x, float32x4_t y) {
  return vbslq_f32(vcltq_f32(x, y), x, y);
}
JUKEBOX_LANEWISE(add, vaddq_f32)
JUKEBOX_LANEWISE(sub, vsubq_f32)
JUKEBOX_LANEWISE(mul, vmulq_f32)
JUKEBOX_LANEWISE(div, vdivq_f32)
JUKEBOX_LANEWISE(maximum, maximum_or_second)
JUKEBOX_LANEWISE(minimum, minimum_or_second)
#undef JUKEBOX_LANEWISE

JUKEBOX_INLINE Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
          vfmaq_f32(z.d, x.d, y.d)};
}

JUKEBOX_INLINE float32x4_t keep_not_below(float32x4_t x, float32x4_t condition,
                                          float32x4_t bound) {
  return vreinterpretq_f32_u32(
      vbicq_u32(vreinterpretq_u32_f32(x), vcltq_f32(condition, bound)));
}

// x where condition >= bound or is NaN, else 0
JUKEBOX_INLINE Lanes keep_not_below(Lanes x, Lanes condition, Lanes bound) {
  return {keep_not_below(x.a, condition.a, bound.a), keep_not_below(x.b, condition.b, bound.b),
          keep_not_below(x.c, condition.c, bound.c), keep_not_below(x.d, condition.d, bound.d)};
}

JUKEBOX_INLINE float32x4_t scale_by_power(float32x4_t x, float32x4_t n_bits) {
  int32x4_t shifted = vshlq_n_s32(vreinterpretq_s32_f32(n_bits), 23);
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(x), shifted));
}

// x * 2^n, where the lowest bits of `n_bits` hold the integer n
JUKEBOX_INLINE Lanes scale_by_power(Lanes x, Lanes n_bits) {
  return {scale_by_power(x.a, n_bits.a), scale_by_power(x.b, n_bits.b),
          scale_by_power(x.c, n_bits.c), scale_by_power(x.d, n_bits.d)};
}

JUKEBOX_INLINE float32x4_t four_from_fp16(const uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

JUKEBOX_INLINE Lanes load_fp16(const uint16_t* p) {
  return {four_from_fp16(p), four_from_fp16(p + 4), four_from_fp16(p + 8), four_from_fp16(p + 12)};
}

JUKEBOX_INLINE Lanes load_int8(const int8_t* p) {
  int8x16_t bytes = vld1q_s8(p);
  int16x8_t lo = vmovl_s8(vget_low_s8(bytes)), hi = vmovl_s8(vget_high_s8(bytes));
  return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(lo))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(lo))),
          vcvtq_f32_s32(vmovl_s16(vget_low_s16(hi))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(hi)))};
}
