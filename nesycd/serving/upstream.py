"""The engines that ask another server: one that holds the exported student, or the one that answers in the run itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from nesycd.api.finished import OpenRun
from nesycd.core.errors import ConfigError, ModelError
from nesycd.core.protocols import Generation, Prompt
from nesycd.core.text import normal
from nesycd.methods import table
from nesycd.methods.predict import Adapter, Ask
from nesycd.serving.engine import Tell
from nesycd.students.served import ServedStudent

CANARIES = 3
"""Stored answers that are asked for again, to see whether the server has the run's student."""
_LONGEST = 120
"""Tokens of one of them at most."""


class UpstreamEngine:
    """Answers by a server that holds the run's student; see `RemoteStudent`.

    Args:
        opened: the run.
        methods: by which it answers.
        address, model, key: of the server, and the student's name there.

    Raises:
        ConfigError: an address that cannot be used, or a student that no server can hold.
    """

    def __init__(self, opened: OpenRun, methods: Sequence[str], address: str, model: str = "", key: str = "") -> None:
        from nesycd.students.remote import RemoteStudent
        from nesycd.students.remote_api import RemoteServer

        renderer = getattr(opened.student, "renderer", None)
        if renderer is None:
            raise ConfigError(f"--upstream: the student {opened.student.name!r} is no model that a server could hold")
        self._opened, self._running = opened, 0
        self._methods = table.named(methods, opened.recipe, "method")
        self._student = RemoteStudent(renderer, RemoteServer(address, key), model)

    @property
    def running(self) -> int:
        """See `Engine`."""
        return self._running

    async def write(self, ask: Ask, tell: Tell) -> Generation:
        """See `Engine`."""
        self._running += 1
        try:
            return await self._student.write(Prompt("", ask.prompt, ask.tools, ask.question), ask.decoding, tell)
        finally:
            self._running -= 1

    async def warm(self, adapter: Adapter | None) -> None:
        """See `Engine`: the server must answer, and as this student did in the run.

        Raises:
            ModelError: no server, no such model, or another model than this run's student.
        """
        await self._student.connect()
        asked = self._canaries("" if adapter is None else adapter.fingerprint)
        made = [await self.write(ask, lambda text: None) for ask, _ in asked]
        routed = [method.name for method in self._methods if method.router]
        if routed and made and not any(one.margin for one in made):
            raise ModelError(
                f"{self._student.server.origin} gives no log-probabilities, which the router of {routed[0]} reads; serve another "
                "method"
            )
        if asked and not any(normal(one.text) == normal(text) for one, (_, text) in zip(made, asked, strict=True)):
            raise ModelError(
                f"{self._student.server.origin}: {self._student.model!r} answers {len(asked)} questions otherwise than this "
                "run's student did: is it the exported one (nesycd export), with this run's adapter?"
            )

    async def close(self) -> None:
        """See `Engine`."""
        with suppress(RuntimeError):
            await self._student.close()

    def _canaries(self, student: str) -> list[tuple[Ask, str]]:
        """Prompts that the run's student answered, with its texts."""
        found: list[tuple[Ask, str]] = []
        for method in self._methods:
            way = self._opened.way(method.name)
            for example in self._opened.examples("test").values():
                ask = way.first(example)
                known = self._opened.predictor.find(ask)
                if known is not None and known.student == student and known.completion_tokens <= _LONGEST:
                    found.append((ask, known.text))
                if len(found) == CANARIES:
                    return found
        return found


class ServedEngine:
    """Answers by the server that answers in the run itself, with all of its adapters; see `ServedStudent`."""

    def __init__(self, student: ServedStudent) -> None:
        self._student, self._running = student, 0

    @property
    def running(self) -> int:
        """See `Engine`."""
        return self._running

    async def write(self, ask: Ask, tell: Tell) -> Generation:
        """See `Engine`."""
        loop = asyncio.get_running_loop()
        adapter = None if ask.adapter is None else ask.adapter.path
        self._running += 1
        try:
            begun = self._student.begin(
                Prompt("", ask.prompt, ask.tools, ask.question),
                adapter,
                ask.decoding,
                lambda text: _later(loop, tell, text),
            )
            return await asyncio.wrap_future(begun)
        finally:
            self._running -= 1

    async def warm(self, adapter: Adapter | None) -> None:
        """See `Engine`."""
        await asyncio.wrap_future(self._student.ready(None if adapter is None else adapter.path))

    async def close(self) -> None:
        """See `Engine`."""
        await asyncio.to_thread(self._student.close)


def _later(loop: asyncio.AbstractEventLoop, tell: Tell, text: str) -> None:
    loop.call_soon_threadsafe(tell, text)
