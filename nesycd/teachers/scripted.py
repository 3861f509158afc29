"""The scripted teacher: gives prepared rationales and diagnoses. A fake for tests and docs, without network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from nesycd import grading
from nesycd.core.protocols import ErrorCase, ErrorCluster
from nesycd.core.records import Diagnosis, Example, Induction, Item, Rationale, content_hash

RationaleScript = Mapping[str, str] | Callable[[Example], str | None]
DiagnosisScript = Mapping[str, Sequence[Item]] | Callable[[ErrorCase], Sequence[Item] | None]
InductionScript = Callable[[ErrorCluster], Sequence[Item] | None]


class ScriptedTeacher:
    """Answers from mappings by `Example.uid`, or from functions of the example and the error case.

    A rationale is a text that may end in a closing sentence. What the script lacks (None) is a record with a failure.

        >>> teacher = ScriptedTeacher({"q1": "Two and two make 4. Therefore, the answer is 4."})
        >>> [rationale] = teacher.rationales([Example(uid="q1", task="sums", question="2 + 2?", answer="4")])
        >>> rationale.text, rationale.answer
        ('Two and two make 4.', '4')

    Args:
        rationales: the texts.
        diagnoses: the items to propose.
        inductions: the items to propose for a cluster of errors.
        name: the teacher's name in records.
        version: part of the fingerprint; change it when a function's answers change (functions cannot be hashed).
    """

    def __init__(
        self,
        rationales: RationaleScript,
        diagnoses: DiagnosisScript | None = None,
        name: str = "scripted",
        version: str = "1",
        inductions: InductionScript | None = None,
    ) -> None:
        self.name = name
        self._rationales = rationales
        self._diagnoses: DiagnosisScript = {} if diagnoses is None else diagnoses
        self._inductions = inductions
        told = [_content(rationales), _content(self._diagnoses), *([_content(inductions)] if inductions else [])]
        self.fingerprint = content_hash(["scripted/1", name, version, told])

    def rationales(self, examples: Sequence[Example]) -> Iterator[Rationale]:
        """The scripted rationale of each question; it cost nobody tokens."""
        for example in examples:
            script = self._rationales
            text = script(example) if callable(script) else script.get(example.uid)
            if text is None:
                yield Rationale(example=example.uid, teacher=self.name, failure="not in the script")
                continue
            working, answer = grading.split_closing(text)
            yield Rationale(
                example=example.uid,
                teacher=self.name,
                text=working,
                answer=answer,
            )

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterator[Diagnosis]:
        """The scripted items of each error."""
        for case in cases:
            script = self._diagnoses
            items = script(case) if callable(script) else script.get(case.example.uid)
            yield Diagnosis(
                example=case.example.uid,
                attempt=case.attempt.prediction,
                teacher=self.name,
                items=tuple(items or ()),
                failure="not in the script" if items is None else "",
            )

    def inductions(self, clusters: Sequence[ErrorCluster]) -> Iterator[Induction]:
        """The scripted items of each cluster."""
        for cluster in clusters:
            items = self._inductions(cluster) if self._inductions else None
            yield cluster.induction(self.name, items or (), "not in the script" if items is None else "")


def _content(script: RationaleScript | DiagnosisScript | InductionScript) -> object:
    """What of a script can be hashed: a mapping's content, a function's name."""
    if callable(script):
        return [getattr(script, "__module__", ""), getattr(script, "__qualname__", type(script).__qualname__)]
    return {uid: told if isinstance(told, str) else [item.to_json() for item in told] for uid, told in script.items()}
