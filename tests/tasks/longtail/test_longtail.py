"""What longtail promises of its splits, facts, wording and worlds."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from nesycd.core.errors import ConfigError, DataError
from nesycd.core.protocols import FactSource, Task
from nesycd.core.records import Example, Fact, content_hash
from nesycd.tasks.longtail import LongTail, LongTailSettings
from nesycd.tasks.longtail import task as longtail
from nesycd.tasks.longtail.tables import real_tables, renamed_tables
from nesycd.tasks.registry import build_task

DIGESTS = Path(__file__).with_name("digests.json")
SPECIAL = ("units", "coinage", "elements", "intervals", "letters", "calendar", "categories", "genealogy")
GENERAL = ("navigate", "boolean", "stories", "sums")


@pytest.fixture(scope="module")
def task() -> LongTail:
    return LongTail(LongTailSettings())


@pytest.fixture(scope="module")
def twin() -> LongTail:
    return LongTail(LongTailSettings(renamed=True))


def every(task: LongTail) -> list[Example]:
    return [example for split in task.splits() for example in task.load(split)]


def digest(task: LongTail, split: str) -> str:
    """Hash of what a split asks and wants, in order."""
    return content_hash([[e.uid, e.task, e.question, e.answer, e.truth.steps] for e in task.load(split)], 64)


def names(world_facts: tuple[Fact, ...]) -> set[str]:
    return {name for fact in world_facts for name in (fact.subject, *fact.aliases)}


def test_it_is_a_task_and_a_fact_source(task: LongTail) -> None:
    assert isinstance(task, Task) and isinstance(task, FactSource)
    assert isinstance(build_task("longtail", {"seed": 3}), LongTail)
    assert [task.kind(name) for name in ("units", "boolean", "composed", "nothing")] == [
        "special", "general", "special", "",
    ]  # fmt: skip
    assert {fact.text for fact in task.facts_about("mark")} == {"A mark is 8 ounces.", "A mark was worth 8 ore."}


@pytest.mark.parametrize("renamed", [False, True])
def test_questions_do_not_change(renamed: bool, task: LongTail, twin: LongTail) -> None:
    # A change here makes all published numbers incomparable: raise VERSION and say so in docs/log.md.
    chosen = twin if renamed else task
    assert json.loads(DIGESTS.read_text("utf-8"))[chosen.name] == {s: digest(chosen, s) for s in chosen.splits()}


def test_equal_settings_give_equal_questions_and_other_seeds_others(task: LongTail) -> None:
    task.load("train")
    longtail._plans.cache_clear()  # drawn anew, not remembered
    again, other = LongTail(LongTailSettings()), LongTail(LongTailSettings(seed=1))
    assert again.load("train") == task.load("train") and again.fingerprint == task.fingerprint
    assert other.load("test") != task.load("test") and other.fingerprint != task.fingerprint


def test_sizes(task: LongTail) -> None:
    for split, special, general in (("train", 30, 80), ("valid", 8, 8), ("test", 25, 26)):
        expected = dict.fromkeys(SPECIAL, special) | dict.fromkeys(GENERAL, general)
        assert Counter(example.task for example in task.load(split)) == expected
    assert Counter(example.task for example in task.load("ood_unseen")) == dict.fromkeys(SPECIAL, 4)
    assert Counter(example.task for example in task.load("ood_composed")) == {"composed": 32}


def test_sizes_are_settable() -> None:
    small = LongTail(LongTailSettings(train_special=6, train_general=3, valid=1, test_special=2, test_general=4,
                                      ood_composed=5, ood_unseen=9))  # fmt: skip
    assert [len(small.load(split)) for split in small.splits()] == [60, 12, 32, 5, 9]


@pytest.mark.parametrize("seed", range(2, 8))
def test_any_seed_can_be_made(seed: int) -> None:
    # Seed 3 words two stories alike at first.
    examples = every(LongTail(LongTailSettings(seed=seed)))
    assert len({example.question for example in examples}) == len(examples)


def test_splits_share_no_group_question_or_uid(task: LongTail) -> None:
    examples = every(task)
    for key in ("uid", "question", "group"):
        assert max(Counter(getattr(example, key) for example in examples).values()) == 1, key


def test_test_templates_are_unseen_in_training(task: LongTail) -> None:
    trained = {example.template for example in task.load("train")}
    others = {e.template for split in task.splits() if split != "train" for e in task.load(split)}
    assert not trained & others
    for family in (*SPECIAL, *GENERAL):
        forms = task.families[family].forms
        seen, unseen = sum(len(form.seen) for form in forms), sum(len(form.unseen) for form in forms)
        assert seen + unseen >= 4 and 0.25 <= unseen / (seen + unseen) <= 0.45


def test_each_fact_of_an_evaluation_question_was_trained_once_to_three_times(task: LongTail) -> None:
    trained = Counter(fact.id for example in task.load("train") for fact in example.truth.facts)
    for split in ("valid", "test", "ood_composed"):
        for example in task.load(split):
            counts = [trained[fact.id] for fact in example.truth.facts]
            assert all(1 <= count <= 3 for count in counts)
            assert task.train_frequency(example) == min(counts, default=0)
    shares = Counter(trained.values())
    for times, share in enumerate((0.25, 0.35, 0.40), 1):
        assert shares[times] / len(trained) == pytest.approx(share, abs=0.08)


def test_frequencies_are_settable() -> None:
    task = LongTail(LongTailSettings(frequencies=(0.0, 1.0), train_special=10, valid=1, test_special=4))
    trained = Counter(fact.id for example in task.load("train") for fact in example.truth.facts)
    assert max(trained.values()) == 2
    assert Counter(trained.values())[2] > len(trained) / 2


def test_unseen_entities_never_occur_in_training(task: LongTail) -> None:
    missing = task.missing_facts("ood_unseen")
    trained = " ".join(e.question + " " + e.rationale for e in task.load("train"))
    assert len(missing) >= 40 and task.missing_facts("test") == []
    for fact in missing:
        # Letters of another script may be called alike ("ur").
        if fact.relation != "place":
            assert not re.search(rf"(?<!\w){re.escape(fact.subject)}(?!\w)", trained), fact.text
    assert {fact.id for e in task.load("ood_unseen") for fact in e.truth.facts} == {fact.id for fact in missing}
    assert all(task.train_frequency(example) == 0 for example in task.load("ood_unseen"))


def test_derivations_rest_on_the_world_and_go_two_steps_beyond_it(task: LongTail) -> None:
    world = set(task.world().facts)
    for example in every(task):
        truth = example.truth
        assert set(truth.facts) <= world and truth.rules and all(rule.clause for rule in truth.rules)
        assert len(truth.steps) == len(truth.uses)
        assert {index for uses in truth.uses for index in uses} == set(range(len(truth.facts)))
        derived = [step for step, uses in zip(truth.steps, truth.uses, strict=True) if not uses]
        # Without a not, a boolean expression in brackets has just its two connectives.
        assert len(derived) >= 2, example.question
        assert not any(step == fact.text for step in truth.steps for fact in world)
        assert (len(truth.facts) > 0) == (task.kind(example.task) == "special")
        assert example.rationale == " ".join(truth.steps) and truth.answer == example.answer


def test_workings_only_multiply_and_add_within_small_tables(task: LongTail) -> None:
    for example in every(task):
        assert " - " not in example.rationale
        for left, right in re.findall(r"(\d+) x (\d+) =", example.rationale):
            assert 2 <= int(left) <= 9 and (2 <= int(right) <= 9 or (int(right) <= 12 and int(left) <= 5))


def test_numbers_come_in_the_order_in_which_the_working_uses_them(task: LongTail) -> None:
    for example in every(task):
        asked = [int(digits) for digits in re.findall(r"(?<!\w)\d+(?!\w)", example.question)]
        assert asked == list(task.problem(example).numbers) or example.task == "boolean", example.question
        used = iter(re.findall(r"\d+", " ".join(example.truth.steps)))
        if example.task not in ("categories", "navigate", "boolean"):
            assert all(str(number) in used for number in asked), (example.question, example.rationale)


def test_entities_come_in_the_order_in_which_the_working_states_them(task: LongTail) -> None:
    for example in every(task):
        places = []
        for fact in example.truth.facts if example.task != "genealogy" else ():
            named = "|".join(re.escape(n) for n in sorted((fact.subject, *fact.aliases), key=len, reverse=True))
            found = re.search(rf"(?<!\w)(?:{named})(?!\w)", example.question, re.IGNORECASE)
            assert found, (example.question, fact.text)
            places.append(found.start())
        assert places == sorted(places), example.question


def test_one_two_or_three_of_three_things_are_of_the_class_asked_for(task: LongTail) -> None:
    belonging, places = Counter(), Counter()
    for example in (e for split in ("train", "test") for e in task.load(split) if e.task == "categories"):
        verdicts = [step.rpartition(", ")[2] for step in example.truth.steps[1:4]]
        belonging[3 - verdicts.count("no.")] += 1
        places.update(place for place, verdict in enumerate(verdicts) if verdict != "no.")
    assert sorted(belonging) == [1, 2, 3] and max(belonging.values()) - min(belonging.values()) <= 4
    assert sorted(places) == [0, 1, 2] and max(places.values()) < 1.5 * min(places.values())


def test_numbers_stay_small_and_texts_short(task: LongTail) -> None:
    for example in every(task):
        assert max(map(int, re.findall(r"\d+", example.rationale)), default=0) <= 30
        assert len(example.question.split()) <= 25 and len(example.rationale.split()) <= 36
        assert example.rationale.isascii()
    assert max(len(fact.text.split()) for fact in task.world().facts) <= 10


def test_half_the_questions_name_entities_by_alias_or_inflection(task: LongTail) -> None:
    known = sorted(names(task.world().facts), key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)", re.IGNORECASE)
    by_other_name = total = 0
    for split in ("train", "valid", "test"):
        for example in (e for e in task.load(split) if task.kind(e.task) == "special"):
            found = {name.casefold() for name in pattern.findall(example.question)}
            # Facts that are reached over another one have a subject that the question does not name.
            subjects = [f for f in example.truth.facts if found & {n.casefold() for n in (f.subject, *f.aliases)}]
            assert subjects, example.question
            total += 1
            by_other_name += any(fact.subject.casefold() not in found for fact in subjects)
    assert 0.4 <= by_other_name / total <= 0.62


def test_some_names_are_ambiguous(task: LongTail) -> None:
    meanings: dict[str, set[str]] = {}
    for fact in task.world().facts:
        for name in (fact.subject, *fact.aliases):
            meanings.setdefault(name.casefold(), set()).add(fact.text)
    for name in ("drachm", "mark", "quart", "perches", "ur"):
        assert meanings.get(name), name
    assert sum(len(texts) > 1 for name, texts in meanings.items() if name in {"drachm", "mark", "quart", "ur"}) == 4


def test_tables_give_their_sources() -> None:
    for table in real_tables().values():
        assert len(table.source) > 20
        assert sum(entity.reserved for entity in table.entities) in range(6, 11)
        assert sum(not entity.reserved for entity in table.entities) >= 20
    assert renamed_tables(0) == renamed_tables(0) != renamed_tables(1)


def test_the_twin_world_has_no_real_names_and_the_same_questions(task: LongTail, twin: LongTail) -> None:
    real = names(task.world().facts) | {fact.object for fact in task.world().facts if fact.relation == "father"}
    # What is counted in keeps its name, even where an interval is called alike (seconds).
    bases = {fact.object.partition(" ")[2] for fact in task.world().facts if fact.relation == "makes"}
    real = {name for name in real if not {name, f"{name}s"} & bases}
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, real))})(?!\w)")
    assert twin.name == "longtail-renamed"
    for ours, theirs in zip(every(task), every(twin), strict=True):
        shown = " ".join((theirs.question, theirs.answer, theirs.rationale, *(f.text for f in theirs.truth.facts)))
        assert not pattern.search(shown), (shown, pattern.search(shown))
        assert (ours.template, ours.split) == (theirs.template, theirs.split)
        assert re.findall(r"\d+", ours.rationale) == re.findall(r"\d+", theirs.rationale)
        if ours.task != "genealogy":
            assert ours.answer == theirs.answer
    assert all(fact.id not in {f.id for f in task.world().facts} for fact in twin.world().facts)


def test_derive_computes_from_the_facts_it_is_given(task: LongTail) -> None:
    changed = 0
    for example in task.load("test"):
        assert task.derive(example) == example.truth
        for fact in example.truth.facts:
            false = task.counterfactual(fact)
            assert false.object != fact.object and false.object in false.text and false.aliases == fact.aliases
            try:
                derivation = task.derive(example, [false])
            except DataError:
                continue  # the edit leads to somebody whose kin are not known, or out of the month
            assert false in derivation.facts
            changed += derivation.answer != example.answer
    assert changed > 300


def test_an_edited_fact_gives_the_edited_answer(task: LongTail) -> None:
    example = next(e for e in every(task) if e.template.startswith("units/mixed"))
    [fact] = example.truth.facts
    edited = fact.model_copy(update={"object": f"7 {fact.object.partition(' ')[2]}"})
    times, more = task.problem(example).numbers
    assert task.derive(example, [edited]).answer == str(7 * times + more)


def test_grading(task: LongTail) -> None:
    date = next(e for e in every(task) if e.template.startswith("calendar/later"))
    date = date.model_copy(update={"answer": "5 February"})
    for response in ("the answer is 5 February.", "The answer is February 5", "Therefore, the answer is 5 february."):
        assert task.grade(task.extract(response, date), date)
    assert not task.grade(task.extract("the answer is 5 March.", date), date)
    number = date.model_copy(update={"answer": "19"})
    for response in ("the answer is 19.", "the answer is 20. So the answer is 19 feet.", "the answer is 19.0"):
        assert task.grade(task.extract(response, number), number)
    for response in ("19", "the answer is", "the answer is 190."):
        assert not task.grade(task.extract(response, number), number)


def test_bad_input_is_told(task: LongTail) -> None:
    with pytest.raises(DataError, match="no split 'dev'"):
        task.load("dev")
    with pytest.raises(DataError, match="not a question of longtail"):
        task.derive(Example(uid="x", task="units", question="?", answer="1"))
    with pytest.raises(DataError, match="is not a fact of longtail"):
        task.counterfactual(Fact(text="A fathom is 9 feet.", subject="fathom", relation="makes", object="9 feet"))
    with pytest.raises(ConfigError, match="too few facts for so many train questions"):
        LongTail(LongTailSettings(train_special=200)).load("train")
    with pytest.raises(ConfigError, match="frequencies"):
        build_task("longtail", {"frequencies": (0.5, 0.2)})
