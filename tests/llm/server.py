"""An OpenAI-compatible server that misbehaves as it is told, in a process of its own: `python server.py '{"chaos": 1}'`.

It prints its port, then answers `POST /v1/chat/completions`, or in Anthropic's form `POST /v1/messages`
(`server_anthropic.py`), and keeps batches for both (`server_batches.py`). What it does is chosen by the first word of the last
message (one of `ACTS`, else it answers), or with `chaos` by lot. `GET /log` tells what was done to each message, in order;
`GET /most` how many requests were there at once, `GET /batches` and `/files` how many of them were made; `GET /new` forgets
all, `GET /lose` the batches. Settings: `chaos` (the seed), `latency` (seconds), `limit` (requests a minute, told in headers),
`key` (which it then repeats), `looks` (at a batch until it ends), `stall` (a path whose first POST is served but never
answered), `elsewhere` (a server to which a `redirect` leads). Below another path than `/v1` it has nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import server_anthropic
from server_batches import RAW, Batches
from server_faults import FAULTS

SETTINGS: dict[str, Any] = {"chaos": 0, "latency": 0.0, "limit": 0, "key": "", "looks": 1, "stall": ""}
SETTINGS["elsewhere"] = ""
SETTINGS |= json.loads(sys.argv[1])
LOG: defaultdict[str, list[str]] = defaultdict(list)
BODIES: list[dict[str, Any]] = []
SENT: list[float] = []
BEARERS: list[str] = []
CHAOS = (
    ["answer"] * 40
    + ["length", "refusal", "empty", "bad-usage", "no-usage"] * 3
    + ["storm"] * 12
    + ["error-500", "error-503", "reset", "truncated", "malformed", "error-408"] * 4
    + ["error-400", "slow"]
)
STATE = {"storm_until": 0.0, "now": 0, "most": 0}


def answer(
    content: Any = "", finish: str = "stop", usage: Any = None, **message: Any
) -> tuple[int, Any, dict[str, str]]:
    if usage is None:
        usage = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    told = {"id": "c", "object": "chat.completion", "created": 1, "model": "m-2026-01-01", "choices": [choice]}
    return 200, {**told, "usage": usage}, {}


def error(status: int, message: str = "no", **headers: str) -> tuple[int, Any, dict[str, str]]:
    return (
        status,
        {"error": {"message": message, "type": "t"}},
        {name.replace("_", "-"): v for name, v in headers.items()},
    )


def particular(body: dict[str, Any], wrong: str, message: str) -> tuple[int, Any, dict[str, str]]:
    return error(400, message) if wrong in body else answer("ok")


def storm(body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    if time.monotonic() > STATE["storm_until"] + 0.2:
        STATE["storm_until"] = time.monotonic() + 0.05
    return error(429, retry_after_ms="20")


ACTS: dict[str, Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]]] = {
    "answer": lambda body: answer("right: " + body["messages"][-1]["content"]),
    "slow": lambda body: answer("right, after a while"),
    "length": lambda body: answer("cut", finish="length"),
    "refusal": lambda body: answer(None, refusal="I will not"),
    "filtered": lambda body: answer("", finish="content_filter"),
    "empty": lambda body: answer(" \n"),
    "parts": lambda body: answer([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]),
    "bad-usage": lambda body: answer("right", usage={"prompt_tokens": -5, "completion_tokens": 10**15}),
    "no-usage": lambda body: answer("right", usage="none"),
    "cached": lambda body: answer(
        "right",
        usage={"prompt_tokens": 20, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 10}},
    ),
    "storm": storm,
    "once-429": lambda body: error(429, retry_after="0.2"),
    "once-500": lambda body: error(500),
    "once-malformed": lambda body: (200, b"{not json", {}),
    "malformed": lambda body: (200, b'{"choices": [{"mess', {}),
    "no-credit": lambda body: error(429, "You exceeded your current quota (insufficient_quota)"),
    "echo-key": lambda body: error(400, f"the header was Bearer {SETTINGS['key']}"),
    "echo-key-in-answer": lambda body: answer(f"my key is {SETTINGS['key']}"),
    "needs-completion-tokens": lambda body: particular(
        body, "max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    ),
    "needs-default": lambda body: particular(
        body, "temperature", "Unsupported value: 'temperature' does not support 0.7. Only the default (1) is supported."
    ),
    "needs-free-text": lambda body: particular(
        body,
        "output_config" if "output_config" in body else "response_format",
        "output_config.format: structured outputs are not supported" if "output_config" in body else "response_format",
    ),
    "overloaded": lambda body: error(529, "Overloaded"),
    "once-overloaded": lambda body: error(529, "Overloaded", retry_after="0.01"),
    "low-credit": lambda body: error(400, "Your credit balance is too low to access the Anthropic API"),
    "expired": lambda body: (0, None, {}),
    "once-expired": lambda body: (0, None, {}),
    "redirect": lambda body: (307, b"", {"location": f"{SETTINGS['elsewhere']}/chat/completions"}),
    "once-redirect-here": lambda body: (307, b"", {"location": "/v1/chat/completions"}),
    "redirect-round": lambda body: (308, b"", {"location": "/v1/chat/completions"}),
    **FAULTS,
}


def act_for(text: str, body: dict[str, Any]) -> str:
    if not SETTINGS["chaos"]:
        act = text.split()[0]
        known = act in ACTS or act.startswith("error-") or act in ("hang", "reset", "truncated")
        return "answer" if not known or (act.startswith("once-") and LOG[text]) else act
    if time.monotonic() < STATE["storm_until"]:
        return "storm"
    return random.Random(f"{SETTINGS['chaos']} {text} {len(LOG[text])}").choice(CHAOS)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while await one(reader, writer):
            pass
    writer.close()


async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = first.split()
    path, query = urlsplit(target).path, dict(parse_qsl(urlsplit(target).query))
    if {"batches", "files"} & set(path.split("/")[2:]):
        keeper = BATCHES.anthropic if path.startswith("/v1/messages") else BATCHES.openai
        status, content = keeper(method, path, query, headers, raw)
        BEARERS.append(headers.get("authorization", ""))
        if method == "POST" and path == SETTINGS["stall"]:
            SETTINGS["stall"] = ""
            await asyncio.sleep(60)
        await write(writer, status, content, {})
        return True
    if method == "GET":
        await write(writer, 200, told(path), {})
        return True
    if not path.startswith("/v1/"):
        await write(writer, 404, {"detail": "Not Found"}, {})
        return True
    body = json.loads(raw)
    text = body["messages"][-1]["content"]
    act = noted(text, body, headers)
    STATE["now"] += 1
    STATE["most"] = max(STATE["most"], STATE["now"])
    try:
        if path == "/v1/messages" and (wrong := server_anthropic.refused(body, headers)):
            await write(writer, 400, server_anthropic.error(400, wrong), {})
            return True
        return await perform(act, body, writer, path)
    finally:
        STATE["now"] -= 1


def told(path: str) -> Any:
    if path == "/new":
        for kept in (LOG, BODIES, SENT, BEARERS, BATCHES.files, BATCHES.made):
            kept.clear()
        BATCHES.created = 0
    if path == "/lose":
        BATCHES.made.clear()
    what = {
        "/new": 0,
        "/lose": 0,
        "/log": LOG,
        "/bodies": BODIES,
        "/sent": SENT,
        "/most": STATE["most"],
        "/bearers": BEARERS,
    }
    return {**what, "/batches": BATCHES.created, "/files": len(BATCHES.files)}[path]


def noted(text: str, body: dict[str, Any], headers: dict[str, str]) -> str:
    act = act_for(text, body)
    LOG[text].append(act)
    if len(BODIES) < 100:
        BODIES.append({**body, "authorization": headers.get("authorization", "").lower().startswith("bearer sk-")})
        SENT.append(time.time())
    return act


def row(text: str, body: dict[str, Any]) -> tuple[str, int, Any]:
    """A row of a batch: what is done to it, and what comes of it."""
    act = noted(text, body, {})
    if act.startswith("error-"):
        status, content, _ = error(int(act.removeprefix("error-")))
    else:
        status, content, _ = ACTS[act](body)
    if isinstance(content, bytes):
        try:
            content = json.loads(content)
        except (ValueError, RecursionError):
            content = {RAW: act}
    return act, status, content


async def perform(act: str, body: dict[str, Any], writer: asyncio.StreamWriter, path: str) -> bool:
    # By its own word, so that a test can wait longer for one message than for another.
    await asyncio.sleep(SETTINGS["latency"] + (0.3 if act == "slow" else 0.0))
    if act == "hang":
        await asyncio.sleep(60)
    if act == "reset":
        writer.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER: close by a reset
        return False
    if act.startswith("error-"):
        status, content, headers = error(int(act.removeprefix("error-")))
    else:
        status, content, headers = ACTS["answer" if act == "truncated" else act](body)
    anthropic = path == "/v1/messages"
    if anthropic:
        content = server_anthropic.translated(status, content)
    if SETTINGS["limit"]:
        left = str(max(0, SETTINGS["limit"] - len(SENT)))
        form = "anthropic-ratelimit-requests-{}" if anthropic else "x-ratelimit-{}-requests"
        headers |= {form.format("limit"): str(SETTINGS["limit"]), form.format("remaining"): left}
    await write(writer, status, content, headers, cut=30 if act == "truncated" else 0)
    return act != "truncated"


async def write(writer: asyncio.StreamWriter, status: int, content: Any, headers: dict[str, str], cut: int = 0) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(
        [f"HTTP/1.1 {status} x", "content-type: application/json", f"content-length: {len(data)}", *lines]
    )
    writer.write(f"{head}\r\n\r\n".encode() + (data[:-cut] if cut else data))
    await writer.drain()


BATCHES = Batches(row, SETTINGS["looks"])


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
