"""Where a run's work is done: here, by `nesycd stage` commands, or by a Ray cluster.

A run that deals its work out ends with `ShardsWait` where it cannot go on without it. With `engine = "shards"` that ends the
command; with `engine = "ray"` the shards are made by a pool, and the run is gone through again, which reads what is finished.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from nesycd.core.errors import ConfigError, ShardsWait, Waiting
from nesycd.core.sections import EngineSection
from nesycd.runs.shards import Shards

T = TypeVar("T")
MINUTE = 60.0


def done_by(engine: EngineSection, console: Console | None, work: Callable[[Console | None], T]) -> T:
    """Do what opens and completes runs, by the engine of their recipe.

    Args:
        engine: the recipe's section.
        console: where notes and progress are shown; None: nowhere.
        work: given the console to use, does it; with a cluster it is called until all that it deals out is made.

    Raises:
        ShardsWait: with the engine `shards`.
        ConfigError: there is no such cluster, or the extra `ray` is not installed.
    """
    if engine.name != "ray":
        return work(console)
    if find_spec("ray") is None:
        raise ConfigError("engine: a Ray cluster is used by the library ray; get it by: pip install 'nesycd[ray]'")
    from nesycd.engines.ray_pool import RayPool

    shown = None if console is None else _Once(console)

    def notify(text: str) -> None:
        if console is not None:
            console.print(text, markup=False, highlight=False)

    with RayPool(_Maker, engine.address, engine.workers, engine.retries, notify) as pool:
        waits = _Waits(pool, shown)
        while True:
            try:
                return work(shown)
            except ShardsWait as waiting:
                waits.until_some(waiting.waiting)


class _Waits:
    """Has shards made, and shows how far they are."""

    def __init__(self, pool: Any, console: Console | None) -> None:
        self._pool, self._console = pool, console
        self._last = time.monotonic()

    def until_some(self, waiting: tuple[Waiting, ...]) -> None:
        """Have shards made until a worker has nothing to do."""
        units = [(str(one.folder.absolute()), one.stage, number) for one in waiting for number in one.missing]
        console = self._console
        if console is None or not console.is_terminal:
            self._pool.make(units, lambda: self._line(waiting))
            return
        with console.status("") as status:
            self._pool.make(units, lambda: status.update(self._told(waiting)))

    def _line(self, waiting: tuple[Waiting, ...]) -> None:
        """A line a minute, where there is no terminal."""
        if self._console is not None and time.monotonic() - self._last > MINUTE:
            self._last = time.monotonic()
            print(self._told(waiting), file=sys.stderr, flush=True)

    def _told(self, waiting: tuple[Waiting, ...]) -> str:
        stages = []
        for one in waiting:
            shards = Shards(one.folder, one.stage)
            task = shards.task()
            left = len(one.missing) if task is None else len(shards.missing(task))
            told = next(
                (
                    said
                    for _, stage, number in self._pool.at_work()
                    if stage == one.stage and (said := shards.told(number))
                ),
                "",
            )
            stages.append(f"{one.stage} {one.total - left} of {one.total}{f' ({told})' if told else ''}")
        return f"{len(self._pool)} workers: {', '.join(stages)}"


class _Once(Console):
    """A console on which the same note is printed once, although the run is gone through again and again."""

    def __init__(self, console: Console) -> None:
        super().__init__(file=console.file, width=console.width, force_terminal=console.is_terminal)
        self._said: set[Any] = set()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print it, unless it was printed."""
        if objects and all(isinstance(one, str) for one in objects):
            if objects in self._said:
                return
            self._said.add(objects)
        super().print(*objects, **options)


class _Maker:
    """Makes shards in a worker's process on the cluster."""

    def __init__(self) -> None:
        from nesycd.api.working import Worker

        self._worker = Worker()

    def make(self, folder: str, stage: str, number: int) -> None:
        """See `Worker.make`."""
        from nesycd.api.working import SEEN_SECONDS

        self._worker.make(Path(folder), stage, number, SEEN_SECONDS)
