"""What an exported student's files say: its chat template gives others the tokens that it was trained on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.core.protocols import TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import own  # noqa: E402
from nesycd.students.exporting import ExportedStudent, exported_template  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402
from nesycd.students.rendering import Renderer  # noqa: E402
from tests.students.conftest import CHATML  # noqa: E402
from tests.students.test_chat import ALTERNATING, EACH, NO_SYSTEM, PARTS  # noqa: E402

DEFAULT = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    + CHATML.removeprefix("{% for message in messages %}")
)
"""As SmolLM2's: without a system turn it puts one of its own."""
DATED = "{{ strftime_now('%d %b %Y') }}" + CHATML


def plain(tokenizer: Any, template: str, *turns: tuple[str, str]) -> Any:
    """What transformers makes of a conversation by a template."""
    messages = [{"role": role, "content": text} for role, text in turns]
    return tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)


@pytest.mark.parametrize("template", [CHATML, DEFAULT, NO_SYSTEM, ALTERNATING, DATED])
def test_a_lone_user_message_becomes_the_tokens_of_training(tiny_tokenizer: Callable[..., Any], template: str) -> None:
    tokenizer = tiny_tokenizer(template)
    renderer = Renderer(tokenizer)
    exported = exported_template(renderer)
    for prompt in ("Question: What is a fathom?", "Question: A\nB?\nLook up: [a | b]", " x "):
        text = plain(tokenizer, exported, ("user", prompt))
        assert tokenizer(text, add_special_tokens=False).input_ids == renderer.prompt_ids(prompt)


def test_other_conversations_are_the_models_own(tiny_tokenizer: Callable[..., Any]) -> None:
    tokenizer = tiny_tokenizer(DEFAULT)
    exported = exported_template(Renderer(tokenizer))
    told = (("system", "Be brief."), ("user", "What?"), ("assistant", "That."), ("user", "Why?"))
    assert plain(tokenizer, exported, *told) == plain(tokenizer, DEFAULT, *told)
    # Several turns without a system turn have the one of training.
    assert plain(tokenizer, exported, *told[1:]) == plain(tokenizer, DEFAULT, ("system", ""), *told[1:])
    assert "helpful" in plain(tokenizer, DEFAULT, *told[1:])


def test_a_template_of_parts_gets_parts(tiny_tokenizer: Callable[..., Any]) -> None:
    tokenizer = tiny_tokenizer(PARTS)
    renderer = Renderer(tokenizer)
    messages = [{"role": "user", "content": [{"type": "text", "text": "What?"}]}]
    text = tokenizer.apply_chat_template(messages, chat_template=exported_template(renderer), tokenize=False)
    assert tokenizer(text, add_special_tokens=False).input_ids == renderer.prompt_ids("What?")


@pytest.mark.parametrize("template, form", [(None, "auto"), (EACH, "plain")])
@pytest.mark.parametrize("begins", [False, True])
def test_a_base_model_gets_a_template_of_plain_lines(
    tiny_tokenizer: Callable[..., Any], template: str | None, form: Any, begins: bool
) -> None:
    from tokenizers import processors

    tokenizer = tiny_tokenizer(template, bos_token="<|im_start|>")
    if begins:
        mark = processors.TemplateProcessing(single="<|im_start|> $A", special_tokens=[("<|im_start|>", 0)])
        tokenizer.backend_tokenizer.post_processor = mark
    renderer = Renderer(tokenizer, form)
    text = plain(tokenizer, exported_template(renderer), ("user", "Question: What?"))
    assert tokenizer(text, add_special_tokens=False).input_ids == renderer.prompt_ids("Question: What?")
    assert text.count("<|im_start|>") == begins


@pytest.mark.parametrize("options", [{}, {"modules_to_save": ["lm_head"]}])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_whole_weights_are_those_of_all_adapters_in_the_bases_dtype(
    tiny_student: Callable[..., Path], tmp_path: Path, options: dict[str, Any], dtype: str
) -> None:
    """A student that is an adapter on a model with tied embeddings, whose output layer it may have trained by itself."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny_student(tie_word_embeddings=True), dtype=getattr(torch, dtype))
    base.save_pretrained(tmp_path / "student")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", **options))
        torch.manual_seed(1)
        for parameter in given.parameters():
            if parameter.requires_grad:
                parameter.data += torch.randn_like(parameter) / 2
        given.save_pretrained(tmp_path / "given")
    texts = [TrainingText(example="q", task="direct", prompt="What?", segments=own("A fathom is 6 feet."))]
    settings = TrainSettings(epochs=2, rank=2, alpha=4, learning_rate=0.01)
    student = LocalStudent(str(tmp_path / "given"), device="cpu", compile="off")
    student._dtype = getattr(torch, dtype)
    student.train(texts, settings, tmp_path / "own", seed=0)
    (tmp_path / "out").mkdir()
    exported = ExportedStudent(str(tmp_path / "given"), revision="", template="auto")
    exported.write_whole(tmp_path / "own", tmp_path / "out", 9, lambda doing: None)
    expected = student._with_adapter(tmp_path / "own").state_dict()
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert str(loaded.dtype) == f"torch.{dtype}"
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())
    settings_told = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    assert (settings_told["do_sample"], settings_told["max_new_tokens"], settings_told["eos_token_id"]) == (False, 9, 1)
