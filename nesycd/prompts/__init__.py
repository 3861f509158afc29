"""The prompts as files, and the rendering of questions, knowledge and completions as text.

Each `NAME.txt` here is one prompt with `{placeholders}`; their hash enters every run's fingerprints. Knows nothing of
tokens or models.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nesycd.core.errors import ConfigError
from nesycd.core.files import did_you_mean, read_text
from nesycd.core.records import Example, Fact, Lesson, Passage, Rule, content_hash
from nesycd.grading import closing

PLACEHOLDERS = {
    "question": {"question"},
    "question_with_knowledge": {"question", "knowledge"},
    "question_with_calls": {"question", "calls"},
    "question_with_knowledge_and_calls": {"question", "knowledge", "calls"},
    "answer_only": {"question"},
    "zero_shot": {"question"},
    "read": {"before", "unit"},
    "stated": {"question", "statements"},
}
"""The student's prompts; `stated` is the question with what the student read in it, for those above."""
BASELINE_PLACEHOLDERS = {
    "answer_only_with_knowledge": {"question", "knowledge"},
    "answer_after_rationale": {"question", "rationale"},
    "explain": {"question"},
    "memorise": {"subject"},
    "zero_shot_with_knowledge": {"question", "knowledge"},
    "worked_example": {"question", "completion"},
    "worked_question": {"question"},
}
"""What other methods than NesyCD ask the student besides, apart, so that changing one redoes no run of NesyCD."""
TEACHER_PLACEHOLDERS = {
    "rationale": {"question"},
    "rationale_hinted": {"question", "answer"},
    "statements": {"units"},
    "error": {"question", "answer", "rationale", "response"},
    "diagnosis": {"error"},
    "diagnosis_clustered": {"errors"},
    "diagnosis_repair": {"problem"},
    "induction": {"errors"},
    "induction_repair": {"problem"},
}
"""What a language model is asked as a teacher. `statements` follows the request for a rationale where rules are asked; `error` is
the part that the prompts for diagnoses and inductions hold."""


def read_prompts(folder: Path | None, placeholders: Mapping[str, set[str]]) -> dict[str, str]:
    """The texts of some prompts by name, from `folder` where it has one of that name, else from the package.

    Raises:
        ConfigError: no such folder, a prompt file in it that no one asks for, or a prompt that has a placeholder which it
            should not have, or lacks one.
    """
    known = {**PLACEHOLDERS, **BASELINE_PLACEHOLDERS, **TEACHER_PLACEHOLDERS}
    if folder is not None:
        if not folder.is_dir():
            raise ConfigError(f"prompts: there is no folder {folder}")
        for path in sorted(folder.glob("*.txt")):
            if path.stem not in known:
                raise ConfigError(f"{path}: no prompt has this name{did_you_mean(path.stem, known)}")
    return {name: _read(name, wanted, folder) for name, wanted in placeholders.items()}


def _read(name: str, wanted: set[str], folder: Path | None) -> str:
    own = folder / f"{name}.txt" if folder else None
    path = own if own and own.is_file() else Path(__file__).parent / f"{name}.txt"
    try:
        text = read_text(path, ConfigError).rstrip("\n")
        found = {field for _, field, _, _ in string.Formatter().parse(text) if field is not None}
        plain = not any(spec or conversion for _, _, spec, conversion in string.Formatter().parse(text))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; a brace that is text is written twice") from None
    if found != wanted or not plain:
        raise ConfigError(
            f"{path}: placeholders are {sorted(found)}, but must be {sorted(wanted)}; a brace that is text is written twice"
        )
    return text


@dataclass(frozen=True)
class TeacherPrompts:
    """The texts of what a language model is asked as a teacher."""

    texts: dict[str, str]

    @classmethod
    def load(cls, folder: Path | None = None) -> TeacherPrompts:
        """See `read_prompts`."""
        return cls(read_prompts(folder, TEACHER_PLACEHOLDERS))

    @property
    def fingerprint(self) -> str:
        """Hash of all texts."""
        return content_hash(self.texts)

    def fill(self, name: str, **values: str) -> str:
        """A prompt with its placeholders filled."""
        return self.texts[name].format(**values)


