"""Sessions of students that can only answer whole batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nesycd.core.protocols import Decoding, Generation, Prompt, Session, SessionStudent, Student


class WholeSession:
    """Implements `Session`: what was begun is answered whole, in the student's batches, at the next step."""

    def __init__(self, student: Student, adapter: Path | None) -> None:
        self._student, self._adapter = student, adapter
        self._begun: dict[str, tuple[Prompt, Decoding]] = {}

    def begin(self, prompts: Sequence[Prompt], decodings: Sequence[Decoding]) -> None:
        """See `Session`."""
        for prompt, decoding in zip(prompts, decodings, strict=True):
            self._begun[prompt.key] = (prompt, decoding)

    def step(self) -> dict[str, str | Generation]:
        """See `Session`."""
        groups: dict[Decoding, list[Prompt]] = {}
        for prompt, decoding in self._begun.values():
            groups.setdefault(decoding, []).append(prompt)
        self._begun.clear()
        made: dict[str, str | Generation] = {}
        for decoding, prompts in groups.items():
            for batch in self._student.plan(prompts):
                asked = [prompts[place] for place in batch]
                answers = self._student.generate(asked, adapter=self._adapter, decoding=decoding)
                made |= zip((prompt.key for prompt in asked), answers, strict=True)
        return made

    def drop(self, key: str) -> None:
        """See `Session`."""
        self._begun.pop(key, None)


def session_of(student: Student, adapter: Path | None) -> Session:
    """A session of any student."""
    return student.session(adapter) if isinstance(student, SessionStudent) else WholeSession(student, adapter)
