"""Bad input to every command: each ends in one line that names what is wrong, without a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import nesycd
from nesycd.cli.main import app
from nesycd.core.config import recipe_of
from nesycd.core.errors import NesycdError
from nesycd.core.records import Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase

GOOD = "@good.toml"
"""A recipe that works."""
DEEP = 5_000
"""Brackets: more than any parser follows."""
LONG = "9" * 30
"""A number that no database and no array can hold."""
NOT_UTF8 = os.fsdecode(b"caf\xe9")
"""An argument as Python hands it over when its bytes are no UTF-8."""
FILES = {
    "good.toml": b"name = 'x'\n[task]\nname = 'longtail'\nlimit = 4\n[student]\nmodel = 'table'\n",
    "empty": b"",
    "zeros": b"\0" * 200,
    "latin": "name = 'caf\xe9'\n".encode("latin-1"),
    "text": b"no recipe, no table, no base\n",
    "list.json": b"[1, 2, 3]\n",
    "deep.json": b"[" * DEEP + b"]" * DEEP,
    "deep.jsonl": b'{"question": ' + b"[" * DEEP + b"]" * DEEP + b', "answer": "1"}\n',
    "deep.toml": b"name = 'x'\n[task]\nname = 'longtail'\nsizes = " + b"[" * DEEP + b"]" * DEEP + b"\n",
    "nested.toml": b"name = 'x'\n[task]\nname = 'longtail'\n[task.settings." + b"a." * DEEP + b"a]\nx = 1\n",
    "loop.toml": b"extends = 'loop.toml'\nname = 'x'\n",
    "number.toml": b"name = 'x'\nseed = " + LONG.encode() + b"\n[task]\nname = 'longtail'\n",
    "up.toml": b"name = '../up'\n[task]\nname = 'longtail'\n",
    "control.toml": b'name = "a\\u001bb"\n[task]\nname = "longtail"\n',
    "nul.toml": b'name = "x"\nprompts = "a\\u0000b"\n[task]\nname = "longtail"\n',
    "nulpath.toml": b'name = "x"\n[task]\nname = "jsonl"\nsettings.path = "a\\u0000b"\n',
    "variant.toml": b"name = 'x'\n[task]\nname = 'longtail'\n[compare.variants]\n'../up' = ['seed=1']\n",
    "nan.jsonl": b'{"question": "one?", "answer": NaN}\n',
    "half.jsonl": b'{"question": "\\ud800", "answer": "1"}\n',
    "deep.yaml": b"relations: " + b"[" * DEEP + b"]" * DEEP + b"\n",
}


def settings(*texts: str) -> list[list[str]]:
    """A run of the good recipe with each setting."""
    return [["run", GOOD, "--root", "@new", "--set", text] for text in texts]


NUMBERS = settings(
    "training.epochs=inf",
    "training.epochs=nan",
    "training.learning_rate=nan",
    "training.warmup=nan",
    "training.epochs=1e300",
    "augmented.epochs=inf",
    "augmented.weights.augmented=inf",
    "augmented.weights.direct=nan",
    "augmented.calls=-0.1",
    "collection.epochs=inf",
    "teacher.ask.temperature=inf",
    "teacher.api.max_usd=inf",
    "teacher.api.max_usd=nan",
    "teacher.api.timeout=nan",
    "teacher.api.poll=inf",
    "teacher.api.parameters={top_p = nan}",
    "student.delay=inf",
    "retrieval.weights={linked = inf}",
    "retrieval.min_similarity=nan",
    "compare.max_passes=inf",
    "compare.learning_rates=[nan]",
    "task.settings.seed=inf",
    f"seed={LONG}",
    f"compare.seeds=[{LONG}]",
    "seed=-1",
    "seed=1.5",
    "seed=true",
    f"evaluation.bootstrap={LONG}",
    "task.limit=0",
    "task.sizes={train = 0}",
)
TEXTS = settings(
    "",
    "=",
    "training",
    "training=",
    "training=1",
    "training.epochs",
    "training.epochs=",
    "training.epochs=lots",
    "training.epochs.deep=1",
    "training.epohcs=1",
    "training.epochs=[1",
    "training.epochs=" + "[" * DEEP + "]" * DEEP,
    "training.epochs=" + "{a=" * DEEP + "1" + "}" * DEEP,
    ".".join(["task.settings"] + ["a"] * DEEP) + "=1",
    "training..epochs=1",
    "name=../up",
    "name=/etc",
    "name=..",
    'name="a\\nb"',
    'name="a\\u001b[31m"',
    f"name={NOT_UTF8}",
    "name=" + "a" * 300,
    "task.name=none",
    "task.name=[]",
    "task.settings=1",
    "teacher.name=oracle",
    "teacher.api.key_env=sk-abc",
    "student.template=none",
    "retrieval.sources=[]",
    "knowledge.kinds=[]",
    "evaluation.methods=[1]",
    'compare.variants={"../up" = ["seed=1"]}',
    "extends=other.toml",
    'prompts="a\\u0000b"',
)
RECIPES = [["check", f"@{name}"] for name in FILES if not name.endswith((".json", ".jsonl", ".yaml", "good.toml"))] + [
    ["check", "@"],
    ["check", "@none.toml"],
    ["check", "@nan.jsonl"],
]
RUNS = [
    *(["run", GOOD, "--name", name] for name in ("../up", "/tmp/up", "..", ".", "a/../../up", "a\x1bb", "a\nb")),
    *(["run", GOOD, "--name", name] for name in ("a" * 300, NOT_UTF8, "a/", "-x", " ")),
    *(["compare", GOOD, "--name", name] for name in ("../up", "/tmp/up", "a\x1bb", "a" * 300)),
    *([command, GOOD, "--name", "../up"] for command in ("rationalise", "edits", "evaluate")),
    ["router", "calibrate", GOOD, "--name", "../up"],
    ["kb", "effect", GOOD, "--name", "../up"],
    ["run", GOOD, "--root", "@text"],
    ["run", GOOD, "--root", "@text/below"],
    ["run", GOOD, "--limit", "0"],
    ["run", GOOD, "--limit", "-3"],
    ["run", GOOD, "--limit", "many"],
    ["run", GOOD, "--until", "never"],
    ["compare", GOOD, "--seeds", LONG, "--root", "@new"],
    ["compare", GOOD, "--seeds", "-1", "--root", "@new"],
    ["compare", GOOD, "--seeds", "one", "--root", "@new"],
    ["compare", GOOD, "--methods", "../up", "--root", "@new"],
    ["compare", GOOD, "--methods", "nesycd,a\x1bb", "--root", "@new"],
    ["compare", GOOD, "--root", "@text"],
    ["compare", "@variant.toml", "--root", "@new"],
    *([command, "none"] for command in ("results", "clean")),
    *([command, "../.."] for command in ("results", "clean")),
    *([command, "a\x1bb"] for command in ("results", "clean")),
    *([command, "a" * 300] for command in ("results", "clean")),
    *([command, ""] for command in ("results", "clean")),
    ["results", "@", "--root", "@"],
    ["ask", "one?", "--run", "none"],
    ["ask", "one?", "--run", "a" * 300],
    ["ask", "one?", "--root", "@text"],
    ["ask", NOT_UTF8],
    ["ask", "one?", "--always", "--method", "nesycd"],
    ["grade", "--run", "a" * 300],
]
KNOWLEDGE = [
    *(["kb", "list", "--kb", place] for place in ("@none.sqlite", "@empty", "@zeros", "@text", "@", "@text/below")),
    *(["kb", "list", "--kb", place] for place in ("@" + "a" * 300, "postgresql://", "ftp://host/x", "sqlite://[::1")),
    ["kb", "list", "--kb", "@kb.sqlite", "--status", "fine"],
    ["kb", "list", "--kb", "@kb.sqlite", "--kind", "poem"],
    ["kb", "list", "--kb", "@kb.sqlite", "--limit", "0"],
    *(["kb", "show", item, "--kb", "@kb.sqlite"] for item in ("", "%", "____", "zzzz", "a" * 500, "a\nb", "aa\0a")),
    *(["kb", "approve", item, "--kb", "@kb.sqlite"] for item in ("", "%%%%", "none")),
    ["kb", "reject", "none", "--kb", "@kb.sqlite"],
    ["kb", "retire", "none", "--kb", "@kb.sqlite"],
    *(["kb", "add", text, "--kb", "@kb.sqlite"] for text in ("", "   ", NOT_UTF8)),
    ["kb", "add", "One.", "--kind", "poem", "--kb", "@kb.sqlite"],
    ["kb", "add", "One.", "--kind", "fact", "--kb", "@kb.sqlite"],
    ["kb", "add", "One.", "--kind", "rule", "--clause", "a(", "--kb", "@kb.sqlite"],
    ["kb", "add", "One.", "--kind", "rule", "--clause", "a(" * DEEP, "--kb", "@kb.sqlite"],
    ["kb", "add", "One.", "--kind", "rule", "--test", "none", "--kb", "@kb.sqlite"],
    *(["kb", "tag", name, "--kb", "@kb.sqlite"] for name in ("", "../up", "/up", "a\x1bb", "now", "1", "a" * 300)),
    *(["kb", "diff", version, "--kb", "@kb.sqlite"] for version in ("", "none", "-1", LONG, "a\x1bb")),
    *(["kb", "revert", number, "--kb", "@kb.sqlite"] for number in ("0", LONG, "one")),
    ["kb", "revert", "--kb", "@kb.sqlite"],
    ["kb", "revert", "--to", LONG, "--kb", "@kb.sqlite"],
    ["kb", "unmerge", LONG, "--kb", "@kb.sqlite"],
    ["kb", "unmerge", "7", "--kb", "@kb.sqlite"],
    ["kb", "merge", "", "", "--kb", "@kb.sqlite"],
    ["kb", "merge", "none", "other", "--kb", "@kb.sqlite"],
    ["kb", "graph", "--kb", "@kb.sqlite"],
    ["kb", "graph", "none", "--kb", "@kb.sqlite"],
    *(
        ["kb", "relations", f"@{name}", "--kb", "@kb.sqlite"]
        for name in ("deep.yaml", "zeros", "latin", "none", "text")
    ),
    ["kb", "log", "none", "--kb", "@kb.sqlite"],
    ["kb", "log", "a" * 300, "--kb", "@kb.sqlite"],
    *(["kb", "test", f"@{name}", "--root", "@none"] for name in ("none", "deep.jsonl", "nan.jsonl")),
    ["kb", "effect", GOOD, "--fdr", "nan", "--root", "@new"],
    ["kb", "effect", GOOD, "--masks", "1", "--root", "@new"],
]
OTHERS = [
    *(["ledger", "show", "--ledger", f"@{name}"] for name in ("none", "zeros", "text", "")),
    ["ledger", "show", "--by", "day"],
    ["ledger", "prune"],
    *(
        ["ledger", "prune", "--before", day]
        for day in ("0001-01-01", "soon", "2026-13-01", LONG, "9999-12-31T23:59:59-14:00")
    ),
    ["ledger", "prune", "--batch", "none", "--ledger", "@none"],
    ["ledger", "export", "@none/x.jsonl", "--ledger", "@none"],
    ["settings", "none"],
    ["settings", "a\x1bb"],
    ["tasks", "show", "none"],
    ["tasks", "show", "longtail", "--split", "none"],
    ["tasks", "show", "longtail", "--split", "../up"],
    ["tasks", "show", "longtail", "--set", "seed=nan"],
    ["tasks", "show", "longtail", "-n", "0"],
    ["tasks", "show", "longtail", "--set", "none=1"],
    ["tasks", "show", "jsonl", "--set", "seed"],
    ["tasks", "show", "jsonl", "--set", "path=" + "[" * DEEP + "]" * DEEP],
    ["tasks", "show", "jsonl", "--set", 'path="a\\u0000b"'],
    *(
        ["tasks", "show", "jsonl", "--set", f"path=@{name}"]
        for name in ("deep.jsonl", "half.jsonl", "nan.jsonl", "zeros")
    ),
    *(["tasks", "show", "bbh", "--set", f"path=@{name}"] for name in ("", "none", "text")),
    *(["tasks", "show", "mixture", "--set", f"parts={value}"] for value in ("1", "[]", "[1]", '[{name="mixture"}]')),
    ["grade"],
    ["grade", "@nan.jsonl"],
    *(["grade", f"@{name}", "--benchmark", "gsm8k"] for name in ("none", "deep.jsonl", "list.json", "zeros", "")),
    ["grade", "@nan.jsonl", "--benchmark", "none"],
    ["rnus"],
    ["--none"],
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the bad files and a small good base."""
    folder = tmp_path_factory.mktemp("bad")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        fact = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet")
        note = Evidence(example="", source="test")
        kb.add([(fact, note), (Lesson(text="Count each kind."), note)], status=Status.APPROVED, reviewer="ann")
    return folder


