"""The prompts as files, and the one place where questions, knowledge and completions become text.

Each `NAME.txt` here is one prompt with `{placeholders}`; their hash enters every run's fingerprints. Knows nothing of
tokens or models.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nesycd.errors import ConfigError
from nesycd.grading import closing
from nesycd.records import Example, Fact, Lesson, Rule, content_hash

PLACEHOLDERS = {
    "question": {"question"},
    "question_with_knowledge": {"question", "knowledge"},
    "answer_only": {"question"},
    "zero_shot": {"question"},
}


@dataclass(frozen=True)
class Prompts:
    """The texts of all prompts; `Prompts.load()` reads the package's own."""

    texts: dict[str, str]

    @classmethod
    def load(cls, folder: Path | None = None) -> Prompts:
        """Read every prompt, from `folder` where it has one of that name, else from the package.

        Raises:
            ConfigError: a prompt has a placeholder that it should not have, or lacks one.
        """
        texts = {}
        for name, wanted in PLACEHOLDERS.items():
            own = folder / f"{name}.txt" if folder else None
            path = own if own and own.is_file() else Path(__file__).parent / f"{name}.txt"
            texts[name] = path.read_text(encoding="utf-8").rstrip("\n")
            try:
                found = {field for _, field, _, _ in string.Formatter().parse(texts[name]) if field is not None}
            except ValueError as error:
                raise ConfigError(f"{path}: {error}") from None
            if found != wanted:
                raise ConfigError(f"{path}: placeholders are {sorted(found)}, but must be {sorted(wanted)}")
        return cls(texts)

    @property
    def fingerprint(self) -> str:
        """Hash of all texts."""
        return content_hash(self.texts)

    def closed_book(self, example: Example) -> str:
        """The question alone."""
        return self.texts["question"].format(question=question_text(example))

    def answer_only(self, example: Example) -> str:
        """The question with the request for a bare answer."""
        return self.texts["answer_only"].format(question=question_text(example))

    def zero_shot(self, example: Example) -> str:
        """The question with instructions, for a student that was not trained."""
        return self.texts["zero_shot"].format(question=question_text(example))

    def with_knowledge(self, example: Example, items: Sequence[Fact | Lesson | Rule]) -> str:
        """The question after its knowledge block; without items it is the closed-book prompt."""
        if not items:
            return self.closed_book(example)
        return self.texts["question_with_knowledge"].format(
            knowledge="\n".join(map(item_line, items)), question=question_text(example)
        )


def item_line(item: Fact | Lesson | Rule) -> str:
    """One item as a line of the knowledge block."""
    return "- " + " ".join(item.text.split())


def question_text(example: Example) -> str:
    """The question with its options, one a line, lettered as answers name them."""
    lines = [example.question]
    lines += [f"({chr(65 + index)}) {option}" for index, option in enumerate(example.options)]
    return "\n".join(lines)


def completion_text(rationale: str, answer: str) -> str:
    """What the student is trained to write: the working, then the closing sentence."""
    return f"{rationale.strip()} {closing(answer)}".strip()
