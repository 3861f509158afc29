"""A request as the ledger's call: its hash, what it may cost at most, and what its answer did cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from nesycd.core.records import content_hash
from nesycd.llm.chat import Request
from nesycd.llm.endpoint import Endpoint, Reply
from nesycd.llm.ledger import Answer, Call
from nesycd.llm.prices import Price


@dataclass(frozen=True)
class Costs:
    """What calls to an endpoint cost; `price` is None where it is unknown."""

    endpoint: Endpoint
    price: Price | None

    def call(self, request: Request) -> Call:
        """The request as the ledger knows it; its key is no part of the hash."""
        given = {"max_tokens": request.max_tokens, "temperature": float(request.temperature)}
        content: dict[str, Any] = {
            "model": self.endpoint.model,
            "origin": self.endpoint.origin,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            "parameters": {**self.endpoint.parameters, **given},
            "schema": None if request.schema is None else dict(request.schema),
            "sample": request.sample,
        }
        if self.endpoint.api != "openai":
            # Named only here, so that what ledgers hold of the first form stays known.
            content["api"] = self.endpoint.api
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = content_hash(content, length=32)
        return Call(digest, request.key, self.endpoint.model, self.endpoint.origin, text, self.most(request))

    def most(self, request: Request) -> int | None:
        """The most that a call may cost, in pico-dollars."""
        return None if self.price is None else self.price.cost(most_tokens(request), request.max_tokens)

    def answer(self, reply: Reply, call: Call, seconds: float) -> Answer:
        """What the ledger keeps of a reply. Without usable usage the call counts with what was reserved for it."""
        if reply.usage is None:
            return Answer(reply.text, reply.failure, reply.snapshot, usd=call.usd, seconds=seconds, bound=1)
        read, written, cached = reply.usage
        usd = None if self.price is None else self.price.cost(read, written, cached)
        return Answer(reply.text, reply.failure, reply.snapshot, read, written, usd, seconds)


def about_tokens(request: Request) -> int:
    """About how many tokens a prompt has: one for four bytes, and a few for each message."""
    return sum(4 + len(message.content.encode()) // 4 for message in request.messages)


def most_tokens(request: Request) -> int:
    """How many tokens a prompt has at most: no tokeniser makes two of one byte, and templates add little."""
    schema = 0 if request.schema is None else len(json.dumps(request.schema).encode())
    return 64 + schema + sum(32 + len(message.content.encode()) for message in request.messages)
