"""Progress: the step, the stage, a batch within it, time and money; a line a minute where there is no terminal."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nesycd.api.progress import STEPS, StageProgress, step_of
from nesycd.cli.main import STEPS as COMMANDS
from nesycd.cli.main import app


def lines(error: str) -> list[str]:
    """What was told, with times as `T`."""
    return [re.sub(r"\d+ min \d\d s", "T", line) for line in error.splitlines()]


def log() -> Console:
    return Console(file=io.StringIO(), width=80)


def test_the_steps_are_those_of_the_commands() -> None:
    assert [*COMMANDS] == [*STEPS]


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        ("rationales", "rationalise"),
        ("general", "distil"),
        ("fold-1", "collect"),
        ("collect-fold-1", "collect"),
        ("diagnoses", "diagnose"),
        ("self-check-fold-1", "diagnose"),
        ("augmented", "augment"),
        ("std-cot", "evaluate"),
        ("eval-test-nesycd", "evaluate"),
        ("effect-valid", ""),
    ],
)
def test_a_stage_is_told_as_part_of_its_step(stage: str, step: str) -> None:
    assert step_of(stage) == step


def test_without_a_terminal_step_and_stage_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    console = log()
    with StageProgress(console) as progress:
        for done in range(1, 1001):
            progress.watch("collect-fold-0", done, 1000)
        progress.training("fold-1", {"step": 1, "steps": 9, "loss": 0.5, "tokens_per_second": 80.0})
        progress.watch("diagnoses", 1, 7)
        progress.notify("diagnoses: going on")
    assert lines(capsys.readouterr().err) == [
        "step 3 of 6: collect (T so far)",
        "collect-fold-0 (1000)",
        "fold-1 (9)",
        "step 4 of 6: diagnose (T so far)",
        "diagnoses (7)",
    ]
    assert console.file.getvalue() == "diagnoses: going on\n"  # type: ignore[attr-defined]


def test_a_line_a_minute_says_how_far_a_batch_is_and_what_was_paid(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress(log(), lambda: 0.0421, every=0.05) as progress:
        progress.watch("collect-fold-0", 128, 512)
        progress.writing("collect-fold-0", 512, 64, 37, 200)
        time.sleep(0.3)
    told = lines(capsys.readouterr().err)
    assert told[:2] == ["step 3 of 6: collect (T so far, 0.0421 USD)", "collect-fold-0 (512)"]
    line = "step 3 of 6, collect-fold-0: 128 of 512, 64 at token 37 of 200 (T so far, 0.0421 USD)"
    assert {*told[2:]} == {line} and 2 <= len(told[2:]) <= 6


def test_a_line_a_minute_is_told_before_the_first_stage_too_and_none_while_a_question_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with StageProgress(log(), lambda: None, every=0.02) as progress:
        time.sleep(0.2)
        with progress.paused():
            assert {*lines(capsys.readouterr().err)} == {"reading what the run needs (T so far, cost not known)"}
            progress.watch("rationales", 1, 2)
            time.sleep(0.1)
        assert lines(capsys.readouterr().err) == [
            "step 1 of 6: rationalise (T so far, cost not known)",
            "rationales (2)",
        ]


def test_nothing_is_told_to_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress(None, every=0.01) as progress:
        progress.watch("rationales", 1, 2)
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_the_step_stands_above_the_bar(width: int) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=width, force_terminal=True, color_system=None, legacy_windows=False)
    with StageProgress(console) as progress:
        progress.watch("collect-fold-0", 128, 512)
        progress.writing("collect-fold-0", 512, 64, 37, 200)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue()).replace("\r", "\n")
    assert re.search(r"^step 3 of 6: collect \(\d+ min \d\d s so far\) *$", plain, re.M)
    last = plain.rstrip().splitlines()[-1]
    assert last.startswith("collect-fold-0 ") and "128/512" in last and "64 at token 37 of 200" in last
    assert max(len(line.rstrip()) for line in plain.splitlines()) <= width and "…" not in plain


def test_a_run_in_a_log_tells_its_six_steps_once(tmp_path: Path) -> None:
    words = ["run", "recipes/longtail.toml", "--set", "student.model=table", "--limit", "20", "--root", str(tmp_path)]
    first, again = (CliRunner().invoke(app, words) for _ in range(2))
    assert first.exit_code == again.exit_code == 0
    assert re.findall(r"^step (\d) of 6: (\w+)", first.stderr, re.M) == [
        (str(number), step) for number, step in enumerate(STEPS, 1)
    ]
    assert "step" not in again.stderr and "\r" not in first.output


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("nesycd.api.progress.time.monotonic", lambda: self.now)


def test_what_is_left_is_the_plan_at_the_pace_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    console = log()
    progress = StageProgress(console)
    assert progress.left() is None
    progress.expect({"general": 60.0, "fold-0": 20.0, "augmented": 60.0, "eval-test-nesycd": 40.0})
    told = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert told == (
        "plan: about 3:00 min of the student's work here (distil 1:00, collect 0:20, augment 1:00, evaluate 0:40)"
    )
    assert progress.left() == 180.0
    progress.watch("rationales", 3, 9)  # not in the plan
    clock.now += 7.0
    assert progress.left() == 180.0
    progress.watch("general", 0, 100)
    clock.now += 15.0
    assert progress.left() == pytest.approx(165.0), "as planned, until a fifth is done"
    progress.watch("general", 50, 100)
    clock.now += 15.0
    assert progress.left() == pytest.approx(120.0 + 30.0)
    clock.now += 90.0  # it took twice as long as planned
    progress.watch("fold-0", 0, 10)
    # 120 s instead of 60, of which as much is believed as the 100 s ahead weigh half: (120 + 50) / (60 + 50).
    assert progress.left() == pytest.approx((100.0 + 20.0) * 170 / 110)
    progress.watch("augmented", 0, 10)
    progress.watch("eval-test-nesycd", 9, 10)
    clock.now += 9.0
    assert progress.left() == pytest.approx(1.0)


def test_the_lines_say_what_is_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress(log(), every=60.0) as progress:
        progress.expect({"general": 125.0})
        progress.watch("general", 0, 10)
    assert re.search(r"^step 2 of 6: distil \(0 min 00 s so far, 2:0\d left\)$", capsys.readouterr().err, re.M)
