// Sixteen fp32 lanes in one AVX-512 register.
#pragma once

struct Lanes {
  __m512 v;
};

// Rows and panels that a tile of a matrix product holds in registers at once.
#define JUKEBOX_TILES(TILE) TILE(6, 4) TILE(4, 4) TILE(2, 4) TILE(1, 8)
constexpr int MAX_TILE_ROWS = 6;
// Panels of a tile of a convolution at most, and rows of one of so many panels.
constexpr int CONVOLUTION_PANELS = 4;
constexpr int tile_rows_of(int panels) { return panels > 3 ? 6 : 8; }

JUKEBOX_INLINE Lanes zero() { return {_mm512_setzero_ps()}; }
JUKEBOX_INLINE Lanes broadcast(float x) { return {_mm512_set1_ps(x)}; }
JUKEBOX_INLINE Lanes load(const float* p) { return {_mm512_loadu_ps(p)}; }
JUKEBOX_INLINE void store(float* p, Lanes x) { _mm512_storeu_ps(p, x.v); }
JUKEBOX_INLINE Lanes add(Lanes x, Lanes y) { return {_mm512_add_ps(x.v, y.v)}; }
JUKEBOX_INLINE Lanes sub(Lanes x, Lanes y) { return {_mm512_sub_ps(x.v, y.v)}; }
JUKEBOX_INLINE Lanes mul(Lanes x, Lanes y) { return {_mm512_mul_ps(x.v, y.v)}; }
JUKEBOX_INLINE Lanes div(Lanes x, Lanes y) { return {_mm512_div_ps(x.v, y.v)}; }
JUKEBOX_INLINE Lanes fma(Lanes x, Lanes y, Lanes z) { return {_mm512_fmadd_ps(x.v, y.v, z.v)}; }
JUKEBOX_INLINE Lanes maximum(Lanes x, Lanes y) { return {_mm512_max_ps(x.v, y.v)}; }
JUKEBOX_INLINE Lanes minimum(Lanes x, Lanes y) { return {_mm512_min_ps(x.v, y.v)}; }

// x where condition >= bound or is NaN, else 0
JUKEBOX_INLINE Lanes keep_not_below(Lanes x, Lanes condition, Lanes bound) {
  return {_mm512_maskz_mov_ps(_mm512_cmp_ps_mask(condition.v, bound.v, _CMP_NLT_UQ), x.v)};
}

// x * 2^n, where the lowest bits of `n_bits` hold the integer n
JUKEBOX_INLINE Lanes scale_by_power(Lanes x, Lanes n_bits) {
  __m512i shifted = _mm512_slli_epi32(_mm512_castps_si512(n_bits.v), 23);
  return {_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x.v), shifted))};
}

JUKEBOX_INLINE Lanes load_fp16(const uint16_t* p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
}

JUKEBOX_INLINE Lanes load_int8(const int8_t* p) {
  __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes))};
}
