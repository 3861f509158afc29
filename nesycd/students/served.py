"""A student that is trained here and answers on a server: its prompts, calls and adapters are ours, its tokens the server's."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nesycd.core.errors import ConfigError, ModelError
from nesycd.core.protocols import Decoding, Generation, Pace, Prompt, TrainReport, TrainSettings
from nesycd.core.records import Targets, TrainingText
from nesycd.core.sections import ServerSection
from nesycd.core.segments import Segment
from nesycd.students.remote import chosen_of
from nesycd.students.remote_api import RemoteServer, Unreachable
from nesycd.students.served_link import Connection, Examined, Link, all_of

if TYPE_CHECKING:
    from nesycd.students.registry import LazyStudent
    from nesycd.students.rendering import Renderer

T = TypeVar("T")
BATCH = 4
"""Prompts of a batch, in units of `concurrency`: of more, more is lost when a server dies; of fewer, it waits more often."""


def key_of(settings: ServerSection) -> str:
    """The server's key, from the environment; "" where none is named.

    Raises:
        ConfigError: it is not set.
    """
    key = os.environ.get(settings.key_env, "") if settings.key_env else ""
    if settings.key_env and not key:
        raise ConfigError(f"student.server.key_env: the environment variable {settings.key_env} is not set")
    return key


class ServedStudent:
    """Implements `nesycd.core.protocols.Student`: trains and counts by a local student, answers by a server.

    The local student's weights are loaded for training, once for the canary of each adapter, and where the server cannot score
    texts.

    Args:
        local: the student here.
        settings: of the server.
        known: name and version of what answered in this run so far; it counts where no server answers now, so that what is
            finished is recognised.
        tell: called with sentences for the user.
    """

    def __init__(
        self,
        local: LazyStudent,
        settings: ServerSection,
        known: str = "",
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.name = local.name
        self._local, self._settings, self._known, self._tell = local, settings, known, tell
        self._loop = Connection()
        self._scores = True
        weakref.finalize(self, self._loop.close)

    # --- what is local ------------------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """See `Student.fingerprint`: of the model here, so that adapters do not depend on where answers are written."""
        return self._local.fingerprint

    @property
    def commit(self) -> str:
        """See `LazyStudent.commit`."""
        return self._local.commit

    @property
    def renderer(self) -> Renderer:
        """Makes the token ids of its prompts."""
        return self._local.renderer

    def train(
        self,
        texts: Sequence[TrainingText],
        settings: TrainSettings,
        folder: Path,
        *,
        seed: int,
        init: Path | None = None,
        progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> TrainReport:
        """See `Student.train`; in this process."""
        return self._local.train(texts, settings, folder, seed=seed, init=init, progress=progress)

    def likeliest(
        self, prompts: Sequence[str], completions: Sequence[Sequence[Segment]], *, adapter: Path | None, count: int
    ) -> list[Targets]:
        """See `ScoringStudent.likeliest`; in this process."""
        return self._local.likeliest(prompts, completions, adapter=adapter, count=count)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Student.count_tokens`."""
        return self._local.count_tokens(texts)

    # --- the server ---------------------------------------------------------------------------------------------------

    @cached_property
    def served_by(self) -> str:
        """Name and version of what answers, such as `vllm 0.32.0`; what was known of it, where no server answers now.

        Raises:
            ModelError: no server answers, and nothing is known.
        """
        try:
            return self._loop.run(self._engine())
        except Unreachable as error:
            if self._known:
                return self._known
            raise ModelError(f"student.server: {error}; start it, or leave student.server.base_url out") from None

    @property
    def decoding(self) -> str:
        """See `Student.decoding`: with the engine, so that its predictions and local ones never mix."""
        return " ".join(filter(None, [self._local.decoding, self.served_by]))

    def load(self) -> None:
        """See `Student.load`: here, and whether the server has the model."""
        self._local.load()
        self._run(lambda link: _nothing())

    def plan(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """See `Student.plan`: in order, since a server needs no like lengths."""
        size = BATCH * self._settings.concurrency
        return [list(range(at, min(at + size, len(prompts)))) for at in range(0, len(prompts), size)]

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        adapter: Path | None,
        decoding: Decoding,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generation]:
        """See `Student.generate`. `progress` gets the mean tokens of the batch's answers so far.

        Raises:
            ModelError: the server cannot be asked, has not the student's weights, or too short a context.
        """
        if not prompts:
            return []
        done = 0

        def tell(made: Generation) -> None:
            nonlocal done
            done += made.completion_tokens
            if progress is not None:
                progress(min(done // len(prompts), decoding.limit), decoding.limit)

        async def answer(link: Link) -> list[Generation]:
            return await all_of([link.write(prompt, adapter, decoding, None, tell) for prompt in prompts])

        return self._run(answer)

    def begin(
        self, prompt: Prompt, adapter: Path | None, decoding: Decoding, tell: Callable[[str], None]
    ) -> Future[Generation]:
        """Begin to answer one prompt; `tell` is called, in another thread, with the whole text so far."""

        async def answer() -> Generation:
            return await (await self._linked()).write(prompt, adapter, decoding, tell)

        return self._loop.begin(answer())

    def ready(self, adapter: Path | None) -> Future[None]:
        """Begin to have an adapter loaded and checked on the server."""

        async def load() -> None:
            link = await self._linked()
            if adapter is not None:
                await link.load(adapter)

        return self._loop.begin(load())

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        """See `Student.least_likely`: by the server where it gives log-probabilities of what it reads, else in this process."""
        if self._scores:
            pairs = [
                (self.renderer.prompt_ids(prompt.text), self.renderer.completion_ids(completion))
                for prompt, completion in zip(prompts, completions, strict=True)
            ]

            async def score(link: Link) -> list[float | None]:
                made: list[float | None] = []
                for before, written in pairs:
                    # One after the other: vLLM 0.32 on CPUs ends where another request runs beside one of an adapter's.
                    made.append(await link.score(before, written, adapter))
                    if made[-1] is None:
                        break
                return made

            found = self._run(score)
            if None not in found:
                return [one for one in found if one is not None]
            self._scores = False
            self._tell(
                f"note: {self._settings.base_url} gives no log-probabilities of texts that it reads (echo): likelihoods are "
                "computed in this process"
            )
        return self._local.least_likely(prompts, completions, adapter=adapter)

    def pace(self, settings: TrainSettings, question: int, written: int) -> Pace:
        """See `PacedStudent.pace`: trainings are measured here, answers on the server."""
        here = self._local.pace(settings, question, written)
        return Pace(here.trained, self._run(lambda link: link.pace(question, written)))

    def examine(self, rank: int, folder: Path) -> Examined:
        """Look at the server before a run: whether it is there, has the model, and would load adapters from `folder`.

        Nothing is loaded, there or here: the server is asked to load an adapter without weights, which it refuses, saying why.

        Args:
            rank: of the adapters that will be trained.
            folder: where runs lie; it need not exist.
        """

        async def look() -> Examined:
            link = await self._connected()
            return await link.examine(rank, folder)

        try:
            return self._loop.run(look())
        except (ModelError, ConfigError) as error:
            return Examined(problem=str(error))

    async def _engine(self) -> str:
        link = await self._connected()
        return link.engine

    async def _connected(self) -> Link:
        async with self._loop.linking:
            if (link := self._loop.link) is None:
                settings = self._settings
                server = RemoteServer(settings.base_url, key_of(settings), settings.timeout, settings.concurrency + 8)
                try:
                    chosen = chosen_of(await server.models(), settings.model, server.origin, bare=True)
                    link = Link(server, chosen.name, await server.engine(chosen.name), self._local, settings)
                except BaseException:
                    await server.close()
                    raise
                self._loop.link = link
            return link

    async def _linked(self) -> Link:
        """The connection, once the server's model is found to be the student.

        Raises:
            ModelError: another engine answers than when this process began.
        """
        link = await self._connected()
        await link.ready(self._known_engine())
        return link

    def _known_engine(self) -> str:
        return str(self.__dict__.get("served_by", ""))

    def _run(self, act: Callable[[Link], Coroutine[Any, Any, T]]) -> T:
        async def main() -> T:
            return await act(await self._linked())

        try:
            return self._loop.run(main())
        except Unreachable as error:
            raise ModelError(
                f"{error}; what was answered before is kept: start the server again, then run the same command"
            ) from None

    def close(self) -> None:
        """Unload the adapters that no other process uses, and let go of the server; it is asked again on demand."""
        self._loop.close()


async def _nothing() -> None:
    return None
