"""`results.json`: the numbers, the contract and what breaks it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from nesycd.core.answers import Attempt
from nesycd.core.errors import DataError, RunError
from nesycd.reports import Evaluation, build_results, load_results
from nesycd.reports.build import frequency_bucket
from nesycd.reports.results import MethodScore, Results

DOCUMENT = Path(__file__).parents[2] / "docs" / "results.md"


def test_the_numbers(evaluation: Evaluation) -> None:
    results = build_results(evaluation)
    score = results["methods"]["nesycd"]["test"]
    # 20 special questions of which 3 in 5 are right, 20 general ones of which 3 in 4 are.
    assert (score["n"], score["correct"], score["accuracy"]) == (40, 27, 27 / 40)
    assert score["by_task"] == {
        "navigate": {"n": 20, "accuracy": 0.75, "routed": 0.0},
        "units": {"n": 20, "accuracy": 0.6, "routed": 1.0},
    }
    assert score["by_kind"]["special"]["correct"] == 12
    reading = results["methods"]["nesycd_context"]["test"]
    assert reading["by_task"]["units"] == {"n": 20, "accuracy": 0.6, "routed": 1.0}
    assert [(one["routed"], one["delivered"]) for one in (score, reading)] == [(0.5, 0.0), (0.5, 0.5)]
    counts = [
        (
            one["prompt_tokens"],
            one["completion_tokens"],
            one["knowledge_tokens"],
            one["look_ups"],
            one["look_ups_found"],
        )
        for one in (score, reading, results["methods"]["nesycd_no_kb"]["test"])
    ]
    # Each special question makes two look-ups, of which one finds nothing; sums are none.
    assert counts == [(800, 400, 0, 40, 20), (1000, 400, 200, 0, 0), (800, 400, 0, 20, 0)]
    assert score["seconds"] == 20.0
    assert {bucket: part["n"] for bucket, part in score["by_frequency"].items()} == {"0": 7, "2": 7, "4-7": 6}
    assert results["tasks"] == {"navigate": {"kind": "general"}, "units": {"kind": "special"}}
    assert results["retrieval"]["test"] == {
        "needed_fact_recall": 0.9, "answer_in_context": None, "answer_not_in_context": {},
    }  # fmt: skip
    base = {"items": 2, "by_kind": {"fact": 1, "lesson": 1}, "by_status": {"approved": 2}}
    assert results["knowledge"] == {**base, "trained_with": None, "used": {}}
    assert results["total_seconds"] == 15.5
    assert list(results["methods"]["nesycd"]) == ["test", "ood_unseen"]


def test_differences_are_by_kind(evaluation: Evaluation) -> None:
    results = build_results(evaluation)
    gain = results["differences"]["test"]["nesycd - std_cot"]
    assert gain["special"]["value"] == pytest.approx(0.4)
    assert gain["special"]["low"] > 0
    assert (gain["general"]["value"], gain["general"]["interval"]) == (0.0, "agresti-min")
    assert gain["all"]["value"] == pytest.approx(0.2)
    # (12 - 4) / (16 - 4)
    assert results["gap_closed"]["test"]["special"]["value"] == pytest.approx(2 / 3)
    assert results["gap_closed"]["test"]["general"]["value"] is None
    assert set(results["gain_by_frequency"]["test"]) == {"0", "2", "4-7"}
    assert "nesycd_routed - std_cot" not in results["differences"]["test"]


def test_what_the_steps_did_is_kept_and_may_be_missing(evaluation: Evaluation, tmp_path: Path) -> None:
    assert build_results(evaluation)["method"] == evaluation.method
    older = build_results(dataclasses.replace(evaluation, method=None))
    del older["method"]
    (tmp_path / "results.json").write_text(json.dumps(older))
    assert load_results(tmp_path / "results.json").method is None


def test_only_shared_questions_are_compared(evaluation: Evaluation) -> None:
    attempts = dict(evaluation.attempts)
    attempts["std_cot", "test"] = attempts["std_cot", "test"][:10]
    results = build_results(dataclasses.replace(evaluation, attempts=attempts))
    assert results["differences"]["test"]["nesycd - std_cot"]["all"]["n"] == 10


def test_an_empty_split_has_no_accuracy(evaluation: Evaluation) -> None:
    results = build_results(dataclasses.replace(evaluation, attempts={("nesycd", "test"): []}))
    score = results["methods"]["nesycd"]["test"]
    assert (score["n"], score["accuracy"], score["low"], score["interval"]) == (0, None, None, "none")


def test_strange_and_doubled_attempts_are_refused(evaluation: Evaluation) -> None:
    stranger = Attempt(example="nobody", solver="nesycd", response="")
    first = evaluation.attempts["nesycd", "test"][0]
    for attempts, message in (
        ([stranger], "'nobody', which is not among"),
        ([first, first], "two attempts at 'test-0'"),
    ):
        with pytest.raises(DataError, match=message):
            build_results(dataclasses.replace(evaluation, attempts={("nesycd", "test"): attempts}))


@pytest.mark.parametrize(
    ("count", "bucket"),
    [(0, "0"), (3, "3"), (4, "4-7"), (7, "4-7"), (8, "8-15"), (15, "8-15"), (16, "16+"), (99, "16+")],
)
def test_frequency_buckets(count: int, bucket: str) -> None:
    assert frequency_bucket(count) == bucket


def test_written_and_read_back(evaluation: Evaluation, tmp_path: Path) -> None:
    results = build_results(evaluation)
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert load_results(tmp_path / "results.json").to_json() == results


def _break(results: dict[str, Any], keys: tuple[str, ...], value: Any) -> None:
    for key in keys[:-1]:
        results = results[key]
    results[keys[-1]] = value


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("schema",), "results/9", "schema"),
        (("methods", "nesycd", "test", "accuracy"), 67.5, r"methods\.nesycd\.test\.accuracy"),
        (("methods", "nesycd", "test", "by_task", "units", "accuracy"), float("nan"), r"by_task\.units\.accuracy"),
        (("methods", "nesycd", "test", "n"), -1, r"methods\.nesycd\.test\.n"),
        (("surprise",), 1, "surprise"),
        (("method", "mix", "aside"), 1, r"method\.mix\.aside"),
        (("method", "error_rates", "collected"), 62.5, r"method\.error_rates\.collected"),
    ],
)
def test_what_breaks_the_contract_is_named(
    evaluation: Evaluation, tmp_path: Path, keys: tuple[str, ...], value: Any, message: str
) -> None:
    results = build_results(evaluation)
    _break(results, keys, value)
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(RunError, match=message):
        load_results(tmp_path / "results.json")


def test_missing_and_torn_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"results\.json: cannot be read: No such file"):
        load_results(tmp_path / "results.json")
    (tmp_path / "results.json").write_text('{"schema": "resu')
    with pytest.raises(RunError, match=r"results\.json: not JSON"):
        load_results(tmp_path / "results.json")


def test_the_document_names_every_key() -> None:
    written = set(re.findall(r"`([a-z_]+)`", DOCUMENT.read_text(encoding="utf-8")))
    for model in _models(Results):
        for name, field in model.model_fields.items():
            assert (field.alias or name) in written, f"{DOCUMENT.name} does not name {model.__name__}.{name}"
    assert "by_kind" in MethodScore.model_fields


def _models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found = {model}
    for field in model.model_fields.values():
        found |= {one for part in _parts(field.annotation) for one in _models(part)}
    return found


def _parts(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for argument in get_args(annotation) for part in _parts(argument)]


def test_accuracy_is_told_where_the_block_does_not_hold_the_answer(evaluation: Evaluation) -> None:
    attempts = evaluation.attempts["nesycd_context", "test"]
    holds = {attempt.example: number % 4 == 0 for number, attempt in enumerate(attempts)}
    found = build_results(dataclasses.replace(evaluation, answer_in_context={"test": holds}))["retrieval"]["test"]
    others = [attempt.correct for attempt in attempts if not holds[attempt.example]]
    assert found["answer_in_context"] == sum(holds.values()) / len(holds)
    assert set(found["answer_not_in_context"]) == {"std_cot_kb", "nesycd_context"}
    assert found["answer_not_in_context"]["nesycd_context"]["n"] == len(others)
    assert found["answer_not_in_context"]["nesycd_context"]["correct"] == sum(others)
    # Where it was trained without look-ups, nesycd reads facts too; nesycd_no_kb never does.
    again = dataclasses.replace(
        evaluation, answer_in_context={"test": holds}, method={**(evaluation.method or {}), "calls": None}
    )
    found = build_results(again)["retrieval"]["test"]["answer_not_in_context"]
    assert set(found) == {"std_cot_kb", "nesycd", "nesycd_context"}


def test_known_questions_are_those_that_std_cot_answers(evaluation: Evaluation, tmp_path: Path) -> None:
    found = build_results(evaluation)["known_unknown"]
    assert set(found) == {"test", "ood_unseen"} and set(found["test"]) == {"known", "unknown"}
    known, unknown = found["test"]["known"], found["test"]["unknown"]
    # Of methods with the same knowledge the first one of the table stands: nesycd, not nesycd_context.
    assert list(known) == ["std_cot", "std_cot_kb", "nesycd_no_kb", "nesycd", "nesycd_oracle"]
    right = {one.example for one in evaluation.attempts["std_cot", "test"] if one.correct}
    for arm in known:
        both = evaluation.attempts[arm, "test"]
        assert known[arm]["n"] == len(right) and unknown[arm]["n"] == 40 - len(right)
        assert known[arm]["correct"] == sum(one.correct for one in both if one.example in right)
        assert unknown[arm]["correct"] == sum(one.correct for one in both if one.example not in right)
    assert (known["std_cot"]["accuracy"], unknown["std_cot"]["accuracy"]) == (1.0, 0.0)
    # Of the 16 special questions that std_cot gets wrong nesycd answers 8.
    special = unknown["nesycd"]["by_kind"]["special"]
    assert (special["n"], special["correct"]) == (16, 8)
    attempts = {key: made for key, made in evaluation.attempts.items() if key[0] != "std_cot"}
    assert build_results(dataclasses.replace(evaluation, attempts=attempts))["known_unknown"] == {}
    older = build_results(evaluation)
    del older["known_unknown"]
    (tmp_path / "results.json").write_text(json.dumps(older))
    assert load_results(tmp_path / "results.json").known_unknown == {}
