"""The memory of a training: counted without weights, near what tensors take, and what is decided and said from it."""

from __future__ import annotations

import copy
import platform
import random
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import transformers  # noqa: E402
from peft import get_peft_model  # noqa: E402

from nesycd.core.protocols import TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import own  # noqa: E402
from nesycd.students import footprint, local, memory, sizing  # noqa: E402
from nesycd.students.adapters import lora_config, peft_warnings  # noqa: E402
from nesycd.students.footprint import GIB, Footprint, Passes, available, largest_pass, memory_plan  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402
from nesycd.students.memory import resident  # noqa: E402
from nesycd.students.training import Encoded, batch_loss  # noqa: E402

SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
CONFIGS = {
    "llama": transformers.LlamaConfig(**SIZES, num_key_value_heads=2),
    "qwen2": transformers.Qwen2Config(**SIZES, num_key_value_heads=2, tie_word_embeddings=True),
    "gpt2": transformers.GPT2Config(vocab_size=64, n_embd=32, n_layer=4, n_head=4),
}


def estimate(name: str, settings: TrainSettings, attention: str = "eager", **options: Any) -> Footprint:
    largest = options.pop("largest", Passes(4, 24, 40))
    return footprint.footprint(CONFIGS[name], settings, largest, dtype=torch.float32, attention=attention, **options)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("adapted_layers", [1.0, 0.5])
def test_it_counts_what_a_real_step_keeps(name: str, adapted_layers: float) -> None:
    settings = TrainSettings(rank=2, alpha=4, adapted_layers=adapted_layers)
    found = estimate(name, settings)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(copy.deepcopy(CONFIGS[name]), attn_implementation="eager")
    frozen = sum(p.nbytes for p in model.parameters())
    with peft_warnings():
        model = get_peft_model(model, lora_config(model, settings)).get_base_model().train()
    live = [p for p in model.parameters() if p.requires_grad]
    assert found.weights == frozen
    assert found.adapter == sum(p.numel() for p in live) * 20
    rng = random.Random(0)
    texts = [Encoded([rng.randrange(64) for _ in range(14)], [1] * 10, 1.0) for _ in range(4)]
    kept = footprint._Kept(model)
    with kept:
        batch_loss(model, texts, 0)
    # The estimate comes on top by the work of one layer; the step by the logits.
    upper = round(4 * adapted_layers)
    assert found.activations * upper / (upper + 1) <= kept.bytes * 1.05
    assert kept.bytes <= found.activations + found.logits
    assert found.checkpointed < found.activations
    assert torch.autograd.grad(batch_loss(model, texts, 0), live)


def test_kernels_that_keep_no_scores_take_memory_by_length_alone() -> None:
    settings = TrainSettings(rank=2, alpha=4)
    by = {
        (attention, width): estimate("llama", settings, attention, largest=Passes(1, width, 10)).activations
        for attention in ("eager", "sdpa")
        for width in (64, 256)
    }
    assert by["sdpa", 256] == pytest.approx(4 * by["sdpa", 64], rel=0.1)
    assert by["eager", 256] > 8 * by["eager", 64]


def test_shards_and_four_bits_take_less() -> None:
    whole = estimate("llama", TrainSettings(rank=2, alpha=4))
    assert estimate("llama", TrainSettings(rank=2, alpha=4), quantised=True).weights < 0.5 * whole.weights
    # Two of the four layers are there at a time, and a quarter of all.
    assert estimate("llama", TrainSettings(rank=2, alpha=4), shards=4).weights < 0.9 * whole.weights


def test_the_cache_of_answers_is_that_of_their_keys_and_values() -> None:
    found = estimate("llama", TrainSettings(), answers=(8, 100))
    assert found.cache == 8 * 100 * 4 * 2 * 2 * 8 * 4  # rows, tokens, layers, both, heads, width of one, bytes
    assert found.answering == found.weights + found.cache


