"""OpenAI's file batches: requests uploaded as a file of JSON lines, answered within a day, answers fetched as files.

A batch is found again by its metadata, or by the uploaded file where a server does not repeat the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nesycd.llm.batches import CLOCKS, Batch, Found, RowEnd, Standing, json_of, lines_of
from nesycd.llm.client import Reading
from nesycd.llm.endpoint import Reply, SendError
from nesycd.llm.openai_chat import OpenAIEndpoint

NAMED = "nesycd_batch"
"""The key of the metadata under which a batch bears its name."""
_ROUTE = "/v1/chat/completions"
_UPLOAD_SECONDS = 900.0
_FULL = "token_limit_exceeded"
_ENDED = ("failed", "completed", "expired", "cancelled")
_CODES = {"batch_expired": "expired in the batch", "batch_cancelled": "cancelled in the batch"}


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

        timeout = max(endpoint.timeout, _UPLOAD_SECONDS)
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
        return _id(json_of(raw))

    def find(self, batch: Batch, known: set[str]) -> Found:
        """See `BatchServer.find`."""
        for made in self._all():
            if made.get("created_at", batch.made) < batch.made - CLOCKS:
                break
            if (made.get("metadata") or {}).get(NAMED) == batch.name:
                return Found(_id(made))
            if batch.upload and made.get("input_file_id") == batch.upload:
                return Found(_id(made))
        return Found()

    def standing(self, batch: Batch) -> Standing:
        """See `BatchServer.standing`."""
        with self._reading.errors():
            told = json_of(self._client.batches.with_raw_response.retrieve(batch.remote))
        status, counts = str(told.get("status")), told.get("request_counts") or {}
        files = tuple(told[name] for name in ("output_file_id", "error_file_id") if told.get(name))
        failure = self._reading.clean(_errors(told.get("errors")) or "no reason told") if status == "failed" else ""
        return Standing(
            f"{status}, {counts.get('completed', 0)} of {counts.get('total', batch.rows)} done",
            ended=status in _ENDED,
            failure=failure,
            full=_FULL in failure,
            cancelled=status == "cancelled",
            whole=status == "completed",
            results=files,
        )

    def results(self, standing: Standing) -> Iterator[RowEnd]:
        """See `BatchServer.results`."""
        for file in standing.results:
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


def _id(batch: Mapping[str, Any]) -> str:
    if not isinstance(name := batch.get("id"), str) or not name:
        raise SendError("HTTP 200: a batch without an id", 200, retry=True, paid=True)
    return name


def _errors(errors: Any) -> str:
    found = errors.get("data") if isinstance(errors, dict) else None
    told = [f"{one.get('code')}: {one.get('message')}" for one in (found or [])[:3] if isinstance(one, dict)]
    return "; ".join(told)
