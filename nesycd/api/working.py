"""A worker: makes shards of a run that another process leads (`runs.shards`).

It goes through the run as the writer does, reading what is finished, until it comes to the stage whose work it was given. So
it makes what the writer would have made, and nothing but names of prompts, records and folders is exchanged.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nesycd.api.build import Parts, build_parts
from nesycd.api.comparing import answer_further
from nesycd.api.running import context_of
from nesycd.core.config import Recipe, recipe_of
from nesycd.core.errors import ConfigError, RunError, ShardsWait
from nesycd.core.protocols import Student
from nesycd.core.storage import FolderLock, disk_errors, sync_tree
from nesycd.measure import edits, effect
from nesycd.methods import table
from nesycd.methods.choose_router import cases_on
from nesycd.methods.context import Context
from nesycd.methods.distil import distil
from nesycd.methods.evaluate import Scored, evaluate
from nesycd.rules import Engine
from nesycd.runs.artifacts import hash_files
from nesycd.runs.following import FollowedRun, Make, Reached
from nesycd.runs.shards import BASE, Made, Shards, Task, Work
from nesycd.runs.stage import SHARDS
from nesycd.students.served import ServedStudent

FURTHER: Mapping[str, Callable[..., Any]] = {
    "methods": lambda context, scored, names: answer_further(
        context, table.named(names, context.recipe, "task"), scored
    ),
    "effect": lambda context, scored, masks, rate: effect.measure(context, masks, rate),
    "edits": lambda context, scored, count: edits.measure(context, count),
    "router": lambda context, scored, split: cases_on(context, split),
}
"""What may follow on a run's own work, by the name under which `running.opened` is told of it."""
SEEN_SECONDS = 120.0
"""Until a file that another machine wrote is to be seen here: network file systems keep what they know of a folder a while."""


class Worker:
    """Makes shards, one after the other; the student's weights stay loaded meanwhile. Use it as a context manager."""

    def __init__(self) -> None:
        self._students: dict[str, Student] = {}
        self._parts: dict[str, Parts] = {}
        self._engine = Engine()
        self._folder = Path(tempfile.mkdtemp(prefix="nesycd-"))
        self._caught: tuple[Path, Task, Work[Any] | Make] | None = None
        self._tell: Callable[[str], None] = lambda text: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._engine.close()
        for student in self._students.values():
            if isinstance(student, ServedStudent):
                student.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def make(self, folder: Path, stage: str, number: int, patience: float = 0.0) -> bool:
        """Make a shard, unless it is made already.

        Args:
            folder: of the run.
            stage: the name of a stage whose work is dealt out.
            number: of the shard.
            patience: seconds to wait for the task's file, which another machine has just written, and for another worker that
                holds the same folder, and may be gone already.

        Returns:
            Whether it was made now.

        Raises:
            NesycdError: the work is not dealt out, would be another one on this machine, or cannot be done.
        """
        shards = Shards(folder, stage)
        task = _seen(shards, patience)
        if number >= len(task.batches):
            raise RunError(f"{shards.folder}: there is no shard {number}, only {len(task.batches)}")
        if number not in shards.missing(task):
            return False
        self._tell = shards.tell(number)
        self._tell("begun")
        work = self._work(folder, task)
        started = time.monotonic()
        if isinstance(work, Work):
            shards.write(task, number, work.make(list(task.batches[number])), time.monotonic() - started)
            return True
        lock = _locked(shards, patience)
        try:
            if number in shards.missing(task):  # else it was made meanwhile
                with disk_errors(shards.made):
                    shards.made.mkdir(exist_ok=True)
                metadata = json.loads(json.dumps(dict(work(shards.made))))
                with disk_errors(shards.made):
                    sync_tree(shards.made)
                made = Made(metadata=metadata, files=hash_files(shards.made))
                shards.write(task, number, [made], time.monotonic() - started)
        finally:
            lock.release()
        return True

    def _work(self, folder: Path, task: Task) -> Work[Any] | Make:
        """The work of a task: found by going through the run, and kept until another is asked for."""
        if self._caught is None or self._caught[:2] != (folder, task):
            self._caught = None
            self._caught = (folder, task, self._walk(folder, task))
        return self._caught[2]

    def _walk(self, folder: Path, task: Task) -> Work[Any] | Make:
        recipe, told, further = _dealt(folder, task)
        parts = self._parts_of(recipe, **told)
        base = self._folder / BASE
        for path in self._folder.glob(f"{BASE}*"):
            path.unlink()
        with disk_errors(base), suppress(FileNotFoundError):
            shutil.copyfile(folder / SHARDS / BASE, base)
        context = context_of(
            parts,
            FollowedRun(folder, task, base),
            self._engine,
            training=lambda stage, state: self._tell(f"step {state['step']} of {state['steps']}"),
            writing=lambda stage, total, rows, tokens, limit: self._tell(f"{rows} at token {tokens} of {limit}"),
        )
        try:
            _go_through(context, further)
        except Reached as reached:
            return reached.work
        except ShardsWait as waits:
            first = waits.waiting[0].stage
            raise RunError(
                f"{folder}: {task.stage} cannot be worked on yet, since {first} is not finished or was made with other files or "
                "another version of nesycd than this machine has; give the run's command again"
            ) from None
        raise RunError(f"{folder}: the run has no stage {task.stage} any more; give the run's command again")

    def _parts_of(self, recipe: Recipe, commit: str, served_by: str) -> Parts:
        key = f"{recipe.model_dump_json()} {commit} {served_by}"
        if key not in self._parts:
            parts = build_parts(recipe, commit, served_by)
            # Runs that differ in other settings share the weights.
            training = parts.recipe.training
            own = [training.checkpointing, training.shard, training.processes, commit, served_by]
            student = self._students.setdefault(f"{parts.recipe.student.model_dump_json()} {own}", parts.student)
            self._parts[key] = replace(parts, student=student)
        return self._parts[key]


