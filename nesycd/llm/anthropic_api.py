"""Anthropic's Messages API (extra `anthropic`), at Anthropic or at a server that speaks the same: single calls and batches.

The present version of the API takes no temperature, and its models refuse a forced tool: samples differ as the model lets
them, and a JSON schema is enforced by `output_config` alone. A model that takes no schema is learned from its first refusal.

Batches are submitted in one call and bear no metadata, so one whose submission nobody saw end is known by the names of its
rows alone, which the server tells when the batch has ended. Until then one of the same size and age may be it, and is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from nesycd.llm.address import base_of, key_for, origin_of
from nesycd.llm.batches import (
    CLOCKS,
    UNREAD,
    UPLOAD_SECONDS,
    Batch,
    BatchServer,
    BatchStatus,
    Found,
    RowEnd,
    batch_id,
    end_of,
    json_of,
    lines_of,
)
from nesycd.llm.chat import Request
from nesycd.llm.client import FORMS, ClientConnection, Reading, check_parameters, limits_for
from nesycd.llm.endpoint import SCHEMA, Connection, Reply, SendError, clean_usage, failure_of

ANTHROPIC = "https://api.anthropic.com"
ANTHROPIC_KEY = "ANTHROPIC_API_KEY"
NOT_PARAMETERS = frozenset(
    {"model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "top_k", "tools", "tool_choice"}
) | {"cache_control", "speed"}
"""What a user's own parameters may not set: set otherwise, not taken by the API, or (the last two) of another price."""

_CUT = ("max_tokens", "model_context_window_exceeded")
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error of a single request has, by its type; 500 for all others."""
_UNSERVED = {"expired": "expired in the batch", "canceled": "cancelled in the batch"}


class AnthropicEndpoint:
    """A model at a server that speaks Anthropic's Messages API.

    Args:
        model: as the server calls it.
        base_url: the server, with or without `/v1` and `/messages`.
        key_env: the environment variable with the key; "": `ANTHROPIC_API_KEY` at Anthropic, none at other servers.
        timeout: seconds for one answer.
        parameters: sent with each request, such as `{"thinking": {"type": "disabled"}}`.

    Raises:
        ConfigError: a base URL or parameters that cannot be used.
    """

    api = "anthropic"
    hint = ""

    def __init__(
        self,
        model: str,
        base_url: str = ANTHROPIC,
        key_env: str = "",
        timeout: float = 600.0,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.origin = origin_of(base_url)
        # The client puts it there itself.
        self.base_url = base_of(base_url).removesuffix("/v1")
        self.parameters = check_parameters(parameters or {}, NOT_PARAMETERS)
        self.timeout = timeout
        self.key_env = key_env or (ANTHROPIC_KEY if self.origin == ANTHROPIC else "")
        self._takes_schema = True

    def connect(self, concurrency: int, tell: Callable[[str], None]) -> Connection:
        """See `Endpoint.connect`."""
        import anthropic

        from nesycd.llm.http_guard import guarded

        key = key_for(self.origin, self.key_env)
        client = anthropic.AsyncAnthropic(
            api_key=key or "none",
            base_url=self.base_url,
            max_retries=0,
            timeout=self.timeout,
            open_telemetry=False,
            http_client=guarded(
                anthropic.DefaultAsyncHttpxClient(limits=limits_for(anthropic, concurrency)), self.base_url
            ),
        )

        async def post(body: dict[str, Any]) -> Any:
            create = client.messages.with_raw_response.create
            return await create(
                model=body["model"], max_tokens=body["max_tokens"], messages=body["messages"], extra_body=body
            )

        return ClientConnection(self, Reading(anthropic, key, self.timeout), client, post, tell)

    def batches(self) -> BatchServer:
        """See `BatchEndpoint.batches`."""
        return AnthropicBatches(self, key_for(self.origin, self.key_env))

    def body(self, request: Request, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """See `Endpoint.body`. The system prompt stands apart from the conversation."""
        system = "\n\n".join(message.content for message in request.messages if message.role == "system")
        turns = [message for message in request.messages if message.role != "system"]
        body: dict[str, Any] = {
            **self.parameters,
            "model": self.model,
            "max_tokens": request.max_tokens,
            "messages": [{"role": message.role, "content": message.content} for message in turns],
        }
        if system:
            body["system"] = system
        if request.schema is not None and self._takes_schema and SCHEMA not in without:
            wanted = {"type": "json_schema", "schema": dict(request.schema)}
            body["output_config"] = {**self.parameters.get("output_config", {}), "format": wanted}
        return body

    def refused(self, body: Mapping[str, Any], error: SendError) -> frozenset[str]:
        """See `Endpoint.refused`. The API names what it does not take, so a parameter of the user's is never to blame."""
        sent = "format" in body.get("output_config", {})
        return frozenset({SCHEMA} if sent and error.status in FORMS else ())

    def leave_out(self, names: frozenset[str]) -> list[str]:
        """See `Endpoint.leave_out`."""
        new = [SCHEMA] if SCHEMA in names and self._takes_schema else []
        self._takes_schema = self._takes_schema and not new
        return new

    def read(self, content: Any) -> Reply:
        """See `Endpoint.read`. Thinking is no part of the answer."""
        try:
            text = "".join(block["text"] for block in content["content"] if block["type"] == "text")
            thought = any(str(block.get("thinking") or block.get("data") or "").strip() for block in content["content"])
            failure = _failure(content.get("stop_reason"), content.get("stop_details"), text, thought)
        except (KeyError, TypeError, AttributeError):
            raise ValueError("not a message") from None
        snapshot = content.get("model")
        return Reply(text, failure, snapshot if isinstance(snapshot, str) else "", _usage(content.get("usage")))


