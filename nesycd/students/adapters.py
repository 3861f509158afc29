"""LoRA adapters on disk and in a model: saved whole, loaded, merged (peft)."""

from __future__ import annotations

import copy
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.nn import Linear, Parameter
from transformers.pytorch_utils import Conv1D

from nesycd.core.errors import ModelError
from nesycd.core.protocols import TrainSettings
from nesycd.core.storage import disk_errors, follow_umask, sync_tree
from nesycd.students.frozen_layers import layers_of
from nesycd.students.origin import CONFIG, WEIGHTS
from nesycd.students.quantised import is_quantised_weight


def lora_config(model: Any, settings: TrainSettings) -> LoraConfig:
    """LoRA on all linear modules of the upper layers."""
    layers = layers_of(model)
    lowest = min(round((1 - settings.adapted_layers) * len(layers)), len(layers) - 1)
    linear = {
        name.rpartition(".")[2] for name, module in layers.named_modules() if isinstance(module, (Linear, Conv1D))
    }
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=linear if lowest > 0 else "all-linear",
        layers_to_transform=list(range(lowest, len(layers))) if lowest > 0 else None,
        task_type="CAUSAL_LM",
    )


def save_adapter(model: Any, folder: Path) -> None:
    """Save the adapter atomically; peft alone could leave incomplete weights.

    Raises:
        RunError: the disk is full.
    """
    part = folder / "adapter.tmp"
    shutil.rmtree(part, ignore_errors=True)
    try:
        with disk_errors(folder):
            # Embeddings are never trained; peft would ask the hub whether those of its main have grown.
            model.save_pretrained(part, save_embedding_layers=False)
            follow_umask(part / WEIGHTS)
            sync_tree(part)
            # peft also writes a model card full of blanks: not ours to publish. The weights come last, for `with_adapter`.
            for name in (CONFIG, WEIGHTS):
                os.replace(part / name, folder / name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def with_adapter(model: Any, folder: Path, *, trainable: bool) -> Any:
    """The peft model of a causal LM with an adapter.

    Raises:
        ModelError: the folder has no adapter, or one of another model.
    """
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder} is not an adapter folder: it has no {WEIGHTS}")
    try:
        with peft_warnings():
            return PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # as in loading a model
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ModelError(
            f"{folder}: the adapter does not fit the model that {CONFIG} names: {lines[min(1, len(lines) - 1)][:200]} (if its "
            "vocabulary was enlarged, merge the adapter with peft's merge_and_unload, and give the folder of the whole model)"
        ) from None


def merged(model: Any, folder: Path) -> Any:
    """A causal LM with an adapter merged into copies of its weights; `modules_to_save` replace the model's own.

    Raises:
        ModelError: see `with_adapter`.
    """
    model = with_adapter(model, folder, trainable=False)
    # peft's own merge into copies (`safe_merge`) rounds what the adapter adds once more than its merge in place.
    for module in model.modules():
        if isinstance(module, BaseTunerLayer):
            for parameter in module.get_base_layer().parameters(recurse=False):
                parameter.data = parameter.data.clone()
    with peft_warnings():
        return model.merge_and_unload()


def with_shared_weights(model: Any) -> Any:
    """A copy of a model whose parameters and buffers share the storage of the original's; modules and config are its own."""
    shared: dict[int, Any] = {}
    for parameter in model.parameters():
        whole = is_quantised_weight(parameter)
        shared[id(parameter)] = parameter if whole else Parameter(parameter.data, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        shared[id(buffer)] = buffer
    return copy.deepcopy(model, shared)


@contextmanager
def peft_warnings() -> Iterator[None]:
    """Ignore what peft tells programmers; weights that an adapter lacks are an error."""
    with warnings.catch_warnings():
        # It still asks transformers for a property by its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        # An output layer that was trained by itself is no longer the embeddings.
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
        warnings.filterwarnings("ignore", "Input and output embeddings are no longer tied", UserWarning)
        # GPT-2's linear layers have their weights the other way round, which it sees for itself.
        warnings.filterwarnings("ignore", "fan_in_fan_out is set to False", UserWarning)
        warnings.filterwarnings("error", "Found missing adapter keys", UserWarning)
        yield
