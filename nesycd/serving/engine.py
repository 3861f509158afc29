"""Engines write the answers of a server: here with the run's student in this process, elsewhere through another server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from nesycd.core.errors import ModelError, NesycdError
from nesycd.core.protocols import Generation, Prompt, Session, Student
from nesycd.methods.predict import Adapter, Ask
from nesycd.students.memory import is_out_of_memory
from nesycd.students.sessions import session_of

Tell = Callable[[str], None]
"""Called with the whole text of an answer so far, which only grows."""
_BEGUN_AT_ONCE = 16
"""Most answers that are begun in one step: the others wait while prompts are read."""


class Engine(Protocol):
    """Writes answers, many at a time. A caller that is cancelled gives its answer up."""

    async def write(self, ask: Ask, tell: Tell) -> Generation:
        """Answer one prompt.

        Raises:
            NesycdError: it cannot be answered.
        """
        ...

    async def warm(self, adapter: Adapter | None) -> None:
        """Have what this adapter's answers need loaded.

        Raises:
            NesycdError: it cannot be loaded.
        """
        ...

    @property
    def running(self) -> int:
        """How many answers are being written."""
        ...

    async def close(self) -> None:
        """Give up all answers and release what is held."""
        ...


@dataclass(eq=False)
class _Job:
    key: str
    ask: Ask
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Generation]
    tell: Tell
    dropped: bool = False


@dataclass(eq=False)
class _Open:
    """A session with its unfinished jobs."""

    session: Session
    jobs: dict[str, _Job] = field(default_factory=dict)


class LocalEngine:
    """The student in this process: one thread goes from token to token with all unfinished answers (continuous batching).

    Args:
        student: of the run.
        most_rows: most answers that are written at once; the others wait. Halved where memory runs out.
    """

    def __init__(self, student: Student, most_rows: int) -> None:
        self._student, self._most = student, most_rows
        self._numbers = count()
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._loading: deque[tuple[Adapter | None, asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()
        self._open: dict[str, _Open] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    @property
    def running(self) -> int:
        """See `Engine`."""
        return sum(len(one.jobs) for one in [*self._open.values()])

    async def write(self, ask: Ask, tell: Tell) -> Generation:
        """See `Engine`."""
        loop = asyncio.get_running_loop()
        job = _Job(str(next(self._numbers)), ask, loop, loop.create_future(), tell)
        with self._changed:
            if self._closed:
                raise ModelError("the server is being shut down")
            self._jobs.append(job)
            self._changed.notify()
        try:
            return await job.done
        finally:
            if job.done.cancelled():
                with self._changed:
                    job.dropped = True
                    self._changed.notify()

    async def warm(self, adapter: Adapter | None) -> None:
        """See `Engine`."""
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[None] = loop.create_future()
        with self._changed:
            self._loading.append((adapter, loop, loaded))
            self._changed.notify()
        await loaded

    async def close(self) -> None:
        """See `Engine`."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    # --- the thread -------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait():
            self._load()
            new = self._taken()
            for opened in [*self._open.values()]:
                for job in [job for job in opened.jobs.values() if job.dropped]:
                    opened.session.drop(job.key)
                    del opened.jobs[job.key]
            told: list[tuple[_Job, str | Generation | Exception]] = []
            for job in new:
                try:
                    opened = self._opened(job.ask.adapter)
                except Exception as error:
                    told.append((job, error))
                else:
                    opened.jobs[job.key] = job
            begun = {job.key for job in new}
            for name in [name for name, opened in self._open.items() if opened.jobs]:
                told += self._stepped(name, begun)
            _deliver(told)
        _deliver([(job, ModelError("the server is being shut down")) for job in self._all_jobs()])

    def _wait(self) -> bool:
        """Wait for something to do; False where the engine was closed."""
        with self._changed:
            while not (self._closed or self._jobs or self._loading or self.running):
                self._changed.wait()
            return not self._closed

    def _load(self) -> None:
        while self._loading:
            adapter, loop, loaded = self._loading.popleft()
            try:
                self._opened(adapter)
            except Exception as error:
                _call(loop, _set_error, loaded, error)
            else:
                _call(loop, _set_result, loaded, None)

    def _taken(self) -> list[_Job]:
        """Waiting jobs for which there is room, first come first served."""
        with self._changed:
            taken: list[_Job] = []
            while self._jobs and len(taken) < min(_BEGUN_AT_ONCE, self._most - self.running):
                if not (job := self._jobs.popleft()).dropped:
                    taken.append(job)
            return taken

    def _opened(self, adapter: Adapter | None) -> _Open:
        name = "" if adapter is None else adapter.fingerprint
        if name not in self._open:
            self._open[name] = _Open(session_of(self._student, None if adapter is None else adapter.path))
        return self._open[name]

    def _stepped(self, name: str, begun: set[str]) -> list[tuple[_Job, str | Generation | Exception]]:
        """Begin the new jobs of a session and go on with all of them; its jobs fail together where it fails."""
        opened = self._open[name]
        new = [job for job in opened.jobs.values() if job.key in begun]
        try:
            if new:
                prompts = [Prompt(job.key, job.ask.prompt, job.ask.tools, job.ask.question) for job in new]
                opened.session.begin(prompts, [job.ask.decoding for job in new])
            made = opened.session.step()
        except Exception as error:
            del self._open[name]
            jobs = [*opened.jobs.values()]
            if is_out_of_memory(error) and len(jobs) > 1:
                # They begin again from their prompts, fewer at once.
                self._most = max(1, len(jobs) // 2)
                with self._changed:
                    self._jobs.extendleft(reversed(jobs))
                return []
            return [(job, error) for job in jobs]
        told: list[tuple[_Job, str | Generation | Exception]] = []
        for key, text in made.items():
            job = opened.jobs[key] if isinstance(text, str) else opened.jobs.pop(key)
            told.append((job, text))
        return told

    def _all_jobs(self) -> list[_Job]:
        with self._changed:
            return [*self._jobs, *(job for opened in self._open.values() for job in opened.jobs.values())]


def _deliver(told: list[tuple[_Job, str | Generation | Exception]]) -> None:
    """Hand texts and results over to the event loops that wait for them."""
    for loop in {job.loop for job, _ in told}:
        _call(loop, _hand_over, [(job, what) for job, what in told if job.loop is loop])


def _hand_over(told: list[tuple[_Job, str | Generation | Exception]]) -> None:
    for job, what in told:
        if job.done.done():
            continue
        if isinstance(what, Generation):
            job.done.set_result(what)
        elif isinstance(what, Exception):
            job.done.set_exception(_as_error(what))
        else:
            job.tell(what)


def _as_error(error: Exception) -> Exception:
    return error if isinstance(error, NesycdError) else ModelError(f"the student failed: {type(error).__name__}")


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *args: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
        loop.call_soon_threadsafe(function, *args)


def _set_result(future: asyncio.Future[None], value: None) -> None:
    if not future.done():
        future.set_result(value)


def _set_error(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(_as_error(error))
