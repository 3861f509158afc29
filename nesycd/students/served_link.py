"""The link of a served student to its server: what is done within one event loop, and the thread that has it."""

from __future__ import annotations

import asyncio
import math
import random
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nesycd.core.errors import ModelError
from nesycd.core.protocols import LEAST, Decoding, Generation, Prompt
from nesycd.core.sections import ServerSection
from nesycd.students.canary import TEXT, seen_here
from nesycd.students.remote import RemoteStudent, chosen_of
from nesycd.students.remote_api import Refused, RemoteServer, UnknownModel
from nesycd.students.served_adapters import Adapters, probed

if TYPE_CHECKING:
    from nesycd.students.registry import LazyStudent

T = TypeVar("T")
_ENDS = 5.0
"""Seconds that a connection may take to end."""
_MEASURED, _WRITTEN = 48, 24
"""Answers, and tokens of each, by which a server's speed is measured."""


@dataclass(frozen=True)
class Examined:
    """What a server is like.

    Attributes:
        served_by: see `ServedStudent.served_by`.
        model: the base's name there.
        context: in tokens; 0: not told.
        problem: why it could not answer by trained adapters, a sentence; "" where it can, as far as is known.
    """

    served_by: str = ""
    model: str = ""
    context: int = 0
    problem: str = ""


