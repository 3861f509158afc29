"""The steps' rules: who is held out, what is hidden, what the student is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.records import Diagnosis, Entry, Evidence, Example, Fact, Hit, Lesson, Rationale, Status, TrainingText
from nesycd.core.segments import Segment
from nesycd.prompts import Prompts
from nesycd.stages import augment, collect, costs, diagnose, self_check
from nesycd.stages.route import better_closed_book

PROMPTS = Prompts.load()


def example(uid: str, group: str = "") -> Example:
    return Example(uid=uid, task="units", question=f"How many feet are 3 fathoms, {uid}?", answer="18", group=group)


def fact(name: str) -> Fact:
    return Fact(text=f"A {name} is 6 feet.", subject=name, relation="makes", object="6 feet")


def entry(item: Fact, *uids: str, status: Status = Status.APPROVED) -> Entry:
    evidence = tuple(Evidence(example=uid, source="expert") for uid in uids)
    return Entry(item=item, status=status, evidence=evidence)


class Everything:
    """Retrieves all entries that are not hidden."""

    fingerprint = "everything"

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        return [Hit(item=e.item, score=1.0, by=("name",), why="all") for e in self.entries if e.item_id not in hide]


def mixed(entries: list[Entry], examples: list[Example], **mix: float) -> list:
    own = augment.own_entries(entries)
    visible = augment.visible_knowledge(augment.retrieve_hidden(examples, own, Everything(entries)), own)
    kept = {
        e.uid: Rationale(example=e.uid, teacher="t", text="3 x 6 = 18.", answer="18", correct=True) for e in examples
    }
    chosen = augment.Mix(**{"fill_to": 0, "closed_share": 0.0, "answer_share": 0.0, **mix})  # type: ignore[arg-type]
    return augment.augmented_texts(examples, kept, visible, entries, PROMPTS, chosen, seed=0)


def test_folds_keep_groups_whole_and_tasks_even() -> None:
    examples = [example(str(i), group=f"g{i // 2}") for i in range(12)]
    folds = collect.assign_folds(examples, 2, seed=0)
    assert all(folds[str(i)] == folds[str(i + 1)] for i in range(0, 12, 2))
    assert sorted(folds.values()) == [0] * 6 + [1] * 6


def test_an_item_is_hidden_from_the_example_that_alone_attests_it() -> None:
    single, shared = entry(fact("fathom"), "a"), entry(fact("cubit"), "a", "b")
    texts = {text.example: text for text in mixed([single, shared], [example("a"), example("b")])}
    # "a" lacks its own single item: closed-book. "b" sees both.
    assert texts["a"].task == "direct" and "Knowledge" not in texts["a"].prompt
    assert texts["b"].task == "augmented" and texts["b"].knowledge == (single.item_id, shared.item_id)
    assert texts["b"].completion == "3 x 6 = 18. Therefore, the answer is 18."


def test_a_share_of_the_examples_without_an_error_is_trained_closed_book_too() -> None:
    def tasks(share: float, by: str) -> list[str]:
        known = [entry(fact("fathom"), "z", by)]
        return [text.task for text in mixed(known, [example("a")], right_closed_share=share, passes=100)]

    assert tasks(0.0, by="y") == ["augmented"] * 100
    assert tasks(1.0, by="y") == ["augmented", "direct"] * 100
    assert 30 < tasks(0.5, by="y").count("direct") < 70
    assert tasks(1.0, by="a") == ["augmented"] * 100, "its own error asked for the fact"


def test_shares_and_weights_of_the_mix() -> None:
    texts = mixed([entry(fact("fathom"), "a", "b")], [example("a")], closed_share=1.0, answer_share=1.0, answer=0.25)
    assert [(text.task, text.weight) for text in texts] == [("augmented", 1.0), ("direct", 1.0), ("answer", 0.25)]
    assert texts[2].completion == "Therefore, the answer is 18." and "only the answer" in texts[2].prompt


def test_blocks_are_filled_with_distractors() -> None:
    entries = [entry(fact("fathom"), "a", "b"), *(entry(fact(f"unit{i}"), "x", "y") for i in range(9))]
    seen = {"a": augment.Visible((entries[0].item,), (), (), True)}
    kept = {"a": Rationale(example="a", teacher="t", text="So.", answer="18", correct=True)}
    mix = augment.Mix(passes=50, closed_share=0.0, answer_share=0.0)
    texts = augment.augmented_texts([example("a")], kept, seen, entries, PROMPTS, mix, 0)
    assert all(entries[0].item_id in text.knowledge and len(set(text.knowledge)) == 4 for text in texts)
    assert {text.knowledge.index(entries[0].item_id) for text in texts} == {0, 1, 2, 3}


def test_which_examples_are_trained_closed_book_or_as_answers_does_not_hang_on_the_blocks() -> None:
    known = [entry(fact(f"unit{i}"), "y", "z") for i in range(9)]

    def others(**mix: float) -> list[tuple[str, str]]:
        texts = mixed(known, [example(str(i)) for i in range(40)], closed_share=0.5, answer_share=0.5, passes=2, **mix)
        return [(text.example, text.task) for text in texts if text.task != "augmented"]

    assert others(fill_to=0) == others(fill_to=12) and 20 < len(others()) < 140


def test_distractors_are_never_the_hidden_item() -> None:
    single = entry(fact("fathom"), "a")
    others = [entry(fact(f"unit{i}"), "x", "y") for i in range(5)]
    texts = mixed([single, *others], [example("a")] * 1, fill_to=5, passes=20, incomplete_share=1.0)
    blocks = [text for text in texts if text.task == "augmented"]
    assert len(blocks) == 20 and not any(single.item_id in text.knowledge for text in blocks)


def test_what_has_no_knowledge_is_trained_beside_distractors_alone() -> None:
    pool = [entry(fact(f"unit{i}"), "x", "y") for i in range(9)]

    def texts(share: float, **mix: float) -> list:
        nothing = {"a": augment.Visible((), (), (), True)}
        kept = {"a": Rationale(example="a", teacher="t", text="So.", answer="18", correct=True)}
        chosen = augment.Mix(passes=200, closed_share=0.0, answer_share=0.0, distracting_share=share, **mix)  # type: ignore[arg-type]
        return augment.augmented_texts([example("a")], kept, nothing, pool, PROMPTS, chosen, seed=0)

    assert {text.task for text in texts(0.0)} == {"direct"}
    half = texts(0.5)
    blocks = [len(text.knowledge) for text in half if text.task == "augmented"]
    assert len(half) == 200 and 70 < len(blocks) < 130 and set(blocks) == {4}
    assert not any(text.knowledge for text in half if text.task == "direct")
    assert {len(text.knowledge) for text in texts(1.0, fill_to=2)} == {2}
    assert {text.task for text in texts(1.0, fill_to=0)} == {"direct"}
    # What lacks the knowledge that it needs never learns to answer beside a block.
    lacking = augment.Visible((), (), (fact("fathom"),), True)
    kept = {"a": Rationale(example="a", teacher="t", text="So.", answer="18", correct=True)}
    made = augment.augmented_texts([example("a")], kept, {"a": lacking}, pool, PROMPTS, augment.Mix(), 0)
    assert "augmented" not in {text.task for text in made}


# --- look-ups in the mix ---------------------------------------------------------------------------------------------

OFFER = "[fathoms | makes]"
OFFERING = PROMPTS.offering(lambda example: [OFFER])


def looked(example: Example, rationale: Rationale, leave_empty: Callable[[], bool]) -> tuple[Segment, ...]:
    """As `calls.with_calls` would give it."""
    found = " (not found) 6" if leave_empty() else " 6"
    head = Segment(text="[fathoms | makes]")
    if found == " 6":
        return head, Segment(text=" 6", source="supplied"), Segment(text=". 3 x 6 = 18.")
    return head, Segment(text=" (not found)", source="supplied"), Segment(text=" 6. 3 x 6 = 18.")


def calling(entries: list[Entry], examples: list[Example], **mix: float) -> list[TrainingText]:
    own = augment.own_entries(entries)
    visible = augment.visible_knowledge(augment.retrieve_hidden(examples, own, Everything(entries)), own)
    kept = {
        e.uid: Rationale(example=e.uid, teacher="t", text="3 x 6 = 18.", answer="18", correct=True) for e in examples
    }
    chosen = augment.Mix(**{"fill_to": 0, "closed_share": 0.0, "answer_share": 0.0, **mix})  # type: ignore[arg-type]
    return augment.augmented_texts(
        examples, kept, visible, entries, PROMPTS, chosen, 0, augment.Looked(OFFERING, looked)
    )


LESSON = Entry(item=Lesson(text="Mind the units."), status=Status.APPROVED)


def test_shares_of_the_questions_are_trained_with_look_ups_with_a_context_and_with_both() -> None:
    known = [entry(fact("fathom"), "y", "z"), LESSON]
    everyone = [example(str(i)) for i in range(60)]

    def kinds(**mix: float) -> list[tuple[bool, bool, bool]]:
        """Whether a text has look-ups, a fact to read, and a lesson to read."""
        texts = calling(known, everyone, **mix)
        assert all(text.task == "augmented" for text in texts)
        assert all(text.prompt.endswith(f"\nLook up: {OFFER}") == (len(text.segments) > 1) for text in texts)
        ids = (known[0].item_id, LESSON.item_id)
        return [(len(text.segments) > 1, *(one in text.knowledge for one in ids)) for text in texts]  # type: ignore[misc]

    assert kinds(calls=0, context=1, both=0) == [(False, True, True)] * 60
    # Where facts are looked up alone, lessons and rules stay to be read.
    assert kinds(calls=1, context=0, both=0) == [(True, False, True)] * 60
    assert kinds(calls=0, context=0, both=1) == [(True, True, True)] * 60
    assert kinds(calls=0, context=0, both=0) == []
    some = kinds(calls=0.5, context=0.25, both=0.25)
    counts = Counter(some)
    assert 15 < counts[True, False, True] < 45 and all(5 < counts[one, True, True] < 25 for one in (True, False))
    # Other shares do not change who is in one of them.
    reading = [text.example for text in calling(known, everyone, calls=0, context=0.25, both=0)]
    assert reading == [
        t.example for t in calling(known, everyone, calls=1, context=0.25, both=1) if len(t.segments) == 1
    ]
    again = [text.id for text in calling(known, everyone, calls=0.5, context=0.25, both=0.25)]
    assert again == [text.id for text in calling(known, everyone, calls=0.5, context=0.25, both=0.25)]


def test_a_share_of_the_look_ups_comes_back_empty_and_each_text_closes_with_the_answer() -> None:
    known, everyone = [entry(fact("fathom"), "y", "z")], [example(str(i)) for i in range(200)]
    for share, least, most in ((0.0, 0, 0), (0.2, 20, 60), (1.0, 200, 200)):
        texts = calling(known, everyone, calls=1, context=0, both=0, empty_calls=share)
        assert least <= sum("(not found)" in text.completion for text in texts) <= most
        for text in texts:
            empty = "(not found)" in text.completion
            assert text.completion == (
                f"[fathoms | makes]{' (not found)' if empty else ''} 6. 3 x 6 = 18. Therefore, the answer is 18."
            )
            head, tail = ("[fathoms | makes]", (" 6" if empty else "") + ". 3 x 6 = 18. Therefore, the answer is 18.")
            assert text.own_text == head + tail, "what is supplied is not learned"


def test_the_closing_sentence_is_the_students_own() -> None:
    supplied = Segment(text=" 6 feet", source="supplied")
    head = Segment(text="One [fathoms | makes]")
    ending = "Therefore, the answer is 6 feet."
    assert augment.closed((head, supplied), "6 feet") == (head, supplied, Segment(text=f" {ending}"))
    closed = augment.closed((head, supplied, Segment(text=". So.")), "6 feet")
    assert closed == (head, supplied, Segment(text=f". So. {ending}"))
    assert augment.closed((Segment(text=" So. "),), "6 feet") == (Segment(text=f"So. {ending}"),)
    assert augment.closed((), "6 feet") == (Segment(text=ending),)


def attempt(uid: str, right: bool, margin: float = 0.5, **more: object) -> Attempt:
    return Attempt(example=uid, solver="s", response="r", correct=right, margin=margin, least_margin=margin, **more)  # type: ignore[arg-type]


def test_only_errors_are_diagnosed_and_random_ones_are_as_many() -> None:
    examples = [example(str(i)) for i in range(6)]
    attempts = [attempt(str(i), right=i > 1) for i in range(6)]
    assert [case.example.uid for case in diagnose.cases(examples, {}, attempts)] == ["0", "1"]
    assert len(diagnose.cases(examples, {}, attempts, "random")) == 2
    everything = diagnose.cases(examples, {}, attempts, "all")
    assert len(everything) == 6 and all(case.attempt.response == "" for case in everything)
    assert not collect.errors([attempt("x", False, finish="too_long")])


def test_whoever_answers_alone_better_drafts_and_s_p_where_they_tie() -> None:
    one, other = [attempt("a", True), attempt("b", False)], [attempt("a", False), attempt("b", True)]
    assert better_closed_book(one, other) == "general"
    assert better_closed_book(one, [attempt("a", True), attempt("b", True)]) == "augmented"


def test_only_errors_with_proposed_items_are_asked_again() -> None:
    def attempt(uid: str, correct: bool) -> Attempt:
        return Attempt(example=uid, solver="fold-0", response="?", correct=correct)

    first, second, third = fact("fathom"), fact("rod"), fact("chain")
    proposed = [
        (item, Evidence(example=uid, source="expert"))
        for uid, item in [("wrong", first), ("wrong", second), ("unsure", third), ("again", first)]
    ]
    collected = [attempt("wrong", False), attempt("unsure", True), attempt("again", False), attempt("none", False)]
    asked = self_check.to_ask(proposed, collected)
    assert asked == {"wrong": [first, second], "again": [first]}
    assert self_check.repaired([attempt("wrong", False), attempt("again", True)]) == {"again"}


def test_what_the_teacher_cost_is_shared_out_over_what_came_of_it() -> None:
    def wrote(uid: str, correct: bool, usd: float | None) -> Rationale:
        return Rationale(example=uid, teacher="t", correct=correct, prompt_tokens=10, completion_tokens=5, usd=usd)

    rationales = [wrote("a", True, 0.02), wrote("b", False, 0.01), wrote("c", True, 0.03)]
    diagnosis = Diagnosis(example="b", attempt="x", teacher="t", prompt_tokens=20, completion_tokens=7, usd=0.04)
    cost = costs.spent(rationales, [diagnosis], useful=2)
    assert cost is not None and cost["prompt_tokens"] == 50 and cost["completion_tokens"] == 22
    assert cost["usd"] == pytest.approx(0.1)
    assert cost["usd_per_kept_rationale"] == pytest.approx(0.03) and cost["usd_per_useful_item"] == pytest.approx(0.02)
    # One unknown price makes the sum unknown; nothing useful has no price each; a program costs nothing.
    unknown = costs.spent([*rationales, wrote("d", True, None)], [diagnosis], useful=0)
    assert unknown is not None and unknown["usd"] is unknown["usd_per_kept_rationale"] is None
    assert unknown["usd_per_useful_item"] is None
    assert costs.spent([Rationale(example="a", teacher="expert", correct=True)], [], useful=1) is None


def test_an_item_is_useful_where_it_stood_in_a_prompt_that_turned_an_answer_right() -> None:
    def attempt(uid: str, correct: bool, *items: str) -> Attempt:
        return Attempt(example=uid, solver="s", response="?", correct=correct, knowledge=items)

    informed = [attempt("a", True, "x", "y"), attempt("b", True, "z"), attempt("c", False, "w")]
    uninformed = [attempt("a", False), attempt("b", True), attempt("c", False)]
    assert costs.use_of(9, informed, uninformed) == {"approved": 9, "shown": 4, "useful": 2}
