"""Each rival's training texts and prompts, pinned word for word against its definition."""

from __future__ import annotations

import pytest

from nesycd.core.records import Entry, Example, Fact, Lesson, Passage, Rationale, TrainingText
from nesycd.prompts import BaselinePrompts, Prompts
from nesycd.stages import baselines

FATHOM = Example(uid="q/1", task="units", question="How many feet are 2 fathoms?", answer="12")
SPAN = Example(uid="q/2", task="units", question="Which is longer?", answer="(B)", options=("a span", "an ell"))
LOST = Example(uid="q/3", task="units", question="How many inches is a hand?", answer="4")
TRAIN = [FATHOM, SPAN, LOST]
KEPT = {
    "q/1": Rationale(example="q/1", teacher="t", text="A fathom is 6 feet. 2 x 6 = 12.", answer="12", correct=True),
    "q/2": Rationale(example="q/2", teacher="t", text="An ell is 45 inches.", answer="(B)", correct=True),
}
"""The third question has no right rationale: no method may train on it."""
PROMPTS, EXTRA = Prompts.load(), BaselinePrompts.load()
PAGE = Passage(text="The fathom is a unit of length: 6 feet.")
OTHER = Passage(text="The florin was a coin.")


def pairs(texts: list[TrainingText]) -> list[tuple[str, str, str]]:
    return [(text.task, text.prompt, text.completion) for text in texts]


def test_answer_fine_tuning_is_trained_on_answers_alone() -> None:
    assert pairs(baselines.answer_texts(TRAIN, KEPT, PROMPTS, EXTRA, {})) == [
        ("answer", "Question: How many feet are 2 fathoms?\nGive only the answer.", "Therefore, the answer is 12."),
        (
            "answer",
            "Question: Which is longer?\n(A) a span\n(B) an ell\nGive only the answer.",
            "Therefore, the answer is (B).",
        ),
    ]


def test_knowledge_augmented_fine_tuning_reads_passages_and_writes_the_answer_alone() -> None:
    first, second = baselines.answer_texts(TRAIN, KEPT, PROMPTS, EXTRA, {"q/1": [PAGE, OTHER]})
    assert first.prompt == (
        "Knowledge:\n- The fathom is a unit of length: 6 feet.\n- The florin was a coin.\n"
        "Question: How many feet are 2 fathoms?\nGive only the answer."
    )
    assert first.completion == "Therefore, the answer is 12." and first.knowledge == (PAGE.id, OTHER.id)
    assert second.prompt.startswith("Question: Which"), "nothing was found: the question alone"


def test_step_by_step_asks_for_answer_and_rationale_apart() -> None:
    texts = baselines.step_by_step_texts([FATHOM], KEPT, PROMPTS, EXTRA)
    assert pairs(texts) == [
        ("answer", "Question: How many feet are 2 fathoms?\nGive only the answer.", "Therefore, the answer is 12."),
        (
            "rationale",
            "Question: How many feet are 2 fathoms?\nExplain how the answer is found.",
            "A fathom is 6 feet. 2 x 6 = 12.",
        ),
    ]


def test_mt_cot_explains_with_the_answer_at_the_end() -> None:
    _, explained = baselines.mt_cot_texts([FATHOM], KEPT, PROMPTS, EXTRA)
    assert explained.completion == "A fathom is 6 feet. 2 x 6 = 12. Therefore, the answer is 12."
    assert explained.prompt == "Question: How many feet are 2 fathoms?\nExplain how the answer is found."


def test_cascod_learns_the_rationale_and_then_the_answer_after_it() -> None:
    assert pairs(baselines.cascod_texts([FATHOM], KEPT, PROMPTS, EXTRA)) == [
        ("rationale", "Question: How many feet are 2 fathoms?", "A fathom is 6 feet. 2 x 6 = 12."),
        (
            "answer",
            "Question: How many feet are 2 fathoms?\nRationale: A fathom is 6 feet. 2 x 6 = 12.\nTherefore, the answer is",
            "12.",
        ),
    ]


def test_kard_and_raft_write_the_rationale_beside_passages() -> None:
    (text,) = baselines.kard_texts([FATHOM], KEPT, PROMPTS, {"q/1": [PAGE]})
    assert text.prompt == (
        "Knowledge:\n- The fathom is a unit of length: 6 feet.\nQuestion: How many feet are 2 fathoms?"
    )
    assert text.completion == "A fathom is 6 feet. 2 x 6 = 12. Therefore, the answer is 12."


