"""The renderer for training, evaluation and serving: all token ids of prompts and completions are made here.

A prompt is the text of one user turn. A chat model gets it through its own template; a base model gets the text, a line
break and the completion. The ids of a prompt are the same whether a completion is trained after them or generated
(METHOD, fault 2; `tests/students/test_rendering.py` holds it on real token ids).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nesycd.core.errors import ModelError
from nesycd.core.records import content_hash
from nesycd.core.segments import Segment, text_of

Template = Literal["auto", "chat", "plain"]


@dataclass(frozen=True)
class Renderer:
    """Turns prompts and completions into token ids.

    Attributes:
        tokenizer: a Hugging Face tokenizer.
        template: `chat` uses the tokenizer's chat template, `plain` none, `auto` the former where there is one.
        system: text of the system turn; "" is an empty one (the fewest tokens), None leaves it to the template.
    """

    tokenizer: Any
    template: Template = "auto"
    system: str | None = ""

    def __post_init__(self) -> None:
        if self.template == "chat" and not self.tokenizer.chat_template:
            raise ModelError(
                "template 'chat' was asked for, but this model has no chat template; use 'plain' or 'auto'"
            )

    @property
    def is_chat(self) -> bool:
        """Whether the chat template is used."""
        return self.template == "chat" or (self.template == "auto" and bool(self.tokenizer.chat_template))

    @property
    def fingerprint(self) -> str:
        """Hash of all that the ids depend on besides the tokenizer's files."""
        return content_hash([self.is_chat, self.system, self.tokenizer.chat_template if self.is_chat else ""])

    def prompt_text(self, prompt: str) -> str:
        """The text before the completion, template marks included."""
        if not self.is_chat:
            return f"{prompt}\n"
        messages = [{"role": "user", "content": prompt}]
        if self.system is not None:
            messages.insert(0, {"role": "system", "content": self.system})
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def prompt_ids(self, prompt: str) -> list[int]:
        """Token ids of the prompt, as training and inference both see them."""
        # A chat template writes its own start marks; a base model's tokenizer adds its own.
        return list(self.tokenizer(self.prompt_text(prompt), add_special_tokens=not self.is_chat).input_ids)

    def completion_ids(self, completion: str) -> list[int]:
        """Token ids of the completion with the end token, tokenised apart from the prompt so that neither changes."""
        ids = self.tokenizer(completion.strip(), add_special_tokens=False).input_ids
        return [*ids, self.tokenizer.eos_token_id]

    def supplied_places(self, segments: Sequence[Segment]) -> frozenset[int]:
        """Places in `completion_ids` of the tokens that are supplied: those that begin in supplied text, blanks left aside.

        A token that begins in the student's own text is the student's, wherever it ends. The end token is the student's.
        """
        if all(segment.source == "student" for segment in segments):
            return frozenset()
        text = text_of(segments)
        supplied = [segment.source == "supplied" for segment in segments for _ in segment.text]
        lead = len(text) - len(text.lstrip())
        spans = self.tokenizer(text.strip(), add_special_tokens=False, return_offsets_mapping=True).offset_mapping
        places = []
        for place, (start, end) in enumerate(spans):
            written = next((at for at in range(start, end) if not text[lead + at].isspace()), start)
            if supplied[lead + written]:
                places.append(place)
        return frozenset(places)

    def decode(self, ids: list[int]) -> str:
        """Text of generated ids without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
