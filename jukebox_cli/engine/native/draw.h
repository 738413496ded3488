// The built-in samplers and the draw, for one item (`plugins/samplers.py`, `sampling/rng.py`).
//
// Included once per instruction set, after its lanes. What is kept of the distribution is every
// token whose weight e^(logit - max) exceeds a threshold, and the first few of those equal to it.

struct Kept {
  float threshold = 0;
  int num_equal = 1 << 30;  // how many of those equal to the threshold, the lowest ids first
};

// Sorts in descending order: the heap sort, so that no function of the standard library is compiled
// for this instruction set only.
static void sift_down(float* heap, int root, int size) {
  for (int child; (child = 2 * root + 1) < size; root = child) {
    if (child + 1 < size && heap[child + 1] < heap[child]) child++;
    if (!(heap[child] < heap[root])) return;
    const float smaller = heap[child];
    heap[child] = heap[root];
    heap[root] = smaller;
  }
}

static void sort_descending(float* x, int count) {
  for (int i = count / 2 - 1; i >= 0; i--) sift_down(x, i, count);
  for (int i = count - 1; i > 0; i--) {
    const float smallest = x[0];
    x[0] = x[i];
    x[i] = smallest;
    sift_down(x, 0, i);
  }
}

// Positive floats in buckets of an eighth of an octave below 1, largest first.
constexpr int NUM_BUCKETS = 1024;
JUKEBOX_INLINE int bucket(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t below = (0x3f800000u - bits) >> 20;
  return below < NUM_BUCKETS ? static_cast<int>(below) : NUM_BUCKETS - 1;
}

// The k-th largest weight.
static float kth_largest(const float* weights, int count, int k, float* scratch) {
  int sizes[NUM_BUCKETS] = {};
  for (int i = 0; i < count; i++) sizes[bucket(weights[i])]++;
  int which = 0, above = 0;
  while (above + sizes[which] < k) above += sizes[which++];
  int size = 0;
  for (int i = 0; i < count; i++) {
    if (bucket(weights[i]) == which) scratch[size++] = weights[i];
  }
  sort_descending(scratch, size);
  return scratch[k - above - 1];
}

// The sum of the weights that are at least `threshold`.
static float mass_from(const float* weights, int count, float threshold) {
  const Lanes bound = broadcast(threshold);
  Lanes sum = zero();
  for (int i = 0; i < count; i += LANES) {
    const Lanes weight = load(weights + i);
    sum = add(sum, keep_not_below(weight, weight, bound));
  }
  return sum_lanes(sum);
}

// The same, to the last bits. Blocks are summed apart, so that additions need not wait.
static double exact_mass_from(const float* weights, int count, float threshold) {
  double total = 0;
  for (int first = 0; first < count; first += LANES) {
    double sum = 0;
    for (int i = first; i < first + LANES; i++) sum += weights[i] >= threshold ? weights[i] : 0;
    total += sum;
  }
  return total;
}

// Nucleus sampling: the fewest most likely tokens that reach `top_p` of what is kept so far, the
// weights from `threshold` on. The largest weight is 1; `count` is a multiple of LANES.
static Kept nucleus(const float* weights, int count, float threshold, float top_p, float* scratch) {
  const double target = top_p * exact_mass_from(weights, count, threshold);
  // between two bounds lies the weight at which the target is reached, and soon few others
  float high = 2, low = 1;
  while (low > threshold && low > 1e-30f && mass_from(weights, count, low) < target) {
    high = low;
    low /= 2;
  }
  for (int i = 0; i < 6; i++) {
    const float middle = (low + high) / 2;
    (mass_from(weights, count, middle) < target ? high : low) = middle;
  }
  low = low > threshold ? low : threshold;
  high = high > threshold ? high : threshold;
  double before = exact_mass_from(weights, count, high);
  int size = 0;
  for (int i = 0; i < count; i++) {
    scratch[size] = weights[i];
    size += weights[i] >= low && weights[i] < high;
  }
  sort_descending(scratch, size);
  Kept kept{high};
  for (int i = 0; i < size && before < target; i++) {  // a token is kept if those before fall short
    kept.num_equal = i && scratch[i] == kept.threshold ? kept.num_equal + 1 : 1;
    kept.threshold = scratch[i];
    before += scratch[i];
  }
  return kept;
}

