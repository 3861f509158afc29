"""Shards: work of a stage that other processes do, planned before it is dealt out, and merged by the run's one writer.

    runs/NAME/shards/
      kb.sqlite             a copy of the knowledge base, made when work was last dealt out
      STAGE/task.json       what a worker needs: recipe, what is run, the stage's fingerprint, its batches
      STAGE/0.jsonl         what was made of batch 0: a line that says what it belongs to, then its records
      STAGE/0.told          how far batch 0 is, in words
      STAGE/made/           of a stage that makes a folder (a training): the folder, `lock` beside it while it is made

A shard's file is written whole, so workers may make the same one twice. Nothing here is read before it is known to
belong to the task, and the task to the stage as the writer asks for it; the folder goes when the stage is done.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from nesycd.core.errors import DataError, RunError, Waiting
from nesycd.core.records import Record, content_hash
from nesycd.core.storage import disk_errors, sync_folder, write_json_atomic
from nesycd.runs import manifest
from nesycd.runs.stage import SHARDS

W = TypeVar("W", bound=Record)

TASK_SCHEMA, SHARD_SCHEMA = "task/1", "shard/1"
TOLD_SECONDS = 5.0
"""Between two lines that say how far a shard is."""
BASE = "kb.sqlite"


@dataclass(frozen=True)
class Work(Generic[W]):
    """The part of a stage's work that may be done elsewhere.

    Attributes:
        record_type: what is made of a batch.
        plan: given the stage's unfinished batches, returns those to be dealt out, as lists of names; called once, before any
            is made.
        make: makes the records of one of these; called wherever the run's folder can be read.
        take: called by the writer with the records of each batch, in the order of the plan, before it produces what is
            missing; it produces nothing again that was taken.
    """

    record_type: type[W]
    plan: Callable[[list[list[str]]], list[list[str]]]
    make: Callable[[list[str]], list[W]]
    take: Callable[[list[W]], None]


def by_key(
    record_type: type[W],
    produce: Callable[[list[str]], Iterable[W]],
    key_of: Callable[[W], str],
    size: int | None = None,
) -> tuple[Callable[[list[str]], Iterator[W]], Work[W]]:
    """The work of a stage each of whose records is made from its key and, at most, the others of its batch.

    Args:
        record_type: of the stage.
        produce: makes the records of a batch of keys.
        key_of: the key of a record.
        size: most keys dealt out together, where the batches may be parted; None: they are dealt out as they are.

    Returns:
        What the stage is given in place of `produce`, and its work.
    """
    made: dict[str, W] = {}

    def plan(batches: list[list[str]]) -> list[list[str]]:
        if size is None:
            return batches
        return [batch[start : start + size] for batch in batches for start in range(0, len(batch), size)]

    def taken(keys: list[str]) -> Iterator[W]:
        # A batch of which something is missing is made whole, unless it may be parted.
        have = [key for key in keys if key in made] if size is not None or all(key in made for key in keys) else []
        there = set(have)
        rest = [key for key in keys if key not in there]
        yield from (made[key] for key in have)
        if rest:
            yield from produce(rest)  # one by one, since each is written as it comes

    def take(found: list[W]) -> None:
        made.update({key_of(record): record for record in found})

    return taken, Work(record_type, plan, lambda keys: list(produce(keys)), take)


class Made(Record):
    """The folder that a stage's work made: its metadata, and its files (`artifacts.hash_files`)."""

    schema_name: ClassVar[str] = "made/1"
    metadata: dict[str, Any]
    files: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """The work of a stage as it was dealt out.

    Attributes:
        stage: its name.
        fingerprint: the stage's, as the writer asks for it.
        batches: the names that each shard is made of.
        dealer: what a worker needs to find the work again: `recipe`, `commit`, `served_by`, `further` (see `api.working`).
    """

    stage: str
    fingerprint: str
    batches: tuple[tuple[str, ...], ...]
    dealer: Mapping[str, Any]


@dataclass(frozen=True)
class Shard(Generic[W]):
    """What was made of a batch: its records, the seconds that took, and the versions of the libraries there."""

    records: list[W]
    seconds: float
    versions: Mapping[str, str]


