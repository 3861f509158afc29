"""Methods that look facts up, with the table student: whose facts they find, what they were trained on, and what reads."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import pytest
from rich.console import Console

from nesycd.api.finished import OpenRun
from nesycd.calls import LOOK_UP, Calls, LookUp, annotate, question_of
from nesycd.calls.notation import requests
from nesycd.cli.run import execute
from nesycd.core.answers import Attempt, Call
from nesycd.core.config import load_recipe
from nesycd.core.records import Annotation, Example, Fact, Rationale, Retrieval, TrainingText
from nesycd.core.segments import text_of
from nesycd.grading import closing
from nesycd.knowledge import KnowledgeBase
from nesycd.methods import table
from nesycd.methods.table import METHODS
from nesycd.reports import load_results
from nesycd.reports.results import Results
from nesycd.runs.predictions import FILE, Predictions, read_attempts
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states

spec = importlib.util.spec_from_file_location("replaying", Path(__file__).parents[1] / "calls" / "replaying.py")
assert spec and spec.loader
replaying = importlib.util.module_from_spec(spec)
spec.loader.exec_module(replaying)
replay = replaying.replay

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test', 'ood_unseen']",
    "task.settings.ood_unseen=8",
    "task.sizes={train = 96, valid = 12, test = 40}",
    "compare.max_passes=3",
)
MIX = ("augmented.calls=1", "augmented.context=0.5", "augmented.calls_and_context=0.5", "augmented.empty_calls=0.2")
OWN = ("nesycd_no_kb", "nesycd", "nesycd_context", "nesycd_both", "nesycd_oracle")
RIVALS = ("std_cot_calls", "kard_calls", "raft_calls")
OFFERS = "\nLook up: ["


def run(folder: Path, *overrides: str) -> str:
    out = io.StringIO()
    execute(load_recipe(LONGTAIL, [*SMALL, *overrides]), folder, Console(file=out, width=200))
    return out.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    run(folder, *MIX, f"evaluation.methods={['std_cot', *OWN, *RIVALS]}")
    return folder


def results(folder: Path) -> Results:
    return load_results(folder / "results.json")


def examples(folder: Path, split: str) -> dict[str, Example]:
    return {one.uid: one for one in read_records(folder, f"examples-{split}", Example)}


def attempts(folder: Path, method: str, split: str = "test") -> dict[str, Attempt]:
    return {one.example: one for one in read_attempts(folder, f"eval-{split}-{method}")}


def look_ups(attempt: Attempt) -> list[Call]:
    return [call for call in attempt.calls if call.name == LOOK_UP]


Triple = tuple[str, str, str]


def facts_of(folder: Path) -> dict[str, Triple]:
    """The facts of the base by id, as triples: its aliases may be more than a question's."""
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        return {one.item_id: one.item.triple for one in kb.entries(kind="fact") if isinstance(one.item, Fact)}


def needed(example: Example) -> dict[str, Triple]:
    return {fact.id: fact.triple for fact in example.truth.facts} if example.truth else {}


# --- NesyCD's own student --------------------------------------------------------------------------------------------


def test_nesycd_finds_facts_of_the_base_and_reads_those_that_no_name_leads_to(finished: Path) -> None:
    known, asked = facts_of(finished), examples(finished, "test")
    made = attempts(finished, "nesycd")
    found = {uid: {item for call in look_ups(one) for item in call.items} for uid, one in made.items()}
    assert set.union(*found.values()) <= known.keys()
    right = [uid for uid, items in found.items() if {known[item] for item in items} & {*needed(asked[uid]).values()}]
    assert len(right) >= len(made) / 8
    # Of what is retrieved it reads lessons, rules, and those facts that the question names no subject of.
    retrieved = {one.example: one for one in read_records(finished, "retrieve-test", Retrieval)}
    assert all(one.knowledge == tuple(item.id for item in retrieved[uid].read) for uid, one in made.items())
    shown = sum(item in known for one in made.values() for item in one.knowledge)
    assert shown < sum(item.id in known for one in retrieved.values() for item in one.items) / 4
    # What was found stands in the response, right after its call.
    for one in made.values():
        for call in look_ups(one):
            assert f"{call.asked} {call.found}" in one.response
    score = results(finished).methods["nesycd"]["test"]
    calls = [call for one in made.values() for call in look_ups(one)]
    assert score.look_ups == len(calls) and score.look_ups_found == sum(call.kind == "value" for call in calls) > 0


