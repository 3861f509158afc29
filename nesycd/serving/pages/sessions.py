"""Who is signed in: sessions on the server behind a cookie, one-time keys for a link, and the tokens of forms.

A session is 256 random bits in a cookie that scripts and other sites cannot use (HttpOnly, SameSite=Strict); the server keeps its
hash. Every form and every request that changes something carries the session's form token besides.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from nesycd.serving.safety import Buckets, Grant, Tokens

IDLE, LONGEST = 12 * 3600.0, 7 * 86400.0
"""Seconds after which a session ends: without use, and in any case."""
_MOST = 1000
_MOST_ACTS = 100


@dataclass
class Session:
    """Somebody who is signed in.

    Attributes:
        grant: name and role.
        form_token: what their forms carry.
        acts: what `undo` takes back, the last one last: (`revision`, number), (`merge`, number), or
            (`unsure` or `wrong`, item id).
        decided: how many items they decided on.
        message: what the next page tells.
    """

    grant: Grant
    form_token: str
    begun: float
    used: float
    acts: list[tuple[str, str]] = field(default_factory=list)
    decided: int = 0
    message: str = ""

    def take_message(self) -> str:
        """The message, which is told once."""
        told, self.message = self.message, ""
        return told

    def did(self, what: str, which: str | int, items: int = 0) -> None:
        """Remember an act for `undo`."""
        self.acts.append((what, str(which)))
        del self.acts[:-_MOST_ACTS]
        self.decided += items


class Sessions:
    """Those who are signed in; safe to use from several threads.

    Args:
        tokens: who may sign in by a token.
        owner: who may sign in by a one-time key; None: nobody.
        clock: seconds.
    """

    def __init__(self, tokens: Tokens, owner: Grant | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.tokens, self.owner, self._clock = tokens, owner, clock
        self._open: OrderedDict[bytes, Session] = OrderedDict()
        self._key = b""
        self._lock = threading.Lock()
        self._tries = Buckets(rate=0.1, burst=10)

    def new_key(self) -> str:
        """A key for `by_key`, in the place of the one before."""
        key = secrets.token_urlsafe(24)
        with self._lock:
            self._key = _hash(key)
        return key

    def by_key(self, key: str) -> str | None:
        """Begin a session by a one-time key; gives the cookie's value, or None where the key is not valid any more."""
        with self._lock:
            is_right = bool(self._key) and hmac.compare_digest(self._key, _hash(key))
            if is_right:
                self._key = b""
        return self._begin(self.owner) if is_right and self.owner is not None else None

    def by_token(self, token: str) -> str | None:
        """Begin a session by a token; gives the cookie's value, or None where the token is nobody's."""
        grant = self.tokens.grant_of(token)
        return None if grant is None else self._begin(grant)

    def may_try(self, client: str) -> float:
        """Count a try to sign in; gives 0.0, or the seconds to wait before the next one."""
        with self._lock:
            return self._tries.wait(client)

    def get(self, cookie: str) -> Session | None:
        """The session of a cookie, where it is still open."""
        now = self._clock()
        with self._lock:
            session = self._open.get(_hash(cookie)) if cookie else None
            if session is None:
                return None
            if now - session.used > IDLE or now - session.begun > LONGEST:
                del self._open[_hash(cookie)]
                return None
            session.used = now
            self._open.move_to_end(_hash(cookie))
            return session

    def end(self, cookie: str) -> None:
        """Sign out."""
        with self._lock:
            self._open.pop(_hash(cookie), None)

    def _begin(self, grant: Grant) -> str:
        value, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._open[_hash(value)] = Session(grant, secrets.token_urlsafe(32), now, now)
            if len(self._open) > _MOST:
                self._open.popitem(last=False)
        return value


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
