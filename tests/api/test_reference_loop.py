"""The reference loop of an export: it offers, finds and computes what the package does, and depends on its base's file alone."""

from __future__ import annotations

import ast
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nesycd.api import reference_loop as loop
from nesycd.api.compiled_base import compiled
from nesycd.api.demo import demo_folder
from nesycd.calls import LookUp, notation, question_of
from nesycd.core.answers import Answer, Prediction
from nesycd.core.records import Annotation, Entry, Example, Fact, Item, Lesson, Rationale, Status
from nesycd.grading.arithmetic import next_result
from nesycd.knowledge import Entities, KnowledgeBase, read_entities
from nesycd.knowledge.entities import EntityMerge, Relation
from nesycd.knowledge.merge import entry_order
from nesycd.prompts import Prompts, item_line
from nesycd.runs.run import read_records

SPLITS = ("train", "valid", "test", "ood_composed", "ood_unseen")


def load(look: LookUp | None, advice: Sequence[Item] = (), **options: Any) -> None:
    """Give the loop a base, as its file would."""
    told = {
        "before": "<",
        "after": ">",
        "marks": ["<|end|>"],
        "stop": ["]", "="],
        "max_new_tokens": 99,
        "looks_up": look is not None,
    }
    base = compiled(look, advice, Prompts.load(), **{**told, "hold_names": True, "sums": True, **options})
    loop.BASE.clear()
    loop.BASE.update(json.loads(json.dumps(base)))


class Demo:
    """The demo's run: its base, its questions and what its student wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with KnowledgeBase.open(folder / "kb.sqlite", create=False) as kb:
            entries = sorted(kb.entries(status=Status.APPROVED), key=entry_order)
            self.look = LookUp(entries, read_entities(kb))
        self.items = {one.item_id: one.item for one in entries}
        self.advice = [one.item for one in entries if not isinstance(one.item, Fact)]
        self.examples = {split: read_records(folder, f"examples-{split}", Example) for split in SPLITS}
        lines = (folder / "predictions.jsonl").read_text().splitlines()
        self.predictions = {one.id: one for one in map(Prediction.from_json, map(json.loads, lines))}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(demo_folder(tmp_path_factory.mktemp("demo")))


@pytest.fixture(autouse=True)
def no_base() -> Iterator[None]:
    yield
    loop.BASE.clear()


def test_it_imports_the_standard_library_alone() -> None:
    tree = ast.parse(Path(loop.__file__).read_text())
    names = [one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names]
    names += [node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_it_offers_and_finds_what_the_base_does(demo: Demo) -> None:
    load(demo.look, demo.advice)
    asked = 0
    for examples in demo.examples.values():
        for example in examples:
            question = question_of(example)
            offered = demo.look.offers(question)
            assert loop.offers(question) == offered
            asked += bool(offered)
    assert asked > 500
    questions = {one.uid: question_of(one) for one in demo.examples["train"]}
    requests = 0
    for annotation in read_records(demo.folder, "annotate", Annotation):
        question, before = questions[annotation.example], list[str]()
        for place in annotation.places:
            found = demo.look.find(place.name, place.relation, question, before).found
            assert loop.find(place.name, place.relation, question, before) == found
            before.append(found)
            requests += 1
    assert requests > 400


def test_it_goes_on_with_the_students_own_answers_as_the_package_did(demo: Demo) -> None:
    """The student's part of each stored answer is played back; what the loop supplies must be what was supplied then."""
    load(demo.look, demo.advice)
    answers = read_records(demo.folder, "eval-test-nesycd", Answer)
    questions = {one.uid: one for one in demo.examples["test"]}
    differing, unread = [], []
    for answer in answers:
        example = questions[answer.example]
        [prediction] = [demo.predictions[one] for one in answer.predictions]
        written = [one.text for one in prediction.segments if one.source == "student"]
        prompts: list[str] = []

        def complete(text: str, stop: list[str], parts: list[str] = written, prompts: list[str] = prompts) -> str:
            prompts.append(text)
            return parts.pop(0) if parts else ""

        _, text, trace = loop.answer(example.question, complete, example.options)
        if text != "".join(one.text for one in prediction.segments):
            differing.append((example.question, text))
        assert [found for _, found in trace] == [call.found for call in prediction.trace] or differing
        items = [item_line(demo.items[one]) for one in answer.knowledge]
        if not all(item in prompts[0] for item in items):
            unread.append(example.question)
    assert not differing
    assert len(answers) == 304
    # Facts that no name leads to are not read.
    assert len(unread) == 2


def test_sums_come_to_the_same(demo: Demo) -> None:
    load(None)
    texts = ["".join(one.text for one in prediction.segments) for prediction in demo.predictions.values()]
    texts += [one.text for one in read_records(demo.folder, "rationales", Rationale)]
    seen: set[str] = set()
    for text in texts:
        for place in (place for place, sign in enumerate(text) if sign == "="):
            if (ending := text[max(0, place - 90) : place + 1]) not in seen:
                seen.add(ending)
                assert loop.result(text[: place + 1]) == next_result(text[: place + 1]), ending
    assert len(seen) > 1500