def test_the_same_student_without_a_base_is_offered_nothing_and_finds_nothing(finished: Path) -> None:
    alone, with_base = attempts(finished, "nesycd_no_kb"), attempts(finished, "nesycd")
    calls = [call for one in alone.values() for call in look_ups(one)]
    assert {(call.found, call.kind, call.items) for call in calls} <= {("(not found)", "note", ())}
    score = results(finished).methods["nesycd_no_kb"]["test"]
    assert (score.look_ups, score.look_ups_found) == (len(calls), 0)
    stored, same = Predictions(finished / FILE).by_id, []
    for uid, one in alone.items():
        first, second = stored[one.prediction], stored[with_base[uid].prediction]
        assert not one.knowledge and first.student == second.student
        if first.key == second.key:
            # The base offers nothing there, and has no advice.
            assert not with_base[uid].knowledge
            assert (first == second) == (not any(call.items for call in look_ups(with_base[uid])))
        same.append(first.key == second.key)
    assert set(same) == {True, False}
    whole = results(finished).methods["nesycd"]["test"]
    assert whole.correct > score.correct and whole.look_ups > score.look_ups


def test_the_oracle_finds_needed_facts_only_whether_the_base_has_them_or_not(finished: Path) -> None:
    known, missing = facts_of(finished), 0
    for split in ("test", "ood_unseen"):
        for uid, one in attempts(finished, "nesycd_oracle", split).items():
            wanted = needed(examples(finished, split)[uid])
            items = {item for call in look_ups(one) for item in call.items}
            assert items <= wanted.keys()
            missing += sum(wanted[item] not in known.values() for item in items)
    assert missing > 0
    scores = results(finished).methods
    # Of entities that no training question has the base knows nothing: only who is given the facts can tell.
    assert scores["nesycd_oracle"]["ood_unseen"].look_ups_found > scores["nesycd"]["ood_unseen"].look_ups_found
    for uid, one in attempts(finished, "nesycd", "ood_unseen").items():
        wanted = {*needed(examples(finished, "ood_unseen")[uid]).values()}
        assert not {known[item] for call in look_ups(one) for item in call.items} & wanted
    # Facts that are imported by hand are found by who looks in the base; the others are not asked again.
    imported = "ood_unseen_imported"
    assert scores["nesycd"][imported].look_ups_found > scores["nesycd"]["ood_unseen"].look_ups_found
    for name in ("nesycd_no_kb", "std_cot_calls"):
        assert scores[name][imported] == scores[name]["ood_unseen"], name


def test_one_student_reads_looks_up_or_does_both(finished: Path) -> None:
    reading, both = attempts(finished, "nesycd_context"), attempts(finished, "nesycd_both")
    assert any(one.knowledge for one in reading.values()) and not any(look_ups(one) for one in reading.values())
    assert all(one.knowledge == both[uid].knowledge for uid, one in reading.items())
    assert any(look_ups(one) for one in both.values())
    stored = Predictions(finished / FILE).by_id
    assert len({stored[one.prediction].student for name in OWN for one in attempts(finished, name).values()}) == 1


# --- what it was trained on ------------------------------------------------------------------------------------------


def test_training_texts_have_look_ups_a_context_or_both(finished: Path) -> None:
    for name in ("kard_calls", "raft_calls", "std_cot_calls"):
        made = read_records(finished, f"texts-{name}", TrainingText)
        calling = [one for one in made if any(segment.source == "supplied" for segment in one.segments)]
        assert len(calling) > len(made) / 3
        # The last line offers what the base has for the names in the question, but no value.
        for one in calling:
            offered = one.prompt.partition(OFFERS)[2]
            first = requests(one.segments[0].text)[-1]
            assert f"{first.name} | {first.relation}]" in offered or one.segments[1].text == " (not found)"
            assert not any(segment.text in offered for segment in one.segments if segment.source == "supplied")
        assert any(one.knowledge for one in made) == (name != "std_cot_calls")
        supplied = [one.text for text in calling for one in text.segments if one.source == "supplied"]
        assert {" (not found)"} < set(supplied)
        # What is supplied has no loss; the question's answer ends each text.
        assert all(len(one.own_text) < len(one.completion) for one in calling)
        answers = {uid: example.answer for uid, example in examples(finished, "train").items()}
        assert all(one.completion.endswith(closing(answers[one.example])) for one in made)


