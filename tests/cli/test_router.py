"""`nesycd router calibrate`, and the run that it reads asked again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.api.finished import OpenRun
from nesycd.api.measuring import compare_routers, run_suite
from nesycd.cli.main import app
from nesycd.core.config import load_recipe
from nesycd.core.errors import DataError
from nesycd.core.records import Example
from nesycd.reports.router_page import write_router_page
from nesycd.routing import ROUTERS, MarginRouter
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SETTINGS = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test']",
    "evaluation.methods=['nesycd_routed']",
    "task.settings.train_special=10",
    "task.settings.train_general=10",
    "task.settings.test_special=2",
    "task.settings.test_general=2",
)


def calibrate(folder: Path, *words: str) -> str:
    sets = [word for setting in SETTINGS for word in ("--set", setting)]
    call = ["router", "calibrate", str(LONGTAIL), *sets, "--name", folder.name, "--root", str(folder.parent), *words]
    result = CliRunner(env={"COLUMNS": "170"}).invoke(app, call)
    assert result.exit_code == 0, result.output + str(result.exception)
    return result.output


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
    assert "nesycd router calibrate recipes/longtail.toml" in said and "--test" in said


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
    assert "First look at test." in calibrate(folder, "--test")
    seen = {path.name for path in (folder / "stages").iterdir()} - stages.keys()
    assert seen and all("router-test-" in name for name in seen)
    stages = {path.name: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()}
    assert "2 times" in calibrate(folder, "--test")
    assert json.loads((folder / "router.json").read_text())["test_uses"] == 2
    calibrate(folder)
    again = json.loads((folder / "router.json").read_text())
    assert again == {**content, "test_uses": 2}
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()} == stages

    # The arm, `ask` and `kb test` route by the calibrated threshold.
    run = OpenRun(folder)
    said = run.summary.router
    assert run.router == MarginRouter(float(said["threshold"])) and said["mode"] == "margin"
    assert said["threshold"] == held["routers"]["margin"]["threshold"]
    examples = read_records(folder, "examples-test", Example)
    made = {one.example: one for one in read_attempts(folder, "eval-test-nesycd_routed")}
    assert 0 < sum(one.routed for one in made.values()) < len(made)
    outcome = run_suite(run, examples)
    assert {uid: pin.answer for uid, pin in outcome.pins.pins.items()} == {uid: one.answer for uid, one in made.items()}
    assert {one.example.uid: one.answer.routed for one in run.respond(examples)} == {
        uid: one.routed for uid, one in made.items()
    }
    pinned = outcome.pins.model_validate_json(outcome.pins.model_dump_json())
    assert run_suite(OpenRun(folder), examples, pinned).asked == 0
    for example in examples[:8]:
        told = run.ask(example.question, example.options, example.task)
        assert (told.routed, told.text) == (made[example.uid].routed, made[example.uid].response)

    (folder / "router.json").write_text("[]")
    with pytest.raises(DataError, match="move it away"):
        compare_routers(load_recipe(LONGTAIL, SETTINGS), folder)
