"""A teacher that lies in a share of its facts: a fake, for tests and measurements of what finds the lies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nesycd.core.errors import DataError
from nesycd.core.protocols import ErrorCase, KnowsTruth, Teacher
from nesycd.core.records import Diagnosis, Example, Fact, Item, Rationale, content_hash


class LyingTeacher:
    """Passes on what another teacher says, with a share of the facts replaced by false ones of the same sort.

    A fact is lied about wherever it is proposed, or (`always=False`) each time anew, so that truth and lie meet in the base.
    """

    def __init__(self, teacher: Teacher, task: KnowsTruth, share: float, seed: int = 0, always: bool = True) -> None:
        """Wrap `teacher`; `task` gives the false facts, and `share` is in [0, 1]."""
        self.name = teacher.name
        self.fingerprint = content_hash(["lying", teacher.fingerprint, share, seed, always])
        self._teacher, self._task, self._share, self._seed, self._always = teacher, task, share, seed, always
        self.lies: dict[tuple[str, str, str], Fact] = {}
        """The lies told, by triple, with the truth behind each."""

    def rationales(self, examples: Sequence[Example]) -> Iterable[Rationale]:
        """As the other teacher's."""
        return self._teacher.rationales(examples)

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterable[Diagnosis]:
        """The other teacher's, with lies among the facts."""
        for diagnosis in self._teacher.diagnoses(cases):
            yield diagnosis.model_copy(
                update={"items": tuple(self._said(item, diagnosis.example) for item in diagnosis.items)}
            )

    def _said(self, item: Item, example: str) -> Item:
        told = [item.id, self._seed, "" if self._always else example]
        if not isinstance(item, Fact) or int(content_hash(told), 16) % 1000 >= 1000 * self._share:
            return item
        try:
            lie = self._task.counterfactual(item, self._seed).model_copy(update={"aliases": item.aliases})
        except DataError:
            return item
        self.lies[lie.triple] = item
        return lie
