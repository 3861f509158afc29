"""Sending many requests at once, each through the ledger: claimed before it goes, settled when its answer is there.

The sending runs in a thread of its own with its event loop. Where the caller stops early (Ctrl-C, an error), nothing more
is sent, and what is on its way is given `GRACE` seconds to arrive. Nothing in the loop waits for the disk: the ledger has a
thread too (`ledger_thread.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from nesycd.core.errors import TeacherError
from nesycd.core.reasoning import without_reasoning
from nesycd.llm.chat import CUT, Completion, Request
from nesycd.llm.costs import Costs, about_tokens
from nesycd.llm.endpoint import Connection, SendError
from nesycd.llm.ledger import PICO, Answer, Budget, Call, Claim, Ledger
from nesycd.llm.ledger_thread import LedgerThread
from nesycd.llm.pace import Pace, backoff, retry_after

GRACE = 5.0
"""Seconds that calls on their way may still take after an interruption."""
AHEAD = 1024
"""How many requests beyond the one that the caller waits for may be answered, at least."""
LONGEST_PAUSE = 3600.0
"""A server that asks for a longer pause is not waited for."""
PATIENCE = 4
"""So many times more retries are made where the server only asks to be asked more slowly (429)."""
TRIES_WITHOUT_SERVER = 3
"""After so many a server that has not answered at all is given up."""
_POLL_SECONDS = 0.1
_TELL_EVERY = 32


@dataclass(frozen=True)
class Limits:
    """How requests are sent; none of it decides an answer.

    Attributes:
        concurrency: calls on their way at once, at most.
        retries: how often a call is sent again after a passing failure.
        budget: what the caps count. Requests that do not fit below them fail, one by one.
    """

    concurrency: int = 8
    retries: int = 8
    budget: Budget = field(default_factory=lambda: Budget("default"))


class Session:
    """One list of requests being answered.

    Args:
        costs: the endpoint, and what calls to it cost.
        limits: see `Limits`.
        ledger: open, and this session's alone.
        requests: what is asked.
        tell: called with sentences on what the server does not take.
    """

    def __init__(
        self, costs: Costs, limits: Limits, ledger: Ledger, requests: Sequence[Request], tell: Callable[[str], None]
    ) -> None:
        self._costs = costs
        self._tell_user = tell
        self._limits = limits
        self._ledger = LedgerThread(ledger)
        self._requests = list(requests)
        self._arrived: queue.SimpleQueue[tuple[int, Completion] | BaseException] = queue.SimpleQueue()
        self._given = 0
        self._answered = False
        self._ended = False
        self._chance = random.Random()
        self._on_the_way: set[asyncio.Task[Any] | None] = set()
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._run, name="nesycd-chat", daemon=True)

    # --- the caller's side --------------------------------------------------------------------------------------------

    def completions(self) -> Iterator[Completion]:
        """In the order of the requests.

        Raises:
            TeacherError: nothing more can be asked.
        """
        ready: dict[int, Completion] = {}
        self._thread.start()
        self._started.wait()
        for place in range(len(self._requests)):
            while place not in ready:
                arrived = self._arrived.get()
                if isinstance(arrived, BaseException):
                    raise arrived
                ready[arrived[0]] = arrived[1]
            self._given = place + 1
            if place % _TELL_EVERY == 0:
                self._tell(self._make_room)
            yield ready.pop(place)

    def stop(self) -> None:
        """Send nothing more; wait a little for what is on its way. The thread has ended then."""
        if self._thread.ident is not None:
            self._tell(self._end)
            self._thread.join()

    def _tell(self, act: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may have ended
            self._loop.call_soon_threadsafe(act)

    # --- the loop's side ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._arrived.put(error)
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room, self._stopped = asyncio.Event(), asyncio.Event()
        self._pace = Pace()
        self._started.set()
        connection = self._costs.endpoint.connect(self._limits.concurrency, self._tell_user)
        places = iter(range(len(self._requests)))
        size = min(self._limits.concurrency, len(self._requests))
        workers = [asyncio.create_task(self._work(places, connection)) for _ in range(size)]
        ends = [asyncio.create_task(_first_failure(workers)), asyncio.create_task(self._stopped.wait())]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await self._drain(workers)
            self._ledger.close()
            await connection.close()
        for worker in workers:
            if not worker.cancelled() and (failure := worker.exception()):
                raise failure

    def _make_room(self) -> None:
        self._room.set()

    def _end(self) -> None:
        self._stopped.set()

    async def _drain(self, workers: Sequence[asyncio.Task[None]]) -> None:
        self._ended = True
        for worker in workers:
            if worker not in self._on_the_way:
                worker.cancel()
        _, late = await asyncio.wait(workers, timeout=GRACE)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, places: Iterator[int], connection: Connection) -> None:
        for place in places:
            while place - self._given >= max(AHEAD, 4 * self._limits.concurrency):
                self._room.clear()
                await self._room.wait()
            self._arrived.put((place, await self._completed(self._requests[place], connection)))
            if self._ended:
                return

    async def _completed(self, request: Request, connection: Connection) -> Completion:
        """Ask until there is an answer or a reason why there is none."""
        call = self._costs.call(request)
        number = 0
        try:
            for tries in itertools.count(1):
                if not number:
                    claim = await self._claim(call)
                    if claim.answer is not None:
                        return completion(request, claim.answer, cached=True)
                    if claim.cap:
                        return Completion(
                            request.key, "", failure=f"cap: {claim.cap}, raise it to go on", unanswered=True
                        )
                    number = claim.call
                try:
                    return await self._answered_by(connection, request, call, number)
                except SendError as error:
                    if (wait := self._wait_after(error, tries)) is None:
                        await self._close(number, error)
                        return Completion(request.key, "", failure=told(error, tries), unanswered=error.retry)
                    if error.paid:
                        await self._ledger.lose(number, error.reason)
                        number = 0
                    await asyncio.sleep(wait)
        except asyncio.CancelledError:
            if number:
                await self._ledger.release(number, "interrupted before it was sent")
            raise
        raise AssertionError("unreachable")

    async def _claim(self, call: Call) -> Claim:
        while (claim := await self._ledger.claim(call, self._limits.budget)).wait:
            await asyncio.sleep(_POLL_SECONDS * self._chance.uniform(0.5, 1.5))
        if claim.batch:
            raise TeacherError(
                f"request {call.key} waits in batch {claim.batch} at {call.origin}: set teacher.api.batch = true to collect "
                f"it, or give the batch up by `nesycd ledger prune --batch {claim.batch}`"
            )
        return claim

    async def _answered_by(self, connection: Connection, request: Request, call: Call, number: int) -> Completion:
        await self._pace.turn(about_tokens(request) + request.max_tokens)
        task = asyncio.current_task()
        self._on_the_way.add(task)
        began = time.monotonic()
        try:
            reply = await connection.send(request)
        except asyncio.CancelledError:
            await self._ledger.lose(number, "interrupted")
            raise
        except SendError as error:
            self._pace.learn(error.headers)
            raise
        finally:
            self._on_the_way.discard(task)
        answer = self._costs.answer(reply, call, round(time.monotonic() - began, 3))
        await self._ledger.settle(number, call, answer)
        self._answered = True
        self._pace.learn(reply.headers)
        return completion(request, answer, cached=False)

    def _wait_after(self, error: SendError, tries: int) -> float | None:
        """Seconds until the next try; None where there is none."""
        allowed = self._limits.retries * (PATIENCE if error.status == 429 else 1)
        if not error.reached and not self._answered:
            allowed = min(allowed, TRIES_WITHOUT_SERVER - 1)
        asked = retry_after(error.headers)
        if error.retry and tries <= allowed and (asked or 0.0) <= LONGEST_PAUSE:
            if asked is not None and error.status in (429, 503, 529):
                self._pace.pause(asked)
            wait = backoff(tries, self._chance)
            # A little later than asked, so that not all come back at once.
            return wait if asked is None else asked + min(wait, 1.0)
        return None

    async def _close(self, number: int, error: SendError) -> None:
        """Note how a call ended that is not tried again.

        Raises:
            TeacherError: no other request would fare better.
        """
        await (self._ledger.lose if error.paid else self._ledger.release)(number, error.reason)
        hopeless = error.fatal and (not self._answered or error.status not in (403, 404, 405))
        if hopeless or not error.reached:
            endpoint = self._costs.endpoint
            raise TeacherError(
                f"{endpoint.model} at {endpoint.origin}: {error.reason}; what arrived until now is kept, "
                "run again to go on"
            )


async def _first_failure(workers: Sequence[asyncio.Task[None]]) -> bool:
    """Wait until all have ended, or one has failed."""
    await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
    return True


def completion(request: Request, answer: Answer, *, cached: bool) -> Completion:
    """What the caller gets of an answer in the ledger, which keeps the reasoning too."""
    return Completion(
        request.key,
        without_reasoning(answer.text) if answer.failure in ("", CUT) else "",
        failure=answer.failure,
        model=answer.snapshot,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        usd=None if answer.usd is None else answer.usd / PICO,
        cached=cached,
        seconds=answer.seconds,
    )


def told(error: SendError, tries: int) -> str:
    """Why a request failed in the end."""
    return error.reason if tries == 1 else f"{error.reason} (after {tries} tries)"
