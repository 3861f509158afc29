"""Gradient checkpointing: a layer keeps its input only, and runs once more in the backward pass.

Chen et al. 2016, arXiv 1604.06174. Memory for activations falls from all layers' to one layer's; a step takes about a third
longer. Results are the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint

from nesycd.students.frozen_layers import first_adapted, layers_of


@contextmanager
def checkpointed(model: Any, *, draws: bool) -> Iterator[None]:
    """Have the layers of a causal LM that are trained, and those above, keep their inputs only.

    Args:
        model: with its adapters.
        draws: whether layers draw random numbers (dropout), which must then be drawn again.
    """
    # `forward`, not the call: hooks of a sharded layer must not run again, and what compiles a layer begins outside.
    layers = list(layers_of(model)[first_adapted(model) :])
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=draws)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
