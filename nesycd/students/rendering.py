"""One renderer for training, evaluation and serving: what the student reads is made here and nowhere else.

A prompt is the text of one user turn. A chat model gets it through its own template; a base model gets the text, a line
break and the completion. The ids of a prompt are the same whether a completion is trained after them or generated
(METHOD, fault 2; `tests/students/test_rendering.py` holds it on real token ids).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nesycd.core.errors import ModelError
from nesycd.core.records import content_hash

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
        """Hash of all that decides the ids besides the tokenizer's files."""
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

    def decode(self, ids: list[int]) -> str:
        """Text of generated ids without special tokens."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True)).strip()
