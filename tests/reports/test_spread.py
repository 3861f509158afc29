"""Several runs together: the numbers, what one run lacks, and tables that fit."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from nesycd.reports import Evaluation, build_results, print_spread, spread_of_runs
from nesycd.reports.results import Results
from nesycd.reports.spread import spread


def results_of(evaluation: Evaluation, wrong: int = 0, without: str = "") -> Results:
    """The evaluation's results, with so many of nesycd's right test answers made wrong, and without a method."""
    attempts = {key: made for key, made in evaluation.attempts.items() if key[0] != without}
    made = list(attempts["nesycd", "test"])
    special = [at for at, one in enumerate(made) if one.correct and one.calls]
    for at in special[:wrong]:
        made[at] = made[at].model_copy(update={"correct": False})
    attempts["nesycd", "test"] = made
    return Results.model_validate(build_results(dataclasses.replace(evaluation, attempts=attempts)))


def test_mean_deviation_and_range() -> None:
    assert spread([0.2, None, 0.4]) == {
        "mean": pytest.approx(0.3),
        "sd": pytest.approx(0.02**0.5),
        "min": 0.2,
        "max": 0.4,
        "values": [0.2, None, 0.4],
    }
    assert spread([0.5])["sd"] is None
    assert spread([None])["mean"] is None


def test_figures_are_of_each_run_first(evaluation: Evaluation) -> None:
    summary = spread_of_runs({"a": results_of(evaluation), "b": results_of(evaluation, wrong=4)})
    # Of 20 special questions nesycd answers 12 and 8, std_cot 4, std_cot_kb 8 and nesycd_oracle 16.
    assert summary["runs"] == ["a", "b"]
    assert summary["methods"]["nesycd"]["test"]["special"]["values"] == [0.6, 0.4]
    assert summary["methods"]["nesycd"]["test"]["all"]["mean"] == pytest.approx((27 + 23) / 80)
    assert summary["methods"]["nesycd"]["test"]["special"]["sd"] == pytest.approx(0.02**0.5)
    assert summary["differences"]["nesycd - std_cot"]["test"]["special"]["mean"] == pytest.approx(0.3)
    assert summary["differences"]["nesycd - std_cot_kb"]["test"]["special"]["values"] == pytest.approx([0.2, 0.0])
    assert summary["gap_closed"]["test"]["special"]["values"] == pytest.approx([2 / 3, 1 / 3])
    assert "general" not in summary["gap_closed"]["test"]
    assert summary["retrieval"]["test"]["needed_fact_recall"]["mean"] == pytest.approx(0.9)
    assert list(summary["methods"]["nesycd"]) == ["test", "ood_unseen"]


@pytest.mark.parametrize("width", [120, 80, 60])
def test_tables_fit_and_hold_the_figures(evaluation: Evaluation, width: int) -> None:
    summary = spread_of_runs({"a": results_of(evaluation), "b": results_of(evaluation, wrong=4)})
    stream = io.StringIO()
    print_spread(summary, Console(file=stream, width=width, color_system=None))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert not re.search(r"…(?![+-]?\d)", text)
    for figure in ("50.0 ±14.1", "40.0–60.0", "+30.0 ±14.1", "+20.0…+40.0", "50.0 ±23.6", "unseen", "90.0 ±0.0"):
        assert figure in text
    assert "not known in all" not in text
    assert "runs: a, b" in text
    assert "left out" not in text


def test_a_terminal_too_narrow_for_all_kinds_keeps_all_together_and_says_what_it_leaves_out(
    evaluation: Evaluation,
) -> None:
    summary = spread_of_runs({"a": results_of(evaluation), "b": results_of(evaluation, wrong=4)})
    stream = io.StringIO()
    print_spread(summary, Console(file=stream, width=44, color_system=None))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 44
    assert not re.search(r"…(?![+-]?\d)", text)
    assert "left out, as the terminal is too narrow: special" in " ".join(text.split())
    assert re.search(r"^ nesycd +\d\d\.\d ±\d", text, re.M)


def test_what_one_run_lacks_is_marked(evaluation: Evaluation) -> None:
    summary = spread_of_runs({"a": results_of(evaluation), "b": results_of(evaluation, without="std_cot_kb")})
    assert summary["methods"]["std_cot_kb"]["test"]["special"]["values"] == [0.4, None]
    stream = io.StringIO()
    print_spread(summary, Console(file=stream, width=100, color_system=None))
    assert "40.0*" in stream.getvalue() and "* not known in all runs" in stream.getvalue()


def test_runs_with_nothing_to_compare_have_one_table(evaluation: Evaluation) -> None:
    attempts = {key: made for key, made in evaluation.attempts.items() if key[0] == "nesycd"}
    one = results_of(dataclasses.replace(evaluation, attempts=attempts, recall={}))
    stream = io.StringIO()
    print_spread(spread_of_runs({"a": one, "b": one}), Console(file=stream, width=100, color_system=None))
    assert "differences" not in stream.getvalue() and "recall" not in stream.getvalue()
