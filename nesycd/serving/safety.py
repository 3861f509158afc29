"""What keeps an HTTP server safe: middlewares against DNS rebinding, large bodies and floods, security headers, and tokens.

Pure ASGI, knowing neither pages nor models. From the outside in: `SecurityHeaders`, `HostCheck`, `RateLimit`, `BodyLimit`.

Example:
    >>> from starlette.applications import Starlette
    >>> app = SecurityHeaders(HostCheck(BodyLimit(Starlette(), 1000), loopback_hosts()))
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nesycd.core.errors import ConfigError
from nesycd.core.files import read_text

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere, in nobody's frame."""
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
LEAST_TOKEN = 20
"""Characters of a token: shorter ones can be guessed."""
_MOST_CLIENTS = 10_000

Refusal = Callable[[int, str], tuple[str, bytes]]
"""Status and reason of a refused request to the content type and body of the answer."""


def plain_refusal(status: int, reason: str) -> tuple[str, bytes]:
    """The reason as a line of text."""
    return "text/plain; charset=utf-8", f"{reason}\n".encode()


def json_refusal(status: int, reason: str) -> tuple[str, bytes]:
    """The reason as OpenAI-compatible servers give it."""
    kind = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    error = {"message": reason, "type": kind.get(status, "invalid_request_error"), "param": None, "code": None}
    return "application/json", json.dumps({"error": error}).encode()


# --- hosts ------------------------------------------------------------------------------------------------------------


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def loopback_hosts() -> frozenset[str]:
    """The names under which a browser reaches a server on this machine."""
    return frozenset({"localhost", "127.0.0.1", "[::1]"})


class HostCheck:
    """Refuses requests whose `Host` is none of `hosts`: a page elsewhere may have its name resolve to this machine.

    Args:
        app: the application.
        hosts: names without ports; None: any, for servers that ask for a token anyway.
        refusal: how refusals are told.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] | None, refusal: Refusal = plain_refusal) -> None:
        self.app, self.refusal = app, refusal
        self.hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        given = [value for name, value in scope["headers"] if name == b"host"]
        host = given[0].decode("latin-1").lower() if len(given) == 1 else ""
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if not host or (self.hosts is not None and name not in self.hosts):
            return await _refuse(scope, send, self.refusal, 421, "this server does not answer to that host name")
        return await self.app(scope, receive, send)


# --- headers ----------------------------------------------------------------------------------------------------------


class SecurityHeaders:
    """Adds headers that forbid browsers what no page needs; those that an answer has already stay.

    Args:
        app: the application.
        policy: its Content-Security-Policy.
        cache: Cache-Control of answers that say none.
    """

    def __init__(self, app: ASGIApp, policy: str = PAGE_POLICY, cache: str = "no-store") -> None:
        self.app = app
        self.headers = {
            b"content-security-policy": policy.encode(),
            b"x-content-type-options": b"nosniff",
            b"x-frame-options": b"DENY",
            # `no-referrer` would make browsers send `Origin: null` with forms.
            b"referrer-policy": b"same-origin",
            b"cross-origin-opener-policy": b"same-origin",
            b"cross-origin-resource-policy": b"same-origin",
            b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
            b"cache-control": cache.encode(),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", ())}
                more = [(name, value) for name, value in self.headers.items() if name not in there]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        return await self.app(scope, receive, with_headers)


# --- bodies -----------------------------------------------------------------------------------------------------------


class _Unfit(Exception):
    """A body that grew over the limit, or does not come."""


class BodyLimit:
    """Refuses bodies of more than `most` bytes, whatever their headers say, with 413; those that do not come with 408.

    Args:
        app: the application.
        most: bytes.
        refusal: how refusals are told.
        seconds: that a body may take to come.
    """

    def __init__(self, app: ASGIApp, most: int, refusal: Refusal = plain_refusal, seconds: float = 30.0) -> None:
        self.app, self.most, self.refusal, self.seconds = app, most, refusal, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        too_large = f"the request's body has more than {self.most:,} bytes"
        for name, value in scope["headers"]:
            if name == b"content-length":
                if not value.isdigit():
                    return await _refuse(scope, send, self.refusal, 400, "Content-Length is no number")
                if len(value) > 15 or int(value) > self.most:
                    return await _refuse(scope, send, self.refusal, 413, too_large)
        got, begun, whole, status = 0, False, False, 0
        deadline = asyncio.get_running_loop().time() + self.seconds

        async def counted() -> Message:
            nonlocal got, whole, status
            try:
                # After the body comes only that the client leaves, whenever that is.
                async with asyncio.timeout_at(None if whole else deadline):
                    message = await receive()
            except TimeoutError:
                status = 408
                raise _Unfit from None
            got, whole = got + len(message.get("body", b"")), whole or not message.get("more_body", False)
            if got > self.most:
                status = 413
                raise _Unfit
            return message

        async def watched(message: Message) -> None:
            # What the application makes of the exception is not told.
            nonlocal begun
            if not status:
                begun = begun or message["type"] == "http.response.start"
                await send(message)

        try:
            await self.app(scope, counted, watched)
        except Exception:
            if not status:
                raise
        if status and not begun:
            slow = f"the request's body did not come within {self.seconds:g} s"
            await _refuse(scope, send, self.refusal, status, too_large if status == 413 else slow)


# --- rates ------------------------------------------------------------------------------------------------------------


class Buckets:
    """Token buckets by key: `burst` at once, then `rate` a second. Holds at most some thousand keys, the latest used."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str, cost: float = 1.0) -> float:
        """Take `cost` from a key's bucket; gives 0.0, or, where nothing was taken, the seconds until it can be."""
        now = self._clock()
        left, at = self._left.pop(key, (float(self.burst), now))
        left = min(float(self.burst), left + (now - at) * self.rate)
        missing = cost - left
        self._left[key] = (left - cost if missing <= 0 else left, now)
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        return max(0.0, missing / self.rate)


