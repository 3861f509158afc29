"""The terminal table: it fits, it tells the numbers, and it marks what says little."""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from nesycd.reports import Evaluation, build_results, print_results
from nesycd.reports.results import Results


def printed(evaluation: Evaluation, width: int = 100) -> str:
    stream = io.StringIO()
    results = Results.model_validate(build_results(evaluation))
    print_results(results, Console(file=stream, width=width, color_system=None))
    return stream.getvalue()


def test_it_fits_a_hundred_columns_uncut(evaluation: Evaluation) -> None:
    lines = printed(evaluation).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100
    # Rich marks a cut cell with an ellipsis; between numbers it is ours.
    assert not re.search(r"…(?![+-]?\d)", "\n".join(lines))
    # Tokens, and how often knowledge to read was asked for: who looks facts up is asked shorter prompts.
    for name, last in (("nesycd", ["30", "50"]), ("nesycd_context", ["35", "50"])):
        (row,) = [line for line in lines if line.startswith(f" {name} ") and " - " not in line]
        assert row.split()[:2] == [name, "60.0"]
        assert row.split()[-2:] == last


def test_the_whole_contract_fits_too(evaluation: Evaluation) -> None:
    text = printed(whole(evaluation))
    for word in ("nesycd_routed - std_cot", "composed", "unseen", "imported", "tokens", "routed"):
        assert word in text
    assert not re.search(r"…(?![+-]?\d)", text)


def whole(evaluation: Evaluation) -> Evaluation:
    """All methods on all splits that the contract names."""
    splits = ("test", "ood_composed", "ood_unseen", "ood_unseen_imported")
    attempts = {
        (arm, split): made for (arm, name), made in evaluation.attempts.items() for split in splits if name == "test"
    }
    for split in splits:
        attempts["nesycd_routed", split] = attempts["nesycd_context", split]
    return dataclasses.replace(evaluation, attempts=attempts)


@pytest.mark.parametrize(
    ("width", "intervals", "splits"),
    [(120, "beside", True), (100, "beside", True), (80, "below", True), (60, "below", False), (52, "none", False)],
)
def test_a_narrow_terminal_cuts_nothing_and_says_what_it_leaves_out(
    evaluation: Evaluation, width: int, intervals: str, splits: bool
) -> None:
    text = printed(whole(evaluation), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    assert not re.search(r"…(?![+-]?\d)", text)
    (at,) = [at for at, line in enumerate(lines) if line.startswith(" nesycd ") and " - " not in line]
    row = lines[at].split()
    assert row[1] == ("60.0" if intervals == "beside" else "60.0*")
    assert row[-2:] == ["30", "50"]
    assert bool(re.match(r" +\(\d+–\d+\)", lines[at + 1])) == (intervals == "below")
    assert bool(re.search(r"60\.0 \(", lines[at])) == (intervals == "beside")
    assert ("composed" in lines[2]) == splits
    assert ("too narrow for intervals" in text) == (intervals == "none")
    assert ("other splits than" in " ".join(text.split())) == (not splits)


def test_few_questions_are_marked(evaluation: Evaluation) -> None:
    text = printed(evaluation)
    assert "* fewer than 30 questions" in text
    # 20 special questions are few, 40 in all are not.
    (row,) = [line for line in text.splitlines() if line.startswith(" nesycd ") and " - " not in line]
    assert row.split()[2].endswith("*") and not row.split()[6].endswith("*")


def test_data_without_kinds_has_one_column(evaluation: Evaluation) -> None:
    text = printed(dataclasses.replace(evaluation, kinds={}))
    assert "special" not in text
    assert "n=40" in text


def test_names_are_not_read_as_markup(evaluation: Evaluation) -> None:
    attempts = {("[red]arm[/red]", "test"): evaluation.attempts["nesycd", "test"]}
    assert "[red]arm[/red]" in printed(dataclasses.replace(evaluation, attempts=attempts))


def test_what_else_is_told(evaluation: Evaluation) -> None:
    text = printed(evaluation, 120)
    for line in (
        "rationales: 300 asked, 290 kept, 8 wrong, 2 failed, 12 hinted",
        "leak filter: 3 of 120 proposed items refused, 7 more by other filters, 0.0 % of 90 approved items leak",
        "S_P's errors: 62.5 % out of fold, 60.0 % on valid",
        "recall of needed facts: training prompts 98.2 %, test 90.0 %",
        "training mix of S_E: 1,812 augmented, 204 direct, 91 answer",
        "look-ups in rationales: 410 places in 210 of 290 rationales; left as they are: 4 name, 2 relation, 1 replay",
        "completion tokens: std_cot 123,456, nesycd 123,400",
        "knowledge base: 2 items (1 fact, 1 lesson, 2 approved)",
        "router: mode margin, threshold 0.700, closed_book general, score 0.720 on 150 valid drafts",
        "seconds: 16 in all (general 12, eval-test-nesycd 3.0)",
    ):
        assert line in text


def test_a_run_without_the_methods_steps_and_one_that_routed(evaluation: Evaluation) -> None:
    attempts = {**evaluation.attempts, ("nesycd_routed", "test"): evaluation.attempts["nesycd_context", "test"]}
    text = printed(dataclasses.replace(evaluation, attempts=attempts, method=None, recall={}), 160)
    assert "closed_book general, routed 100 % of special, 0 % of general" in text
    assert "rationales" not in text and "recall" not in text
    data = {**(evaluation.method or {}), "error_rates": {"collection": "in_sample", "collected": 0.1, "valid": None}}
    assert "S_P's errors: 10.0 % in-sample\n" in re.sub(
        " +\n", "\n", printed(dataclasses.replace(evaluation, method=data))
    )


@pytest.mark.parametrize("width", [80, 60, 44])
def test_a_long_name_goes_on_in_a_next_line_before_a_number_is_cut(evaluation: Evaluation, width: int) -> None:
    long = "a_method_that_somebody_registered_under_a_name_of_fifty_five"
    attempts = {
        (long if arm == "std_cot_kb" else arm, split): made for (arm, split), made in evaluation.attempts.items()
    }
    text = printed(dataclasses.replace(evaluation, attempts=attempts), width)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width and not re.search(r"…(?![+-]?\d)", text)
    table = text.partition("Paired differences")[0]
    assert long in "".join(line.split()[0] for line in table.splitlines() if line.startswith(" ") and line.split())
    # Of 40 questions nesycd answers 27 rightly.
    assert re.search(r"^ nesycd .*67\.5.* 50 *$", table, re.M)
    assert "kinds of questions" in " ".join(text.split())