def test_places_are_a_stage_and_are_counted(finished: Path) -> None:
    places = {one.example: one for one in read_records(finished, "annotate", Annotation)}
    rationales = {one.example: one for one in read_records(finished, "rationales", Rationale)}
    train = examples(finished, "train")
    # The expert's derivations tell which facts they state: all of them can be looked up.
    assert {uid: {place.fact for place in one.places} for uid, one in places.items()} == {
        uid: {*needed(train[uid])} for uid in places
    }
    method = results(finished).method
    assert method is not None and method.calls is not None
    assert method.calls.rationales == len(places) == sum(one.text != "" for one in rationales.values())
    assert method.calls.look_ups == sum(len(one.places) for one in places.values())
    assert set(method.calls.skipped.values()) == {0}
    states = read_states(finished)
    assert {"annotate", "annotate-std_cot_calls", "annotate-kard_calls", "annotate-raft_calls"} <= states.keys()


def test_other_rationales_are_held_against_the_base(finished: Path, tmp_path: Path) -> None:
    run(tmp_path / "r", *MIX, "calls.rationales=text", "evaluation.methods=['std_cot', 'nesycd']")
    known, train = facts_of(tmp_path / "r"), examples(tmp_path / "r", "train")
    assert known == facts_of(finished), "the errors are the same"
    kept = {one.example: one for one in read_records(tmp_path / "r", "rationales", Rationale)}
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        base = LookUp(kb.entries())
    places = {one.example: one for one in read_records(tmp_path / "r", "annotate", Annotation)}
    assert places == {uid: annotate(train[uid], kept[uid].text, base) for uid in places}
    # Only what the base has can be seen in a text; where the first link of a chain is unknown, so are the names of the others.
    for uid, one in places.items():
        stated, there = {known[place.fact] for place in one.places}, {*needed(train[uid]).values()} & {*known.values()}
        assert stated == there or (stated < there and train[uid].task == "genealogy" and one.skipped["name"])
    counts = results(tmp_path / "r").method
    assert counts is not None and counts.calls is not None
    whole = results(finished).method
    assert whole is not None and whole.calls is not None
    assert 0 < counts.calls.look_ups < whole.calls.look_ups
    assert results(tmp_path / "r").methods["nesycd"]["test"].look_ups_found > 0


# --- rivals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RIVALS)
def test_rivals_are_trained_and_answer(finished: Path, name: str) -> None:
    row, states = METHODS[name], read_states(finished)
    assert states[f"train-{name}"]["done"] and states[f"train-{name}"]["metadata"]["completion_tokens"] > 0
    made = attempts(finished, name)
    assert len(made) == 40 and all(one.solver == name and one.answer for one in made.values())
    stored = Predictions(finished / FILE).by_id
    assert {stored[one.prediction].student for one in made.values()} == {states[f"train-{name}"]["output"]}
    assert any(one.knowledge for one in made.values()) == (row.source == "kb")
    score = results(finished).methods[name]["test"]
    assert (score.look_ups_found > 0) == (score.look_ups > 0) == bool(row.calls)
    assert score.correct > 0


def test_std_cot_calls_looks_up_what_all_rationales_state(finished: Path) -> None:
    stated = {id: triple for one in examples(finished, "train").values() for id, triple in needed(one).items()}
    known = facts_of(finished)
    assert {*known.values()} < {*stated.values()}, "knowledge comes from errors only"
    found = {item for one in attempts(finished, "std_cot_calls").values() for c in look_ups(one) for item in c.items}
    assert found and found <= stated.keys()
    base = {item for one in attempts(finished, "kard_calls").values() for c in look_ups(one) for item in c.items}
    assert base and base <= known.keys()