@dataclass(frozen=True)
class Prompts:
    """The texts of the student's prompts; `Prompts.load()` reads the package's own.

    `offers`: gives the look-ups that a question allows (`Tools.offers`), which prompts for a rationale then show; without any the
    prompt is as if there were no knowledge base.
    """

    texts: dict[str, str]
    offers: Callable[[Example], Sequence[str]] | None = None

    @classmethod
    def load(cls, folder: Path | None = None) -> Prompts:
        """See `read_prompts`."""
        return cls(read_prompts(folder, PLACEHOLDERS))

    @property
    def fingerprint(self) -> str:
        """Hash of all texts."""
        return content_hash(self.texts)

    def offering(self, offers: Callable[[Example], Sequence[str]]) -> Prompts:
        """The same prompts for a student that may look facts up."""
        return replace(self, offers=offers)

    def closed_book(self, example: Example) -> str:
        """The question alone."""
        return self.with_knowledge(example, ())

    def answer_only(self, example: Example) -> str:
        """The question with the request for a bare answer."""
        return self.texts["answer_only"].format(question=question_text(example))

    def zero_shot(self, example: Example) -> str:
        """The question with instructions, for a student that was not trained."""
        return self.texts["zero_shot"].format(question=question_text(example))

    def read(self, unit: str, before: str = "") -> str:
        """A unit of a question, to be read: what does it state? `before`: the unit before it."""
        return self.texts["read"].format(unit=unit, before=before)

    def with_knowledge(self, example: Example, items: Sequence[Shown], stated: Sequence[str] = ()) -> str:
        """The question after its context; without items the closed-book prompt. `stated`: what was read in the question."""
        name = "question_with_knowledge" if items else "question"
        given = {"knowledge": context_lines(items)} if items else {}
        if calls := self.offers(example) if self.offers is not None else ():
            name += "_and_calls" if items else "_with_calls"
            given["calls"] = " ".join(calls)
        return self.texts[name].format(question=self.stating(question_text(example), stated), **given)

    def stating(self, question: str, stated: Sequence[str]) -> str:
        """A question with what was read in it, where that is anything."""
        return self.texts["stated"].format(question=question, statements="; ".join(stated)) if stated else question


@dataclass(frozen=True)
class BaselinePrompts:
    """The texts of what other methods than NesyCD ask the student besides what `Prompts` holds."""

    texts: dict[str, str]

    @classmethod
    def load(cls, folder: Path | None = None) -> BaselinePrompts:
        """See `read_prompts`."""
        return cls(read_prompts(folder, BASELINE_PLACEHOLDERS))

    def fill(self, name: str, example: Example | None = None, items: Sequence[Shown] = (), **values: str) -> str:
        """A prompt with its placeholders filled: the example's question, the items as context, and other values."""
        known = BASELINE_PLACEHOLDERS[name]
        if "question" in known and example is not None:
            values["question"] = question_text(example)
        if "knowledge" in known:
            values["knowledge"] = context_lines(items)
        return self.texts[name].format(**values)


Shown = Fact | Lesson | Rule | Passage
"""What a context may contain: knowledge items and passages."""


def context_lines(items: Sequence[Shown]) -> str:
    """Items as lines of a prompt, one per line."""
    return "\n".join(map(item_line, items))


def item_line(item: Shown) -> str:
    """One item as a line of the context."""
    return "- " + " ".join(item.text.split())


def question_text(example: Example) -> str:
    """The question with its options, one a line, lettered as answers name them."""
    lines = [example.question]
    lines += [f"({chr(65 + index)}) {option}" for index, option in enumerate(example.options)]
    return "\n".join(lines)


def completion_text(rationale: str, answer: str) -> str:
    """What the student is trained to write: the chain of thought, then the closing sentence."""
    return f"{rationale.strip()} {closing(answer)}".strip()
