"""What the documents say of settings, files and code is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args

from typer.main import get_command

from nesycd.config import AskSection, RetrievalSection
from nesycd.grading import Source
from nesycd.knowledge import read_relations
from nesycd.prompts import PLACEHOLDERS, TEACHER_PLACEHOLDERS
from nesycd.tasks.registry import card, task_names

DOCS = Path(__file__).parents[1] / "docs"
TEACHERS = (DOCS / "teachers.md").read_text(encoding="utf-8")
RETRIEVAL = (DOCS / "retrieval.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = TEACHERS) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


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


def test_the_retrieval_document_gives_the_settings_and_their_defaults() -> None:
    [recipe] = map(tomllib.loads, blocks("toml", RETRIEVAL))
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in recipe["retrieval"].items()}
    assert RetrievalSection.model_validate(given) == RetrievalSection()
    assert set(given) == set(RetrievalSection.model_fields)


def test_the_retrieval_documents_code_and_declarations_are_right(tmp_path: Path) -> None:
    for code in blocks("python", RETRIEVAL):
        exec(code, {})
    for number, text in enumerate(blocks("yaml", RETRIEVAL)):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        assert [relation.name for relation in read_relations(path)] == ["father", "spouse", "height"]


def test_the_benchmarks_document_has_every_benchmark_with_what_its_card_says() -> None:
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert set(rows) == set(task_names())
    for name, row in rows.items():
        said = card(name)
        if said is not None:
            assert f"| {said.source} | {said.licence} |" in row and f"`{said.hub}` |" in row
            # BBH's equal sizes are given once.
            assert all(f"{size:,}" in row for size in said.sizes.values())


def test_the_grading_document_names_every_way_to_find_an_answer() -> None:
    text = (DOCS / "grading.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)[1:] == [*get_args(Source)]
