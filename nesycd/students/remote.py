"""A student that another server holds: prompts go there as token ids, and calls are answered here.

The server is asked to stop where a call may end. What the call finds is appended, and the server goes on from there; it keeps the
prefix in its cache. vLLM says which string it stopped at and repeats it; other servers do neither, so it is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nesycd.core.answers import Call, Finish
from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding, Generation, Prompt, Supply
from nesycd.core.records import content_hash
from nesycd.core.segments import Segment, text_of
from nesycd.students.remote_api import VLLM, RemoteServer, Served
from nesycd.students.rendering import Renderer
from nesycd.students.repetition import is_repetitive


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
class _Piece:
    """What one request brought: its text, and the string it stopped at; None where the server does not say."""

    text: str
    margins: tuple[float, ...]
    finish: str
    stop: str | None


class RemoteStudent:
    """Writes answers through `/v1/completions` of an OpenAI-compatible server that holds the student.

    Args:
        renderer: of the student, which makes the prompts' token ids.
        server: the connection to it.
        model: the student's name there; "": the only model.
        stop_repetition: whether answers that repeat themselves are cut where a local student would end them (`is_repetitive`).
    """

    def __init__(
        self, renderer: Renderer, server: RemoteServer, model: str = "", stop_repetition: bool = False
    ) -> None:
        self.server, self.model = server, model
        self.context = 0
        """Tokens of a prompt with its answer at most, where the server tells it; 0 elsewhere."""
        self._renderer = renderer
        self._stop_repetition = stop_repetition
        self._repeats_stop = False

    async def connect(self) -> None:
        """Look at the server's models, and take the one that is named, or the only one.

        Raises:
            ModelError: there is no server, or no such model.
        """
        listed = await self.server.models()
        chosen = chosen_of(listed, self.model, self.server.origin)
        self.model, self.context = chosen.name, chosen.context
        self._repeats_stop = chosen.owner == VLLM

    async def write(
        self, prompt: Prompt, decoding: Decoding, tell: Callable[[str], None] | None = None, model: str = ""
    ) -> Generation:
        """Answer a prompt.

        Args:
            prompt: the prompt.
            decoding: how.
            tell: called with the whole text so far; None: the server need not stream.
            model: the name of an adapter there; "": the model itself.

        Raises:
            ModelError: the server cannot be reached, or does not answer.
        """
        before, made = self._renderer.prompt_ids(prompt.text), _Written()
        asked = _Asked(prompt, before, decoding, tell, model or self.model)
        finish: Finish = "length"
        while (left := decoding.limit - self._size(made.text)) > 0:
            piece = await self._more(asked, made, left)
            made.margins += piece.margins
            ended = self._cut(made, piece.text, decoding.stop)
            if self._stop_repetition and self._cut_repetition(made):
                break
            asked.say(made.text)
            if ended or piece.finish != "stop":
                finish = "stop" if ended else "length"
                break
            supply = await self._supply(asked, made, piece)
            if supply is None or not (piece.text or supply.text):
                finish = "stop"
                break
            if supply.text:
                made.add(supply.text, supplied=True)
                made.trace.append(supply.call)
                asked.say(made.text)
        size, text = self._size(made.text), made.text.rstrip()
        while made.segments and text != made.text:
            last = made.segments.pop()
            made.add(last.text.rstrip(), supplied=last.source == "supplied")
        return Generation(
            tuple(made.segments), *Generation.signals(made.margins), len(before), size, finish, tuple(made.trace)
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self.server.close()

    # --- one request --------------------------------------------------------------------------------------------------------

    async def _more(self, asked: _Asked, made: _Written, limit: int) -> _Piece:
        """What the server writes until a call may end."""
        stops, ends = asked.decoding.stop, [] if asked.prompt.tools is None else [*asked.prompt.tools.ends]
        so_far, text, margins = made.text, "", list[float]()
        finish, stop = "", None
        if asked.tell is None and (self._repeats_stop or not stops):
            body = self._body(asked, so_far, limit, [*ends, *stops])
            [choice, *_] = await self.server.complete(**body)
            return _Piece(
                choice.text, tuple(choice.margins), choice.finish, choice.stop if self._repeats_stop else None
            )
        async for choice in self.server.stream(limit, **self._body(asked, so_far, limit, ends)):
            text += choice.text
            margins += choice.margins
            if choice.finish:
                finish = choice.finish
                if self._repeats_stop:
                    stop = choice.stop
            if any(one in so_far + text for one in stops):
                break  # leaving the stream ends the request
            asked.say(so_far + text)
        return _Piece(text, tuple(margins), finish, stop)

    def _body(self, asked: _Asked, so_far: str, limit: int, stops: Sequence[str]) -> dict[str, Any]:
        """A request for what comes after `so_far`."""
        return {
            "model": asked.model,
            "prompt": [*asked.before, *self._renderer.plain_text.ids(so_far)],
            "max_tokens": limit,
            "stop": [*stops] or None,
            "logprobs": 2,
            **self._sampling(asked, so_far),
            "extra_body": self.extra(bool(stops)),
        }

    def _sampling(self, asked: _Asked, so_far: str) -> dict[str, Any]:
        """Greedily, or from the whole vocabulary by the decoding's seed, the prompt and the place in the answer."""
        decoding = asked.decoding
        if not decoding.temperature:
            return {"temperature": 0.0}
        seed = int(content_hash([decoding.seed, asked.prompt.text, so_far])[:7], 16)
        return {"temperature": decoding.temperature, "top_p": 1.0, "seed": seed}

    def extra(self, stops: bool = False) -> dict[str, Any]:
        """What a request needs besides: vLLM takes penalties and limits of sampling from the model's `generation_config.json`."""
        if not self._repeats_stop:
            return {}
        plain = {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0}
        return {**plain, **({"include_stop_str_in_output": True} if stops else {})}

    async def _supply(self, asked: _Asked, made: _Written, piece: _Piece) -> Supply | None:
        """What comes after the place where the server stopped; None where the answer ended there.

        A supply without text: nothing is supplied, and the student goes on.
        """
        tools, nothing = asked.prompt.tools, Supply("", Call(name="none", asked="", found=""))
        if tools is None:
            return None
        question = asked.prompt.question
        if piece.stop is not None:
            if not piece.stop:
                return None
            return tools.supply(made.text, question, made.trace) or nothing
        for end in tools.ends:
            if (found := tools.supply(made.text + end, question, made.trace)) is not None:
                made.add(end)
                return found
        # It ended, or wrote a string that calls nothing: what comes next tells.
        more = ""
        async for choice in self.server.stream(1, **self._body(asked, made.text, 1, ())):
            more += choice.text
        made.add(more)
        if not more:
            return None
        return tools.supply(made.text, question, made.trace) or nothing

    def _cut(self, made: _Written, text: str, stops: Sequence[str]) -> bool:
        """Take over what was written, up to a stop string; whether there was one."""
        so_far = made.text
        whole = so_far + text
        ends = [at + len(stop) for stop in stops if (at := whole.find(stop)) >= 0 and at + len(stop) > len(so_far)]
        made.add(whole[len(so_far) : min(ends, default=len(whole))])
        return bool(ends)

    def _cut_repetition(self, made: _Written) -> bool:
        """Cut the last piece where the answer became repetitive; whether it did."""
        ids = self._renderer.plain_text.ids(made.text) if made.text else []
        end = next((size for size in range(8, len(ids) + 1, 8) if is_repetitive(ids[:size])), 0)
        if not end or made.segments[-1].source == "supplied":
            return False
        last = made.segments.pop()
        before = len(made.text)
        made.add(str(self._renderer.tokenizer.decode(ids[:end]))[before:] or last.text[:1])
        made.margins = made.margins[: len(made.margins) - (len(ids) - end)]
        return True

    def _size(self, text: str) -> int:
        return len(self._renderer.plain_text.ids(text)) if text else 0


@dataclass(frozen=True)
class _Asked:
    """A prompt on its way: `before` are its token ids, `model` is asked."""

    prompt: Prompt
    before: list[int]
    decoding: Decoding
    tell: Callable[[str], None] | None
    model: str

    def say(self, text: str) -> None:
        if self.tell is not None:
            self.tell(text)


def chosen_of(listed: Sequence[Served], name: str, origin: str, bare: bool = False) -> Served:
    """The model of that name, or the only one; `bare`: adapters left aside.

    Raises:
        ModelError: there is none, or several.
    """
    names = [one.name for one in listed]
    found = [one for one in listed if (one.name == name if name else not (bare and one.parent))]
    if len(found) == 1 or (found and name):
        return found[0]
    if name:
        raise ModelError(f"{origin} has no model {name!r}; it serves {', '.join(names)}")
    raise ModelError(f"{origin} serves {', '.join(names) or 'no model'}; say which by its name")
