"""The engine in this process: what is begun, given up, and what becomes of errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding, Generation, Prompt
from nesycd.core.segments import own
from nesycd.methods.predict import Ask
from nesycd.serving.engine import LocalEngine


class Writer:
    """A student whose sessions write a letter of the prompt at each step, and note what happens."""

    def __init__(self, before: Callable[[list[str]], None] = lambda prompts: None) -> None:
        self.before = before
        self.widths: list[int] = []
        self.dropped: list[str] = []
        self.opened = 0

    def session(self, adapter: Path | None) -> Any:
        self.opened += 1
        student = self

        class Session:
            def __init__(self) -> None:
                self.going: dict[str, tuple[str, int]] = {}

            def begin(self, prompts: Sequence[Prompt], decodings: Sequence[Decoding]) -> None:
                self.going |= {prompt.key: (prompt.text, 0) for prompt in prompts}

            def step(self) -> dict[str, str | Generation]:
                student.before([text for text, _ in self.going.values()])
                student.widths.append(len(self.going))
                made: dict[str, str | Generation] = {}
                for key, (text, done) in [*self.going.items()]:
                    self.going[key] = (text, done + 1)
                    made[key] = text[: done + 1]
                    if done + 1 >= len(text):
                        made[key] = Generation(own(text), 1.0, 1.0, 1, len(text), "stop")
                        del self.going[key]
                return made

            def drop(self, key: str) -> None:
                self.going.pop(key)
                student.dropped.append(key)

        return Session()


def ask(text: str) -> Ask:
    return Ask(text, None, Decoding(100))


def run(work: Callable[[LocalEngine], Any], student: Writer, rows: int = 8) -> Any:
    async def main() -> Any:
        engine = LocalEngine(student, rows)  # type: ignore[arg-type]
        try:
            return await asyncio.wait_for(work(engine), 20)
        finally:
            await engine.close()

    return asyncio.run(main())


def test_answers_are_told_as_they_grow_and_share_steps() -> None:
    student, told = Writer(), list[str]()

    async def work(engine: LocalEngine) -> list[str]:
        texts = [f"answer {number}" for number in range(20)]
        made = await asyncio.gather(
            *(engine.write(ask(text), told.append if text == "answer 3" else str) for text in texts)
        )
        return [one.text for one in made]

    assert run(work, student) == [f"answer {number}" for number in range(20)]
    assert told == ["answer 3"[:end] for end in range(1, 8)], "the whole text is the result"
    assert max(student.widths) == 8 and student.opened == 1


def test_who_is_cancelled_leaves_nothing_running() -> None:
    reached = threading.Event()
    student = Writer(lambda prompts: reached.set())

    async def work(engine: LocalEngine) -> int:
        tasks = [asyncio.ensure_future(engine.write(ask("x" * 100_000), str)) for _ in range(12)]
        await asyncio.to_thread(reached.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        # Others go on.
        assert (await engine.write(ask("on"), str)).text == "on"
        return engine.running

    assert run(work, student) == 0
    assert 1 <= len(student.dropped) <= 8, "those that wait are never begun"


def test_an_error_fails_what_was_being_written_and_the_next_answer_is_written() -> None:
    def before(prompts: list[str]) -> None:
        if "bad" in prompts:
            raise RuntimeError("/a/folder")

    student = Writer(before)

    async def work(engine: LocalEngine) -> None:
        with pytest.raises(ModelError, match=r"^the student failed: RuntimeError$"):
            await engine.write(ask("bad"), str)
        assert (await engine.write(ask("good"), str)).text == "good"

    run(work, student)
    assert student.opened == 2


def test_where_memory_runs_out_fewer_are_written_at_once() -> None:
    class OutOfMemoryError(RuntimeError): ...

    def before(prompts: list[str]) -> None:
        if len(prompts) > 3:
            raise OutOfMemoryError

    student = Writer(before)

    async def work(engine: LocalEngine) -> list[str]:
        made = await asyncio.gather(*(engine.write(ask(f"text {number}"), str) for number in range(9)))
        return [one.text for one in made]

    assert run(work, student) == [f"text {number}" for number in range(9)]
    assert max(student.widths) <= 3


def test_what_waits_when_it_is_closed_is_told() -> None:
    async def main() -> None:
        engine = LocalEngine(Writer(), 2)  # type: ignore[arg-type]
        tasks = [asyncio.ensure_future(engine.write(ask("x" * 1_000_000), str)) for _ in range(5)]
        await asyncio.sleep(0.05)
        await engine.close()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(one) for one in found] == ["the server is being shut down"] * 5
        with pytest.raises(ModelError, match="shut down"):
            await engine.write(ask("x"), str)

    asyncio.run(main())
