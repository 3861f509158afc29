"""Gathering a run, or a comparison, with all that it reads, for one archive that goes on elsewhere.

In the archive, `inputs/N/NAME` holds what the settings name: questions, recordings, prompts, prices, knowledge, corpus; the
stored configs name these places. Stages are fingerprinted by content, so none is redone because files have moved.
Of the ledger of paid calls, the answers that the run used go along as a ledger of its own.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nesycd import __version__
from nesycd.api.build import asks_api, build_parts, commit_of, data_root, endpoint_of, server_of
from nesycd.core.config import Recipe
from nesycd.core.errors import NesycdError, RunError
from nesycd.core.paths import locate_data, with_paths
from nesycd.core.records import Example
from nesycd.core.sections import ServerSection
from nesycd.core.storage import FolderLock, write_json_atomic
from nesycd.knowledge.reviewed import copy_base
from nesycd.llm.ledger import default_path
from nesycd.llm.ledger_copy import copy_ledger
from nesycd.methods import table
from nesycd.methods.method import BASE
from nesycd.runs.folders import COMPARISON, find_run
from nesycd.runs.manifest import read_manifest, read_recipe
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states
from nesycd.students.origin import origin_of
from nesycd.teachers.llm import asked_about

INPUTS = "inputs"
"""The folder with what the settings name, in an archive and in the folder made from it."""
RECIPE = "recipe.toml"
"""The recipe of an unpacked run or comparison."""
CHECKPOINTS = "checkpoints"
_CONFIG, _BASE = "config.json", "kb.sqlite"
_HIDDEN = re.compile(r"\..*|__pycache__")
"""Names of files and folders that are left out of folders of data, such as `.env` and `.git`."""
_NO_PART = re.compile(rf"{_HIDDEN.pattern}|lock|.*\.(tmp|part|mode)|.*-(wal|shm|journal)|checkpoints\.removed|shards")
"""Of a run's folder further ones: locks, temporary files, and work that is dealt out, which is dealt out anew."""
_SECRET = re.compile(r".*(KEY|TOKEN|SECRET|PASSWORD|PASSWD)")
_SHORTEST_SECRET = 12


@dataclass
class Gathered:
    """What is to be packed.

    Attributes:
        files: by their names in the archive.
        about: what `unpacking` reads of it.
        secrets: values of the environment that no file may contain, by their variables.
        notes: what the user should know, a sentence each.
    """

    files: dict[str, Path] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def sizes(self) -> dict[str, int]:
        """Bytes of the run itself, of its checkpoints and of its inputs."""
        found = {"run": 0, CHECKPOINTS: 0, INPUTS: 0}
        for name, path in self.files.items():
            folders = name.split("/")[:-1]
            part = INPUTS if folders[:1] == [INPUTS] else CHECKPOINTS if CHECKPOINTS in folders[:2] else "run"
            found[part] += path.stat().st_size
        return found


def packed_folder(root: Path, name: str) -> Path:
    """The folder of a run or a comparison that is to be packed.

    Raises:
        RunError: there is none of this name.
    """
    found = next((one for one in (root / name, Path(name)) if name.strip() and (one / COMPARISON).is_file()), None)
    return found or find_run(root, name)


@contextmanager
def gathered(
    folder: Path, checkpoints: bool = True, models: bool = False, methods: Sequence[str] = ()
) -> Iterator[Gathered]:
    """All files of a run or a comparison; its folders are locked, and copies of what may change are kept, in the context.

    Args:
        folder: of the run or comparison.
        checkpoints: whether trained adapters go along; they are trained anew where they are needed and missing.
        models: whether local folders of models (`student.model`, `retrieval.model`) go along.
        methods: of the adapters only those with which these methods answer; empty: all.

    Raises:
        RunError: a run is in use or damaged, a file that its settings name is not there, or it trained no student for a method.
        ConfigError: no such method.
        TeacherError: its paid calls wait in a batch.
    """
    is_comparison = (folder / COMPARISON).is_file()
    runs = sorted(path.parent for path in folder.glob("*/manifest.json")) if is_comparison else [folder]
    if not runs:
        raise RunError(f"{folder}: a comparison without runs; there is nothing to pack")
    with ExitStack() as stack:
        for place in dict.fromkeys([folder, *runs]):
            stack.callback(FolderLock(place / "lock").release)
        copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nesycd-pack-")))
        gathering = _Gathering(folder, copies, models)
        kept = {run: _adapters_of(run, methods) for run in runs} if methods else {}
        gathering.add_own(runs, {INPUTS, RECIPE, *(() if checkpoints else (CHECKPOINTS,))}, kept)
        for run in runs:
            gathering.add_run(run)
        if is_comparison and (folder / _CONFIG).is_file():
            gathering.add_config(folder, read_recipe(folder))
        made = gathering.made
        made.about = {
            "name": folder.resolve().name,
            "kind": "comparison" if is_comparison else "run",
            "nesycd": __version__,
            "student_folder": gathering.student_folder,
        }
        yield made


