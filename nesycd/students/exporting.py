"""A trained student as files that others load: whole weights or the adapter, tokenizer, chat template, generation settings.

What plain transformers, vLLM and llama.cpp make of a lone user message must be, token by token, what the student was trained on
(`Renderer`), so the model's own template is given the system turn that training gave it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from nesycd.core.errors import RunError
from nesycd.core.storage import disk_errors, follow_umask, write_json_atomic
from nesycd.students import embedded
from nesycd.students.adapters import merged
from nesycd.students.chat import Chat
from nesycd.students.local import LocalStudent, without_bars
from nesycd.students.origin import CONFIG, WEIGHTS
from nesycd.students.rendering import Renderer, Template

LARGEST_FILE = "4GB"
"""Largest file of weights, as the Hugging Face hub has them."""
_ROOM = 64 << 20
"""Bytes for all that is no weights."""
SYSTEM_PLACE = "\ue002system\ue003"
"""Stands for a system text in `Frame.with_system`."""
_PLAIN = "{%- for message in messages -%}{{ message['content'] + '\\n' }}{%- endfor -%}"
_PATHS = ("_name_or_path", "name_or_path", "_model_name_or_path", "is_local", "local_files_only", "tokenizer_file")
"""Keys of the libraries' files that say where a model came from on this machine."""

Watch = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True)
class Frame:
    """What stands around a prompt as plain text, for completions endpoints and Ollama.

    Attributes:
        before: with the system turn as trained; without marks that the tokenizer puts there by itself.
        after: up to where the student begins to write.
        with_system: `before` for a system text that stands where `SYSTEM_PLACE` does; "" where the template takes none.
        end: the text of the student's end token.
        context: most tokens of a prompt and its answer; 0 where the model does not say.
        marks: the texts that its tokenizer takes for control tokens, wherever they stand.
    """

    before: str
    after: str
    with_system: str
    end: str
    context: int
    marks: tuple[str, ...] = ()


