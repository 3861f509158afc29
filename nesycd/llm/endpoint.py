"""One way to a server: what `PaidChat` sends requests through, and what comes of one sending."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from nesycd.llm.chat import Request

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

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the server takes it, as far as is known."""
        ...

    def learn(self, refused: Mapping[str, Any], told: str) -> None:
        """What a refusal (400, 422) says about a body: from now on such bodies are made in another way."""
        ...

    def read(self, content: Any) -> Reply:
        """The reply in an answer's JSON, whatever is in it.

        Raises:
            ValueError: none is.
        """
        ...

    def connect(self, concurrency: int) -> Connection:
        """Open a way for so many requests at once; to be called within the event loop that uses it.

        Raises:
            TeacherError: no key where one is needed.
        """
        ...


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
