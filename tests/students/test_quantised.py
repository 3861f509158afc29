"""A base model in 4 bits: refused where it cannot be computed, trained and asked where bitsandbytes is."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.core.errors import ModelError  # noqa: E402
from nesycd.core.protocols import Decoding, Prompt, TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import own  # noqa: E402
from nesycd.students import quantised  # noqa: E402
from nesycd.students.fingerprint import student_fingerprint  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402
from nesycd.students.quantised import is_quantised_weight  # noqa: E402
from nesycd.students.registry import build_student  # noqa: E402

real = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed (pip install 'nesycd[scale]')"
)


def test_a_cpu_is_refused_with_a_way_out(tiny_student: Any) -> None:
    with pytest.raises(ModelError, match=r"student\.quantise: .*needs an NVIDIA GPU.*on cpu; .*checkpointing"):
        LocalStudent(str(tiny_student()), device="cpu", quantise="4bit")


def test_a_missing_library_is_named(tiny_student: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantised, "DEVICES", {"cpu"})
    monkeypatch.setattr(quantised, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'nesycd\[scale\]'"):
        LocalStudent(str(tiny_student()), device="cpu", quantise="4bit")


def test_it_is_another_student(tiny_student: Any) -> None:
    folder = str(tiny_student())
    plain, other = student_fingerprint(folder, "auto", ""), student_fingerprint(folder, "auto", "", quantise="4bit")
    assert plain != other
    assert build_student(folder).fingerprint == plain
    assert build_student(folder, quantise="4bit").fingerprint == other


@real
@pytest.mark.filterwarnings("ignore:bitsandbytes:UserWarning")  # why CPUs are refused
def test_a_quantised_base_is_trained_and_asked(
    tiny_student: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantised, "DEVICES", {"cpu"})
    monkeypatch.setenv("BNB_CUDA_VERSION", "")
    # Blocks have 64 weights.
    folder = str(tiny_student(hidden_size=64, intermediate_size=64, num_hidden_layers=2))
    student = LocalStudent(folder, device="cpu", quantise="4bit")
    text = TrainingText(example="q", task="direct", prompt="What is a fathom?", segments=own("A fathom is 6 feet."))
    losses: list[float] = []
    settings = TrainSettings(epochs=20, rank=4, alpha=8, learning_rate=0.05)
    progress = lambda state: losses.append(state["loss"]) if "loss" in state else None  # noqa: E731
    student.train([text], settings, tmp_path, seed=0, progress=progress)
    assert losses[-1] < losses[0] - 0.3
    base = student._fresh()
    in_bits = [name for name, p in base.named_parameters() if is_quantised_weight(p)]
    assert len(in_bits) == 14 and not any("embed" in name or "lm_head" in name for name in in_bits)
    prompts, scores = [Prompt("q", text.prompt)], []
    for adapter in (None, tmp_path):
        student.generate(prompts, adapter=adapter, decoding=Decoding(4))
        scores += student.least_likely(prompts, [text.completion], adapter=adapter)
    assert scores[1] > scores[0]
    whole = LocalStudent(folder, device="cpu").least_likely(prompts, [text.completion], adapter=None)
    assert whole[0] == pytest.approx(scores[0], rel=0.1)
