"""From an archive of `packing` to a run's or a comparison's folder that goes on here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nesycd.api.build import student_of
from nesycd.api.packing import INPUTS, RECIPE
from nesycd.core.archives import Contents, Watch, read_contents, unpacked
from nesycd.core.config import Recipe
from nesycd.core.errors import RunError
from nesycd.core.paths import with_paths
from nesycd.core.sections import PrimarySection
from nesycd.core.storage import write_atomic, write_json_atomic
from nesycd.core.toml_text import toml_text
from nesycd.runs.folders import named_folder
from nesycd.runs.manifest import read_manifest, read_recipe

_HEAD = "# The recipe of what was unpacked into this folder. Its paths are those of this place.\n\n"


@dataclass(frozen=True)
class Unpacked:
    """What was unpacked.

    Attributes:
        folder: of the run or comparison.
        is_comparison: which of them.
        contents: of the archive.
        notes: what the user should know, a sentence each.
    """

    folder: Path
    is_comparison: bool
    contents: Contents
    notes: tuple[str, ...] = ()

    @property
    def recipe(self) -> Path:
        """Its recipe; missing where a comparison has none."""
        return self.folder / RECIPE


def place_of(archive: Path, root: Path, name: str = "") -> tuple[Path, Contents]:
    """Where an archive would be unpacked, and what it says of itself.

    Args:
        archive: its path.
        root: the folder with the runs.
        name: of the folder; "": the one that was packed.

    Raises:
        RunError: no archive of a run.
        ConfigError: a name that cannot be a folder's.
    """
    contents = read_contents(archive)
    about: Mapping[str, Any] = contents.about
    if about.get("kind") not in ("run", "comparison") or not isinstance(about.get("name"), str):
        raise RunError(f"{archive}: not an archive of a run; make one by: nesycd pack RUN")
    return named_folder(root, name or about["name"]), contents


def unpack(
    archive: Path, root: Path, name: str = "", student: Path | None = None, watch: Watch = lambda count: None
) -> Unpacked:
    """Unpack a run or a comparison; its stored config and its recipe name the files here.

    Args:
        archive: made by `nesycd pack`.
        root: the folder with the runs.
        name: of its folder; "": the one that was packed.
        student: the folder of its student here, where that was a local folder and is not in the archive.
        watch: see `archives.Watch`.

    Raises:
        RunError: the archive cannot be unpacked, the folder exists, or `student` is not the model that the run was made with.
    """
    folder, contents = place_of(archive, root, name)
    was_local = contents.about.get("student_folder")
    if student is not None and not was_local:
        raise RunError(f"{archive}: its student is not a local folder that was left out; leave --student out")
    with unpacked(archive, folder, watch) as (part, contents):
        configs = [
            part / one for one in contents.files if one.rpartition("/")[2] == "config.json" and one.count("/") < 2
        ]
        for config in configs:
            _move(config.parent, part, folder.absolute(), student)
        if part / "config.json" in configs:
            write_atomic(part / RECIPE, _recipe_text(read_recipe(part), contents.about["kind"] == "comparison"))
    notes = []
    if was_local and student is None:
        notes.append(
            f"its student is the folder {was_local} of the machine where it was packed: put it there, or unpack with "
            "--student FOLDER"
        )
    return Unpacked(folder, contents.about["kind"] == "comparison", contents, tuple(notes))


def _move(run: Path, part: Path, folder: Path, student: Path | None) -> None:
    """Let a config name the files below `folder`, which `part` is to become."""

    def here(where: str, path: Path) -> Path:
        path = Path(str(path).replace("\\", "/"))  # packed on Windows
        if path.parts[:1] != (INPUTS,) or ".." in path.parts or not (part / path).exists():
            raise RunError(f"{folder}: {where} names {path}, which is not in the archive; nothing was unpacked")
        return folder / path

    def model(where: str, name: str) -> str:
        return str(here(where, Path(name))) if name.startswith(f"{INPUTS}/") else name

    recipe = with_paths(read_recipe(run), here)
    api = recipe.teacher.api
    if api.ledger is not None:
        api = api.model_copy(update={"ledger": here("teacher.api.ledger", api.ledger)})
    named = model("student.model", recipe.student.model) if student is None else str(student.absolute())
    recipe = recipe.model_copy(
        update={
            "teacher": recipe.teacher.model_copy(update={"api": api}),
            "student": recipe.student.model_copy(update={"model": named}),
            "retrieval": recipe.retrieval.model_copy(
                update={"model": model("retrieval.model", recipe.retrieval.model)}
            ),
        }
    )
    manifest = read_manifest(run)
    if student is not None and manifest is not None:
        if not student.is_dir():
            raise RunError(f"{student}: no folder of a model; nothing was unpacked")
        if student_of(recipe).fingerprint != manifest["hashes"].get("student"):
            raise RunError(f"{student}: not the model that the run was made with; nothing was unpacked")
    write_json_atomic(run / "config.json", recipe.tables())


def _recipe_text(recipe: Recipe, is_comparison: bool) -> str:
    tables = recipe.tables()
    if not is_comparison and recipe.compare.primary == PrimarySection():
        tables["compare"].pop("primary", None)  # a run's config has all settings, also those that nobody gave
    return _HEAD + toml_text(tables)
