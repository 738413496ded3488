// A prior's weights as the kernels read them, and the state of one window.
//
// A matrix (in, out) is stored in panels of LANES outputs, and panels in groups: for each group, all
// inputs in order, for each input the weights of all panels of the group. So a kernel reads memory
// in order, and every output is summed in a lane of its own, over the inputs in order. That is why
// the result does not depend on how many rows are computed together, on how wide the vectors are,
// nor on how panels are shared among threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace jukebox {

constexpr int LANES = 16;
constexpr int GROUP_PANELS = 4;  // the last group of a matrix may have fewer

// Rows of a convolution that are computed together, so that weights and inputs stay in the cache
// meanwhile.
constexpr int BLOCK_ROWS = 24;

// Positions of one item that are prefilled at once: a multiple of the rows of a tile.
constexpr int PREFILL_ROWS = 48;
// Positions of one item that are sampled in one pass at most.
constexpr int MAX_LOOKAHEAD = 16;

inline int padded(int n) { return (n + LANES - 1) / LANES * LANES; }

enum class Format : int32_t { fp32 = 0, fp16 = 1, int8 = 2 };

enum class Pattern : int32_t { row = 0, column = 1, previous = 2, dense = 3, prefix = 4, cross = 5 };

// Zero-initialised memory that is aligned to cache lines. Throws std::bad_alloc.
void* allocate(size_t bytes);
void release(void* memory);

template <class T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : size_(size), data_(static_cast<T*>(allocate(size * sizeof(T)))) {}
  Buffer(Buffer&& other) noexcept : size_(other.size_), data_(other.data_) {
    other.size_ = 0;
    other.data_ = nullptr;
  }
  Buffer& operator=(Buffer&& other) noexcept {
    size_t size = size_;
    T* data = data_;
    size_ = other.size_;
    data_ = other.data_;
    other.size_ = size;
    other.data_ = data;
    return *this;
  }
  ~Buffer() { release(data_); }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  explicit operator bool() const { return data_ != nullptr; }

 private:
  size_t size_ = 0;
  T* data_ = nullptr;
};

// Where the weights of a linear layer come from: element (i, o) is at i * in_stride + o * out_stride.
struct Source {
  const void* data;
  int32_t is_fp16;
  int64_t in_stride, out_stride;
};

struct Linear {
  int in = 0, out = 0;
  Format format = Format::fp32;
  Buffer<char> weights;
  Buffer<float> scales, biases;  // (padded(out),)

  void pack(int in, int out, Format format, const Source& source, const float* bias);
  int num_panels() const { return padded(out) / LANES; }
  size_t panel_bytes() const;
  // How many panels the group of a panel has, and where its weights begin, counted in weights.
  int group_size(int panel) const {
    const int left = num_panels() - panel / GROUP_PANELS * GROUP_PANELS;
    return left < GROUP_PANELS ? left : GROUP_PANELS;
  }
  size_t group_start(int panel) const {
    return size_t(panel / GROUP_PANELS * GROUP_PANELS) * in * LANES;
  }
};

struct Norm {
  Buffer<float> weight, bias;  // (padded(width),)
};

struct Layer {
  Pattern pattern = Pattern::dense;
  Norm attention_norm, mlp_norm;
  Linear qkv;        // of cross-attention: only the queries
  Linear key_value;  // of cross-attention, applied to the memory
  Linear out, mlp_in, mlp_out;
};

// The fields are set from Python, in this order; see `engine/library.py`.
struct Config {
  int32_t width, depth, heads, head_dim, mlp_width, codebook_size;
  int32_t rows, columns, prefix_length, prefix_span;
  int32_t tied, final_norm;
  float residual_scale;
};

class ThreadPool;
struct Convolution;
struct Kernels;

struct Model {
  Config config;
  Format format;
  const Kernels* kernels;
  std::vector<Layer> layers;
  Buffer<float> token_embedding;     // (codebook_size, width)
  Buffer<float> position_embedding;  // (rows * columns, width)
  Norm final_norm;
  Linear output;
  std::unique_ptr<ThreadPool> threads;

