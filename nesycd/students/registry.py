"""From a model name to a student, without importing torch before it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from nesycd.core.protocols import Generation, Prompt, Student, TrainReport, TrainSettings
from nesycd.core.records import TrainingText
from nesycd.students.fingerprint import decoding, student_fingerprint
from nesycd.students.table import TableStudent

TABLE = "table"


class LazyStudent:
    """A local student that loads its library and weights when first asked something.

    A finished run is recognised by fingerprints alone, so running it again takes no torch (12 s on a cold machine).
    """

    def __init__(self, model: str, *, template: str, calculator: bool, end_loops: bool, **others: Any) -> None:
        self.name = model
        self._options = {"template": template, "calculator": calculator, "end_loops": end_loops, **others}
        self.decoding = decoding(calculator, end_loops)
        self.fingerprint = student_fingerprint(model, template, "")

    @cached_property
    def _student(self) -> Student:
        from nesycd.students.local import LocalStudent

        return LocalStudent(self.name, system="", **self._options)

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
        """See `Student.train`."""
        return self._student.train(texts, settings, folder, seed=seed, init=init, progress=progress)

    def plan(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """See `Student.plan`."""
        return self._student.plan(prompts)

    def generate(
        self, prompts: Sequence[Prompt], *, adapter: Path | None, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> list[Generation]:
        """See `Student.generate`."""
        return self._student.generate(prompts, adapter=adapter, max_new_tokens=max_new_tokens, stop=stop)

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        """See `Student.least_likely`."""
        return self._student.least_likely(prompts, completions, adapter=adapter)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Student.count_tokens`."""
        return self._student.count_tokens(texts)


def build_student(
    model: str,
    *,
    template: Literal["auto", "chat", "plain"] = "auto",
    device: str = "auto",
    calculator: bool = False,
    end_loops: bool = False,
    compile: Literal["auto", "on", "off"] = "auto",
    delay: float = 0.0,
) -> Student:
    """The student of that name: `table` is the fake without torch, everything else a local model.

    Args:
        model: `smollm2-135m`, a folder, a Hugging Face id, or `table`.
        template: how prompts are rendered.
        device: where to compute.
        calculator: whether sums are computed while they are written; the table student's never are.
        end_loops: whether answers that go in circles are ended; the table student's never are.
        compile: whether training goes through compiled layers.
        delay: seconds that the table student sleeps at each step.
    """
    if model == TABLE:
        return TableStudent(delay=delay)
    return LazyStudent(
        model, template=template, device=device, calculator=calculator, end_loops=end_loops, compile=compile
    )
