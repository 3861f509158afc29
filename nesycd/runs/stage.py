"""One stage in a run folder: its files, its state, and whether they are still valid.

A stage's fingerprint is the content hash of all that it depends on. The state file is the commit: files without a matching
state are leftovers of a kill, to resume from or to delete.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any, Generic, TypeGuard, TypeVar

from pydantic import BaseModel

from nesycd.core.errors import RunError
from nesycd.core.records import Record, content_hash
from nesycd.core.storage import disk_errors, write_json_atomic

R = TypeVar("R", bound=Record)

STAGE_SCHEMA = "stage/2"
SHARDS = "shards"
"""The folder with the work that is dealt out (`runs.shards`), within a run's."""

Notify = Callable[[str], None]
"""Called with one sentence for users: what is redone and why, what was repaired."""


def fingerprint_of(value: Any) -> Any:
    """A JSON value that represents the content of `value` in a stage's fingerprint.

    Records are represented by their id, objects with a `fingerprint` (student, teacher, a stage's result) by that.

    Raises:
        TypeError: a type without content, such as a path: pass the file's content or hash.
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Record):
        return value.id
    if isinstance(getattr(value, "fingerprint", None), str):
        return value.fingerprint
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: fingerprint_of(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): fingerprint_of(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [fingerprint_of(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return sorted((fingerprint_of(inner) for inner in value), key=json.dumps)
    raise TypeError(f"a {type(value).__name__} cannot enter a stage's fingerprint")


class StageRecords(list[R], Generic[R]):
    """The records of a stage, in order. As another stage's input they are fingerprinted by content."""

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the records, in order."""
        return content_hash([record.id for record in self])


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A finished folder of files, its metadata, and the fingerprint that later stages depend on."""

    path: Path
    metadata: dict[str, Any]
    fingerprint: str


class Stage:
    """One stage in a run folder, cleared when its inputs have changed since it was started.

    Made by `Run.stage`; most callers want `Run.records`, `batches`, `computed`, `value` or `artifact`.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        inputs: Mapping[str, Any],
        version: int,
        notify: Notify = lambda text: None,
        on_work: Callable[[], None] = lambda: None,
        on_redo: Callable[[str], None] = lambda name: None,
        read_only: bool = False,
    ) -> None:
        self.name = name
        self.state_path = folder / "stages" / f"{name}.json"
        self.records_path = folder / "stages" / f"{name}.jsonl"
        self.plan_path = folder / "stages" / f"{name}.plan.json"
        self.folder = folder / "checkpoints" / name
        self.shards = folder / SHARDS / name
        self._on_work = on_work
        hashes = {key: content_hash(fingerprint_of(value)) for key, value in sorted(inputs.items())}
        self.fingerprint = content_hash([version, hashes])
        self.changed = ""
        """What differs from the inputs with which it was started before."""
        stored = read_state(self.state_path)
        if stored is not None and stored["fingerprint"] != self.fingerprint:
            self.changed = _difference(stored, version, hashes)
            if stored["done"] and not read_only:
                on_redo(name)
            notify(f"{name}: redone, because {self.changed} changed")
            stored = None
        if stored is None:
            if not read_only:
                self.clear()
            stored = _fresh_state(self.fingerprint, version, hashes)
        self.state = stored

    @property
    def done(self) -> bool:
        """Whether it was finished with these inputs."""
        return bool(self.state["done"])

    @property
    def output(self) -> str:
        """Content hash of its output; "" until it is done."""
        return str(self.state["output"])

    @property
    def within(self) -> tuple[str, ...]:
        """The stages that were asked for while it was made, and are not asked for where it is read."""
        return tuple(self.state.get("within", ()))

    def made_with(self, name: str) -> None:
        """Note that another stage was asked for within this one's work."""
        if name not in self.within:
            self.state["within"] = [*self.within, name]

    @contextmanager
    def working(self) -> Iterator[None]:
        """Context for all work on the stage; its time is recorded even where it fails.

        Raises:
            RunError: the disk is full.
        """
        lost = 0.0
        if self.state["started"] is not None:
            # After a kill the time was not recorded; estimate it from the newest file.
            lost = max(0.0, self._newest() - self.state["started"])
        self.state |= {"done": False, "seconds": self.state["seconds"] + lost, "started": round(time.time(), 3)}
        self._on_work()
        self._save()
        clock = time.perf_counter()
        try:
            with disk_errors(self.state_path, only_full=True):
                yield
        except BaseException:
            # With a full disk the state cannot be saved either; keep the original error.
            with suppress(RunError):
                self._stop(clock)
            raise
        self._stop(clock)

    def begin(self) -> None:
        """Write the state file, so that what belongs to the stage is found again although no work was done on it here."""
        self._on_work()
        self._save()

    def add_seconds(self, seconds: float) -> None:
        """Count work that was done elsewhere."""
        self.state["seconds"] = round(self.state["seconds"] + seconds, 3)

    def _stop(self, clock: float) -> None:
        seconds = self.state["seconds"] + time.perf_counter() - clock
        self.state |= {"seconds": round(seconds, 3), "started": None}
        self._save()

    def finish(
        self, output: str, metadata: dict[str, Any] | None = None, files: dict[str, dict[str, Any]] | None = None
    ) -> None:
        """Mark as done, within `working`, which writes the state file; `files`: see `artifacts.hash_files`."""
        self.state |= {"done": True, "output": output, "metadata": metadata or {}, "files": files or {}}

    def clear(self) -> None:
        """Delete all files of the stage."""
        # The state first: without it, leftover files are ignored.
        with disk_errors(self.state_path):
            for path in (self.state_path, self.records_path, self.plan_path):
                path.unlink(missing_ok=True)
            for folder in (self.folder, self.shards):
                if folder.exists():
                    shutil.rmtree(folder)

    def _save(self) -> None:
        write_json_atomic(self.state_path, self.state)

    def _newest(self) -> float:
        paths = [self.records_path, self.plan_path, *self.folder.rglob("*")]
        return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def _fresh_state(fingerprint: str, version: int, inputs: dict[str, str]) -> dict[str, Any]:
    return {
        "schema": STAGE_SCHEMA,
        "fingerprint": fingerprint,
        "version": version,
        "inputs": inputs,
        "done": False,
        "output": "",
        "metadata": {},
        "files": {},
        "created": time.time(),
        "started": None,
        "seconds": 0.0,
        "within": [],
    }


