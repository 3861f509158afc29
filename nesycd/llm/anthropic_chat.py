"""Anthropic's Messages API as an endpoint (extra `anthropic`), at Anthropic or at a server that speaks the same.

The present version of the API takes no temperature, and its models refuse a forced tool: samples differ as the model lets
them, and a JSON schema is enforced by `output_config` alone. A model that takes no schema is learned from its first refusal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nesycd.llm.batches import BatchServer
from nesycd.llm.chat import CUT, Request
from nesycd.llm.client import Reading, check_parameters, key_for, limits_for, origin_of, send_learning
from nesycd.llm.endpoint import Reply, clean_usage

ANTHROPIC = "https://api.anthropic.com"
ANTHROPIC_KEY = "ANTHROPIC_API_KEY"
NOT_PARAMETERS = frozenset(
    {"model", "messages", "system", "stream", "max_tokens", "temperature", "top_p", "top_k", "tools", "tool_choice"}
) | {"cache_control", "speed"}
"""What a user's own parameters may not set: set otherwise, not taken by the API, or (the last two) of another price."""

_CUT = ("max_tokens", "model_context_window_exceeded")


class AnthropicEndpoint:
    """A model at a server that speaks Anthropic's Messages API.

    Args:
        model: as the server calls it.
        base_url: the server, with or without `/v1`.
        key_env: the environment variable with the key; "": `ANTHROPIC_API_KEY` at Anthropic, none at other servers.
        timeout: seconds for one answer.
        parameters: sent with each request, such as `{"thinking": {"type": "disabled"}}`.

    Raises:
        ConfigError: a base URL or parameters that cannot be used.
    """

    api = "anthropic"

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
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        self.parameters = check_parameters(parameters or {}, NOT_PARAMETERS)
        self.timeout = timeout
        self.key_env = key_env or (ANTHROPIC_KEY if self.origin == ANTHROPIC else "")
        self._takes_schema = True

    def connect(self, concurrency: int) -> AnthropicConnection:
        """See `Endpoint.connect`."""
        return AnthropicConnection(self, key_for(self.origin, self.key_env), concurrency)

    def batches(self) -> BatchServer:
        """See `BatchEndpoint.batches`."""
        from nesycd.llm.anthropic_batches import AnthropicBatches

        return AnthropicBatches(self, key_for(self.origin, self.key_env))

    def body(self, request: Request) -> dict[str, Any]:
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
        if request.schema is not None and self._takes_schema:
            wanted = {"type": "json_schema", "schema": dict(request.schema)}
            body["output_config"] = {**self.parameters.get("output_config", {}), "format": wanted}
        return body

    def learn(self, refused: Mapping[str, Any], told: str) -> None:
        """See `Endpoint.learn`."""
        sent = "format" in refused.get("output_config", {})
        if sent and re.search("output_config|output_format|json_schema|schema|structured", told):
            self._takes_schema = False

    def read(self, content: Any) -> Reply:
        """See `Endpoint.read`. Thinking is no part of the answer."""
        try:
            text = "".join(block["text"] for block in content["content"] if block["type"] == "text")
            failure = _failure(content.get("stop_reason"), content.get("stop_details"), text)
        except (KeyError, TypeError, AttributeError):
            raise ValueError("not a message") from None
        snapshot = content.get("model")
        return Reply(text, failure, snapshot if isinstance(snapshot, str) else "", _usage(content.get("usage")))


class AnthropicConnection:
    """An `anthropic` client of one event loop.

    Args:
        endpoint: see `AnthropicEndpoint`.
        key: "" where the server needs none.
        concurrency: connections that are kept open.
    """

    def __init__(self, endpoint: AnthropicEndpoint, key: str, concurrency: int) -> None:
        import anthropic

        self._endpoint = endpoint
        self._reading = Reading(anthropic, key, endpoint.timeout)
        self._client = anthropic.AsyncAnthropic(
            api_key=key or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=endpoint.timeout,
            open_telemetry=False,
            http_client=anthropic.DefaultAsyncHttpxClient(limits=limits_for(anthropic, concurrency)),
        )

    async def close(self) -> None:
        """See `Connection.close`."""
        await self._client.close()

    async def send(self, request: Request) -> Reply:
        """See `Connection.send`."""
        return await send_learning(self._endpoint, request, self._reading, self._post)

    async def _post(self, body: dict[str, Any]) -> Any:
        raw = await self._client.messages.with_raw_response.create(
            model=body["model"], max_tokens=body["max_tokens"], messages=body["messages"], extra_body=body
        )
        return raw.http_response


def _failure(stop: Any, details: Any, text: str) -> str:
    if stop == "refusal":
        told = details if isinstance(details, dict) else {}
        return f"refusal: {told.get('explanation') or told.get('category') or 'no reason told'}"
    if stop in _CUT:
        return CUT
    return "" if text.strip() else "empty"


def _usage(usage: Any) -> tuple[int, int, int] | None:
    """Anthropic counts what its cache holds apart from `input_tokens`."""
    if not isinstance(usage, dict):
        return None
    cached = usage.get("cache_read_input_tokens")
    parts = (usage.get("input_tokens"), usage.get("cache_creation_input_tokens") or 0, cached or 0)
    read = [part for part in parts if isinstance(part, int) and part >= 0]
    return clean_usage(sum(read), usage.get("output_tokens"), cached) if len(read) == len(parts) else None