def attack(words: list[str], place: Path) -> Result:
    """Call a command; `@` stands for the folder with the bad files."""
    return CliRunner().invoke(app, [word.replace("@", f"{place}/") for word in words], catch_exceptions=True)


def faults(result: Result) -> list[str]:
    """What is wrong with how an error is told: it is one line (a clause follows below it), or a usage error, with nothing that a
    terminal obeys."""
    is_usage = "Usage:" in result.stderr
    lines = [line for line in result.stderr.rstrip("\n").split("\n") if is_usage or not line.startswith("    ")]
    errors = [line for line in lines if line.startswith("error: ")]
    found = {
        f"raised {result.exception!r}": not isinstance(result.exception, SystemExit | None),
        f"exit code {result.exit_code}, not 2": result.exit_code != 2,
        f"{len(errors)} lines are errors, not the last one alone": not is_usage and errors != lines[-1:],
        "what a terminal would obey": not result.stderr.replace("\n", "").isprintable(),
        "a line of 1,000 characters": max(map(len, lines)) >= 1000,
    }
    return [f"{what}: {result.output!r}" for what, is_so in found.items() if is_so]


ATTACKS = [*NUMBERS, *TEXTS, *RECIPES, *RUNS, *KNOWLEDGE, *OTHERS]


def name_of(words: list[str]) -> str:
    return " ".join(Path(word).name if "/" in word else word for word in words)[:70].encode("ascii", "replace").decode()


