"""Training steps on a CPU through compiled layers: a step of a small model spends most of its time between the products.

torch fuses what lies between the matrix products of a layer into a few loops (`torch.compile`). All layers share one compiled
form, which is kept on disk and in the process: it costs a minute once, then some ten seconds for each process.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch

WORTH = 20_000
"""Tokens of a training from which on it is worth compiling."""


@cache
def can_compile() -> bool:
    """Whether torch finds what it needs to compile for this CPU (a C++ compiler above all): a sum is tried."""
    try:
        tried = torch.compile(lambda numbers: numbers + 1)(torch.zeros(2))
    except Exception:  # torch has many errors for what may be missing, without a class in common
        return False
    return bool(tried.sum() == 2)


def compile_layers(model: Any) -> None:
    """Have the layers of a causal LM compiled when they are first used.

    Lengths and numbers of rows stay open, so that a batch's gradients hang on its own shape alone, not on those before it: a
    resumed training repeats the bits of one that was not interrupted. Batches of one row have a form of their own. A layer
    that torch cannot compile is computed as before.
    """
    import torch._dynamo.config as dynamo
    import torch.fx.experimental._config as shapes

    shapes.use_duck_shape = False  # 60 rows of 60 tokens are no reason to hold the two for the same
    dynamo.suppress_errors = True
    dynamo.recompile_limit = max(dynamo.recompile_limit, 64)
    torch._logging.set_logs(dynamo=logging.ERROR)
    for layer in _layers(model):
        layer.compile(dynamic=True)


def _layers(model: Any) -> list[torch.nn.Module]:
    """The largest list of alike modules in a model: its layers."""
    lists = [list(module) for module in model.modules() if isinstance(module, torch.nn.ModuleList) and len(module)]
    return max(lists, key=len, default=[])
