"""Greedy decoding of answers that come and go at any step (continuous batching), for serving.

All rows of the cache end at one common position, each after as many unused positions as it is shorter than the longest. So a new
answer takes the place of a finished one without moving the others; room is made anew only where none is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from nesycd.students.generation import GROWTH, RoomyLayer, Row, decide, read, read_next, roomy_cache


def can_join(config: Any) -> bool:
    """Whether a model's cache has plain layers only: others (sliding windows, states) cannot take rows in at any step."""
    return all(type(layer) is RoomyLayer for layer in roomy_cache(config).layers)


class ContinuousBatch:
    """The unfinished answers of one model; used by one thread at a time.

    Args:
        model: a causal LM of transformers for which `can_join`.
        eos_ids, pad_id, repetitive: see `greedy`.
    """

    def __init__(
        self, model: Any, *, eos_ids: frozenset[int], pad_id: int, repetitive: Callable[[list[int]], bool] | None = None
    ) -> None:
        self._model, self._eos_ids, self._pad_id, self._repetitive = model, eos_ids, pad_id, repetitive
        self._rows: list[Row] = []
        self._cache = DynamicCache(config=model.config)
        self._mask = torch.empty(0, 0)
        self._ids: list[int] = []
        """The token of each row that is read next."""

    @torch.inference_mode()
    def add(self, prompts: Sequence[list[int]], rows: Sequence[Row]) -> None:
        """Read prompts and choose the first token of each row; in a free place, or in a new one."""
        device, width = self._model.device, max(map(len, prompts))
        padding = [width - len(prompt) for prompt in prompts]
        ids = [[self._pad_id] * pad + prompt for pad, prompt in zip(padding, prompts, strict=True)]
        mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in padding], device=device)
        cache = roomy_cache(self._model.config)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = read(self._model, torch.tensor(ids, device=device), mask, positions, cache)
        chosen, _ = decide([*rows], logits, self._eos_ids, self._repetitive)
        self._place(cache, mask, rows, chosen)

    @torch.inference_mode()
    def step(self) -> None:
        """One more token for each row that is not done."""
        self._tidy()
        if not self._rows:
            return
        ids = torch.tensor(self._ids, device=self._model.device)[:, None]
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._rows), 1)], 1)
        positions = self._mask.sum(1, keepdim=True) - 1
        logits = read_next(self._model, ids, self._mask, positions, self._cache)
        self._ids, _ = decide(self._rows, logits, self._eos_ids, self._repetitive)

    def _place(self, cache: DynamicCache, mask: torch.Tensor, rows: Sequence[Row], chosen: Sequence[int]) -> None:
        """Take in rows that were read in a cache of their own."""
        if not any(not row.done for row in self._rows):
            self._rows, self._ids, self._cache, self._mask = [*rows], [*chosen], cache, mask
            return
        free = [place for place, row in enumerate(self._rows) if row.done][: len(rows)]
        length, width = self._mask.shape[1], mask.shape[1]
        if len(free) < len(rows) or width > length:
            self._fit(range(len(self._rows)), len(rows) - len(free), max(length, width))
            length = max(length, width)
        places = [*free, *range(len(self._rows), len(self._mask))]
        index = torch.tensor(places, device=mask.device)
        self._mask[index] = 0
        self._mask[index, length - width :] = mask
        for layer, part in zip(self._cache.layers, cache.layers, strict=True):
            for buffer, new in zip(layer.buffers, part.buffers, strict=True):
                buffer[index, :, length - width : length] = new[:, :, :width]
        for place, row, token in zip(places, rows, chosen, strict=True):
            if place == len(self._rows):
                self._rows.append(row)
                self._ids.append(token)
            else:
                self._rows[place], self._ids[place] = row, token

    def _tidy(self) -> None:
        """Drop finished rows where they are the half, and positions that no row needs any more where they are many."""
        going = [place for place, row in enumerate(self._rows) if not row.done]
        if not going:
            self._rows, self._ids = [], []
            self._cache, self._mask = DynamicCache(config=self._model.config), self._mask[:0, :0]
            return
        length, needed = self._mask.shape[1], int(self._mask[going].sum(1).max())
        if 2 * len(going) <= len(self._rows):
            self._fit(going, 0, needed)
        elif length - needed > GROWTH + needed // 4:
            self._fit(range(len(self._rows)), 0, needed)

    def _fit(self, places: Sequence[int], more: int, length: int) -> None:
        """Keep the rows at some places, with `more` empty ones after them, at so many positions, counted from the end."""
        index = torch.tensor([*places], device=self._mask.device)
        old, kept = self._mask.shape[1], min(length, self._mask.shape[1])
        mask = self._mask.new_zeros(len(index) + more, length)
        mask[: len(index), length - kept :] = self._mask[index, old - kept :]
        for layer in self._cache.layers:
            buffers = []
            for buffer in layer.buffers:
                shape = (len(mask), buffer.shape[1], length + GROWTH, buffer.shape[3])
                made = buffer.new_zeros(shape)
                made[: len(index), :, length - kept : length] = buffer[index, :, old - kept : old]
                buffers.append(made)
            layer.buffers, layer.length = buffers, length
            layer.keys, layer.values = (buffer[:, :, :length] for buffer in buffers)
        self._mask = mask
        self._rows = [self._rows[place] for place in places]
        self._ids = [self._ids[place] for place in places]
