"""A question as one turn of a conversation, by a tokenizer's chat template, whichever turns and contents that takes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import product
from typing import Any

from nesycd.core.errors import ModelError

_QUESTION = "\ue000question\ue001"
"""Stands for a question where only what the template puts around it is wanted."""
_TODAY = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")
_DAY = date(2024, 7, 26)
"""What templates that name the day are given, so that a prompt is the same on each day: Llama 3's own default."""


@dataclass(frozen=True)
class Chat:
    """Renders prompts by a chat template.

    Where the template takes no system turn, or wants turns of user and assistant to alternate, an empty system text is
    left out and any other begins the user's turn. Contents are lists of parts where a plain text would be left out.

    Attributes:
        tokenizer: a Hugging Face tokenizer that has a chat template.
        system: text of the system turn; "" is an empty one, None leaves it to the template.
    """

    tokenizer: Any
    system: str | None

    def text(self, prompt: str) -> str:
        """The text before the completion, template marks included.

        Raises:
            ModelError: the template cannot render it.
        """
        try:
            return self._render(prompt, *self.form)
        except ModelError:
            raise
        except Exception as error:  # see `form`
            raise _unusable(str(error)) from None

    @cached_property
    def frame(self) -> tuple[str, str]:
        """What the template puts before and after a question.

        Raises:
            ModelError: the template cannot render a question, or repeats it.
        """
        before, *after = self.text(_QUESTION).split(_QUESTION)
        if len(after) != 1:
            raise _unusable("it repeats the question")
        return before, after[0]

    @cached_property
    def form(self) -> tuple[bool, bool]:
        """Whether contents are lists of parts, and whether there is a system turn: the first form that the template takes."""
        told = "it leaves the question out"
        for parts, turn in product((False, True), (False,) if self.system is None else (True, False)):
            try:
                text = self._render(_QUESTION, parts, turn)
            except Exception as error:  # templates are programs, and may raise anything
                told = told if parts else str(error)
                continue
            if _QUESTION in text and (self.system or "").strip() in text:
                return parts, turn
        raise _unusable(told)

    @cached_property
    def template(self) -> str:
        """The tokenizer's template, in which the day is always the same one."""
        template = str(self.tokenizer.get_chat_template())
        return _TODAY.sub(lambda call: repr(_DAY.strftime(call[2])), template)

    def _render(self, prompt: str, parts: bool, turn: bool) -> str:
        if self.system and not turn:
            prompt = f"{self.system}\n\n{prompt}"
        turns = [("system", self.system), ("user", prompt)] if turn else [("user", prompt)]
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}] if parts else text} for role, text in turns
        ]
        return str(
            self.tokenizer.apply_chat_template(
                messages, chat_template=self.template, tokenize=False, add_generation_prompt=True
            )
        )


def _unusable(reason: str) -> ModelError:
    reason = " ".join(reason.split()).rstrip(".")
    return ModelError(
        f"the student's chat template does not render a question: {reason}; set student.template = 'plain', or mend the "
        "template among the student's files"
    )
