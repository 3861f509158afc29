"""Compiled layers for training on a CPU, where a small model spends most time in operations between matrix products.

torch fuses these operations into a few loops (`torch.compile`). All layers share one compiled form, which is cached on disk and
in the process: compiling takes a minute once, then some ten seconds for each process.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch

from nesycd.students.frozen_layers import first_adapted, layers_of

WORTH = 150_000
"""Training tokens from which compiling pays off: it takes 50 s the first time and spares a sixth of a step (docs/log.md)."""


@cache
def can_compile() -> bool:
    """Whether torch can compile for this CPU (it needs a C++ compiler), tested on a small function."""
    try:
        tried = torch.compile(lambda numbers: numbers + 1)(torch.zeros(2))
    except Exception:  # torch has many errors for what may be missing, without a class in common
        return False
    return bool(tried.sum() == 2)


def compile_layers(model: Any) -> None:
    """Have the layers of a causal LM compiled when they are first used.

    Shapes are dynamic, so that a batch's gradients depend on its own shape alone and not on earlier batches: a resumed training
    is bit-identical to an uninterrupted one. Batches of one row are compiled separately. A layer that torch cannot compile
    runs uncompiled.
    """
    import torch._dynamo.config as dynamo
    import torch.fx.experimental._config as shapes

    shapes.use_duck_shape = False  # equal sizes (60 rows of 60 tokens) must not be treated as the same dimension
    dynamo.suppress_errors = True
    dynamo.recompile_limit = max(dynamo.recompile_limit, 64)
    torch._logging.set_logs(dynamo=logging.ERROR)
    # Layers below the first adapted one run once for each text: not worth a form of their own, without gradients.
    for layer in layers_of(model)[first_adapted(model) :]:
        layer.compile(dynamic=True)
