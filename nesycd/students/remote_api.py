"""Requests to an OpenAI-compatible server: its models, its engine, completions of token ids, and LoRA adapters (vLLM).

Whatever goes wrong is a `ModelError` in one sentence. The client checks nothing of what comes, so fields of another form are as
if they were not there.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from nesycd.core.errors import ModelError
from nesycd.llm.address import Elsewhere, base_of, origin_of
from nesycd.llm.bodies import Unusable, mended

VLLM = "vllm"
"""What vLLM says of who owns its models."""
_MOST_SIGNS = 64
"""Characters of a text for each token that was asked for: no tokenizer's token is as long on the average."""
_CONNECT = 5.0
"""Seconds until a server that takes no connection counts as absent."""


class Unreachable(ModelError):
    """No server answers."""


class UnknownModel(ModelError):
    """The server has no model or adapter of that name (any more)."""


class Refused(ModelError):
    """The server answers a request with an error.

    Args:
        origin: of the server.
        status: of HTTP.
        said: what the server says.
    """

    def __init__(self, origin: str, status: int, said: str) -> None:
        super().__init__(f"{origin}: HTTP {status}: {said}")
        self.status, self.said = status, said


@dataclass(frozen=True)
class Served:
    """A model that a server lists; `parent` names the one that an adapter belongs to, `context` is in tokens (0: not told)."""

    name: str
    owner: str = ""
    parent: str = ""
    context: int = 0


@dataclass(frozen=True)
class Choice:
    """A text of a completion, or the next part of one; `finish` and `stop`: "" where it says none.

    Attributes:
        ranked: for each token the log-probabilities of the likeliest ones, by their texts.
        chosen: for each token, echoed ones included, its own log-probability; NaN where there is none.
    """

    text: str
    finish: str = ""
    stop: str = ""
    ranked: tuple[Mapping[str, float], ...] = ()
    chosen: tuple[float, ...] = ()
    index: int = 0

    @property
    def margins(self) -> list[float]:
        """p1 - p2 of each token; 0 where the server tells no log-probabilities of it."""
        return [margin(one) for one in self.ranked]


def margin(ranked: Mapping[str, float]) -> float:
    """p1 - p2 of ranked log-probabilities."""
    # No probability is above 1, and a comparison with NaN is false.
    first, second, *_ = [*sorted((math.exp(one) for one in ranked.values() if one <= 0), reverse=True), 0.0, 0.0]
    return first - second


