"""The ledger for an event loop: its work is done in a thread, so that it does not block the loop.

Another process may hold the ledger's write lock for seconds. Done within the loop, a wait for it would stop the clock of every
call: answers that are there would not be read, and be taken for late, and be paid for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nesycd.llm.ledger import Answer, Budget, Call, Claim, Ledger

T = TypeVar("T")


class LedgerThread:
    """An open ledger as the tasks of one event loop use it.

    What is begun is done whole and in the order of asking, also where the task that asked is cancelled meanwhile: it is
    cancelled after that.

    Args:
        ledger: nobody else's as long as the loop runs.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nesycd-ledger")

    def close(self) -> None:
        """End the thread; the ledger stays open."""
        self._thread.shutdown()

    async def claim(self, call: Call, budget: Budget) -> Claim:
        """See `Ledger.claim`. What is granted to a task that is cancelled meanwhile is given back."""
        granted: list[int] = []

        def claim() -> Claim:
            made = self._ledger.claim(call, budget)
            granted.append(made.call)
            return made

        try:
            return await self._done(claim)
        except asyncio.CancelledError:
            if any(granted):
                await self.release(granted[0], "interrupted before it was sent")
            raise

    async def settle(self, number: int, call: Call, answer: Answer) -> None:
        """See `Ledger.settle`."""
        await self._done(lambda: self._ledger.settle(number, call, answer))

    async def release(self, number: int, reason: str) -> None:
        """See `Ledger.release`."""
        await self._done(lambda: self._ledger.release(number, reason))

    async def lose(self, number: int, reason: str) -> None:
        """See `Ledger.lose`."""
        await self._done(lambda: self._ledger.lose(number, reason))

    async def _done(self, act: Callable[[], T]) -> T:
        """Wait for the end of an act, whatever comes; a cancellation is raised then."""
        doing = asyncio.get_running_loop().run_in_executor(self._thread, act)
        cancelled: asyncio.CancelledError | None = None
        while not doing.done():
            try:
                await asyncio.wait([doing])
            except asyncio.CancelledError as error:
                cancelled = error
        made = doing.result()
        if cancelled is not None:
            raise cancelled
        return made
