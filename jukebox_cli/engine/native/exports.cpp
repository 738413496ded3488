// The functions that `engine/library.py` calls through ctypes, and the Python module around them.
#include <algorithm>
#include <cstring>
#include <memory>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

#define Py_LIMITED_API 0x030a0000
#include <Python.h>

#include "convolution_stream.h"
#include "model.h"
#include "platform.h"
#include "sample.h"
#include "threads.h"

#if defined(JUKEBOX_X86) && (defined(__GNUC__) || defined(__clang__))
#include <cpuid.h>
#endif

using namespace jukebox;

namespace {

#if defined(JUKEBOX_X86) && defined(_MSC_VER) && !defined(__clang__)
bool has_avx2() {
  int info[4];
  __cpuid(info, 1);
  const bool fma = info[2] & 1 << 12, f16c = info[2] & 1 << 29, saves = info[2] & 1 << 27;
  __cpuidex(info, 7, 0);
  return fma && f16c && saves && (info[1] & 1 << 5) && (_xgetbv(0) & 6) == 6;
}
bool has_avx512() {
  int info[4];
  __cpuidex(info, 7, 0);
  return has_avx2() && (info[1] & 1 << 16) && (_xgetbv(0) & 0xe6) == 0xe6;
}
#elif defined(JUKEBOX_X86)
bool has_f16c() {  // `__builtin_cpu_supports` of older versions of clang does not know it
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}
bool has_avx512() { return has_avx2() && __builtin_cpu_supports("avx512f"); }
#endif

// The kernels that this CPU can run, the fastest first. Returns how many.
int supported_kernels(const Kernels** out) {
  int count = 0;
#if defined(JUKEBOX_X86)
  if (has_avx512()) out[count++] = &avx512_kernels;
  if (has_avx2()) out[count++] = &avx2_kernels;
#elif defined(JUKEBOX_ARM64)
  out[count++] = &neon_kernels;
#endif
  out[count++] = &plain_kernels;
  return count;
}

const Kernels* find_kernels(const char* name) {
  const Kernels* kernels[4];
  const int count = supported_kernels(kernels);
  for (int i = 0; i < count; i++) {
    if (std::strcmp(kernels[i]->name, name) == 0) return kernels[i];
  }
  return nullptr;
}

Linear* find_linear(Model& model, int layer, const char* name) {
  if (layer < 0) return &model.output;
  Layer& in = model.layers[layer];
  if (std::strcmp(name, "qkv") == 0) return &in.qkv;
  if (std::strcmp(name, "key_value") == 0) return &in.key_value;
  if (std::strcmp(name, "out") == 0) return &in.out;
  if (std::strcmp(name, "mlp_in") == 0) return &in.mlp_in;
  return std::strcmp(name, "mlp_out") == 0 ? &in.mlp_out : nullptr;
}

// The result of a function; nothing (null, 0) if there is no memory. No exception may reach Python.
template <class F>
auto unless_exhausted(F&& function) -> decltype(function()) {
  try {
    return function();
  } catch (...) {
    return {};
  }
}

Buffer<float> copy(const float* from, size_t count, size_t size) {
  Buffer<float> buffer(size);
  std::memcpy(buffer.data(), from, count * sizeof(float));
  return buffer;
}

}  // namespace

// Names of the kernels that this CPU can run, the fastest first, one per line.
JUKEBOX_EXPORT void jukebox_kernel_names(char* out, int32_t size) {
  const Kernels* kernels[4];
  const int count = supported_kernels(kernels);
  out[0] = 0;
  for (int i = 0; i < count; i++) {
    std::strncat(out, kernels[i]->name, size - std::strlen(out) - 2);
    if (i < count - 1) std::strcat(out, "\n");
  }
}

JUKEBOX_EXPORT Model* jukebox_model_new(const Config* config, const int32_t* patterns,
                                        int32_t format, const char* kernels, int32_t num_threads) {
  const Kernels* chosen = find_kernels(kernels);
  if (!chosen) return nullptr;
  return unless_exhausted([&] {
    return new Model(*config, patterns, static_cast<Format>(format), chosen, num_threads);
  });
}

