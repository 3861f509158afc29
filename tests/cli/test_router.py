"""`nesycd router calibrate`, and the run that it reads asked again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nesycd.cli.answering import open_answerer, open_finished
from nesycd.cli.ask import answer
from nesycd.cli.main import app
from nesycd.cli.router import execute
from nesycd.core.config import load_recipe
from nesycd.core.errors import DataError
from nesycd.core.records import Attempt, Example
from nesycd.measure.knowledge_tests import run_suite
from nesycd.reports.router_page import write_router_page
from nesycd.routing import ROUTERS, MarginRouter
from nesycd.runs.run import read_records

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"
SETTINGS = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test']",
    "evaluation.arms=['nesycd_routed']",
    "task.settings.train_special=10",
    "task.settings.train_general=10",
    "task.settings.test_special=2",
    "task.settings.test_general=2",
)


def calibrate(folder: Path, test: bool = False, *more: str) -> str:
    out = io.StringIO()
    execute(load_recipe(QUICKSTART, [*SETTINGS, *more]), folder, Console(file=out, width=170), test)
    return out.getvalue()


def estimate(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def test_the_page_draws_each_router_and_loads_nothing(tmp_path: Path) -> None:
    def row(accuracy: float, tokens: float, curve: list[list[float]]) -> dict[str, object]:
        shown = {"accuracy": {"all": estimate(accuracy)}, "routed": 0.5, "tokens": tokens}
        return {**shown, "curve": curve, "threshold": 0.5, "low": 0.4, "high": 0.6}

    routers = {
        "found": row(0.75, 18.0, []),
        "margin": row(0.72, 12.0, [[0.0, 0.41, 0.0], [12.0, 0.72, 0.5], [18.0, 0.75, 1.0]]),
    }
    content = {"held_out": {"n": 96, "routers": routers}, "test": None}
    write_router_page(tmp_path / "router.html", "<r>", content)
    page = (tmp_path / "router.html").read_text(encoding="utf-8")
    assert "Routers of run &lt;r&gt;" in page and "valid: 96 questions" in page and "test:" not in page
    assert page.count("<polyline") == 1 and "margin, threshold 0.500: 72.0 %" in page and "75.0 (65–85)" in page
    assert "http://" not in page and "https://" not in page


def test_the_command_explains_itself() -> None:
    said = CliRunner().invoke(app, ["router", "calibrate", "--help"]).output
    assert "nesycd router calibrate recipes/quickstart.toml" in said and "--test" in said


@pytest.mark.slow
def test_a_run_is_compared_and_asked_again_routes_alike(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    said = calibrate(folder)
    content = json.loads((folder / "router.json").read_text())
    held = content["held_out"]
    assert [*held["routers"]] == [*ROUTERS] and held["n"] == 96 and content["test"] is None
    assert (held["routers"]["never"]["tokens"], held["routers"]["never"]["routed"]) == (0.0, 0.0)
    assert held["routers"]["found"]["routed"] == pytest.approx(held["found"] / held["n"])
    for row in held["routers"].values():
        assert set(row["accuracy"]) == {"all", "special", "general"}
        assert row["threshold"] is None or row["low"] <= row["threshold"] <= row["high"]
    assert {name for name, row in held["routers"].items() if row["curve"]} == {"margin", "mean margin"}
    assert "margin - found: all" in said
    assert set(held["differences"]) == {"margin - found", "margin - mean margin"}

    # Read back, nothing is done again; test is looked at only when asked for, and counted.
    stages = {path.name: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()}
    calibrate(folder, test=True)
    assert "2 times" in calibrate(folder, test=True)
    assert json.loads((folder / "router.json").read_text())["test_uses"] == 2
    calibrate(folder)
    again = json.loads((folder / "router.json").read_text())
    assert again == {**content, "test_uses": 2}
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()} == stages

    # The arm, `ask` and `kb test` route by the calibrated threshold.
    run = open_finished(folder)
    assert run.router == MarginRouter(run.settings["threshold"]) and run.settings["mode"] == "margin"
    assert run.settings["threshold"] == held["routers"]["margin"]["threshold"]
    examples = read_records(folder, "examples-test", Example)
    made = {one.example: one for one in read_records(folder, "eval-test-nesycd_routed", Attempt)}
    assert 0 < sum(one.routed for one in made.values()) < len(made)
    answerer, students = open_answerer(folder)
    outcome = run_suite(answerer, examples, None, students)
    assert {uid: (pin.routed, pin.answer) for uid, pin in outcome.pins.pins.items()} == {
        uid: (one.routed, one.answer) for uid, one in made.items()
    }
    pinned = outcome.pins.model_validate_json(outcome.pins.model_dump_json())
    assert run_suite(answerer, examples, pinned, students).asked == 0
    told = answer(folder, examples[0].question)
    assert told["routed"] == made[examples[0].uid].routed

    (folder / "router.json").write_text("[]")
    with pytest.raises(DataError, match="move it away"):
        calibrate(folder)