class RateLimit:
    """Refuses a client's requests with 429 and `Retry-After` where they come too fast. A client is an address.

    Args:
        app: the application.
        rate, burst: requests a second, and at once.
        refusal: how refusals are told.
        counts: which requests count; all where not given.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate: float,
        burst: int,
        refusal: Refusal = plain_refusal,
        counts: Callable[[Scope], bool] = lambda scope: True,
    ) -> None:
        self.app, self.refusal, self.counts = app, refusal, counts
        self.buckets = Buckets(rate, burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.counts(scope):
            client = scope.get("client")
            if wait := self.buckets.wait(client[0] if client else ""):
                seconds = max(1, round(wait + 0.5))
                reason = f"too many requests; try again in {seconds} s"
                return await _refuse(scope, send, self.refusal, 429, reason, {"retry-after": str(seconds)})
        return await self.app(scope, receive, send)


async def _refuse(
    scope: Scope, send: Send, refusal: Refusal, status: int, reason: str, headers: Mapping[str, str] | None = None
) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    kind, body = refusal(status, reason)
    told = {"content-type": kind, "content-length": str(len(body)), "connection": "close", **(headers or {})}
    raw = [(name.encode(), value.encode()) for name, value in told.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


# --- tokens -----------------------------------------------------------------------------------------------------------


class Role(IntEnum):
    """What a client may do; each may do what those before it may."""

    READER = 1
    REVIEWER = 2
    ADMIN = 3


@dataclass(frozen=True)
class Grant:
    """Who a token stands for, and what they may do."""

    name: str
    role: Role


class Tokens:
    """Tokens by their hashes, so that no token lies in memory longer than a request."""

    def __init__(self, grants: Mapping[str, Grant] | None = None) -> None:
        """`grants`: by token."""
        self._by_hash = {_hashed(token): grant for token, grant in (grants or {}).items()}

    def __bool__(self) -> bool:
        return bool(self._by_hash)

    def grant_of(self, token: str) -> Grant | None:
        """Whom a token stands for; None where nobody. All are compared, in constant time each."""
        given, found = _hashed(token), None
        for known, grant in self._by_hash.items():
            if hmac.compare_digest(known, given):
                found = grant
        return found


def new_token() -> str:
    """A token that nobody guesses (256 bits)."""
    return secrets.token_urlsafe(32)


def bearer(scope: Scope) -> str:
    """The token of a request's `Authorization: Bearer` header; "" where there is none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            kind, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if kind.lower() == "bearer" else ""
    return ""


def read_tokens(path: Path) -> Tokens:
    """Tokens from a file of lines `role token name`; empty lines and those that begin with `#` do not count.

    Raises:
        ConfigError: it cannot be read or holds none, others may read it, or a line cannot be used: named by its number.
    """
    text = read_text(path, ConfigError)
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise ConfigError(f"{path}: others may read these tokens; forbid it by: chmod 600 {path}")
    grants: dict[str, Grant] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path}: line {number}"
        parts = line.split(maxsplit=2)
        if len(parts) != 3:
            raise ConfigError(f"{where}: must be `role token name`, such as: reviewer {new_token()} Ann")
        role, token, name = parts
        if role.upper() not in Role.__members__:
            raise ConfigError(f"{where}: {role!r} is no role; use reader, reviewer or admin")
        if len(token) < LEAST_TOKEN:
            raise ConfigError(f"{where}: the token has {len(token)} characters, and needs {LEAST_TOKEN} at least")
        if token in grants:
            raise ConfigError(f"{where}: the same token stands in a line before")
        grants[token] = Grant(name.strip(), Role[role.upper()])
    if not grants:
        raise ConfigError(f"{path}: holds no token; write lines such as: reviewer {new_token()} Ann")
    return Tokens(grants)


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
