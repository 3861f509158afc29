"""Which tokens of a completion are supplied, on a real byte-level tokenizer."""

from __future__ import annotations

from typing import Any

import pytest

from nesycd.core.segments import Segment, text_of

pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A byte-level BPE tokenizer trained on a few sentences, so that tokens span words and digits."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<end>"])
    made.train_from_iterator(["A fathom is 6 feet. 7 x 11 = 77. Therefore, the answer is 77."] * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")


def spelled(tokenizer: Any, segments: tuple[Segment, ...]) -> list[tuple[str, bool]]:
    from nesycd.students.rendering import Renderer

    renderer = Renderer(tokenizer, template="plain")
    places = renderer.supplied_places(segments)
    ids = renderer.completion_ids(text_of(segments))
    return [(tokenizer.decode([token]), place in places) for place, token in enumerate(ids)]


def test_the_supplied_text_is_what_carries_no_loss(tokenizer: Any) -> None:
    segments = (
        Segment(text="A fathom is"),
        Segment(text=" 6 feet.", source="supplied"),
        Segment(text=" 7 x 11 ="),
        Segment(text=" 77.", source="supplied"),
        Segment(text=" Therefore, the answer is 77."),
    )
    marked = spelled(tokenizer, segments)
    assert "".join(text for text, _ in marked[:-1]) == text_of(segments)
    supplied = "".join(text for text, is_supplied in marked if is_supplied)
    assert supplied == " 6 feet. 77."
    assert marked[-1] == ("<end>", False)


def test_a_text_of_the_students_own_has_none(tokenizer: Any) -> None:
    assert not any(flag for _, flag in spelled(tokenizer, (Segment(text=" A fathom is 6 feet. "),)))


def test_blanks_at_the_beginning_are_no_tokens(tokenizer: Any) -> None:
    marked = spelled(tokenizer, (Segment(text="  "), Segment(text="6 feet.", source="supplied"), Segment(text=" 7 ")))
    assert "".join(text for text, flag in marked if flag) == "6 feet."