class ExportedStudent(LocalStudent):
    """A student on the CPU, in the dtype of its own files, to be written."""

    def __init__(self, model: str, *, revision: str, template: Template) -> None:
        super().__init__(model, revision=revision, template=template, device="cpu")
        self._dtype: Any = "auto"

    @property
    def frame(self) -> Frame:
        """What stands around a prompt."""
        renderer, tokenizer = self.renderer, self.renderer.tokenizer
        adds = tokenizer("A").input_ids[:1] == [tokenizer.bos_token_id]
        own = str(tokenizer.bos_token or "") if adds else ""
        before, after = Chat(tokenizer, renderer.system).frame if renderer.is_chat else ("", "\n")
        told = ""
        if renderer.is_chat and Chat(tokenizer, SYSTEM_PLACE).form[1]:
            told = Chat(tokenizer, SYSTEM_PLACE).frame[0].removeprefix(own)
        config = transformers.AutoConfig.from_pretrained(self._source, **self._pin)
        context = int(getattr(config, "max_position_embeddings", 0) or 0)
        added = tokenizer.added_tokens_decoder
        marks = tuple(sorted(added[number].content for number in renderer.plain_text.control if number in added))
        return Frame(before.removeprefix(own), after, told, str(tokenizer.eos_token), context, marks)

    def write_whole(self, adapter: Path, folder: Path, max_new_tokens: int, watch: Watch, extra: float = 0.0) -> None:
        """Write the model with an adapter merged into it.

        Args:
            adapter: the adapter's folder.
            folder: an empty one.
            max_new_tokens: most tokens of an answer.
            watch: see `Watch`.
            extra: what else will be written, in sizes of the model.

        Raises:
            ModelError: the model or its adapter cannot be loaded.
            RunError: there is too little space.
        """
        watch("loading the model")
        model = merged(self._fresh(), adapter)
        ins, outs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        if ins.data_ptr() != outs.data_ptr():  # an adapter may have trained the output layer by itself
            model.config.tie_word_embeddings = False
        size = sum(tensor.nbytes for tensor in {t.data_ptr(): t for t in model.state_dict().values()}.values())
        need_space(folder, round(size * (1 + extra)))
        watch(f"writing {size / 1e9:,.2f} GB of weights")
        tokenizer = self.renderer.tokenizer
        ends = getattr(model.generation_config, "eos_token_id", None)
        all_ends = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])} - {None}
        # Settings for sampling do not go with greedy decoding, and transformers warns of them.
        model.generation_config = type(model.generation_config)(
            do_sample=False,
            max_new_tokens=max_new_tokens,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=sorted(all_ends) if len(all_ends) > 1 else all_ends.pop(),
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
        with disk_errors(folder), without_bars():
            model.save_pretrained(folder, max_shard_size=LARGEST_FILE)
            for weights in folder.glob("*.safetensors"):
                follow_umask(weights)
        self._write_tokenizer(folder)

    def write_adapter(self, adapter: Path, folder: Path, base: str, watch: Watch) -> None:
        """Write an adapter alone, with the tokenizer that goes with it.

        Args:
            adapter: its folder.
            folder: an empty one.
            base: the name by which others find the model that it was trained on.
            watch: see `Watch`.

        Raises:
            RunError: there is too little space.
        """
        watch("writing the adapter")
        need_space(folder, (adapter / WEIGHTS).stat().st_size)
        config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
        with disk_errors(folder):
            shutil.copyfile(adapter / WEIGHTS, folder / WEIGHTS)
        revision = {"revision": self.commit} if self.commit else {}
        write_json_atomic(folder / CONFIG, {**config, "base_model_name_or_path": base, **revision})
        self._write_tokenizer(folder)

    def _write_tokenizer(self, folder: Path) -> None:
        tokenizer = self.renderer.tokenizer
        own = tokenizer.chat_template
        tokenizer.chat_template = exported_template(self.renderer)
        try:
            with disk_errors(folder):
                tokenizer.save_pretrained(folder)
        finally:
            tokenizer.chat_template = own
        for path in folder.glob("*.json"):
            told = json.loads(path.read_text(encoding="utf-8"))
            if path.name != "tokenizer.json" and any(key in told for key in _PATHS):
                write_json_atomic(path, {key: value for key, value in told.items() if key not in _PATHS})


def exported_template(renderer: Renderer) -> str:
    """A chat template that gives a lone user message the frame of `Renderer`, and others what the model's own gives them.

    The model's own template is kept; where a conversation has no system turn it gets the one that training had. A model without
    one gets each message on a line of its own, as a base model's prompts are.
    """
    if not renderer.is_chat:
        before = "".join(renderer.tokenizer.convert_ids_to_tokens(renderer.added[0]))
        return f"{{{{- {json.dumps(before)} -}}}}{_PLAIN}" if before else _PLAIN
    chat = Chat(renderer.tokenizer, renderer.system)
    parts, turn = chat.form
    if not turn:
        return chat.template
    content = json.dumps([{"type": "text", "text": renderer.system}] if parts else renderer.system)
    return (
        "{%- if messages[0]['role'] != 'system' -%}"
        f"{{%- set messages = [{{'role': 'system', 'content': {content}}}] + messages -%}}"
        f"{{%- endif -%}}{chat.template}"
    )


def need_space(folder: Path, size: int) -> None:
    """See that a disk has room for so many bytes.

    Raises:
        RunError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < size + _ROOM:
        raise RunError(
            f"{folder.parent}: the export takes {(size + _ROOM) / 1e9:,.2f} GB, but {free / 1e9:,.2f} GB are free there; "
            "free some space or give another folder"
        )


def published_name(base: str) -> str:
    """The name by which others find a student's base model: a Hugging Face id, or the name of its folder."""
    if base == embedded.NAME:
        return embedded.PUBLISHED
    return base if not Path(base).is_dir() else Path(base).resolve().name