def test_answers_are_what_a_replay_of_their_text_gives(finished: Path) -> None:
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        base = Calls(LookUp(kb.entries()))
    stored, asked = Predictions(finished / FILE).by_id, examples(finished, "test")
    for uid, one in attempts(finished, "nesycd").items():
        made = stored[one.prediction]
        _, trace = replay(text_of(made.segments), base, question_of(asked[uid]))
        assert list(trace) == look_ups(one)
        supplied = [segment.text for segment in made.segments if segment.source == "supplied"]
        assert supplied == [f" {call.found}" for call in made.trace]


# --- a student without look-ups --------------------------------------------------------------------------------------

READS = ("augmented.calls=0", "augmented.calls_and_context=0", "augmented.context=1")


def test_a_student_that_is_trained_without_look_ups_reads(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    methods = ["std_cot", "nesycd_no_kb", "nesycd", "nesycd_context", "nesycd_routed"]
    run(folder, *READS, f"evaluation.methods={methods}", "evaluation.splits=['test']")
    scores = results(folder).methods
    assert all(score["test"].look_ups == 0 for score in scores.values())
    assert scores["nesycd"]["test"].routed == 1.0 and scores["nesycd"]["test"].delivered > 0
    assert scores["nesycd_no_kb"]["test"].routed == 0.0 and scores["nesycd"]["test"].knowledge_tokens > 0
    reading = attempts(folder, "nesycd_context")
    assert {uid: one.prediction for uid, one in attempts(folder, "nesycd").items()} == {
        uid: one.prediction for uid, one in reading.items()
    }
    method = results(folder).method
    assert method is not None and method.calls is None and "annotate" not in read_states(folder)
    told = results(folder).retrieval["test"].answer_not_in_context
    assert set(told) == {"nesycd", "nesycd_context", "nesycd_routed"}
    assert not [one for one in Predictions(folder / FILE).by_id.values() if any(c.name == LOOK_UP for c in one.trace)]


@pytest.mark.parametrize(
    ("name", "source", "calls"),
    [
        ("nesycd", "kb", ""),
        ("nesycd_context", "kb", ""),
        ("nesycd_both", "kb", ""),
        ("nesycd_routed", "kb", ""),
        ("nesycd_no_kb", "", ""),
        ("nesycd_oracle", "oracle", ""),
        ("no_facts", "kb", ""),
        # Students of their own make look-ups whatever NesyCD's does.
        ("std_cot_calls", "", "rationales"),
        ("kard_calls", "kb", "kb"),
        ("std_cot", "", ""),
    ],
)
def test_rows_of_a_student_without_look_ups_read(name: str, source: str, calls: str) -> None:
    [row] = table.named([name], load_recipe(LONGTAIL, READS), "test")
    assert (row.name, row.source, row.calls) == (name, source, calls)
    # One kind of texts with look-ups is enough to learn it.
    for learned in (READS[0:1], READS[1:2]):
        [row] = table.named([name], load_recipe(LONGTAIL, [*MIX, *learned]), "test")
        assert row == METHODS[name]


def test_tools_are_part_of_what_a_methods_answers_depend_on(finished: Path) -> None:
    with OpenRun(finished) as run:
        names = ("std_cot", "nesycd_context", "nesycd", "nesycd_no_kb")
        seen: dict[str, set[str]] = {name: {run.identity(name)} for name in names}
        calls = run.recipe.calls
        for changed in ({"sums": False}, {"sums": True, "hold_names": False}):
            run.recipe.__dict__["calls"] = calls.model_copy(update=changed)
            for name in names:
                seen[name].add(run.identity(name))
        run.recipe.__dict__["calls"] = calls
    assert [len(seen[name]) for name in names] == [2, 2, 3, 3], "names are held where facts are looked up"


def test_sums_are_computed_for_every_method_alike_or_for_none(finished: Path, tmp_path: Path) -> None:
    for folder, sums in ((finished, True), (tmp_path / "r", False)):
        if not sums:
            run(folder, *MIX, "calls.sums=false", "evaluation.methods=['std_cot', 'nesycd']")
        for name in ("std_cot", "nesycd"):
            calls = [call for one in attempts(folder, name).values() for call in one.calls]
            assert any(call.name == "sum" for call in calls) == sums, name
            assert any(call.name == LOOK_UP for call in calls) == (name == "nesycd")
