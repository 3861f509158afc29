"""How much memory a training takes, told before it begins: the model is run without data ("meta" tensors), and what it keeps is
counted.

So the count holds for any architecture, attention and share of adapted layers, and needs neither weights nor the device.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import torch
import transformers
from peft import get_peft_model

from nesycd.core.protocols import TrainSettings
from nesycd.students.adapters import lora_config, peft_warnings
from nesycd.students.checkpointing import checkpointed
from nesycd.students.frozen_layers import MEMORY, first_adapted, layers_of
from nesycd.students.memory import CGROUP, container_limit
from nesycd.students.training import Encoded, forward_parts

Checkpointing = Literal["auto", "on", "off"]
GIB = 1 << 30
_MASTER = 16
"""Bytes a trained weight: fp32 weight, gradient and two moments of AdamW."""
_LOGIT = 16
"""Bytes a logit: in the model's format and in fp32, log-probabilities, gradients."""
_NF4 = 0.52
"""Bytes a weight in 4 bits, with the scales of its block (QLoRA, section 3)."""
_FLASH = "nesycd_counted"
"""The name under which attention that keeps no scores is known to transformers."""


@dataclass(frozen=True)
class Passes:
    """The largest forward pass of a training: `rows` texts of `width` padded tokens, `learned` of them with loss."""

    rows: int
    width: int
    learned: int
    tokens: int = 0
    """Of all texts, whose states below the first adapted layer are kept."""


@dataclass(frozen=True)
class Footprint:
    """Bytes that a training takes in each process."""

    weights: int
    adapter: int
    """With its gradients and the optimiser's state."""
    activations: int
    """Kept for the backward pass."""
    checkpointed: int
    """The same with gradient checkpointing."""
    logits: int
    states: int
    """Kept of the layers below the first adapted one."""
    cache: int
    """Keys and values of a batch of answers; they are written when nothing is trained."""

    def training(self, checkpointing: bool) -> int:
        """At the peak of a step."""
        kept = self.checkpointed if checkpointing else self.activations
        return self.weights + self.adapter + self.states + kept + self.logits

    @property
    def answering(self) -> int:
        """While a batch of answers is written."""
        return self.weights + self.cache

    def told(self, checkpointing: bool) -> str:
        """In words, in GiB."""
        kept = self.checkpointed if checkpointing else self.activations
        parts = {
            "weights": self.weights,
            "adapter and optimizer": self.adapter,
            "kept states": self.states,
            f"activations{' with checkpointing' if checkpointing else ''}": kept,
            "logits": self.logits,
        }
        told = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items() if size)
        return f"about {self.training(checkpointing) / GIB:.1f} GiB for training ({told})"


def footprint(
    config: Any,
    settings: TrainSettings,
    largest: Passes,
    *,
    dtype: torch.dtype,
    attention: str,
    quantised: bool = False,
    shards: int = 1,
    answers: tuple[int, int] = (0, 0),
) -> Footprint:
    """The memory of a training.

    Args:
        config: of the causal LM, as transformers reads it.
        settings: of the training.
        largest: its largest forward pass.
        dtype: of the weights.
        attention: `eager` keeps the scores of all pairs of tokens, all others none.
        quantised: whether the layers' weights are in 4 bits.
        shards: processes that the layers' weights are spread over.
        answers: rows and tokens of a batch of answers.
    """
    model = _without_data(config, settings, dtype, attention)
    layers = layers_of(model)
    inside = sum(p.numel() for p in layers.parameters() if not p.requires_grad)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    outside = sum(p.numel() for p in model.parameters()) - inside - trained
    each = _NF4 if quantised else dtype.itemsize
    # A layer's whole weights are fetched while it runs, and the next one's with them.
    fetched = 0 if shards == 1 else 2 * inside * each / max(1, len(layers))
    kept, whole = _kept(model, largest, False), _kept(model, largest, True)
    upper = max(1, len(layers) - first_adapted(model))
    # While a layer goes backward, its gradients take about as much as what it kept.
    one = (kept - whole) / upper
    width = model.get_input_embeddings().weight.shape[1]
    states = largest.tokens * width * dtype.itemsize if first_adapted(model) else 0
    return Footprint(
        weights=round(inside * each / shards + fetched + outside * dtype.itemsize),
        adapter=round(trained * (_MASTER + dtype.itemsize)),
        activations=round(kept + one),
        checkpointed=round(whole + 2 * one),
        logits=round(largest.learned * model.get_input_embeddings().num_embeddings * _LOGIT),
        states=states if states <= MEMORY and shards == 1 else 0,
        cache=_cache(config, dtype) * answers[0] * answers[1],
    )


def _without_data(config: Any, settings: TrainSettings, dtype: torch.dtype, attention: str) -> Any:
    """The causal LM with its adapter, of tensors that have shapes only."""
    config = copy.deepcopy(config)
    config.quantization_config = None
    del config.quantization_config
    if attention != "eager":
        transformers.AttentionInterface.register(_FLASH, _counted_attention)
        transformers.AttentionMaskInterface.register(_FLASH, lambda *args, **named: None)
    with torch.device("meta"), peft_warnings():
        made = transformers.AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation="eager" if attention == "eager" else _FLASH
        )
        lora = get_peft_model(made, lora_config(made, settings))
    for parameter in lora.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
    return lora.get_base_model().train()


