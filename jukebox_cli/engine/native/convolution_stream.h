// Networks of convolutions over time, computed as streams: the encoders and decoders of the codec.
//
// A stream is given the input piece by piece. Each layer keeps the rows that later outputs still
// read, and computes an output as soon as its inputs are there. So nothing is computed twice, memory
// does not grow with the length, and pieces of any size give the same bits.
#pragma once

#include <vector>

#include "model.h"
#include "threads.h"

namespace jukebox {

// A layer. Rows are times, and a row has `pitch` channels of memory: a multiple of LANES, whose rest
// is 0, or 1 for audio.
struct Convolution {
  // to_one: a convolution with one output channel, which is written without padding
  enum class Kind : int32_t { plain = 0, transposed = 1, residual = 2, to_one = 3 };
  Kind kind;
  int in, out, kernel, stride, dilation, padding;
  int in_pitch, out_pitch;
  float scale;  // of the residual branch
  // plain: (kernel * in, out); transposed: for each phase (2 * in, out), the earlier input first;
  // residual: (3 * in, hidden) and (hidden, out)
  std::vector<Linear> linears;
  Buffer<float> row;  // to_one: (kernel, in_pitch)
  float bias = 0;

  // The first input that an output reads; inputs before 0 are silence.
  int64_t first_input(int64_t output) const;
  // How many outputs can be computed from so many inputs, silence after the last one included.
  int64_t num_outputs(int64_t inputs) const;
  // How many outputs there are for so many inputs in all.
  int64_t total_outputs(int64_t inputs) const;
  // Rows of silence before the first input, and after the last one.
  int silence() const { return kind == Kind::transposed ? 1 : padding; }
  // Rows that are kept for later outputs, at most.
  int span() const { return kind == Kind::transposed ? 1 : (kernel - 1) * dilation; }
  // The most outputs that `inputs` more inputs give.
  int64_t most_outputs(int64_t inputs) const;
  int64_t products() const;     // of an output, in lanes
  size_t scratch_size() const;  // floats that computing takes
};

struct ConvolutionShape {  // fields in the order of `engine/library.py`
  int32_t kind, in, out, hidden, kernel, stride, dilation, padding;
  float scale;
};

struct Network {
  const Kernels* kernels;
  std::vector<Convolution> layers;
  // An encoder ends with the nearest codes, a decoder begins with the vectors of codes.
  bool is_encoder;
  int codebook_size, channels;
  Linear codes;           // encoder: (channels, codebook_size)
  Buffer<float> vectors;  // decoder: (codebook_size, padded(channels))

  Network(const Kernels* kernels, bool is_encoder, int codebook_size, int channels,
          const float* vectors, const float* norms);
  void add(const ConvolutionShape& shape, const float* const* weights, const float* const* biases);
};

// The rows of a layer's input from `first` on that are still read.
struct Rows {
  int pitch = 0;
  int64_t capacity = 0, first = 0, end = 0;
  Buffer<float> data;
  int64_t offset = 0;  // of row `first`

  // Begins with rows of silence, up to row 0.
  Rows(int pitch, int64_t capacity, int64_t silence)
      : pitch(pitch), capacity(capacity), first(-silence), data(capacity * pitch) {}
  float* row(int64_t number) { return data.data() + (offset + number - first) * pitch; }
  float* append(int64_t count);  // room for rows at the end
  void drop_before(int64_t number);
};

class Stream {
 public:
  // step: rows of the input that are computed at once
  Stream(const Network& network, int num_threads, int step);
  // The next input: audio (count,) for an encoder, whose outputs are codes; codes for a decoder,
  // whose outputs are audio. Returns how many outputs there are.
  int64_t feed(const void* input, int64_t count, void* output);
  // The outputs that only now can be computed, since the input has ended.
  int64_t finish(void* output);

 private:
  void append(const void* input, int64_t first, int64_t count);
  void run(size_t layer, int64_t most);
  void compute(size_t layer, int64_t end);
  void write_output();
  template <class F>
  void share(int64_t first, int64_t end, int64_t unit, int64_t products, F&& compute);

  const Network& network_;
  ThreadPool threads_;
  std::vector<Rows> rows_;       // of each layer's input, and the output of the last
  std::vector<int64_t> limits_;  // rows that are appended at once
  std::vector<int64_t> done_;    // outputs of each layer
  size_t scratch_size_ = 0;
  Buffer<float> scratch_;  // for each part of the work
  void* output_ = nullptr;
  int64_t written_ = 0;
};

}  // namespace jukebox
