"""A run with every method of the table, made again: nothing is done, and nothing is removed."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

from rich.console import Console

from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
from nesycd.methods.table import METHODS

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
OTHERS = {"parser", "gold_parse", "rules_alone"}
"""They need a benchmark whose questions are stated."""
SMALL = ["student.model=table", "evaluation.bootstrap=50", "task.limit=12", 'evaluation.splits=["test"]']


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files but the lock, with when they were written."""
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(folder)): (os.stat(path).st_mtime_ns, path.read_bytes()) for path in names}


def test_a_second_run_of_all_methods_does_and_removes_nothing(tmp_path: Path) -> None:
    methods = [method.name for method in METHODS.values() if not (method.beside or method.name in OTHERS)]
    recipe = load_recipe(LONGTAIL, [*SMALL, f"evaluation.methods={json.dumps(methods)}"])
    execute(recipe, tmp_path / "r", Console(file=io.StringIO(), width=200))
    before = files(tmp_path / "r")
    execute(recipe, tmp_path / "r", Console(file=(told := io.StringIO()), width=200))
    assert "removed" not in told.getvalue() and "redone" not in told.getvalue()
    after = files(tmp_path / "r")
    assert before.keys() - after.keys() == set()
    assert {name for name in after if after[name] != before.get(name)} == set()
    stages = {name for name in after if name.startswith("stages/annotate-")}
    assert {f"stages/annotate-{name}.jsonl" for name in ("kard_calls", "raft_calls", "std_cot_calls")} <= stages
