"""Prompt files: the package's own fit, and a user's wrong one is an error at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nesycd.core.errors import ConfigError
from nesycd.core.records import Rule
from nesycd.prompts import BASELINE_PLACEHOLDERS, PLACEHOLDERS, TEACHER_PLACEHOLDERS, Prompts, TeacherPrompts
from nesycd.rules.validation import runnable


def test_every_prompt_file_of_the_package_is_known() -> None:
    folder = Path(__file__).parents[2] / "nesycd" / "prompts"
    assert {path.stem for path in folder.glob("*.txt")} == {
        *PLACEHOLDERS,
        *BASELINE_PLACEHOLDERS,
        *TEACHER_PLACEHOLDERS,
    }


def test_ones_own_file_takes_the_place_of_the_packages(tmp_path: Path) -> None:
    before = TeacherPrompts.load(tmp_path)
    assert before == TeacherPrompts.load()
    (tmp_path / "rationale.txt").write_text('Solve {question} as {{"json"}}\n')
    own = TeacherPrompts.load(tmp_path)
    assert own.fill("rationale", question="{x}?") == 'Solve {x}? as {"json"}'
    assert own.texts["diagnosis"] == before.texts["diagnosis"] and own.fingerprint != before.fingerprint
    assert Prompts.load(tmp_path).fingerprint == Prompts.load().fingerprint, "the student's prompts are others"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        (
            "rationale",
            "Solve {questoin}",
            r"rationale.txt: placeholders are \['questoin'\], but must be \['question'\]",
        ),
        ("rationale", "Solve it", r"placeholders are \[\]"),
        ("rationale", "Solve {question!r}", "written twice"),
        ("rationale", 'Solve {question} {"a": 1}', "written twice"),
        ("rationale", "Solve {question} {", "written twice"),
        ("rational", "Solve {question}", r"no prompt has this name \(did you mean 'rationale'\?\)"),
        ("rationale", b"\xff{question}", "not valid UTF-8"),
    ],
)
def test_a_wrong_prompt_is_one_sentence(tmp_path: Path, name: str, text: str | bytes, problem: str) -> None:
    (tmp_path / f"{name}.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=problem):
        TeacherPrompts.load(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_a_prompt(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "rationale.txt").write_bytes("Solve – {question}\r\n".encode(encoding))
    assert TeacherPrompts.load(tmp_path).fill("rationale", question="x?") == "Solve – x?"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        Prompts.load(tmp_path / "none")


@pytest.mark.parametrize("name", ["diagnosis", "diagnosis_clustered"])
def test_the_clauses_that_teachers_are_shown_can_be_run(name: str) -> None:
    text = TeacherPrompts.load().texts[name]
    shown = re.findall(r'"(\w+\([^"]*:- [^"]*\.)"', text)
    assert len(shown) == 2
    for clause in shown:
        runnable(Rule(text="A rule.", clause=clause))
