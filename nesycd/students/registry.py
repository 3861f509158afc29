"""From a model name to a student, without importing torch before it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nesycd.core.errors import ConfigError
from nesycd.core.protocols import (
    Decoding,
    Generation,
    Pace,
    Prompt,
    Session,
    Student,
    TrainReport,
    TrainSettings,
)
from nesycd.core.records import Targets, TrainingText
from nesycd.core.sections import ServerSection
from nesycd.core.segments import Segment
from nesycd.students.fingerprint import decoding, student_fingerprint
from nesycd.students.hub import is_hub_id, resolve_commit
from nesycd.students.origin import origin_of
from nesycd.students.table import TableStudent

if TYPE_CHECKING:
    from nesycd.students.local import LocalStudent
    from nesycd.students.rendering import Renderer
    from nesycd.students.sizing import Sizing

TABLE = "table"


class LazyStudent:
    """A local student that loads its library and weights at first use.

    A finished run is recognised by fingerprints alone, so running it again takes no torch (12 s on a cold machine). A
    Hugging Face id is looked up when the fingerprint is first asked for.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str,
        template: str,
        stop_repetition: bool,
        quantise: str = "none",
        **others: Any,
    ) -> None:
        self.name = model
        self._revision, self._template, self._quantise = revision, template, quantise
        self._options = {"template": template, "stop_repetition": stop_repetition, "quantise": quantise, **others}
        self.decoding = decoding(stop_repetition)

    @cached_property
    def commit(self) -> str:
        """Of a Hugging Face id, what its revision stood for when it was first asked for; "" for other models."""
        origin = origin_of(self.name, self._revision)
        return resolve_commit(origin.base, origin.revision) if is_hub_id(origin.base) else ""

    @cached_property
    def fingerprint(self) -> str:
        """See `Student.fingerprint`."""
        return student_fingerprint(self.name, self._template, "", self.commit, self._quantise)

    @cached_property
    def _student(self) -> LocalStudent:
        from nesycd.students.local import LocalStudent

        return LocalStudent(self.name, system="", revision=self.commit, **self._options)

    @property
    def renderer(self) -> Renderer:
        """Makes the token ids of its prompts."""
        return self._student.renderer

    @cached_property
    def context(self) -> int:
        """Most tokens of a prompt with its answer, by the model's configuration; its weights are not loaded."""
        return self._student.context

    def load(self) -> None:
        """See `Student.load`."""
        self._student.load()

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

    @property
    def sizing(self) -> Sizing:
        """Estimates the memory of its trainings."""
        return self._student.sizing

    def pace(self, settings: TrainSettings, question: int, written: int) -> Pace:
        """See `PacedStudent.pace`."""
        return self._student.pace(settings, question, written)

    def plan(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """See `Student.plan`."""
        return self._student.plan(prompts)

    def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        adapter: Path | None,
        decoding: Decoding,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Generation]:
        """See `Student.generate`."""
        return self._student.generate(prompts, adapter=adapter, decoding=decoding, progress=progress)

    def session(self, adapter: Path | None) -> Session:
        """See `SessionStudent`."""
        return self._student.session(adapter)

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        """See `Student.least_likely`."""
        return self._student.least_likely(prompts, completions, adapter=adapter)

    def likeliest(
        self, prompts: Sequence[str], completions: Sequence[Sequence[Segment]], *, adapter: Path | None, count: int
    ) -> list[Targets]:
        """See `ScoringStudent.likeliest`."""
        return self._student.likeliest(prompts, completions, adapter=adapter, count=count)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """See `Student.count_tokens`."""
        return self._student.count_tokens(texts)


def build_student(
    model: str,
    *,
    revision: str = "",
    template: Literal["auto", "chat", "plain"] = "auto",
    device: str = "auto",
    stop_repetition: bool = False,
    compile: Literal["auto", "on", "off"] = "auto",
    batch_rows: int = 128,
    delay: float = 0.0,
    checkpointing: Literal["auto", "on", "off"] = "auto",
    quantise: Literal["none", "4bit"] = "none",
    shard: bool = False,
    processes: int = 1,
    server: ServerSection | None = None,
    served_by: str = "",
    tell: Callable[[str], None] = lambda text: None,
) -> Student:
    """The student of that name: `table` is a fake without torch, all others are local models, which may answer on a server.

    Args:
        model: `smollm2-135m`, a folder (of a model or of a LoRA adapter), a Hugging Face id, or `table`.
        revision: of a Hugging Face id: a branch, tag or commit; "" is `main`.
        template: how prompts are rendered.
        device: where to compute.
        stop_repetition: whether answers that repeat themselves are ended; the table student's never are.
        compile: whether training goes through compiled layers.
        batch_rows: most questions that are answered at once.
        delay: seconds that the table student sleeps at each step.
        checkpointing: whether a training saves memory by running layers again.
        quantise: `4bit` keeps the linear layers so.
        shard: whether the processes of a training share the layers' weights.
        processes: how many share each training.
        server: which writes its answers; None, or one without an address: they are written here.
        served_by: what wrote them on the server so far (`ServedStudent`).
        tell: called with sentences for the user.

    Raises:
        ConfigError: a revision is given for a student that has no revisions, or a server for the table student.
        ModelError: a revision is given for an adapter that cannot be merged.
    """
    if revision and (model == TABLE or not is_hub_id(origin_of(model).base)):
        raise ConfigError(f"student.revision: {model!r} is no Hugging Face id and has no revisions; leave it out")
    served = server is not None and bool(server.base_url)
    if model == TABLE:
        if served:
            raise ConfigError("student.server: the table student is no model that a server could hold; leave it out")
        return TableStudent(delay=delay)
    local = LazyStudent(
        model,
        revision=revision,
        template=template,
        device=device,
        stop_repetition=stop_repetition,
        compile=compile,
        batch_rows=batch_rows,
        checkpointing=checkpointing,
        quantise=quantise,
        shard=shard,
        processes=processes,
    )
    if server is None or not served:
        return local
    from nesycd.students.served import ServedStudent

    return ServedStudent(local, server, served_by, tell)