JUKEBOX_EXPORT void jukebox_model_free(Model* model) { delete model; }

// How many threads share the panels of large layers. No window of the model may be computing.
JUKEBOX_EXPORT int32_t jukebox_model_set_threads(Model* model, int32_t num_threads) {
  return unless_exhausted([&] {
    model->threads = std::make_unique<ThreadPool>(num_threads);
    return 1;
  });
}

// A linear layer of a transformer layer, or the output layer (layer -1).
JUKEBOX_EXPORT int32_t jukebox_model_set_linear(Model* model, int32_t layer, const char* name,
                                                int32_t in, int32_t out, const Source* source,
                                                const float* bias) {
  return unless_exhausted([&] {
    find_linear(*model, layer, name)->pack(in, out, model->format, *source, bias);
    return 1;
  });
}

// A layer's "attention_norm" or "mlp_norm", or the final one (layer -1).
JUKEBOX_EXPORT int32_t jukebox_model_set_norm(Model* model, int32_t layer, const char* name,
                                              const float* weight, const float* bias) {
  Norm* norm = &model->final_norm;
  if (layer >= 0) {
    Layer& in = model->layers[layer];
    norm = std::strcmp(name, "mlp_norm") == 0 ? &in.mlp_norm : &in.attention_norm;
  }
  const size_t width = model->config.width, size = padded(model->config.width);
  return unless_exhausted([&] {
    norm->weight = copy(weight, width, size);
    norm->bias = copy(bias, width, size);
    return 1;
  });
}

JUKEBOX_EXPORT int32_t jukebox_model_set_embeddings(Model* model, const float* tokens,
                                                    const float* positions) {
  const Config& config = model->config;
  const size_t num_tokens = size_t(config.codebook_size) * config.width,
               num_positions = size_t(config.rows) * config.columns * config.width;
  return unless_exhausted([&] {
    model->token_embedding = copy(tokens, num_tokens, num_tokens);
    model->position_embedding = copy(positions, num_positions, num_positions);
    return 1;
  });
}

// `start` (items, width), `per_token` and `query_encoding` (items, context_length, width) or null
// must stay where they are while the window lives.
JUKEBOX_EXPORT Window* jukebox_window_new(const Model* model, int32_t items, const float* start,
                                          const float* per_token, int32_t num_characters,
                                          const float* characters,
                                          const float* character_output,
                                          int32_t memory_length, const float* memory,
                                          const uint8_t* memory_mask,
                                          const float* query_encoding) {
  return unless_exhausted([&] {
    auto window = std::make_unique<Window>(*model, items, memory_length, num_characters);
    const int width = model->config.width;
    window->start = start;
    window->per_token = per_token;
    window->query_encoding = query_encoding;
    window->memory_mask = memory_mask;
    window->characters = characters;
    if (num_characters) {
      window->character_output.pack(width, num_characters, Format::fp32,
                                    {character_output, 0, 1, width}, nullptr);
    }
    for (int item = 0; memory_length && item < items; item++) {
      model->kernels->set_memory(*window, item, memory + size_t(item) * memory_length * width);
    }
    return window.release();
  });
}

JUKEBOX_EXPORT void jukebox_window_free(Window* window) { delete window; }

// Fills the caches with positions first .. end - 1 of the sequence, prefix included.
JUKEBOX_EXPORT void jukebox_window_prefill(Window* window, const int64_t* ids, int64_t stride,
                                           int32_t first, int32_t end) {
  window->model->kernels->prefill(*window, ids, stride, first, end);
}

// Logits (items, vocab_size) at a position of the sequence.
JUKEBOX_EXPORT void jukebox_window_step(Window* window, const int64_t* ids, int64_t stride,
                                        int32_t position, float* logits) {
  window->model->kernels->step(*window, ids, stride, position, 1);
  const size_t count = size_t(window->items) * window->vocab_size();
  std::memcpy(logits, window->logits.data(), count * sizeof(float));
}

