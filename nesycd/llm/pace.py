"""When a request may be sent: rate limits learned from the server's headers, and how long to wait before a retry."""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
"""Seconds before the first retry, and before any, where the server says nothing."""
_DAY = 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_PREFIXES = ("x-ratelimit-{what}-{kind}", "x-ratelimit-{kind}-{what}", "anthropic-ratelimit-{kind}-{what}")


def backoff(tries: int, chance: random.Random) -> float:
    """Seconds to wait after so many failed tries: doubled each time, with jitter so that retries do not come together."""
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(tries - 1, 20)) * chance.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait (`retry-after-ms`, or `Retry-After` as seconds or date)."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError):
        return None


@dataclass
class Bucket:
    """A limit as a bucket that fills up steadily: `level` units may be used now, `rate` more each second."""

    limit: float
    rate: float
    level: float
    at: float

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much may be used; more than the limit is let through when the bucket is full."""
        self._fill(now)
        return max(0.0, (min(amount, self.limit) - self.level) / self.rate)

    def take(self, amount: float) -> None:
        """Use so much; the level may fall below zero."""
        self.level -= amount

    def told(self, limit: float, remaining: float, rate: float, now: float) -> None:
        """The server's own count: the level never stands above it."""
        self._fill(now)
        self.limit, self.rate = limit, rate
        self.level = min(self.level, remaining)

    def _fill(self, now: float) -> None:
        self.level = min(self.limit, self.level + (now - self.at) * self.rate)
        self.at = now


class Pace:
    """Lets requests go one after the other, none sooner than the server's limits allow.

    Nothing is known of the limits until the first answer tells them.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._paused_until = 0.0

    async def turn(self, tokens: int) -> None:
        """Wait until a request of about so many tokens (prompt and longest answer) may go."""
        async with self._turn:
            while (wait := self._wait(tokens)) > 0:
                await asyncio.sleep(wait)
            for kind, bucket in self._buckets.items():
                bucket.take(_amount(kind, tokens))

    def pause(self, seconds: float) -> None:
        """Let nothing go for so long: the server asked for it."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Read the limits of requests and tokens from an answer's headers."""
        now = time.monotonic()
        for kind in ("requests", "tokens"):
            limit, remaining, reset = (_header(headers, kind, what) for what in ("limit", "remaining", "reset"))
            try:
                most, left = float(limit), float(remaining)
            except ValueError:
                continue
            if most <= 0 or not 0 <= left <= most:
                continue
            rate = _rate(most, left, _seconds(reset))
            bucket = self._buckets.setdefault(kind, Bucket(most, rate, left, now))
            bucket.told(most, left, rate, now)

    def _wait(self, tokens: int) -> float:
        now = time.monotonic()
        waits = [bucket.wait(_amount(kind, tokens), now) for kind, bucket in self._buckets.items()]
        return max([self._paused_until - now, *waits])


def _amount(kind: str, tokens: int) -> float:
    return float(tokens) if kind == "tokens" else 1.0


def _rate(limit: float, remaining: float, reset: float) -> float:
    """Units a second: what is used up is back after `reset` seconds; where that says nothing, the limit is a minute's."""
    if reset > 0 and limit - remaining >= 1:
        return max((limit - remaining) / reset, limit / _DAY)
    return limit / 60.0


def _header(headers: Mapping[str, str], kind: str, what: str) -> str:
    for form in _PREFIXES:
        if found := headers.get(form.format(what=what, kind=kind)):
            return found
    return ""


def _seconds(text: str) -> float:
    """`6m0s`, `20ms`, `12` or an RFC 3339 time as seconds from now; 0 where it is none of them."""
    if parts := _DURATION.findall(text):
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return max(0.0, (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
