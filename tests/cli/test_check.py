"""`nesycd check` tells all that is missing at once, and `nesycd run` asks no teacher before all is known to be there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nesycd.api import build, preflight
from nesycd.api.forecast import work_of
from nesycd.api.question_counts import count_questions, form_of
from nesycd.cli.main import app
from nesycd.core.config import load_recipe
from nesycd.core.errors import ModelError
from nesycd.core.records import Example
from nesycd.llm.chat import Request
from nesycd.llm.reachable import Reached
from nesycd.llm.scripted_chat import ScriptedChat
from nesycd.methods import table
from nesycd.students.table import TableStudent
from nesycd.tasks.base import StoredTask

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
DIAGNOSIS = json.dumps({"cause": "c", "facts": [], "rules": [], "lessons": ["Multiply ells by 5 to get spans."]})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NESYCD_DATA", raising=False)
    monkeypatch.setenv("NESYCD_LEDGER", str(tmp_path / "ledger.sqlite"))
    rows = [{"question": f"How many spans are {n} ells?", "answer": str(5 * n), "task": "cloth"} for n in range(1, 31)]
    rows += [{"question": "Is an ell a length?", "answer": answer} for answer in ("yes", "yes", "no")]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def recipe(text: str = "", *, teacher: str = 'name = "api"', student: str = "table") -> str:
    Path("r.toml").write_text(
        'name = "r"\n[task]\nname = "jsonl"\nsettings = { path = "q.jsonl" }\n'
        f'[student]\nmodel = "{student}"\n[evaluation]\nmethods = ["std_cot", "nesycd"]\nbootstrap = 20\n'
        f'[teacher]\n{teacher}\n[teacher.api]\nmodel = "m"\nbase_url = "http://localhost:9/v1"\n{text}'
    )
    return "r.toml"


def call(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What a teacher without a server was asked."""
    found: list[Request] = []

    def answer(request: Request) -> str:
        found.append(request)
        if request.schema is not None:
            return DIAGNOSIS
        ells = int((re.findall(r"spans are (\d+) ells", request.messages[0].content) or ["0"])[0])
        return f"{ells} x 5 = {5 * ells}. I think, therefore, the answer is {5 * ells}."

    monkeypatch.setattr(build, "chat_of", lambda recipe: ScriptedChat(answer))
    return found


@pytest.fixture
def unloadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(student: TableStudent) -> None:
        raise ModelError("cannot load 'table' as a student")

    monkeypatch.setattr(TableStudent, "load", refuse)


def test_what_is_there_is_counted_and_priced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "reach", lambda endpoint: Reached(("m",), note="the server is slow"))
    Path("prices.toml").write_text('["http://localhost:9"]\nm = { input = 1.0, output = 2.0 }\n')
    said = call("check", recipe('prices = "prices.toml"\nmax_calls = 9'))
    rows = [line.split() for line in said.splitlines()]
    assert ["jsonl/cloth", "number"] in [row[:2] for row in rows] and ["jsonl", "yes", "or", "no"] in [
        r[:4] for r in rows
    ]
    assert "2 repeated, 1 contradicting; 0 of train have a rationale" in said
    assert "equal questions with different answers" in said and "an accuracy on them is known to within" in said
    assert "http://localhost:9 answers, lists the model" in said and "note: the server is slow" in said
    assert "Cost: likely ~0." in said and "max_calls 9" in said and "nothing is missing" in said
    [likely] = [line for line in said.splitlines() if line.startswith("Cost: ")]
    probable, most = (float(word.strip("~,")) for word in likely.split() if any(map(str.isdigit, word)))
    assert 0 < probable < most
    assert not Path("ledger.sqlite").exists() and not Path("runs").exists()


