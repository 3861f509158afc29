"""Progress on a terminal: a bar for the current stage, with loss and speed while a student is fine-tuned."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class StageProgress:
    """Shows one bar at a time; where the output is no terminal, one line when a stage starts.

    Its `watch`, `training` and `notify` are what `Run` and the methods call.
    """

    def __init__(self, console: Console | None = None) -> None:
        """`console`: where progress is shown; None: nowhere."""
        self.console = Console(quiet=True, file=io.StringIO()) if console is None else console
        self._quiet = console is None
        self._bars = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bars.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Without bars meanwhile: the terminal is used for a question."""
        self._bars.stop()
        yield
        self._bars.start()

    def watch(self, stage: str, done: int, total: int) -> None:
        """Show the number of units of a stage that are done."""
        self._show(stage, done, total, "")

    def training(self, stage: str, state: dict[str, Any]) -> None:
        """Show a training step."""
        note = state.get("note") or f"loss {state['loss']:.3f}, {state['tokens_per_second']:.0f} tokens/s"
        self._show(f"train {stage}", state["step"], state["steps"], note)

    def notify(self, text: str) -> None:
        """Print a sentence above the bars."""
        self.console.print(text, markup=False, highlight=False)

    def _show(self, stage: str, done: int, total: int, note: str) -> None:
        if stage != self._stage:
            self._stage = stage
            self._bar = self._bars.add_task(stage, total=total, note=note)
            if not self.console.is_terminal and not self._quiet:
                print(f"{stage} ({total})", file=sys.stderr, flush=True)
        self._bars.update(self._bar, completed=done, total=total, note=note)
