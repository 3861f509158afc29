"""Programs that a student writes in place of a rationale (program distillation): what they print is the answer.

They run in Monty, an interpreter of Python in a process of its own (the extra `programs`): no file, network or variable of the
environment and nothing of ours is in its reach, and a program that takes too long or too much memory, or brings the interpreter
down, ends there. Its clock stands still and its random numbers are seeded, so that a program prints the same each time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from nesycd.core.answers import Call
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Supply
from nesycd.core.text import printable, shortened
from nesycd.grading import closing

PROGRAM = "program"
"""Name of programs in traces."""
VERSION = 1
"""Raised when a program would come to another result."""
LONGEST = 8_000
"""Characters of a program that is run."""
PRINTED = 2_000
"""Characters that it may print."""
SECONDS = 1.0
MEMORY = 32 * 2**20
"""Bytes of all its values."""
DEPTH = 100
"""Function calls within one another."""
FENCE = "```"
"""Before and after a program."""
_LIMITS = {
    "max_feed_duration_secs": SECONDS,
    "max_memory": MEMORY,
    "max_recursion_depth": DEPTH,
    "max_total_sleep_secs": SECONDS,
}
_POLICY = {"datetime": datetime(2000, 1, 1), "timezone": "utc", "sleep": "zero", "random_start": {"seed": 0}}
_FENCED = re.compile(r"```(?:python|py)?[ \t]*\n(?P<program>.*?)\n?[ \t]*```\Z", re.DOTALL)
_DECIMAL = re.compile(r"-?\d{1,15}\.\d+")


@dataclass(frozen=True)
class Ran:
    """What came of a program: its answer, or why there is none."""

    answer: str = ""
    """The last line that it printed; decimals to six places."""
    failure: str = ""


class Sandbox:
    """Runs programs one after the other, each in a fresh interpreter.

    Its process starts with the first program, and ends with the object.
    """

    def __init__(self) -> None:
        self._pool: Any = None
        self._lock = Lock()

    def run(self, program: str) -> Ran:
        """Run a program.

        Raises:
            ConfigError: the interpreter is not installed.

        Example:
            >>> Sandbox().run("a = 4 * 6\\nprint(a + 5)").answer, Sandbox().run("print(b)").failure
            ('29', "NameError: name 'b' is not defined")
        """
        if len(program) > LONGEST:
            return Ran(failure=f"it has {len(program):,} characters, at most {LONGEST:,} are run")
        with self._lock:
            return self._run(program)

    def _run(self, program: str) -> Ran:
        try:
            from pydantic_monty import Monty, MontyError
        except ImportError:
            raise ConfigError("programs are run by Monty; get it by: pip install 'nesycd[programs]'") from None
        if self._pool is None:
            self._pool = Monty(max_processes=1, request_timeout=4 * SECONDS).__enter__()
        printed: list[str] = []

        def take(stream: str, text: str) -> None:
            # What is far beyond the limit need not be kept: it is enough to know that there is more.
            if len(printed) <= PRINTED:
                printed.append(text[: PRINTED + 1])

        try:
            with self._pool.checkout(limits=_LIMITS, os_policy=_POLICY) as session:
                session.feed_run(program, print_callback=take)
        except MontyError as error:
            return Ran(failure=_told(error))
        return _answered("".join(printed))


def _told(error: Exception) -> str:
    """An error of a program in a line; limits without the figures, which differ each time."""
    display: Callable[..., str] | None = getattr(error, "display", None)
    told = " ".join((str(error) if display is None else display(format="type-msg")).split())
    if told.startswith("TimeoutError") or getattr(error, "timed_out", False):
        return f"it takes longer than {SECONDS:g} s"
    return shortened(printable(re.sub(r"limit exceeded: .*", "limit exceeded", told)))


def _answered(printed: str) -> Ran:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    if len(printed) > PRINTED:
        return Ran(failure=f"it prints more than {PRINTED:,} characters")
    if not lines:
        return Ran(failure="it prints nothing")
    last = printable(lines[-1])
    return Ran(f"{float(last):.6f}".rstrip("0").rstrip(".") if _DECIMAL.fullmatch(last) else last)


def fenced(program: str) -> str:
    """A program as a student writes it.

    >>> fenced("print(1)")
    '```python\\nprint(1)\\n```'
    """
    return f"{FENCE}python\n{program}\n{FENCE}"


def result(ran: Ran) -> str:
    """What is supplied after a program: a closing sentence with what it printed, or why there is no answer."""
    return f"\n{closing(ran.answer)}" if ran.answer else f"\n(no answer: {ran.failure})"


@dataclass(frozen=True, eq=False)
class Programs:
    """What a student that writes programs calls: its program is run where it ends, once in an answer."""

    sandbox: Sandbox = field(default_factory=Sandbox)

    @property
    def names(self) -> tuple[str, ...]:
        """See `Tools`."""
        return (f"{PROGRAM}/{VERSION}",)

    @property
    def state(self) -> str:
        """See `Tools`: a program reads no knowledge."""
        return ""

    @property
    def ends(self) -> tuple[str, ...]:
        """See `Tools`."""
        return (FENCE,)

    def offers(self, question: str) -> Sequence[str]:
        """See `Tools`: none."""
        return ()

    def supply(self, text: str, question: str, trace: Sequence[Call]) -> Supply | None:
        """See `Tools`."""
        written = None if trace else _FENCED.search(text)
        if written is None:
            return None
        ran = self.sandbox.run(written["program"])
        found, kind = (ran.answer, "value") if ran.answer else (f"(no answer: {ran.failure})", "note")
        return Supply(result(ran), Call(name=PROGRAM, asked=written.group(), found=found, kind=kind))  # type: ignore[arg-type]

    def allowed(self, text: str, question: str, trace: Sequence[Call]) -> Callable[[str], bool] | None:
        """See `Tools`: anything may be written."""
        return None

    def agrees(self, question: str, trace: Sequence[Call]) -> bool:
        """See `Tools`: a program prints the same each time."""
        return True
