"""What two equal runs have in common, for the tests that kill one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nesycd.knowledge import KnowledgeBase, export_text
from nesycd.runs.manifest import without_times

Outcome = Callable[[Path], tuple[Any, str]]


@pytest.fixture
def outcome() -> Outcome:
    """A function from a run folder to its results (but for time fields) and its knowledge base's export."""

    def read(folder: Path) -> tuple[Any, str]:
        results = without_times(json.loads((folder / "results.json").read_text(encoding="utf-8")))
        with KnowledgeBase.open(folder / "kb.sqlite") as kb:
            return results, export_text(kb)

    return read