def read_state(path: Path) -> dict[str, Any] | None:
    """A stage's state file, or None where there is none.

    Raises:
        RunError: it is damaged.
    """
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        state = None
    if not _is_state(state):
        raise RunError(f"{path}: not a readable stage file; delete it to have the stage done again")
    return state


_NUMBER = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "schema": (str,),
    "fingerprint": (str,),
    "version": (int,),
    "inputs": (dict,),
    "done": (bool,),
    "output": (str,),
    "metadata": (dict,),
    "files": (dict,),
    "created": _NUMBER,
    "started": (*_NUMBER, NoneType),
    "seconds": _NUMBER,
    "within": (list,),
}


def _is_state(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is a stage's state, each field with its type."""
    return (
        isinstance(value, dict)
        and value.keys() | {"within"} == _TYPES.keys()  # older versions did not write it
        and all(isinstance(value[key], kinds) for key, kinds in _TYPES.items() if key in value)
        and all(isinstance(name, str) for name in value.get("within", ()))
        and value["schema"] == STAGE_SCHEMA
        and all(isinstance(made, dict) and made.keys() == {"size", "sha256"} for made in value["files"].values())
    )


def read_states(folder: Path) -> dict[str, dict[str, Any]]:
    """The state of each stage of a run, by name, in the order in which they were started."""
    found = {}
    for path in (folder / "stages").glob("*.json"):
        if not path.name.endswith(".plan.json") and (state := read_state(path)) is not None:
            found[path.name.removesuffix(".json")] = state
    return dict(sorted(found.items(), key=lambda named: named[1]["created"]))


def _difference(old: dict[str, Any], version: int, inputs: dict[str, str]) -> str:
    if old["version"] != version:
        return "the way it works"
    return ", ".join(key for key in sorted({*old["inputs"], *inputs}) if old["inputs"].get(key) != inputs.get(key))