def test_the_largest_pass_is_that_of_the_longest_texts() -> None:
    texts = [Encoded([1] * length, [2] * 10, 1.0) for length in (3000, 1000, 900, 5, 4, 3)]
    assert largest_pass(texts, TrainSettings(batch_tokens=40), 1) == Passes(1, 3010, 10, sum(map(len, texts)))
    assert largest_pass(texts[1:], TrainSettings(batch_tokens=40), 1).rows == 4
    assert largest_pass(texts[1:], TrainSettings(batch_tokens=40), 2).rows == 2


NEEDS = Footprint(GIB, 0, 6 * GIB, 2 * GIB, 0, 0, 0)


@pytest.mark.parametrize(
    ("wanted", "room", "checkpointing", "short"),
    [
        ("auto", 8, False, False),
        ("auto", 5, True, False),
        ("auto", 2, True, True),
        ("off", 5, False, True),
        ("on", 8, True, False),
        ("auto", None, False, False),
    ],
)
def test_it_is_decided_and_said_before_training(
    wanted: Any, room: int | None, checkpointing: bool, short: bool
) -> None:
    plan = memory_plan(NEEDS, None if room is None else room * GIB, wanted, "cuda", "student.quantise = 4bit, ")
    assert plan.checkpointing is checkpointing and bool(plan.warning) is short
    assert plan.told.startswith(f"about {3 if checkpointing else 7}.0 GiB for training (weights 1.0, activations")
    if short:
        assert f"{room}.0 GiB are free on cuda" in plan.warning and "student.quantise = 4bit" in plan.warning
        assert ("training.checkpointing = auto" in plan.warning) is not checkpointing


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert 0 < available(torch.device("cpu")) < 1 << 50
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("700\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\n")
    assert footprint._container_room(tmp_path) == [450]
    (tmp_path / "memory.max").write_text("max\n")
    assert footprint._container_room(tmp_path) == []


@pytest.mark.parametrize("room", [1 << 40, 1 << 10])
def test_a_training_says_it_first_and_saves_where_it_must(
    room: int, tiny_student: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "available", lambda device: room)
    seen: list[dict[str, Any]] = []
    used: list[bool] = []
    real = local.fine_tune
    monkeypatch.setattr(
        local, "fine_tune", lambda *args, **named: (used.append(named["checkpointing"]), real(*args, **named))[1]
    )
    text = TrainingText(example="q", task="direct", prompt="What is a fathom?", segments=own("6 feet."))
    student = LocalStudent(str(tiny_student()), device="cpu")
    student.train([text], TrainSettings(epochs=1, rank=2, alpha=4), tmp_path, seed=0, progress=seen.append)
    assert seen[0]["note"].startswith("about 0.0 GiB for training (weights 0.0")
    assert used == [room == 1 << 10] and bool(seen[0]["warning"]) == (room == 1 << 10)


def test_a_check_that_loads_the_student_says_what_it_would_take(tiny_student: Any) -> None:
    from nesycd.api.preflight import preflight
    from nesycd.core.config import load_recipe

    recipe = Path(__file__).parents[2] / "recipes/quickstart.toml"
    sets = [f"student.model={tiny_student()}", "student.device=cpu", "training.max_tokens=128"]
    report = preflight(load_recipe(recipe, sets), load=True)
    [told] = [finding for finding in report.findings if finding.what == "memory"]
    assert told.state.startswith("about 0.") and "GiB are free on cpu" in told.state and not told.remedy
    assert told.state.endswith("GiB for answers")


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="another C library")
def test_what_a_training_held_is_given_back_at_its_end(
    tiny_student: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    text = TrainingText(example="q", task="direct", prompt="What is a fathom?", segments=own("6 feet."))
    student = LocalStudent(str(tiny_student()), device="cpu")

    def given_back() -> bool:
        sizes.append(resident() or 0)
        done = memory.give_back()
        sizes.append(resident() or 0)
        return done

    monkeypatch.setattr(local, "give_back", given_back)
    held = [bytes([1]) * (100_000 + number) for number in range(500)]  # as a step's gaps would
    last = bytes(100_000)
    del held
    student.train([text], TrainSettings(epochs=1, rank=2, alpha=4), tmp_path, seed=0)
    before, after = sizes
    assert before - after > 30_000_000 and last
