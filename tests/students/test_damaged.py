"""Students whose files are damaged, or do not belong together: told in one sentence before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from nesycd.core.errors import ModelError  # noqa: E402
from nesycd.core.protocols import TrainReport, TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import own  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402

TEXTS = [
    TrainingText(example=text, task="direct", prompt=text, segments=own("A fathom is 6 feet."))
    for text in ("What is a fathom?", "And how many feet are it?")
]
SETTINGS = TrainSettings(epochs=1, rank=2, alpha=4)
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 269060552\n"


def train(folder: Path) -> TrainReport:
    student = LocalStudent(str(folder), device="cpu", compile="off")
    return student.train(TEXTS, SETTINGS, folder.parent / "trained", seed=0)


@pytest.mark.parametrize(
    "name, content",
    [
        ("tokenizer.json", "{"),
        ("tokenizer_config.json", "[]"),
        ("config.json", "[]"),
        ("config.json", '{"model_type": "t5"}'),
        ("model.safetensors", POINTER),
    ],
)
def test_a_damaged_file_is_one_sentence(tiny_student: Callable[..., Path], name: str, content: str) -> None:
    folder = tiny_student()
    (folder / name).write_text(content)
    with pytest.raises(ModelError, match=r"cannot load '.*/student' as a student: .*\(give .*\)$"):
        train(folder)
    assert not (folder.parent / "trained").exists()


@pytest.mark.parametrize("prefix", ["", "base_model.model."])
def test_weights_that_lack_tensors_are_refused(tiny_student: Callable[..., Path], prefix: str) -> None:
    folder = tiny_student()
    weights = {
        prefix + key: value for key, value in load_file(folder / "model.safetensors").items() if "norm" not in key
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lack \d+ of the model's tensors \(.*\), which would be random; save"):
        train(folder)


def test_tied_embeddings_lack_nothing(tiny_student: Callable[..., Path]) -> None:
    folder = tiny_student(tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    train(folder)


def test_a_token_without_an_embedding_is_told_before_training(
    tiny_student: Callable[..., Path], tiny_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = tiny_tokenizer(eos_token="<|new end|>")
    with pytest.raises(ModelError, match=r"has '<\|new end\|>' as token \d+, but the model has \d+ tokens only"):
        train(tiny_student(tokenizer=tokenizer))


def test_a_token_for_padding_that_the_model_does_not_know_is_not_used(
    tiny_student: Callable[..., Path], tiny_tokenizer: Callable[..., Any]
) -> None:
    folder = tiny_student(tokenizer=tiny_tokenizer(pad_token="[PAD]"))
    assert train(folder).steps > 0 and (folder.parent / "trained" / "adapter_model.safetensors").is_file()
