"""A run is a folder; a stage in it is done once, resumes after a kill, and is redone only when its inputs change.

    runs/NAME/
      config.json  manifest.json  lock      the recipe; seeds, hashes, versions, machine and times
      stages/STAGE.jsonl                    the stage's records, one JSON object a line
      stages/STAGE.json                     its state: fingerprint, inputs, seconds; this file's `done` is the commit
      stages/STAGE.plan.json                the generation batches, written before the first is answered
      checkpoints/STAGE/                    a stage's files (an adapter)
      predictions.jsonl                     what students wrote, by prompt
      shards/STAGE/                         work that is dealt out to other processes (`runs.shards`)
      kb.sqlite  results.json  report.html

A stage's fingerprint is the content hash of all that it depends on: config values, the outputs of earlier stages and a
version number that is raised when its code would give another result. This module is independent of what stages do.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, Self, TypeVar

from nesycd.core.errors import RunError, Unanswered
from nesycd.core.records import Record, content_hash
from nesycd.core.storage import FolderLock, RecordLog, disk_errors, sync_tree, write_atomic, write_json_atomic
from nesycd.runs import manifest
from nesycd.runs.artifacts import find_lost, hash_files
from nesycd.runs.consent import Consent, Guard
from nesycd.runs.dealing import Dealing
from nesycd.runs.predictions import FILE, Predictions
from nesycd.runs.shards import Work, tidy
from nesycd.runs.stage import Artifact, Notify, Stage, StageRecords, read_states

R = TypeVar("R", bound=Record)

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_SYNC_SECONDS = 1.0

Watch = Callable[[str, int, int], None]
"""Called with (stage, units done, units in all) when a stage's work begins, and as its records arrive."""