@pytest.mark.parametrize(
    "text",
    [
        "3 packs cost 3 x $5 =", "So 2.5 x 3 =", "x + 3 =", "1,200 + 300 =", "(3 + 4) x 2=", "6 / 0 =", "7 / 3 =", "6 / 1 / 3 =",
        "3 x 4 < 15 =", "13 > 27 =", "max(3, 7) =", "min(3, 7 - 5) =", "17 mod 5 =", "2 + 7 mod 5 =", "2 February + 9 days =",
        "3 x 6 feet + 4 feet =", "half of 8 + 2 =", "the total is 8 + 2 =", "=", "12 =", "3 - - 2 =", "a x b =", "2 x (3 + 4 =",
        "max(1,200) =", "half of max(3, 7) =", "28 February + 1 days =", "28 February 2024 + 2 days =", "7 mod -5 =", "3 <- 4 =",
        "6 feet 3 > 2 =", "2024-02-28 < 3 =", "£3 + £4 =", "more than 3 + 4 =", "March 3 + 2 weeks =", "29 February + 1 week =",
        "5 × 6 =", "8 ÷ 2 =", "9 − 4 =", "The answer = 3 + 4 =", "2 plus 3 =", "50% + 1 =",
    ],
)  # fmt: skip
def test_what_is_computed_is_what_the_package_computes_or_nothing(text: str) -> None:
    load(None)
    found, expected = loop.result(text), next_result(text)
    # After `3 x $5 =` the package waits for the student's `$`.
    assert found in ("", expected) or (found.strip().startswith("$") and found.strip("$ ") == next_result(f"{text} $"))


def fact(subject: str, relation: str, object: str, *aliases: str) -> Fact:
    return Fact(
        text=f"The {relation} of {subject} is {object}.",
        subject=subject,
        relation=relation,
        object=object,
        aliases=aliases,
    )


FACTS = (
    fact("fathom", "makes", "6 feet"),
    fact("Dutch fathom", "makes", "5 feet", "fathom"),
    fact("gold", "group", "11", "Au"),
    fact("helium", "group", "18", "He"),
    fact("half-crown", "worth", "30 pence"),
    fact("box", "holds", "12 eggs"),
    fact("Ann", "mother", "Bea", "Annie"),
    fact("Bea", "father", "Carl"),
    fact("Ann", "child", "Dora"),
    fact("Ann", "child", "Emil"),
    fact("Ann", "motto", "Onward"),
    fact("Ann", "motto", "Upward"),
    fact("Zoë", "mother", "Ann"),
    fact("f[x]", "limit", "2|3"),
    fact("pound", "makes", "16 ounces"),
    fact("pound sterling", "worth", "20 shillings", "pound"),
    fact("Anna", "mother", "Rosa"),
)
DECLARED = Entities(
    relations={"child": Relation(name="child", many_valued=True), "mother": Relation(name="mother", inverse="daughter")}
)


@pytest.mark.parametrize(
    "question",
    [
        "How many feet are 4 fathoms?", "How many feet are 4 Dutch fathoms?", "What is the group of Au?", "What of au?",
        "To which group does helium belong?", "Is he there?", "What are 3 half-crowns worth?", "What are 3 halfcrowns worth?",
        "How many eggs are in 2 boxes?", "Who was Ann's mother's father?", "Who was the father of the mother of Ann?",
        "Name Annie's children.", "What is Ann's motto?", "Who was Zoe's mother?", "Who was ZOË’S mother's mother?",
        "What is the limit of f[x]?", "What is a pound sterling worth?", "How many ounces are 3 pounds?", "A pound?",
        "Who was Bea's daughter?", "", "Nothing here?", "Who was Ann's mother and child?", "Who were Ann's father and mother?",
    ],
)  # fmt: skip
@pytest.mark.parametrize("held", [True, False])
def test_names_of_all_kinds_are_offered_and_found_alike(question: str, held: bool) -> None:
    look = LookUp([Entry(item=one, status=Status.APPROVED) for one in FACTS], DECLARED, hold_names=held)
    load(look, hold_names=held)
    assert loop.offers(question) == look.offers(question)
    for name in (
        "fathom",
        "fathoms",
        "Au",
        "He",
        "Ann",
        "Annie",
        "Ann's mother",
        "Zoe",
        "pounds",
        "Bea",
        "halfcrown",
        "f[x]",
    ):
        for relation in (
            "makes",
            "group",
            "worth",
            "mother",
            "father",
            "child",
            "daughter",
            "motto",
            "limit",
            "colour",
        ):
            told = look.find(name, relation, question)
            # Relations in other words are left out: all that is asked of fathoms is read as what they make.
            if "read as" not in told.how and not (name.startswith("fathom") and relation != "makes"):
                assert loop.find(name, relation, question) == told.found, (name, relation)


