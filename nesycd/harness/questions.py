"""Between the harness's texts and our questions: what a request asks, and how a text is cut where the request says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nesycd.core.errors import ConfigError, DataError
from nesycd.core.records import Example
from nesycd.prompts import question_text

_OPTION = re.compile(r"\(([A-Z])\) (.*\S.*)")
_LIMITS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""The names of the limit of an answer, the first given of which counts, as in the harness."""


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """A row's `question`, with its `options` (where it has any) as our prompts have them. A task's `doc_to_text`.

    Raises:
        DataError: the row has no question.
    """
    if not isinstance(doc.get("question"), str):
        raise DataError(f"doc_to_text: a row needs a `question` that is a text, but has {', '.join(doc) or 'nothing'}")
    options = tuple(doc.get("options") or ())
    return question_text(Example(uid="row", task="harness", question=doc["question"], answer="", options=options))


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """A question and its options: the lines "(A) ...", "(B) ..." that end the text; without at least two, all is question.

    Rendering them again (`prompts.question_text`) gives the text to the byte.
    """
    lines = text.split("\n")
    for first in range(1, len(lines) - 1):
        found = [_OPTION.fullmatch(line) for line in lines[first:]]
        question = "\n".join(lines[:first])
        if question.strip() and all(match and match[1] == chr(65 + index) for index, match in enumerate(found)):
            return question, tuple(match[2] for match in found if match)
    return text, ()


@dataclass(frozen=True)
class Request:
    """One thing that the harness wants generated.

    Attributes:
        example: the question; its `uid` is the request's number, and it has no gold answer.
        until: strings that end the answer and are not part of it.
        limit: of the answer, in tokens.
    """

    example: Example
    until: tuple[str, ...]
    limit: int

    @classmethod
    def read(
        cls,
        number: int,
        context: str,
        settings: Mapping[str, Any],
        doc: Mapping[str, Any] | None,
        task: str,
        limit: int,
    ) -> Request:
        """What the harness asks, as our question.

        Args:
            number: of the request.
            context: the text that the harness made.
            settings: the task's `generation_kwargs`.
            doc: the row that the context was made from; its `task`, where that is a text, is the question's (`Example.task`).
            task: the question's where the row has none.
            limit: the run's own, in tokens; the request's counts where it is lower.

        Raises:
            DataError: an empty context.
            ConfigError: sampling is asked for, or a limit or stop string that is none.
        """
        if not context.strip():
            raise DataError(f"request {number + 1}: the task's doc_to_text gave an empty text")
        if settings.get("do_sample"):
            raise ConfigError(
                "generation_kwargs: do_sample is set, but a finished run answers greedily; set it to false"
            )
        until = settings.get("until") or ()
        stops = (until,) if isinstance(until, str) else until
        if not isinstance(stops, (list, tuple)) or not all(isinstance(stop, str) for stop in stops):
            raise ConfigError(f"generation_kwargs: until must be a text or a list of texts, but is {until!r}")
        asked = next((settings[name] for name in _LIMITS if settings.get(name) is not None), limit)
        if not isinstance(asked, int) or asked < 1:
            raise ConfigError(f"generation_kwargs: max_gen_toks must be a number of tokens from 1 on, but is {asked!r}")
        of_row = (doc or {}).get("task")
        question, options = split_options(context)
        example = Example(
            uid=str(number),
            task=of_row if isinstance(of_row, str) and of_row else task,
            question=question,
            answer="",
            options=options,
        )
        return cls(example, tuple(stop for stop in stops if stop), min(asked, limit))

    def cut(self, text: str) -> str:
        """The text before the first of the strings that end it."""
        for stop in self.until:
            text = text.partition(stop)[0]
        return text
