#include "model.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "threads.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace jukebox {

namespace {
constexpr size_t CACHE_LINE = 64;

// Asks for huge pages, with which large matrices are read faster.
void use_huge_pages(void* memory, size_t bytes) {
#if defined(__linux__)
  constexpr size_t HUGE_PAGE = size_t(1) << 21;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(memory) + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1),
                  end = (reinterpret_cast<uintptr_t>(memory) + bytes) & ~(HUGE_PAGE - 1);
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_HUGEPAGE);
#else
  (void)memory, (void)bytes;
#endif
}

float element(const Source& source, int i, int o) {
  const int64_t at = i * source.in_stride + o * source.out_stride;
  return source.is_fp16 ? float_from_fp16(static_cast<const uint16_t*>(source.data)[at])
                        : static_cast<const float*>(source.data)[at];
}

uint16_t fp16_element(const Source& source, int i, int o) {
  const int64_t at = i * source.in_stride + o * source.out_stride;
  return source.is_fp16 ? static_cast<const uint16_t*>(source.data)[at]
                        : fp16_from_float(static_cast<const float*>(source.data)[at]);
}

size_t bytes_of(Format format) {
  return format == Format::fp32 ? 4 : format == Format::fp16 ? 2 : 1;
}

// Weights of one output are multiples of this, -127 to 127 times.
float int8_scale(const Source& source, int in, int o) {
  float largest = 0;
  for (int i = 0; i < in; i++) largest = std::max(largest, std::fabs(element(source, i, o)));
  return largest > 0 ? largest / 127 : 1;
}

KVCache make_cache(const Config& config, Pattern pattern, int items, int memory_length) {
  int size = memory_length, groups = 1;
  switch (pattern) {
    case Pattern::row: size = config.columns; break;
    case Pattern::column: size = config.rows, groups = config.columns; break;
    case Pattern::previous: size = config.columns, groups = 2; break;
    case Pattern::dense: size = config.rows * config.columns; break;
    case Pattern::prefix: size = config.prefix_span; break;
    case Pattern::cross: break;
  }
  KVCache cache;
  cache.group_size = padded(size);
  cache.num_groups = groups;
  const size_t slots = size_t(items) * config.heads * groups * cache.group_size;
  cache.keys = Buffer<float>(slots * config.head_dim);
  cache.values = Buffer<float>(slots * padded(config.head_dim));
  return cache;
}
}  // namespace

void* allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  // calloc takes large pieces from the system, which gives them no memory before they are written
  void* base = std::calloc(1, bytes + CACHE_LINE + sizeof(void*));
  if (!base) throw std::bad_alloc();
  const uintptr_t after = reinterpret_cast<uintptr_t>(base) + sizeof(void*);
  void** memory = reinterpret_cast<void**>((after + CACHE_LINE - 1) & ~(CACHE_LINE - 1));
  memory[-1] = base;
  return memory;
}

void release(void* memory) {
  if (memory) std::free(static_cast<void**>(memory)[-1]);
}

float float_from_fp16(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 0) {
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign ? -value : value;
  }
  const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
  const uint32_t word = sign | wide << 23 | fraction << 13;
  float value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

// Rounds to nearest, to even for ties.
uint16_t fp16_from_float(float value) {
  uint32_t word;
  std::memcpy(&word, &value, sizeof word);
  const uint16_t sign = word >> 16 & 0x8000;
  const float size = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (size >= 65520.0f) return sign | 0x7c00;
  if (size < 6.103515625e-05f) {  // subnormal: a multiple of 2^-24
    return sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(size, 24)));
  }
  word &= 0x7fffffff;
  word += 0xfff + (word >> 13 & 1);
  return sign | static_cast<uint16_t>((word >> 13) - (112 << 10));
}

size_t Linear::panel_bytes() const { return size_t(in) * LANES * bytes_of(format); }

void Linear::pack(int inputs, int outputs, Format stored, const Source& source, const float* bias) {
  in = inputs, out = outputs, format = stored;
  weights = Buffer<char>(panel_bytes() * num_panels());
  use_huge_pages(weights.data(), weights.size());
  scales = Buffer<float>(padded(out));
  biases = Buffer<float>(padded(out));
  if (bias) std::memcpy(biases.data(), bias, out * sizeof(float));
  for (int o = 0; o < out; o++) {
    const float scale = format == Format::int8 ? int8_scale(source, in, o) : 1;
    scales[o] = scale;
    const int panel = o / LANES;
    const size_t row = size_t(group_size(panel)) * LANES;
    const size_t first = group_start(panel) + panel % GROUP_PANELS * LANES + o % LANES;
    for (int i = 0; i < in; i++) {
      const size_t at = first + i * row;
      switch (format) {
        case Format::fp32: reinterpret_cast<float*>(weights.data())[at] = element(source, i, o); break;
        case Format::fp16:
          reinterpret_cast<uint16_t*>(weights.data())[at] = fp16_element(source, i, o);
          break;
        case Format::int8:
          reinterpret_cast<int8_t*>(weights.data())[at] =
              static_cast<int8_t>(std::nearbyint(element(source, i, o) / scale));
          break;
      }
    }
  }
}

Model::Model(const Config& config, const int32_t* patterns, Format format, const Kernels* kernels,
             int num_threads)
    : config(config),
      format(format),
      kernels(kernels),
      layers(config.depth),
      threads(std::make_unique<ThreadPool>(num_threads)) {
  for (int i = 0; i < config.depth; i++) layers[i].pattern = static_cast<Pattern>(patterns[i]);
}

Model::~Model() = default;

Window::Window(const Model& model, int items, int memory_length, int num_characters)
    : model(&model), items(items), memory_length(memory_length), num_characters(num_characters) {
  const Config& config = model.config;
  for (const Layer& layer : model.layers) {
    caches.push_back(make_cache(config, layer.pattern, items, memory_length));
  }
  const size_t num_rows = std::max(items, PREFILL_ROWS);
  const int attention_width = model.attention_width();
  const size_t wide = std::max(padded(config.width), padded(3 * attention_width));
  const size_t widest = std::max({padded(config.mlp_width), padded(config.codebook_size),
                                  padded(num_characters), int(wide)});
  rows.resize(num_rows);
  for (Buffer<float>* buffer : {&x, &a, &b, &c}) *buffer = Buffer<float>(num_rows * wide);
  hidden = Buffer<float>(num_rows * widest);
  tiles = Buffer<float>(num_rows * widest);
  const size_t scratch =
      padded(config.rows * config.columns + memory_length) + padded(config.head_dim);
  scores = Buffer<float>(scratch * items * config.heads);
  logits = Buffer<float>(size_t(std::max(items, MAX_LOOKAHEAD)) * vocab_size());
  combined = Buffer<float>(2 * size_t(padded(vocab_size())) + 1);
  blocks = Buffer<double>(padded(vocab_size()) / LANES);
}

}  // namespace jukebox
