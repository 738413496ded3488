// Convolutions over time, and the nearest code of latents (`convolution_stream.h`).
//
// Included once per instruction set, inside a namespace, after its lanes. Every output is summed in a
// lane of its own, over taps and input channels in order, with fused multiply-adds. So its bits
// depend neither on which outputs are computed together, nor on threads or vector width.

// Inputs of a convolution: output r reads `taps` rows of `channels` from r * row_step on.
struct Taps {
  const float* x;
  int count, channels;
  ptrdiff_t row_step, tap_step;
};

// What becomes of a sum and its bias: itself, or with `rectify` not less than 0, or with `residual`
// this times `scale` plus the row there, `residual_step` apart.
struct Finish {
  bool rectify = false;
  const float* residual = nullptr;
  ptrdiff_t residual_step = 0;
  float scale = 1;
};

JUKEBOX_INLINE Lanes rectified(Lanes x) { return maximum(zero(), x); }  // NaN for NaN

// Rows row .. row + ROWS - 1 of PANELS panels of one group.
template <int ROWS, int PANELS>
JUKEBOX_INLINE void convolve_tile(const Linear& linear, int panel, const Taps& taps,
                                  const Finish& finish, int row, float* y, ptrdiff_t y_step) {
  const ptrdiff_t step = linear.group_size(panel) * LANES;
  const float* w = reinterpret_cast<const float*>(linear.weights.data()) +
                   linear.group_start(panel) + panel % GROUP_PANELS * LANES;
  Lanes sums[ROWS][PANELS];
  JUKEBOX_UNROLL
  for (int r = 0; r < ROWS; r++) {
    JUKEBOX_UNROLL
    for (int p = 0; p < PANELS; p++) sums[r][p] = zero();
  }
  for (int k = 0; k < taps.count; k++) {
    const float* x[ROWS];
    JUKEBOX_UNROLL
    for (int r = 0; r < ROWS; r++) x[r] = taps.x + (row + r) * taps.row_step + k * taps.tap_step;
    for (int i = 0; i < taps.channels; i++, w += step) {
      Lanes weights[PANELS];
      JUKEBOX_UNROLL
      for (int p = 0; p < PANELS; p++) weights[p] = load(w + p * LANES);
      JUKEBOX_UNROLL
      for (int r = 0; r < ROWS; r++) {
        const Lanes xi = broadcast(x[r][i]);
        JUKEBOX_UNROLL
        for (int p = 0; p < PANELS; p++) sums[r][p] = fma(xi, weights[p], sums[r][p]);
      }
    }
  }
  JUKEBOX_UNROLL
  for (int r = 0; r < ROWS; r++) {
    JUKEBOX_UNROLL
    for (int p = 0; p < PANELS; p++) {
      const int at = (panel + p) * LANES;
      Lanes sum = fma(sums[r][p], load(linear.scales.data() + at), load(linear.biases.data() + at));
      if (finish.rectify) sum = rectified(sum);
      if (finish.residual) {
        const float* residual = finish.residual + (row + r) * finish.residual_step + at;
        sum = fma(sum, broadcast(finish.scale), load(residual));
      }
      store(y + (row + r) * y_step + at, sum);
    }
  }
}

// All rows of PANELS panels, in tiles. The last tile may compute rows again that the one before it
// has, which changes nothing.
template <int PANELS>
static void convolve_panels(const Linear& linear, int panel, const Taps& taps,
                            const Finish& finish, int rows, float* y, ptrdiff_t y_step) {
  constexpr int ROWS = tile_rows_of(PANELS);
  if (rows < ROWS) {
    for (int row = 0; row < rows; row++) {
      convolve_tile<1, PANELS>(linear, panel, taps, finish, row, y, y_step);
    }
    return;
  }
  for (int row = 0; row < rows; row += ROWS) {
    const int from = row + ROWS <= rows ? row : rows - ROWS;
    convolve_tile<ROWS, PANELS>(linear, panel, taps, finish, from, y, y_step);
  }
}

// Rows (rows, y_step) of all outputs.
static void convolve(const Linear& linear, const Taps& taps, const Finish& finish, int rows,
                     float* y, ptrdiff_t y_step) {
  for (int panel = 0; panel < linear.num_panels();) {
    const int left = linear.group_size(panel) - panel % GROUP_PANELS;
    const int count = left < CONVOLUTION_PANELS ? left : CONVOLUTION_PANELS;
    switch (count) {
      case 1: convolve_panels<1>(linear, panel, taps, finish, rows, y, y_step); break;
#define JUKEBOX_PANELS(COUNT)                                                           \
  case COUNT:                                                                           \
    if constexpr (COUNT <= CONVOLUTION_PANELS) {                                        \
      convolve_panels<COUNT>(linear, panel, taps, finish, rows, y, y_step);             \
    }                                                                                   \
    break;
      JUKEBOX_PANELS(2) JUKEBOX_PANELS(3) JUKEBOX_PANELS(4)
#undef JUKEBOX_PANELS
    }
    panel += count;
  }
}

