"""Any OpenAI-compatible server: OpenAI, vLLM, SGLang, llama.cpp, Ollama and others, by single calls and by file batches.

What differs between models (`max_tokens` or `max_completion_tokens`, no temperature, no JSON schema) is known for a few by
`_DIFFERENT`, and learned for all others from the first refusal. A key is sent to no server it was not named for.

A batch is uploaded as a file of JSON lines, answered within a day and fetched as files. It is found again by its metadata, or
by the uploaded file where a server does not repeat the metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

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
from nesycd.llm.client import FORMS, NOT_TAKEN, ClientConnection, Reading, check_parameters, limits_for, named_in
from nesycd.llm.endpoint import SCHEMA, Connection, Reply, SendError, broken_off, clean_usage, failure_of

OPENAI = "https://api.openai.com"
OPENAI_KEY = "OPENAI_API_KEY"
NOT_PARAMETERS = frozenset({"model", "messages", "n", "stream", "max_tokens", "max_completion_tokens", "temperature"})
"""What a user's own parameters may not set, because it is set otherwise."""

_DIFFERENT = re.compile(r"^(o\d|gpt-5)")
"""OpenAI's reasoning models: no temperature."""
NAMED = "nesycd_batch"
"""The key of the metadata under which a batch bears its name."""
_ROUTE = "/v1/chat/completions"
_FULL = "token_limit_exceeded"
_ENDED = ("failed", "completed", "expired", "cancelled")
_TOKENS = ("max_tokens", "max_completion_tokens")
_NO_PARAMETER = re.compile(
    r"(?:unsupported|unknown|invalid|unexpected) (?:\w+ )?(?:parameter|argument|field)|unrecogni|extra", re.I
)
"""How servers say that a parameter is refused by its name, rather than for its value."""
_CUT = ("length", "max_tokens", "max_output_tokens")
_FILTERED = ("content_filter", "sensitive", "safety")
_BROKEN_OFF = frozenset(
    {"error", "abort", "aborted", "cancelled", "canceled", "timeout", "network_error", "insufficient_system_resource"}
)
"""Finish reasons of answers that the server did not end as the model would have."""
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message in which servers tell the reasoning apart."""
_CODES = {"batch_expired": "expired in the batch", "batch_cancelled": "cancelled in the batch"}


class OpenAIEndpoint:
    """A model at an OpenAI-compatible server.

    Args:
        model: as the server calls it.
        base_url: where `/chat/completions` is, such as `http://localhost:8000/v1`; that route may stand there too.
        key_env: the environment variable with the key; "": `OPENAI_API_KEY` at OpenAI, none at other servers.
        timeout: seconds for one answer.
        parameters: sent with each request, such as `{"top_p": 0.9}`.

    Raises:
        ConfigError: a base URL or parameters that cannot be used.
    """

    api = "openai"

    def __init__(
        self,
        model: str,
        base_url: str,
        key_env: str = "",
        timeout: float = 600.0,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.origin = origin_of(base_url)
        self.base_url = base_of(base_url)
        bare = not urlsplit(self.base_url).path
        self.hint = (
            f" (is it {self.origin}/v1? teacher.api.base_url has no path, and most servers have one)" if bare else ""
        )
        self.parameters = check_parameters(parameters or {}, NOT_PARAMETERS)
        self.timeout = timeout
        self.key_env = key_env or (OPENAI_KEY if self.origin == OPENAI else "")
        at_openai = self.origin == OPENAI
        self._tokens_name = _TOKENS[at_openai]
        self._left_out = {"temperature"} if at_openai and _DIFFERENT.match(model) else set[str]()

    def connect(self, concurrency: int, tell: Callable[[str], None]) -> Connection:
        """See `Endpoint.connect`."""
        import openai

        from nesycd.llm.http_guard import guarded

        key = key_for(self.origin, self.key_env)
        client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=self.base_url,
            max_retries=0,
            timeout=self.timeout,
            http_client=guarded(openai.DefaultAsyncHttpxClient(limits=limits_for(openai, concurrency)), self.base_url),
        )

        async def post(body: dict[str, Any]) -> Any:
            create = client.chat.completions.with_raw_response.create
            return await create(model=body["model"], messages=body["messages"], extra_body=body)

        return ClientConnection(self, Reading(openai, key, self.timeout), client, post, tell)

    def batches(self) -> BatchServer:
        """See `BatchEndpoint.batches`."""
        return OpenAIBatches(self, key_for(self.origin, self.key_env))

    def body(self, request: Request, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """See `Endpoint.body`."""
        left_out = self._left_out | without
        # One of the two names is always sent: without it an answer has no end.
        tokens = _TOKENS[(_TOKENS.index(self._tokens_name) + (self._tokens_name in without)) % 2]
        body: dict[str, Any] = {
            **{name: value for name, value in self.parameters.items() if name not in left_out},
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            tokens: request.max_tokens,
        }
        if "temperature" not in left_out:
            body["temperature"] = request.temperature
        if request.schema is not None and SCHEMA not in left_out:
            named = {"name": "answer", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def refused(self, body: Mapping[str, Any], error: SendError) -> frozenset[str]:
        """See `Endpoint.refused`."""
        told = error.told
        if error.status not in FORMS:
            return frozenset()
        if "max_completion_tokens" in told and ("max_tokens" in body or NOT_TAKEN.search(told)):
            return frozenset(body.keys() & _TOKENS)
        if _NO_PARAMETER.search(told) and (named := named_in(told, body.keys() & _TOKENS)):
            return named
        if named := named_in(told, body.keys() & {*self.parameters, "temperature"}):
            return named
        return frozenset({SCHEMA} if "json_schema" in str(body.get("response_format")) else ())

    def leave_out(self, names: frozenset[str]) -> list[str]:
        """See `Endpoint.leave_out`."""
        new = sorted(names - self._left_out - {*_TOKENS})
        self._left_out |= set(new)
        if self._tokens_name in names:
            self._tokens_name = _TOKENS[self._tokens_name == _TOKENS[0]]
        return new

    def read(self, content: Any) -> Reply:
        """See `Endpoint.read`. Reasoning that is told apart is no part of the answer."""
        try:
            choice = content["choices"][0]
            message = choice["message"]
            text = _text(message.get("content"))
            refusal = message.get("refusal")
            finish = str(choice.get("finish_reason")).lower()
            usage = content.get("usage")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ValueError("not a chat completion") from None
        if finish in _BROKEN_OFF:
            raise broken_off(finish)
        if refusal:
            failure = f"refusal: {refusal}"
        elif finish in _FILTERED:
            failure = "refusal: content filter"
        else:
            failure = failure_of(text, finish in _CUT, _has_reasoned(message, usage))
        snapshot = content.get("model")
        return Reply(text, failure, snapshot if isinstance(snapshot, str) else "", _usage(usage))


class OpenAIBatches:
    """The batch API of an OpenAI-compatible server.

    Args:
        endpoint: the model and its server.
        key: "" where the server needs none.
    """

    most_rows = 50_000
    most_bytes = 190_000_000
    """Of 200 MB that are allowed."""

    def __init__(self, endpoint: OpenAIEndpoint, key: str) -> None:
        import openai

        from nesycd.llm.http_guard import guarded

        timeout = max(endpoint.timeout, UPLOAD_SECONDS)
        self._endpoint = endpoint
        self._reading = Reading(openai, key, timeout)
        self._client = openai.OpenAI(
            api_key=key or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=timeout,
            http_client=guarded(openai.DefaultHttpxClient(), endpoint.base_url),
        )

    def close(self) -> None:
        """See `BatchServer.close`."""
        self._client.close()

    def row(self, name: str, body: dict[str, Any]) -> bytes:
        """See `BatchServer.row`."""
        line = {"custom_id": name, "method": "POST", "url": _ROUTE, "body": body}
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    def upload(self, batch: Batch, rows: Sequence[bytes]) -> str:
        """See `BatchServer.upload`."""
        file = (f"nesycd-{batch.name}.jsonl", b"".join(rows))
        with self._reading.errors():
            raw = self._client.files.with_raw_response.create(file=file, purpose="batch")
        return str(json_of(raw).get("id", ""))

    def create(self, batch: Batch, rows: Sequence[bytes]) -> str:
        """See `BatchServer.create`."""
        with self._reading.errors():
            raw = self._client.batches.with_raw_response.create(
                input_file_id=batch.upload,
                endpoint=_ROUTE,
                completion_window="24h",
                metadata={NAMED: batch.name},
            )
        return batch_id(json_of(raw))

    def find(self, batch: Batch, known: set[str]) -> Found:
        """See `BatchServer.find`."""
        for made in self._all():
            if made.get("created_at", batch.made) < batch.made - CLOCKS:
                break
            if (made.get("metadata") or {}).get(NAMED) == batch.name:
                return Found(batch_id(made))
            if batch.upload and made.get("input_file_id") == batch.upload:
                return Found(batch_id(made))
        return Found()

    def status(self, batch: Batch) -> BatchStatus:
        """See `BatchServer.status`."""
        with self._reading.errors():
            told = json_of(self._client.batches.with_raw_response.retrieve(batch.remote))
        status, counts = str(told.get("status")), told.get("request_counts") or {}
        files = tuple(told[name] for name in ("output_file_id", "error_file_id") if told.get(name))
        failure = self._reading.clean(_errors(told.get("errors")) or "no reason told") if status == "failed" else ""
        return BatchStatus(
            f"{status}, {counts.get('completed', 0)} of {counts.get('total', batch.rows)} done",
            ended=status in _ENDED,
            failure=failure,
            full=_FULL in failure,
            cancelled=status == "cancelled",
            whole=status == "completed",
            results=files,
        )

    def results(self, status: BatchStatus) -> Iterator[RowEnd]:
        """See `BatchServer.results`."""
        for file in status.results:
            with (
                self._reading.errors(),
                self._client.files.with_streaming_response.content(file) as response,
            ):
                for row in lines_of(response):
                    yield str(row.get("custom_id")), self._end(row)

    def _end(self, row: Mapping[str, Any]) -> Reply | SendError:
        response, error = row.get("response"), row.get("error")
        if UNREAD in row or (isinstance(response, dict) and response.get("status_code") == 200):
            return end_of(self._reading, self._endpoint, row, (response or {}).get("body"))
        if isinstance(response, dict) and isinstance(response.get("status_code"), int):
            return self._reading.refusal(response["status_code"], json.dumps(response.get("body"), ensure_ascii=False))
        code = str(error.get("code")) if isinstance(error, dict) else "no reason told"
        # Only of these it is said that they are not charged for.
        return SendError(self._reading.clean(_CODES.get(code, code)), retry=True, paid=code not in _CODES)

    def _all(self) -> Iterator[dict[str, Any]]:
        """The server's batches, newest first."""
        given: dict[str, Any] = {"limit": 100}
        while True:
            with self._reading.errors():
                page = json_of(self._client.batches.with_raw_response.list(**given))
            made = page.get("data") or []
            yield from made
            if not page.get("has_more") or not made:
                return
            given["after"] = made[-1]["id"]


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    return content


def _has_reasoned(message: Mapping[str, Any], usage: Any) -> bool:
    """Whether the model reasoned, apart from what stands in its text."""
    if any(str(message.get(name) or "").strip() for name in _REASONING):
        return True
    parts = message.get("content")
    if isinstance(parts, list) and any(part.get("type") in ("thinking", "reasoning") for part in parts):
        return True
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    return isinstance(details, dict) and bool(details.get("reasoning_tokens"))


def _usage(usage: Any) -> tuple[int, int, int] | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return clean_usage(usage.get("prompt_tokens"), usage.get("completion_tokens"), cached)


def _errors(errors: Any) -> str:
    found = errors.get("data") if isinstance(errors, dict) else None
    told = [f"{one.get('code')}: {one.get('message')}" for one in (found or [])[:3] if isinstance(one, dict)]
    return "; ".join(told)
