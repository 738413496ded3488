#include "convolution_stream.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace jukebox {

namespace {
// Products of LANES numbers that are worth waking another thread for.
constexpr int64_t SHARED_PRODUCTS = 1 << 18;

Linear make_linear(int in, int out, const float* weights, const float* bias) {
  Linear linear;
  linear.pack(in, out, Format::fp32, {weights, 0, out, 1}, bias);
  return linear;
}

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
}  // namespace

int64_t Convolution::first_input(int64_t output) const {
  return kind == Kind::transposed ? (output + padding) / stride - 1 : output * stride - padding;
}

int64_t Convolution::num_outputs(int64_t inputs) const {
  if (kind == Kind::transposed) return inputs ? inputs * stride - padding : 0;
  const int64_t last = inputs - 1 + padding - span();  // the first input of the last output
  return last < 0 ? 0 : last / stride + 1;
}

int64_t Convolution::total_outputs(int64_t inputs) const {
  return kind == Kind::transposed ? inputs * stride : num_outputs(inputs + padding);
}

int64_t Convolution::most_outputs(int64_t inputs) const {
  return kind == Kind::transposed ? inputs * stride : ceil_div(inputs, stride);
}

int64_t Convolution::products() const {
  int64_t sum = row.size() / LANES;
  for (const Linear& linear : linears) sum += int64_t(linear.in) * linear.num_panels();
  return kind == Kind::transposed ? sum / stride : sum;
}

size_t Convolution::scratch_size() const {
  if (kind != Kind::residual) return 0;
  return size_t(BLOCK_ROWS) * (3 * in_pitch + padded(linears[0].out));
}

Network::Network(const Kernels* kernels, bool is_encoder, int codebook_size, int channels,
                 const float* of_codes, const float* norms)
    : kernels(kernels), is_encoder(is_encoder), codebook_size(codebook_size), channels(channels) {
  if (!is_encoder) {
    const int pitch = padded(channels);
    vectors = Buffer<float>(size_t(codebook_size) * pitch);
    for (int64_t i = 0; i < codebook_size; i++) {
      std::memcpy(&vectors[i * pitch], of_codes + i * channels, channels * sizeof(float));
    }
    return;
  }
  codes.pack(channels, codebook_size, Format::fp32, {of_codes, 0, 1, channels}, norms);
  std::fill_n(codes.scales.data(), codes.scales.size(), -2.0f);
  std::fill(codes.biases.data() + codebook_size, codes.biases.data() + codes.biases.size(),
            INFINITY);
}

void Network::add(const ConvolutionShape& shape, const float* const* weights,
                  const float* const* biases) {
  Convolution layer;
  layer.kind = static_cast<Convolution::Kind>(shape.kind);
  layer.in = shape.in, layer.out = shape.out, layer.kernel = shape.kernel;
  layer.stride = shape.stride, layer.dilation = shape.dilation, layer.padding = shape.padding;
  layer.scale = shape.scale;
  layer.in_pitch = layers.empty() && is_encoder ? shape.in : padded(shape.in);
  layer.out_pitch = padded(shape.out);
  switch (layer.kind) {
    case Convolution::Kind::plain:
      layer.linears.push_back(
          make_linear(shape.kernel * shape.in, shape.out, weights[0], biases[0]));
      break;
    case Convolution::Kind::transposed:
      for (int phase = 0; phase < shape.stride; phase++) {
        const size_t first = size_t(phase) * 2 * shape.in * shape.out;
        layer.linears.push_back(
            make_linear(2 * shape.in, shape.out, weights[0] + first, biases[0]));
      }
      break;
    case Convolution::Kind::residual:
      layer.linears.push_back(make_linear(3 * shape.in, shape.hidden, weights[0], biases[0]));
      layer.linears.push_back(make_linear(shape.hidden, shape.out, weights[1], biases[1]));
      break;
    case Convolution::Kind::to_one:
      layer.out_pitch = 1;
      layer.bias = *biases[0];
      layer.row = Buffer<float>(size_t(shape.kernel) * layer.in_pitch);
      for (int k = 0; k < shape.kernel; k++) {
        std::memcpy(&layer.row[size_t(k) * layer.in_pitch], weights[0] + k * shape.in,
                    shape.in * sizeof(float));
      }
  }
  layers.push_back(std::move(layer));
}

float* Rows::append(int64_t count) {
  if (offset + end - first + count > capacity) {
    std::memmove(data.data(), row(first), (end - first) * pitch * sizeof(float));
    offset = 0;
  }
  float* added = row(end);
  end += count;
  return added;
}

void Rows::drop_before(int64_t number) {
  number = std::min(std::max(number, first), end);
  offset += number - first;
  first = number;
}

