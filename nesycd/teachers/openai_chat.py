"""Any OpenAI-compatible server as an endpoint: OpenAI, vLLM, SGLang, llama.cpp, Ollama and others.

What differs between models (`max_tokens` or `max_completion_tokens`, no temperature, no JSON schema) is known for a few by
`_DIFFERENT`, and learned for all others from the first refusal's text. Keys come from the environment only, are sent to
no server they were not named for, and are cut out of whatever a server says.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from nesycd.errors import ConfigError, TeacherError
from nesycd.teachers.chat import Request
from nesycd.teachers.endpoint import Reply, SendError, clean_usage

OPENAI = "https://api.openai.com"
OPENAI_KEY = "OPENAI_API_KEY"
NOT_PARAMETERS = frozenset({"model", "messages", "n", "stream", "max_tokens", "max_completion_tokens", "temperature"})
"""What a user's own parameters may not set, because it is set otherwise."""

_DIFFERENT = re.compile(r"^(o\d|gpt-5)")
"""OpenAI's reasoning models: no temperature."""
_PASSING = frozenset({408, 409, 425, 429})
_PAID = frozenset({408, 504, 524})
"""Statuses by which somebody on the way gave up waiting: the model may have answered all the same."""
_FATAL = frozenset({401, 402, 403, 404})
_NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|credit balance", re.I)
_NOT_TAKEN = re.compile(
    r"support|deprecat|unknown|unrecogni[sz]ed|not permitted|not allowed|unexpected|only the default", re.I
)
_LONGEST_REASON = 300


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

    def __init__(
        self,
        model: str,
        base_url: str,
        key_env: str = "",
        timeout: float = 120.0,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.origin = origin_of(base_url)
        self.base_url = base_url.rstrip("/")
        self.parameters = dict(parameters or {})
        self.timeout = timeout
        self._key_env = key_env or (OPENAI_KEY if self.origin == OPENAI else "")
        if taken := sorted(NOT_PARAMETERS & self.parameters.keys()):
            raise ConfigError(f"teacher.api.parameters.{taken[0]}: set elsewhere, or not to be set")
        at_openai = self.origin == OPENAI
        self._tokens_name = "max_completion_tokens" if at_openai else "max_tokens"
        self._left_out = {"temperature"} if at_openai and _DIFFERENT.match(model) else set[str]()

    def connect(self, concurrency: int) -> OpenAIConnection:
        """See `Endpoint.connect`."""
        key = os.environ.get(self._key_env, "") if self._key_env else ""
        if self._key_env and not key:
            raise TeacherError(f"the environment variable {self._key_env} with the key for {self.origin} is not set")
        return OpenAIConnection(self, key, concurrency)

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the server takes it, as far as is known."""
        body: dict[str, Any] = {
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
        """What a refusal (400, 422) says about a body: from now on such bodies are made in another way."""
        if "max_completion_tokens" in told and "max_tokens" in refused:
            self._tokens_name = "max_completion_tokens"
        elif "max_completion_tokens" in told and "max_completion_tokens" in refused and _NOT_TAKEN.search(told):
            self._tokens_name = "max_tokens"
        elif "temperature" in told and "temperature" in refused and _NOT_TAKEN.search(told):
            self._left_out.add("temperature")
        elif "response_format" in refused and re.search("response_format|json_schema|schema|grammar", told):
            self._left_out.add("response_format")


class OpenAIConnection:
    """An `openai` client of one event loop.

    Args:
        endpoint: see `OpenAIEndpoint`.
        key: "" where the server needs none.
        concurrency: connections that are kept open.
    """

    def __init__(self, endpoint: OpenAIEndpoint, key: str, concurrency: int) -> None:
        import openai

        self._openai = openai
        self._endpoint = endpoint
        self._key = key
        # As the client makes it itself, but that it keeps a hundred connections at most.
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(
            max_connections=concurrency, max_keepalive_connections=concurrency
        )
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=endpoint.timeout,
            http_client=openai.DefaultAsyncHttpxClient(limits=limits),
        )

    async def close(self) -> None:
        """See `Connection.close`."""
        await self._client.close()

    async def send(self, request: Request) -> Reply:
        """See `Connection.send`."""
        # A body may be refused for each of the differences, and learned from each time.
        for _ in range(3):
            body = self._endpoint.body(request)
            try:
                return self._read(await self._post(body))
            except self._openai.APIStatusError as error:
                if error.status_code in (400, 422):
                    self._endpoint.learn(body, error.response.text)
                    if self._endpoint.body(request) != body:
                        continue
                raise self._refused(error) from None
            except (self._openai.APITimeoutError, TimeoutError) as error:
                raise self._late(error) from None
            except self._openai.APIConnectionError as error:
                raise self._lost(error) from None
        raise SendError("HTTP 400: the server takes none of the forms of this request")

    async def _post(self, body: dict[str, Any]) -> Any:
        # The client's own timeout counts from one piece of the answer to the next.
        async with asyncio.timeout(self._endpoint.timeout):
            return await self._client.chat.completions.with_raw_response.create(
                **body, extra_body=self._endpoint.parameters or None
            )

    def _read(self, response: Any) -> Reply:
        """A reply from a 200, whatever is in it."""
        try:
            content = json.loads(response.content)
            choice = content["choices"][0]
            message = choice["message"]
            text = _text(message.get("content"))
            refusal = message.get("refusal")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            shown = self._clean(response.content.decode(errors="replace"))
            raise SendError(f"HTTP 200: not a chat completion: {shown}", 200, retry=True, paid=True) from None
        snapshot = content.get("model")
        return Reply(
            self._clean(text, cut=False),
            self._clean(_failure(choice.get("finish_reason"), refusal, text)),
            snapshot if isinstance(snapshot, str) else "",
            _usage(content.get("usage")),
            response.headers,
        )

    def _refused(self, error: Any) -> SendError:
        status, told = int(error.status_code), self._clean(_message(error.response.text))
        no_credit = status == 429 and bool(_NO_CREDIT.search(error.response.text))
        return SendError(
            f"HTTP {status}: {told}" if told else f"HTTP {status}",
            status,
            retry=(status in _PASSING or status >= 500) and not no_credit,
            paid=status in _PAID,
            fatal=status in _FATAL or no_credit,
            headers=error.response.headers,
        )

    def _late(self, error: BaseException) -> SendError:
        if _is_unreached(error):
            return SendError("no connection to the server in time", retry=True, reached=False)
        return SendError(f"no answer within {self._endpoint.timeout:g} s", retry=True, paid=True)

    def _lost(self, error: BaseException) -> SendError:
        cause = error.__cause__ or error
        told = self._clean(str(cause) or type(cause).__name__)
        if _is_unreached(error):
            return SendError(f"no connection to the server: {told}", retry=True, reached=False)
        return SendError(f"connection lost: {told}", retry=True, paid=True)

    def _clean(self, text: str, cut: bool = True) -> str:
        """Without the key, which a server may repeat; shortened to what a reason needs."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:_LONGEST_REASON] if cut else text


def origin_of(base_url: str) -> str:
    """Scheme, host and port of a base URL.

    Raises:
        ConfigError: not a URL of a server, or one with secrets in it.
    """
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "teacher.api.base_url: no user, password or query belongs there; name the environment variable that holds "
            "the key in teacher.api.key_env"
        )
    try:
        port = parts.port
    except ValueError:
        raise ConfigError("teacher.api.base_url: the port is not a number") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"teacher.api.base_url: write it as http://localhost:8000/v1, not {base_url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def _is_unreached(error: BaseException) -> bool:
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "PoolTimeout")


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
        return "length"
    return "" if text.strip() else "empty"


def _usage(usage: Any) -> tuple[int, int, int] | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return clean_usage(usage.get("prompt_tokens"), usage.get("completion_tokens"), cached)


def _message(text: str) -> str:
    """What an error's body says: `{"error": {"message": ...}}` and the like, or all of it."""
    try:
        content = json.loads(text)
    except ValueError:
        return text
    for _ in range(2):
        if isinstance(content, dict):
            content = content.get("error") or content.get("message") or content.get("detail") or content
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
