"""Training goes on from what the frozen lower layers make of a text: the same gradients as through all layers."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from peft import LoraConfig, get_peft_model  # noqa: E402

from nesycd.core.protocols import TrainSettings  # noqa: E402
from nesycd.students import frozen_layers, training  # noqa: E402
from nesycd.students.adapters import lora_config, peft_warnings  # noqa: E402
from nesycd.students.frozen_layers import first_adapted, layers_of, lower_states, upper_layers  # noqa: E402
from nesycd.students.training import Encoded, accumulate  # noqa: E402

SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2}
MODELS = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {"num_key_value_heads": 2}),
    "qwen3": ("Qwen3Config", {"head_dim": 16, "num_key_value_heads": 2}),
    "gpt_neox": ("GPTNeoXConfig", {}),
    # Each second layer looks back on few tokens only.
    "gemma2": (
        "Gemma2Config",
        {"head_dim": 16, "num_key_value_heads": 2, "sliding_window": 4, "query_pre_attn_scalar": 16},
    ),
}


def tiny(kind: str) -> Any:
    name, extra = MODELS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, name)(**SIZES, **extra, attn_implementation="eager")
    return transformers.AutoModelForCausalLM.from_config(config)


def adapted(base: Any, share: float = 0.5) -> Any:
    """The inner model with adapters in its upper layers; LoRA's second matrices are not zero, as they are in the beginning."""
    with peft_warnings():
        peft = get_peft_model(
            copy.deepcopy(base), lora_config(base, TrainSettings(rank=2, alpha=4, adapted_layers=share))
        )
    model = peft.get_base_model()
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.normal_(std=0.1)
    return model.eval()


def texts(count: int) -> list[Encoded]:
    rng = random.Random(0)

    def ids(low: int, high: int) -> list[int]:
        return [rng.randrange(64) for _ in range(rng.randint(low, high))]

    return [Encoded(ids(3, 12), ids(2, 9), 1.0, frozenset({1})) for _ in range(count)]


def gradients(model: Any) -> list[Any]:
    found = [parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad]
    model.zero_grad()
    return found


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "gpt_neox"])
def test_gradients_from_kept_states_are_those_through_all_layers(kind: str) -> None:
    model, batch = adapted(tiny(kind)), texts(5)
    assert first_adapted(model) == 2
    loss = accumulate(model, batch, 0.1, 0)
    whole = gradients(model)
    states = lower_states(model, [text.prompt + text.completion for text in batch])
    assert states is not None
    kept = [replace(text, states=one) for text, one in zip(batch, states, strict=True)]
    with upper_layers(model):
        assert len(layers_of(model)) == 2
        assert accumulate(model, kept, 0.1, 0) == pytest.approx(loss, rel=1e-5)
    assert len(layers_of(model)) == 4
    assert any(one.abs().max() > 1e-3 for one in whole)
    for one, other in zip(whole, gradients(model), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_models_that_cannot_go_on_from_states_go_through_all_layers() -> None:
    ids = [[1, 2], list(range(2, 12)), [3]]
    # Without their first layer the others are of the wrong kind, which shows in texts longer than what they look back on.
    model = adapted(tiny("gemma2"), share=0.75)
    assert lower_states(model, ids) is None
    assert len(layers_of(model)) == 4
    assert lower_states(adapted(tiny("gemma2")), ids) is not None, "half of them keeps the order"


def test_no_states_where_none_are_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [[1, 2, 3], [4, 5]]
    assert lower_states(adapted(tiny("llama"), share=1.0), ids) is None
    model = adapted(tiny("llama"))
    assert lower_states(model, []) is None
    # Five tokens of 32 numbers of four bytes.
    monkeypatch.setattr(frozen_layers, "MEMORY", 5 * 32 * 4)
    assert lower_states(model, ids) is not None
    monkeypatch.setattr(frozen_layers, "MEMORY", 5 * 32 * 4 - 1)
    assert lower_states(model, ids) is None


def test_what_is_trained_outside_the_layers_keeps_all_of_them() -> None:
    config = LoraConfig(r=2, target_modules=["q_proj", "lm_head"], layers_to_transform=[3])
    with peft_warnings():
        model = get_peft_model(tiny("llama"), config).get_base_model()
    for parameter in model.get_output_embeddings().parameters():
        parameter.requires_grad_(True)
    assert first_adapted(model) == 0


@pytest.mark.parametrize(("share", "expected"), [(1.0, 0), (0.75, 1), (0.5, 2), (0.25, 3), (0.01, 3)])
def test_the_share_of_adapted_layers_counts_from_the_top(share: float, expected: int) -> None:
    assert first_adapted(adapted(tiny("llama"), share)) == expected


def test_states_of_a_text_depend_on_nothing_else() -> None:
    model = adapted(tiny("llama"))
    ids = [text.prompt + text.completion for text in texts(4)]
    together, [alone] = lower_states(model, ids), lower_states(model, ids[2:3]) or [None]
    assert together is not None and torch.equal(together[2], alone)


def test_a_training_gives_its_model_back_whole(tmp_path: Any) -> None:
    model = adapted(tiny("llama"))
    before = [name for name, _ in model.named_parameters()]
    seen = []
    settings = TrainSettings(epochs=2, batch_tokens=20, rank=2, alpha=4)
    training.fine_tune(model, texts(6), settings, tmp_path, seed=0, pad_id=0, progress=seen.append)
    assert [name for name, _ in model.named_parameters()] == before
    assert any("frozen layers, text 6 of 6" in state.get("note", "") for state in seen)