Stream::Stream(const Network& network, int num_threads, int step)
    : network_(network), threads_(num_threads), done_(network.layers.size()) {
  int64_t limit = step;
  for (const Convolution& layer : network.layers) {
    rows_.emplace_back(layer.in_pitch, limit + 2 * layer.span(), layer.silence());
    limits_.push_back(limit);
    scratch_size_ = std::max(scratch_size_, layer.scratch_size());
    limit = layer.most_outputs(limit);
  }
  rows_.emplace_back(network.layers.back().out_pitch, limit, 0);
  if (network.is_encoder) {
    scratch_size_ = std::max(scratch_size_, size_t(BLOCK_ROWS) * padded(network.codebook_size));
  }
  scratch_ = Buffer<float>(scratch_size_ * 2 * num_threads);
}

int64_t Stream::feed(const void* input, int64_t count, void* output) {
  output_ = output;
  written_ = 0;
  for (int64_t first = 0; first < count; first += limits_[0]) {
    append(input, first, std::min(count - first, limits_[0]));
    run(0, INT64_MAX);
  }
  return written_;
}

void Stream::append(const void* input, int64_t first, int64_t count) {
  float* rows = rows_[0].append(count);
  if (network_.is_encoder) {
    std::memcpy(rows, static_cast<const float*>(input) + first, count * sizeof(float));
    return;
  }
  const int64_t* codes = static_cast<const int64_t*>(input) + first;
  const int pitch = rows_[0].pitch;
  for (int64_t i = 0; i < count; i++) {
    std::memcpy(rows + i * pitch, &network_.vectors[codes[i] * pitch], pitch * sizeof(float));
  }
}

int64_t Stream::finish(void* output) {
  output_ = output;
  written_ = 0;
  for (size_t i = 0; i < network_.layers.size(); i++) {
    const int64_t total = network_.layers[i].total_outputs(rows_[i].end);
    for (int64_t left = network_.layers[i].silence(); left > 0; left -= limits_[i]) {
      const int64_t count = std::min(left, limits_[i]);
      std::memset(rows_[i].append(count), 0, count * rows_[i].pitch * sizeof(float));
      run(i, total);
    }
  }
  return written_;
}

// Computes what the inputs of a layer suffice for, `most` outputs in all, then the layers after it.
void Stream::run(size_t layer, int64_t most) {
  const Convolution& convolution = network_.layers[layer];
  const int64_t end = std::min(convolution.num_outputs(rows_[layer].end), most);
  if (end <= done_[layer]) return;
  compute(layer, end);
  rows_[layer].drop_before(convolution.first_input(end));
  if (layer + 1 < network_.layers.size()) return run(layer + 1, INT64_MAX);
  write_output();
}

// Calls compute(first, end, scratch) for parts of a range, multiples of `unit` but for the last, on
// several threads if there is enough to do. `products`: of each number of the range.
template <class F>
void Stream::share(int64_t first, int64_t end, int64_t unit, int64_t products, F&& compute) {
  const int64_t count = end - first, most_parts = 2 * threads_.size();
  if (threads_.size() == 1 || count * products < SHARED_PRODUCTS) {
    return compute(first, end, scratch_.data());
  }
  const int64_t size = ceil_div(ceil_div(count, most_parts), unit) * unit;
  threads_.parallel_for(static_cast<int>(ceil_div(count, size)), [&](int i) {
    const int64_t from = first + i * size;
    compute(from, std::min(from + size, end), scratch_.data() + i * scratch_size_);
  });
}

void Stream::compute(size_t layer, int64_t end) {
  const Convolution& convolution = network_.layers[layer];
  const Rows& inputs = rows_[layer];
  const int64_t first = done_[layer];
  const float* x = rows_[layer].row(inputs.first);
  float* y = rows_[layer + 1].append(end - first);
  const int64_t unit = int64_t(BLOCK_ROWS) * convolution.stride;
  share(first, end, unit, convolution.products(), [&](int64_t from, int64_t to, float* scratch) {
    network_.kernels->convolve(convolution, x, inputs.first, from, to,
                               y + (from - first) * convolution.out_pitch, scratch);
  });
  done_[layer] = end;
}

// Moves the rows of the last layer to the output.
void Stream::write_output() {
  Rows& rows = rows_.back();
  const int64_t count = rows.end - rows.first;
  const float* x = rows.row(rows.first);
  if (network_.is_encoder) {
    int64_t* out = static_cast<int64_t*>(output_) + written_;
    const Linear& codes = network_.codes;
    const int64_t products = int64_t(codes.in) * codes.num_panels();
    share(0, count, BLOCK_ROWS, products, [&](int64_t from, int64_t to, float* scratch) {
      for (int64_t i = from; i < to; i += BLOCK_ROWS) {
        const int part = static_cast<int>(std::min<int64_t>(BLOCK_ROWS, to - i));
        network_.kernels->nearest(codes, x + i * rows.pitch, rows.pitch, part, out + i, scratch);
      }
    });
  } else {
    std::memcpy(static_cast<float*>(output_) + written_, x, count * sizeof(float));
  }
  written_ += count;
  rows.drop_before(rows.end);
}

}  // namespace jukebox
