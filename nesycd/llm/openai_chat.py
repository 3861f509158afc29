"""Any OpenAI-compatible server as an endpoint: OpenAI, vLLM, SGLang, llama.cpp, Ollama and others.

What differs between models (`max_tokens` or `max_completion_tokens`, no temperature, no JSON schema) is known for a few by
`_DIFFERENT`, and learned for all others from the first refusal's text. A key is sent to no server it was not named for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nesycd.llm.batches import BatchServer
from nesycd.llm.chat import CUT, Request
from nesycd.llm.client import NOT_TAKEN, Reading, check_parameters, key_for, limits_for, origin_of, send_learning
from nesycd.llm.endpoint import Reply, clean_usage

OPENAI = "https://api.openai.com"
OPENAI_KEY = "OPENAI_API_KEY"
NOT_PARAMETERS = frozenset({"model", "messages", "n", "stream", "max_tokens", "max_completion_tokens", "temperature"})
"""What a user's own parameters may not set, because it is set otherwise."""

_DIFFERENT = re.compile(r"^(o\d|gpt-5)")
"""OpenAI's reasoning models: no temperature."""


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

    def connect(self, concurrency: int) -> OpenAIConnection:
        """See `Endpoint.connect`."""
        return OpenAIConnection(self, key_for(self.origin, self.key_env), concurrency)

    def batches(self) -> BatchServer:
        """See `BatchEndpoint.batches`."""
        from nesycd.llm.openai_batches import OpenAIBatches

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


class OpenAIConnection:
    """An `openai` client of one event loop.

    Args:
        endpoint: see `OpenAIEndpoint`.
        key: "" where the server needs none.
        concurrency: connections that are kept open.
    """

    def __init__(self, endpoint: OpenAIEndpoint, key: str, concurrency: int) -> None:
        import openai

        self._endpoint = endpoint
        self._reading = Reading(openai, key, endpoint.timeout)
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=endpoint.timeout,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits_for(openai, concurrency)),
        )

    async def close(self) -> None:
        """See `Connection.close`."""
        await self._client.close()

    async def send(self, request: Request) -> Reply:
        """See `Connection.send`."""
        return await send_learning(self._endpoint, request, self._reading, self._post)

    async def _post(self, body: dict[str, Any]) -> Any:
        raw = await self._client.chat.completions.with_raw_response.create(
            model=body["model"], messages=body["messages"], extra_body=body
        )
        return raw.http_response


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
