"""The house rules that a program can hold: where torch may be imported, docstrings, sizes, what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "nesycd"
SOURCES = sorted(PACKAGE.rglob("*.py"))
HEAVY = {"torch", "transformers", "peft", "tokenizers", "safetensors", "gguf", "accelerate"}
LIGHT = {
    "nesycd",
    "nesycd.api.front",
    "nesycd.cli.main",
    "nesycd.runs.run",
    "nesycd.core.config",
    "nesycd.core.protocols",
    "nesycd.methods.table",
    "nesycd.students.table",
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_source_file_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it is for"
    assert len(text.splitlines()) <= 600
    if PACKAGE / "students" not in path.parents and path != PACKAGE / "retrieval" / "dense.py":
        assert not imported(tree) & HEAVY
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 100, f"{node.name} is too long"


def test_every_folder_of_sources_is_a_package() -> None:
    # Without its `__init__.py` a folder is left out of what is built, and out of the import contracts.
    folders = {path.parent for path in SOURCES if path.stem.isidentifier()}  # Alembic reads its migrations as files
    assert [name(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_nine_of_ten_functions_are_short() -> None:
    lengths = sorted(
        node.end_lineno - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    )
    assert len(lengths) > 100
    assert lengths[len(lengths) * 9 // 10] <= 45


@pytest.mark.parametrize("module", sorted(LIGHT))
def test_a_light_module_does_not_import_torch(module: str) -> None:
    program = f"import sys, {module}; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_costs_nothing_else() -> None:
    program = "import sys, nesycd; print(sorted(name for name in sys.modules if name.startswith('nesycd')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "['nesycd']"
