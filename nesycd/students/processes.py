"""The processes that share a training, one on each device: data parallelism over torch's process groups.

Every process holds the adapter's weights and takes the same optimiser steps. Of each batch it computes its share; gradients are
summed, not averaged, so that a step is that of one process but for rounding. Only the adapter's gradients travel: they are small,
and in one message (torch's DistributedDataParallel would also wait for parts of a batch, which are added up here first).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")
_PATIENCE = timedelta(hours=1)
"""How long a process waits for the others; one may have to compile, or to compute kept states."""


@dataclass(frozen=True)
class Processes:
    """The processes of a training, as one of them sees them.

    Attributes:
        rank: its number, from 0; the process of rank 0 writes files.
        size: how many there are.
        local_rank: its number among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def joined(cls, device: str = "auto") -> Processes:
        """Join the processes that a launcher (`torchrun`, `accelerate launch`) has started; one alone where there is no launcher.

        Args:
            device: where they compute, as `pick_device` takes it.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return ALONE
        local = int(os.environ.get("LOCAL_RANK", "0"))
        on_gpu = torch.cuda.is_available() and device in ("auto", "cuda")
        if on_gpu:
            torch.cuda.set_device(local)
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
        return cls(distributed.get_rank(), size, local)

    def device(self, wanted: str) -> str:
        """The device of this process, where all are told the same: the GPU of its number on its machine."""
        several = self.size > 1 and torch.cuda.is_available() and wanted in ("auto", "cuda")
        return f"cuda:{self.local_rank}" if several else wanted

    def share(self, texts: Sequence[T], rank: int | None = None) -> list[T]:
        """Those texts of a batch that a process computes: this one, unless another's number is given."""
        if self.size == 1:
            return list(texts)
        by_length = sorted(texts, key=len, reverse=True)  # type: ignore[arg-type]
        return by_length[self.rank if rank is None else rank :: self.size]

    @torch.no_grad()
    def add(self, tensors: Sequence[torch.Tensor], numbers: Sequence[float]) -> list[float]:
        """Replace each fp32 tensor by its sum over all processes; the sums of the numbers."""
        if self.size == 1:
            return list(numbers)
        device = tensors[0].device
        flat = torch.cat([*(one.reshape(-1) for one in tensors), torch.tensor(numbers, device=device)])
        distributed.all_reduce(flat)
        start = 0
        for one in tensors:
            one.copy_(flat[start : start + one.numel()].view_as(one))
            start += one.numel()
        return [float(number) for number in flat[start:]]

    @torch.no_grad()
    def agree(self, tensors: Sequence[torch.Tensor]) -> None:
        """Give every process the tensors of the first."""
        if self.size > 1:
            for one in tensors:
                distributed.broadcast(one, 0)

    def any(self, told: bool, device: torch.device) -> bool:
        """Whether one of the processes was told so."""
        if self.size == 1:
            return told
        flag = torch.tensor([float(told)], device=device)
        distributed.all_reduce(flag)
        return bool(flag > 0)

    def gathered(self, state: torch.Tensor, device: torch.device) -> list[torch.Tensor]:
        """The tensors of all processes, of one shape and on the CPU, by rank."""
        if self.size == 1:
            return [state]
        mine = state.to(device)
        found = [torch.empty_like(mine) for _ in range(self.size)]
        distributed.all_gather(found, mine)
        return [one.cpu() for one in found]

    def leave(self) -> None:
        """Wait for the others, then leave them."""
        if self.size > 1:
            distributed.barrier()
            distributed.destroy_process_group()


ALONE = Processes()


def is_sharded(model: Any) -> bool:
    """Whether the weights of a causal LM's layers are spread over processes (`shard_layers`)."""
    fsdp = sys.modules.get("torch.distributed.fsdp")  # it takes time to import, and `shard_layers` has done so
    return fsdp is not None and isinstance(model.get_decoder(), fsdp.FSDPModule)


def shard_layers(model: Any, device: torch.device) -> None:
    """Spread the frozen weights of a causal LM's layers over the processes (FSDP2): each fetches a layer's while it runs.

    What is trained, embeddings and output layer stay whole in each process: the first is small, the others are used
    outside the decoder. Weights that are not on the device are moved there layer by layer, so no process holds all.

    Args:
        model: with its adapter, on the CPU or on the device.
        device: of this process.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    from nesycd.students.frozen_layers import layers_of

    layers = layers_of(model)
    inside = {id(parameter) for parameter in layers.parameters()}
    whole = {p for p in model.parameters() if p.requires_grad or id(p) not in inside}
    for parameter in whole:
        parameter.data = parameter.data.to(device)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=whole)
    fully_shard(model.get_decoder(), mesh=mesh, ignored_params=whole)
