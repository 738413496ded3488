"""Compiling a network for training with torch.compile."""

from __future__ import annotations

from torch import nn

from jukebox_cli.model.transformer import TransformerLayer

#: Kinds of layers that dynamo may meet in one network: attention patterns, with and without grads.
RECOMPILE_LIMIT = 64


def compile_layers(module: nn.Module) -> int:
    """Compile each transformer layer of a network, in place; returns how many there are.

    Layers are compiled one by one instead of the network as a whole, since layers of an attention
    pattern share their code: it takes seconds for each pattern, whatever the depth. What gains
    are the many operations between the products (LayerNorm, activation, residuals), which become
    one kernel each. Losses differ by rounding from those without.
    """
    import torch._dynamo

    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    layers = [layer for layer in module.modules() if isinstance(layer, TransformerLayer)]
    for layer in layers:
        layer.compile()
    return len(layers)
