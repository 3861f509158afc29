"""A chat over a provider's batch API, which may be interrupted and continued later.

Requests without a stored answer are recorded in the ledger, submitted in batches and waited for; the same requests after an
interruption or a crash find their batches by the ledger. Only rows that expired or failed temporarily are submitted again.
Caps apply as for single calls: the greatest cost of a batch is reserved before it is submitted.
"""

from __future__ import annotations

import functools
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from nesycd.core.errors import TeacherError
from nesycd.llm.batch_ledger import Batches, Row
from nesycd.llm.batches import Batch, BatchEndpoint, BatchServer, BatchStatus
from nesycd.llm.chat import Completion, Request
from nesycd.llm.client import FORMS, SCHEMA_WORDS
from nesycd.llm.costs import Costs
from nesycd.llm.endpoint import SCHEMA, Reply, SendError
from nesycd.llm.ledger import Answer, Ledger
from nesycd.llm.pace import backoff, retry_after
from nesycd.llm.paid_chat import PaidChat
from nesycd.llm.prices import Price
from nesycd.llm.sending import TRIES_WITHOUT_SERVER, Limits, completion, told

SETTLE = 60.0
"""Seconds after which a submission that nobody saw end, and that the server does not know, did not happen."""
RESUBMISSIONS = 3
"""How often a row that expired or failed is submitted again, at most."""
_CHUNK = 500
"""Rows whose ends are written down together."""
T = TypeVar("T")


