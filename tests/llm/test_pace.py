"""Rate limits are read from headers, and nothing is sent sooner than they allow."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from nesycd.llm.pace import LONGEST_WAIT, Bucket, Pace, backoff, retry_after


def test_a_bucket_fills_up_steadily_to_its_limit() -> None:
    bucket = Bucket(limit=10.0, rate=2.0, level=1.0, at=0.0)
    assert bucket.wait(1.0, 0.0) == 0.0
    bucket.take(1.0)
    assert bucket.wait(1.0, 0.0) == 0.5
    assert bucket.wait(1.0, 0.5) == 0.0
    assert bucket.wait(100.0, 100.0) == 0.0, "what is larger than the limit goes when the bucket is full"
    bucket.take(100.0)
    assert bucket.wait(1.0, 100.0) == pytest.approx(45.5)


def spent(headers: Mapping[str, str], turns: int, tokens: int = 1) -> float:
    async def go() -> float:
        pace = Pace()
        pace.learn(headers)
        began = time.monotonic()
        for _ in range(turns):
            await pace.turn(tokens)
        return time.monotonic() - began

    return asyncio.run(go())


def learned(headers: Mapping[str, str]) -> dict[str, float]:
    """Units a second of each limit that was read."""

    async def go() -> dict[str, float]:
        pace = Pace()
        pace.learn(headers)
        return {kind: bucket.rate for kind, bucket in pace._buckets.items()}

    return asyncio.run(go())


@pytest.mark.parametrize(
    ("reset", "rate"),
    [("", 10.0), ("30s", 20.0), ("500ms", 1200.0), ("1m0s", 10.0), ("60", 10.0)],
)
def test_what_is_used_up_is_back_when_the_server_says(reset: str, rate: float) -> None:
    headers = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "0"}
    assert learned(headers | {"x-ratelimit-reset-requests": reset}) == {"requests": rate}


def test_anthropics_headers_are_read_too() -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
    told = {"limit": "6000", "remaining": "0", "reset": soon}
    headers = {f"anthropic-ratelimit-tokens-{what}": value for what, value in told.items()}
    assert learned(headers) == {"tokens": pytest.approx(100.0, rel=0.1)}


@pytest.mark.parametrize("limit", ["", "none", "0", "nan", "-3"])
def test_headers_that_make_no_sense_limit_nothing(limit: str) -> None:
    assert learned({"x-ratelimit-limit-requests": limit, "x-ratelimit-remaining-requests": "0"}) == {}


def test_nothing_goes_sooner_than_the_limits_allow() -> None:
    requests = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "1"}
    assert spent(requests, 3) >= 0.19
    tokens = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "0"}
    assert spent(tokens, 1, tokens=20) >= 0.19


def test_a_pause_holds_for_everyone() -> None:
    async def go() -> float:
        pace = Pace()
        pace.pause(0.2)
        began = time.monotonic()
        await asyncio.gather(*(pace.turn(1) for _ in range(5)))
        return time.monotonic() - began

    assert asyncio.run(go()) >= 0.19


def test_how_long_to_wait_before_a_retry() -> None:
    chance = random.Random(1)
    assert all(0.25 <= backoff(1, chance) <= 0.5 for _ in range(50))
    assert all(LONGEST_WAIT / 2 <= backoff(50, chance) <= LONGEST_WAIT for _ in range(50))
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after-ms": "250", "retry-after": "3"}) == 0.25
    assert retry_after({}) is retry_after({"retry-after": "soon"}) is retry_after({"retry-after": "inf"}) is None
    asked = retry_after({"retry-after": format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)})
    assert asked is not None and 27 < asked <= 30
