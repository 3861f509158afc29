"""One way to a server: what `PaidChat` sends requests through, and what comes of one sending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from nesycd.core.reasoning import without_reasoning
from nesycd.llm.chat import CUT, CUT_REASONING, REASONED, Request

SCHEMA = "schema"
"""The name, among those of parameters, under which a request's schema is left out."""
MOST_TOKENS = 10_000_000
"""More than any context holds: a usage that says more is an error of the server."""


@dataclass(frozen=True)
class Reply:
    """What the server answered and will charge for; `failure` where it is of no use."""

    text: str
    failure: str = ""
    snapshot: str = ""
    usage: tuple[int, int, int] | None = None
    """Tokens of the prompt, of the answer, and of the prompt those from the server's cache; None: not told rightly."""
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    """What had to be put right in it, after the words "the model"."""


class SendError(Exception):
    """A sending that brought no answer.

    Args:
        reason: what happened, without secrets.
        status: the HTTP status; 0 where there was none.
        retry: whether the same request may fare better later.
        paid: whether it may have been served, and so charged for, all the same.
        fatal: whether other requests would hardly fare better (wrong key, unknown model, no credit).
        reached: whether the server was reached at all.
        headers: those of the server's refusal.
        told: all that the server said, without secrets.
    """

    def __init__(
        self,
        reason: str,
        status: int = 0,
        *,
        retry: bool = False,
        paid: bool = False,
        fatal: bool = False,
        reached: bool = True,
        headers: Mapping[str, str] | None = None,
        told: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry = retry
        self.paid = paid
        self.fatal = fatal
        self.reached = reached
        self.headers = headers or {}
        self.told = told


class Connection(Protocol):
    """An open way to the server, of one event loop."""

    async def send(self, request: Request) -> Reply:
        """Send a request once.

        Raises:
            SendError: no answer came.
        """
        ...

    async def close(self) -> None:
        """Let go of it."""
        ...


class Endpoint(Protocol):
    """A model at a server."""

    api: str
    """The form of requests and answers: `openai` or `anthropic`."""
    model: str
    origin: str
    """Scheme, host and port."""
    parameters: dict[str, Any]
    """What is sent beside each request and decides its answer."""
    hint: str
    """What to say where no model is found at its address; "" where nothing is odd about it."""

    def body(self, request: Request, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """The request as the server takes it, as far as is known; `without` what it is tried to be sent without."""
        ...

    def refused(self, body: Mapping[str, Any], error: SendError) -> frozenset[str]:
        """What of a body the server may have refused: names of parameters, or `SCHEMA`; none where its form is not to blame."""
        ...

    def leave_out(self, names: frozenset[str]) -> list[str]:
        """Make no body with these any more; gives those that are new."""
        ...

    def read(self, content: Any) -> Reply:
        """The reply in an answer's JSON, whatever is in it.

        Raises:
            ValueError: none is.
            SendError: the server broke it off.
        """
        ...

    def connect(self, concurrency: int, tell: Callable[[str], None]) -> Connection:
        """Open a way for so many requests at once; to be called within the event loop that uses it.

        Args:
            concurrency: how many requests are on their way at once, at most.
            tell: called with sentences on what the server does not take.

        Raises:
            TeacherError: no key where one is needed.
        """
        ...


def failure_of(text: str, cut: bool, reasoned: bool) -> str:
    """Why an answer is of no use; "" where it is.

    Args:
        text: the answer, with the reasoning that stands in it.
        cut: whether it was cut off at `max_tokens`.
        reasoned: whether the server told reasoning apart from it.
    """
    if without_reasoning(text).strip():
        return CUT if cut else ""
    if reasoned or text.strip():
        return CUT_REASONING if cut else REASONED
    return CUT if cut else "empty"


def broken_off(stop: object) -> SendError:
    """An answer that the server did not finish, for reasons of its own."""
    return SendError(f"HTTP 200: the server broke the answer off ({stop})", 200, retry=True, paid=True)


def clean_usage(prompt: object, completion: object, cached: object = None) -> tuple[int, int, int] | None:
    """A server's usage figures, or None where they cannot be true."""
    read, written, known = _tokens(prompt), _tokens(completion), 0 if cached is None else _tokens(cached)
    if read is None or written is None or known is None or known > read:
        return None
    return read, written, known


def _tokens(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None
