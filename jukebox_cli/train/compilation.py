"""Compiling a network for training with torch.compile."""

from __future__ import annotations

from torch import nn

from jukebox_cli.model.transformer import TransformerLayer

#: Versions of a layer's code that dynamo may compile: one for each attention pattern, and others
#: for the first layer, whose input needs no gradient, and for evaluation.
RECOMPILE_LIMIT = 64


def compile_layers(module: nn.Module) -> int:
    """Compile each transformer layer of a network, in place; returns how many there are.

    Layers are compiled one by one instead of the network as a whole, since layers of an attention
    pattern share their code: the time to compile grows with the patterns, not with the depth. What
    becomes faster are the operations between the products (LayerNorm, activation, residuals), of
    which several are fused into one kernel. Losses differ by rounding from those without.
    """
    import torch._dynamo

    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    layers = [layer for layer in module.modules() if isinstance(layer, TransformerLayer)]
    for layer in layers:
        layer.compile()
    return len(layers)
