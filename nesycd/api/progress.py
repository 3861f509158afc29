"""Progress of a run: which step of the method works, how far it is, and what time and money it took so far.

On a terminal a bar for the stage at work, which also moves within a batch of answers; elsewhere (a log file, a notebook, a
batch job) a line on standard error when a step and a stage begin, and one a minute.
"""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from nesycd.measure import edits, effect
from nesycd.methods.choose_router import HELD_OUT

STAGES = {
    "rationalise": ("examples-train", "rationales"),
    "distil": ("general",),
    "collect": ("fold-", "collect"),
    "diagnose": ("diagnoses", "inductions", "refused", "self-check", "lessons", "gate", "knowledge"),
    "augment": ("retrieve-train", "annotate", "augmented"),
}
"""How the names of a step's stages begin; those of the last step, `evaluate`, are all others."""
STEPS = (*STAGES, "evaluate")
MINUTE = 60.0
ROOMY = 100
"""Columns of a terminal from which on it has room for a bar and for the time that remains."""


def step_of(stage: str) -> str:
    """The step of the method that a stage belongs to; "" for stages of measurements."""
    if stage in edits.STAGES or stage.startswith((effect.PREFIX, HELD_OUT)):
        return ""
    return next((step for step, begins in STAGES.items() if stage.startswith(begins)), STEPS[-1])


def _clock(seconds: float) -> str:
    """Minutes and seconds, as 2:05."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


class StageProgress:
    """Shows the stage at work; its `watch`, `training`, `writing` and `notify` are what `Run` and the methods call."""

    def __init__(
        self,
        console: Console | None = None,
        paid: Callable[[], float | None] | None = None,
        every: float = MINUTE,
    ) -> None:
        """Shows nothing yet.

        Args:
            console: where progress is shown; None: nowhere.
            paid: tells the USD paid so far, None where that is not known; not given: nothing is paid for.
            every: seconds from line to line where the console is no terminal.
        """
        self.console = Console(quiet=True, file=io.StringIO()) if console is None else console
        self._has_lines = console is not None and not self.console.is_terminal
        self._paid, self._every = paid, every
        has_room = self.console.width >= ROOMY
        self._bars = Progress(
            TextColumn("{task.description}"),
            *([BarColumn(bar_width=12)] if has_room else []),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            *([TimeRemainingColumn(compact=True)] if has_room else []),
            # Goes on in a next line where there is no room, so that no number is cut.
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=False)),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._began = time.monotonic()
        self._step, self._stage = "", ""
        self._bar: Any = None
        self._state = (0, 0, "")
        self._plan: dict[str, float] = {}
        self._took: dict[str, float] = {}
        """Seconds of the stages that ended."""
        self._stage_began = self._began
        self._idle = threading.Event()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        if self._has_lines:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        self._bars.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Without bars and lines meanwhile: the terminal is used for a question."""
        self._bars.stop()
        self._idle.set()
        yield
        self._idle.clear()
        self._bars.start()

    def expect(self, plan: Mapping[str, float]) -> None:
        """Tell what is planned, stage by stage in seconds, step by step; from then on progress says what is left of it."""
        self._plan = dict(plan)
        if not plan:
            return
        steps: dict[str, float] = {}
        for stage, seconds in plan.items():
            steps[step_of(stage)] = steps.get(step_of(stage), 0.0) + seconds
        told = ", ".join(f"{step} {_clock(seconds)}" for step, seconds in steps.items())
        self.notify(f"plan: about {_clock(sum(plan.values()))} min of the student's work here ({told})")

    def left(self) -> float | None:
        """Seconds left of the plan; None where there is none. What was slower than planned so far makes the rest slower too."""
        if not self._plan:
            return None
        ahead = sum(
            seconds for stage, seconds in self._plan.items() if stage not in self._took and stage != self._stage
        )
        ended = [stage for stage in self._plan if stage in self._took]
        pace = 1.0
        if planned := sum(self._plan[stage] for stage in ended):
            # Believed the more, the more of the plan it rests on.
            pace = (sum(self._took[stage] for stage in ended) + ahead / 2) / (planned + ahead / 2)
        if self._stage not in self._plan:
            return ahead * pace
        spent, (done, total, _) = time.monotonic() - self._stage_began, self._state
        known = done >= max(1, total / 5)
        current = spent * (total - done) / done if known else max(self._plan[self._stage] * pace - spent, 0.0)
        return ahead * pace + current

    def watch(self, stage: str, done: int, total: int) -> None:
        """Show the number of units of a stage that are done."""
        self._show(stage, done, total, "")

    def training(self, stage: str, state: dict[str, Any]) -> None:
        """Show a training step."""
        if warning := state.get("warning"):
            self.notify(warning)
        note = state.get("note") or f"loss {state['loss']:.3f}, {state['tokens_per_second']:.0f} tokens/s"
        self._show(stage, state["step"], state["steps"], note)
        if "warning" in state and self._has_lines:
            self._line(f"{stage}: {note}")  # the memory it takes; a bar has the note

    def writing(self, stage: str, total: int, rows: int, tokens: int, limit: int) -> None:
        """Show a batch of a stage of `total` answers: `rows` are being written, `tokens` of at most `limit` tokens so far."""
        done = self._state[0] if stage == self._stage else 0
        self._show(stage, done, total, f"{rows} at token {tokens} of {limit}")

    def notify(self, text: str) -> None:
        """Print a sentence above the bars."""
        self.console.print(text, markup=False, highlight=False)

    def _show(self, stage: str, done: int, total: int, note: str) -> None:
        self._state = (done, total, note)
        if stage != self._stage:
            now = time.monotonic()
            if self._stage:
                self._took[self._stage] = now - self._stage_began
            self._stage, self._stage_began = stage, now
            if (step := step_of(stage)) and step != self._step:
                self._step = step
                self._tell(f"step {STEPS.index(step) + 1} of {len(STEPS)}: {step} ({self._so_far()})")
            self._bar = self._bars.add_task(stage, total=total, note=note)
            if self._has_lines:
                self._line(f"{stage} ({total})")
        self._bars.update(self._bar, completed=done, total=total, note=note)

    def _tell(self, text: str) -> None:
        if self._has_lines:
            self._line(text)
        else:
            self.notify(text)

    def _tick(self) -> None:
        while not self._ended.wait(self._every):
            if not self._idle.is_set():
                self._line(self._told())

    def _told(self) -> str:
        """The line of a minute."""
        if not self._stage:
            return f"reading what the run needs ({self._so_far()})"
        done, total, note = self._state
        step = f"step {STEPS.index(self._step) + 1} of {len(STEPS)}, " if step_of(self._stage) else ""
        return f"{step}{self._stage}: {done} of {total}{f', {note}' if note else ''} ({self._so_far()})"

    def _so_far(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        told = f"{minutes} min {seconds:02} s so far"
        if (left := self.left()) is not None:
            told += f", {_clock(left)} left"
        if self._paid is None:
            return told
        usd = self._paid()
        return f"{told}, {'cost not known' if usd is None else f'{usd:.4f} USD'}"

    @staticmethod
    def _line(text: str) -> None:
        print(text, file=sys.stderr, flush=True)
