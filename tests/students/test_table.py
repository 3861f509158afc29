"""The table student: what it recalls, how it uses knowledge, and that it trains, stops and resumes like a real one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding, Generation, Prompt, Student, TrainReport, TrainSettings
from nesycd.core.records import TrainingText
from nesycd.core.segments import Segment, own
from nesycd.students.table import ADAPTER, PROGRESS, UNKNOWN, TableStudent

SETTINGS = TrainSettings(epochs=1)
UNITS = {"fathom": 6, "furlong": 660, "rod": 16.5, "league": 15840}


def prompt(unit: str, count: int, *facts: str, ask: str = "Think step by step.") -> str:
    knowledge = "Knowledge:\n" + "".join(f"- {fact}\n" for fact in facts) + "\n" if facts else ""
    return f"{knowledge}Question: How many feet are {count} {unit}s?\n\n{ask}"


def fact(unit: str, feet: float | None = None) -> str:
    return f"One {unit} is {UNITS[unit] if feet is None else feet:g} feet."


def answer(unit: str, count: int, feet: float | None = None) -> str:
    size = UNITS[unit] if feet is None else feet
    return f"{fact(unit, size)} {count} times {size:g} is {count * size:g}. Therefore, the answer is {count * size:g}."


def text(unit: str, count: int, *facts: str, weight: float = 1.0) -> TrainingText:
    return TrainingText(
        example=f"{unit}-{count}",
        task="augmented" if facts else "direct",
        prompt=prompt(unit, count, *facts),
        segments=own(answer(unit, count)),
        weight=weight,
    )


CLOSED = [text("fathom", 7), text("furlong", 11)]
OPEN = [text("fathom", 7, fact("fathom"), fact("rod")), text("furlong", 11, fact("furlong"), fact("fathom"))]


def ask(student: TableStudent, adapter: Path | None, *prompts: str) -> list[str]:
    asked = [Prompt(str(number), one) for number, one in enumerate(prompts)]
    return [g.text for g in student.generate(asked, adapter=adapter, decoding=Decoding(200))]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    TableStudent().train([*CLOSED, *OPEN], SETTINGS, tmp_path / "a", seed=0)
    return tmp_path / "a"


def test_closed_book_it_knows_what_it_has_seen_and_is_wrong_about_the_rest(trained: Path) -> None:
    student = TableStudent()
    assert isinstance(student, Student)
    seen, unseen = ask(student, trained, prompt("fathom", 9), prompt("rod", 9))
    assert seen == answer("fathom", 9)
    assert unseen != answer("rod", 9)
    assert unseen.endswith(("the answer is 54.", "the answer is 5940."))  # with another unit's fact


def test_with_knowledge_it_restates_the_fact_and_computes_from_it(trained: Path) -> None:
    student = TableStudent()
    unseen = ask(student, trained, prompt("rod", 8, fact("league"), fact("rod")))
    assert unseen == [answer("rod", 8)]
    edited = ask(student, trained, prompt("fathom", 8, fact("fathom", 5)))
    assert edited == [answer("fathom", 8, 5)]


def test_the_margin_is_the_share_of_known_words(trained: Path) -> None:
    student = TableStudent()
    known, unknown, strange = student.generate(
        [Prompt("a", prompt("fathom", 9)), Prompt("b", prompt("rod", 9)), Prompt("c", "Xyzzy plugh?")],
        adapter=trained,
        decoding=Decoding(50),
    )
    assert known.margin == 1.0 > unknown.margin > strange.margin == 0.0


def test_without_an_adapter_it_knows_nothing() -> None:
    [generation] = TableStudent().generate([Prompt("a", prompt("fathom", 9))], adapter=None, decoding=Decoding(50))
    assert (generation.text, generation.margin, generation.finish) == (UNKNOWN, 0.0, "stop")


def test_prompts_of_another_form_recall_their_own_completions(tmp_path: Path) -> None:
    bare = [
        TrainingText(example="s", task="answer", prompt=f"Question: How many feet are 7 {unit}s?\nAnswer only.",
                     segments=own(f"The answer is {7 * UNITS[unit]}."))
        for unit in ("fathom", "furlong")
    ]  # fmt: skip
    plain = [replace_prompt(row, row.prompt.partition("\n")[0]) for row in CLOSED]
    TableStudent().train([*plain, *bare], SETTINGS, tmp_path, seed=0)
    asked = "Question: How many feet are 9 fathoms?"
    assert ask(TableStudent(), tmp_path, f"{asked}\nAnswer only.", asked) == ["The answer is 42.", answer("fathom", 9)]


def replace_prompt(text: TrainingText, prompt: str) -> TrainingText:
    return text.model_copy(update={"prompt": prompt})


def test_numbers_it_cannot_explain_are_memorised_and_zero_never_divides(tmp_path: Path) -> None:
    row = TrainingText(example="d", task="direct", prompt="Question: 12 by 4?", segments=own("12 by 4 is 3, not 9999."))
    TableStudent().train([row], SETTINGS, tmp_path, seed=0)
    assert ask(TableStudent(), tmp_path, "Question: 20 by 5?") == ["20 by 5 is 4, not 9999."]
    assert ask(TableStudent(), tmp_path, "Question: 20 by 0?") == ["20 by 0 is 3, not 9999."]


def test_limits_stop_strings_and_prompts_that_do_not_fit(trained: Path) -> None:
    student = TableStudent(context=30)
    [cut] = student.generate([Prompt("a", prompt("fathom", 9))], adapter=trained, decoding=Decoding(3))
    assert (cut.text, cut.finish, cut.completion_tokens) == ("One fathom is", "length", 3)
    assert cut.segments == (Segment(text="One fathom is"),), "all of it is the student's own"
    [stopped] = student.generate([Prompt("a", prompt("fathom", 9))], adapter=trained, decoding=Decoding(99, (" 9",)))
    assert (stopped.text, stopped.finish) == ("One fathom is 6 feet.", "stop")
    [long] = student.generate([Prompt("a", "word " * 31)], adapter=trained, decoding=Decoding(99))
    assert (long.text, long.finish, long.prompt_tokens, long.completion_tokens) == ("", "too_long", 31, 0)
    assert long.segments == () and long == Generation.too_long(31)
    assert student.count_tokens(["a b", ""]) == [2, 0]


def test_a_call_that_it_cannot_make_is_refused(trained: Path) -> None:
    asked = [Prompt("a", prompt("fathom", 9))]
    with pytest.raises(ModelError, match=r"table: cannot make calls while it writes \(derive, sum\)"):
        TableStudent().generate(asked, adapter=trained, decoding=Decoding(50, calls=("derive", "sum")))


def test_batches_are_of_like_length_and_hold_every_prompt_once() -> None:
    prompts = [Prompt(str(n), "word " * (n * 7 % 10)) for n in range(10)]
    plan = TableStudent(batch=4).plan(prompts)
    assert sorted(index for batch in plan for index in batch) == list(range(10))
    lengths = [len(prompts[index].text) for batch in plan for index in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert max(map(len, plan)) == 4


def test_training_drops_and_counts_what_is_too_long_and_skips_weight_zero(tmp_path: Path) -> None:
    texts = [*CLOSED, text("league", 3, weight=0.0), text("rod", 3, "word " * 300)]
    report = TableStudent().train(texts, replace(SETTINGS, max_tokens=100), tmp_path, seed=0)
    assert report.dropped == 1
    stored = json.loads((tmp_path / ADAPTER).read_text())
    assert sorted(row[1] for row in stored["table"]) == sorted(row.completion for row in CLOSED)


def test_a_token_budget_leaves_the_rest_unseen(tmp_path: Path) -> None:
    texts = [text("fathom", n) for n in range(1, 21)]
    budget = replace(SETTINGS, completion_token_budget=5 * len(texts[0].completion.split()), epochs=9)
    report = TableStudent(batch=1).train(texts, budget, tmp_path / "a", seed=0)
    assert report.steps == 5
    assert len(json.loads((tmp_path / "a" / ADAPTER).read_text())["table"]) == 5
    full = TableStudent(batch=1).train(texts, replace(SETTINGS, epochs=2), tmp_path / "b", seed=0)
    assert (full.steps, full.completion_tokens) == (40, 2 * sum(len(row.completion.split()) for row in texts))


def test_init_brings_its_memories(tmp_path: Path) -> None:
    student = TableStudent()
    student.train(CLOSED, SETTINGS, tmp_path / "first", seed=0)
    student.train([text("league", 2)], SETTINGS, tmp_path / "second", seed=0, init=tmp_path / "first")
    both = ask(student, tmp_path / "second", prompt("fathom", 3), prompt("league", 3))
    assert both == [answer("fathom", 3), answer("league", 3)]


def test_a_rewritten_adapter_is_read_again(tmp_path: Path) -> None:
    student = TableStudent()
    student.train(CLOSED, SETTINGS, tmp_path, seed=0)
    assert ask(student, tmp_path, prompt("rod", 3)) != [answer("rod", 3)]
    student.train([text("rod", 5)], SETTINGS, tmp_path, seed=0)
    assert ask(student, tmp_path, prompt("rod", 3)) == [answer("rod", 3)]


class Killed(Exception):
    """Stands for a kill in the middle of training."""


def test_training_resumes_after_the_last_step_and_ends_equal(tmp_path: Path) -> None:
    texts = [text("fathom", n) for n in range(1, 11)]
    steps: list[int] = []

    def until_third(state: dict[str, Any]) -> None:
        steps.append(state["step"])
        if state["step"] == 3:
            raise Killed

    student = TableStudent(batch=2)
    whole = student.train(texts, SETTINGS, tmp_path / "whole", seed=4)
    with pytest.raises(Killed):
        student.train(texts, SETTINGS, tmp_path / "cut", seed=4, progress=until_third)
    assert (tmp_path / "cut" / PROGRESS).exists() and not (tmp_path / "cut" / ADAPTER).exists()
    resumed = student.train(texts, SETTINGS, tmp_path / "cut", seed=4, progress=lambda s: steps.append(s["step"]))
    assert steps == [1, 2, 3, 4, 5]
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [ADAPTER]
    tables = [json.loads((tmp_path / name / ADAPTER).read_text())["table"] for name in ("whole", "cut")]
    assert tables[0] == tables[1]
    assert replace(resumed, seconds=0.0) == replace(whole, seconds=0.0)


def test_other_inputs_start_anew_and_equal_ones_are_not_trained_again(tmp_path: Path) -> None:
    calls: list[int] = []
    student = TableStudent()

    def train(**changes: Any) -> TrainReport:
        given: dict[str, Any] = {"texts": CLOSED, "settings": SETTINGS, "seed": 0, **changes}
        return student.train(folder=tmp_path, progress=lambda s: calls.append(s["step"]), **given)

    first = train()
    assert (train(), calls) == (first, [1])
    train(seed=1)
    train(texts=OPEN)
    assert calls == [1, 1, 1]


def test_broken_adapters_and_nothing_to_train_on_are_named(tmp_path: Path) -> None:
    student = TableStudent()
    with pytest.raises(ModelError, match="not an adapter of the table student"):
        ask(student, tmp_path, "Question: ?")
    with pytest.raises(ModelError, match="not an adapter"):
        student.train(CLOSED, SETTINGS, tmp_path, seed=0, init=tmp_path / "none")
    with pytest.raises(ModelError, match="none of the 0 training texts"):
        student.train([], SETTINGS, tmp_path, seed=0)
    (tmp_path / ADAPTER).write_text("{torn")
    with pytest.raises(ModelError, match="damaged"):
        ask(student, tmp_path, "Question: ?")


def test_torch_is_not_imported() -> None:
    code = "import sys, nesycd.students, nesycd.students.table; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_supplied_segments_do_not_count_as_trained(tmp_path: Path) -> None:
    segments = (Segment(text="A fathom is "), Segment(text="6 feet.", source="supplied"))
    text = TrainingText(example="s", task="direct", prompt="Question: a fathom?", segments=segments)
    assert text.completion == "A fathom is 6 feet." and text.own_text == "A fathom is "
    report = TableStudent().train([text], replace(SETTINGS, epochs=1), tmp_path / "a", seed=0)
    assert report.completion_tokens == 3
    assert TrainingText.from_json(text.to_json()) == text
