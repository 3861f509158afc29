"""The commit of a Hugging Face model's revision, from the hub or its local cache. Without torch."""

from __future__ import annotations

import re
from pathlib import Path

from nesycd.core.errors import ModelError
from nesycd.students import embedded

_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_hub_id(model: str) -> bool:
    """Whether a student's name is neither the embedded one's nor a folder."""
    return model != embedded.NAME and not Path(model).is_dir()


def name_revision(model: str, revision: str) -> str:
    """Model and revision, as `org/name@main`."""
    return f"{model}@{revision or 'main'}"


def resolve_commit(model: str, revision: str = "") -> str:
    """The present commit of a branch, tag or commit, from the hub, or without a network from the local cache.

    Args:
        model: a Hugging Face id.
        revision: "" is `main`.

    Raises:
        ModelError: a folder that is not there; a model or revision that neither the hub nor the cache knows, or
            `huggingface_hub` is missing.
    """
    if model.startswith((".", "/", "~")) or model.endswith("/") or "\\" in model:
        hint = "; ~ is not read as the home folder, write its whole path" if model.startswith("~") else ""
        raise ModelError(f"there is no folder {model!r} with a student's model; correct student.model{hint}")
    if model.count("/") > 1:
        missing = FileNotFoundError("there is no such folder, and a Hugging Face id has one / at most")
        raise cannot_load(name_revision(model, revision), missing)
    if _COMMIT.fullmatch(revision):
        return revision
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError:
        raise ModelError(
            f"{model!r} is looked for on the Hugging Face hub, which takes: pip install 'nesycd[student]'"
        ) from None
    try:
        config = hf_hub_download(model, "config.json", revision=revision or None)
    except (OSError, ValueError) as error:  # all of the library's own are one of these
        raise cannot_load(name_revision(model, revision), error) from error
    # .../models--org--name/snapshots/COMMIT/config.json
    return Path(config).parent.name


def card_of(model: str, commit: str) -> Path | None:
    """The model card of a Hugging Face id, from the hub or its local cache; None where there is none to be had."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(model, "README.md", revision=commit or None))
    except (OSError, ValueError):  # all of the library's own are one of these
        return None


def cannot_load(name: str, error: Exception) -> ModelError:
    """A `ModelError` of one sentence for a library's error."""
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"cannot load {name!r} as a student: {first} (give 'smollm2-135m', a Hugging Face id, or a folder with "
        "config.json, tokenizer files and safetensors weights, or with a LoRA adapter)"
    )
