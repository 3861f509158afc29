"""What a student is made of: a model, or LoRA adapters in folders, each of which names the model it was trained on.

Such a folder (`adapter_config.json`) has no whole weights. transformers would load base and adapter, and fine-tuning would then
put its own in the adapter's place; here it is merged into the base first. Without torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.errors import ModelError
from nesycd.students import embedded

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
"""The two files of an adapter, as peft writes them."""
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")


@dataclass(frozen=True)
class Origin:
    """What a student is made of.

    Attributes:
        base: `smollm2-135m` (embedded), a folder, or a Hugging Face id.
        revision: of a Hugging Face id: a branch, tag or commit; "" is `main`.
        adapters: the folders of adapters that are merged into it, in this order.
    """

    base: str
    revision: str = ""
    adapters: tuple[Path, ...] = ()

    @property
    def tokenizer(self) -> Path | None:
        """The folder of the last adapter that has a tokenizer of its own; None: the base's is used."""
        found = (path for path in reversed(self.adapters) if any((path / name).is_file() for name in _TOKENIZER))
        return next(found, None)


def origin_of(model: str, revision: str = "") -> Origin:
    """What a student of that name is made of.

    Args:
        model: `smollm2-135m`, a Hugging Face id, or a folder, of a model or of an adapter.
        revision: of the Hugging Face model, or of the one that an adapter was trained on; "": the one that the adapter names.

    Raises:
        ModelError: an adapter cannot be merged, or names a model that is not there.
    """
    adapters: list[Path] = []
    named = ""
    while model != embedded.NAME and (Path(model) / CONFIG).is_file():
        folder = Path(model)
        if folder.resolve() in [path.resolve() for path in adapters]:
            raise ModelError(
                f"{folder / CONFIG}: base_model_name_or_path leads back to this adapter; name a model there"
            )
        adapters.insert(0, folder)
        model, named = _base_of(folder)
    return Origin(model, revision or named, tuple(adapters))


def _base_of(folder: Path) -> tuple[str, str]:
    """The model that an adapter was trained on, and its revision."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        base, kind = config["base_model_name_or_path"], config["peft_type"]
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{path}: not an adapter's configuration with base_model_name_or_path and peft_type") from None
    if kind != "LORA":
        raise ModelError(
            f"{path}: an adapter of peft_type {kind} cannot be a student, only a LORA one or a whole model"
        )
    if any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        raise ModelError(
            f"{folder} has both a whole model and an adapter ({CONFIG}); move one of them to a folder of its own"
        )
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"{folder} has {CONFIG} but no {WEIGHTS}; save the adapter as safetensors")
    if not isinstance(base, str) or not base:
        raise ModelError(
            f"{path}: base_model_name_or_path is empty; name the model there that the adapter was trained on"
        )
    return _found(base, folder), str(config.get("revision") or "")


def _found(base: str, folder: Path) -> str:
    """The base model as a student's name, wherever the adapter was trained."""
    place = Path(base)
    if place == embedded.cached() or (place.name == embedded.NAME and not place.is_dir()):
        return embedded.NAME
    if place.is_dir():
        return base
    if (folder / base).is_dir():
        return str(folder / base)
    if place.is_absolute() or base.startswith(".") or len(place.parts) > 2:
        raise ModelError(
            f"{folder / CONFIG}: there is no folder {base}, on which the adapter was trained; correct base_model_name_or_path"
        )
    return base
