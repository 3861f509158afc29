"""The writer's side of `runs.shards`: deals a stage's work out, waits for it, and takes what was made elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nesycd.core.errors import RunError, ShardsWait, Waiting
from nesycd.core.records import Record
from nesycd.core.storage import FolderLock, disk_errors
from nesycd.runs import manifest
from nesycd.runs.artifacts import hash_files
from nesycd.runs.shards import Made, Shard, Shards, Task, Work
from nesycd.runs.stage import Notify, Stage

T = TypeVar("T")
W = TypeVar("W", bound=Record)


def together(parts: Sequence[Callable[[], T]]) -> list[T]:
    """The results of parts of a run's work that do not need each other; each is begun before shards of another are waited for.

    Parts must not ask one student for the same answers, since batches are planned by what is answered already.

    Raises:
        ShardsWait: shards of one or more parts are waited for.
    """
    made: list[T] = []
    waiting: list[Waiting] = []
    for part in parts:
        try:
            made.append(part())
        except ShardsWait as waits:
            waiting += waits.waiting
    if waiting:
        raise ShardsWait(waiting)
    return made


class Dealing:
    """Deals out the work of a run's stages where there is a dealer; else only takes what was dealt out before and is made.

    Args:
        folder: the run's.
        dealer: see `Task.dealer`; None: nothing is dealt out.
        settle: called before anything is dealt out: the run's config is stored.
        notify: see `Notify`.
        watch: called with (stage, shards made, shards in all) where some are waited for.
    """

    def __init__(
        self,
        folder: Path,
        dealer: Mapping[str, Any] | None,
        settle: Callable[[], None],
        notify: Notify,
        watch: Callable[[str, int, int], None],
    ) -> None:
        self._folder, self._dealer = folder, dealer
        self._settle, self._notify, self._watch = settle, notify, watch

    def taken(self, stage: Stage, work: Work[W] | None, missing: list[list[str]]) -> float:
        """Let `work` take what was made elsewhere, in the order of its plan, and return the seconds that took there.

        Args:
            stage: to which it belongs.
            work: None: all is done here.
            missing: the stage's unfinished batches.

        Raises:
            ShardsWait: the work is dealt out, and some of it is not made yet.
        """
        if work is None:
            return 0.0
        shards = Shards(self._folder, stage.name)
        if (task := shards.task()) is None:
            if self._dealer is None or not (batches := work.plan(missing)):
                return 0.0
            task = self._deal(stage, shards, batches)
        self._wait(shards, task)
        read = [shards.read(task, number, work.record_type) for number in range(len(task.batches))]
        self._wait(shards, task)  # damaged ones are gone
        made = [shard for shard in read if shard is not None]
        for shard in made:
            work.take(shard.records)
        self._tell_versions(stage, made)
        return sum(shard.seconds for shard in made)

    def folder_made(self, stage: Stage) -> Shard[Made] | None:
        """Put the folder that was made elsewhere in the stage's place; None where it is to be made here, from what was begun.

        Raises:
            ShardsWait: see `taken`.
            RunError: another process is making it, or its files are not those that were made.
        """
        shards = Shards(self._folder, stage.name)
        if (task := shards.task()) is None:
            if self._dealer is None:
                return None
            task = self._deal(stage, shards, [[stage.name]])
            _move(stage.folder, shards.made)
        self._wait(shards, task)
        made = shards.read(task, 0, Made)
        self._wait(shards, task)
        if made is None:
            lock = FolderLock(shards.lock)
            _move(shards.made, stage.folder)
            lock.release()
            return None
        _move(shards.made, stage.folder)
        if not stage.folder.is_dir() or hash_files(stage.folder) != made.records[0].files:
            self.end(stage)
            raise RunError(
                f"{stage.name}: its files are not those that a worker made; give the command again to have them made anew"
            )
        self._tell_versions(stage, [made])
        return made

    def end(self, stage: Stage) -> None:
        """Remove what was dealt out of a stage that is done."""
        shutil.rmtree(stage.shards, ignore_errors=True)

    def _deal(self, stage: Stage, shards: Shards, batches: Sequence[Sequence[str]]) -> Task:
        assert self._dealer is not None
        self._settle()
        stage.begin()
        shards.deal(stage.fingerprint, batches, self._dealer)
        task = shards.task()
        assert task is not None
        return task

    def _wait(self, shards: Shards, task: Task) -> None:
        if self._dealer is not None and (waiting := shards.waiting(task)) is not None:
            self._watch(shards.stage, waiting.total - len(waiting.missing), waiting.total)
            raise ShardsWait([waiting])

    def _tell_versions(self, stage: Stage, made: Sequence[Shard[Any]]) -> None:
        own = manifest.versions()
        for shard in made:
            other = [name for name, found in shard.versions.items() if name in own and own[name] != found]
            if other:
                told = ", ".join(f"{name} {shard.versions[name]} there, {own[name]} here" for name in other)
                self._notify(f"{stage.name}: made with other libraries than this process has ({told})")
                return


def _move(source: Path, target: Path) -> None:
    """Put a folder in the place of another, where there is one."""
    if source.is_dir():
        with disk_errors(target):
            shutil.rmtree(target, ignore_errors=True)
            os.replace(source, target)