def test_raft_mixes_oracle_and_distractors_and_leaves_the_oracle_out_in_a_share() -> None:
    pool = [Passage(text=f"Passage {number}.") for number in range(30)]
    train = [FATHOM.model_copy(update={"uid": f"q/{n}", "question": f"Question {n}?"}) for n in range(200)]
    kept = {e.uid: KEPT["q/1"].model_copy(update={"example": e.uid}) for e in train}
    oracle = {e.uid: [pool[n % 30]] for n, e in enumerate(train)}
    texts = baselines.raft_texts(train, kept, PROMPTS, oracle, pool, seed=3)
    assert all(len(set(text.knowledge)) == 4 for text in texts), "four documents, none twice"
    with_oracle = [pool[n % 30].id in text.knowledge for n, text in enumerate(texts)]
    assert 0.72 < sum(with_oracle) / 200 < 0.88
    places = {text.knowledge.index(pool[n % 30].id) for n, text in enumerate(texts) if with_oracle[n]}
    assert places == {0, 1, 2, 3}, "the oracle stands anywhere"
    assert texts == baselines.raft_texts(train, kept, PROMPTS, oracle, pool, seed=3)
    assert texts != baselines.raft_texts(train, kept, PROMPTS, oracle, pool, seed=4)
    own = {e.uid: frozenset({pool[n % 30].id}) for n, e in enumerate(train)}
    alone = baselines.raft_texts(train, kept, PROMPTS, {}, pool[:5], seed=3, hidden=lambda example: own[example.uid])
    assert not any(own[text.example] & {*text.knowledge} for text in alone)
    assert all(len(text.knowledge) == 4 for text in alone)


def test_raft_with_the_whole_corpus_shows_all_of_it_and_in_a_share_all_but_the_oracle() -> None:
    pool = [Passage(text=f"Passage {number}.") for number in range(30)]
    train = [FATHOM.model_copy(update={"uid": f"q/{n}", "question": f"Question {n}?"}) for n in range(200)]
    kept = {e.uid: KEPT["q/1"].model_copy(update={"example": e.uid}) for e in train}
    oracle = {e.uid: [pool[n % 30], pool[(n + 1) % 30]] for n, e in enumerate(train)}
    every = {one.id for one in pool}
    missing = [
        every - set(text.knowledge)
        for text in baselines.raft_texts(train, kept, PROMPTS, oracle, pool, seed=3, size=len(pool))
    ]
    assert all(missing[n] in (set(), {one.id for one in oracle[e.uid]}) for n, e in enumerate(train))
    assert 0.72 < sum(not one for one in missing) / 200 < 0.88


def test_facts_in_weights_recites_every_item() -> None:
    fact = Fact(text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet")
    texts = baselines.memorisation_texts([Entry(item=fact), Entry(item=Lesson(text="Convert first."))], EXTRA)
    assert pairs(texts) == [
        ("memorisation", "State what is known: fathom, length.", "A fathom is 6 feet."),
        ("memorisation", "State what is known: lesson.", "Convert first."),
    ]


def test_few_shot_shows_questions_of_the_same_task_and_never_the_question_itself() -> None:
    asked = FATHOM.model_copy(update={"uid": "test/1", "question": "How many feet are 5 fathoms?"})
    other = FATHOM.model_copy(update={"uid": "q/9", "task": "coins", "question": "What is a florin?"})
    kept = {**KEPT, "q/9": KEPT["q/1"].model_copy(update={"example": "q/9"})}
    prompt = baselines.worked_examples(asked, [*TRAIN, other], kept, EXTRA, 2, seed=0)
    assert "What is a florin?" not in prompt and prompt.count("A: ") == 2
    assert prompt.endswith("\n\nQ: How many feet are 5 fathoms?\nA:")
    block = "Q: How many feet are 2 fathoms?\nA: A fathom is 6 feet. 2 x 6 = 12. Therefore, the answer is 12.\n\n"
    assert block in prompt
    assert "2 fathoms" not in baselines.worked_examples(FATHOM, TRAIN, kept, EXTRA, 3, seed=0).rpartition("Q: ")[0]


def test_two_losses_are_weighed_as_means_over_their_own_tokens() -> None:
    texts = baselines.balanced(
        baselines.step_by_step_texts(TRAIN, KEPT, PROMPTS, EXTRA), lambda some: [len(text.split()) for text in some]
    )
    mass = {"answer": 0.0, "rationale": 0.0}
    for text in texts:
        mass[text.task] += text.weight * (len(text.completion.split()) + 1)  # the end counts as a token, as in training
    assert mass["answer"] / (mass["answer"] + mass["rationale"]) == pytest.approx(0.3, abs=1e-4)
    assert max(text.weight for text in texts) == 1
