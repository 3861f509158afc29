"""docs/python.md, README's Python and the notebook run as they stand, with the table student, in a temporary folder."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "examples" / "first_steps.ipynb"
NOT_RUN = "# not run\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recipes. All stories are told in one: what one has finished, the next reads back."""
    made = tmp_path_factory.mktemp("repository")
    (made / "recipes").symlink_to(ROOT / "recipes")
    return made


@pytest.fixture
def repository(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, to run in."""
    monkeypatch.chdir(folder)
    return folder


def blocks(path: Path) -> list[str]:
    found = re.findall(r"^```python\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    return found


def execute(codes: list[str], name: str) -> dict[str, Any]:
    """All of them in one namespace, in order; those that are marked are compiled only."""
    space: dict[str, Any] = {}
    for number, code in enumerate(codes, 1):
        compiled = compile(code, f"{name}, block {number}", "exec")
        if not code.startswith(NOT_RUN):
            exec(compiled, space)
    return space


def test_the_pages_code_runs_and_prints_what_it_says(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes = blocks(PAGE)
    space = execute(codes, PAGE.name)
    printed = capsys.readouterr().out
    assert "unknown key student.modell (did you mean student.model?)" in printed
    assert "60 questions looked at, 1 touched, 1 with another answer (0 gained, 1 lost, 0 other)." in printed
    assert "['A fathom is 6 feet.']" in printed and "<run runs/longtail: student table; on test nesycd " in printed
    assert {path.name for path in (repository / "runs").iterdir() if path.is_dir()} == {
        "longtail", "compare-longtail", "islands"
    }  # fmt: skip
    space["run"].close()
    space["own"].close()


def test_what_is_not_run_would_be_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    import nesycd
    from nesycd.api.front import as_recipe

    asked: list[dict[str, Any]] = []
    monkeypatch.setattr(nesycd, "distil", lambda questions, **given: asked.append(given))
    for code in blocks(PAGE):
        if code.startswith(NOT_RUN) and "distil" in code:
            exec(code, {"nesycd": nesycd, "questions": []})
    assert len(asked) == 2
    for given in asked:
        recipe = as_recipe({**given, "task": "longtail"}, {})
        assert recipe.teacher.name == "api" and recipe.teacher.api.model


def test_the_pages_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", PAGE.read_text(encoding="utf-8"))
    assert links and not [link for link in links if not (PAGE.parent / link).exists()]


# --- the notebook -----------------------------------------------------------------------------------------------------------


def notebook() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return loaded


def test_the_notebook_is_of_format_4_without_outputs() -> None:
    book = notebook()
    assert set(book) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one) for one in ids)
    for cell in book["cells"]:
        keys = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            keys |= {"execution_count", "outputs"}
            assert cell["execution_count"] is None and cell["outputs"] == []
        assert cell["cell_type"] in ("code", "markdown") and set(cell) == keys
        assert all(line.endswith("\n") for line in cell["source"][:-1]) and cell["source"]
    assert NOTEBOOK.stat().st_size < 10_000


def test_the_notebooks_cells_run_in_order(repository: Path) -> None:
    codes = ["".join(cell["source"]) for cell in notebook()["cells"] if cell["cell_type"] == "code"]
    space = execute(codes, NOTEBOOK.name)
    assert space["own"].folder.name == "islands" and space["wrong"]
    assert space["what"].lost == 1 and space["run"].kb.get(space["cubit"].id).status == "rejected"


def test_the_examples_are_part_of_the_source_distribution() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "/examples" in settings["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]


# --- the README, last: it leaves its edit --------------------------------------------------------------------------------------


def test_the_readmes_code_runs(repository: Path) -> None:
    space = execute(blocks(ROOT / "README.md"), "README.md")
    space["run"].close()
    assert "docs/python.md" in (ROOT / "README.md").read_text(encoding="utf-8")
