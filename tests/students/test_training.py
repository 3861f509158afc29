"""Gradients of a batch, whole, halved and by workers, on a tiny random model."""

from __future__ import annotations

import copy
import platform
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.core.errors import RunError  # noqa: E402
from nesycd.core.protocols import TrainSettings  # noqa: E402
from nesycd.students import training  # noqa: E402
from nesycd.students.adapters import lora_config, peft_warnings  # noqa: E402
from nesycd.students.compiling import can_compile, compile_layers  # noqa: E402
from nesycd.students.memory import (  # noqa: E402
    KeptMemory,
    is_out_of_memory,
    keep_freed_memory,
    machine_memory,
    resident,
)
from nesycd.students.training import Encoded, Workers, accumulate  # noqa: E402


@pytest.fixture
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def texts(count: int) -> list[Encoded]:
    rng = random.Random(0)

    def ids(low: int, high: int) -> list[int]:
        return [rng.randrange(64) for _ in range(rng.randint(low, high))]

    return [Encoded(ids(3, 9), ids(2, 6), rng.choice((0.5, 1.0))) for _ in range(count)]


def gradients(model: Any) -> list[Any]:
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    return found


def test_workers_add_up_to_the_whole_batch_and_repeat_exactly(model: Any, two_threads: None) -> None:
    batch = texts(7)
    loss = accumulate(model, batch, 0.1, 0)
    whole = gradients(model)
    made = []
    with Workers.suited(model, 0, TrainSettings()) as workers:
        assert workers.count == 2
        for _ in range(2):
            assert workers.accumulate(batch, 0.1) == pytest.approx(loss, rel=1e-5)
            made.append(gradients(model))
    for one, other, again in zip(whole, *made, strict=True):
        assert torch.allclose(one, other, atol=1e-6) and torch.equal(other, again)


def test_memory_that_runs_out_halves_the_batch(model: Any, two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = texts(8)
    accumulate(model, batch, 0.1, 0)
    whole = gradients(model)
    real, sizes = training.batch_loss, []

    def small_only(model: Any, texts: list[Encoded], pad_id: int) -> Any:
        sizes.append(len(texts))
        if len(texts) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return real(model, texts, pad_id)

    monkeypatch.setattr(training, "batch_loss", small_only)
    with Workers.suited(model, 0, TrainSettings()) as workers:
        workers.accumulate(batch, 0.1)
    assert sizes[-1] == 2 and 8 in sizes
    for one, other in zip(whole, gradients(model), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_memory_that_runs_out_in_the_backward_pass_leaves_nothing_behind(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = texts(8)
    accumulate(model, batch, 0.1, 0)
    whole = gradients(model)
    real, sizes = training.batch_loss, []

    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, embedded: Any) -> Any:
            return embedded.clone()

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            if sizes[-1] > 4:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
            return gradient

    def counted(model: Any, texts: list[Encoded], pad_id: int) -> Any:
        sizes.append(len(texts))
        return real(model, texts, pad_id)

    # The first layers' gradients come last, when those of all others are there.
    embeddings = model.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda module, given, out: Failing.apply(out))
    monkeypatch.setattr(training, "batch_loss", counted)
    accumulate(model, batch, 0.1, 0)
    hook.remove()
    assert sizes == [8, 4, 4]
    for one, other in zip(whole, gradients(model), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_allocators_own_errors_are_memory_that_ran_out() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 62, dtype=torch.uint8)
    assert is_out_of_memory(raised.value), "what this machine's allocator says"
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried", True),
        (
            "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9",
            True,
        ),
        ("MPS backend out of memory (MPS allocated: 5.00 GB). Tried to allocate 256 bytes", True),
        ("Tensor on device meta was never allocated", False),
        ("could not deallocate the handle", False),
        ("the file store is out of memory keys", False),
        ("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)", False),
    ],
)
def test_other_errors_are_not(model: Any, monkeypatch: pytest.MonkeyPatch, message: str, expected: bool) -> None:
    sizes = []

    def failing(model: Any, texts: list[Encoded], pad_id: int) -> Any:
        sizes.append(len(texts))
        raise RuntimeError(message)

    monkeypatch.setattr(training, "batch_loss", failing)
    with pytest.raises(RuntimeError, match=re.escape(message)):
        accumulate(model, texts(4), 0.1, 0)
    assert is_out_of_memory(RuntimeError(message)) is expected
    assert sizes == ([4, 2, 1] if expected else [4]), "a batch is halved for want of memory alone"


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_texts_lose_nothing_without_a_padding_mask(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {} if kind == "gpt2" else {"intermediate_size": 48, "num_key_value_heads": 1}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **sizes)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()
    losses, rows = training.token_losses(model, texts(6), 0)
    monkeypatch.setattr(training, "MASKLESS", {"cpu"})
    others, same = training.token_losses(model, texts(6), 0)
    assert torch.equal(rows, same) and len({len(text) for text in texts(6)}) > 1
    torch.testing.assert_close(losses, others, rtol=1e-4, atol=1e-5)