// logits -> (logit with guidance) / temperature, padded with -inf. Returns the largest, or NaN if one
// of them is NaN or +inf.
static float shape_logits(const float* logits, const float* unconditional, int count,
                          const Sampling& sampling, float* out) {
  const Lanes guidance = broadcast(static_cast<float>(sampling.guidance - 1)),
              temperature = broadcast(sampling.temperature);
  const int size = padded(count);
  memcpy(out, logits, count * sizeof(float));
  for (int i = count; i < size; i++) out[i] = logits[count - 1];  // changes no maximum
  float rest[LANES];
  Lanes largest = broadcast(-INFINITY), sum = zero();
  for (int i = 0; i < count; i += LANES) {
    Lanes logit = load(out + i);
    if (unconditional) {
      const float* other = unconditional + i;
      if (i + LANES > count) {
        for (int k = 0; k < LANES; k++) rest[k] = unconditional[i + k < count ? i + k : count - 1];
        other = rest;
      }
      const Lanes difference = mul(guidance, sub(logit, load(other)));
      logit = add(logit, difference);
    }
    logit = div(logit, temperature);
    store(out + i, logit);
    sum = add(sum, maximum(zero(), logit));  // NaN or +inf, and nothing else, spoils it
    largest = maximum(largest, logit);
  }
  for (int i = count; i < size; i++) out[i] = -INFINITY;
  return sum_lanes(sum) < INFINITY ? max_lanes(largest) : NAN;
}

// Sets the weights that are not kept to 0.
static void drop(float* weights, int count, const Kept& kept) {
  int num_equal = 0;
  for (int i = 0; i < count; i++) {
    num_equal += weights[i] == kept.threshold;
    if (num_equal > kept.num_equal && weights[i] == kept.threshold) weights[i] = 0;
  }
  const Lanes threshold = broadcast(kept.threshold);
  for (int i = 0; i < count; i += LANES) {
    const Lanes weight = load(weights + i);
    store(weights + i, keep_not_below(weight, weight, threshold));
  }
}

// The first token where the sum of the weights so far exceeds uniform * total. The weights are
// summed in blocks of LANES, and the blocks in order.
static int64_t invert_cdf(const float* weights, int count, double uniform, double* blocks) {
  const int num_blocks = padded(count) / LANES;
  double total = 0, reached = 0;
  for (int b = 0; b < num_blocks; b++) {
    double sum = 0;
    for (int i = b * LANES; i < (b + 1) * LANES; i++) sum += weights[i];
    blocks[b] = sum;
    total += sum;
  }
  const double target = uniform * total;
  int block = 0;
  for (; block < num_blocks - 1 && reached + blocks[block] <= target; block++) {
    reached += blocks[block];
  }
  int64_t token = -1;
  for (int i = block * LANES; i < count && i < (block + 1) * LANES; i++) {
    if (weights[i] == 0) continue;
    token = i;
    reached += weights[i];
    if (reached > target) return token;
  }
  for (int i = count - 1; token < 0 && i >= 0; i--) {  // rounding left the target at the very end
    if (weights[i] != 0) token = i;
  }
  return token;
}

static int64_t draw(Window& window, const float* logits, const float* unconditional,
                    const Sampling& sampling, double uniform) {
  const int count = window.vocab_size(), size = padded(count);
  float *weights = window.combined.data(), *scratch = weights + size;
  const float largest = shape_logits(logits, unconditional, count, sampling, weights);
  if (!(largest > -INFINITY)) return -1;
  if (sampling.greedy) {
    int64_t best = 0;
    while (weights[best] != largest) best++;
    return best;
  }
  for (int i = 0; i < size; i += LANES) {
    store(weights + i, exponential(sub(load(weights + i), broadcast(largest))));
  }
  Kept kept;
  if (sampling.top_k > 0 && sampling.top_k < count) {
    kept.threshold = kth_largest(weights, count, sampling.top_k, scratch);
  }
  if (sampling.top_p < 1) kept = nucleus(weights, size, kept.threshold, sampling.top_p, scratch);
  if (sampling.min_p > kept.threshold) kept = {sampling.min_p};
  if (kept.threshold > 0) drop(weights, count, kept);
  return invert_cdf(weights, count, uniform, window.blocks.data());
}
