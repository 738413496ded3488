// Sixteen fp32 lanes in two AVX registers.
#pragma once

struct Lanes {
  __m256 lo, hi;
};

// Rows and panels that a tile of a matrix product holds in registers at once.
#define JUKEBOX_TILES(TILE) TILE(6, 1) TILE(4, 1) TILE(2, 2) TILE(1, 4)
constexpr int MAX_TILE_ROWS = 6;
// Panels of a tile of a convolution at most, and rows of one of so many panels.
constexpr int CONVOLUTION_PANELS = 1;
constexpr int tile_rows_of(int) { return 6; }

JUKEBOX_INLINE Lanes zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
JUKEBOX_INLINE Lanes broadcast(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
JUKEBOX_INLINE Lanes load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
JUKEBOX_INLINE void store(float* p, Lanes x) {
  _mm256_storeu_ps(p, x.lo);
  _mm256_storeu_ps(p + 8, x.hi);
}
JUKEBOX_INLINE Lanes add(Lanes x, Lanes y) {
  return {_mm256_add_ps(x.lo, y.lo), _mm256_add_ps(x.hi, y.hi)};
}
JUKEBOX_INLINE Lanes sub(Lanes x, Lanes y) {
  return {_mm256_sub_ps(x.lo, y.lo), _mm256_sub_ps(x.hi, y.hi)};
}
JUKEBOX_INLINE Lanes mul(Lanes x, Lanes y) {
  return {_mm256_mul_ps(x.lo, y.lo), _mm256_mul_ps(x.hi, y.hi)};
}
JUKEBOX_INLINE Lanes div(Lanes x, Lanes y) {
  return {_mm256_div_ps(x.lo, y.lo), _mm256_div_ps(x.hi, y.hi)};
}
JUKEBOX_INLINE Lanes fma(Lanes x, Lanes y, Lanes z) {
  return {_mm256_fmadd_ps(x.lo, y.lo, z.lo), _mm256_fmadd_ps(x.hi, y.hi, z.hi)};
}
JUKEBOX_INLINE Lanes maximum(Lanes x, Lanes y) {
  return {_mm256_max_ps(x.lo, y.lo), _mm256_max_ps(x.hi, y.hi)};
}
JUKEBOX_INLINE Lanes minimum(Lanes x, Lanes y) {
  return {_mm256_min_ps(x.lo, y.lo), _mm256_min_ps(x.hi, y.hi)};
}

// x where condition >= bound or is NaN, else 0
JUKEBOX_INLINE Lanes keep_not_below(Lanes x, Lanes condition, Lanes bound) {
  return {_mm256_and_ps(x.lo, _mm256_cmp_ps(condition.lo, bound.lo, _CMP_NLT_UQ)),
          _mm256_and_ps(x.hi, _mm256_cmp_ps(condition.hi, bound.hi, _CMP_NLT_UQ))};
}

JUKEBOX_INLINE __m256 scale_by_power(__m256 x, __m256 n_bits) {
  __m256i shifted = _mm256_slli_epi32(_mm256_castps_si256(n_bits), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), shifted));
}

// x * 2^n, where the lowest bits of `n_bits` hold the integer n
JUKEBOX_INLINE Lanes scale_by_power(Lanes x, Lanes n_bits) {
  return {scale_by_power(x.lo, n_bits.lo), scale_by_power(x.hi, n_bits.hi)};
}

JUKEBOX_INLINE Lanes load_fp16(const uint16_t* p) {
  const __m128i* halves = reinterpret_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(halves)), _mm256_cvtph_ps(_mm_loadu_si128(halves + 1))};
}

JUKEBOX_INLINE __m256 eight_from_int8(const int8_t* p) {
  __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

JUKEBOX_INLINE Lanes load_int8(const int8_t* p) {
  return {eight_from_int8(p), eight_from_int8(p + 8)};
}
