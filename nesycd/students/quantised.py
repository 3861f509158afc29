"""A base model whose linear layers are kept in 4 bits while an adapter is trained on it (QLoRA).

Dettmers et al. 2023, arXiv 2305.14314. bitsandbytes does it, in NF4 with double quantisation. Weights are a quarter of bf16's;
each product first makes bf16 of them.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any

import torch

from nesycd.core.errors import ModelError

DEVICES = {"cuda"}
"""On CPUs bitsandbytes has no registered gradient of its fast product (0.50), which torch warns of."""

# It tells of kernels that are not there whenever peft looks for it.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def quantisation(device: torch.device, dtype: torch.dtype) -> Any:
    """How transformers loads a model in 4 bits.

    Raises:
        ModelError: it cannot be done on this device, or bitsandbytes is not installed.
    """
    if device.type not in DEVICES:
        raise ModelError(
            f"student.quantise: a base in 4 bits needs an NVIDIA GPU, and the student is on {device.type}; leave it out, or set "
            "training.checkpointing = 'on' where memory is short"
        )
    if find_spec("bitsandbytes") is None:
        raise ModelError(
            "student.quantise: weights in 4 bits are computed by bitsandbytes; get it by: pip install 'nesycd[scale]'"
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def is_quantised(model: Any) -> bool:
    """Whether a model's linear layers are kept in 4 bits."""
    return bool(getattr(model, "is_loaded_in_4bit", False))


def is_quantised_weight(parameter: Any) -> bool:
    """Whether a parameter is one of these, which knows how its bits are read."""
    return getattr(parameter, "quant_state", None) is not None