class _Flash(torch.autograd.Function):
    """Attention as fused kernels do it: queries, keys, values and results are kept, scores are not."""

    @staticmethod
    def forward(context: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        made = torch.empty_like(query)
        context.save_for_backward(query, key, value, made)
        return made

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raise NotImplementedError("it is only counted")


def _counted_attention(module: Any, query: Any, key: Any, value: Any, mask: Any, **others: Any) -> tuple[Any, None]:
    return _Flash.apply(query, key, value).transpose(1, 2), None


class _Kept:
    """Counts the bytes that autograd keeps, each storage once; not those of parameters."""

    def __init__(self, model: Any) -> None:
        self._known = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        self._held: list[torch.Tensor] = []  # as long as they live no other storage has their address
        self.bytes = 0
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._keep, lambda tensor: tensor)

    def _keep(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._known:
            self._known.add(storage._cdata)
            self._held.append(tensor)
            self.bytes += storage.nbytes()
        return tensor

    def __enter__(self) -> Self:
        self._hooks.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._hooks.__exit__(kind, error, tb)


def _kept(model: Any, largest: Passes, checkpointing: bool) -> int:
    ids = torch.zeros(largest.rows, largest.width, dtype=torch.long, device="meta")
    decoder = model.get_decoder()

    def run() -> int:
        with _Kept(model) as kept:
            decoder(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        return kept.bytes

    if not checkpointing:
        return run()
    with checkpointed(model, draws=False):
        return run()


def _cache(config: Any, dtype: torch.dtype) -> int:
    """Bytes of the keys and values of one token."""
    text = config.get_text_config()
    heads = getattr(text, "num_attention_heads", 0) or 0
    shared = getattr(text, "num_key_value_heads", None) or heads
    size = getattr(text, "head_dim", None) or (text.hidden_size // heads if heads else 0)
    return int(2 * text.num_hidden_layers * shared * size * dtype.itemsize)


def available(device: torch.device) -> int | None:
    """Bytes that are free on a device now; None where that is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())
    import psutil  # peft brings it along

    free = int(psutil.virtual_memory().available)
    return min([free, *_container_room()])


def _container_room(root: Path = CGROUP) -> Sequence[int]:
    """Bytes that are left of this container's limit; empty where there is none."""
    if (most := container_limit(root)) is None:
        return []
    try:
        used = (root / "memory.current").read_text()
        cached = dict(line.split() for line in (root / "memory.stat").read_text().splitlines()).get(
            "inactive_file", "0"
        )
        return [most - int(used) + int(cached)]
    except (OSError, ValueError):
        return []


def largest_pass(texts: Sequence[Encoded], settings: TrainSettings, processes: int) -> Passes:
    """The largest forward pass of a training: that of a batch of the longest texts, which lie together.

    Args:
        texts: of the training.
        settings: of the training.
        processes: that share each batch.
    """
    batch: list[Encoded] = []
    learned = 0
    for text in sorted(texts, key=len, reverse=True):
        if batch and learned + text.learned > settings.batch_tokens:
            break
        batch.append(text)
        learned += text.learned
    part = max(forward_parts(batch[::processes]), key=lambda made: len(made) * len(made[-1]) ** 2)
    tokens = sum(map(len, texts)) // processes
    return Passes(len(part), max(map(len, part)), sum(text.learned for text in part), tokens)


@dataclass(frozen=True)
class MemoryPlan:
    """What is decided and said before a training.

    Attributes:
        checkpointing: whether layers keep their inputs only.
        told: the estimate in words; "" where there is none.
        warning: what to do where memory is short; "" where it suffices.
    """

    checkpointing: bool
    told: str = ""
    warning: str = ""


def memory_plan(found: Footprint, room: int | None, wanted: Checkpointing, place: str, advice: str = "") -> MemoryPlan:
    """Whether to checkpoint gradients, and what to say.

    Args:
        found: the memory that is needed.
        room: bytes that the training may take; None: not known.
        wanted: `auto`: only where memory would not suffice otherwise.
        place: the device, in words.
        advice: what else helps, in words.
    """
    checkpointing = wanted == "on" or (wanted == "auto" and room is not None and found.training(False) > room)
    told = found.told(checkpointing)
    if room is None:
        return MemoryPlan(checkpointing, told)
    told = f"{told}; {room / GIB:.1f} GiB are free on {place}"
    if found.training(checkpointing) <= room:
        return MemoryPlan(checkpointing, told)
    first = "" if checkpointing else "training.checkpointing = auto, "
    rest = "a smaller training.max_tokens, a lower training.adapted_layers"
    return MemoryPlan(checkpointing, told, f"memory may not suffice: {told}. What helps: {first}{advice}{rest}")