// `sample` of sample.h.
JUKEBOX_EXPORT int32_t jukebox_window_sample(Window* window, int64_t* ids, int64_t stride,
                                             int32_t first, int32_t end,
                                             const int64_t* sample_from, const double* uniform,
                                             int64_t uniform_stride, const Sampling* sampling) {
  return sample(*window, ids, stride, first, end, sample_from, uniform, uniform_stride, *sampling);
}

// `sample_ahead` of sample.h, for a window of one item.
JUKEBOX_EXPORT int32_t jukebox_window_sample_ahead(Window* window, int64_t* ids, int64_t /*stride*/,
                                                   int32_t first, int32_t end, int64_t sample_from,
                                                   const double* uniform, const Sampling* sampling,
                                                   int32_t lookahead, int64_t* num_passes) {
  return sample_ahead(*window, ids, first, end, sample_from, uniform, *sampling, lookahead,
                      num_passes);
}

// A network of a codec's level: an encoder, or else a decoder. `vectors` (codebook_size, channels) are
// those of the codes, `norms` (codebook_size,) their squares.
JUKEBOX_EXPORT Network* jukebox_network_new(const char* kernels, int32_t is_encoder,
                                            int32_t codebook_size, int32_t channels,
                                            const float* vectors, const float* norms) {
  const Kernels* chosen = find_kernels(kernels);
  if (!chosen) return nullptr;
  return unless_exhausted(
      [&] { return new Network(chosen, is_encoder, codebook_size, channels, vectors, norms); });
}

JUKEBOX_EXPORT void jukebox_network_free(Network* network) { delete network; }

// Adds a layer. Weights are (kernel * in, out), of a transposed convolution (stride * 2 * in, out).
// Only a residual layer has a second convolution.
JUKEBOX_EXPORT int32_t jukebox_network_add(Network* network, const ConvolutionShape* shape,
                                           const float* weight, const float* bias,
                                           const float* second_weight, const float* second_bias) {
  return unless_exhausted([&] {
    const float *weights[] = {weight, second_weight}, *biases[] = {bias, second_bias};
    network->add(*shape, weights, biases);
    return 1;
  });
}

// The network must live longer. `step`: inputs that are computed at once.
JUKEBOX_EXPORT Stream* jukebox_stream_new(const Network* network, int32_t num_threads,
                                          int32_t step) {
  return unless_exhausted([&] { return new Stream(*network, num_threads, step); });
}

JUKEBOX_EXPORT void jukebox_stream_free(Stream* stream) { delete stream; }

// Returns how many outputs the next `count` inputs gave.
JUKEBOX_EXPORT int64_t jukebox_stream_feed(Stream* stream, const void* input, int64_t count,
                                           void* output) {
  return stream->feed(input, count, output);
}

// Returns how many outputs were left at the end.
JUKEBOX_EXPORT int64_t jukebox_stream_finish(Stream* stream, void* output) {
  return stream->finish(output);
}

// e^x of `count` numbers, a multiple of 16, for tests. 0 if there are no such kernels.
JUKEBOX_EXPORT int32_t jukebox_exp(const char* kernels, const float* x, float* y, int64_t count) {
  const Kernels* chosen = find_kernels(kernels);
  if (chosen) chosen->exp(x, y, count);
  return chosen != nullptr;
}

// The sum of `count` floats, read in several streams by `num_threads`, for benchmarks.
JUKEBOX_EXPORT double jukebox_read(const char* kernels, const float* x, int64_t count,
                                   int32_t num_threads) {
  const Kernels* chosen = find_kernels(kernels);
  if (!chosen) return -1;
  ThreadPool threads(num_threads);
  const int64_t part = count / num_threads;
  std::vector<double> sums(num_threads);
  threads.parallel_for(num_threads, [&](int i) { sums[i] = chosen->read(x + i * part, part); });
  double total = 0;
  for (double sum : sums) total += sum;
  return total;
}

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT, "_kernels", "Kernels of the native engine; see library.py.", -1,
    nullptr, nullptr, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModule_Create(&module_definition); }
