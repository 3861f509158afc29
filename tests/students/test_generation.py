"""Greedy decoding on a tiny random model: prompts read in parts, repetition ended."""

from __future__ import annotations

import random
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.students import generation  # noqa: E402
from nesycd.students.generation import greedy  # noqa: E402
from nesycd.students.repetition import LEAST, is_repetitive  # noqa: E402

OPTIONS: dict[str, Any] = {"eos_ids": frozenset({0}), "pad_id": 0, "max_new_tokens": 24}


@pytest.mark.parametrize("shared", [0, 140])
def test_prompts_read_in_parts_are_continued_alike(model: Any, monkeypatch: pytest.MonkeyPatch, shared: int) -> None:
    rng = random.Random(1)
    start = [rng.randrange(1, 64) for _ in range(shared)]
    prompts = [start + [rng.randrange(1, 64) for _ in range(rng.randint(3, 30))] for _ in range(11)]
    made, read = [], []
    usual = generation.read_next
    monkeypatch.setattr(generation, "read_next", lambda m, ids, *rest: read.append(ids.shape) or usual(m, ids, *rest))
    for at_once in (100_000, 90, 1):
        monkeypatch.setattr(generation, "READ_AT_ONCE", at_once)
        read.clear()
        made.append(greedy(model, prompts, **OPTIONS))
        widths = [shape for shape in read if shape[1] > 1]
        assert len(widths) == {100_000: 1, 90: 4, 1: 11}[at_once], "the parts of the prompts"
    whole, *others = made
    for rows in others:
        assert [row.ids for row in rows] == [row.ids for row in whole]
        for one, other in zip(rows, whole, strict=True):
            assert one.margins == pytest.approx(other.margins, abs=1e-5) and one.finish == other.finish


def test_a_row_that_repeats_itself_is_cut_off_and_others_go_on(model: Any) -> None:
    rng = random.Random(2)
    prompts = [[rng.randrange(1, 64) for _ in range(12)] for _ in range(8)]
    options = {**OPTIONS, "eos_ids": frozenset(), "max_new_tokens": 320}
    free, ended = greedy(model, prompts, **options), greedy(model, prompts, repetitive=is_repetitive, **options)
    short = [len(row.ids) for row in ended if len(row.ids) < 320]
    assert short and min(short) >= LEAST, "a random model soon says the same over and over"
    for one, whole in zip(ended, free, strict=True):
        assert one.ids == whole.ids[: len(one.ids)] and one.finish == "length"
        assert (len(one.ids) < 320) == is_repetitive(one.ids)


def test_progress_is_told_after_each_token_and_changes_nothing(model: Any) -> None:
    prompts = [[1 + (row * 7 + place) % 63 for place in range(9)] for row in range(3)]
    options = {**OPTIONS, "eos_ids": frozenset()}
    seen: list[tuple[int, int]] = []
    told = generation.greedy_with_workers(model, prompts, progress=lambda *at: seen.append(at), **options)
    assert seen == [(token, 24) for token in range(1, 25)]
    assert [row.ids for row in told] == [row.ids for row in greedy(model, prompts, **options)]


def test_of_several_workers_one_tells_for_all(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "WORKER_ROWS", 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    seen: list[tuple[int, int]] = []
    prompts = [[1 + (row * 7 + place) % 63 for place in range(9)] for row in range(4)]
    options = {**OPTIONS, "eos_ids": frozenset(), "max_new_tokens": 5}
    generation.greedy_with_workers(model, prompts, progress=lambda *at: seen.append(at), **options)
    assert seen == [(token, 5) for token in range(1, 6)]


def test_samples_follow_the_distribution_and_do_not_depend_on_the_batch(model: Any) -> None:
    prompts = [[1 + (row * 7 + place) % 63 for place in range(9)] for row in range(5)]
    options = {**OPTIONS, "eos_ids": frozenset()}

    def sampled(rows: list[list[int]], seeds: list[int], temperature: float = 1.0) -> list[list[int]]:
        drawn = [generation.Sampling(temperature, random.Random(seed).random) for seed in seeds]
        return [row.ids for row in greedy(model, rows, samplings=drawn, **options)]

    whole = sampled(prompts, [0, 1, 2, 3, 4])
    assert whole == sampled(prompts, [0, 1, 2, 3, 4]) != sampled(prompts, [5, 6, 7, 8, 9])
    assert [whole[2]] == sampled([prompts[2]], [2]), "alone as beside others"
    plain = [row.ids for row in greedy(model, prompts, **options)]
    assert sampled(prompts, [0, 1, 2, 3, 4], temperature=1e-4) == plain != whole
    mixed = greedy(model, prompts[:2], samplings=[None, generation.Sampling(1.0, random.Random(1).random)], **options)
    assert [row.ids for row in mixed] == [plain[0], whole[1]]


def test_the_share_of_each_token_is_its_probability() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(4000, 4)
    rng = random.Random(0)
    rows = [generation.Row(None, sampling=generation.Sampling(0.7, rng.random)) for _ in range(4000)]
    chosen = [0] * 4000
    generation._sample(rows, chosen, logits)
    shares = torch.bincount(torch.tensor(chosen), minlength=4) / 4000
    torch.testing.assert_close(shares, torch.softmax(logits[0] / 0.7, -1), atol=0.03, rtol=0)
