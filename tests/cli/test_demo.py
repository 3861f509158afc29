"""`nesycd demo`: what it shows, that it leaves all as it was, and the archive that comes with the package."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nesycd.api import demo
from nesycd.api.demo import demo_folder, digest_name, shipped
from nesycd.api.finished import open_run
from nesycd.cli.main import app
from nesycd.core.archives import read_contents
from nesycd.core.config import load_recipe
from nesycd.core.errors import RunError
from nesycd.core.records import Status
from nesycd.runs.manifest import read_recipe

RECIPE = Path(__file__).parents[2] / "recipes" / "demo.toml"
LARGEST = 12_000_000
"""Bytes of the archive: it comes with every installation."""


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: str | Path) -> str:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo of the table student."""
    place = tmp_path_factory.mktemp("demo")
    table = ("--set", "student.model=table", "--limit", "60", "--root", place)
    done("run", RECIPE, *table)
    done("pack", "demo", place / "demo.tar.gz", "--method", "nesycd", "--root", place)
    return (place / "demo.tar.gz").rename(place / digest_name(place / "demo.tar.gz"))


@pytest.fixture
def root(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(demo, "shipped", lambda: archive)
    return tmp_path / "runs"


def test_the_answer_follows_the_edit_and_the_base_is_as_it_was(root: Path) -> None:
    told = done("demo", "--root", root, "--by", "me")
    answers = re.findall(r"^answer +(.*)$", told, re.M)
    assert len(answers) == 3 and answers[0] != answers[2]
    [ask, without, edit, again] = [
        line.strip() for line in told.splitlines() if re.match(r" +nesycd (ask|kb edit) ", line)
    ][:4]
    assert ask == again and without == ask.replace("--method nesycd", "--method nesycd_no_kb")
    assert re.search(r"^call +\[.*", told, re.M) and "--object" in edit
    with open_run(root / "demo") as run:
        first, second = run.kb.revisions(2)
        assert [one.why for one in (second, first)] == ["nesycd demo", "nesycd demo: put back"]
        assert first.actor == "me"
    assert f"nesycd review {root / 'demo'}" in told and str(root / "demo" / "report.html") in told
    assert '<section id="meaning"' in (root / "demo" / "report.html").read_text(), (
        "the report as this version writes it"
    )
    # Again, and as the commands say.
    assert re.findall(r"^answer +(.*)$", done("demo", "--root", root), re.M) == answers


def test_of_the_adapters_only_the_one_that_answers_is_packed(root: Path) -> None:
    folder = demo_folder(root)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["augmented"]
    result = call("ask", "How many?", "--run", folder, "--method", "std_cot")
    assert result.exit_code == 2 and "general" in result.output


def test_with_a_method_that_drafts_first_the_drafts_student_is_packed_too(tmp_path: Path, archive: Path) -> None:
    place = archive.parent
    done("pack", "demo", tmp_path / "routed.tar.gz", "--method", "nesycd_routed", "--root", place)
    done("unpack", tmp_path / "routed.tar.gz", "--root", tmp_path)
    assert {path.name for path in (tmp_path / "demo" / "checkpoints").iterdir()} == {"augmented", "general"}
    assert "answer" in done("ask", "How many feet are 2 fathoms?", "--run", tmp_path / "demo")


def test_another_runs_folder_is_left_alone(root: Path) -> None:
    folder = demo_folder(root)
    weights = next((folder / "checkpoints" / "augmented").iterdir())
    weights.write_bytes(weights.read_bytes() + b" ")
    result = call("demo", "--root", root)
    assert result.exit_code == 2
    assert "not the demo that comes with this version of nesycd; remove it (nesycd clean demo)" in " ".join(
        result.output.split()
    )


def test_a_base_without_the_fact_is_told(root: Path) -> None:
    folder = demo_folder(root)
    with open_run(folder) as run:
        run.kb.decide([entry.item_id for entry in run.kb.entries()], Status.REJECTED, "me")
    result = call("demo", "--root", root)
    assert result.exit_code == 2 and "begin anew: nesycd clean demo" in " ".join(result.output.split())


def test_what_comes_with_the_package_is_whole_and_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = shipped()
    assert found.stat().st_size <= LARGEST
    about = read_contents(found).about
    assert (about["kind"], about["name"]) == ("run", "demo")
    folder = demo_folder(tmp_path)
    assert read_recipe(folder).model_dump() == load_recipe(RECIPE).model_dump()
    # Damage is found before anything is unpacked.
    (tmp_path / "nesycd" / "demo").mkdir(parents=True)
    monkeypatch.setattr(demo.resources, "files", lambda package: tmp_path / package)
    with pytest.raises(RunError, match="holds 0 archives of the demo"):
        shipped()
    shutil.copy(found, tmp_path / "nesycd" / "demo")
    assert shipped().name == found.name
    with (tmp_path / "nesycd" / "demo" / found.name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(RunError, match="damaged; install nesycd again"):
        shipped()


@pytest.mark.slow
def test_the_real_student_answers_by_its_base(tmp_path: Path) -> None:
    answers = re.findall(r"^answer +(.*)$", done("demo", "--root", tmp_path), re.M)
    assert len(answers) == 3 and answers[0] not in answers[1:]