class Shards:
    """The shards of one stage of a run.

    Args:
        run: the run's folder.
        stage: the stage's name.
    """

    def __init__(self, run: Path, stage: str) -> None:
        self.run, self.stage = run, stage
        self.folder = run / SHARDS / stage
        self.made = self.folder / "made"
        self.lock = self.folder / "lock"

    def deal(self, fingerprint: str, batches: Sequence[Sequence[str]], dealer: Mapping[str, Any]) -> None:
        """Write down the work of the stage, and a copy of the run's knowledge base beside it."""
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            _copy_base(self.run / BASE, self.run / SHARDS / BASE)
        content = {"schema": TASK_SCHEMA, "stage": self.stage, "fingerprint": fingerprint, "batches": batches, **dealer}
        write_json_atomic(self.folder / "task.json", content, indent=None)

    def task(self) -> Task | None:
        """What was dealt out; None where nothing was.

        Raises:
            RunError: it cannot be read.
        """
        path = self.folder / "task.json"
        try:
            stored: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError):
            stored = None
        match stored:
            case {
                "schema": "task/1",
                "stage": str(),
                "fingerprint": str(fingerprint),
                "batches": [*batches],
                **dealer,
            } if all(isinstance(batch, list) for batch in batches):
                told = {str(key): value for key, value in dealer.items()}
                return Task(self.stage, fingerprint, tuple(tuple(map(str, batch)) for batch in batches), told)
        raise RunError(f"{path}: not a readable task; delete {self.folder} to have it dealt out again")

    def missing(self, task: Task) -> tuple[int, ...]:
        """The numbers of the shards that are not made yet."""
        return tuple(number for number in range(len(task.batches)) if not self._path(number).is_file())

    def waiting(self, task: Task) -> Waiting | None:
        """What is waited for; None where all is made."""
        missing = self.missing(task)
        return Waiting(self.run, self.stage, missing, len(task.batches)) if missing else None

    def write(self, task: Task, number: int, records: Iterable[Record], seconds: float) -> None:
        """Write a shard whole; of two writers the later one's stays.

        Raises:
            RunError: the disk is full, or the folder is gone (the run went on without this shard).
        """
        lines = [json.dumps(record.to_json(), ensure_ascii=False) for record in records]
        head = {
            "schema": SHARD_SCHEMA,
            "of": _identity(task, number),
            "content": content_hash(lines),
            "seconds": round(seconds, 3),
            "versions": manifest.versions(),
        }
        part = self.folder / f"{number}.{uuid.uuid4().hex}.tmp"
        try:
            with disk_errors(self._path(number)):
                with part.open("w", encoding="utf-8") as file:
                    file.writelines(f"{line}\n" for line in [json.dumps(head), *lines])
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(part, self._path(number))
                sync_folder(self.folder)
                (self.folder / f"{number}.told").unlink(missing_ok=True)
        finally:
            with suppress(OSError):
                part.unlink()

    def read(self, task: Task, number: int, record_type: type[W]) -> Shard[W] | None:
        """A shard; None where there is none. One that is damaged, or of another task, is removed."""
        path = self._path(number)
        try:
            head, *lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            told = json.loads(head)
            assert told["of"] == _identity(task, number) and told["content"] == content_hash(lines)
            records = [record_type.from_json(json.loads(line), f"{path}") for line in lines]
            return Shard(records, float(told["seconds"]), dict(told["versions"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AssertionError, DataError):
            path.unlink(missing_ok=True)
            return None

    def tell(self, number: int) -> Callable[[str], None]:
        """Called with how far a shard is, in words; written now and then, for those who wait."""
        last = [0.0]

        def tell(text: str) -> None:
            if time.monotonic() - last[0] > TOLD_SECONDS:
                last[0] = time.monotonic()
                with suppress(OSError):  # only a note
                    (self.folder / f"{number}.told").write_text(text, encoding="utf-8")

        return tell

    def told(self, number: int) -> str:
        """What was told last of a shard; "" where nothing was."""
        try:
            return (self.folder / f"{number}.told").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.jsonl"


def _identity(task: Task, number: int) -> str:
    return content_hash([task.stage, task.fingerprint, number, list(task.batches[number])])


def _copy_base(base: Path, copy: Path) -> None:
    """A consistent copy of a knowledge base: SQLite's own files cannot be shared between machines while they are written."""
    part = copy.with_name(f"{copy.name}.tmp")
    part.unlink(missing_ok=True)
    if base.is_file():
        try:
            with closing(sqlite3.connect(base)) as source, closing(sqlite3.connect(part)) as target:
                source.backup(target)
        except sqlite3.Error as error:
            raise RunError(
                f"{base}: cannot be copied to {copy}: {error}; mend that, and give the command again"
            ) from None
        os.replace(part, copy)
    else:
        copy.unlink(missing_ok=True)


def dealt_in(folder: Path) -> list[tuple[Shards, Task]]:
    """All work that is dealt out in a run's folder, or in the runs of a comparison's, made or not, in a fixed order."""
    found = []
    for path in sorted([*folder.glob(f"{SHARDS}/*/task.json"), *folder.glob(f"*/{SHARDS}/*/task.json")]):
        shards = Shards(path.parents[2], path.parent.name)
        if (task := shards.task()) is not None:
            found.append((shards, task))
    return found


def tidy(run: Path) -> None:
    """Remove what is left of dealing where nothing is dealt out."""
    folder = run / SHARDS
    if folder.is_dir() and not any(path.is_dir() for path in folder.iterdir()):
        with disk_errors(folder):
            for path in folder.iterdir():
                path.unlink(missing_ok=True)
            folder.rmdir()
