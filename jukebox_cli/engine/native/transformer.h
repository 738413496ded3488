// One position after another, or many at once, through all layers (`model.prior.Prior.step`).
//
// Included once per instruction set, inside a namespace, after its lanes. Sums over lanes are a
// fixed tree, and all other sums run in order, so the bits of a row depend on nothing but the row.

JUKEBOX_INLINE float sum_lanes(Lanes x) {
  float v[LANES];
  store(v, x);
  for (int half = LANES / 2; half; half /= 2) {
    for (int i = 0; i < half; i++) v[i] += v[i + half];
  }
  return v[0];
}

JUKEBOX_INLINE float max_lanes(Lanes x) {
  float v[LANES];
  store(v, x);
  for (int i = 1; i < LANES; i++) v[0] = v[i] > v[0] ? v[i] : v[0];
  return v[0];
}

// e^x, off by at most 2 units in the last place; 0 below -87, NaN for NaN (Cephes' expf: a
// polynomial of degree 5 after reduction by multiples of ln 2).
JUKEBOX_INLINE Lanes exponential(Lanes x) {
  const Lanes lowest = broadcast(-87.0f), magic = broadcast(12582912.0f);  // 1.5 * 2^23
  Lanes bounded = maximum(lowest, minimum(broadcast(88.0f), x));
  Lanes n_bits = fma(bounded, broadcast(1.44269504088896341f), magic);  // rounds to an integer
  Lanes n = sub(n_bits, magic);
  Lanes r = fma(n, broadcast(-0.693359375f), bounded);
  r = fma(n, broadcast(2.12194440e-4f), r);
  Lanes p = broadcast(1.9875691500E-4f);
  p = fma(p, r, broadcast(1.3981999507E-3f));
  p = fma(p, r, broadcast(8.3334519073E-3f));
  p = fma(p, r, broadcast(4.1665795894E-2f));
  p = fma(p, r, broadcast(1.6666665459E-1f));
  p = fma(p, r, broadcast(5.0000001201E-1f));
  p = fma(p, mul(r, r), add(r, broadcast(1.0f)));
  return keep_not_below(scale_by_power(p, n_bits), x, lowest);
}

