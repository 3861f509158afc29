"""A run as a worker sees it: finished stages are read, nothing is written, and the work of one stage is caught to be done.

The writer may go on meanwhile. It commits a stage by its state file, and what a worker reads of a finished stage stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from nesycd.core.errors import RunError, ShardsWait, Waiting
from nesycd.core.records import Record, content_hash
from nesycd.core.storage import RecordLog
from nesycd.runs.predictions import FILE, Predictions
from nesycd.runs.run import Run
from nesycd.runs.shards import Task, Work
from nesycd.runs.stage import Artifact, Notify, Stage, StageRecords

R = TypeVar("R", bound=Record)

Make = Callable[[Path], Mapping[str, Any]]


class Reached(Exception):
    """The stage whose work is wanted was reached; `work` does it: a batch's (`Work`), or that of a whole folder."""

    def __init__(self, work: Work[Any] | Make) -> None:
        super().__init__("reached")
        self.work = work


class FollowedRun(Run):
    """A run folder that another process writes; made for one task.

    Args:
        folder: of the run.
        task: whose work is to be caught: `Reached` is raised when its stage is asked for.
        base: a copy of the run's knowledge base that is this process's own; it need not exist.
    """

    def __init__(self, folder: Path, task: Task, base: Path) -> None:
        self.folder = folder
        self.notify: Notify = lambda text: None
        self._task, self._base = task, base

    def close(self) -> None:
        """Nothing is held."""

    @property
    def kb_path(self) -> Path:
        """The copy of the knowledge base."""
        return self._base

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions so far; what is added is kept in memory."""
        return Predictions(self.folder / FILE)

    def stage(self, name: str, inputs: Mapping[str, Any], version: int = 1) -> Stage:
        """A stage as it is.

        Raises:
            RunError: it is the task's, and would be another one here.
        """
        stage = Stage(self.folder, name, inputs, version, read_only=True)
        if name == self._task.stage and stage.fingerprint != self._task.fingerprint:
            raise RunError(
                f"{self.folder}: {name} was dealt out with another content of: {stage.changed or 'all'}; this machine has other "
                "files or another version of nesycd, or the run went on since"
            )
        return stage

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
        """See `Run.records`."""
        found = self._read(self._caught(name, _of(inputs, record_type), version, work), record_type)
        if [key_of(record) for record in found] != list(keys):
            raise self._unfinished(name)
        return found

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
        """See `Run.batches`."""
        named = {**_of(inputs, record_type), **({} if keys is None else {"keys": list(keys)})}
        return self._read(self._caught(name, named, version, work), record_type)

    def computed(
        self,
        name: str,
        record_type: type[R],
        inputs: Mapping[str, Any],
        compute: Callable[[], Iterable[R]],
        version: int = 1,
    ) -> StageRecords[R]:
        """See `Run.computed`."""
        return self._read(self._caught(name, _of(inputs, record_type), version, None), record_type)

    def value(self, name: str, inputs: Mapping[str, Any], compute: Callable[[], Any], version: int = 1) -> Any:
        """See `Run.value`."""
        stage = self._caught(name, inputs, version, None)
        if not stage.done or content_hash(stage.state["metadata"].get("value")) != stage.output:
            raise self._unfinished(name)
        return stage.state["metadata"]["value"]

    def artifact(self, name: str, inputs: Mapping[str, Any], make: Make, version: int = 1) -> Artifact:
        """See `Run.artifact`; the content of a finished one is checked by the writer."""
        stage = self._caught(name, inputs, version, make)
        if not stage.done or not stage.folder.is_dir():
            raise self._unfinished(name)
        return Artifact(stage.folder, stage.state["metadata"], stage.output)

    def clear(self, name: str) -> None:
        """Not for a worker: what was to be cleared is the writer's.

        Raises:
            RunError: always.
        """
        raise RunError(f"{self.folder}: some of the predictions of {name} are gone; give the run's command again")

    def _caught(self, name: str, inputs: Mapping[str, Any], version: int, work: Work[Any] | Make | None) -> Stage:
        stage = self.stage(name, inputs, version)
        if name == self._task.stage and work is not None:
            raise Reached(work)
        return stage

    def _read(self, stage: Stage, record_type: type[R]) -> StageRecords[R]:
        if not stage.done:
            raise self._unfinished(stage.name)
        found = StageRecords(RecordLog(stage.records_path, record_type).read())
        if found.fingerprint != stage.output:
            raise self._unfinished(stage.name)
        return found

    def _unfinished(self, name: str) -> ShardsWait:
        """Raised, as by the writer, so that independent parts of the work are looked at (`Run.together`)."""
        return ShardsWait([Waiting(self.folder, name, (0,), 1)])


def _of(inputs: Mapping[str, Any], record_type: type[Record]) -> dict[str, Any]:
    return {**inputs, "record": record_type.schema_name}
