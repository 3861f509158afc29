"""Work that takes longer than a page may: one thread does it in turn, pages ask how far it is, and people may cancel it.

One thread, since the student answers one caller at a time; it waits in no event loop.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from nesycd.core.errors import NesycdError

MOST_WAITING = 16
_MOST_KEPT = 200
log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Raised in a job that somebody cancelled, where it reports how far it is."""


class Busy(NesycdError):
    """Too many jobs wait already."""


@dataclass
class Job:
    """A piece of work.

    Attributes:
        kind: `ask`, `what-if` or `check`.
        owner: who asked for it.
        given: what it is about, for its page.
        state: `waits`, `runs`, `done`, `failed` or `cancelled`.
        done, total, note: how far it is.
        result: of one that is done; `problem`: of one that failed, in a sentence.
    """

    id: str
    kind: str
    owner: str
    given: dict[str, Any]
    state: str = "waits"
    done: int = 0
    total: int = 0
    note: str = ""
    result: Any = None
    problem: str = ""
    begun: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    finished: threading.Event = field(default_factory=threading.Event)

    def tell(self, done: int = 0, total: int = 0, note: str = "") -> None:
        """Say how far it is.

        Raises:
            Cancelled: somebody cancelled it.
        """
        self.done, self.total, self.note = done, total, note or self.note
        if self.stop.is_set():
            raise Cancelled

    @property
    def is_over(self) -> bool:
        """Whether it ended, in whatever way."""
        return self.state in ("done", "failed", "cancelled")

    @property
    def seconds(self) -> float:
        """Since it was asked for, until it ended."""
        return (self.ended or time.monotonic()) - self.begun


class Jobs:
    """The jobs of a server, the latest of them kept with their results."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "review-job")
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, kind: str, owner: str, given: dict[str, Any], work: Callable[[Job], Any]) -> Job:
        """Have something done when its turn comes.

        Raises:
            Busy: too many wait.
        """
        job = Job(secrets.token_urlsafe(12), kind, owner, given)
        with self._lock:
            if sum(not one.is_over for one in self._jobs.values()) >= MOST_WAITING:
                raise Busy(f"{MOST_WAITING} questions wait to be answered already; try again when some are done")
            self._jobs[job.id] = job
            for old in [one for one in self._jobs.values() if one.is_over][: max(0, len(self._jobs) - _MOST_KEPT)]:
                del self._jobs[old.id]
        self._pool.submit(self._run, job, work)
        return job

    def get(self, job_id: str) -> Job | None:
        """A job by its id."""
        return self._jobs.get(job_id)

    def ahead(self, job: Job) -> int:
        """How many are done before it."""
        with self._lock:
            before = list(self._jobs.values())
        return sum(not one.is_over for one in before[: before.index(job)]) if job in before else 0

    def cancel(self, job: Job) -> None:
        """End a job at its next step; one that waits is ended at once."""
        job.stop.set()
        if job.state == "waits":
            self._end(job, "cancelled")

    def close(self) -> None:
        """Cancel all jobs and wait for the one that runs."""
        for job in list(self._jobs.values()):
            job.stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, work: Callable[[Job], Any]) -> None:
        if job.is_over:
            return
        job.state = "runs"
        try:
            job.result = work(job)
            self._end(job, "done")
        except Cancelled:
            self._end(job, "cancelled")
        except NesycdError as error:
            job.problem = str(error)
            self._end(job, "failed")
        except Exception:
            log.exception("a job of the review pages failed")
            job.problem = "an unexpected error; the server's log has its details"
            self._end(job, "failed")

    def _end(self, job: Job, state: str) -> None:
        job.state, job.ended = state, time.monotonic()
        job.finished.set()
