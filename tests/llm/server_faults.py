"""What servers do that no specification has: acts of `server.py`, after reports of such servers and gateways."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from functools import cache
from typing import Any

Act = Callable[[dict[str, Any]], tuple[int, Any, dict[str, str]]]
USAGE = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
PACKED = {"content-encoding": "gzip"}


def said(
    finish: Any = "stop", usage: Any = USAGE, error: Any = None, **message: Any
) -> tuple[int, Any, dict[str, str]]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": None, **message}}
    return 200, raw({"model": "m", "choices": [choice | ({"error": error} if error else {})], "usage": usage}), {}


def nested(depth: int) -> Any:
    made: Any = "stop"
    for _ in range(depth):
        made = [made]
    return made


def raw(content: Any) -> bytes:
    return json.dumps(content).encode()


def ok(content: Any, **headers: str) -> Act:
    return lambda body: (200, content if isinstance(content, bytes) else raw(content), headers)


def packed(data: bytes, kind: str = "gzip") -> Act:
    return lambda body: (200, data, {"content-encoding": kind})


def refuses(status: int, message: str, *names: str) -> Act:
    """Refuse whatever has one of the parameters, with these words."""
    return lambda body: (
        (status, raw({"error": {"message": message}}), {}) if set(names) & body.keys() else said(content="ok")
    )


@cache
def bomb() -> bytes:
    """400 MB of nothing in 2 MB; made when it is asked for, since that takes a second."""
    return gzip.compress(bytes(400 * 2**20), 1)


def large(count: int) -> bytes:
    return b'{"x": [' + b"{}," * count + b'{}], "choices": [{"message": {"content": "right"}}]}'


DEEP = b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"

FAULTS: dict[str, Act] = {
    # reasoning
    "think": lambda body: said(content="<think>2 and 2?</think>\n\nright"),
    "think-unopened": lambda body: said(content="2 and 2?\n</think>\n\nright"),
    "think-apart": lambda body: said(content="right", reasoning_content="2 and 2?"),
    "think-parts": lambda body: said(content=[{"type": "thinking", "thinking": []}, {"type": "text", "text": "right"}]),
    "think-only": lambda body: said(content="<think>2 and 2?</think>"),
    "think-only-apart": lambda body: said(reasoning_content="2 and 2?"),
    "think-only-field": lambda body: said(content="", reasoning="2 and 2?"),
    "think-cut": lambda body: said("length", content="<think>2 and 2"),
    "think-cut-apart": lambda body: said("length", reasoning_content="2 and 2"),
    "think-cut-hidden": lambda body: said(
        "length", content="", usage=USAGE | {"completion_tokens_details": {"reasoning_tokens": 7}}
    ),
    # errors under a status of success
    "ok-402": ok({"error": {"code": 402, "message": "Insufficient credits"}, "user_id": "u"}),
    "ok-1008": ok({"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
    "ok-401": ok({"detail": "Unauthorized"}),
    "ok-404": ok({"object": "error", "message": "The model `m` does not exist.", "code": "404"}),
    "ok-400": ok({"error": {"message": "prompt is too long", "type": "invalid_request_error", "code": None}}),
    "once-ok-429": lambda body: (200, raw({"error": "Rate limit exceeded"}), {"retry-after": "0.2"}),
    "once-ok-502": lambda body: said("error", error={"code": 502, "message": "Provider returned error"}),
    "once-ok-overloaded": ok({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    # interruptions
    "once-begun-error": lambda body: said("error", content="2 and", error={"code": 502, "message": "lost"}),
    "once-abort": lambda body: said("abort", content="2 and"),
    "once-no-resource": lambda body: said("insufficient_system_resource", content="2 and"),
    "once-finish-error": lambda body: said("error", content="2 and"),
    # refused forms
    "schema-400": refuses(400, "Invalid input", "response_format"),
    "schema-404": refuses(404, "No endpoints found that can handle the requested parameters.", "response_format"),
    "schema-422": refuses(422, "body: value is not a valid enumeration member", "response_format"),
    "schema-500-told": refuses(500, "xgrammar: Failed to compile grammar", "response_format"),
    "schema-500": refuses(500, "Internal Server Error", "response_format"),
    "schema-501": refuses(501, "Not implemented", "response_format"),
    "no-seed": refuses(400, "Unsupported parameter(s): `seed`", "seed"),
    "no-logprobs": refuses(422, "logprobs: Extra inputs are not permitted", "logprobs"),
    "no-two": refuses(400, "temperature and top_p are not supported with this model", "temperature", "top_p"),
    "no-max-tokens": refuses(400, "Unrecognized request argument supplied: max_tokens", "max_tokens"),
    "schema-ok-400": lambda body: (
        (200, raw({"error": {"code": 400, "message": "no"}}), {}) if "response_format" in body else said(content="ok")
    ),
    "no-anything": lambda body: (400, raw({"error": {"message": "Invalid input"}}), {}),
    # sizes and forms
    "bomb": lambda body: (200, bomb(), PACKED),
    "large": lambda body: (200, large(6 * 2**20), {}),
    "just-below": lambda body: (200, large(8 * 2**20 // 3 - 100), {}),
    "packed": packed(gzip.compress(said(content="right")[1])),
    "packed-damaged": packed(b"\x1f\x8b no gzip at all"),
    "packed-otherwise": packed(b"\x00\x01", "br"),
    "deep": ok(DEEP),
    "deep-finish": lambda body: said(nested(900), content="right"),
    "digits": ok(b'{"choices": [], "created": ' + b"9" * 10_000 + b"}"),
    "long": lambda body: said(content="so " * 500_000),
    "half": lambda body: said(content="2 and \ud83d 2 is \ud83d\ude00", refusal=None),
    "half-refusal": lambda body: said(refusal="no \udc00"),
    "no-utf8": ok(said(content="2 and X 2")[1].replace(b"X", b"\xff")),
    "empty-error": lambda body: said(content="right", error={"message": "", "type": "", "code": None}),
    "marked": ok(b"\xef\xbb\xbf" + said(content="right")[1]),
    "page": ok(b"<!DOCTYPE html><html><body>Please log in</body></html>"),
    "deep-error": lambda body: (400, DEEP, {}),
    "half-error": lambda body: (400, raw({"error": {"message": "no \udfff"}}), {}),
    "large-error": lambda body: (400, b"no " * 2**23, {}),
    "bomb-error": lambda body: (400, bomb(), PACKED),
    "scalar": ok(b"17"),
}
