// Sampling many positions of a window in one call.
#pragma once

#include "model.h"

namespace jukebox {

// Samples ids at positions first .. end - 1 of each item from position `sample_from[item]` on. With
// guidance the second half of the items are the unconditional ones; they get the same ids.
// `uniform` (items, uniform_stride) has the number of position `first` at its start. Returns `end`,
// or the position where no token could be drawn.
int sample(Window& window, int64_t* ids, int64_t id_stride, int first, int end,
           const int64_t* sample_from, const double* uniform, int64_t uniform_stride,
           const Sampling& sampling);

// The same for a window of one item without guidance, with fewer passes through the model: each
// computes up to `lookahead` positions, at most MAX_LOOKAHEAD, with guesses as the tokens of all but
// the first. What is drawn after right guesses is exact; what is drawn after a wrong one is the next
// guess (Jacobi iteration; Song et al. 2021, "Accelerating Feedforward Computation via Parallel
// Nonlinear Equation Solving", section 3). As each position has its own random number, the tokens
// are those of `sample`, to the bit. Adds the number of passes to `num_passes`.
int sample_ahead(Window& window, int64_t* ids, int first, int end, int64_t sample_from,
                 const double* uniform, const Sampling& sampling, int lookahead,
                 int64_t* num_passes);

}  // namespace jukebox
