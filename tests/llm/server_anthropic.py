"""The server's answers in the form of Anthropic's Messages API, and what that API refuses."""

from __future__ import annotations

import gzip
import json
from typing import Any

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
STOPS = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}
ALLOWED = {"model", "max_tokens", "messages", "system", "output_config", "thinking", "metadata", "stop_sequences"}


def refused(body: dict[str, Any], headers: dict[str, str]) -> str:
    """Why the API takes no such request; "" where it does."""
    if "anthropic-version" not in headers:
        return "anthropic-version: header is required"
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            return f"{name}: Field required"
    for name in sorted(body.keys() - ALLOWED):
        return f"{name}: Extra inputs are not permitted"
    if any(message["role"] not in ("user", "assistant") for message in body["messages"]):
        return 'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter'
    return ""


def error(status: int, message: str) -> dict[str, Any]:
    kind = ERRORS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def translated(status: int, content: Any) -> Any:
    """An OpenAI-compatible answer or error in Anthropic's form; what is none of these stays as it is."""
    if isinstance(content, bytes):
        return _translated_bytes(status, content)
    if not isinstance(content, dict):
        return content
    if status >= 400:
        return error(status, content["error"]["message"])
    if not content.get("choices"):
        return content
    [choice] = content["choices"]
    said = choice["message"].get("content") or ""
    parts = [part["text"] for part in said if "text" in part] if isinstance(said, list) else [said]
    thinking = choice["message"].get("reasoning_content", "")
    thought = {"type": "thinking", "thinking": thinking, "signature": "s"}
    refusal = choice["message"].get("refusal")
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": content["model"],
        "content": [thought, *({"type": "text", "text": part} for part in parts)],
        "stop_reason": "refusal" if refusal else STOPS.get(choice["finish_reason"], "end_turn"),
        "stop_details": {"type": "refusal", "category": None, "explanation": refusal} if refusal else None,
        "stop_sequence": None,
        "usage": usage(content["usage"]),
    }


def _translated_bytes(status: int, content: bytes) -> bytes:
    packed = content[:2] == b"\x1f\x8b"
    if len(content) > 100_000 and packed:
        return content  # it is the size that matters
    try:
        told = translated(status, json.loads(gzip.decompress(content) if packed else content))
    except (OSError, ValueError, RecursionError, TypeError):
        return content
    # Half surrogates are escaped, as the original has them.
    made = json.dumps(told).encode()
    return gzip.compress(made) if packed else made


def usage(told: Any) -> Any:
    if not isinstance(told, dict):
        return told
    cached = told.get("prompt_tokens_details", {}).get("cached_tokens", 0)
    return {
        "input_tokens": told["prompt_tokens"] - cached,
        "output_tokens": told["completion_tokens"],
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
    }