def test_clusters_of_errors_are_counted_where_they_are_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "reach", lambda endpoint: Reached(("m",)))

    def calls(*words: str) -> dict[str, int]:
        rows = [line.split() for line in call("check", recipe(), *words).splitlines()]
        return {row[0]: int(row[1]) for row in rows if row[:1] in (["rationales"], ["diagnoses"], ["inductions"])}

    plain = calls()
    assert set(plain) == {"rationales", "diagnoses"}
    assert calls("--set", "knowledge.induction=true") == plain | {"inductions": -(-plain["diagnoses"] // 3)}


def test_all_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    (here / "model").mkdir()
    (here / "model/config.json").write_text("{}")
    Path("q.jsonl").write_text('{"question": "What?", "answer": "1"}\nnonsense\n')
    monkeypatch.setenv("A_KEY", "")
    given = 'key_env = "A_KEY"\n[knowledge]\nfiles = ["none.csv"]\n[compare]\n'
    said = call("check", recipe(given, student="model"), "--set", "evaluation.methods=['nesicd']", code=1)
    told = said.partition("To be put right first\n")[2].splitlines()
    for part in ("q.jsonl:2: ", "none.csv", "model has no safetensors weights", "no method 'nesicd'", "variable A_KEY"):
        assert len([line for line in told if part in line]) == 1, (part, told)
    assert not Path("runs").exists()


def test_a_recording_without_any_of_the_questions_is_told() -> None:
    Path("a.jsonl").write_text('{"question": "Who?", "rationale": "So. The answer is me."}\n')
    said = call("check", recipe(teacher='name = "replay"\npaths = ["a.jsonl"]'), code=1)
    assert "no training question has a rationale from 'replay'" in said and "0 of " in said


def test_a_library_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, asked: list[Request]) -> None:
    found = preflight.find_spec
    monkeypatch.setattr(preflight, "find_spec", lambda name: None if name == "clingo" else found(name))
    monkeypatch.setattr(preflight, "reach", lambda endpoint: Reached())
    derives = ("--set", "knowledge.derive=true")
    assert "clingo is not installed: `nesycd doctor` says" in call("check", recipe(), *derives, code=1)
    assert "pip install 'nesycd[rules]'" in call("run", "r.toml", *derives, code=2)
    assert asked == []


def test_no_teacher_is_asked_before_the_student_is_loaded(
    asked: list[Request], unloadable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "reach", lambda endpoint: Reached())
    for command in ("run", "rationalise"):
        assert "error: cannot load 'table' as a student\n" in call(command, recipe(), code=2)
    assert asked == []
    assert "cannot load 'table'" not in call("check", "r.toml", code=0), "to load it takes an option"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('[knowledge]\nfiles = ["none.csv"]', "none.csv"),
        ('[compare]\ncorpus = "none.jsonl"', "none.jsonl"),
    ],
)
def test_no_teacher_is_asked_before_all_files_are_read(asked: list[Request], given: str, told: str) -> None:
    assert told in call("rationalise", recipe(given), code=2)
    assert "has no split 'dev'" in call("rationalise", recipe(), "--set", "evaluation.splits=['dev']", code=2)
    assert asked == []


def test_a_run_goes_through_and_a_finished_one_is_not_loaded_again(
    asked: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(TableStudent, "load", lambda student: loaded.append(student.name))
    call("run", recipe())
    assert loaded == ["table"] and any(request.schema is not None for request in asked)
    count = len(asked)
    call("run", "r.toml")
    assert loaded == ["table"] and len(asked) == count
    said = call("check", "r.toml", code=1)  # no server listens there
    assert "for the student, by the run r" in said


def test_a_teacher_that_is_needed_later_only_may_be_away(asked: list[Request], monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [json.loads(line) for line in Path("q.jsonl").read_text().splitlines()]
    Path("a.jsonl").write_text(
        "".join(json.dumps({**row, "rationale": "Times 5."}) + "\n" for row in rows if "task" in row)
    )
    monkeypatch.setattr(preflight, "reach", lambda endpoint: Reached(problem="no server answers at http://localhost:9"))
    said = call("rationalise", recipe(teacher='name = "replay"\npaths = ["a.jsonl"]\ndiagnose = "api"'))
    assert "note: the teacher's diagnoses will be asked for later, but no server answers" in " ".join(said.split())


@pytest.mark.parametrize(
    ("answer", "options", "form"),
    [
        ("B", ("a span", "an ell"), "choice"),
        ("False", (), "yes or no"),
        ("1,200 feet", (), "number"),
        ("Naxos", (), "short text"),
        ("A long answer of many words that nobody would give in the same words again", (), "text"),
    ],
)
def test_the_form_of_an_answer(answer: str, options: tuple[str, ...], form: str) -> None:
    assert form_of(Example(uid="q", task="t", question="What?", answer=answer, options=options)) == form


def test_equal_questions_are_counted_by_text_task_and_options() -> None:
    def asked(number: int, **given: Any) -> Example:
        return Example(**{"uid": f"q{number}", "task": "t", "question": "What?", "answer": "1", **given})

    kinds = [{}, {"question": " What? "}, {"answer": "2"}, {"task": "other"}, {"options": ("1", "2"), "answer": "(A)"}]
    task = StoredTask("t", {"train": [asked(number, **given) for number, given in enumerate(kinds)]})
    found = count_questions(task)
    assert found.repeated == 2 and len(found.contradicting) == 1 and found.sizes == {"train": 5}
    assert found.by_task["t", "number"] == {"train": 3}


def test_the_work_of_a_run_grows_with_what_makes_it_long() -> None:
    settings = load_recipe(LONGTAIL, ["training.epochs=3", "collection.mode=in_sample"])
    methods, sizes = table.of_recipe(settings), {"train": 100, "valid": 10, "test": 20}
    once = work_of(settings, sizes, methods)
    assert once.trained == 600 and once.answered == 100 + 20 + 20 * len(methods)
    folds = load_recipe(LONGTAIL, ["training.epochs=3", "collection.folds=3", "collection.epochs=1"])
    assert work_of(folds, sizes, methods).trained == 800


@pytest.mark.parametrize(
    "setting, told",
    [
        ("student.server.base_url=http://127.0.0.1:9/v1", "the table student is no model that a server could hold"),
        ("student.revision=main", "'table' is no Hugging Face id"),
        ('on_policy={server="http://127.0.0.1:9/v1", model="m"}', "the student 'table' has no tokens"),
    ],
)
def test_what_no_table_student_can_do_is_told(setting: str, told: str) -> None:
    said = call("check", recipe(teacher='name = "scripted"'), "--set", setting, code=1)
    assert told in " ".join(said.split())
