"""What a model would have written where other texts stand: one forward pass over each, without generation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from nesycd.core.records import Targets
from nesycd.students.training import Encoded, predictions

TOKENS = 4096
"""Padded tokens of a batch whose completions are scored: their output layer's logits are held at once."""


def batches(texts: Sequence[Encoded], context: int) -> Iterator[list[int]]:
    """Indices of the texts that fit into the model's context, in batches of like length, the longest first."""
    batch: list[int] = []
    for index in sorted((i for i, text in enumerate(texts) if len(text) <= context), key=lambda i: -len(texts[i])):
        if batch and len(texts[batch[0]]) * (len(batch) + 1) > TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


@torch.inference_mode()
def likeliest(model: Any, texts: Sequence[Encoded], count: int, pad_id: int, context: int) -> list[Targets]:
    """See `ScoringStudent.likeliest`. `context`: most tokens of a text."""
    found: list[Targets] = [()] * len(texts)
    for batch in batches(texts, context):
        logits, written, rows = predictions(model, [texts[index] for index in batch], pad_id)
        logprobs = torch.log_softmax(logits, -1)
        top = logprobs.topk(count)
        stands = logprobs.gather(-1, written[:, None])[:, 0]
        places = zip(top.indices.tolist(), top.values.tolist(), written.tolist(), stands.tolist(), strict=True)
        made = [candidates(zip(ids, values, strict=True), token, value) for ids, values, token, value in places]
        for row, index in enumerate(batch):
            found[index] = tuple(one for one, of in zip(made, rows.tolist(), strict=True) if of == row)
    return found


def candidates(ranked: Iterable[tuple[int, float]], token: int, logprob: float) -> tuple[tuple[int, float], ...]:
    """The likeliest tokens at a place with their log-probabilities; `token`, which stands there, takes the last place if it has
    none."""
    found = [(int(one), round(value, 4)) for one, value in ranked]
    if all(one != token for one, _ in found):
        found[-1] = (token, round(logprob, 4))
    return tuple(found)
