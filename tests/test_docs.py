"""What the documents say of settings, files and code is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from nesycd.config import AskSection
from nesycd.prompts import PLACEHOLDERS, TEACHER_PLACEHOLDERS

TEACHERS = (Path(__file__).parents[1] / "docs" / "teachers.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEACHERS, re.DOTALL)


def test_the_teachers_document_gives_the_settings_and_their_defaults() -> None:
    [recipe] = map(tomllib.loads, blocks("toml"))
    assert AskSection.model_validate(recipe["teacher"]["ask"]) == AskSection()
    assert set(recipe["teacher"]["ask"]) == set(AskSection.model_fields)


def test_the_teachers_document_names_every_prompt_and_its_placeholders() -> None:
    rows = [line for line in TEACHERS.splitlines() if line.startswith("| `")]
    for name, placeholders in {**PLACEHOLDERS, **TEACHER_PLACEHOLDERS}.items():
        [row] = [row for row in rows if f"`{name}.txt`" in row.split("|")[1]]
        assert set(re.findall(r"`\{(\w+)\}`", row)) == placeholders


def test_the_teachers_documents_code_runs() -> None:
    for code in blocks("python"):
        exec(code, {})
