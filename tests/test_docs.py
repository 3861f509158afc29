"""What the documents say of settings, files and code is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from typer.main import get_command

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


def test_the_knowledge_base_document_names_commands_formats_and_fields_that_there_are() -> None:
    from nesycd.cli.kb import kb_app
    from nesycd.knowledge import FORMATS
    from nesycd.knowledge.formats.mapping import SHORT_KEYS
    from nesycd.knowledge.journal import MAX_ITEM

    text = (Path(__file__).parents[1] / "docs" / "knowledge-base.md").read_text(encoding="utf-8")
    commands = set(get_command(kb_app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"nesycd kb (\w+)", text)) <= commands
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert set(rows) == set(FORMATS)
    assert all(form.suffixes[0] in rows[name] for name, form in FORMATS.items())
    assert set(re.findall(r"`(\w+)`", rows["csv"])) == {"csv", *SHORT_KEYS}
    assert f"above {MAX_ITEM:,} bytes" in text
