"""The memory of one student's trainings on its device: estimated, compared with what is free, and said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from nesycd.core.protocols import TrainSettings
from nesycd.students.footprint import (
    GIB,
    Checkpointing,
    Footprint,
    MemoryPlan,
    Passes,
    available,
    footprint,
    largest_pass,
    memory_plan,
)
from nesycd.students.processes import Processes
from nesycd.students.training import FORWARD_TOKENS, Encoded


@dataclass(frozen=True)
class Sizing:
    """What a student's memory depends on.

    Attributes:
        config: gives the model's configuration.
        device: of this process.
        dtype: of the weights.
        attention: its implementation in training.
        quantised: whether the base is in 4 bits.
        processes: that train together.
        shard: whether they share the layers' weights.
        checkpointing: as it is set.
    """

    config: Callable[[], Any]
    device: torch.device
    dtype: torch.dtype
    attention: str
    quantised: bool
    processes: Processes
    shard: bool
    checkpointing: Checkpointing

    def footprint(
        self, settings: TrainSettings, largest: Passes, answers: tuple[int, int] = (0, 0)
    ) -> Footprint | None:
        """The estimate; None for an architecture that needs data to be run, and for models that cannot be read."""
        try:
            return footprint(
                self.config(),
                settings,
                largest,
                dtype=self.dtype,
                attention=self.attention,
                quantised=self.quantised,
                shards=self.processes.size if self.shard else 1,
                answers=answers,
            )
        except Exception:  # libraries raise anything here; what is wrong with a model, loading it will tell
            return None

    def plan(
        self,
        texts: Sequence[Encoded],
        settings: TrainSettings,
        loaded: bool,
    ) -> MemoryPlan:
        """Estimate the memory of a training, and decide whether to checkpoint gradients.

        Args:
            texts: of the training.
            settings: of the training.
            loaded: whether the base's weights are there already.
        """
        found = self.footprint(settings, largest_pass(texts, settings, self.processes.size))
        plan = MemoryPlan(self.checkpointing == "on") if found is None else self._plan(found, loaded)
        # Layers that one process ran again would be fetched from all.
        return replace(plan, checkpointing=self.processes.any(plan.checkpointing, self.device))

    def _plan(self, found: Footprint, loaded: bool) -> MemoryPlan:
        room = available(self.device)
        if room is not None:
            # On a CPU all processes of a machine share it.
            room = room // (self.processes.size if self.device.type == "cpu" else 1)
            room += found.weights if loaded else 0
        advice = "student.quantise = 4bit, training.shard over several GPUs, " if self.device.type == "cuda" else ""
        return memory_plan(found, room, self.checkpointing, self.device.type, advice)

    def told(self, settings: TrainSettings, rows: int, tokens: int) -> tuple[str, str]:
        """The estimate for texts as long as the settings allow, in words, and what helps where memory may not suffice.

        Args:
            settings: of a training.
            rows: of a batch of answers.
            tokens: of a prompt with its answer.
        """
        width = settings.max_tokens
        largest = Passes(max(1, FORWARD_TOKENS // width), width, min(settings.batch_tokens, FORWARD_TOKENS))
        found = self.footprint(settings, largest, (rows, tokens))
        if found is None:
            return "cannot be estimated for this architecture", ""
        plan = self._plan(found, loaded=False)
        return f"{plan.told}; about {found.answering / GIB:.1f} GiB for answers", plan.warning
