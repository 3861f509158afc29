"""The middlewares against rebinding, large bodies and floods, and tokens: what they let through, and what not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from nesycd.core.errors import ConfigError
from nesycd.serving.safety import (
    BodyLimit,
    Buckets,
    HostCheck,
    RateLimit,
    Role,
    SecurityHeaders,
    bearer,
    is_loopback,
    json_refusal,
    loopback_hosts,
    new_token,
    read_tokens,
)


def client(wrap: Any, host: str = "localhost:8000") -> TestClient:
    async def size(request: Request) -> JSONResponse:
        return JSONResponse({"bytes": len(await request.body()), "token": bearer(request.scope)})

    app = Starlette(routes=[Route("/", size, methods=["GET", "POST"])])
    return TestClient(wrap(app), base_url=f"http://{host}", raise_server_exceptions=False)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_this_machines_names_are_answered(host: str) -> None:
    assert client(lambda app: HostCheck(app, loopback_hosts())).get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.io", ""]
)
def test_other_names_that_lead_here_are_not(host: str) -> None:
    answer = client(lambda app: HostCheck(app, loopback_hosts(), json_refusal)).get("/", headers={"host": host})
    assert answer.status_code == 421 and "host name" in answer.json()["error"]["message"]


def test_without_names_any_is_answered() -> None:
    assert client(lambda app: HostCheck(app, None)).get("/", headers={"host": "nesycd.example"}).status_code == 200


def test_headers_forbid_what_no_page_needs_and_those_of_an_answer_stay() -> None:
    headers = client(lambda app: SecurityHeaders(app, cache="no-store")).get("/").headers
    assert (
        "default-src 'none'" in headers["content-security-policy"]
        and "unsafe" not in headers["content-security-policy"]
    )
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "same-origin")
    assert headers["content-type"] == "application/json" and headers["cache-control"] == "no-store"


def test_bodies_are_limited_whatever_their_headers_say() -> None:
    asked = client(lambda app: BodyLimit(app, 1000, json_refusal))
    assert asked.post("/", content=b"x" * 1000).json()["bytes"] == 1000
    assert asked.post("/", content=b"x" * 1001).status_code == 413

    def pieces() -> Iterator[bytes]:
        yield from (b"x" * 100 for _ in range(1000))

    answer = asked.post("/", content=pieces())  # chunked: no length is said
    assert answer.status_code == 413 and "more than 1,000 bytes" in answer.json()["error"]["message"]
    for length in ("-1", "x", "9" * 400, "1e9"):
        assert asked.post("/", content=b"", headers={"content-length": length}).status_code in (400, 413)


def test_bodies_that_do_not_come_are_not_waited_for() -> None:
    told: list[Message] = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        assert (await receive())["type"] == "http.disconnect"  # whenever it leaves
        told.append({"type": "left"})

    async def asked(*body: Message, leaves: float) -> None:
        came = [*body]

        async def receive() -> Message:
            if came:
                return came.pop(0)
            await asyncio.sleep(leaves)
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            told.append(message)

        scope = {"type": "http", "headers": []}
        await BodyLimit(application, 100, json_refusal, seconds=0.05)(scope, receive, send)

    part = {"type": "http.request", "body": b"x", "more_body": True}
    asyncio.run(asked(part, leaves=60))
    assert told[0]["status"] == 408 and b"did not come within 0.05 s" in told[1]["body"]
    told.clear()
    asyncio.run(asked(part, {**part, "more_body": False}, leaves=0.2))
    assert told == [{"type": "left"}]


def test_floods_are_slowed_down_and_told_when_to_come_again() -> None:
    asked = client(lambda app: RateLimit(app, rate=0.5, burst=3, counts=lambda scope: scope["method"] == "POST"))
    assert [asked.post("/").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    assert int(asked.post("/").headers["retry-after"]) in (2, 3)
    assert asked.get("/").status_code == 200


def test_buckets_fill_again_and_forget_clients_that_are_gone() -> None:
    now = [0.0]
    buckets = Buckets(rate=2.0, burst=2, clock=lambda: now[0])
    assert [buckets.wait("a"), buckets.wait("a"), buckets.wait("a")] == [0.0, 0.0, 0.5]
    assert buckets.wait("b") == 0.0
    now[0] = 0.5
    assert buckets.wait("a") == 0.0 and buckets.wait("a") == 0.5
    for number in range(12_000):
        buckets.wait(str(number))
    assert len(buckets._left) == 10_000


@pytest.mark.parametrize(
    "header, token",
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", ""),
        ("abc", ""),
        ("Bearer", ""),
    ],
)
def test_the_token_of_a_header(header: str, token: str) -> None:
    answer = client(lambda app: app).get("/", headers=[(b"authorization", header.encode("latin-1"))])
    assert answer.json()["token"] == token


def test_tokens_stand_for_people_with_roles(tmp_path: Path) -> None:
    path, ann, bob = tmp_path / "tokens.txt", new_token(), new_token()
    path.write_text(f"# who\n\nadmin {ann} Ann Lee\nReader {bob} Bob\n", encoding="utf-8")
    path.chmod(0o600)
    tokens = read_tokens(path)
    found = tokens.grant_of(ann)
    assert found is not None and (found.name, found.role) == ("Ann Lee", Role.ADMIN)
    assert [tokens.grant_of(one) for one in ("", ann[:-1], ann + "x", "\ud800", ann.upper())] == [None] * 5
    assert Role.ADMIN > Role.REVIEWER > Role.READER and bool(tokens)


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "holds no token"),
        ("admin short Ann\n", "line 1: the token has 5 characters"),
        ("boss " + "x" * 30 + " Ann\n", "line 1: 'boss' is no role"),
        ("\nadmin " + "x" * 30 + "\n", "line 2: must be `role token name`"),
        (f"admin {'x' * 30} Ann\nreader {'x' * 30} Bob\n", "line 2: the same token"),
    ],
)
def test_a_file_of_tokens_that_cannot_be_used_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError) as raised:
        read_tokens(path)
    assert told in str(raised.value) and "x" * 30 not in str(raised.value)


def test_a_file_of_tokens_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    path.write_text(f"admin {'x' * 30} Ann\n", encoding="utf-8")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_tokens(path)
    with pytest.raises(ConfigError):
        read_tokens(tmp_path / "nowhere.txt")


def test_addresses_of_this_machine() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.1", "example.org", "")))
