"""Sums are computed while they are written, whatever the model would have written; answers tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.core.protocols import Decoding, Prompt  # noqa: E402
from nesycd.core.segments import Segment  # noqa: E402
from nesycd.students import local  # noqa: E402
from nesycd.students.calculator import Calculator  # noqa: E402
from nesycd.students.generation import greedy, greedy_with_workers  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Byte-level, a token for each byte, as a real one would be without merges."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=made)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=256, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2
    )
    return LlamaForCausalLM(config).eval()


def test_a_result_is_told_where_a_sum_ends_and_nowhere_else(tokenizer: Any) -> None:
    calculator = Calculator(tokenizer)

    def told(text: str) -> str:
        return str(tokenizer.decode(calculator(tokenizer(text).input_ids)))

    assert told("7 x 11 =") == " 77" and told("3 x $5 = $") == "15"
    assert [told(text) for text in ("7 x 11", "x =", "We pay $", "7 x 11 = 7")] == [""] * 4


def test_nothing_is_put_after_tokens_that_a_tokenizer_would_have_joined(tokenizer: Any) -> None:
    class Joining:
        """Writes `= 7` as one token, as none that was generated can be followed by."""

        def __call__(self, text: str, **_: Any) -> Any:
            ids = tokenizer(text).input_ids
            return type("Encoded", (), {"input_ids": [*ids[:-4], 0] if text.endswith("= 77") else ids})

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

    assert Calculator(tokenizer)(tokenizer("7 x 11 =").input_ids)
    assert Calculator(Joining())(tokenizer("7 x 11 =").input_ids) == []


def test_computed_tokens_take_the_place_of_the_models_own_and_are_certain(tokenizer: Any, model: Any) -> None:
    prompts = [tokenizer(text).input_ids for text in ("How much is it?", "And how much is that, and this too?")]

    def computed(ids: list[int]) -> list[int]:
        return tokenizer(" 77").input_ids if len(ids) == 2 else []

    options: dict[str, Any] = {"eos_ids": frozenset(), "pad_id": 0, "max_new_tokens": 8}
    plain = greedy(model, prompts, **options)
    rows = greedy(model, prompts, **options, computed=computed)
    for prompt, before, row in zip(prompts, plain, rows, strict=True):
        assert row.ids[:2] == before.ids[:2] and tokenizer.decode(row.ids[2:5]) == " 77"
        assert row.margins[:2] == before.margins[:2]
        assert row.margins[2:5] == [1.0] * 3
        # The model goes on from what was put in.
        again = greedy(model, [prompt + row.ids[:5]], **{**options, "max_new_tokens": 3})[0]
        assert row.ids[5:] == again.ids and row.margins[5:] == pytest.approx(again.margins, abs=1e-5)
    assert [row.ids for row in greedy_with_workers(model, prompts * 40, **options, computed=computed)][:2] == [
        row.ids for row in rows
    ]


def test_an_answer_that_ends_or_is_cut_within_a_result(tokenizer: Any, model: Any) -> None:
    prompt = tokenizer("How much is it?").input_ids
    options: dict[str, Any] = {"pad_id": 0, "max_new_tokens": 3}
    cut = greedy(model, [prompt], **options, eos_ids=frozenset(), computed=lambda ids: [7, 8, 9, 10])[0]
    assert cut.ids[1:] == [7, 8] and cut.finish == "length" and len(cut.margins) == 3
    ended = greedy(model, [prompt], **options, eos_ids=frozenset({7}), computed=lambda ids: [7, 8])[0]
    assert len(ended.ids) == 1 and ended.finish == "stop"


# --- which part of an answer was computed -------------------------------------------------------------------------------


@pytest.fixture
def student(tokenizer: Any, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalStudent:
    """The tiny model and tokeniser as a student with a calculator."""
    tokenizer.eos_token = tokenizer.pad_token = "!"
    monkeypatch.setattr(local, "_load", lambda factory, *_, **__: tokenizer)
    made = LocalStudent(str(tmp_path), template="plain", device="cpu", calculator=True)
    monkeypatch.setattr(made, "_with_adapter", lambda adapter: model)
    return made


def marks(tokenizer: Any, *parts: tuple[str, bool]) -> tuple[list[int], list[bool]]:
    """Token ids of an answer in parts, and for each of them whether it was computed."""
    ids = [(one, computed) for text, computed in parts for one in tokenizer(text).input_ids]
    return [one for one, _ in ids], [computed for _, computed in ids]


def test_an_answer_is_split_where_what_was_computed_begins_and_ends(tokenizer: Any, student: LocalStudent) -> None:
    whole = student._segments(
        *marks(tokenizer, ("7 x 11 =", False), (" 77", True), (". 77 + 3 =", False), (" 80", True))
    )
    assert [(one.text, one.source) for one in whole] == [
        ("7 x 11 =", "student"), (" 77", "supplied"), (". 77 + 3 =", "student"), (" 80", "supplied"),
    ]  # fmt: skip
    assert student._segments(*marks(tokenizer, ("No sum.", False))) == (Segment(text="No sum."),)
    assert student._segments([], []) == ()


def test_half_a_character_before_a_result_goes_with_what_comes_next(tokenizer: Any, student: LocalStudent) -> None:
    sign, digits = tokenizer("£").input_ids, tokenizer("77").input_ids
    assert len(sign) == 2
    ids, supplied = [*sign[:1], *sign[1:], *digits], [False, True, True, True]
    made = student._segments(ids, supplied)
    assert "".join(one.text for one in made) == "£77" and [one.source for one in made] == ["supplied"]


def test_a_students_answer_tells_the_computed_result_from_its_own_text(
    tokenizer: Any, student: LocalStudent, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [Prompt("a", "How much is it?"), Prompt("b", "And how much is that?")]
    # A random model writes no sums: it is made to begin with one, and goes on by itself after the result.
    written = tokenizer("7 x 11 =").input_ids
    usual = student._computed
    assert usual is not None

    def computed(ids: list[int]) -> list[int]:
        return usual(written) if len(ids) == 3 else []

    monkeypatch.setattr(student, "_computed", computed)
    for one in student.generate(asked, adapter=None, decoding=Decoding(12)):
        assert "".join(segment.text for segment in one.segments) == one.text
        [supplied] = [segment.text for segment in one.segments if segment.source == "supplied"]
        assert supplied == " 77" and one.completion_tokens == 12
