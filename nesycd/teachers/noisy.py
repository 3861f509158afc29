"""A noisy teacher: a share of its facts is false. A fake, for tests and measurements of what finds the false ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nesycd.core.errors import DataError
from nesycd.core.protocols import ErrorCase, KnowsTruth, Teacher
from nesycd.core.records import Diagnosis, Example, Fact, Item, Rationale, content_hash


class NoisyTeacher:
    """Passes on what another teacher says, with a share of the facts replaced by false ones of the same kind.

    A fact is replaced wherever it is proposed, or (`always=False`) it is drawn each time anew, so that the true and the false one
    meet in the base.
    """

    def __init__(self, teacher: Teacher, task: KnowsTruth, share: float, seed: int = 0, always: bool = True) -> None:
        """Wrap `teacher`; `task` gives the false facts, and `share` is in [0, 1]."""
        self.name = teacher.name
        self.fingerprint = content_hash(["noisy", teacher.fingerprint, share, seed, always])
        self._teacher, self._task, self._share, self._seed, self._always = teacher, task, share, seed, always
        self.replaced: dict[tuple[str, str, str], Fact] = {}
        """The true facts that were replaced, by the triples of the false ones."""

    def rationales(self, examples: Sequence[Example]) -> Iterable[Rationale]:
        """As the other teacher's."""
        return self._teacher.rationales(examples)

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterable[Diagnosis]:
        """The other teacher's, with false ones among the facts."""
        for diagnosis in self._teacher.diagnoses(cases):
            yield diagnosis.model_copy(
                update={"items": tuple(self._noised(item, diagnosis.example) for item in diagnosis.items)}
            )

    def _noised(self, item: Item, example: str) -> Item:
        drawn = [item.id, self._seed, "" if self._always else example]
        if not isinstance(item, Fact) or int(content_hash(drawn), 16) % 1000 >= 1000 * self._share:
            return item
        try:
            false = self._task.counterfactual(item, self._seed).model_copy(update={"aliases": item.aliases})
        except DataError:
            return item
        self.replaced[false.triple] = item
        return false