class BatchChat(PaidChat):
    """A `Chat` over an endpoint's batch API and the ledger.

    Args:
        endpoint: the model at its server.
        ledger: path of the ledger.
        price: what the model costs in single calls; None: unknown.
        limits: see `Limits`; `retries` is for what is asked of the batch API, concurrency does not matter.
        poll: seconds between two looks at batches that are waited for.
        tell: called with sentences on submissions and their progress.

    Raises:
        TeacherError: `max_usd` is given and the price of batches is unknown.
    """

    def __init__(
        self,
        endpoint: BatchEndpoint,
        ledger: Path,
        price: Price | None,
        limits: Limits,
        poll: float = 60.0,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        if limits.budget.max_usd is not None and price is not None and price.batch is None:
            raise TeacherError(
                f"teacher.api.max_usd: the price of {endpoint.model!r} at {endpoint.origin} in batches is unknown; add "
                "`batch = 0.5` (or whatever share of the price it is) to the row of your price table"
            )
        super().__init__(endpoint, ledger, None if price is None else price.in_batches(), limits, tell)
        self._endpoint = endpoint
        self._poll = poll

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """See `Chat.complete`.

        Raises:
            TeacherError: nothing more can be asked, or a batch failed as a whole or was cancelled.
        """
        if not requests:
            return
        with Ledger.open(self.ledger) as ledger:
            work = _Work(self._endpoint, self._costs, self.limits, ledger, requests, self._poll, self._tell)
            try:
                yield from work.completions()
            except KeyboardInterrupt:
                work.say_how_to_return()
                raise
            finally:
                work.close()

    def _stored(self, digests: Iterable[str]) -> tuple[set[str], float | None]:
        """What waits in batches is paid for as well."""
        known, mean = super()._stored(digests)
        if self.ledger.exists():
            with Ledger.open(self.ledger, create=False) as ledger:
                known |= Batches(ledger, self._endpoint).waiting().keys()
        return known, mean


class _Work:
    """One list of requests being answered in batches."""

    def __init__(
        self,
        endpoint: BatchEndpoint,
        costs: Costs,
        limits: Limits,
        ledger: Ledger,
        requests: Sequence[Request],
        poll: float,
        tell: Callable[[str], None],
    ) -> None:
        self._endpoint, self._costs, self._limits = endpoint, costs, limits
        self._ledger, self._batches = ledger, Batches(ledger, endpoint)
        self._requests = requests
        self._poll, self._tell = poll, tell
        calls = [costs.call(request) for request in requests]
        self._hashes = [call.hash for call in calls]
        self._calls = {call.hash: call for call in calls}
        self._asked = dict(zip(self._hashes, requests, strict=True))
        self._known = {digest for digest in self._asked if ledger.answer(digest) is not None}
        self._open = [digest for digest in self._asked if digest not in self._known]
        self._failed: dict[str, str] = {}
        self._unanswered: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._wanted: set[int] = set()
        self._full: set[int] = set()
        self._trouble = ""
        self._reached = False
        self._said: set[str] = set()
        self._chance = random.Random()
        self._server: BatchServer | None = None

    # --- the caller's side --------------------------------------------------------------------------------------------

    def completions(self) -> Iterator[Completion]:
        """In the order of the requests."""
        place = 0
        for look in itertools.count():
            while place < len(self._requests) and (found := self._completion(place)) is not None:
                yield found
                place += 1
            if place == len(self._requests):
                return
            if look:
                time.sleep(self._poll)
            self._collect()
            self._submit()
        raise AssertionError("unreachable")

    def _completion(self, place: int) -> Completion | None:
        request, digest = self._requests[place], self._hashes[place]
        if digest in self._failed:
            return Completion(request.key, "", failure=self._failed[digest], unanswered=digest in self._unanswered)
        answer = self._ledger.answer(digest)
        if answer is None:
            return None
        cached = digest in self._known
        # Repeated requests are answered from the ledger.
        self._known.add(digest)
        return completion(request, answer, cached=cached)

    def say_how_to_return(self) -> None:
        """Tell whoever interrupts what becomes of the batches."""
        if names := [batch.remote or batch.name for batch in self._batches.open()]:
            self._tell(
                f"{_shown(names)} stay at {self._endpoint.origin} and are answered meanwhile (`nesycd ledger show`); "
                "run the same command again to collect the answers"
            )

    def close(self) -> None:
        """Let go of the server."""
        if self._server is not None:
            self._server.close()

    # --- submitting ---------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        """Submit what is neither answered nor waiting; what no cap will let through fails."""
        waiting = self._batches.waiting()
        if self._full and self._full <= set(waiting.values()):
            return
        self._full = set()
        missing = [digest for digest in self._open if digest not in waiting]
        while missing:
            rows = self._cut(missing)
            plan = self._batches.plan([self._calls[digest] for digest in rows], self._limits.budget)
            if plan.batch is not None:
                self._send(plan.batch, {digest: body for digest, body in rows.items() if digest in plan.granted})
            if plan.cap:
                self._fail_at_cap([digest for digest in missing if digest not in plan.granted], plan.cap)
                return
            missing = missing[len(rows) :]

    def _cut(self, digests: Sequence[str]) -> dict[str, dict[str, object]]:
        """Bodies of as many of the first requests as one batch may hold."""
        server, size = self._connected(), 0
        taken: dict[str, dict[str, object]] = {}
        for digest in digests[: server.most_rows]:
            body = self._endpoint.body(self._asked[digest])
            size += len(server.row("x" * 64, body))
            if taken and size > server.most_bytes:
                break
            taken[digest] = body
        return taken

    def _fail_at_cap(self, digests: Sequence[str], cap: str) -> None:
        """Give up what does not fit, unless what waits or is in flight may leave room in the end."""
        budget = self._limits.budget
        with self._ledger.writing() as connection:
            later = self._ledger.has_room_later(connection, budget)
        if not later and not any(batch.budget == budget.name for batch in self._batches.open()):
            self._fail(dict.fromkeys(digests, f"cap: {cap}, raise it to go on"), unanswered=True)
        else:
            self._say(f"waiting for batches to end: {cap}")

    def _send(self, batch: Batch, bodies: dict[str, dict[str, object]]) -> None:
        """Submit a batch that stands in the ledger. Where nobody knows whether it was taken, it is looked for later."""
        server = self._connected()
        rows = [server.row(batch.row_id(digest), body) for digest, body in bodies.items()]
        try:
            upload = self._patiently(lambda: server.upload(batch, rows))
        except BaseException:
            self._batches.end(batch, "unpaid", "not uploaded")
            raise
        batch = self._batches.uploaded(batch, upload)
        for tries in itertools.count(1):
            try:
                remote = server.create(batch, rows)
            except SendError as error:
                if error.reached and (error.paid or error.status >= 500) and error.status != 529:
                    self._batches.touch(batch)
                    self._say(f"it is not known whether a batch was taken ({error.reason}); looking for it")
                    return
                if (wait := self._wait_after(error, tries)) is None:
                    self._batches.end(batch, "unpaid", error.reason)
                    raise self._gave_up(told(error, tries)) from None
                time.sleep(wait)
                self._batches.touch(batch)
            else:
                self._batches.submitted(batch, remote)
                self._tell(
                    f"submitted batch {remote}: {len(rows)} requests to {self._endpoint.model} at {self._endpoint.origin}; "
                    "this may take a day: you may interrupt it (Ctrl-C) and run the same command again"
                )
                return

    # --- collecting ---------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Look at every batch that has not ended, and read the answers of those that have."""
        waiting, statuses = self._batches.waiting(), []
        self._wanted = {waiting[digest] for digest in self._open if digest in waiting}
        for batch in self._batches.open():
            self._connected()
            try:
                if status := self._look_at(batch):
                    statuses.append(f"{batch.remote} ({status.told})")
            except TeacherError as error:
                # One that nobody asks for now stops nobody.
                if batch.id in self._wanted:
                    name = batch.remote or batch.name
                    lost = f"(if it is lost: `nesycd ledger prune --batch {name}`)"
                    raise TeacherError(f"batch {name}: {error} {lost}") from None
        self._open = [digest for digest in self._open if self._is_open(digest)]
        if self._trouble:
            raise self._gave_up(self._trouble)
        if statuses:
            self._say(f"waiting for {_shown(statuses)}")

    def _look_at(self, batch: Batch) -> BatchStatus | None:
        """How a batch stands that is still at work; the answers of one that has ended are read."""
        server = self._connected()
        if not batch.remote:
            self._search(batch)
            return None
        status = self._patiently(functools.partial(server.status, batch))
        if not status.ended:
            return status
        self._take(batch, status)
        return None

    def _is_open(self, digest: str) -> bool:
        return digest not in self._failed and self._ledger.answer(digest) is None

    def _search(self, batch: Batch) -> None:
        """Find out what became of a batch whose submission nobody saw end."""
        if not self._batches.adopt(batch):
            return
        found = self._patiently(lambda: self._connected().find(batch, self._batches.known()))
        if found.remote:
            self._batches.submitted(batch, found.remote)
            self._tell(f"found batch {found.remote}, whose submission was interrupted")
        elif found.unsure:
            self._say(f"batch {found.unsure} may be one whose submission was interrupted: waiting for it to end")
        elif time.time() - batch.touched >= SETTLE:
            self._batches.end(batch, "unpaid", "not submitted")

    def _take(self, batch: Batch, status: BatchStatus) -> None:
        """Read how each row of a batch ended."""
        if status.failure:
            self._batches.end(batch, "unpaid", status.failure)
            others = {other.id for other in self._batches.open() if other.remote}
            if status.full and others:
                self._full = others
                self._say(f"too much waits at {self._endpoint.origin} already: going on when another batch has ended")
            elif batch.id in self._wanted:
                self._trouble = f"batch {batch.remote} failed: {status.failure}"
            return
        failed = self._patiently(lambda: self._read(batch, status))
        self._judge(failed)
        state = "possibly_paid" if status.whole else "unpaid"
        self._batches.end(batch, state, status.told)
        if status.cancelled and batch.id in self._wanted:
            self._trouble = f"batch {batch.remote} was cancelled"

    def _read(self, batch: Batch, status: BatchStatus) -> list[tuple[Row, SendError]]:
        """Write down the ends of a batch's rows; gives those that failed. Can be repeated: what is written stays."""
        rows = self._batches.rows(batch)
        failed: list[tuple[Row, SendError]] = []
        ends: list[tuple[Row, Answer | tuple[str, str]]] = []
        for name, end in self._connected().results(status):
            row = rows.pop(name, None)
            if row is None:
                continue
            if isinstance(end, Reply):
                # How long the model took is not told.
                ends.append((row, self._costs.answer(end, row.call, seconds=0.0)))
                if end.note:
                    self._say(f"{self._endpoint.model} at {self._endpoint.origin} {end.note}")
            else:
                failed.append((row, end))
            if len(ends) >= _CHUNK:
                self._batches.settle(ends)
                ends = []
        # What failed is written down at the end: a reading that breaks off shall meet it again.
        ends += [(row, ("possibly_paid" if end.paid else "unpaid", end.reason)) for row, end in failed]
        self._batches.settle(ends)
        return failed

    def _judge(self, failed: Sequence[tuple[Row, SendError]]) -> None:
        """Which of the failed rows are hopeless; the others are submitted again."""
        ours = [(row.call.hash, end) for row, end in failed if row.call.hash in self._asked]
        bodies = {digest: self._endpoint.body(self._asked[digest]) for digest, end in ours if end.status in FORMS}
        for digest, end in ours:
            refused = self._endpoint.refused(bodies[digest], end) if digest in bodies else frozenset[str]()
            # A round takes hours, so nothing is left out on suspicion.
            if SCHEMA not in refused or SCHEMA_WORDS.search(end.told):
                self._endpoint.leave_out(refused)
        for digest, end in ours:
            self._tries[digest] += 1
            if digest in bodies and self._endpoint.body(self._asked[digest]) != bodies[digest]:
                continue
            if end.fatal:
                self._trouble = end.reason
            elif not end.retry or self._tries[digest] > min(self._limits.retries, RESUBMISSIONS):
                self._fail({digest: told(end, self._tries[digest])}, unanswered=end.retry)

    # --- both ---------------------------------------------------------------------------------------------------------

    def _fail(self, reasons: dict[str, str], unanswered: bool) -> None:
        self._failed |= reasons
        self._unanswered |= reasons.keys() if unanswered else set()
        self._open = [digest for digest in self._open if digest not in reasons]

    def _connected(self) -> BatchServer:
        if self._server is None:
            self._server = self._endpoint.batches()
        return self._server

    def _patiently(self, act: Callable[[], T]) -> T:
        """Do what changes nothing if it is done twice, and again after a passing failure.

        Raises:
            TeacherError: it failed for good.
        """
        for tries in itertools.count(1):
            try:
                done = act()
            except SendError as error:
                if (wait := self._wait_after(error, tries)) is None:
                    raise self._gave_up(told(error, tries)) from None
                time.sleep(wait)
            else:
                # An upload that is no step of its own gives "", and reaches nothing.
                self._reached |= bool(done)
                return done
        raise AssertionError("unreachable")

    def _wait_after(self, error: SendError, tries: int) -> float | None:
        """Seconds until the next try; None where there is none."""
        allowed = self._limits.retries if error.reached or self._reached else TRIES_WITHOUT_SERVER - 1
        if not error.retry or tries > min(allowed, self._limits.retries):
            return None
        return max(backoff(tries, self._chance), retry_after(error.headers) or 0.0)

    def _gave_up(self, reason: str) -> TeacherError:
        where = f"{self._endpoint.model} at {self._endpoint.origin}"
        return TeacherError(f"{where}: {reason}; what arrived until now is kept, run again to go on")

    def _say(self, text: str) -> None:
        """Tell how things stand, once."""
        if text not in self._said:
            self._said.add(text)
            self._tell(text)


def _shown(names: Sequence[str]) -> str:
    """`batch a`, or `3 batches: a, b, c`."""
    return f"batch {names[0]}" if len(names) == 1 else f"{len(names)} batches: {', '.join(names)}"
