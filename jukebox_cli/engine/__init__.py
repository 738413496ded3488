"""How one position after another of a window is computed while sampling.

`model.prior.Prior.step` is the plain torch reference: it defines the logits at a position, and
tests hold every implementation to it. It belongs to the model because it shares parameters and
helper functions with `forward`, and because training, forced alignment and tests use it without
sampling. This package holds implementations that are faster on some device:

    native, native/, library    C++ kernels for CPUs
    step, cuda_graph            torch, on a GPU with a recorded graph
    engines                     what both have in common, as the sampler knows it
    choice, loader              which one samples a level, and in which precision
"""