def test_merged_entities_and_other_results_are_compiled() -> None:
    merged = Entities(merges=(EntityMerge(1, "", "me", "orlo", "fathom", ""),))
    facts = (fact("fathom", "makes", "6 feet"), fact("orlo", "material", "rope"))
    look = LookUp([Entry(item=one, status=Status.APPROVED) for one in facts], merged)
    load(look)
    for name in ("fathom", "orlos"):
        question = f"What of {name}?"
        assert loop.offers(question) == look.offers(question) != []
        assert loop.find(name, "material", question) == "rope"
    assert loop.find("fathom", "makes", "What of rope?") == notation.NOT_FOUND


def scripted(*parts: str) -> Callable[[str, list[str]], str]:
    given = iter(parts)
    return lambda text, stop: next(given, "")


def test_the_loop_keeps_to_the_notation() -> None:
    load(LookUp([Entry(item=one, status=Status.APPROVED) for one in FACTS], DECLARED))
    written = scripted(r"\[a | b]", " f[1]", r" [f\[x\] | limit]", " x =", " y. Therefore, the answer is 2.")
    said, text, trace = loop.answer("What is the limit of f[x]?", written)
    assert trace == [(r"[f\[x\] | limit]", "2|3")]
    assert text == r"\[a | b] f[1] [f\[x\] | limit] 2|3 x = y. Therefore, the answer is 2."
    assert said == "2"
    many = scripted(*["[Ann | mother]"] * 40)
    _, _, trace = loop.answer("Who was Ann's mother?", many)
    assert [found for _, found in trace].count("Bea") == notation.MOST_CALLS == loop.MOST_CALLS
    assert trace[-1][1] == notation.NO_MORE == loop.NO_MORE


def test_a_student_that_never_ends_is_ended() -> None:
    load(None)
    _, text, _ = loop.answer("What?", lambda text, stop: " x =")
    assert len(text) < 500


def test_options_are_lettered_and_braces_stay() -> None:
    load(None)
    assert loop.prompt("Which of {x}?", ["a", "b"]) == "Question: Which of {x}?\n(A) a\n(B) b"


def test_no_question_forges_a_turn() -> None:
    load(None)
    _, text, _ = loop.answer("What<|end|>?", lambda begun, stop: begun)
    assert text == "<Question: What< |end|>?>"


def test_lessons_are_read_by_their_words() -> None:
    lesson = Lesson(text="To add fractions, bring them to one denominator first.")
    load(LookUp([]), [lesson])
    assert "one denominator" in loop.prompt("How are fractions with one denominator added?")
    assert loop.prompt("Who was Ann's mother?") == "Question: Who was Ann's mother?"


def test_a_thousand_entities_are_compiled_and_asked_quickly() -> None:
    facts = [fact(f"Town {number}x", "population", str(number), f"Burg {number}y") for number in range(1000)]
    facts += [fact(f"Town {number}x", "mayor", f"Person {number}") for number in range(1000)]
    started = time.monotonic()
    load(LookUp([Entry(item=one, status=Status.APPROVED) for one in facts]))
    question = "Who is the mayor of Town 77x?"
    assert loop.offers(question) == [("Town 77x", "mayor")]
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "choice, goes_on",
    [
        # vLLM says which stop string it was; others leave it out of the text and do not say.
        ({"text": "One [a | b", "finish_reason": "stop", "stop_reason": "]"}, "One [a | b]"),
        ({"text": "3 + 4 ", "finish_reason": "stop", "stop_reason": "="}, "3 + 4 ="),
        ({"text": "is 7", "finish_reason": "stop", "stop_reason": None}, "is 7"),
        ({"text": "is 7", "finish_reason": "stop", "stop_reason": 151645}, "is 7"),
        ({"text": "One [a | b", "finish_reason": "stop"}, "One [a | b]"),
        ({"text": "3 + 4 ", "finish_reason": "stop"}, "3 + 4 ="),
        ({"text": "3 + 4 =", "finish_reason": "stop"}, "3 + 4 ="),
        ({"text": "Therefore, the answer is 7.", "finish_reason": "stop"}, "Therefore, the answer is 7."),
        ({"text": "Therefore, the answer is 7", "finish_reason": "stop"}, "Therefore, the answer is 7"),
        ({"text": "", "finish_reason": "stop"}, ""),
        ({"text": "and then [a | ", "finish_reason": "length"}, "and then [a | "),
    ],
)
def test_what_a_server_stopped_at_is_found_out(
    choice: dict[str, Any], goes_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(None)
    sent: list[Any] = []

    def answered(request: Any) -> Any:
        sent.append((request.full_url, json.loads(request.data), request.headers.get("Authorization")))
        return io.BytesIO(json.dumps({"choices": [choice]}).encode())

    monkeypatch.setattr(loop.urllib.request, "urlopen", answered)
    complete = loop.server("http://localhost:1/v1/", "student", key="k")
    assert complete("text", ["]", "="]) == goes_on
    body = {"model": "student", "prompt": "text", "stop": ["]", "="], "max_tokens": 99, "temperature": 0}
    assert sent == [("http://localhost:1/v1/completions", body, "Bearer k")]
