"""A student that another server holds: prompts go there as token ids, and calls are answered here.

The server is asked to stop where a call may end. What the call finds is appended, and the server goes on from there; it keeps the
prefix in its cache. vLLM says which string it stopped at and repeats it; other servers do neither, so it is found out.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nesycd.core.answers import Call, Finish
from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding, Generation, Prompt, Supply
from nesycd.core.segments import Segment, text_of
from nesycd.llm.address import Elsewhere, base_of, origin_of
from nesycd.llm.bodies import Unusable
from nesycd.students.rendering import Renderer

_KINDS = ("vllm",)
"""Servers, as they call themselves the owner of their models, that repeat the string they stopped at."""
_MOST_SIGNS = 64
"""Characters of a text for each token that was asked for: no tokenizer's token is as long on the average."""


@dataclass
class _Written:
    """An answer so far."""

    segments: list[Segment] = field(default_factory=list)
    trace: list[Call] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)

    @property
    def text(self) -> str:
        return text_of(self.segments)

    def add(self, text: str, supplied: bool = False) -> None:
        source = "supplied" if supplied else "student"
        if text and self.segments and self.segments[-1].source == source:
            text = self.segments.pop().text + text
        if text:
            self.segments.append(Segment(text=text, source="supplied" if supplied else "student"))


@dataclass(frozen=True)
class _Choice:
    """What an event of a stream brings; `finish` and `stop`: "" where it says none."""

    text: str
    margins: tuple[float, ...]
    finish: str
    stop: str


@dataclass(frozen=True)
class _Piece:
    """What one request brought: its text, and the string it stopped at; None where the server does not say."""

    text: str
    margins: tuple[float, ...]
    finish: str
    stop: str | None


