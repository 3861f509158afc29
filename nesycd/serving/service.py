"""Answering questions for a server: a method's prompts, the engine that answers them, and the limits within which it happens.

What belongs to the knowledge base happens in one thread, apart from the one that generates: an answer takes the base as it is
when it begins, and keeps it, so that an edit takes effect between answers and never within one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from nesycd.api.finished import OpenRun
from nesycd.api.reply import Reply
from nesycd.core.answers import Prediction
from nesycd.core.errors import KnowledgeError, NesycdError
from nesycd.core.records import Example
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.predict import Ask, Responded, Way, prediction_of
from nesycd.runs.stage import Artifact
from nesycd.serving.engine import Engine, Tell
from nesycd.serving.metrics import Metrics

T = TypeVar("T")


class Busy(NesycdError):
    """As many questions wait as may; ask again later."""


class TooSlow(NesycdError):
    """An answer took longer than it may."""


@dataclass(frozen=True)
class Answered:
    """A reply with what it took.

    Attributes:
        read: the response without look-ups, whose results stay.
        prompt_tokens, completion_tokens: of all its prompts, supplied tokens included.
        finish: of the last one, see `Prediction`.
        version: of the knowledge that it was answered with: `KnowledgeBase.revision`.
    """

    reply: Reply
    read: str
    prompt_tokens: int
    completion_tokens: int
    finish: str
    version: int


@dataclass(frozen=True)
class _Begun:
    knowledge: Knowledge
    version: int
    way: Way
    step: int
    now: _Asked


_Asked = Sequence[tuple[Ask, Prediction | None]]
"""The prompts of a step, each with the run's prediction where it has one."""


class Service:
    """Answers questions by methods of a finished run.

    Args:
        opened: the run.
        engine: writes the answers.
        metrics: counts what happens.
        most_waiting: most questions at once, those that are being answered included.
        timeout: seconds that an answer may take, waiting included.
    """

    def __init__(
        self, opened: OpenRun, engine: Engine, metrics: Metrics, *, most_waiting: int = 256, timeout: float = 120.0
    ) -> None:
        self.opened, self.engine, self.metrics = opened, engine, metrics
        self._most, self._timeout = most_waiting, timeout
        self._thread = ThreadPoolExecutor(1, "knowledge")
        self.count = 0
        """Questions that wait or are being answered."""

    async def answer(self, example: Example, method: str, limit: int | None, tell: Tell) -> Answered:
        """Answer one question.

        Args:
            example: see `OpenRun.example`.
            method: by which the run answers.
            limit: most tokens of the answer; None: the recipe's.
            tell: called with the response so far, look-ups included, as it is written; not with a draft.

        Raises:
            Busy: too many questions wait.
            TooSlow: it took longer than it may.
            NesycdError: it cannot be answered.
        """
        if self.count >= self._most:
            raise Busy(f"{self.count} questions wait already; ask again later")
        self.count += 1
        try:
            async with asyncio.timeout(self._timeout):
                return await self._answer(example, method, limit, tell)
        except TimeoutError:
            raise TooSlow(f"the answer took longer than {self._timeout:g} s") from None
        finally:
            self.count -= 1

    async def _answer(self, example: Example, method: str, limit: int | None, tell: Tell) -> Answered:
        begun = await self._knowing(partial(self._begin, example, method, limit))
        asks: list[Ask] = []
        made: list[Prediction] = []
        step, now = begun.step, begun.now
        while now:
            joint = now[0][0].joint
            # Readings are not told, nor are drafts, which may stand or not.
            quiet = step < len(begun.way.steps)
            said = _quiet if quiet else partial(_after, tell, "" if joint is None else made[-1].text + joint)
            made += await asyncio.gather(*(self._predicted(ask, known, said) for ask, known in now))
            asks += [ask for ask, _ in now]
            step, now = await self._knowing(partial(self._next, begun.way, example, tuple(made), step))
        return await self._knowing(partial(self._finished, begun, example, asks, made))

    async def _predicted(self, ask: Ask, known: Prediction | None, tell: Tell) -> Prediction:
        """A prediction that the run has, or a new one, which is not kept."""
        if known is not None:
            return known
        started = time.monotonic()
        generation = await self.engine.write(ask, tell)
        self.metrics.wrote(generation)
        return prediction_of(self.opened.predictor.key(ask), ask.student, generation, time.monotonic() - started)

    # --- in the thread of the knowledge base ------------------------------------------------------------------------------

    async def _knowing(self, work: Callable[[], T]) -> T:
        def timed() -> T:
            started = time.monotonic()
            made = work()
            self.metrics.knowledge.observe(time.monotonic() - started)
            return made

        return await asyncio.get_running_loop().run_in_executor(self._thread, timed)

    def _begin(self, example: Example, method: str, limit: int | None) -> _Begun:
        opened = self.opened
        knowledge, version = self._present()
        way = opened.way(method, limit, knowledge)
        return _Begun(knowledge, version, way, *self._next(way, example, (), 0))

    def _next(self, way: Way, example: Example, made: Sequence[Prediction], step: int) -> tuple[int, _Asked]:
        step, asks = way.after(example, made, step)
        return step, [(ask, self.opened.predictor.find(ask)) for ask in asks]

    def _present(self) -> tuple[Knowledge, int]:
        """The knowledge base as it is, and its revision. Others may write to it meanwhile, and a run that goes on replaces it."""
        try:
            return self._read()
        except KnowledgeError:
            self.opened.close()  # what is there now is opened again
            return self._read()

    def _read(self) -> tuple[Knowledge, int]:
        while True:
            version = self.opened.kb.revision
            knowledge = self.opened.knowledge()
            if self.opened.kb.revision == version:
                return knowledge, version

    def _finished(self, begun: _Begun, example: Example, asks: Sequence[Ask], made: Sequence[Prediction]) -> Answered:
        opened = self.opened
        answer = opened.predictor.answer(begun.way.method, example, asks, made)
        responded = Responded(example, answer, tuple(asks), tuple(made))
        return Answered(
            reply=opened.reply(responded, begun.knowledge),
            read=responded.response,
            prompt_tokens=sum(one.prompt_tokens for one in made),
            completion_tokens=sum(one.completion_tokens for one in made),
            finish=made[-1].finish,
            version=begun.version,
        )

    async def state(self, method: str) -> tuple[int, int, str]:
        """The base's revision, the number of its approved items, and what is to be said of it to who asks this method."""

        def look() -> tuple[int, int, str]:
            knowledge, version = self._present()
            return version, len(knowledge.entries), self.opened.note(method, knowledge)

        return await asyncio.get_running_loop().run_in_executor(self._thread, look)

    async def warm(self, method: str) -> None:
        """Load what a method's answers need: weights and knowledge.

        Raises:
            NesycdError: it cannot be loaded, or there is no such method.
        """

        def look() -> list[Artifact | None]:
            self._begin(self.opened.example("?"), method, None)
            return self.opened.adapters(method)

        for adapter in await self._knowing(look):
            await self.engine.warm(adapter)

    async def close(self) -> None:
        """Give up what is being answered, and release run and engine."""
        await self.engine.close()
        await asyncio.to_thread(self._thread.shutdown)
        self.opened.close()


def _after(tell: Tell, start: str, text: str) -> None:
    tell(start + text)


def _quiet(text: str) -> None:
    """A draft is not told."""