@pytest.mark.parametrize("words", ATTACKS, ids=name_of)
def test_bad_input_is_told_in_one_line(words: list[str], place: Path) -> None:
    assert faults(attack(words, place)) == []


@pytest.mark.parametrize("name", ["../up", "/tmp/up", "..", "a\x1bb", "a\nb", "a/../../up", "a" * 300, "a\0b"])
def test_names_that_lead_elsewhere_are_refused_from_python(name: str, tmp_path: Path) -> None:
    recipe: dict[str, Any] = {"name": "x", "task": "longtail", "student": "table"}
    for begin in (nesycd.run, nesycd.compare):
        with pytest.raises(NesycdError, match=r"^name ") as caught:
            begin(recipe, root=tmp_path, name=name)
        assert str(caught.value).isprintable()
    with pytest.raises(NesycdError, match=r"^name: "):
        nesycd.run({**recipe, "name": name}, root=tmp_path)
    with pytest.raises(NesycdError):
        nesycd.open_run(name, tmp_path)
    assert not [*tmp_path.iterdir()]


def test_values_that_no_setting_can_have_are_refused_from_python() -> None:
    loop: dict[str, Any] = {"name": "x", "task": {"name": "longtail"}}
    loop["task"]["settings"] = loop
    odd = {"a": float("inf"), "b": "\ud800", "c": ["x", "a\0b"]}
    good: dict[str, Any] = {"name": "x", "task": {"name": "longtail"}}
    for tables, told in (
        (loop, "task.settings.task: lists or tables in it are nested more than 20 deep"),
        *(
            ({**good, "task": {"name": "longtail", "settings": {key: one}}}, f"task.settings.{key}")
            for key, one in odd.items()
        ),
        ({**good, "prompts": "a\0b"}, r"prompts: holds \\x00"),
    ):
        with pytest.raises(NesycdError, match=told):
            recipe_of(tables)


def test_an_account_without_a_name_is_asked_for_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    result = attack(["kb", "tag", "v1", "--kb", "@kb.sqlite"], place)
    assert faults(result) == [] and "say who acts by --by NAME" in result.stderr