class _Gathering:
    """Collects the files of one archive."""

    def __init__(self, folder: Path, copies: Path, models: bool) -> None:
        self.folder, self._copies, self._models = folder, copies, models
        self.made = Gathered(secrets=secrets_of(()))
        self.student_folder = ""
        self._places: dict[Path, Path] = {}
        self._ledgers: dict[tuple[str, ...], tuple[Path, set[str]]] = {}

    def add_own(self, runs: Sequence[Path], skip: Collection[str], adapters: Mapping[Path, Collection[str]]) -> None:
        """Add the folder's own files.

        Args:
            runs: in it, or the folder itself.
            skip: names that are left out of the folder, and of each of the runs.
            adapters: by run the checkpoints that go along; all of a run that is not named.
        """
        tops = {self.folder, *runs}
        chosen = {run / CHECKPOINTS: names for run, names in adapters.items()}

        def is_left_out(place: Path, name: str) -> bool:
            return (place in tops and name in skip) or name not in chosen.get(place, (name,))

        for path in _files_below(self.folder, _NO_PART, is_left_out):
            self.made.files[path.relative_to(self.folder).as_posix()] = path

    def add_run(self, run: Path) -> None:
        """Add a run's inputs, its knowledge base as it is now, and its config that names them."""
        recipe = locate_data(read_recipe(run), data_root())
        self._compare_inputs(run, recipe)
        self.add_config(run, recipe)
        if (run / _BASE).is_file():
            name = self._name(run, _BASE)
            self.made.files[name] = copy_base(run / _BASE, self._copy_of(name))

    def add_config(self, folder: Path, recipe: Recipe) -> None:
        """Add the files that a recipe names, and the recipe with their places in the archive as the folder's config."""
        self.made.secrets |= secrets_of(recipe.key_variables)
        recipe = with_paths(self._with_paid(recipe), self._placed)
        model = self._model("student.model", recipe.student.model)
        # A server here is none elsewhere.
        student = recipe.student.model_copy(update={"model": model, "server": ServerSection()})
        retrieval = recipe.retrieval.model_copy(
            update={"model": self._model("retrieval.model", recipe.retrieval.model)}
        )
        recipe = recipe.model_copy(update={"student": student, "retrieval": retrieval})
        name = self._name(folder, _CONFIG)
        write_json_atomic(self._copy_of(name), recipe.tables())
        self.made.files[name] = self._copy_of(name)

    def _placed(self, where: str, path: Path) -> Path:
        """Where a file or folder lies in the archive; it is added at the first time."""
        found = Path(os.path.abspath(path))
        if found not in self._places:
            if not found.exists():
                raise RunError(
                    f"{self.folder}: {where} names {path}, which is not there; pack in the folder in which the run was made, or "
                    "put it back"
                )
            place = f"{INPUTS}/{len(self._places) + 1}/{found.name}"
            self._places[found] = Path(place)
            if found.is_dir():
                below = _files_below(found, _HIDDEN)
                self.made.files |= {f"{place}/{file.relative_to(found).as_posix()}": file for file in below}
            elif where == "knowledge.base":
                self.made.files[place] = copy_base(found, self._copy_of(place))
            else:
                self.made.files[place] = found
        return self._places[found]

    def _model(self, where: str, model: str) -> str:
        """A model's name in the archive: another one where it is a local folder that goes along."""
        if not Path(model).is_dir():
            return model
        if self._models:
            if where == "student.model" and Path(base := origin_of(model).base).is_dir() and base != model:
                raise RunError(
                    f"{model}: an adapter of the model in {base}; merge it into that first, or leave --with-models out"
                )
            return self._placed(where, Path(model)).as_posix()
        note = f"{where} is the local folder {model}: it is not packed (--with-models packs it)"
        if note not in self.made.notes:
            self.made.notes.append(note)
        if where == "student.model":
            self.student_folder = model
        return model

    def _with_paid(self, recipe: Recipe) -> Recipe:
        """The recipe with a price table and a ledger of its own, where it asks a paid model."""
        api = recipe.teacher.api
        if not asks_api(recipe):
            return recipe
        source = api.ledger or default_path()
        prices = api.prices or (Path(os.environ["NESYCD_PRICES"]) if os.environ.get("NESYCD_PRICES") else None)
        ledger = None
        if source.is_file():
            place = Path(INPUTS) / "ledgers" / f"{len(self._ledgers) + 1}" / "ledger.sqlite"
            key = (str(source.resolve()), api.model, endpoint_of(api).origin, api.budget or recipe.name)
            if key not in self._ledgers:
                self._ledgers[key] = (place, set())
                target = self._copy_of(place.as_posix())
                uids = self._questions()
                count = copy_ledger(source, target, *key[1:], lambda name: not uids.isdisjoint(asked_about(name)))
                self.made.files[place.as_posix()] = target
                self.made.notes.append(f"{count} paid answers of {api.model} go along")
            ledger = self._ledgers[key][0]
        changed = api.model_copy(update={"ledger": ledger, "prices": prices})
        return recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"api": changed})})

    def _questions(self) -> set[str]:
        """The training questions of all runs."""
        runs = {path.parent.parent for path in self.folder.rglob("stages/examples-train.jsonl")}
        return {one.uid for run in runs for one in read_records(run, "examples-train", Example)}

    def _compare_inputs(self, run: Path, recipe: Recipe) -> None:
        """Note inputs that were edited since the run was made."""
        manifest = read_manifest(run)
        try:
            now = build_parts(recipe, commit_of(recipe, manifest), server_of(manifest)).hashes
        except (NesycdError, ModuleNotFoundError) as error:
            self.made.notes.append(
                f"{run.name}: whether its inputs are those that it was made with is not known: {error}"
            )
            return
        made: Mapping[str, str] = manifest["hashes"] if manifest is not None else {}
        if changed := sorted(name for name, value in now.items() if made.get(name, value) != value):
            self.made.notes.append(
                f"{run.name}: {', '.join(changed)} changed since it was made; what depends on that is redone when it goes on"
            )

    def _name(self, folder: Path, file: str) -> str:
        return (folder / file).relative_to(self.folder).as_posix()

    def _copy_of(self, name: str) -> Path:
        path = self._copies / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _adapters_of(run: Path, methods: Sequence[str]) -> set[str]:
    """The checkpoints with which methods answer, by their names."""
    states, found = read_states(run), set()
    for method in table.named(methods, read_recipe(run), "--method"):
        if method.student != BASE and not method.beside:
            stage = table.checkpoint_of(method.student, states)
            if stage not in states:
                raise RunError(f"{run}: {method.name} was not trained in this run; nothing was packed")
            found.add(stage)
        if method.router:  # its drafts may be S_P's
            found.add("general")
    return found


def _files_below(
    folder: Path, without: re.Pattern[str], skips: Callable[[Path, str], bool] = lambda place, name: False
) -> Iterator[Path]:
    """The files below a folder, without names of a pattern and those that `skips` names; links are followed."""
    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        here = Path(place)
        if here.resolve() in seen:  # a link to a folder around it
            folders.clear()
            continue
        seen.add(here.resolve())
        folders[:] = [one for one in folders if not without.fullmatch(one) and not skips(here, one)]
        for file in files:
            if not without.fullmatch(file) and not skips(here, file) and (here / file).is_file():
                yield here / file


def secrets_of(named: tuple[str, ...]) -> dict[str, bytes]:
    """Keys in the environment: of `named` variables, and of those whose names say so. Placeholders are too short to be one."""
    return {
        name: value.encode("utf-8", "surrogateescape")
        for name, value in os.environ.items()
        if (name in named or _SECRET.fullmatch(name.upper())) and len(value) >= _SHORTEST_SECRET
    }
