// Sixteen fp32 lanes in plain C++, for any machine. Rounds as the vector instructions do.
#pragma once

struct Lanes {
  float v[LANES];
};

// Rows and panels that a tile of a matrix product holds at once.
#define JUKEBOX_TILES(TILE) TILE(4, 1) TILE(2, 1) TILE(1, 1)
constexpr int MAX_TILE_ROWS = 4;
// Panels of a tile of a convolution at most, and rows of one of so many panels.
constexpr int CONVOLUTION_PANELS = 1;
constexpr int tile_rows_of(int) { return 4; }

#define JUKEBOX_LANEWISE(...)                               \
  Lanes result;                                             \
  for (int i = 0; i < LANES; i++) result.v[i] = __VA_ARGS__; \
  return result
JUKEBOX_INLINE Lanes broadcast(float x) { JUKEBOX_LANEWISE(x); }
JUKEBOX_INLINE Lanes zero() { return broadcast(0); }
JUKEBOX_INLINE Lanes load(const float* p) { JUKEBOX_LANEWISE(p[i]); }
JUKEBOX_INLINE void store(float* p, const Lanes& x) { memcpy(p, x.v, sizeof x.v); }
JUKEBOX_INLINE Lanes add(const Lanes& x, const Lanes& y) { JUKEBOX_LANEWISE(x.v[i] + y.v[i]); }
JUKEBOX_INLINE Lanes sub(const Lanes& x, const Lanes& y) { JUKEBOX_LANEWISE(x.v[i] - y.v[i]); }
JUKEBOX_INLINE Lanes mul(const Lanes& x, const Lanes& y) { JUKEBOX_LANEWISE(x.v[i] * y.v[i]); }
JUKEBOX_INLINE Lanes div(const Lanes& x, const Lanes& y) { JUKEBOX_LANEWISE(x.v[i] / y.v[i]); }
JUKEBOX_INLINE Lanes fma(const Lanes& x, const Lanes& y, const Lanes& z) {
  JUKEBOX_LANEWISE(fmaf(x.v[i], y.v[i], z.v[i]));
}
JUKEBOX_INLINE Lanes maximum(const Lanes& x, const Lanes& y) {
  JUKEBOX_LANEWISE(x.v[i] > y.v[i] ? x.v[i] : y.v[i]);
}
JUKEBOX_INLINE Lanes minimum(const Lanes& x, const Lanes& y) {
  JUKEBOX_LANEWISE(x.v[i] < y.v[i] ? x.v[i] : y.v[i]);
}

// x where condition >= bound or is NaN, else 0
JUKEBOX_INLINE Lanes keep_not_below(const Lanes& x, const Lanes& condition, const Lanes& bound) {
  JUKEBOX_LANEWISE(condition.v[i] < bound.v[i] ? 0 : x.v[i]);
}

JUKEBOX_INLINE float scale_by_power(float x, float n_bits) {
  uint32_t bits, n;
  memcpy(&bits, &x, sizeof bits);
  memcpy(&n, &n_bits, sizeof n);
  bits += n << 23;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// x * 2^n, where the lowest bits of `n_bits` hold the integer n
JUKEBOX_INLINE Lanes scale_by_power(const Lanes& x, const Lanes& n_bits) {
  JUKEBOX_LANEWISE(scale_by_power(x.v[i], n_bits.v[i]));
}

JUKEBOX_INLINE Lanes load_fp16(const uint16_t* p) { JUKEBOX_LANEWISE(float_from_fp16(p[i])); }
JUKEBOX_INLINE Lanes load_int8(const int8_t* p) { JUKEBOX_LANEWISE(p[i]); }
#undef JUKEBOX_LANEWISE