class Link:
    """A connection to the server, within its loop.

    Args:
        server: the connection.
        model: the base's name there.
        engine: see `RemoteServer.engine`.
        local: the student here.
        settings: of the server.
    """

    def __init__(
        self, server: RemoteServer, model: str, engine: str, local: LazyStudent, settings: ServerSection
    ) -> None:
        self.engine = engine
        self._server, self._model, self._local, self._settings = server, model, local, settings
        self._places = asyncio.Semaphore(self._settings.concurrency)
        self._checking = asyncio.Lock()
        self._remote: RemoteStudent | None = None
        self._adapters: Adapters | None = None

    async def ready(self, engine: str) -> None:
        """Have the server's model compared with the student, once.

        Raises:
            ModelError: it is another model, or another engine than the run's predictions are kept by.
        """
        async with self._checking:
            if engine and engine != self.engine:
                raise ModelError(
                    f"{self._server.origin} runs {self.engine}, and {engine} is what answers are kept by: run the same command "
                    "again"
                )
            if self._adapters is not None:
                return
            local = self._local
            remote = RemoteStudent(local.renderer, self._server, self._model, stop_repetition=bool(local.decoding))
            await remote.connect()
            adapters = Adapters(
                remote,
                local.renderer,
                local.fingerprint,
                lambda adapter, name: seen_here(local, adapter, name),
                self._settings.paths,
            )
            await adapters.check_base()
            self._remote, self._adapters = remote, adapters

    async def write(
        self,
        prompt: Prompt,
        adapter: Path | None,
        decoding: Decoding,
        tell: Callable[[str], None] | None,
        done: Callable[[Generation], None] = lambda made: None,
    ) -> Generation:
        """Answer one prompt, when there is a place."""
        async with self._places:
            length = len(self._local.renderer.prompt_ids(prompt.text))
            if not self._fits(length + decoding.limit):
                made = Generation.too_long(length)
            else:
                remote = self._ready
                made = await self._by(adapter, lambda name: remote.write(prompt, decoding, tell, name))
        done(made)
        return made

    async def load(self, adapter: Path) -> None:
        """Have an adapter loaded and checked."""
        assert self._adapters is not None, "ready comes first"
        await self._adapters.name_of(adapter)

    async def score(self, before: list[int], written: list[int], adapter: Path | None) -> float | None:
        """The mean log-probability of the least likely tokens of a text; None where the server does not tell them."""
        if not self._fits(len(before) + len(written) + 1):
            return -math.inf
        remote = self._ready

        async def ask(name: str) -> float | None:
            body = {"model": name or self._model, "prompt": [*before, *written], "max_tokens": 1, "temperature": 0.0}
            [choice, *_] = await self._server.complete(echo=True, logprobs=1, extra_body=remote.extra(), **body)
            found = choice.chosen[len(before) : len(before) + len(written)]
            if len(choice.chosen) < len(before) + len(written) or any(math.isnan(one) for one in found):
                return None
            least = sorted(found)[:LEAST]
            return sum(least) / len(least)

        async with self._places:
            try:
                return await self._by(adapter, ask)
            except Refused as error:
                if error.status in (400, 422, 501):
                    return None
                raise

    async def pace(self, question: int, written: int) -> float:
        """Tokens of answers a second, at as many at once as the settings say."""
        size, rng = min(_MEASURED, self._settings.concurrency), random.Random(0)
        known = self._local.renderer.plain_text.ids(TEXT)
        extra = {**self._ready.extra(), "ignore_eos": True}

        async def timed(limit: int) -> float:
            started = time.monotonic()
            prompts = [rng.choices(known, k=max(1, question)) for _ in range(size)]
            body = {"model": self._model, "max_tokens": limit, "temperature": 0.0, "logprobs": 2, "extra_body": extra}
            await all_of([self._server.complete(prompt=one, **body) for one in prompts])
            return time.monotonic() - started

        reading = await timed(1)
        each = max(1e-6, (await timed(1 + _WRITTEN) - reading) / _WRITTEN)
        return size * written / (reading + each * written)

    async def examine(self, rank: int, folder: Path) -> Examined:
        """See `ServedStudent.examine`."""
        listed = chosen_of(await self._server.models(), self._model, self._server.origin)
        problem = await probed(self._server, self._settings.paths, rank, folder)
        return Examined(self.engine, self._model, listed.context, problem)

    async def close(self) -> None:
        """Unload, and end the connections."""
        if self._adapters is not None:
            await self._adapters.unload()
        await self._server.close()

    @property
    def _ready(self) -> RemoteStudent:
        assert self._remote is not None, "ready comes first"
        return self._remote

    def _fits(self, tokens: int) -> bool:
        """Whether a prompt with its answer fits into the model's context.

        Raises:
            ModelError: it does, but the server keeps a shorter one.
        """
        if tokens > self._local.context:
            return False
        if self._ready.context and tokens > self._ready.context:
            raise ModelError(
                f"{self._server.origin} was started with a context of {self._ready.context} tokens, and a prompt with its answer "
                f"takes up to {tokens}: start it with --max-model-len {tokens} or more"
            )
        return True

    async def _by(self, adapter: Path | None, ask: Callable[[str], Coroutine[Any, Any, T]]) -> T:
        """Ask by an adapter; where the server has lost it, as after a restart, it is loaded again, once."""
        adapters = self._adapters
        assert adapters is not None, "ready comes first"
        if adapter is None:
            return await ask("")
        name = await adapters.name_of(adapter)
        try:
            return await ask(name)
        except UnknownModel:
            adapters.forget(name)
        if (now := await self._server.engine(self._model)) != self.engine:
            raise ModelError(
                f"{self._server.origin} runs {now} now, and ran {self.engine} before: run the same command again"
            )
        await adapters.check_base()
        return await ask(await adapters.name_of(adapter))


class Connection:
    """The link, with an event loop in a thread of its own, begun on demand: callers may have a loop running, as notebooks do."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.linking = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._begun = threading.Lock()

    def begin(self, act: Coroutine[Any, Any, T]) -> Future[T]:
        with self._begun:
            if self._loop is None:
                self._loop, self.linking = asyncio.new_event_loop(), asyncio.Lock()
                self._thread = threading.Thread(target=self._loop.run_forever, name="nesycd-server", daemon=True)
                self._thread.start()
        return asyncio.run_coroutine_threadsafe(act, self._loop)

    def run(self, act: Coroutine[Any, Any, T]) -> T:
        """Wait for the result; a caller that is interrupted gives the requests up."""
        future = self.begin(act)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Unload adapters, and end link and loop; both are begun again on demand."""
        link, self.link = self.link, None
        if link is not None:
            with suppress(ModelError):
                self.run(link.close())
        with self._begun:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_ENDS)
            if not thread.is_alive():
                loop.close()


async def all_of(acts: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; where one fails the others are given up."""
    tasks = [asyncio.ensure_future(act) for act in acts]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
