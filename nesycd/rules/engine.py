"""Runs clauses: clingo in a process of its own that can be killed, kept from one call to the next. Builds no proofs.

The engine is handed clauses and facts that have been checked (`clause_checks`) and gives every way in which a clause
fired. Nothing of a clause's or fact's text reaches clingo: predicates and texts are numbered.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nesycd.core.errors import KnowledgeError
from nesycd.rules.checks import recursive
from nesycd.rules.clauses import Atom, Clause, Comparison, is_calculated, variables
from nesycd.rules.program import Firing, Program

WORKER = Path(__file__).with_name("worker.py")
_START_SECONDS = 30.0
_KEPT = 32
"""Compiled programs that are kept."""
PATIENCE = 5.0


class EngineError(KnowledgeError):
    """Clauses that were stopped, or an engine that cannot start."""


@dataclass(frozen=True)
class Limits:
    """What one call may take.

    Attributes:
        seconds: of computing; beyond them the process ends itself. It is killed after `PATIENCE` seconds and five times as
            long on the clock, on a machine that is busy or has no such timer.
        most: facts and instances of clauses, together.
        memory_mb: of the process (address space, where the system can limit it).
    """

    seconds: float = 2.0
    most: int = 50_000
    memory_mb: int = 1024


@dataclass(frozen=True)
class Step:
    """`head` holds where all of `needs` do, and `item`, where given, is there (`Engine.core`)."""

    head: int
    needs: tuple[int, ...]
    item: int | None = None


class Engine:
    """Clauses in, firings out; starts its process at the first call. One call at a time, from any thread.

    Example:
        >>> from nesycd.rules.parser import parse_clauses, parse_facts
        >>> with Engine() as engine:
        ...     for firing in engine.run(parse_clauses("p(Y) :- q(X), Y is X + 1."), parse_facts("q(1).")):
        ...         print(firing.head, "since", *firing.needs)
        p(2) since q(1)
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._lock = threading.Lock()
        self._programs: dict[tuple[int, ...], tuple[Sequence[Clause], Program]] = {}
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process; the next call starts another."""
        process, self._process = self._process, None
        if process is not None:
            self._at_exit.detach()
            _end(process)

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    def run(self, clauses: Sequence[Clause], facts: Iterable[Atom]) -> list[Firing]:
        """All firings of the clauses over the facts, in a fixed order.

        Raises:
            EngineError: a limit was reached (the message says which, and which clauses may never end), or clingo is not
                installed.
        """
        with self._lock:
            program = self._compiled(clauses)
            request = program.request(facts)
            answer = self._ask(request.body, [clauses[number] for number in request.clauses])
        return program.firings(answer["fired"], request.symbols)

    def _compiled(self, clauses: Sequence[Clause]) -> Program:
        """The clauses compiled, kept for the next call with the very same ones; those used longest ago are dropped."""
        key = tuple(map(id, clauses))  # their own hash would read each to its last term
        kept = self._programs.pop(key, None)
        program = Program(clauses) if kept is None else kept[1]
        self._programs[key] = (tuple(clauses), program)
        if len(self._programs) > _KEPT:
            del self._programs[next(iter(self._programs))]
        return program

    def core(self, steps: Iterable[Step], items: int, goal: Sequence[int]) -> list[int]:
        """A minimal subset of `items` (numbered from 0) that makes all of `goal` hold: without any of it they would not.

        Args:
            steps: ways to what holds; all that hold are numbers.
            items: how many there are.
            goal: what holds with all items.

        Raises:
            EngineError: a limit was reached, or clingo is not installed.
        """
        lines = [f"{{{';'.join(f'i{n}' for n in range(items))}}}."] if items else []
        for step in steps:
            body = [f"a{need}" for need in step.needs] + ([f"i{step.item}"] if step.item is not None else [])
            lines.append(f"a{step.head} :- {','.join(body)}." if body else f"a{step.head}.")
        lines.append(f"goal :- {','.join(f'a{one}' for one in goal)}.")
        with self._lock:
            answer = self._ask({"program": "\n".join(lines), "items": items}, ())
        assert answer["core"] is not None, "the goal holds with all items"
        return [int(n) for n in answer["core"]]

    def _ask(self, given: dict[str, Any], clauses: Sequence[Clause]) -> dict[str, Any]:
        process = self._process or self._start()
        request = {**given, "seconds": self.limits.seconds, "most": self.limits.most}
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._lines.get(timeout=PATIENCE + 5 * self.limits.seconds)
        except (OSError, queue.Empty):
            line = ""
        except BaseException:
            self.close()  # interrupted: what it still answers belongs to no question
            raise
        if not line:
            self.close()
            raise EngineError(
                self._stopped(f"did not come to an end within {self.limits.seconds:g} s and were stopped", clauses)
            )
        answer: dict[str, Any] = json.loads(line)
        if reason := answer.get("stopped"):
            self.close()
            limits = {"many": f"make more than {self.limits.most} facts", "memory": f"need {self.limits.memory_mb} MB"}
            raise EngineError(self._stopped(f"{limits[reason]} and were stopped", clauses))
        if "failed" in answer:
            raise RuntimeError(f"clingo: {answer['failed']}\n{given}")
        return answer

    def _start(self) -> subprocess.Popen[str]:
        if find_spec("clingo") is None:
            raise EngineError("rules with clauses are run by clingo; get it by: pip install 'nesycd[rules]'")
        command = [sys.executable, "-P", str(WORKER), str(self.limits.memory_mb)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(process, lines), daemon=True).start()
        self._process, self._lines = process, lines
        self._at_exit = weakref.finalize(self, _end, process)
        request = {**Program(()).request(()).body, "seconds": _START_SECONDS, "most": 10}
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            ready = lines.get(timeout=_START_SECONDS)
        except (OSError, queue.Empty):
            ready = ""
        if not ready:
            self.close()
            raise EngineError(f"the rule engine's process does not start; try: {' '.join(command)}")
        return process

    def _stopped(self, how: str, clauses: Sequence[Clause]) -> str:
        endless = [str(clause) for clause in endless_clauses(clauses)]
        why = f"this clause may never end: {endless[0]}" if endless else "they join too many facts with each other"
        return f"the rules {how}; {why}"


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def endless_clauses(clauses: Sequence[Clause]) -> list[Clause]:
    """Clauses that feed themselves what they calculate; only such can make ever new values."""
    looping = recursive(clauses)
    found = []
    for clause in clauses:
        made = {
            name
            for part in clause.body
            if isinstance(part, Comparison) and (is_calculated(part.left) or is_calculated(part.right))
            for name in variables(part)
        }
        calculated = any(map(is_calculated, clause.head.terms))
        if clause.head.signature in looping and (calculated or made & set(variables(clause.head))):
            found.append(clause)
    return found
