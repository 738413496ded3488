// The built-in samplers and the draw, for one item (`plugins/samplers.py`, `sampling/rng.py`).
//
// Included once per instruction set, after its lanes. What is kept of the distribution is every
// token whose weight e^(logit - max) exceeds a threshold, and the first few of those equal to it.

#define JUKEBOX_KERNELS(name) \
  { name, prefill, step, draw, set_memory, exponentials, read_memory }

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

// The weights of one bucket that are kept so far, in descending order. Returns how many.
static int sorted_bucket(const float* weights, int count, float threshold, int which, float* out) {
  int size = 0;
  for (int i = 0; i < count; i++) {
    if (weights[i] >= threshold && bucket(weights[i]) == which) out[size++] = weights[i];
  }
  sort_descending(out, size);
  return size;
}

// The k-th largest weight.
static float kth_largest(const float* weights, int count, int k, float* scratch) {
  int sizes[NUM_BUCKETS] = {};
  for (int i = 0; i < count; i++) sizes[bucket(weights[i])]++;
  int which = 0, above = 0;
  while (above + sizes[which] < k) above += sizes[which++];
  sorted_bucket(weights, count, -1, which, scratch);
  return scratch[k - above - 1];
}

// Nucleus sampling: the fewest most likely tokens that reach `top_p` of what is kept so far.
static Kept nucleus(const float* weights, int count, float threshold, float top_p, float* scratch) {
  double mass[NUM_BUCKETS] = {}, total = 0, before = 0;
  for (int i = 0; i < count; i++) {
    if (weights[i] < threshold) continue;
    mass[bucket(weights[i])] += weights[i];
    total += weights[i];
  }
  const double target = top_p * total;
  int which = 0;
  while (which < NUM_BUCKETS - 1 && before + mass[which] < target) before += mass[which++];
  const int size = sorted_bucket(weights, count, threshold, which, scratch);
  Kept kept{threshold};
  for (int i = 0; i < size && before < target; i++) {  // a token is kept if those before fall short
    kept.num_equal = i && scratch[i] == kept.threshold ? kept.num_equal + 1 : 1;
    kept.threshold = scratch[i];
    before += scratch[i];
  }
  return kept;
}

static int64_t draw(Window& window, const float* logits, const float* unconditional,
                    const Sampling& sampling, double uniform) {
  const int count = window.vocab_size(), size = padded(count);
  float *weights = window.combined.data(), *scratch = weights + size;
  bool valid = true;
  float largest = -INFINITY;
  int64_t best = 0;
  const float guidance = static_cast<float>(sampling.guidance - 1);
  for (int i = 0; i < count; i++) {
    float logit = logits[i];
    if (unconditional) {
      const float difference = guidance * (logit - unconditional[i]);
      logit = logit + difference;
    }
    logit = logit / sampling.temperature;
    valid &= logit < INFINITY;  // neither NaN nor +inf
    if (logit > largest) largest = logit, best = i;
    weights[i] = logit;
  }
  if (!valid || largest == -INFINITY) return -1;
  if (sampling.greedy) return best;
  for (int i = count; i < size; i++) weights[i] = -INFINITY;
  for (int i = 0; i < size; i += LANES) {
    store(weights + i, exponential(sub(load(weights + i), broadcast(largest))));
  }
  Kept kept;
  if (sampling.top_k > 0 && sampling.top_k < count) {
    kept.threshold = kth_largest(weights, count, sampling.top_k, scratch);
  }
  if (sampling.top_p < 1) kept = nucleus(weights, count, kept.threshold, sampling.top_p, scratch);
  if (sampling.min_p > kept.threshold) kept = {sampling.min_p};
  double total = 0, reached = 0;
  int equal = 0;
  for (int i = 0; i < count; i++) {
    if (weights[i] == kept.threshold && equal++ >= kept.num_equal) weights[i] = 0;
    if (weights[i] < kept.threshold) weights[i] = 0;
    total += weights[i];
  }
  const double target = uniform * total;
  int64_t token = best;
  for (int i = 0; i < count; i++) {
    if (weights[i] == 0) continue;
    token = i;
    reached += weights[i];
    if (reached > target) break;
  }
  return token;
}