class RemoteServer:
    """A connection to a server; used within one event loop.

    Args:
        address: such as `http://localhost:8000/v1`.
        key: for the server; "": none.
        timeout: seconds without an answer after which a request is given up.
        connections: most requests at once.

    Raises:
        ConfigError: an address that cannot be used.
    """

    def __init__(self, address: str, key: str = "", timeout: float = 120.0, connections: int = 100) -> None:
        import httpx2
        import openai

        from nesycd.llm.http_guard import guarded

        self.origin, base = origin_of(address), base_of(address)
        self._root = base.removesuffix("/v1")
        limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client: Any = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=base,
            max_retries=1,
            timeout=httpx2.Timeout(timeout, connect=min(timeout, _CONNECT)),
            http_client=guarded(openai.DefaultAsyncHttpxClient(limits=limits), base),
        )

    async def models(self) -> list[Served]:
        """What the server lists.

        Raises:
            ModelError: no server answers there.
        """
        found = getattr(await self._asked(self._client.models.list()), "data", None)
        listed = [one for one in found if isinstance(getattr(one, "id", None), str)] if isinstance(found, list) else []
        return [
            Served(one.id, _text(one, "owned_by"), _text(one, "parent"), _count(getattr(one, "max_model_len", None)))
            for one in listed
        ]

    async def engine(self, model: str) -> str:
        """Name and version of what runs there, such as `vllm 0.32.0`, as far as the server says.

        vLLM and others have `/version`; elsewhere it is the `system_fingerprint` of an answer.
        """
        owner = next((one.owner for one in await self.models() if one.name == model), "") or "server"
        try:
            told = await self._asked(self._client.get(f"{self._root}/version", cast_to=object))
            if isinstance(told, dict) and isinstance(version := told.get("version"), str) and version:
                return f"{owner} {version}"[:200]
        except Refused as error:
            if error.status >= 500:
                raise  # it has the route, and another name would have all answers asked for anew
        body = {"model": model, "prompt": [0], "max_tokens": 1, "temperature": 0.0}
        try:
            told = await self._asked(self._client.completions.create(**body))
        except Refused:
            return owner
        return f"{owner} {_text(told, 'system_fingerprint')}".strip()[:200]

    async def complete(self, **body: Any) -> list[Choice]:
        """The whole texts of a completion, in the order of its prompts.

        Raises:
            ModelError: the server cannot be asked, or its answer is none.
        """
        told = await self._asked(self._client.completions.create(stream=False, **body))
        choices = getattr(told, "choices", None)
        if not isinstance(choices, list) or not choices:
            raise ModelError(f"{self.origin}: what it answers is no answer of OpenAI's API")
        return sorted((_read(one) for one in choices), key=lambda one: one.index)

    async def stream(self, limit: int, **body: Any) -> AsyncIterator[Choice]:
        """The parts of a streamed completion; given up where there are more than a server that keeps to `limit` tokens sends."""
        stream = await self._asked(self._client.completions.create(stream=True, **body))
        events = signs = 0
        try:
            async for event in self._each(stream):
                choices = getattr(event, "choices", None)
                choice = _read(choices[0] if isinstance(choices, list) and choices else None)
                events, signs = events + 1, signs + len(choice.text)
                if events > 2 * limit + 100 or signs > _MOST_SIGNS * (limit + 1):
                    raise ModelError(f"{self.origin}: writes on after the {limit} tokens that it was asked for")
                yield choice
        finally:
            await stream.close()

    async def tokens(self, model: str, text: str) -> list[int]:
        """The ids that a text has there, without marks of beginning and end (vLLM).

        Raises:
            ModelError: it has no `/tokenize`.
        """
        body = {"model": model, "prompt": text, "add_special_tokens": False}
        told = await self._asked(self._client.post(f"{self._root}/tokenize", cast_to=object, body=body))
        found = told.get("tokens") if isinstance(told, dict) else None
        if not isinstance(found, list):
            raise ModelError(f"{self._root}/tokenize: gives no tokens; the server must be a vLLM")
        return found

    async def prompt_logprobs(self, model: str, ids: Sequence[int], count: int) -> list[Mapping[int, float]]:
        """For each token after the first the log-probabilities (nats) of itself and of the `count` likeliest ones (vLLM).

        Raises:
            ModelError: it gives none.
        """
        body = {"model": model, "prompt": [*ids], "max_tokens": 1, "temperature": 0.0}
        told = await self._asked(self._client.completions.create(**body, extra_body={"prompt_logprobs": count}))
        choices = getattr(told, "choices", None)
        found = getattr(choices[0], "prompt_logprobs", None) if isinstance(choices, list) and choices else None
        try:
            made = [{int(token): float(one["logprob"]) for token, one in place.items()} for place in (found or [])[1:]]
            if len(made) == len(ids) - 1 and all(token in place for token, place in zip(ids[1:], made, strict=True)):
                return [*made]
        except (AttributeError, KeyError, TypeError, ValueError):
            pass
        raise ModelError(f"{self.origin}: gives no log-probabilities of what it was sent; the server must be a vLLM")

    async def load(self, name: str, folder: str) -> None:
        """Load a LoRA adapter (vLLM, with `VLLM_ALLOW_RUNTIME_LORA_UPDATING`); `folder` is as the server sees it.

        Raises:
            Refused, ModelError: it does not load it.
        """
        body = {"lora_name": name, "lora_path": folder}
        # A server that fails to load it fails the second time too.
        client = self._client.with_options(max_retries=0)
        await self._asked(client.post("/load_lora_adapter", cast_to=str, body=body))

    async def unload(self, name: str) -> None:
        """Unload a LoRA adapter.

        Raises:
            Refused, ModelError: it does not.
        """
        await self._asked(self._client.post("/unload_lora_adapter", cast_to=str, body={"lora_name": name}))

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def _asked(self, request: Any) -> Any:
        import openai

        try:
            return await request
        except openai.APITimeoutError:
            raise Unreachable(f"{self.origin}: gives no answer in time") from None
        except openai.APIConnectionError:
            raise Unreachable(f"{self.origin}: no server answers there") from None
        except openai.APIStatusError as error:
            told = Refused(self.origin, error.status_code, _said(error))
            if error.status_code == 404 and "does not exist" in told.said:
                raise UnknownModel(str(told)) from None
            raise told from None
        except Elsewhere as error:
            raise ModelError(
                f"{self.origin}: sends its clients on to {error.origin}; give that address, if it is right"
            ) from None
        except Unusable as error:
            raise ModelError(f"{self.origin}: {error}") from None
        except (openai.APIError, AttributeError, ValueError, RecursionError):
            raise ModelError(f"{self.origin}: what it answers is no answer of OpenAI's API") from None

    async def _each(self, stream: Any) -> AsyncIterator[Any]:
        import httpx2
        import openai

        try:
            async for event in stream:
                yield event
        except Unusable as error:
            raise ModelError(f"{self.origin}: {error}") from None
        except (openai.APIError, httpx2.HTTPError, httpx2.StreamError, ValueError, AttributeError, RecursionError):
            raise ModelError(f"{self.origin}: the answer broke off, or is no stream of OpenAI's API") from None


def _read(choice: Any) -> Choice:
    known = getattr(choice, "logprobs", None)
    return Choice(
        _text(choice, "text"),
        _text(choice, "finish_reason"),
        _text(choice, "stop_reason"),
        tuple(_numbers(one) for one in _listed(known, "top_logprobs")),
        tuple(map(_number, _listed(known, "token_logprobs"))),
        _count(getattr(choice, "index", 0)),
    )


def _listed(of: Any, name: str) -> Sequence[Any]:
    found = getattr(of, name, None)
    return found if isinstance(found, list) else []


def _numbers(ranked: Any) -> Mapping[str, float]:
    return (
        {str(token): value for token, told in ranked.items() if not math.isnan(value := _number(told))}
        if isinstance(ranked, dict)
        else {}
    )


def _number(value: Any) -> float:
    """A log-probability; NaN for what is none."""
    with suppress(OverflowError):
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
            return float(value)
    return math.nan


def _text(of: Any, name: str) -> str:
    found = getattr(of, name, None)
    return mended(found) if isinstance(found, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _said(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    told = inner.get("message") if isinstance(inner, dict) else None
    return str(body.get("message") or told or error.message)[:300]
