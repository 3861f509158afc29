"""What tools supply is inserted while a student writes, whatever the model would have written; answers tell it apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.calls import Calls, LookUp, Sums  # noqa: E402
from nesycd.core.protocols import Decoding, Prompt  # noqa: E402
from nesycd.core.records import Entry, Fact, Status  # noqa: E402
from nesycd.core.segments import Segment  # noqa: E402
from nesycd.students import local  # noqa: E402
from nesycd.students.generation import greedy, greedy_with_workers  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402
from nesycd.students.supplying import Supplying  # noqa: E402

SUMS = Prompt("a", "How much is it?", Sums())
FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
BASE = Calls(LookUp([Entry(item=FATHOM, status=Status.APPROVED)]), Sums())


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


class Told:
    """A supplier that inserts what a function says, and holds nothing."""

    def __init__(self, supply: Callable[[list[int]], list[int]]) -> None:
        self.supply, self.trace = supply, []

    def __call__(self, ids: list[int]) -> list[int]:
        return self.supply(ids)

    def is_calling(self, ids: list[int]) -> bool:
        return False

    def pick(self, ids: list[int], first: int, ranked: object, supplied: bool) -> int:
        return first


def test_a_result_is_told_where_a_sum_ends_and_nowhere_else(tokenizer: Any) -> None:
    def told(text: str, prompt: Prompt = SUMS) -> str:
        row = Supplying(tokenizer).row(prompt)
        assert row is not None
        return str(tokenizer.decode(row(tokenizer(text).input_ids)))

    assert told("7 x 11 =") == " 77" and told("3 x $5 = $") == "15"
    assert [told(text) for text in ("7 x 11", "x =", "We pay $", "7 x 11 = 7", "[fathoms | makes]")] == [""] * 5
    looking = Prompt("b", "How many feet?", BASE, "How many feet are 4 fathoms?")
    assert told("One [fathoms | makes]", looking) == " 6 feet" and told("7 x 11 =", looking) == " 77"
    assert told("One [cubits | makes]", looking) == " (not found)" and told("see [1]", looking) == ""
    assert Supplying(tokenizer).row(Prompt("c", "?")) is None


def test_nothing_is_put_after_tokens_that_a_tokenizer_would_have_joined(tokenizer: Any) -> None:
    class Joining:
        """Writes `= 7` as one token, as none that was generated can be followed by."""

        def __call__(self, text: str, **_: Any) -> Any:
            ids = tokenizer(text).input_ids
            return type("Encoded", (), {"input_ids": [*ids[:-4], 0] if text.endswith("= 77") else ids})

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

    for made, supplied in ((tokenizer, True), (Joining(), False)):
        row = Supplying(made).row(SUMS)
        assert row is not None
        assert bool(row(tokenizer("7 x 11 =").input_ids)) is supplied and bool(row.trace) is supplied


def test_supplied_tokens_take_the_place_of_the_models_own_and_have_no_margin(tokenizer: Any, model: Any) -> None:
    prompts = [tokenizer(text).input_ids for text in ("How much is it?", "And how much is that, and this too?")]

    def computed(ids: list[int]) -> list[int]:
        return tokenizer(" 77").input_ids if len(ids) == 2 else []

    options: dict[str, Any] = {"eos_ids": frozenset(), "pad_id": 0, "max_new_tokens": 8}
    plain = greedy(model, prompts, **options)
    rows = greedy(model, prompts, **options, supplies=[Told(computed)] * 2)
    for prompt, before, row in zip(prompts, plain, rows, strict=True):
        assert row.ids[:2] == before.ids[:2] and tokenizer.decode(row.ids[2:5]) == " 77"
        assert row.margins[:2] == before.margins[:2]
        assert len(row.margins) == 8 - 3 and row.supplied == [False] * 2 + [True] * 3 + [False] * 3
        # The model goes on from what was put in.
        again = greedy(model, [prompt + row.ids[:5]], **{**options, "max_new_tokens": 3})[0]
        assert row.ids[5:] == again.ids and row.margins[2:] == pytest.approx(again.margins, abs=1e-5)
    assert [row.ids for row in greedy_with_workers(model, prompts * 40, **options, supplies=[Told(computed)] * 80)][
        :2
    ] == [row.ids for row in rows]


def test_an_answer_may_be_cut_within_a_result_but_does_not_end_there(tokenizer: Any, model: Any) -> None:
    prompt = tokenizer("How much is it?").input_ids
    options: dict[str, Any] = {"pad_id": 0, "max_new_tokens": 3}
    cut = greedy(model, [prompt], **options, eos_ids=frozenset(), supplies=[Told(lambda ids: [7, 8, 9, 10])])[0]
    assert cut.ids[1:] == [7, 8] and cut.finish == "length" and len(cut.margins) == 1
    options |= {"eos_ids": frozenset({7}), "stops": lambda ids: 8 in ids}
    on = greedy(model, [prompt], **options, supplies=[Told(lambda ids: [7, 8] if len(ids) == 1 else [])])[0]
    assert on.ids[1:] == [7, 8] and on.finish == "length"


# --- which part of an answer was computed -------------------------------------------------------------------------------


@pytest.fixture
def student(tokenizer: Any, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalStudent:
    """The tiny model and tokeniser as a student."""
    tokenizer.eos_token = tokenizer.pad_token = "!"
    monkeypatch.setattr(local, "_load", lambda factory, *_, **__: tokenizer)
    made = LocalStudent(str(tmp_path), template="plain", device="cpu")
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
    # A random model writes no calls: it is made to begin with one, and goes on by itself after the result.
    written = {"a": "7 x 11 =", "b": "[fathoms | makes]"}
    asked = [SUMS, Prompt("b", "And how much is that?", BASE, "How many feet are 4 fathoms?"), Prompt("c", "And this?")]
    usual = student._supplying.row

    def row(prompt: Prompt) -> Any:
        supplier = usual(prompt)
        if supplier is None:
            return None

        told = Told(lambda ids: supplier(tokenizer(written[prompt.key]).input_ids) if len(ids) == 3 else [])
        told.trace = supplier.trace
        return told

    monkeypatch.setattr(student._supplying, "row", row)
    sums, looking, plain = student.generate(asked, adapter=None, decoding=Decoding(12))
    for one, result in ((sums, " 77"), (looking, " 6 feet")):
        assert "".join(segment.text for segment in one.segments) == one.text
        [supplied] = [segment.text for segment in one.segments if segment.source == "supplied"]
        assert supplied == result and one.completion_tokens == 12
    assert [(call.name, call.found, call.items) for call in looking.trace] == [("look_up", "6 feet", (FATHOM.id,))]
    assert [call.name for call in sums.trace] == ["sum"]
    assert plain.trace == () and all(segment.source == "student" for segment in plain.segments)


def picked(tokenizer: Any, text: str, ranked: str, supplied: bool = False, prompt: Prompt | None = None) -> str:
    """The character that comes next where these are the likeliest ones in order."""
    row = Supplying(tokenizer).row(prompt or Prompt("b", "?", BASE, "How many feet are 4 fathoms?"))
    assert row is not None
    if not supplied and not row.is_calling(tokenizer(text).input_ids):
        return ranked[0]
    ids = [tokenizer(one).input_ids[0] for one in ranked]
    return str(tokenizer.decode([row.pick(tokenizer(text).input_ids, ids[0], lambda: ids, supplied)]))


def test_a_call_that_leads_nowhere_is_not_written(tokenizer: Any) -> None:
    assert picked(tokenizer, "One [fat", "zth") == "h" and picked(tokenizer, "One [", "gzf4") == "f"
    assert picked(tokenizer, "One [fathoms", "x |") == " " and picked(tokenizer, "One [fathoms | ", "wm") == "m"
    assert picked(tokenizer, "One [fathoms | makes", "s]") == "]"
    # Nothing that can be called is among the likeliest; brackets that are no call; no call at all.
    assert picked(tokenizer, "One [fat", "zy") == "z"
    assert picked(tokenizer, "One [", "1") == "1" and picked(tokenizer, "[1", ",2") == ","
    assert picked(tokenizer, "One fat", "zh") == "z" and picked(tokenizer, "One [fathoms | makes] fat", "zh") == "z"


def test_a_result_is_not_gone_on_with(tokenizer: Any) -> None:
    assert picked(tokenizer, "7 x 11 = 77", "5.", supplied=True, prompt=SUMS) == "."
    assert picked(tokenizer, "One [fathoms | makes] 6 feet", "s ,", supplied=True) == " "
    # What was supplied ends in no word: anything may follow.
    assert picked(tokenizer, "One [ell | makes] (not found)", "s", supplied=True) == "s"
