"""Every benchmark of files counts by what its files say, wherever they lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.paths import without_paths
from nesycd.tasks.registry import build_task

WORD = "seventeen"
"""Stands in every file: what is edited."""


def rows(count: int, **row: Any) -> str:
    return "".join(json.dumps({key: f"{value}{n}" for key, value in row.items()}) + "\n" for n in range(count))


FILES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "gsm8k": ({}, {f"{part}.jsonl": rows(9, question=f"{WORD}?", answer="#### 4") for part in ("train", "test")}),
    "gsm_plus": ({}, {"testmini.jsonl": rows(4, question=f"{WORD}?", answer="4", perturbation_type="kind")}),
    "bbh": (
        {},
        {"navigate.json": json.dumps({"examples": [{"input": f"{WORD} {n}", "target": "y"} for n in range(9)]})},
    ),
    "bigbench": ({}, {"t/task.json": json.dumps({"examples": [{"input": WORD, "target": "y"}]})}),
    "agieval": (
        {"tasks": ["sat-en"]},
        {"sat-en.jsonl": json.dumps({"question": WORD, "options": ["(A)x", "(B)y"], "label": "A"})},
    ),
    "arc": ({}, {"easy_test.jsonl": json.dumps({"id": "1", "question": WORD, "options": ["x", "y"], "answer": "A"})}),
    "mmlu": (
        {},
        {f"{p}/law_{p}.csv": "".join(f"{WORD} {p} {n},a,b,c,d,A\n" for n in range(5)) for p in ("dev", "val")},
    ),
    "metamath": ({"path": "m.jsonl"}, {"m.jsonl": rows(9, query=f"{WORD}?", response="So. The answer is: 4")}),
    "jsonl": ({"path": "m.jsonl"}, {"m.jsonl": rows(9, question=f"{WORD}?", answer="4")}),
    "mixture": (
        {"parts": [{"name": "gsm_plus", "use": {"test": "test"}, "settings": {"path": ""}}]},
        {"testmini.jsonl": rows(4, question=f"{WORD}?", answer="4", perturbation_type="kind")},
    ),
}


def settings_in(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    if "parts" in settings:
        return {"parts": [{**part, "settings": {"path": str(folder)}} for part in settings["parts"]]}
    return {**settings, "path": str(folder / settings.get("path", ""))}


@pytest.mark.parametrize("name", sorted(FILES))
def test_edited_files_count_and_moved_or_touched_ones_do_not(name: str, tmp_path: Path) -> None:
    if name == "metamath":
        pytest.importorskip("math_verify")
    settings, files = FILES[name]
    folder = tmp_path / "here"
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)

    def build() -> str:
        return build_task(name, settings_in(folder, settings)).fingerprint

    before, told = build(), without_paths(settings_in(folder, settings))
    folder = folder.rename(tmp_path / "there")
    for file in files:
        os.utime(folder / file, (1, 1))
    assert build() == before and without_paths(settings_in(folder, settings)) == told
    for file, text in files.items():
        (folder / file).write_text(text.replace(WORD, "eighteen", 1))
        assert build() != before, f"{file} is read and does not count"
        (folder / file).write_text(text)
    assert build() == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("name", sorted(FILES))
def test_files_are_read_with_and_without_a_byte_order_mark(name: str, encoding: str, tmp_path: Path) -> None:
    if name == "metamath":
        pytest.importorskip("math_verify")
    settings, files = FILES[name]

    def build(folder: Path, encoding: str) -> list[str]:
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text.replace(WORD, "about – siebzehn"), encoding=encoding)
        task = build_task(name, settings_in(folder, settings))
        return [example.id for split in task.splits() for example in task.load(split)]

    assert build(tmp_path / "marked", encoding) == build(tmp_path / "plain", "utf-8")
