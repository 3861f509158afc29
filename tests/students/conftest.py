"""Tiny students: byte-level tokenizers with control tokens, and random models of sixteen dimensions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|file|>"]
UNMARKED = ["<think>", "<｜User｜>", "\n\n", "fathoms"]
"""Added tokens that are not special: two control tokens, and two that are ordinary text."""


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Callable[..., Any]:
    """Makes a byte-level BPE tokenizer with ChatML's control tokens and a template."""

    def made(template: str | None = CHATML, **options: Any) -> Any:
        from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(
            vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
        )
        backend.train_from_iterator(["A fathom is 6 feet. What is the length of a cable?"] * 20, trainer)
        backend.add_tokens([AddedToken(text, normalized=False) for text in UNMARKED])
        ends = {"eos_token": "<|im_end|>", "pad_token": "<|im_end|>", **options}
        return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, **ends)

    return made


@pytest.fixture
def tiny_student(tiny_tokenizer: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with a tiny random Llama and its tokenizer."""

    def made(name: str = "student", seed: int = 0, tokenizer: Any = None, **config: Any) -> Path:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, **config}
        shape = LlamaConfig(vocab_size=len(tiny_tokenizer()), **sizes, eos_token_id=1, bos_token_id=0)
        LlamaForCausalLM(shape).save_pretrained(tmp_path / name)
        (tokenizer or tiny_tokenizer()).save_pretrained(tmp_path / name)
        return tmp_path / name

    return made


@pytest.fixture(scope="module")
def model() -> Any:
    """A random Llama of two layers and 64 tokens."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def lora_server(
    tiny_student: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Any]]:
    """Begins servers of a tiny model (`lora_server.LoraServer`), whose next tokens are sure enough to tell weights apart."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("lora_server", Path(__file__).with_name("lora_server.py"))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("NESYCD_CACHE", str(tmp_path / "cache"))
    begun: list[Any] = []

    def begin(name: str = "student", seed: int = 0, port: int = 0) -> Any:
        folder = tmp_path / name
        if not folder.is_dir():
            tiny_student(name, seed=seed, initializer_range=0.6)
        begun.append(module.LoraServer(folder, port))
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()


@pytest.fixture
def tiny_adapter(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder with a random LoRA adapter for a model folder, as our trainings save them."""

    def made(base: Path, name: str, seed: int, rank: int = 4) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        from nesycd.students.adapters import peft_warnings, save_adapter

        torch.manual_seed(seed)
        config = LoraConfig(r=rank, lora_alpha=4 * rank, target_modules="all-linear", init_lora_weights=False)
        (tmp_path / name).mkdir()
        with peft_warnings():
            save_adapter(get_peft_model(AutoModelForCausalLM.from_pretrained(base), config), tmp_path / name)
        return tmp_path / name

    return made