def test_one_worker_where_threads_would_race(model: Any, two_threads: None) -> None:
    assert Workers.suited(model, 0, TrainSettings(dropout=0.1)).count == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing what compiles
def test_compiled_layers_give_the_same_gradients_whatever_came_before(model: Any) -> None:
    if not can_compile():
        pytest.skip("no C++ compiler here")
    batches = [texts(5), texts(1), texts(3)]
    plain, compiled, after_others = model, copy.deepcopy(model), copy.deepcopy(model)
    found = []
    for one, shapes in ((plain, ()), (compiled, ()), (after_others, (4, 1, 6))):
        if one is not plain:
            compile_layers(one)
        for count in shapes:
            accumulate(one, texts(count), 1.0, 0)
            one.zero_grad()
        made = []
        for batch in batches:
            accumulate(one, batch, 0.1, 0)
            made += gradients(one)
        found.append(made)
    for mine, theirs, again in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
        assert torch.equal(theirs, again)


@pytest.mark.parametrize(
    ("compile", "tokens", "expected"),
    [("auto", 149_990, False), ("auto", 150_010, True), ("on", 10, True), ("off", 10**6, False)],
)
def test_long_trainings_on_a_cpu_are_compiled(
    monkeypatch: pytest.MonkeyPatch, compile: Any, tokens: int, expected: bool
) -> None:
    from nesycd.students import local

    monkeypatch.setattr(local, "can_compile", lambda: True)
    student = object.__new__(local.LocalStudent)
    student._compile, student._device = compile, torch.device("cpu")
    whole = [Encoded([1] * (tokens // 10 // 2), [2] * (tokens // 10 // 2), 1.0)]
    assert student._is_worth_compiling(whole, TrainSettings(epochs=10)) is expected
    budget = TrainSettings(epochs=1, completion_token_budget=tokens // 2)
    assert student._is_worth_compiling([Encoded([1] * 5, [2] * 5, 1.0)], budget) is expected


def test_freed_memory_is_kept_where_glibc_is() -> None:
    assert keep_freed_memory() is (sys.platform.startswith("linux") and "glibc" in platform.libc_ver())


@pytest.mark.skipif("glibc" not in platform.libc_ver(), reason="another C library")
def test_what_is_kept_is_bounded() -> None:
    held = [bytes([1]) * (100_000 + number) for number in range(1000)]
    last = bytes(100_000)  # above them on the heap, so that nothing below is returned by itself
    before = resident()
    kept = KeptMemory(1 << 20)
    del held
    assert kept.bound() and (after := resident()) is not None and before is not None
    assert after < before - 50_000_000 or after < 100_000_000, "it was returned"
    assert kept.most >= after and not kept.bound(), "what is needed is not asked for at every step"
    assert not KeptMemory().bound() and 0 < machine_memory() < 1 << 50 and last


def test_a_text_counts_by_its_weight_whatever_it_is_batched_with(
    model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Short light texts and long heavy ones never share a batch, as answers alone and rationales do not.
    mixed = [Encoded([1] * 3, [2] * 3, 0.25) for _ in range(16)] + [Encoded([1] * 20, [2] * 20, 1.0) for _ in range(8)]
    seen: list[tuple[float, float]] = []

    def recorded(workers: Workers, batch: list[Encoded], scale: float) -> float:
        seen.append((sum(text.weight * len(text.completion) for text in batch), scale))
        return accumulate(workers.model, batch, scale, workers.pad_id)

    monkeypatch.setattr(Workers, "accumulate", recorded)
    training.fine_tune(model, mixed, TrainSettings(epochs=2, batch_tokens=80), tmp_path, seed=0, pad_id=0)
    assert len({scale for _, scale in seen}) == 1 and len({weight for weight, _ in seen}) > 1
    assert sum(weight * scale for weight, scale in seen) == pytest.approx(len(seen)), "the usual batch counts as before"


def trained(model: Any, folder: Path, settings: TrainSettings, stop_at: int | None = None) -> Any:
    """The report and the adapter's weights of a training that is stopped after a step and begun again in another process.

    The other process is a fresh copy of the model and a random generator that has gone elsewhere.
    """
    from peft import get_peft_model

    class Stopped(Exception):
        pass

    def stop(state: dict[str, Any]) -> None:
        if state["step"] == stop_at:
            raise Stopped

    def begin(progress: Any = None) -> Any:
        torch.manual_seed(5)
        with peft_warnings():
            lora = get_peft_model(copy.deepcopy(model), lora_config(model, settings))
        inner = lora.get_base_model()
        report = training.fine_tune(inner, texts(24), settings, folder, seed=1, pad_id=0, progress=progress)
        return report, [parameter.detach().clone() for parameter in inner.parameters() if parameter.requires_grad]

    if stop_at is not None:
        with pytest.raises(Stopped):
            begin(stop)
    return begin()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("stop_at", [2, 14])
@pytest.mark.parametrize("adapted_layers", [1.0, 0.5])
def test_a_resumed_training_ends_equal_to_the_bit(
    model: Any, tmp_path: Path, dropout: float, stop_at: int, adapted_layers: float
) -> None:
    settings = TrainSettings(
        epochs=4,
        batch_tokens=30,
        rank=4,
        alpha=8,
        dropout=dropout,
        adapted_layers=adapted_layers,
        checkpoint_seconds=0.0,
    )
    whole, weights = trained(model, tmp_path / "whole", settings)
    resumed, again = trained(model, tmp_path / "resumed", settings, stop_at)
    assert whole.steps > stop_at and resumed == replace(whole, seconds=resumed.seconds)
    for one, other in zip(weights, again, strict=True):
        assert torch.equal(one, other)


def test_a_checkpoint_holds_no_pickle_and_a_damaged_one_is_named(model: Any, tmp_path: Path) -> None:
    settings = TrainSettings(epochs=1, batch_tokens=60, rank=4, alpha=8, checkpoint_seconds=0.0)
    trained(model, tmp_path, settings)
    [path] = (tmp_path / training.CHECKPOINT).iterdir()
    assert path.name == training.STATE
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=r"state\.safetensors: not a readable checkpoint .*delete it"):
        trained(model, tmp_path, settings)


def times_seen(settings: TrainSettings, count: int = 100, seed: int = 0) -> list[int]:
    """How often each of so many texts is trained on."""
    steps = training.plan_steps(texts(count), settings, seed)
    seen = Counter(index for step in steps for index in step)
    return [seen[index] for index in range(count)]


@pytest.mark.parametrize("epochs", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_tokens", [20, 60, 250])
def test_each_text_is_seen_once_in_each_pass(epochs: int, batch_tokens: int) -> None:
    for seed in range(20):
        assert set(times_seen(TrainSettings(epochs=epochs, batch_tokens=batch_tokens), seed=seed)) == {epochs}


@pytest.mark.parametrize("epochs", [0.4, 1.5, 2.75])
def test_a_fraction_of_a_pass_comes_after_the_whole_ones(epochs: float) -> None:
    made = [times_seen(TrainSettings(epochs=epochs, batch_tokens=60), seed=seed) for seed in range(20)]
    assert all(set(seen) == {int(epochs), int(epochs) + 1} for seen in made)
    assert sum(map(sum, made)) == pytest.approx(epochs * 2000, rel=0.05)
    assert len(training.plan_steps(texts(100), TrainSettings(epochs=0.001, batch_tokens=60), 0)) == 1


@pytest.mark.parametrize("passes", [0.3, 1.0, 3.0, 3.6, 1200.5])
def test_a_budget_is_spent_pass_after_pass(passes: float) -> None:
    mine = texts(30)
    budget = int(passes * sum(len(text.completion) for text in mine))
    settings = TrainSettings(epochs=1, batch_tokens=60, completion_token_budget=budget)
    assert set(times_seen(settings, 30)) <= {int(passes), int(passes) + 1}
    sizes = [sum(len(mine[i].completion) for i in step) for step in training.plan_steps(mine, settings, 0)]
    assert sum(sizes[:-1]) < budget <= sum(sizes)


def test_as_many_steps_are_taken_whatever_the_prompts() -> None:
    """Who reads long contexts would otherwise get more steps from the same completion tokens."""
    short = [Encoded([1] * 5, [2] * 20, 1.0) for _ in range(40)]
    long = [Encoded([1] * 400, [2] * 20, 1.0, frozenset()) for _ in range(40)]
    called = [Encoded([1] * 5, [2] * 30, 1.0, frozenset(range(10))) for _ in range(40)]
    settings = TrainSettings(batch_tokens=60, completion_token_budget=1600)
    assert len({len(training.plan_steps(one, settings, 0)) for one in (short, long, called)}) == 1
    assert sorted(training.epoch_batches([Encoded([1], [2] * 99, 1.0)] * 3, 60, random.Random(0))) == [[0], [1], [2]]


def test_a_batch_goes_forward_in_parts_that_fit(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = [Encoded([1] * size, [2, 3], 1.0) for size in (9, 1, 30, 4, 2, 5)]
    monkeypatch.setattr(training, "FORWARD_TOKENS", 24)
    parts = training.forward_parts(batch)
    assert [[len(text) for text in part] for part in parts] == [[3, 4, 6], [7, 11], [32]]
    whole = sum(accumulate(model, part, 1.0, 0) for part in [batch])
    kept = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    assert sum(accumulate(model, part, 1.0, 0) for part in parts) == pytest.approx(whole, rel=1e-5)
    for one, parameter in zip(kept, (p for p in model.parameters() if p.grad is not None), strict=True):
        assert torch.allclose(one, parameter.grad, atol=1e-4)
    model.zero_grad()


def test_supplied_tokens_carry_no_loss_and_are_not_counted(model: Any) -> None:
    whole = Encoded([1, 2, 3], [4, 5, 6, 7], 1.0)
    partly = Encoded([1, 2, 3], [4, 5, 6, 7], 1.0, frozenset({1, 2}))
    each, _ = training.token_losses(model, [whole], 0)
    kept, kept_rows = training.token_losses(model, [partly, whole], 0)
    assert partly.learned == 2 and len(partly) == len(whole)
    assert torch.allclose(kept[kept_rows == 0], each[[0, 3]], atol=1e-5)
    assert torch.allclose(kept[kept_rows == 1], each, atol=1e-5)
    assert training.batch_loss(model, [partly], 0).item() == pytest.approx(each[[0, 3]].sum().item(), abs=1e-4)