def _dealt(folder: Path, task: Task) -> tuple[Recipe, dict[str, str], list[Any]]:
    """What a task says of its run: the recipe, what was found of its student, and what follows on the run's own work.

    Raises:
        RunError: it is written otherwise, as by another version of nesycd.
    """
    why = ""
    match task.dealer:
        case {"recipe": {**tables}, "commit": str(commit), "served_by": str(served_by), "further": [*further]} if (
            not further or further[0] in FURTHER
        ):
            try:
                return (
                    recipe_of({str(key): one for key, one in tables.items()}),
                    {"commit": commit, "served_by": served_by},
                    further,
                )
            except ConfigError as error:
                why = f" ({error})"
    raise RunError(
        f"{folder}: {task.stage} was dealt out by another version of nesycd than this machine has{why}: install the same on all"
    )


def _go_through(context: Context, further: Sequence[Any]) -> None:
    """All that a run does with its student, in the order in which the writer does it."""
    steps = distil(context)
    assert steps is not None
    context = context.after(steps)
    scored: Scored = evaluate(context, table.of_recipe(context.recipe))
    if further:
        name, *given = further
        FURTHER[name](context, scored, *given)


def _seen(shards: Shards, patience: float) -> Task:
    deadline = time.monotonic() + patience
    while (task := shards.task()) is None:
        if time.monotonic() > deadline:
            seen = (
                ", or it is not to be seen on this machine: the folder with the runs must lie on a file system that all "
                "machines share, under one path"
            )
            raise RunError(f"{shards.folder}: nothing is dealt out of {shards.stage}{seen if patience else ''}")
        time.sleep(0.5)
    return task


def _locked(shards: Shards, patience: float) -> FolderLock:
    deadline = time.monotonic() + patience
    while True:
        try:
            return FolderLock(shards.lock)
        except RunError:
            if time.monotonic() > deadline:
                raise
        time.sleep(1.0)
