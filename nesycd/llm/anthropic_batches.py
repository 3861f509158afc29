"""Anthropic's message batches: requests submitted in one call, answered within a day.

These batches bear no metadata, so one whose submission nobody saw end is known by the names of its rows alone, which the
server tells when the batch has ended. Until then one of the same size and age may be it, and is waited for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from nesycd.llm.anthropic_chat import AnthropicEndpoint
from nesycd.llm.batches import CLOCKS, Batch, Found, RowEnd, Standing, json_of, lines_of
from nesycd.llm.client import Reading
from nesycd.llm.endpoint import Reply, SendError

_UPLOAD_SECONDS = 900.0
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

        timeout = max(endpoint.timeout, _UPLOAD_SECONDS)
        self._endpoint = endpoint
        self._reading = Reading(anthropic, key, timeout)
        self._client = anthropic.Anthropic(
            api_key=key or "none", base_url=endpoint.base_url, max_retries=0, timeout=timeout, open_telemetry=False
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
        name = json_of(raw).get("id")
        if not isinstance(name, str) or not name:
            raise SendError("HTTP 200: a batch without an id", 200, retry=True, paid=True)
        return name

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

    def standing(self, batch: Batch) -> Standing:
        """See `BatchServer.standing`."""
        with self._reading.errors():
            told = json_of(self._client.messages.batches.with_raw_response.retrieve(batch.remote))
        counts, ended = told.get("request_counts") or {}, told.get("processing_status") == "ended"
        done = sum(count for name, count in counts.items() if name != "processing")
        return Standing(
            f"{told.get('processing_status')}, {done} of {batch.rows} done",
            ended=ended,
            cancelled=bool(ended and counts.get("canceled")),
            whole=ended,
            results=(batch.remote,) if told.get("results_url") else (),
        )

    def results(self, standing: Standing) -> Iterator[RowEnd]:
        """See `BatchServer.results`."""
        for name in standing.results:
            with (
                self._reading.errors(),
                self._client.messages.batches.with_streaming_response.results(name) as response,
            ):
                for row in lines_of(response):
                    yield str(row.get("custom_id")), self._end(row.get("result"))

    def _end(self, result: Any) -> Reply | SendError:
        kind = result.get("type") if isinstance(result, dict) else None
        if kind == "succeeded":
            try:
                return self._reading.reply(self._endpoint, result.get("message"))
            except ValueError:
                return SendError("not an answer of a model", 200, retry=True, paid=True)
        if kind == "errored":
            error = result.get("error")
            inner = error.get("error") if isinstance(error, dict) else None
            status = _STATUS.get(str(inner.get("type")), 500) if isinstance(inner, dict) else 500
            told = self._reading.refusal(status, json.dumps(error, ensure_ascii=False))
            # Rows that ended with an error are not charged for.
            told.paid = False
            return told
        return SendError(_UNSERVED.get(str(kind), "no reason told"), retry=True, paid=kind not in _UNSERVED)

    def _holds(self, name: str, batch: Batch) -> bool:
        """Whether the rows of a batch that has ended bear the name of ours."""
        for row, _ in self.results(Standing("", results=(name,))):
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


def _seconds(told: Any, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(told).timestamp()
    except (TypeError, ValueError):
        return otherwise
