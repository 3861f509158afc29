"""Any OpenAI-compatible server: OpenAI, vLLM, SGLang, llama.cpp, Ollama and others, by single calls and by file batches.

What differs between models (`max_tokens` or `max_completion_tokens`, no temperature, no JSON schema) is known for a few by
`_DIFFERENT`, and learned for all others from the first refusal's text. A key is sent to no server it was not named for.

A batch is uploaded as a file of JSON lines, answered within a day and fetched as files. It is found again by its metadata, or
by the uploaded file where a server does not repeat the metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nesycd.llm.batches import (
    CLOCKS,
    UPLOAD_SECONDS,
    Batch,
    BatchServer,
    BatchStatus,
    Found,
    RowEnd,
    batch_id,
    json_of,
    lines_of,
)
from nesycd.llm.chat import CUT, Request
from nesycd.llm.client import NOT_TAKEN, ClientConnection, Reading, check_parameters, key_for, limits_for, origin_of
from nesycd.llm.endpoint import Connection, Reply, SendError, clean_usage

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
_CODES = {"batch_expired": "expired in the batch", "batch_cancelled": "cancelled in the batch"}


class OpenAIEndpoint:
    """A model at an OpenAI-compatible server.

    Args:
        model: as the server calls it.
        base_url: where `/chat/completions` is, such as `http://localhost:8000/v1`.
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
        self.base_url = base_url.rstrip("/")
        self.parameters = check_parameters(parameters or {}, NOT_PARAMETERS)
        self.timeout = timeout
        self.key_env = key_env or (OPENAI_KEY if self.origin == OPENAI else "")
        at_openai = self.origin == OPENAI
        self._tokens_name = "max_completion_tokens" if at_openai else "max_tokens"
        self._left_out = {"temperature"} if at_openai and _DIFFERENT.match(model) else set[str]()

    def connect(self, concurrency: int) -> Connection:
        """See `Endpoint.connect`."""
        import openai

        key = key_for(self.origin, self.key_env)
        client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=self.base_url,
            max_retries=0,
            timeout=self.timeout,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits_for(openai, concurrency)),
        )

        async def post(body: dict[str, Any]) -> Any:
            create = client.chat.completions.with_raw_response.create
            return await create(model=body["model"], messages=body["messages"], extra_body=body)

        return ClientConnection(self, Reading(openai, key, self.timeout), client, post)

    def batches(self) -> BatchServer:
        """See `BatchEndpoint.batches`."""
        return OpenAIBatches(self, key_for(self.origin, self.key_env))

    def body(self, request: Request) -> dict[str, Any]:
        """See `Endpoint.body`."""
        body: dict[str, Any] = {
            **self.parameters,
            "model": self.model,
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            self._tokens_name: request.max_tokens,
        }
        if "temperature" not in self._left_out:
            body["temperature"] = request.temperature
        if request.schema is not None and "response_format" not in self._left_out:
            named = {"name": "answer", "schema": dict(request.schema), "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        return body

    def learn(self, refused: Mapping[str, Any], told: str) -> None:
        """See `Endpoint.learn`."""
        if "max_completion_tokens" in told and "max_tokens" in refused:
            self._tokens_name = "max_completion_tokens"
        elif "max_completion_tokens" in told and "max_completion_tokens" in refused and NOT_TAKEN.search(told):
            self._tokens_name = "max_tokens"
        elif "temperature" in told and "temperature" in refused and NOT_TAKEN.search(told):
            self._left_out.add("temperature")
        elif "response_format" in refused and re.search("response_format|json_schema|schema|grammar", told):
            self._left_out.add("response_format")

    def read(self, content: Any) -> Reply:
        """See `Endpoint.read`."""
        try:
            choice = content["choices"][0]
            message = choice["message"]
            text = _text(message.get("content"))
            refusal = message.get("refusal")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise ValueError("not a chat completion") from None
        failure = _failure(choice.get("finish_reason"), refusal, text)
        snapshot = content.get("model")
        usage = _usage(content.get("usage"))
        return Reply(text, failure, snapshot if isinstance(snapshot, str) else "", usage)


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

        timeout = max(endpoint.timeout, UPLOAD_SECONDS)
        self._endpoint = endpoint
        self._reading = Reading(openai, key, timeout)
        self._client = openai.OpenAI(api_key=key or "none", base_url=endpoint.base_url, max_retries=0, timeout=timeout)

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
        if isinstance(response, dict) and response.get("status_code") == 200:
            try:
                return self._reading.reply(self._endpoint, response.get("body"))
            except ValueError:
                return SendError("not an answer of a model", 200, retry=True, paid=True)
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


def _failure(finish: Any, refusal: Any, text: str) -> str:
    if refusal:
        return f"refusal: {refusal}"
    if finish == "content_filter":
        return "refusal: content filter"
    if finish == "length":
        return CUT
    return "" if text.strip() else "empty"


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
