"""Requests to a language model and their completions: the interface between teachers and clients.

A teacher makes `Request`s and reads `Completion`s, independent of servers and cost. A `Chat` sends them, independent of
rationales and diagnoses. A failed request gives a completion with the reason, not an exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

CUT = "length"
"""The failure of an answer that was cut off at its request's `max_tokens`."""
_TURN_OFF = "turn the model's reasoning off or down (teacher.api.parameters)"
REASONED = f"all reasoning: it ends before an answer; {_TURN_OFF}"
"""The failure of an answer that ended before the model came to it."""
CUT_REASONING = f"all reasoning: it took the whole of max_tokens; raise teacher.ask.max_tokens, or {_TURN_OFF}"
"""The failure of an answer that was cut off before the model came to it."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Request:
    """A request to a language model."""

    key: str
    """Names it in progress and failures, e.g. `rationale:gsm8k-train-00056:0`."""
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float = 0.0
    sample: int = 0
    """Index of the sample: otherwise equal requests with another index are sent again."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the server may enforce; None: free text."""


@dataclass(frozen=True)
class Completion:
    """The completion of the request with this key."""

    key: str
    text: str
    """"" where it failed; what there is of one that was cut off."""
    failure: str = ""
    """The reason: `length` (see `CUT`), `refusal: ...`, `empty`, `HTTP 400: ...`, `cap: max_usd reached`, ..."""
    unanswered: bool = False
    """Whether it failed only for now: no answer came, and the same request may be answered later."""
    model: str = ""
    """The snapshot that answered."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    """None: the price is unknown."""
    cached: bool = False
    """Served by the ledger: nothing was sent."""
    seconds: float = 0.0


@runtime_checkable
class Chat(Protocol):
    """A client that answers requests: of an API, a local server, or a fake."""

    name: str
    fingerprint: str
    """Hash of all that the answers depend on (model, base URL without secrets, parameters), never concurrency or caps."""

    def complete(self, requests: Sequence[Request]) -> Iterator[Completion]:
        """One completion for each request, in the order of the requests, yielded as soon as it and all before it are there."""
        ...

    def forget(self, keys: Sequence[str]) -> None:
        """Drop the stored answers to requests with these keys."""
        ...