class AnthropicBatches:
    """Anthropic's Message Batches API.

    Args:
        endpoint: the model and its server.
        key: "" where the server needs none.
    """

    most_rows = 100_000
    most_bytes = 240_000_000
    """Of 256 MB that are allowed."""

    def __init__(self, endpoint: AnthropicEndpoint, key: str) -> None:
        import anthropic

        from nesycd.llm.http_guard import guarded

        timeout = max(endpoint.timeout, UPLOAD_SECONDS)
        self._endpoint = endpoint
        self._reading = Reading(anthropic, key, timeout)
        self._client = anthropic.Anthropic(
            api_key=key or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout,
            open_telemetry=False,
            http_client=guarded(anthropic.DefaultHttpxClient(), endpoint.base_url),
        )
        self._others: set[str] = set()

    def close(self) -> None:
        """See `BatchServer.close`."""
        self._client.close()

    def row(self, name: str, body: dict[str, Any]) -> bytes:
        """See `BatchServer.row`."""
        return json.dumps({"custom_id": name, "params": body}, ensure_ascii=False).encode()

    def upload(self, batch: Batch, rows: Sequence[bytes]) -> str:
        """See `BatchServer.upload`: there is no such step."""
        return ""

    def create(self, batch: Batch, rows: Sequence[bytes]) -> str:
        """See `BatchServer.create`."""
        with self._reading.errors():
            raw = self._client.messages.batches.with_raw_response.create(requests=[json.loads(row) for row in rows])
        return batch_id(json_of(raw))

    def find(self, batch: Batch, known: set[str]) -> Found:
        """See `BatchServer.find`."""
        unsure = ""
        for made in self._all():
            if _seconds(made.get("created_at"), batch.made) < batch.made - CLOCKS:
                break
            name, counts = str(made.get("id")), made.get("request_counts") or {}
            if name in known | self._others or sum(counts.values()) != batch.rows:
                continue
            if made.get("processing_status") != "ended":
                unsure = name
            elif self._holds(name, batch):
                return Found(name)
            else:
                self._others.add(name)
        return Found(unsure=unsure)

    def status(self, batch: Batch) -> BatchStatus:
        """See `BatchServer.status`."""
        with self._reading.errors():
            told = json_of(self._client.messages.batches.with_raw_response.retrieve(batch.remote))
        counts, ended = told.get("request_counts") or {}, told.get("processing_status") == "ended"
        done = sum(count for name, count in counts.items() if name != "processing")
        return BatchStatus(
            f"{told.get('processing_status')}, {done} of {batch.rows} done",
            ended=ended,
            cancelled=bool(ended and counts.get("canceled")),
            whole=ended,
            results=(batch.remote,) if told.get("results_url") else (),
        )

    def results(self, status: BatchStatus) -> Iterator[RowEnd]:
        """See `BatchServer.results`."""
        for name in status.results:
            with (
                self._reading.errors(),
                self._client.messages.batches.with_streaming_response.results(name) as response,
            ):
                for row in lines_of(response):
                    yield str(row.get("custom_id")), self._end(row)

    def _end(self, row: Mapping[str, Any]) -> Reply | SendError:
        told = row.get("result")
        result = told if isinstance(told, dict) else {}
        kind = result.get("type")
        if UNREAD in row or kind == "succeeded":
            return end_of(self._reading, self._endpoint, row, result.get("message"))
        if kind == "errored":
            error = result.get("error")
            inner = error.get("error") if isinstance(error, dict) else None
            status = _STATUS.get(str(inner.get("type")), 500) if isinstance(inner, dict) else 500
            refusal = self._reading.refusal(status, json.dumps(error, ensure_ascii=False))
            # Rows that ended with an error are not charged for.
            refusal.paid = False
            return refusal
        return SendError(_UNSERVED.get(str(kind), "no reason told"), retry=True, paid=kind not in _UNSERVED)

    def _holds(self, name: str, batch: Batch) -> bool:
        """Whether the rows of a batch that has ended bear the name of ours."""
        for row, _ in self.results(BatchStatus("", results=(name,))):
            return row.startswith(f"{batch.name}-")
        return False

    def _all(self) -> Iterator[dict[str, Any]]:
        """The server's batches, newest first."""
        given: dict[str, Any] = {"limit": 100}
        while True:
            with self._reading.errors():
                page = json_of(self._client.messages.batches.with_raw_response.list(**given))
            yield from page.get("data") or []
            if not page.get("has_more") or not page.get("last_id"):
                return
            given["after_id"] = page["last_id"]


def _failure(stop: Any, details: Any, text: str, thought: bool) -> str:
    if stop == "refusal":
        told = details if isinstance(details, dict) else {}
        return f"refusal: {told.get('explanation') or told.get('category') or 'no reason told'}"
    return failure_of(text, stop in _CUT, thought)


def _usage(usage: Any) -> tuple[int, int, int] | None:
    """Anthropic counts what its cache holds apart from `input_tokens`."""
    if not isinstance(usage, dict):
        return None
    cached = usage.get("cache_read_input_tokens")
    parts = (usage.get("input_tokens"), usage.get("cache_creation_input_tokens") or 0, cached or 0)
    read = [part for part in parts if isinstance(part, int) and part >= 0]
    return clean_usage(sum(read), usage.get("output_tokens"), cached) if len(read) == len(parts) else None


def _seconds(told: Any, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(told).timestamp()
    except (TypeError, ValueError):
        return otherwise
