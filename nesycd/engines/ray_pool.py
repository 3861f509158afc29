"""A pool of workers on the machines of a Ray cluster: shards go to whoever is free, and those of a dead worker to another.

Only names travel: a shard is read from and written to the run's folder, which all machines share. So a worker that dies
costs the shard it was making, and one that was given up but still writes does no harm. A node that joins gets workers,
and a node that is lost is forgotten.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from nesycd.core.errors import ConfigError, NesycdError, RunError
from nesycd.core.text import printable, shortened

LOOK_SECONDS = 2.0
"""Between two looks at what is done, where nothing happens."""
CONNECT_SECONDS = 10.0
NODES_SECONDS = 10.0
"""Between two looks at which machines there are."""


class Maker(Protocol):
    """What a worker's process makes units with."""

    def make(self, folder: str, stage: str, number: int) -> None:
        """Make one, unless it is there already."""
        ...


Unit = tuple[str, str, int]
"""The folder of a run, a stage in it, and the number of a shard."""


@dataclass
class _Worker:
    """A worker's process; `unit`: what it makes; None: nothing, or it has not begun yet."""

    actor: Any
    node: str
    unit: Unit | None = None


class RayPool:
    """Workers on all machines of a cluster; use it as a context manager.

    Args:
        maker: makes a worker's `Maker`, in its process; importable there.
        address: see `EngineSection.address`.
        workers: on each machine; None: one for each GPU, one where there is none.
        retries: how often a unit is made again after its worker died.
        notify: called with a sentence where a worker was lost.

    Raises:
        ConfigError: no such cluster.
    """

    def __init__(
        self,
        maker: Callable[[], Maker],
        address: str = "",
        workers: int | None = None,
        retries: int = 3,
        notify: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._maker, self._address, self._per_node, self._retries = maker, address, workers, retries
        self._notify = notify
        self._busy: dict[Any, _Worker] = {}
        """By the reference to what each does; those that begin are among them."""
        self._idle: list[_Worker] = []
        self._queue: deque[Unit] = deque()
        self._known: set[Unit] = set()
        self._deaths: Counter[Unit | None] = Counter()
        self._resting: dict[str, float] = {}
        """Nodes on which a worker died, and until when none is begun there: a lost machine counts as alive for some seconds."""
        self._looked = 0.0

    def __enter__(self) -> Self:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # what it prints itself; a lost worker is told by us
        import ray

        # Left to itself Ray looks for a cluster that began here once, and hangs where that was killed.
        address = self._address or os.environ.get("RAY_ADDRESS") or "local"
        _check_listening(address)
        options = {"log_to_driver": False, "logging_level": logging.ERROR, "include_dashboard": False}
        try:
            ray.init(address=address, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            told = " ".join(str(error).split())
            raise ConfigError(
                f"engine.address: no Ray cluster at {address}: {shortened(printable(told), 300)}"
            ) from None
        self._ray = ray
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for worker in [*self._idle, *self._busy.values()]:
            self._ray.kill(worker.actor)
        self._ray.shutdown()

    def __len__(self) -> int:
        """How many workers are at work, or could be."""
        return len(self._idle) + len(self.at_work())

    def at_work(self) -> list[Unit]:
        """The units that are being made."""
        return [worker.unit for worker in self._busy.values() if worker.unit is not None]

    def make(self, units: Iterable[Unit], told: Callable[[], None] = lambda: None) -> None:
        """Have units made, beside those asked for before; return when some worker has nothing to do, and something was made.

        Args:
            units: what is missing.
            told: called now and then.

        Raises:
            RunError: a mistake that a worker tells, or a unit whose workers died again and again.
        """
        new = [unit for unit in units if unit not in self._known]
        self._known.update(new)
        self._queue.extend(new)
        done = 0
        while not (done and self._idle and not self._queue) and (self._queue or self.at_work()):
            self._look()
            while self._idle and self._queue:
                worker = self._idle.pop()
                worker.unit = self._queue.popleft()
                self._busy[worker.actor.make.remote(*worker.unit)] = worker
            if self._busy:
                ready, _ = self._ray.wait([*self._busy], timeout=LOOK_SECONDS)
                done += sum(self._end(reference) for reference in ready)
            else:
                time.sleep(LOOK_SECONDS)  # no machine is left, and there is work
            told()

    def _end(self, reference: Any) -> int:
        """Take note of the end of what a worker did; how many units were made."""
        worker = self._busy.pop(reference)
        unit, worker.unit = worker.unit, None
        errors = self._ray.exceptions
        try:
            problem = self._ray.get(reference)
        except errors.RayTaskError:
            raise  # a mistake of ours
        except errors.RayError as error:
            self._resting[worker.node] = time.monotonic() + NODES_SECONDS
            self._lose(unit, error)
            return 0
        if problem:
            raise RunError(problem)
        self._idle.append(worker)
        if unit is None:
            del self._deaths[None]
        else:
            self._known.discard(unit)
        return int(unit is not None)

    def _lose(self, unit: Unit | None, error: Exception) -> None:
        """A worker died, with its unit or before it had begun."""
        self._deaths[unit] += 1
        if self._deaths[unit] > self._retries:
            what = (
                "the workers do not begin" if unit is None else f"{unit[0]}: shard {unit[2]} of {unit[1]} is given up"
            )
            told = shortened(printable(" ".join(str(error).split())), 300)
            raise RunError(
                f"{what}, since {self._deaths[unit]} of them ended (killed for their memory, or their machine lost): {told}; "
                "what is made is kept, and the same command goes on"
            )
        if unit is not None:
            self._notify(f"a worker was lost: shard {unit[2]} of {unit[1]} goes to another")
            self._queue.appendleft(unit)

    def _look(self) -> None:
        """Begin workers on machines that have none, and forget idle ones of machines that are gone."""
        now = time.monotonic()
        if now - self._looked < NODES_SECONDS and self._busy:
            return
        self._looked = now
        alive = {node["NodeID"]: node["Resources"] for node in self._ray.nodes() if node["Alive"]}
        self._idle = [worker for worker in self._idle if worker.node in alive]
        having = {worker.node for worker in [*self._idle, *self._busy.values()]}
        for node, resources in alive.items():
            if node not in having and self._resting.get(node, 0.0) < now:
                self._begin(node, resources)

    def _begin(self, node: str, resources: dict[str, float]) -> None:
        """Begin the workers of a machine; each is given work when its process is there."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
        count = self._per_node or max(1, gpus)
        if cores:
            count = min(count, cores)
        # Ray lets a worker have as many threads as cores.
        share = {"num_cpus": cores // count, "num_gpus": gpus // count if gpus >= count else gpus / count}
        actor = self._ray.remote(
            **share, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False), max_restarts=0
        )(_Actor)
        for _ in range(count):
            begun = actor.remote(self._maker)
            self._busy[begun.ready.remote()] = _Worker(begun, node)


def _check_listening(address: str) -> None:
    """Ray itself tries for minutes to reach what is not there.

    Raises:
        ConfigError: no HOST:PORT, or nothing listens there.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdecimal():
        raise ConfigError(f"engine.address: {shortened(printable(address))} is not HOST:PORT of a Ray cluster's head")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"engine.address: no Ray cluster at {shortened(printable(address))}: {error}; begin one by `ray start --head`"
        ) from None


class _Actor:
    """A worker's process: does what it is asked, one after the other."""

    def __init__(self, maker: Callable[[], Maker]) -> None:
        self._maker = maker()

    def ready(self) -> str:
        """Nothing is wrong."""
        return ""

    def make(self, folder: str, stage: str, number: int) -> str:
        """Make a unit; a mistake of the user's is returned in words, and everything else raised."""
        try:
            self._maker.make(folder, stage, number)
        except NesycdError as error:
            return str(error)
        return ""
