"""`nesycd init` writes a commented recipe that is checked and run as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.api.starter import Asked, starter
from nesycd.cli import init
from nesycd.cli.main import app
from nesycd.core.config import Recipe, load_recipe
from nesycd.llm.reachable import Reached
from nesycd.tasks.registry import build_task

TABLE = ("--set", "student.model=table", "--set", "evaluation.bootstrap=20")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NESYCD_DATA", raising=False)
    monkeypatch.setenv("NESYCD_LEDGER", str(tmp_path / "ledger.sqlite"))
    return tmp_path


def questions(path: Path, rationales: int = 20) -> Path:
    rows = [
        {"question": f"How many spans are {n} ells?", "answer": str(5 * n), "task": "cloth"}
        | ({"rationale": f"An ell is 5 spans. {n} x 5 = {5 * n}."} if n <= rationales else {})
        for n in range(1, 21)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def call(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


def made(name: str) -> Recipe:
    return load_recipe(Path(f"{name}.toml"))


def test_a_recipe_for_questions_with_rationales_is_checked_and_runs(here: Path) -> None:
    questions(here / "cloth.jsonl")
    said = call("init", "cloth", "--questions", "cloth.jsonl")
    assert "Written: cloth.toml" in said and "train 14, valid 2, test 4; 14 training questions" in said
    assert said.endswith("Next: nesycd check cloth.toml\n")
    recipe = made("cloth")
    assert (recipe.name, recipe.teacher.name, recipe.teacher.diagnose) == ("cloth", "scripted", "mine")
    assert recipe.knowledge.review == "human"
    told = call("check", "cloth.toml", *TABLE)
    assert "nothing is missing" in told and "14 of 14 training questions have one" in told
    assert "report.html" in call("run", "cloth.toml", *TABLE)


def test_every_line_of_the_recipe_is_understood(here: Path) -> None:
    whole = starter(
        "r", Path("r.toml"), Path("q.jsonl"), Asked("m", "http://localhost:8000/v1"), [Path("f.csv")], [Path("h.md")]
    )
    lines = []
    for line in whole.splitlines():
        # What is commented out with a key and a value is a setting to be taken in.
        commented = line.startswith("# ") and " = " in line.partition("#")[2].partition("#")[0]
        lines.append(line.removeprefix("# ") if commented else line)
    Path("r.toml").write_text("\n".join(lines))
    recipe = made("r")
    assert recipe.task.limit == 50 and recipe.teacher.api.max_usd == 5.0 and recipe.knowledge.files == (Path("f.csv"),)
    assert recipe.knowledge.documents == (Path("h.md"),)
    questions(here / "q.jsonl")
    assert build_task(recipe.task.name, recipe.task.settings).splits() == ("train", "valid", "test")


@pytest.mark.parametrize(
    ("listed", "given", "model", "url", "told"),
    [
        ({"/v1": Reached(("qwen",))}, (), "qwen", "/v1", ""),
        ({"": Reached(note="lists no models"), "/v1": Reached(("qwen",))}, (), "qwen", "/v1", ""),
        ({"/v1": Reached(("a", "b"))}, (), "", "/v1", "the server has several models"),
        ({"/v1": Reached(("a", "b"))}, ("--model", "b"), "b", "/v1", ""),
        ({"/v1": Reached(problem="no server answers at it")}, ("--model", "b"), "b", "/v1", "no server answers at it"),
    ],
)
def test_the_servers_model_is_filled_in(
    listed: dict[str, Reached], given: tuple[str, ...], model: str, url: str, told: str,
    here: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    server = "http://localhost:8000"
    monkeypatch.setattr(init, "reach", lambda endpoint: listed[endpoint.base_url.removeprefix(server)])
    questions(here / "q.jsonl", rationales=3)
    said = call("init", "r", "--questions", "q.jsonl", "--server", server + min(listed), *given)
    api = made("r").teacher.api
    assert (api.model, api.base_url, made("r").teacher.name) == (model, server + url, "api")
    assert (f"note: {told}" in said) == bool(told)
    assert ("(a, b)" in Path("r.toml").read_text()) == told.startswith("the server has several")


def test_who_is_asked_depends_on_what_the_questions_have(here: Path) -> None:
    questions(here / "some.jsonl", rationales=12)
    questions(here / "all.jsonl")
    questions(here / "none.jsonl", rationales=0)
    assert "fill in teacher.api.model" in call("init", "none", "--questions", "none.jsonl")
    assert made("none").teacher.name == "api" and made("none").teacher.api.model == ""
    for name, writer in (("some", "api"), ("all", "scripted")):
        call("init", name, "--questions", f"{name}.jsonl", "--model", "gpt-4o-mini")
        teacher = made(name).teacher
        assert (teacher.name, teacher.api.model, teacher.api.base_url) == (writer, "gpt-4o-mini", "")
    assert made("all").teacher.diagnose == "api"


def test_odd_names_and_paths_are_written_as_they_are(here: Path) -> None:
    folder = here / 'a "b" \\ ü'
    folder.mkdir()
    path = questions(folder / "q.jsonl").relative_to(here)
    call("init", "r", "--questions", str(path))
    assert made("r").task.settings["path"] == str(path)


def test_questions_that_cannot_be_read_as_they_are_still_get_a_recipe(here: Path) -> None:
    (here / "q.jsonl").write_text('{"prompt": "What?", "answer": "1"}\n')
    said = call("init", "r", "--questions", "q.jsonl")
    assert "note: " in said and "q.jsonl:1: " in said and made("r").task.settings["path"] == "q.jsonl"


def test_mistakes_are_told_in_one_line_and_nothing_is_written(here: Path) -> None:
    questions(here / "q.jsonl")
    for words, told in {
        ("a/b", "--questions", "q.jsonl"): "error: name: ",
        ("..", "--questions", "q.jsonl"): "error: name: ",
        ("r", "--questions", "none.jsonl"): "error: none.jsonl: no such file",
        ("r", "--questions", "q.jsonl", "--knowledge", "none.csv"): "error: none.csv: no such file",
        ("r", "--questions", "q.jsonl", "--document", "none.md"): "error: none.md: no such file",
        ("r", "--questions", "q.jsonl", "--server", "localhost:8000"): "error: teacher.api.base_url: write it as http",
        ("r", "--questions", "q.jsonl", "--server", "http://me:secret@localhost/v1"): "no user, password or query",
    }.items():
        said = call("init", *words, code=2)
        assert told in said and said.count("\n") == 1 and "secret" not in said
    assert [path.name for path in here.iterdir()] == ["q.jsonl"]
    call("init", "r", "--questions", "q.jsonl")
    before = Path("r.toml").read_text()
    assert "there is such a recipe already" in call("init", "r", "--questions", "q.jsonl", code=2)
    assert Path("r.toml").read_text() == before
