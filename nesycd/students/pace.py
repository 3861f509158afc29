"""How fast a model trains and answers on this machine, by some steps on made-up texts."""

from __future__ import annotations

import random
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nesycd.core.protocols import TrainSettings
from nesycd.students.generation import greedy_with_workers
from nesycd.students.training import Encoded, fine_tune

STEPS = 6
"""Training steps; the first one is not timed."""
ROWS, TOKENS = 48, 10
"""Answers that are begun, and how many tokens of each are written."""


def training_pace(model: Any, settings: TrainSettings, question: int, written: int, pad_id: int) -> float:
    """Tokens a second of a training with these settings, prompts counted; the work of frozen layers is spread over its passes.

    Args:
        model: a causal LM with adapters; they are trained a little.
        settings: of the training.
        question: tokens of a prompt.
        written: tokens of a completion.
        pad_id: filler for shorter rows.
    """
    count = max(1, settings.batch_tokens // max(1, written)) * STEPS
    made = zip(_ids(model, count, question), _ids(model, count, written), strict=True)
    texts = [Encoded(prompt, completion, 1.0) for prompt, completion in made]
    times: list[float] = []

    def watch(state: dict[str, Any]) -> None:
        if "loss" in state:
            times.append(time.monotonic())

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        once = replace(settings, epochs=1.0, completion_token_budget=None, checkpoint_seconds=3600.0)
        fine_tune(model, texts, once, Path(folder), seed=0, pad_id=pad_id, progress=watch)
    step = (times[-1] - times[0]) / max(1, len(times) - 1) if len(times) > 1 else times[0] - started
    before = max(0.0, times[0] - started - step)
    tokens = sum(map(len, texts))
    return tokens / (step * len(times) + before / max(1.0, settings.epochs))


def answering_pace(model: Any, rows: int, question: int, written: int, pad_id: int) -> float:
    """Tokens of answers a second, in batches of `rows` answers with `written` tokens each.

    Args:
        model: a causal LM that is ready to generate.
        rows: of a batch.
        question: tokens of a prompt.
        written: tokens of an answer.
        pad_id: filler for shorter rows.
    """
    times: list[float] = []
    started = time.monotonic()
    made = greedy_with_workers(
        model,
        _ids(model, min(rows, ROWS), question),
        eos_ids=frozenset(),
        pad_id=pad_id,
        max_new_tokens=TOKENS,
        progress=lambda done, limit: times.append(time.monotonic()),
    )
    reading, each = times[0] - started, (times[-1] - times[0]) / max(1, len(times) - 1)
    return len(made) * written / (reading + each * written)


def _ids(model: Any, count: int, length: int) -> list[list[int]]:
    """Made-up texts; none is like another from its beginning on."""
    rng, tokens = random.Random(0), model.get_input_embeddings().num_embeddings
    return [[rng.randrange(tokens) for _ in range(max(1, length))] for _ in range(count)]