// The formats of weights: how LANES of them are read.
struct ReadFp32 {
  static constexpr int bytes = 4;
  JUKEBOX_INLINE Lanes read(const char* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct ReadFp16 {
  static constexpr int bytes = 2;
  JUKEBOX_INLINE Lanes read(const char* p) {
    return load_fp16(reinterpret_cast<const uint16_t*>(p));
  }
};
struct ReadInt8 {
  static constexpr int bytes = 1;
  JUKEBOX_INLINE Lanes read(const char* p) { return load_int8(reinterpret_cast<const int8_t*>(p)); }
};

// Outputs of ROWS rows and PANELS panels: whole groups, or panels of one. `x` is (in, ROWS), `y`
// (ROWS, y_stride).
template <class Read, int ROWS, int PANELS>
JUKEBOX_INLINE void tile(const Linear& linear, int panel, const float* x, float* y, int y_stride) {
  const int in = linear.in;
  const size_t panel_bytes = LANES * Read::bytes;
  const size_t row_bytes =
      PANELS < GROUP_PANELS ? linear.group_size(panel) * panel_bytes : GROUP_PANELS * panel_bytes;
  const size_t group_bytes = row_bytes * in;
  const char* weights = linear.weights.data() + linear.group_start(panel) * Read::bytes +
                        panel % GROUP_PANELS * panel_bytes;
  Lanes sums[ROWS][PANELS];
  JUKEBOX_UNROLL
  for (int r = 0; r < ROWS; r++) {
    JUKEBOX_UNROLL
    for (int p = 0; p < PANELS; p++) sums[r][p] = zero();
  }
  for (int i = 0; i < in; i++) {
    Lanes w[PANELS];
    JUKEBOX_UNROLL
    for (int p = 0; p < PANELS; p++) {
      w[p] = Read::read(weights + p / GROUP_PANELS * group_bytes + i * row_bytes +
                        p % GROUP_PANELS * panel_bytes);
    }
    JUKEBOX_UNROLL
    for (int r = 0; r < ROWS; r++) {
      Lanes xi = broadcast(x[static_cast<size_t>(i) * ROWS + r]);
      JUKEBOX_UNROLL
      for (int p = 0; p < PANELS; p++) sums[r][p] = fma(xi, w[p], sums[r][p]);
    }
  }
  const float *scales = linear.scales.data() + panel * LANES,
              *biases = linear.biases.data() + panel * LANES;
  JUKEBOX_UNROLL
  for (int r = 0; r < ROWS; r++) {
    JUKEBOX_UNROLL
    for (int p = 0; p < PANELS; p++) {
      store(y + r * y_stride + p * LANES,
            fma(sums[r][p], load(scales + p * LANES), load(biases + p * LANES)));
    }
  }
}

// Panels first .. end - 1 of one tile of ROWS rows: PANELS at once as long as there are so many.
// `first` is the first of a group, so that with 2 or more at once none reaches into another.
template <class Read, int ROWS, int PANELS>
static void tile_panels(const Linear& linear, int first, int end, const float* x, float* y,
                        int y_stride) {
  int panel = first;
  for (; panel + PANELS <= end; panel += PANELS) {
    tile<Read, ROWS, PANELS>(linear, panel, x, y + panel * LANES, y_stride);
  }
  for (; panel < end; panel++) {
    tile<Read, ROWS, 1>(linear, panel, x, y + panel * LANES, y_stride);
  }
}

// The rows of the next tile, when so many are left.
JUKEBOX_INLINE int tile_rows(int left) {
#define JUKEBOX_TILE(ROWS, PANELS) \
  if (left >= ROWS && !(ROWS == 6 && left == 8)) return ROWS;
  JUKEBOX_TILES(JUKEBOX_TILE)
#undef JUKEBOX_TILE
  return 1;
}

template <class Read>
static void panels(const Linear& linear, int first, int end, int rows, const float* x, float* y) {
  // so few panels at once that their weights stay in the cache until all rows have used them
  const int y_stride = padded(linear.out), step = rows > MAX_TILE_ROWS ? GROUP_PANELS : end - first;
  for (int from = first; from < end; from += step) {
    const int to = from + step < end ? from + step : end;
    for (int row = 0; row < rows;) {
      const float* xs = x + static_cast<size_t>(row) * linear.in;
      float* ys = y + static_cast<size_t>(row) * y_stride;
      const int count = tile_rows(rows - row);
      switch (count) {
#define JUKEBOX_TILE(ROWS, PANELS)                                       \
  case ROWS:                                                             \
    tile_panels<Read, ROWS, PANELS>(linear, from, to, xs, ys, y_stride); \
    break;
        JUKEBOX_TILES(JUKEBOX_TILE)
#undef JUKEBOX_TILE
      }
      row += count;
    }
  }
}

static void any_panels(const Linear& linear, int first, int end, int rows, const float* x,
                       float* y) {
  switch (linear.format) {
    case Format::fp32: return panels<ReadFp32>(linear, first, end, rows, x, y);
    case Format::fp16: return panels<ReadFp16>(linear, first, end, rows, x, y);
    case Format::int8: return panels<ReadInt8>(linear, first, end, rows, x, y);
  }
}

// Rows (rows, in) -> tiles of (in, rows of the tile).
static void interleave(const float* x, int x_stride, int rows, int in, float* tiles) {
  for (int row = 0; row < rows;) {
    const int count = tile_rows(rows - row);
    for (int r = 0; r < count; r++) {
      const float* from = x + static_cast<size_t>(row + r) * x_stride;
      for (int i = 0; i < in; i++) tiles[static_cast<size_t>(i) * count + r] = from[i];
    }
    tiles += static_cast<size_t>(in) * count;
    row += count;
  }
}

// Weights of at least so many bytes are worth sharing among threads.
constexpr size_t SHARED_BYTES = 1 << 18;

// x (rows, x_stride) @ weights + bias -> y (rows, padded(out)).
static void apply(const Linear& linear, Window& window, const float* x, int x_stride, int rows,
                  float* y) {
  const float* tiles = x;
  if (rows > 1) {
    interleave(x, x_stride, rows, linear.in, window.tiles.data());
    tiles = window.tiles.data();
  }
  const int count = linear.num_panels();
  ThreadPool& threads = *window.model->threads;
  if (threads.size() == 1 || linear.panel_bytes() * count < SHARED_BYTES) {
    return any_panels(linear, 0, count, rows, tiles, y);
  }
  const int part = 2 * GROUP_PANELS, num_parts = (count + part - 1) / part;
  threads.parallel_for(num_parts, [&](int i) {
    const int first = i * part, end = first + part < count ? first + part : count;
    any_panels(linear, first, end, rows, tiles, y);
  });
}

// Layer normalisation with epsilon 1e-5; lanes past the width stay 0.
static void normalise(const Norm& norm, int width, const float* x, float* y) {
  const int whole = width / LANES * LANES;
  float tail[LANES] = {}, mask[LANES] = {};
  for (int i = whole; i < width; i++) tail[i - whole] = x[i], mask[i - whole] = 1;
  Lanes sum = load(tail);
  for (int i = 0; i < whole; i += LANES) sum = add(sum, load(x + i));
  const Lanes mean = broadcast(sum_lanes(sum) / width);
  Lanes deviation = mul(sub(load(tail), mean), load(mask)), squares = mul(deviation, deviation);
  for (int i = 0; i < whole; i += LANES) {
    deviation = sub(load(x + i), mean);
    squares = fma(deviation, deviation, squares);
  }
  const Lanes scale = broadcast(1 / sqrtf(sum_lanes(squares) / width + 1e-5f));
  for (int i = 0; i < whole; i += LANES) {
    const Lanes scaled = mul(sub(load(x + i), mean), scale);
    store(y + i, fma(scaled, load(norm.weight.data() + i), load(norm.bias.data() + i)));
  }
  if (whole == width) return;
  const Lanes scaled = mul(sub(load(tail), mean), scale);
  store(y + whole,
        fma(scaled, load(norm.weight.data() + whole), load(norm.bias.data() + whole)));
}

// x * sigmoid(1.702 x) of `count` numbers, a multiple of LANES.
static void quick_gelu(float* x, size_t count) {
  for (size_t i = 0; i < count; i += LANES) {
    const Lanes v = load(x + i), e = exponential(mul(v, broadcast(-1.702f)));
    store(x + i, div(v, add(broadcast(1.0f), e)));
  }
}

// Where a position is kept, and what it attends to: `count` positions from the start of a group.
struct Reach {
  int write_group, write_slot;  // -1: it is not kept
  int read_group, count;
};

static Reach reach(const Config& config, Pattern pattern, int memory_length, int position) {
  const int row = position / config.columns, column = position % config.columns;
  switch (pattern) {
    case Pattern::row: return {0, column, 0, column + 1};
    case Pattern::column: return {column, row, column, row + 1};
    case Pattern::previous: return {row % 2, column, (row + 1) % 2, row ? config.columns : 0};
    case Pattern::dense: return {0, position, 0, position + 1};
    case Pattern::prefix: {
      const bool kept = position < config.prefix_span;
      return {kept ? 0 : -1, position, 0, kept ? position + 1 : config.prefix_span};
    }
    case Pattern::cross: break;
  }
  return {-1, 0, 0, memory_length};
}

JUKEBOX_INLINE float* group_keys(KVCache& cache, const Config& config, int item_head, int group) {
  const size_t size = static_cast<size_t>(cache.group_size) * config.head_dim;
  return cache.keys.data() + (static_cast<size_t>(item_head) * cache.num_groups + group) * size;
}

JUKEBOX_INLINE float* group_values(KVCache& cache, const Config& config, int item_head,
                                   int group) {
  const size_t size = static_cast<size_t>(cache.group_size) * padded(config.head_dim);
  return cache.values.data() + (static_cast<size_t>(item_head) * cache.num_groups + group) * size;
}

static void write_cache(KVCache& cache, const Config& config, int item_head, int group, int slot,
                        const float* key, const float* value) {
  float* keys = group_keys(cache, config, item_head, group) +
                static_cast<size_t>(slot / LANES) * config.head_dim * LANES + slot % LANES;
  for (int d = 0; d < config.head_dim; d++) keys[d * LANES] = key[d];
  float* values =
      group_values(cache, config, item_head, group) + static_cast<size_t>(slot) * padded(config.head_dim);
  memcpy(values, value, config.head_dim * sizeof(float));
}

// Scores of COUNT times LANES positions: the products of even and of odd channels are summed apart.
template <int COUNT>
JUKEBOX_INLINE void score_panels(const float* query, const float* keys, int head_dim, float scale,
                                 float* scores) {
  Lanes even[COUNT], odd[COUNT];
  JUKEBOX_UNROLL
  for (int k = 0; k < COUNT; k++) even[k] = odd[k] = zero();
  const size_t panel = static_cast<size_t>(head_dim) * LANES;
  int d = 0;
  for (; d + 2 <= head_dim; d += 2) {
    const Lanes q0 = broadcast(query[d]), q1 = broadcast(query[d + 1]);
    JUKEBOX_UNROLL
    for (int k = 0; k < COUNT; k++) {
      even[k] = fma(q0, load(keys + k * panel + d * LANES), even[k]);
      odd[k] = fma(q1, load(keys + k * panel + (d + 1) * LANES), odd[k]);
    }
  }
  if (d < head_dim) {
    JUKEBOX_UNROLL
    for (int k = 0; k < COUNT; k++) {
      even[k] = fma(broadcast(query[d]), load(keys + k * panel + d * LANES), even[k]);
    }
  }
  JUKEBOX_UNROLL
  for (int k = 0; k < COUNT; k++) {
    store(scores + k * LANES, mul(add(even[k], odd[k]), broadcast(scale)));
  }
}

// COUNT times LANES channels of the weighted mean of the values.
template <int COUNT>
JUKEBOX_INLINE void mix_values(const float* weights, const float* values, int count, int stride,
                               Lanes inverse, float* out) {
  Lanes sums[COUNT];
  JUKEBOX_UNROLL
  for (int k = 0; k < COUNT; k++) sums[k] = zero();
  for (int i = 0; i < count; i++) {
    const Lanes weight = broadcast(weights[i]);
    JUKEBOX_UNROLL
    for (int k = 0; k < COUNT; k++) {
      sums[k] = fma(weight, load(values + static_cast<size_t>(i) * stride + k * LANES), sums[k]);
    }
  }
  JUKEBOX_UNROLL
  for (int k = 0; k < COUNT; k++) store(out + k * LANES, mul(sums[k], inverse));
}

// One query's attention over `count` positions -> out (padded(head_dim),). `mask`: 1 for those it
// may attend to, or null for all; zeros if it may attend to none.
static void attend(const float* query, const float* keys, const float* values, int count,
                   int head_dim, const uint8_t* mask, float* scores, float* out) {
  const int stride = padded(head_dim), total = padded(count);
  const float scale = 1 / sqrtf(static_cast<float>(head_dim));
  int i = 0;
  for (; i + 4 * LANES <= total; i += 4 * LANES) {
    score_panels<4>(query, keys + static_cast<size_t>(i) * head_dim, head_dim, scale, scores + i);
  }
  for (; i < total; i += LANES) {
    score_panels<1>(query, keys + static_cast<size_t>(i) * head_dim, head_dim, scale, scores + i);
  }
  for (i = count; i < total; i++) scores[i] = -INFINITY;
  for (i = 0; mask && i < count; i++) scores[i] = mask[i] ? scores[i] : -INFINITY;
  Lanes largest = broadcast(-3.0e38f);
  for (i = 0; i < total; i += LANES) largest = maximum(largest, load(scores + i));
  largest = broadcast(max_lanes(largest));
  Lanes sum = zero();
  for (i = 0; i < total; i += LANES) {
    const Lanes e = exponential(sub(load(scores + i), largest));
    store(scores + i, e);
    sum = add(sum, e);
  }
  const float weight_sum = sum_lanes(sum);
  const Lanes inverse = broadcast(weight_sum == 0 ? 0 : 1 / weight_sum);
  int d = 0;
  for (; d + 4 * LANES <= stride; d += 4 * LANES) {
    mix_values<4>(scores, values + d, count, stride, inverse, out + d);
  }
  for (; d + 3 * LANES <= stride; d += 3 * LANES) {
    mix_values<3>(scores, values + d, count, stride, inverse, out + d);
  }
  for (; d < stride; d += LANES) {
    mix_values<1>(scores, values + d, count, stride, inverse, out + d);
  }
}

// Attention of one head for the rows of one item, in order: each is written to the cache before the
// next reads it. `projected` holds queries, and for self-attention keys and values.
static void attend_rows(Window& window, int layer, int head, int first, int end, float* scores,
                        const float* projected, int stride, float* out, bool only_write) {
  const Config& config = window.model->config;
  const Pattern pattern = window.model->layers[layer].pattern;
  KVCache& cache = window.caches[layer];
  const int dim = config.head_dim, width = config.heads * dim;
  float* mixed = scores + padded(config.rows * config.columns + window.memory_length);
  for (int r = first; r < end; r++) {
    const Row& row = window.rows[r];
    const int item_head = row.item * config.heads + head;
    const float* query = projected + static_cast<size_t>(r) * stride + head * dim;
    const Reach at = reach(config, pattern, window.memory_length, row.position);
    if (at.write_group >= 0) {
      write_cache(cache, config, item_head, at.write_group, at.write_slot, query + width,
                  query + 2 * width);
    }
    if (only_write) continue;
    float* result = out + static_cast<size_t>(r) * width + head * dim;
    if (at.count == 0) {
      memset(result, 0, dim * sizeof(float));
      continue;
    }
    const uint8_t* mask = pattern == Pattern::cross && window.memory_mask
                              ? window.memory_mask +
                                    static_cast<size_t>(row.item) * window.memory_length
                              : nullptr;
    attend(query, group_keys(cache, config, item_head, at.read_group),
           group_values(cache, config, item_head, at.read_group), at.count, dim, mask, scores,
           mixed);
    memcpy(result, mixed, dim * sizeof(float));
  }
}

// All heads and items. The rows of an item must lie next to each other, in ascending order.
static void attention(Window& window, int layer, const float* projected, int stride, float* out,
                      bool only_write) {
  const Config& config = window.model->config;
  const int num_rows = static_cast<int>(window.rows.size());
  const int scratch =
      padded(config.rows * config.columns + window.memory_length) + padded(config.head_dim);
  const bool one_item = window.rows[0].item == window.rows[num_rows - 1].item;
  const int groups = one_item ? 1 : num_rows, size = one_item ? num_rows : 1;
  const int num_tasks = groups * config.heads;
  auto task = [&](int i) {
    const int group = i / config.heads, head = i % config.heads;
    attend_rows(window, layer, head, group * size, group * size + size,
                window.scores.data() + static_cast<size_t>(i) * scratch, projected, stride, out,
                only_write);
  };
  const size_t cached = window.caches[layer].keys.size() * sizeof(float);
  if (cached >= SHARED_BYTES * 4) return window.model->threads->parallel_for(num_tasks, task);
  for (int i = 0; i < num_tasks; i++) task(i);
}

// The embeddings of what precedes each row's position, plus those of the position and conditions.
static void embed(Window& window, const int64_t* ids, int64_t id_stride) {
  const Config& config = window.model->config;
  const int width = config.width, stride = padded(width), context = window.context_length();
  for (size_t r = 0; r < window.rows.size(); r++) {
    const auto [item, position] = window.rows[r];
    const float* embedding = window.start + static_cast<size_t>(item) * width;
    if (position > 0) {
      const int64_t id = ids[item * id_stride + position - 1];
      embedding = id < config.codebook_size
                      ? window.model->token_embedding.data() + id * width
                      : window.characters + (id - config.codebook_size) * width;
    }
    const float* of_position =
        window.model->position_embedding.data() + static_cast<size_t>(position) * width;
    float* x = window.x.data() + r * stride;
    for (int i = 0; i < width; i++) x[i] = embedding[i] + of_position[i];
    const int n = position - config.prefix_length;
    if (!window.per_token || n < 0) continue;
    const float* condition =
        window.per_token + (static_cast<size_t>(item) * context + n) * width;
    for (int i = 0; i < width; i++) x[i] += condition[i];
  }
}

static void add_query_encoding(Window& window, float* normed) {
  const Config& config = window.model->config;
  const int width = config.width, stride = padded(width), context = window.context_length();
  for (size_t r = 0; r < window.rows.size(); r++) {
    const int n = window.rows[r].position - config.prefix_length;
    if (n < 0) continue;
    const float* encoding = window.query_encoding +
                            (static_cast<size_t>(window.rows[r].item) * context + n) * width;
    for (int i = 0; i < width; i++) normed[r * stride + i] += encoding[i];
  }
}

// x + scale * (a + mlp(norm(x + a))) with a = attention(norm(x)), for all rows.
static void transform(Window& window, int index, bool only_write) {
  const Model& model = *window.model;
  const Layer& layer = model.layers[index];
  const Config& config = model.config;
  const int rows = static_cast<int>(window.rows.size()), width = config.width,
            stride = padded(width);
  float *x = window.x.data(), *a = window.a.data(), *b = window.b.data(), *c = window.c.data(),
        *hidden = window.hidden.data();
  for (int r = 0; r < rows; r++) {
    normalise(layer.attention_norm, width, x + r * stride, a + r * stride);
  }
  if (layer.pattern == Pattern::cross && window.query_encoding) add_query_encoding(window, a);
  apply(layer.qkv, window, a, stride, rows, b);
  attention(window, index, b, padded(layer.qkv.out), c, only_write);
  if (only_write) return;
  apply(layer.out, window, c, model.attention_width(), rows, a);
  for (int r = 0; r < rows; r++) {
    float *attended = a + r * stride, *sum = c + r * stride, *from = x + r * stride;
    for (int i = 0; i < width; i++) sum[i] = from[i] + attended[i];
    normalise(layer.mlp_norm, width, sum, b + r * stride);
  }
  apply(layer.mlp_in, window, b, stride, rows, hidden);
  const int hidden_stride = padded(config.mlp_width);
  quick_gelu(hidden, static_cast<size_t>(rows) * hidden_stride);
  apply(layer.mlp_out, window, hidden, hidden_stride, rows, b);
  for (int i = 0; i < rows * stride; i++) x[i] += config.residual_scale * (a[i] + b[i]);
}

static void write_logits(Window& window) {
  const Model& model = *window.model;
  const Config& config = model.config;
  const int rows = static_cast<int>(window.rows.size()), width = config.width,
            stride = padded(width), context = window.context_length(),
            vocab_size = window.vocab_size();
  for (int r = 0; r < rows; r++) {
    float* x = window.x.data() + r * stride;
    const int n = window.rows[r].position - config.prefix_length;
    if (config.tied && window.per_token && n >= 0) {
      const float* condition =
          window.per_token +
          (static_cast<size_t>(window.rows[r].item) * context + n) * width;
      for (int i = 0; i < width; i++) x[i] += condition[i];
    }
    if (config.final_norm) normalise(model.final_norm, width, x, x);
  }
  float *out = window.hidden.data(), *logits = window.logits.data();
  const Linear* parts[] = {&model.output, &window.character_output};
  for (int part = 0, at = 0; part < (window.num_characters ? 2 : 1); part++) {
    apply(*parts[part], window, window.x.data(), stride, rows, out);
    const int size = parts[part]->out;
    for (int r = 0; r < rows; r++) {
      memcpy(logits + static_cast<size_t>(r) * vocab_size + at,
             out + static_cast<size_t>(r) * padded(size), size * sizeof(float));
    }
    at += size;
  }
}

static void prefill(Window& window, const int64_t* ids, int64_t id_stride, int first, int end) {
  const int depth = window.model->config.depth;
  for (int item = 0; item < window.items; item++) {
    for (int from = first; from < end; from += PREFILL_ROWS) {
      const int to = from + PREFILL_ROWS < end ? from + PREFILL_ROWS : end;
      window.rows.resize(to - from);
      for (int i = from; i < to; i++) window.rows[i - from] = {item, i};
      embed(window, ids, id_stride);
      for (int i = 0; i < depth; i++) transform(window, i, i == depth - 1);
    }
  }
}

static void step(Window& window, const int64_t* ids, int64_t id_stride, int position, int count) {
  window.rows.clear();
  for (int item = 0; item < window.items; item++) {
    for (int i = 0; i < count; i++) window.rows.push_back({item, position + i});
  }
  embed(window, ids, id_stride);
  for (int i = 0; i < window.model->config.depth; i++) transform(window, i, false);
  write_logits(window);
}

static void set_memory(Window& window, int item, const float* states) {
  const Model& model = *window.model;
  const Config& config = model.config;
  const int dim = config.head_dim, width = model.attention_width();
  for (int index = 0; index < config.depth; index++) {
    const Layer& layer = model.layers[index];
    if (layer.pattern != Pattern::cross) continue;
    const int stride = padded(layer.key_value.out);
    for (int from = 0; from < window.memory_length; from += PREFILL_ROWS) {
      const int left = window.memory_length - from, rows = left < PREFILL_ROWS ? left : PREFILL_ROWS;
      apply(layer.key_value, window, states + static_cast<size_t>(from) * config.width,
            config.width, rows, window.b.data());
      for (int r = 0; r < rows; r++) {
        const float* key_value = window.b.data() + static_cast<size_t>(r) * stride;
        for (int head = 0; head < config.heads; head++) {
          write_cache(window.caches[index], config, item * config.heads + head, 0, from + r,
                      key_value + head * dim, key_value + width + head * dim);
        }
      }
    }
  }
}

static void exponentials(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; i += LANES) store(y + i, exponential(load(x + i)));
}

// The sum of memory that is read as the kernels read weights, in several streams.
static double read_memory(const float* x, size_t count) {
  Lanes sums[8];
  for (auto& sum : sums) sum = zero();
  const size_t part = count / 8 / LANES * LANES;
  for (size_t i = 0; i < part; i += LANES) {
    JUKEBOX_UNROLL
    for (int k = 0; k < 8; k++) sums[k] = add(sums[k], load(x + k * part + i));
  }
  for (int k = 1; k < 8; k++) sums[0] = add(sums[0], sums[k]);
  return sum_lanes(sums[0]);
}
