"""Answers that come and go at any step are what each would be alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.calls import Sums  # noqa: E402
from nesycd.core.protocols import Decoding, Generation, Prompt  # noqa: E402
from nesycd.students.continuous import ContinuousBatch, can_join  # noqa: E402
from nesycd.students.generation import GROWTH, Row, greedy  # noqa: E402


class Told:
    """Supplies two tokens after the third one."""

    def __init__(self) -> None:
        self.trace: list[Any] = []

    def __call__(self, ids: list[int]) -> list[int]:
        return [7, 8] if len(ids) == 3 else []

    def is_calling(self, ids: list[int]) -> bool:
        return False

    def pick(self, ids: list[int], first: int, ranked: object, supplied: bool) -> int:
        return first


@pytest.mark.parametrize("seed", range(6))
def test_answers_that_come_and_go_are_those_of_each_alone(model: Any, seed: int) -> None:
    rng = random.Random(seed)
    options: dict[str, Any] = {"eos_ids": frozenset({0, 1, 2}), "pad_id": 0}
    batch = ContinuousBatch(model, **options)
    asked: list[tuple[list[int], Row, int]] = []
    dropped: list[Row] = []
    for step in range(150):
        if rng.random() < 0.25 and step < 110:
            # Now and then one that is longer than all others: they move to make room.
            sizes = [rng.choice((3, 9, 30, 90)) for _ in range(rng.randint(1, 4))]
            prompts = [[rng.randrange(3, 64) for _ in range(size)] for size in sizes]
            rows = [Row(rng.choice((None, Told())), limit=rng.choice((1, 5, 40))) for _ in sizes]
            batch.add(prompts, rows)
            asked += [(prompt, row, row.limit) for prompt, row in zip(prompts, rows, strict=True)]
        if asked and rng.random() < 0.2 and not (row := rng.choice(asked)[1]).done:
            row.done = True
            dropped.append(row)
        batch.step()
    assert len(asked) > 30 and dropped and all(row.done for _, row, _ in asked)
    assert {row.finish for _, row, _ in asked} == {"stop", "length"}
    for prompt, row, limit in asked:
        supplies = [None if row.supply is None else Told()]
        [alone] = greedy(model, [prompt], supplies=supplies, max_new_tokens=limit, **options)
        if row in dropped:
            assert row.ids == alone.ids[: len(row.ids)]
        else:
            assert (row.ids, row.supplied, row.finish) == (alone.ids, alone.supplied, alone.finish)
            assert row.margins == pytest.approx(alone.margins, abs=1e-5)


def test_its_cache_does_not_grow_while_answers_come_and_go(model: Any) -> None:
    batch = ContinuousBatch(model, eos_ids=frozenset(), pad_id=0)
    going: list[Row] = []
    sizes = []
    for step in range(600):
        going = [row for row in going if not row.done]
        if step % 5 == 0:
            row = Row(None, limit=30)
            batch.add([[5 + step % 50] * 20], [row])
            going.append(row)
        batch.step()
        sizes.append(batch._mask.shape)
    # Six at once; a row needs 50 positions.
    assert max(rows for rows, _ in sizes) <= 12
    assert max(length for _, length in sizes) <= 50 + GROWTH + 50 // 4 + 1
    for _ in range(30):
        batch.step()
    assert batch._mask.numel() == 0


def test_only_models_with_plain_caches_can_be_joined(model: Any) -> None:
    from transformers import MistralConfig

    assert can_join(model.config)
    assert not can_join(MistralConfig(sliding_window=16, num_hidden_layers=2))


def test_a_session_answers_as_batches_do_and_tells_texts_that_grow(tiny_student: Callable[..., Path]) -> None:
    from nesycd.students.local import LocalStudent

    student = LocalStudent(str(tiny_student()), device="cpu")
    prompts = [Prompt(str(number), "What is 7 x 11 = " * number, Sums()) for number in range(1, 7)]
    decoding = Decoding(20)
    wanted = {prompt.key: student.generate([prompt], adapter=None, decoding=decoding)[0] for prompt in prompts}
    session = student.session(None)
    told: dict[str, list[str | Generation]] = {}
    waiting = [*prompts, Prompt("long", "What is it? " * 2000), Prompt("dropped", "What?")]
    for step in range(60):
        if step % 3 == 0 and waiting:
            session.begin([waiting[0]], [decoding])
            if waiting.pop(0).key == "dropped":
                session.drop("dropped")
        for key, made in session.step().items():
            told.setdefault(key, []).append(made)
    assert told.pop("long") == [
        student.generate([Prompt("long", "What is it? " * 2000)], adapter=None, decoding=decoding)[0]
    ]
    assert told.keys() == wanted.keys(), "nothing is said of the dropped one"
    for key, made in told.items():
        *texts, last = made
        assert isinstance(last, Generation)
        assert (last.text, last.finish, last.trace) == (wanted[key].text, wanted[key].finish, wanted[key].trace)
        assert last.margin == pytest.approx(wanted[key].margin, abs=1e-4)
        grown = [text for text in texts if isinstance(text, str)]
        assert len(grown) == len(texts) and all(later.startswith(text) for text, later in pairwise(grown))
        assert last.text.startswith(grown[-1])


def test_a_model_that_cannot_be_joined_answers_in_whole_batches(
    tiny_student: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from nesycd.students import local
    from nesycd.students.local import LocalStudent
    from nesycd.students.sessions import WholeSession

    student = LocalStudent(str(tiny_student()), device="cpu")
    monkeypatch.setattr(local, "can_join", lambda config: False)
    session = student.session(None)
    assert isinstance(session, WholeSession)
    prompts = [Prompt(str(number), f"What is {number}?") for number in range(3)]
    session.begin(prompts, [Decoding(5), Decoding(5), Decoding(8)])
    session.drop("1")
    made = session.step()
    assert made == {
        prompt.key: student.generate([prompt], adapter=None, decoding=Decoding(limit))[0]
        for prompt, limit in ((prompts[0], 5), (prompts[2], 8))
    }
    assert session.step() == {}
