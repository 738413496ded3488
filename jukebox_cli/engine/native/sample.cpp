#include "sample.h"

#include <algorithm>

namespace jukebox {

int sample(Window& window, int64_t* ids, int64_t id_stride, int first, int end,
           const int64_t* sample_from, const double* uniform, int64_t uniform_stride,
           const Sampling& sampling) {
  const Kernels& kernels = *window.model->kernels;
  const int vocab_size = window.vocab_size(),
            items = sampling.guided ? window.items / 2 : window.items;
  for (int position = first; position < end; position++) {
    kernels.step(window, ids, id_stride, position, 1);
    for (int item = 0; item < items; item++) {
      int64_t* id = ids + item * id_stride + position;
      if (position >= sample_from[item]) {
        const float* logits = window.logits.data() + size_t(item) * vocab_size;
        const float* unconditional =
            sampling.guided ? logits + size_t(items) * vocab_size : nullptr;
        const double number = uniform[item * uniform_stride + position - first];
        const int64_t token = kernels.draw(window, logits, unconditional, sampling, number);
        if (token < 0) return position;
        *id = token;
      }
      if (sampling.guided) ids[(items + item) * id_stride + position] = *id;
    }
  }
  return end;
}

int sample_ahead(Window& window, int64_t* ids, int first, int end, int64_t sample_from,
                 const double* uniform, const Sampling& sampling, int lookahead,
                 int64_t* num_passes) {
  const Kernels& kernels = *window.model->kernels;
  const int columns = window.model->config.columns;
  int guessed = first;  // ids before this one are exact or guesses
  for (int position = first; position < end;) {
    // A pass ends with its row: the keys of the next row replace those of this one, which positions
    // of this row still need if their guesses were wrong.
    const int row_end = (position / columns + 1) * columns,
              stop = std::min({position + lookahead, end, row_end});
    for (guessed = std::max(guessed, position); guessed < stop; guessed++) {
      if (guessed >= sample_from) ids[guessed] = guessed ? ids[guessed - 1] : 0;
    }
    kernels.step(window, ids, 0, position, stop - position);
    ++*num_passes;
    int reached = position;  // positions before this one are exact
    bool exact = true;
    for (int p = position; p < stop; p++) {
      const int64_t guess = ids[p];
      if (p >= sample_from) {
        const float* logits = window.logits.data() + size_t(p - position) * window.vocab_size();
        const int64_t token = kernels.draw(window, logits, nullptr, sampling, uniform[p - first]);
        if (token < 0 && exact) return p;
        if (token >= 0) ids[p] = token;
      }
      if (exact) reached = p + 1;
      exact = exact && ids[p] == guess;
    }
    position = reached;
  }
  return end;
}

}  // namespace jukebox