class RemoteStudent:
    """Writes answers through `/v1/completions` of an OpenAI-compatible server that holds the fine-tuned student.

    Args:
        renderer: of the student, which makes the prompts' token ids.
        address: of the server, such as `http://localhost:8000/v1`.
        model: its name there; "": the only one.
        key: for the server; "": none.
        timeout: seconds without an answer after which a request is given up.

    Raises:
        ConfigError: an address that cannot be used.
    """

    def __init__(
        self, renderer: Renderer, address: str, model: str = "", key: str = "", timeout: float = 120.0
    ) -> None:
        import openai

        from nesycd.llm.http_guard import guarded

        self.origin, base = origin_of(address), base_of(address)
        self._renderer, self.model = renderer, model
        self._repeats_stop = False
        self._client: Any = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=base,
            max_retries=1,
            timeout=timeout,
            http_client=guarded(openai.DefaultAsyncHttpxClient(), base),
        )

    async def connect(self) -> None:
        """Look at the server's models, and take the one that is named, or the only one.

        Raises:
            ModelError: there is no server, or no such model.
        """
        found = getattr(await self._asked(self._client.models.list()), "data", None)
        listed = [one for one in found if isinstance(getattr(one, "id", None), str)] if isinstance(found, list) else []
        names = [one.id for one in listed]
        if not self.model and len(names) != 1:
            raise ModelError(f"{self.origin} serves {', '.join(names) or 'no model'}; say which by its name")
        chosen = next((one for one in listed if one.id == (self.model or names[0])), None)
        if chosen is None:
            raise ModelError(f"{self.origin} has no model {self.model!r}; it serves {', '.join(names)}")
        self.model, self._repeats_stop = chosen.id, getattr(chosen, "owned_by", "") in _KINDS

    async def write(self, prompt: Prompt, decoding: Decoding, tell: Callable[[str], None]) -> Generation:
        """Answer a prompt; `tell` is called with the whole text so far.

        Raises:
            ModelError: the server cannot be reached, or does not answer.
        """
        before, made = self._renderer.prompt_ids(prompt.text), _Written()
        finish: Finish = "length"
        while (left := decoding.limit - self._size(made.text)) > 0:
            piece = await self._more(prompt, before, made, left, decoding, tell)
            made.margins += piece.margins
            ended = self._cut(made, piece.text, decoding.stop)
            tell(made.text)
            if ended or piece.finish != "stop":
                finish = "stop" if ended else "length"
                break
            supply = await self._supply(prompt, before, made, piece)
            if supply is None or not (piece.text or supply.text):
                finish = "stop"
                break
            if supply.text:
                made.add(supply.text, supplied=True)
                made.trace.append(supply.call)
                tell(made.text)
        size, text = self._size(made.text), made.text.rstrip()
        while made.segments and text != made.text:
            last = made.segments.pop()
            made.add(last.text.rstrip(), supplied=last.source == "supplied")
        return Generation(
            tuple(made.segments), *Generation.signals(made.margins), len(before), size, finish, tuple(made.trace)
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    # --- one request --------------------------------------------------------------------------------------------------------

    async def _more(
        self,
        prompt: Prompt,
        before: list[int],
        made: _Written,
        limit: int,
        decoding: Decoding,
        tell: Callable[[str], None],
    ) -> _Piece:
        """What the server writes until a call may end."""
        ends = [] if prompt.tools is None else [*prompt.tools.ends]
        so_far, text, margins = made.text, "", list[float]()
        finish, stop = "", None
        async for choice in self._stream(before, so_far, limit, ends):
            text += choice.text
            margins += choice.margins
            if choice.finish:
                finish = choice.finish
                if self._repeats_stop:
                    stop = choice.stop
            if any(one in so_far + text for one in decoding.stop):
                break  # leaving the stream ends the request
            tell(so_far + text)
        return _Piece(text, tuple(margins), finish, stop)

    async def _stream(self, before: list[int], so_far: str, limit: int, stops: Sequence[str]) -> AsyncIterator[_Choice]:
        """The choices of a streamed completion; given up where there are more than a server that keeps to `limit` sends."""
        extra = {"include_stop_str_in_output": True} if self._repeats_stop and stops else {}
        stream = await self._asked(
            self._client.completions.create(
                model=self.model,
                prompt=[*before, *self._renderer.plain_text.ids(so_far)],
                max_tokens=limit,
                temperature=0.0,
                stop=[*stops] or None,
                logprobs=2,
                stream=True,
                extra_body=extra,
            )
        )
        events = signs = 0
        try:
            async for event in self._each(stream):
                choice = _read(event)
                events, signs = events + 1, signs + len(choice.text)
                if events > 2 * limit + 100 or signs > _MOST_SIGNS * (limit + 1):
                    raise ModelError(f"{self.origin}: writes on after the {limit} tokens that it was asked for")
                yield choice
        finally:
            await stream.close()

    async def _supply(self, prompt: Prompt, before: list[int], made: _Written, piece: _Piece) -> Supply | None:
        """What comes after the place where the server stopped; None where the answer ended there.

        A supply without text: nothing is supplied, and the student goes on.
        """
        tools, nothing = prompt.tools, Supply("", Call(name="none", asked="", found=""))
        if tools is None:
            return None
        if piece.stop is not None:
            if not piece.stop:
                return None
            return tools.supply(made.text, prompt.question, made.trace) or nothing
        for end in tools.ends:
            if (found := tools.supply(made.text + end, prompt.question, made.trace)) is not None:
                made.add(end)
                return found
        # It ended, or wrote a string that calls nothing: what comes next tells.
        more = ""
        async for choice in self._stream(before, made.text, 1, ()):
            more += choice.text
        made.add(more)
        if not more:
            return None
        return tools.supply(made.text, prompt.question, made.trace) or nothing

    def _cut(self, made: _Written, text: str, stops: Sequence[str]) -> bool:
        """Take over what was written, up to a stop string; whether there was one."""
        so_far = made.text
        whole = so_far + text
        ends = [at + len(stop) for stop in stops if (at := whole.find(stop)) >= 0 and at + len(stop) > len(so_far)]
        made.add(whole[len(so_far) : min(ends, default=len(whole))])
        return bool(ends)

    def _size(self, text: str) -> int:
        return len(self._renderer.plain_text.ids(text)) if text else 0

    async def _asked(self, request: Any) -> Any:
        import openai

        try:
            return await request
        except openai.APIConnectionError:
            raise ModelError(f"{self.origin}: no server answers there") from None
        except openai.APIStatusError as error:
            raise ModelError(f"{self.origin}: HTTP {error.status_code}: {_said(error)}") from None
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


def _read(event: Any) -> _Choice:
    """An event of a stream. The client checks nothing, so whatever has another form is as if it were not there."""
    choices = getattr(event, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    text, finish, stop = (getattr(choice, name, None) for name in ("text", "finish_reason", "stop_reason"))
    return _Choice(
        text if isinstance(text, str) else "",
        tuple(_margins(choice)),
        finish if isinstance(finish, str) else "",
        stop if isinstance(stop, str) else "",
    )


def _margins(choice: Any) -> list[float]:
    """p1 - p2 of each chosen token, where the server gives log-probabilities."""
    ranked = getattr(getattr(choice, "logprobs", None), "top_logprobs", None)
    found = []
    for alternatives in ranked if isinstance(ranked, list) else []:
        values = alternatives.values() if isinstance(alternatives, dict) else ()
        # No probability is above 1, and a comparison with NaN is false.
        likely = [math.exp(one) for one in values if isinstance(one, int | float) and one <= 0]
        first, second, *_ = [*sorted(likely, reverse=True), 0.0, 0.0]
        found.append(first - second)
    return found


def _said(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("message") or error.message)[:300]
