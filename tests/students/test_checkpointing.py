"""Gradient checkpointing changes what is kept, and no gradient: with frozen layers, dropout, workers, compiled layers."""

from __future__ import annotations

import copy
import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from peft import get_peft_model  # noqa: E402

from nesycd.core.protocols import TrainReport, TrainSettings  # noqa: E402
from nesycd.students.adapters import lora_config, peft_warnings  # noqa: E402
from nesycd.students.checkpointing import checkpointed  # noqa: E402
from nesycd.students.compiling import can_compile, compile_layers  # noqa: E402
from nesycd.students.frozen_layers import layers_of  # noqa: E402
from nesycd.students.training import Encoded, accumulate, fine_tune  # noqa: E402

SETTINGS = TrainSettings(learning_rate=0.01, epochs=2, batch_tokens=30, rank=2, alpha=4, checkpoint_seconds=0.0)


def texts(count: int = 12) -> list[Encoded]:
    rng = random.Random(0)

    def ids(most: int) -> list[int]:
        return [rng.randrange(64) for _ in range(rng.randint(2, most))]

    return [Encoded(ids(9), ids(6), rng.choice((0.5, 1.0))) for _ in range(count)]


def adapted(model: Any, settings: TrainSettings = SETTINGS) -> Any:
    torch.manual_seed(5)
    with peft_warnings():
        return get_peft_model(copy.deepcopy(model), lora_config(model, settings)).get_base_model()


def trained(
    model: Any, folder: Path, settings: TrainSettings, checkpointing: bool, stop_at: int | None = None
) -> tuple[TrainReport | None, list[Any]]:
    class Stopped(Exception):
        pass

    def watch(state: dict[str, Any]) -> None:
        if state["step"] == stop_at:
            raise Stopped

    inner, report = adapted(model, settings), None
    try:
        report = fine_tune(
            inner, texts(), settings, folder, seed=1, pad_id=0, progress=watch, checkpointing=checkpointing
        )
    except Stopped:
        assert stop_at is not None
    assert not any("forward" in vars(layer) for layer in layers_of(inner)), "nothing is left of it"
    return report, [parameter.detach().clone() for parameter in inner.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("adapted_layers", [1.0, 0.5])
def test_a_training_with_it_is_the_same_to_the_bit_and_goes_on_without_it(
    model: Any, tmp_path: Path, dropout: float, adapted_layers: float
) -> None:
    settings = replace(SETTINGS, dropout=dropout, adapted_layers=adapted_layers)
    plain, weights = trained(model, tmp_path / "plain", settings, False)
    saving, same = trained(model, tmp_path / "saving", settings, True)
    assert plain is not None and saving == replace(plain, seconds=saving.seconds)
    trained(model, tmp_path / "again", settings, True, stop_at=3)
    again, resumed = trained(model, tmp_path / "again", settings, False)
    assert again == replace(plain, seconds=again.seconds)
    for one, other, third in zip(weights, same, resumed, strict=True):
        assert torch.equal(one, other) and torch.equal(one, third)


@pytest.mark.parametrize("on", [False, True])
def test_only_inputs_of_layers_are_kept(model: Any, on: bool) -> None:
    inner = adapted(model).train()
    sizes: list[int] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t)[1], lambda t: t)
    ids = torch.zeros(4, 16, dtype=torch.long)
    with checkpointed(inner, draws=False) if on else nullcontext(), hooks:
        inner.get_decoder()(input_ids=ids, use_cache=False)
    count = len(layers_of(inner))
    # A layer's own input, the mask and the rotations; without it some thirty tensors.
    assert (len(sizes) < 8 * count) is on, sizes


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on importing what compiles
def test_compiled_layers_are_run_again_too(model: Any) -> None:
    if not can_compile():
        pytest.skip("no C++ compiler here")
    plain, compiled = adapted(model).train(), adapted(model).train()
    compile_layers(compiled)
    found = []
    for one, on in ((plain, False), (compiled, True), (compiled, True)):
        with checkpointed(one, draws=False) if on else nullcontext():
            accumulate(one, texts(5), 0.1, 0)
        live = [p for p in one.parameters() if p.requires_grad]
        found.append([p.grad for p in live])
        for parameter in live:
            parameter.grad = None
    for mine, theirs, again in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
        assert torch.equal(theirs, again)