// One channel (rows,) of a convolution whose weights are (taps, pitch): products are summed in LANES
// lanes, over taps and channels in order, then the lanes.
static void convolve_to_one(const Convolution& layer, const Taps& taps, int rows, float* y) {
  const int pitch = layer.in_pitch;
  for (int row = 0; row < rows; row++) {
    Lanes sum = zero();
    const float* w = layer.row.data();
    for (int k = 0; k < taps.count; k++, w += pitch) {
      const float* x = taps.x + row * taps.row_step + k * taps.tap_step;
      for (int i = 0; i < pitch; i += LANES) sum = fma(load(x + i), load(w + i), sum);
    }
    y[row] = sum_lanes(sum) + layer.bias;
  }
}

// x + scale * pointwise(rectified(dilated(rectified(x)))), BLOCK_ROWS rows at most.
static void residual_block(const Convolution& layer, const Taps& taps, int rows, float* y,
                           float* scratch) {
  const int pitch = layer.in_pitch;
  float *inputs = scratch, *hidden = scratch + 3 * BLOCK_ROWS * pitch;
  for (int k = 0; k < 3; k++) {
    const float* from = taps.x + k * taps.tap_step;
    float* to = inputs + k * rows * pitch;
    for (int i = 0; i < rows * pitch; i += LANES) store(to + i, rectified(load(from + i)));
  }
  const Linear &dilated = layer.linears[0], &pointwise = layer.linears[1];
  const int hidden_pitch = padded(dilated.out);
  convolve(dilated, {inputs, 3, layer.in, pitch, ptrdiff_t(rows) * pitch}, {true}, rows, hidden,
           hidden_pitch);
  const Finish finish{false, taps.x + taps.tap_step, pitch, layer.scale};
  convolve(pointwise, {hidden, 1, dilated.out, hidden_pitch, 0}, finish, rows, y, layer.out_pitch);
}

// Outputs of one phase of a transposed convolution: those of the same remainder modulo the stride.
static void convolve_phase(const Convolution& layer, int phase, const float* x, int64_t x_first,
                           int64_t first, int64_t end, float* y) {
  const int64_t begin = first + (phase - first % layer.stride + layer.stride) % layer.stride;
  const int64_t row = (begin + layer.padding) / layer.stride - 1;
  const int rows = static_cast<int>((end - begin + layer.stride - 1) / layer.stride);
  const Taps taps{x + (row - x_first) * layer.in_pitch, 2, layer.in, layer.in_pitch, layer.in_pitch};
  for (int from = 0; from < rows; from += BLOCK_ROWS) {
    const int count = rows - from < BLOCK_ROWS ? rows - from : BLOCK_ROWS;
    Taps block = taps;
    block.x += from * taps.row_step;
    float* out = y + (begin - first + int64_t(from) * layer.stride) * layer.out_pitch;
    convolve(layer.linears[phase], block, {}, count, out, ptrdiff_t(layer.stride) * layer.out_pitch);
  }
}

// Outputs first .. end - 1 of a layer -> y. `x` is its input from row `x_first` on.
static void convolve_rows(const Convolution& layer, const float* x, int64_t x_first, int64_t first,
                          int64_t end, float* y, float* scratch) {
  if (layer.kind == Convolution::Kind::transposed) {
    for (int phase = 0; phase < layer.stride; phase++) {
      convolve_phase(layer, phase, x, x_first, first, end, y);
    }
    return;
  }
  for (int64_t from = first; from < end; from += BLOCK_ROWS) {
    const int rows = static_cast<int>(end - from < BLOCK_ROWS ? end - from : BLOCK_ROWS);
    const ptrdiff_t pitch = layer.in_pitch;
    const Taps taps{x + (layer.first_input(from) - x_first) * pitch, layer.kernel, layer.in,
                    layer.stride * pitch, layer.dilation * pitch};
    float* out = y + (from - first) * layer.out_pitch;
    switch (layer.kind) {
      case Convolution::Kind::plain:
        convolve(layer.linears[0], taps, {}, rows, out, layer.out_pitch);
        break;
      case Convolution::Kind::to_one: convolve_to_one(layer, taps, rows, out); break;
      default: residual_block(layer, taps, rows, out, scratch);
    }
  }
}

// The nearest code of latents (rows, pitch) in squared distance, the first of several; BLOCK_ROWS
// rows at most. `codes` gives the distance, without the latent's own square; `scratch` is
// (BLOCK_ROWS, padded(codes)).
static void nearest_codes(const Linear& codes, const float* x, int pitch, int rows, int64_t* out,
                          float* scratch) {
  const int size = padded(codes.out);
  convolve(codes, {x, 1, codes.in, pitch, 0}, {}, rows, scratch, size);
  for (int row = 0; row < rows; row++) {
    const float* distances = scratch + static_cast<ptrdiff_t>(row) * size;
    Lanes least = load(distances);
    for (int i = LANES; i < size; i += LANES) least = minimum(load(distances + i), least);
    float v[LANES];
    store(v, least);
    for (int i = 1; i < LANES; i++) v[0] = v[i] < v[0] ? v[i] : v[0];
    int code = 0;
    while (code < codes.out - 1 && distances[code] != v[0]) code++;
    out[row] = code;
  }
}