class Run:
    """A run folder, locked by this process; use it as a context manager. See `Run.open`."""

    def __init__(
        self,
        folder: Path,
        lock: FolderLock,
        content: dict[str, Any],
        config: str,
        guard: Guard,
        notify: Notify,
        watch: Watch,
        dealer: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.notify = notify
        self._watch = watch
        self._dealing = Dealing(folder, dealer, self._store_config, notify, watch)
        self._lock = lock
        self._manifest = content
        self._config = config
        self._guard = guard
        self._asked: dict[str, str] = {}
        self._within: set[str] = set()
        self._working: list[Stage] = []
        self._is_settled = False
        if not guard.watches:
            self._store_config()

    @classmethod
    def open(
        cls,
        folder: Path,
        config: Mapping[str, Any],
        *,
        seeds: Mapping[str, int] | None = None,
        notify: Notify | None = None,
        watch: Watch | None = None,
        consent: Consent | None = None,
        dealer: Mapping[str, Any] | None = None,
    ) -> Self:
        """Start a run, or continue one.

        Args:
            folder: the run's folder; created where it is missing.
            config: the resolved config as JSON values. It is only stored: stages depend on their inputs.
            seeds: the seeds in use, for the manifest.
            notify: see `Notify`.
            watch: see `Watch`.
            consent: asked before finished stages are redone or removed because settings differ from those stored; until then
                the stored config stays. None: nobody is asked.
            dealer: see `shards.Task`. Where it is given, `batches` and `records` with `work`, and `artifact`, deal their work
                out, and raise `ShardsWait` until it is made; None: they do it here.

        Raises:
            RunError: the folder is no run folder, is damaged, is in use or cannot be written.
        """
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder}: a file, where a run folder is needed")
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            strangers = {path.name for path in folder.iterdir()} - {"lock", "manifest.json.tmp"}
        if strangers and "manifest.json" not in strangers:
            raise RunError(f"{folder}: has other files than a run's ({min(strangers)}); name another folder")
        lock = FolderLock(folder / "lock")
        try:
            stored = manifest.read_manifest(folder)
            content = {**(stored or manifest.fresh_manifest()), "seeds": dict(seeds or {})}
            # Before config.json, since a folder with files and without a manifest is refused.
            if stored is None:
                write_json_atomic(folder / "manifest.json", content)
            guard = Guard(folder, _read_config(folder), config, consent)
            with disk_errors(folder):
                (folder / "stages").mkdir(exist_ok=True)
                (folder / "checkpoints").mkdir(exist_ok=True)
            said, text = notify or (lambda text: None), json.dumps(dict(config), indent=2) + "\n"
            watched = watch or (lambda stage, done, total: None)
            return cls(folder, lock, content, text, guard, said, watched, dealer)
        except BaseException:
            lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder's lock."""
        if "predictions" in self.__dict__:
            self.predictions.close()
        self._lock.release()

    @property
    def kb_path(self) -> Path:
        """Path of the run's knowledge base."""
        return self.folder / "kb.sqlite"

    @property
    def results_path(self) -> Path:
        """Path of its results."""
        return self.folder / "results.json"

    @property
    def report_path(self) -> Path:
        """Path of its report."""
        return self.folder / "report.html"

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions of this run's students, by prompt."""
        return Predictions(self.folder / FILE, self.notify)

    @property
    def asked(self) -> tuple[str, ...]:
        """Names of the stages asked for so far, in order; other stages in the folder belong to an earlier config."""
        return tuple(self._asked)

    # --- stages -------------------------------------------------------------------------------------------------------

    def stage(self, name: str, inputs: Mapping[str, Any], version: int = 1) -> Stage:
        """A stage, cleared if it was started with other inputs.

        Args:
            name: lower-case letters, digits, `_`, `-` and `.`; names the files.
            inputs: all that its output depends on, by name; see `fingerprint_of`.
            version: raise it when the stage's code would give another result.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a stage's name")
        stage = Stage(self.folder, name, inputs, version, self.notify, self._begin_work, self._redo)
        if self._asked.setdefault(name, stage.fingerprint) != stage.fingerprint:
            raise ValueError(f"stage {name!r} was asked for twice in one run, with different inputs")
        for outer in self._working:
            outer.made_with(name)
        if stage.done:
            self._within.update(stage.within)
        return stage

    @contextmanager
    def _work_on(self, stage: Stage) -> Iterator[None]:
        """Context for a stage's work; what is asked for within it belongs to the run as long as the stage does."""
        self._working.append(stage)
        try:
            with stage.working():
                yield
        finally:
            self._working.remove(stage)

    def records(
        self,
        name: str,
        record_type: type[R],
        inputs: Mapping[str, Any],
        keys: Sequence[str],
        produce: Callable[[list[str]], Iterable[R]],
        key_of: Callable[[R], str] = attrgetter("example"),
        version: int = 1,
        work: Work[Any] | None = None,
    ) -> StageRecords[R]:
        """A record for each key, written as it arrives; only keys that have none yet are produced.

        `keys` do not enter the fingerprint: where only they change, records of keys still wanted are kept. So `inputs` must
        contain what the keys refer to (the examples), unless keys are content hashes.

        Args:
            name: see `stage`.
            record_type: what `produce` yields.
            inputs: see `stage`.
            keys: the keys of the records, in the order wanted.
            produce: given the missing keys, yields their records in any order; raises `Unanswered` at its end where some
                cannot be had now.
            key_of: the key of a record.
            version: see `stage`.
            work: how it may be done elsewhere; the missing keys are one batch to its `plan`.

        Raises:
            RunError: a damaged file, one that cannot be written, or keys unanswered: the stage is not done then.
            ShardsWait: see `open`.
        """
        stage = self.stage(name, {**inputs, "record": record_type.schema_name}, version)
        log = RecordLog(stage.records_path, record_type)
        stored = log.read(torn=self.notify)
        have = {key_of(record): record for record in stored}
        missing = [key for key in keys if key not in have]
        taken = self._dealing.taken(stage, work, [missing]) if missing else 0.0

        def checked() -> Iterator[R]:
            waiting = set(missing)
            try:
                for record in produce(missing) if missing else ():
                    if (key := key_of(record)) not in waiting:
                        raise ValueError(
                            f"stage {name}: the record for {key!r} was not asked for, or is the second one"
                        )
                    waiting.remove(key)
                    yield record
            except Unanswered as error:
                raise RunError(
                    f"{name}: {len(waiting)} of {len(keys)} questions were not answered: {error.reason}; what was answered "
                    "is kept, and the same command goes on"
                ) from None
            if waiting:
                raise ValueError(f"stage {name}: {len(waiting)} records never came, such as that for {min(waiting)!r}")

        def fill() -> None:
            for record in self._written(log, name, checked(), len(keys) - len(missing), len(keys)):
                have[key_of(record)] = record
            stage.add_seconds(taken)

        return self._complete(stage, log, stored, have, keys, fill)

    def drop(self, name: str, record_type: type[R], unwanted: Callable[[R], bool]) -> None:
        """Remove records from a stage of `records`; their keys are produced again at the next request."""
        log = RecordLog(self.folder / "stages" / f"{name}.jsonl", record_type)
        stored = log.read(torn=self.notify)
        if len(kept := [record for record in stored if not unwanted(record)]) < len(stored):
            log.rewrite(kept)

    def batches(
        self,
        name: str,
        record_type: type[R],
        inputs: Mapping[str, Any],
        plan: Callable[[], list[list[str]]],
        produce: Callable[[list[str]], Iterable[R]],
        key_of: Callable[[R], str] = attrgetter("example"),
        keys: Sequence[str] | None = None,
        version: int = 1,
        work: Work[Any] | None = None,
    ) -> StageRecords[R]:
        """As `records`, in batches that are planned before the first is produced and redone whole after a kill.

        The answers of a batch may depend on each other's company (bf16), so no batch is ever filled up later.

        Args:
            name: see `stage`.
            record_type: what `produce` yields.
            inputs: see `stage`; all that the plan depends on is part of it.
            plan: the batches, as lists of keys; called once, when the stage begins.
            produce: given one batch, returns its records in any order.
            key_of: the key of a record.
            keys: the order in which records are returned and kept; that of the plan where not given. It enters the
                fingerprint.
            version: see `stage`.
            work: how it may be done elsewhere.

        Raises:
            RunError: a damaged file, or one that cannot be written.
            ShardsWait: see `open`.
        """
        named = {**inputs, "record": record_type.schema_name, **({} if keys is None else {"keys": list(keys)})}
        stage = self.stage(name, named, version)
        batches = self._plan(stage, plan, keys)
        planned = [key for batch in batches for key in batch]
        log = RecordLog(stage.records_path, record_type)
        stored = log.read(torn=self.notify)
        by_key = {key_of(record): record for record in stored}
        missing = [batch for batch in batches if not all(key in by_key for key in batch)]
        have = {key: record for key, record in by_key.items() if key not in {k for batch in missing for k in batch}}
        taken = self._dealing.taken(stage, work, missing) if missing else 0.0

        def fill() -> None:
            if missing and len(have) < len(stored):
                log.rewrite(have.values())
            for batch in missing:
                records = list(produce(batch))
                found = {key_of(record): record for record in records}
                if len(records) != len(batch) or set(found) != set(batch):
                    raise ValueError(f"stage {name}: a batch of {len(batch)} keys was answered by other records")
                for _ in self._written(log, name, records, len(have), len(planned)):
                    pass
                have.update(found)
            stage.add_seconds(taken)

        return self._complete(stage, log, stored, have, planned if keys is None else keys, fill)

    def computed(
        self,
        name: str,
        record_type: type[R],
        inputs: Mapping[str, Any],
        compute: Callable[[], Iterable[R]],
        version: int = 1,
    ) -> StageRecords[R]:
        """Records that are quickly computed, all at once, in the order given; a killed stage starts again."""
        stage = self.stage(name, {**inputs, "record": record_type.schema_name}, version)
        log = RecordLog(stage.records_path, record_type)
        if stage.done:
            records = StageRecords(log.read(torn=self.notify))
            if records.fingerprint == stage.output:
                return records
            self.notify(f"{name}: its records are not those it made; done again")
        with self._work_on(stage):
            records = StageRecords(compute())
            log.rewrite(records)
            stage.finish(records.fingerprint, {"records": len(records)})
        return records

    def value(self, name: str, inputs: Mapping[str, Any], compute: Callable[[], Any], version: int = 1) -> Any:
        """One JSON value (a threshold, counts), stored in the stage's state file."""
        stage = self.stage(name, inputs, version)
        if stage.done and content_hash(stage.state["metadata"].get("value")) != stage.output:
            self.notify(f"{name}: its value is not the one it made; done again")
            stage.state["done"] = False
        if not stage.done:
            with self._work_on(stage):
                # Through JSON, so that the first run and a later one get the same value (tuples become lists).
                content = json.loads(json.dumps(compute()))
                stage.finish(content_hash(content), {"value": content})
        return stage.state["metadata"]["value"]

    def artifact(
        self, name: str, inputs: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]], version: int = 1
    ) -> Artifact:
        """A folder of files. What `make` has written survives a kill, so it can resume from its own checkpoint.

        A finished folder is reused if its files are unchanged; where one is missing, all are made again.

        Args:
            name: see `stage`.
            inputs: see `stage`. The artifact's own fingerprint follows from them: a folder that went missing is made
                again without redoing what was made with it.
            make: fills the folder and returns the metadata, as JSON values.
            version: see `stage`.

        Raises:
            RunError: the folder cannot be written, or a file in it has other content than was made.
            ShardsWait: see `open`.
        """
        stage = self.stage(name, inputs, version)
        lost = find_lost(name, stage.folder, stage.state["files"]) if stage.done else None
        if lost is not None:
            self.notify(f"{name}: made again, because {lost} is gone")
            shutil.rmtree(stage.folder, ignore_errors=True)
        if not stage.done or lost is not None:
            taken = self._dealing.folder_made(stage)
            with disk_errors(stage.folder):
                stage.folder.mkdir(exist_ok=True)
            with self._work_on(stage):
                if taken is None:
                    metadata = json.loads(json.dumps(dict(make(stage.folder))))
                else:
                    metadata = taken.records[0].metadata
                    stage.add_seconds(taken.seconds)
                sync_tree(stage.folder)
                stage.finish(content_hash(["artifact", stage.fingerprint]), metadata, hash_files(stage.folder))
            self._dealing.end(stage)
        return Artifact(stage.folder, stage.state["metadata"], stage.output)

    def _plan(self, stage: Stage, plan: Callable[[], list[list[str]]], keys: Sequence[str] | None) -> list[list[str]]:
        if not stage.plan_path.exists():
            # Without their plan, complete batches cannot be distinguished from an interrupted one.
            stage.records_path.unlink(missing_ok=True)
            batches = [list(batch) for batch in plan()]
            if not _has_each_once(batches, keys):
                raise ValueError(f"stage {stage.name}: the plan does not have each key once")
            write_atomic(stage.plan_path, json.dumps(batches, ensure_ascii=False) + "\n")
            return batches
        try:
            stored: Any = json.loads(stage.plan_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            stored = None
        if not _is_plan(stored) or not _has_each_once(stored, keys):
            raise RunError(f"{stage.plan_path}: not a readable plan; delete it to have the stage done again")
        return list(stored)

    def _written(self, log: RecordLog[R], name: str, records: Iterable[R], done: int, total: int) -> Iterator[R]:
        """Yield records after writing each to disk."""
        synced = time.monotonic()
        try:
            for count, record in enumerate(records, done + 1):
                log.append(record)
                self._watch(name, count, total)
                if time.monotonic() - synced > _SYNC_SECONDS:
                    log.sync()
                    synced = time.monotonic()
                yield record
            log.sync()
        finally:
            log.close()

    def _complete(
        self,
        stage: Stage,
        log: RecordLog[R],
        stored: list[R],
        have: dict[str, R],
        keys: Sequence[str],
        fill: Callable[[], None],
    ) -> StageRecords[R]:
        """The stage's records in order: as stored where it is done, else after `fill` has produced the missing ones."""
        if len(set(keys)) < len(keys):
            raise ValueError(f"stage {stage.name}: a key stands there twice")
        if stage.done and [*have] == [*keys] and len(stored) == len(keys):
            records = StageRecords(stored)
            if records.fingerprint == stage.output:
                return records
        if stage.done:
            self.notify(f"{stage.name}: its questions or records are not those it ended with; what is missing is done")
        elif 0 < len(have) < len(keys):
            self.notify(f"{stage.name}: going on, {len(have)} of {len(keys)} are done")
        with self._work_on(stage):
            if len(have) < len(keys):
                self._watch(stage.name, len(have), len(keys))
            fill()
            records = StageRecords(have[key] for key in keys)
            if [*have] != [*keys] or len(stored) > len(keys):
                log.rewrite(records)
            stage.finish(records.fingerprint, {"records": len(records)})
        self._dealing.end(stage)
        return records

    def clear(self, name: str) -> None:
        """Delete a stage's files, so that it is done again at the next request."""
        Stage(self.folder, name, {}, 0).clear()

    # --- manifest and results -----------------------------------------------------------------------------------------

    def describe(self, **hashes: str) -> None:
        """Add to the manifest's `hashes` (student, teacher, prompts, data)."""
        self._note(hashes={**self._manifest["hashes"], **hashes})

    def seconds(self) -> dict[str, float]:
        """Seconds of work so far in each stage asked for, over all processes that took part."""
        states = read_states(self.folder)
        return {
            name: float(state["seconds"])
            for name, state in states.items()
            if name in self._asked or name in self._within
        }

    def _redo(self, name: str) -> None:
        states = read_states(self.folder)
        later = {one: state for one, state in states.items() if state["done"] and one not in (*self._asked, name)}
        self._guard.redo(name, later)
        self._store_config()

    def _store_config(self) -> None:
        """Write the present config and manifest; until then the folder has those of the settings that it was made with."""
        if self._is_settled:
            return
        self._is_settled = True
        if _read_text(self.folder / "config.json") != self._config:
            write_atomic(self.folder / "config.json", self._config)
        if manifest.read_manifest(self.folder) != self._manifest:
            write_json_atomic(self.folder / "manifest.json", self._manifest)

    def settle(self, keep: Iterable[str] = ()) -> None:
        """Ask before stages of an earlier config are removed, as `finish` does; from here on the run has the present config."""
        states = read_states(self.folder)
        if gone := [name for name in self._leftover(keep) if states[name]["done"]]:
            self._guard.remove(gone)
        self._store_config()

    def _leftover(self, keep: Iterable[str]) -> list[str]:
        return sorted(read_states(self.folder).keys() - self._asked.keys() - self._within - set(keep))

    def _begin_work(self) -> None:
        # The run is unfinished again; record this machine and its library versions.
        self._note(versions=manifest.versions(), machine=manifest.machine(), finished=None)

    def finish(self, keep: Iterable[str] = ()) -> None:
        """Mark the run as finished, and remove stages of an earlier config.

        Args:
            keep: stages to keep although they were not asked for, such as those of measurements.
        """
        keep = [*keep]
        self.settle(keep)
        for name in self._leftover(keep):
            self.notify(f"{name}: removed, because it is no longer part of the run")
            self.clear(name)
        self.predictions.keep_only({"", *(str(state["output"]) for state in read_states(self.folder).values())})
        tidy(self.folder)
        if self._manifest["finished"] is None:
            self._note(finished=round(time.time(), 3))

    def _note(self, **fields: Any) -> None:
        """Set fields of the manifest; it is written only where one of them changes, and the run is settled."""
        content = {**self._manifest, **fields}
        if content != self._manifest:
            if self._is_settled:
                write_json_atomic(self.folder / "manifest.json", content)
            self._manifest = content


def _is_plan(value: Any) -> bool:
    """Whether a JSON value is a list of batches, each a list of keys."""
    return isinstance(value, list) and all(
        isinstance(batch, list) and all(isinstance(key, str) for key in batch) for batch in value
    )


def _has_each_once(batches: list[list[str]], keys: Sequence[str] | None) -> bool:
    """Whether each key occurs once in a plan, and the plan has exactly `keys`, where these are given."""
    planned = [key for batch in batches for key in batch]
    return len(set(planned)) == len(planned) and (keys is None or set(keys) == set(planned))


def _read_config(folder: Path) -> dict[str, Any] | None:
    """The config of the last call; None where it is missing or damaged, so that it is written anew."""
    try:
        return manifest.read_config(folder)
    except RunError:
        return None


def _read_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def read_records(folder: Path, stage: str, record_type: type[R]) -> list[R]:
    """The records of a stage, for readers; empty where it has not started.

    Raises:
        RunError: a damaged file.
    """
    return RecordLog(folder / "stages" / f"{stage}.jsonl", record_type).read()
