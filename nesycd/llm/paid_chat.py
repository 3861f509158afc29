"""A chat over any endpoint whose calls are all kept in the ledger, capped, and never paid for twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.errors import TeacherError
from nesycd.core.records import content_hash
from nesycd.llm.chat import Completion, Request
from nesycd.llm.costs import Costs, about_tokens
from nesycd.llm.endpoint import Endpoint
from nesycd.llm.ledger import PICO, Ledger
from nesycd.llm.prices import Price
from nesycd.llm.sending import Limits, Session


@dataclass(frozen=True)
class Estimate:
    """What requests would cost, before any is sent."""

    requests: int
    cached: int
    """How many of them the ledger answers, or knows to wait in a batch."""
    prompt_tokens: int
    """About."""
    completion_tokens: int | None
    """About: as long as this model's answers were so far; None where the ledger has none."""
    max_completion_tokens: int
    usd: float | None
    """About; None where the price or the length of the answers is unknown."""
    max_usd: float | None
    """At most; None where the price is unknown."""


class PaidChat:
    """A `Chat` over an endpoint and the ledger.

    Args:
        endpoint: the model at its server.
        ledger: path of the ledger.
        price: what the model costs; None: unknown.
        limits: see `Limits`.
        tell: called with sentences on what the server does not take.

    Raises:
        TeacherError: `max_usd` is given and the price is unknown.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Path,
        price: Price | None,
        limits: Limits,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        if limits.budget.max_usd is not None and price is None:
            raise TeacherError(
                f"teacher.api.max_usd: the price of {endpoint.model!r} at {endpoint.origin} is unknown; give it in a "
                "price table (teacher.api.prices or NESYCD_PRICES; `nesycd ledger prices` shows the form), or set "
                "max_calls instead"
            )
        self.name = endpoint.model
        self.ledger = ledger
        self.price = price
        self.limits = limits
        asked = [] if endpoint.api == "openai" else [endpoint.api]
        self.fingerprint = content_hash(["chat/1", endpoint.model, endpoint.origin, dict(endpoint.parameters), *asked])
        self._costs = Costs(endpoint, price)
        self._tell = tell

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """See `Chat.complete`. What arrives is in the ledger at once, even if the caller reads no further.

        Raises:
            TeacherError: nothing more can be asked (no server, no or a wrong key, an unknown model).
        """
        if not requests:
            return
        with Ledger.open(self.ledger) as ledger:
            session = Session(self._costs, self.limits, ledger, requests, self._tell)
            try:
                yield from session.completions()
            finally:
                session.stop()

    def forget(self, keys: Sequence[str]) -> None:
        """See `Chat.forget`. What the answers cost stays known, and counts."""
        if self.ledger.exists():
            with Ledger.open(self.ledger, create=False) as ledger:
                ledger.forget(keys, self._costs.endpoint.model, self._costs.endpoint.origin)

    def estimate(self, requests: Sequence[Request]) -> Estimate:
        """What `complete` would send and cost; equal requests are sent once."""
        digests = [self._costs.call(request).hash for request in requests]
        by_hash = dict(zip(digests, requests, strict=True))
        known, mean = self._stored(by_hash)
        sent = [request for digest, request in by_hash.items() if digest not in known]
        prompt = sum(about_tokens(request) for request in sent)
        longest = sum(request.max_tokens for request in sent)
        likely = None if mean is None else min(longest, round(mean * len(sent)))
        usd = most = None
        if self.price is not None:
            usd = None if likely is None else self.price.cost(prompt, likely) / PICO
            most = sum(self._costs.most(request) or 0 for request in sent) / PICO
        cached = sum(digest in known for digest in digests)
        return Estimate(len(requests), cached, prompt, likely, longest, usd, most)

    def _stored(self, digests: Iterable[str]) -> tuple[set[str], float | None]:
        """Which requests the ledger answers, and how many tokens this model's answers had on average."""
        if not self.ledger.exists():
            return set(), None
        with Ledger.open(self.ledger, create=False) as ledger:
            known = {digest for digest in digests if ledger.answer(digest) is not None}
            return known, ledger.mean_completion_tokens(self.name)
