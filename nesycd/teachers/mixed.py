"""A mixed teacher: rationales by one, diagnoses by another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nesycd.core.protocols import ErrorCase, ErrorCluster, Teacher
from nesycd.core.records import Diagnosis, Example, Induction, Rationale, content_hash
from nesycd.llm.chat import Request
from nesycd.teachers.llm import LLMTeacher


class MixedTeacher:
    """Recorded rationales, say, and a language model that reads the student's errors.

    Args:
        rationales: who writes the rationales; the name in records of results is this one's.
        diagnoses: a language model.
    """

    def __init__(self, rationales: Teacher, diagnoses: LLMTeacher) -> None:
        self.name = rationales.name
        self.fingerprint = content_hash(["mixed", rationales.fingerprint, diagnoses.fingerprint])
        self._first, self._second = rationales, diagnoses

    def rationales(self, examples: Sequence[Example]) -> Iterable[Rationale]:
        """The first teacher's."""
        return self._first.rationales(examples)

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterable[Diagnosis]:
        """The second teacher's."""
        return self._second.diagnoses(cases)

    def inductions(self, clusters: Sequence[ErrorCluster]) -> Iterable[Induction]:
        """The second teacher's."""
        return self._second.inductions(clusters)

    def forget(self, rationales: Sequence[str], diagnoses: Sequence[str], inductions: Sequence[str] = ()) -> None:
        """See `LLMTeacher`; the first teacher's rationales are what they are."""
        self._second.forget((), diagnoses, inductions)

    def plan_rationales(self, examples: Sequence[Example]) -> list[Request]:
        """Nothing: the second teacher is not asked for them."""
        return []

    def plan_diagnoses(self, cases: Sequence[ErrorCase]) -> list[Request]:
        """See `LLMTeacher`."""
        return self._second.plan_diagnoses(cases)

    def plan_inductions(self, clusters: Sequence[ErrorCluster]) -> list[Request]:
        """See `LLMTeacher`."""
        return self._second.plan_inductions(clusters)
