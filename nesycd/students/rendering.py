"""The renderer for training, evaluation and serving: all token ids of prompts and completions are made here.

A prompt is the text of one user turn. A chat model gets it through its own template; a base model gets the text, a line
break and the completion. The ids of a prompt are the same whether a completion is trained after them or generated
(METHOD, fault 2; `tests/students/test_local.py` holds it on real token ids). Control tokens are the template's only: no text
of a prompt or completion becomes one (`PlainText`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from nesycd.core.errors import ModelError
from nesycd.core.segments import Segment, text_of
from nesycd.students.chat import Chat
from nesycd.students.plain_text import PlainText, Span

Template = Literal["auto", "chat", "plain"]


@dataclass(frozen=True)
class Renderer:
    """Turns prompts and completions into token ids.

    Attributes:
        tokenizer: a Hugging Face tokenizer.
        template: `chat` uses the tokenizer's chat template, `plain` none, `auto` the former where there is one.
        system: text of the system turn; "" is an empty one (the fewest tokens), None leaves it to the template.

    Raises:
        ModelError: there is no chat template but `chat` was asked for, it cannot render a question, the tokenizer has no
            end token, or the system text has a control token.
    """

    tokenizer: Any
    template: Template = "auto"
    system: str | None = ""

    def __post_init__(self) -> None:
        if self.tokenizer.eos_token_id is None:
            raise ModelError(
                "the student's tokenizer has no end token, so the student could not learn where an answer ends; give its "
                'tokenizer_config.json an "eos_token" that the model knows (config.json may name its "eos_token_id")'
            )
        if self.template == "chat" and not self.tokenizer.chat_template:
            raise ModelError(
                "template 'chat' was asked for, but this model has no chat template; use 'plain' or 'auto'"
            )
        bare = self.tokenizer(self.system or "", add_special_tokens=False).input_ids
        if self.plain_text.ids(self.system or "") != bare:
            raise ModelError(
                f"the system text {self.system!r} has a control token of the student's tokenizer; take it out"
            )
        if self.is_chat:
            _ = self._chat.frame  # a template that cannot be used is told now, not after the first training

    @cached_property
    def is_chat(self) -> bool:
        """Whether the chat template is used."""
        return self.template == "chat" or (self.template == "auto" and bool(self.tokenizer.chat_template))

    @cached_property
    def plain_text(self) -> PlainText:
        """Makes the ids of all texts."""
        return PlainText(self.tokenizer)

    @cached_property
    def _chat(self) -> Chat:
        return Chat(self.tokenizer, self.system)

    def prompt_text(self, prompt: str) -> str:
        """The text before the completion, template marks included."""
        return self._chat.text(prompt) if self.is_chat else f"{prompt}\n"

    def prompt_ids(self, prompt: str) -> list[int]:
        """Token ids of the prompt, as training and inference both see them.

        Raises:
            ModelError: the chat template cannot render the prompt.
        """
        text = self.prompt_text(prompt)
        # A chat template writes its own start marks; a base model's tokenizer adds its own.
        ids = list(self.tokenizer(text, add_special_tokens=not self.is_chat).input_ids)
        if self._marks(ids) != self._frame_marks:
            ids = self.plain_text.within(text, self._place(text), add_special_tokens=not self.is_chat)
        after = len(self.added[1])
        return ids[:-after] if after else ids

    def _place(self, text: str) -> Span:
        """Where a rendered prompt's own text stands in it."""
        before, after = self._chat.frame if self.is_chat else ("", "")
        if not (text.startswith(before) and text.endswith(after)):
            raise ModelError(
                "a prompt has a control token of the student's tokenizer, and the chat template renders it unlike others; set "
                "student.template = 'plain'"
            )
        return len(before), len(text) - len(after)

    def _marks(self, ids: list[int]) -> list[int]:
        return list(filter(self.plain_text.control.__contains__, ids))

    @cached_property
    def _frame_marks(self) -> list[int]:
        """The control tokens that a prompt has besides its text. One that has others was given them by its text."""
        if not self.is_chat:
            return [token for part in self.added for token in self._marks(part)]
        parts = (self.tokenizer(part, add_special_tokens=False).input_ids for part in self._chat.frame)
        return [token for part in parts for token in self._marks(part)]

    @cached_property
    def added(self) -> tuple[list[int], list[int]]:
        """What a base model's tokenizer puts before and after a text; the latter would end the answer before it begins."""
        if self.is_chat:
            return [], []
        bare, whole = (self.tokenizer("A", add_special_tokens=added).input_ids for added in (False, True))
        first = next((place for place in range(len(whole)) if whole[place : place + len(bare)] == bare), 0)
        return whole[:first], whole[first + len(bare) :]

    def completion_ids(self, completion: str) -> list[int]:
        """Token ids of the completion with the end token, tokenised apart from the prompt so that neither changes."""
        return [*self.plain_text.ids(completion.strip()), self.tokenizer.eos_token_id]

    def supplied_places(self, segments: Sequence[Segment]) -> frozenset[int]:
        """Places in `completion_ids` of the tokens that are supplied: those that begin in supplied text, blanks left aside.

        A token that begins in the student's own text is the student's, wherever it ends. The end token is the student's.

        Raises:
            ModelError: the tokenizer does not tell where a token stands.
        """
        if all(segment.source == "student" for segment in segments):
            return frozenset()
        if not self.tokenizer.is_fast:
            raise ModelError(
                "the student's tokenizer does not tell where a token stands, which training on look-ups needs; take a student "
                "that has a tokenizer.json"
            )
        text = text_of(segments)
        supplied = [segment.source == "supplied" for segment in segments for _ in segment.text]
        lead = len(text) - len(text.lstrip())
        text = text.strip()
        places = []
        for place, (_, (start, end)) in enumerate(self.plain_text.spans(text, (0, len(text)))):
            written = next((at for at in range(start, end) if not text[at].isspace()), start)
            if supplied[lead + written]:
                places.append(place)
        return frozenset(places)

    def decode(self, ids: list[int]) -> str:
        """Text of generated ids without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
