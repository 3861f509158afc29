"""The table student: what it recalls, how it uses knowledge, its calls, and that it trains, stops and resumes as a real one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nesycd.calls import Calls, LookUp, Sums, annotate, question_of, with_calls
from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding, Generation, Prompt, Student, Tools, TrainReport, TrainSettings
from nesycd.core.records import Entry, Example, Fact, Status, TrainingText
from nesycd.core.segments import Segment, own
from nesycd.students.table import ADAPTER, PROGRESS, UNKNOWN, TableStudent

spec = importlib.util.spec_from_file_location("replaying", Path(__file__).parents[1] / "calls" / "replaying.py")
assert spec and spec.loader
replaying = importlib.util.module_from_spec(spec)
spec.loader.exec_module(replaying)
replay = replaying.replay

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
    trained = sorted([row.prompt, [segment.model_dump() for segment in row.segments]] for row in CLOSED)
    assert sorted(stored["table"]) == trained


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


# --- calls -----------------------------------------------------------------------------------------------------------


def base(*facts: tuple[str, str, str]) -> LookUp:
    made = [Fact(text=f"{s} {r} {o}.", subject=s, relation=r, object=o) for s, r, o in facts]
    return LookUp([Entry(item=one, status=Status.APPROVED) for one in made])


FEET = base(("fathom", "makes", "6 feet"), ("furlong", "makes", "660 feet"), ("cubit span", "makes", "2 feet"))
KIN = base(
    ("Edward III", "father", "Edward II"),
    ("Edward II", "mother", "Eleanor of Castile"),
    ("Henry VII", "father", "Edmund Tudor"),
    ("Edmund Tudor", "mother", "Catherine of Valois"),
)
NOTHING = LookUp([])


def example(question: str) -> Example:
    return Example(uid=question, task="t", question=question, answer="")


def feet(count: int, unit: str) -> Example:
    return example(f"How many feet are {count} {unit}?")


def working(count: int, unit: str, size: int) -> str:
    return f"One {unit} makes {size} feet. {count} x {size} = {count * size}. Therefore, the answer is {count * size} feet."


def calling_prompt(asked: Example) -> str:
    return f"Question: {asked.question}\nLook facts up: [name | relation]"


def calling_text(asked: Example, rationale: str, known: LookUp, *, empty: bool = False) -> TrainingText:
    """A training text whose places are those of the whole base; `empty`: its look-ups find nothing."""
    places = annotate(asked, rationale, known, given=True)
    assert places.places
    segments = with_calls(asked, rationale, places, known, lambda: empty)
    return TrainingText(example=asked.uid, task="direct", prompt=calling_prompt(asked), segments=segments)


def learned(folder: Path, *texts: TrainingText) -> Path:
    TableStudent().train(texts, SETTINGS, folder, seed=0)
    return folder


def write(
    adapter: Path, asked: Example, tools: Tools | None, limit: int = 200, stop: tuple[str, ...] = ()
) -> Generation:
    prompt = Prompt(asked.uid, calling_prompt(asked), tools, question_of(asked))
    [made] = TableStudent().generate([prompt], adapter=adapter, decoding=Decoding(limit, stop))
    return made


def shown(made: Generation) -> str:
    """The text with what was supplied in braces; checks that segments and trace are those of a replay."""
    sources = [segment.source for segment in made.segments]
    assert sources == [("student", "supplied")[place % 2] for place in range(len(sources))]
    assert [one.text.strip() for one in made.segments if one.source == "supplied"] == [c.found for c in made.trace]
    assert made.completion_tokens == len(made.text.split())
    return "".join(one.text if one.source == "student" else f"{{{one.text}}}" for one in made.segments)


def answered(adapter: Path, asked: Example, tools: Tools) -> str:
    made = write(adapter, asked, tools)
    assert (made.segments, made.trace) == replay(made.text, tools, question_of(asked))
    return shown(made)


FATHOMS = calling_text(feet(7, "fathoms"), working(7, "fathoms", 6), FEET)


def test_the_adapter_keeps_what_was_supplied(tmp_path: Path) -> None:
    stored = json.loads((learned(tmp_path, FATHOMS) / ADAPTER).read_text())["table"]
    assert [[one["text"], one["source"]] for one in stored[0][1]] == [
        ["One [fathoms | makes]", "student"],
        [" 6 feet", "supplied"],
        [". 7 x 6 = 42. Therefore, the answer is 42 feet.", "student"],
    ]


@pytest.mark.parametrize(("name", "size"), [("furlongs", 660), ("cubit spans", 2)])
def test_it_looks_up_the_new_name_and_computes_with_the_result(tmp_path: Path, name: str, size: int) -> None:
    made = answered(learned(tmp_path, FATHOMS), feet(3, name), Calls(FEET))
    total = 3 * size
    assert made == f"One [{name} | makes]{{ {size} feet}}. 3 x {size} = {total}. Therefore, the answer is {total} feet."


def test_an_edit_of_the_base_changes_the_answer(tmp_path: Path) -> None:
    adapter = learned(tmp_path, FATHOMS)
    edited = Calls(base(("fathom", "makes", "5 ells")))
    made = answered(adapter, feet(7, "fathoms"), edited)
    assert made == "One [fathoms | makes]{ 5 ells}. 7 x 5 = 35. Therefore, the answer is 35 ells."


def test_equal_numbers_of_question_and_result_are_told_apart(tmp_path: Path) -> None:
    adapter = learned(tmp_path, calling_text(feet(6, "fathoms"), working(6, "fathoms", 6), FEET))
    made = answered(adapter, feet(3, "furlongs"), Calls(FEET))
    assert made.endswith(". 3 x 660 = 1980. Therefore, the answer is 1980 feet.")


@pytest.mark.parametrize("empty", [False, True])
def test_a_chain_goes_on_with_what_was_found(tmp_path: Path, empty: bool) -> None:
    rationale = "Edward III's father is Edward II. Edward II's mother is Eleanor of Castile. It is Eleanor of Castile."
    text = calling_text(example("From whom did Edward III descend?"), rationale, KIN, empty=empty)
    asked = example("From whom did Henry VII descend?")
    made = answered(learned(tmp_path, text), asked, Calls(KIN))
    assert made == (
        "[Henry VII | father]{ Edmund Tudor}. [Edmund Tudor | mother]{ Catherine of Valois}. It is Catherine of Valois."
    )


def test_a_value_found_now_stands_for_the_one_it_wrote_itself_in_training(tmp_path: Path) -> None:
    text = calling_text(feet(7, "fathoms"), working(7, "fathoms", 6), FEET, empty=True)
    assert text.completion.startswith("One [fathoms | makes] (not found) 6 feet. 7 x 6")
    adapter = learned(tmp_path, text)
    made = answered(adapter, feet(3, "furlongs"), Calls(FEET))
    assert made == "One [furlongs | makes]{ 660 feet}. 3 x 660 = 1980. Therefore, the answer is 1980 feet."
    made = answered(adapter, feet(3, "fathoms"), Calls(NOTHING))
    assert made == "One [fathoms | makes]{ (not found)} 6 feet. 3 x 6 = 18. Therefore, the answer is 18 feet."


def test_where_nothing_is_found_it_guesses_what_it_has_memorised(tmp_path: Path) -> None:
    made = answered(learned(tmp_path, FATHOMS), feet(3, "furlongs"), Calls(NOTHING))
    assert made == "One [furlongs | makes]{ (not found)} 6 feet. 3 x 6 = 18. Therefore, the answer is 18 feet."


def test_sums_are_supplied_and_traced(tmp_path: Path) -> None:
    adapter = learned(tmp_path, FATHOMS)
    made = answered(adapter, feet(3, "furlongs"), Calls(FEET, Sums()))
    assert made == "One [furlongs | makes]{ 660 feet}. 3 x 660 ={ 1980}. Therefore, the answer is 1980 feet."
    calls = write(adapter, feet(3, "furlongs"), Calls(FEET, Sums())).trace
    assert [(call.name, call.asked, call.found) for call in calls] == [
        ("look_up", "[furlongs | makes]", "660 feet"),
        ("sum", "3 x 660 =", "1980"),
    ]
    made = answered(adapter, feet(3, "furlongs"), Sums())
    assert made == "One [furlongs | makes] 6 feet. 3 x 6 ={ 18}. Therefore, the answer is 18 feet."


def test_a_supplied_sum_stands_for_a_false_one(tmp_path: Path) -> None:
    asked = example("What are 4 and 6 in all?")
    segments = own("4 + 6 = 11. It costs 4 x $6 = $25, or 25 dollars; x = y.")
    text = TrainingText(example="f", task="direct", prompt=calling_prompt(asked), segments=segments)
    made = answered(learned(tmp_path, text), example("What are 5 and 6 in all?"), Sums())
    assert made == "5 + 6 ={ 11}. It costs 5 x $6 = ${30}, or 30 dollars; x = y."


def test_sums_supplied_in_training_are_computed_without_tools(tmp_path: Path) -> None:
    asked = example("What are 4 and 6 in all?")
    segments = (Segment(text="4 + 6 ="), Segment(text=" 10", source="supplied"), Segment(text=". It is 10."))
    text = TrainingText(example="f", task="direct", prompt=calling_prompt(asked), segments=segments)
    adapter, other = learned(tmp_path, text), example("What are 5 and 6 in all?")
    assert shown(write(adapter, other, None)) == "5 + 6 = 11. It is 11."
    assert answered(adapter, other, Sums()) == "5 + 6 ={ 11}. It is 11."


def test_without_tools_it_repeats_what_was_supplied_as_its_own(tmp_path: Path) -> None:
    adapter = learned(tmp_path, FATHOMS)
    made = write(adapter, feet(3, "furlongs"), None)
    expected = "One [furlongs | makes] 6 feet. 3 x 6 = 18. Therefore, the answer is 18 feet."
    assert (made.text, made.segments, made.trace) == (expected, own(expected), ())
    same = Prompt("a", calling_prompt(feet(7, "fathoms")))
    exact, differing = TableStudent().least_likely(
        [same, same], [FATHOMS.completion, f"{FATHOMS.completion} So."], adapter=adapter
    )
    assert exact == 0 > differing


def test_a_cut_leaves_no_half_made_call(tmp_path: Path) -> None:
    adapter, tools = learned(tmp_path, FATHOMS), Calls(FEET, Sums())
    cut = [write(adapter, feet(7, "fathoms"), tools, limit) for limit in range(1, 9)]
    assert [made.completion_tokens for made in cut] == [*range(1, 9)]
    assert {made.finish for made in cut} == {"length"}
    assert shown(cut[3]) == "One [fathoms | makes]"
    assert cut[4].segments == own("One [fathoms | makes] 6") and not cut[4].trace
    assert cut[5].segments[1].text == " 6 feet" and len(cut[5].trace) == 1
    stopped = write(adapter, feet(7, "fathoms"), tools, stop=(". There",))
    assert shown(stopped) == "One [fathoms | makes]{ 6 feet}. 7 x 6 ={ 42}" and stopped.finish == "stop"
    supplied = write(adapter, feet(7, "fathoms"), tools, stop=("6 feet", " feet."))
    assert shown(supplied) == "One [fathoms | makes] 6", "the full stop is its own"
    whole = write(adapter, feet(7, "fathoms"), tools, stop=("6 feet",))
    assert shown(whole).endswith("the answer is 42 feet."), "supplied text ends no answer"