  Model(const Config& config, const int32_t* patterns, Format format, const Kernels* kernels,
        int num_threads);
  ~Model();
  int attention_width() const { return config.heads * config.head_dim; }
};

// Keys and values of one layer. The positions that a query can reach lie next to each other, in a
// group: a row, a column, ... Keys are in panels: for LANES positions, all channels in order.
struct KVCache {
  int group_size = 0;  // positions in a group, a multiple of LANES
  int num_groups = 0;
  Buffer<float> keys;    // (items, heads, num_groups, group_size / LANES, head_dim, LANES)
  Buffer<float> values;  // (items, heads, num_groups, group_size, padded(head_dim))
};

// A row of activations: a position of an item.
struct Row {
  int item, position;
};

// One window of a batch, with guidance the unconditional items last.
struct Window {
  const Model* model;
  int items, memory_length;
  std::vector<KVCache> caches;  // one per layer
  // owned by the caller
  const float* start = nullptr;           // (items, width)
  const float* per_token = nullptr;       // (items, context_length, width), or null
  const float* query_encoding = nullptr;  // as per_token
  const uint8_t* memory_mask = nullptr;   // (items, memory_length), 1: attend, or null
  const float* characters = nullptr;      // (num_characters, width), embeddings of the prefix's
  int num_characters = 0;
  Linear character_output;

  // scratch
  std::vector<Row> rows;
  Buffer<float> x, a, b, c, hidden, tiles, scores, logits, combined;
  Buffer<double> blocks;

  Window(const Model& model, int items, int memory_length, int num_characters);
  int vocab_size() const { return model->config.codebook_size + num_characters; }
  int context_length() const {
    return model->config.rows * model->config.columns - model->config.prefix_length;
  }
};

// Fields in the order of `engine/library.py`.
struct Sampling {
  int32_t guided, greedy, top_k;  // top_k 0: all
  float temperature, top_p, min_p;
  double guidance;
};

// What is compiled for an instruction set. `ids` are (items, prefix + context_length): the prefix's
// characters, numbered after the codes, then the tokens; `id_stride` is the length of a row of it.
struct Kernels {
  const char* name;
  // Fills the caches with positions first .. end - 1 (in the sequence, prefix included).
  void (*prefill)(Window& window, const int64_t* ids, int64_t id_stride, int first, int end);
  // Logits (items, vocab_size) at a position; or those of a single item at `count` of them, up to
  // MAX_LOOKAHEAD, (count, vocab_size).
  void (*step)(Window& window, const int64_t* ids, int64_t id_stride, int position, int count);
  // A token from logits (vocab_size,), and with guidance unconditional ones; -1 if they are invalid.
  int64_t (*draw)(Window& window, const float* logits, const float* unconditional,
                  const Sampling& sampling, double uniform);
  // Keys and values of a memory (memory_length, width) for all cross-attention layers.
  void (*set_memory)(Window& window, int item, const float* states);
  void (*exp)(const float* x, float* y, int64_t count);  // count: a multiple of LANES
  double (*read)(const float* x, size_t count);  // reads memory as fast as it can
  // Outputs first .. end - 1 of a layer -> y. `x` is its input from row `x_first` on.
  void (*convolve)(const Convolution& layer, const float* x, int64_t x_first, int64_t first,
                   int64_t end, float* y, float* scratch);
  // The nearest codes of up to BLOCK_ROWS latents.
  void (*nearest)(const Linear& codes, const float* x, int pitch, int rows, int64_t* out,
                  float* scratch);
};

extern const Kernels plain_kernels;
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels avx2_kernels, avx512_kernels;
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const Kernels neon_kernels;
#endif

uint16_t fp16_from_float(float value);
float float_from_fp16(uint16_t bits);

}  // namespace jukebox
