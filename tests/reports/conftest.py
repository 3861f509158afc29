"""A small made-up evaluation, as plain data and as a run folder, for all tests of reports."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.answers import Answer, Attempt, Call, Prediction, Segment, Verdict
from nesycd.core.records import Derivation, Evidence, Example, Fact, Hit, Item, Lesson, Record, Retrieval, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.reports import Evaluation, build_results

HOSTILE = "<script>alert('x')</script><img src=http://evil.example/a.png onerror=alert(1)> \"'& \x00 </pre></style>"
HOSTILE_INDEX = 2
"""A question on which the methods disagree, so that it is among the samples shown."""
FACT = Fact(text="A fathom is 6 feet.", subject="fathom", relation="feet", object="6")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARMS = {"std_cot": 4, "std_cot_kb": 3, "nesycd_no_kb": 4, "nesycd": 2, "nesycd_context": 2, "nesycd_oracle": 1}
"""Of five special questions how many the method gets wrong."""
FOUND = Call(name="look_up", asked="[fathoms | feet]", found="6", items=(FACT.id,), how="'fathoms' is 'fathom'")
NOT_FOUND = Call(name="look_up", asked="[fathoms | feet]", found="(not found)", how="no name 'fathoms'", kind="note")
SUM = Call(name="sum", asked="6 x 2 =", found="12")
CALLS = {"nesycd": (FOUND, NOT_FOUND, SUM), "nesycd_no_kb": (NOT_FOUND, SUM)}
"""The calls of a method's answer to a special question."""
METHOD = {
    "rationales": {"asked": 300, "kept": 290, "wrong": 8, "failed": 2, "hinted": 12},
    "leaks": {
        "proposed": 120,
        "refused": 3,
        "ill_formed": 3,
        "instance_specific": 4,
        "approved": 90,
        "approved_leaking": 0,
    },
    "self_check": {"asked": 60, "repaired": 31},
    "knowledge_use": {"approved": 90, "shown": 70, "useful": 40},
    "teacher": {
        "prompt_tokens": 51000,
        "completion_tokens": 22000,
        "usd": 0.0345,
        "usd_per_kept_rationale": 0.00004,
        "usd_per_useful_item": None,
    },
    "error_rates": {"collection": "out_of_fold", "collected": 0.625, "valid": 0.6},
    "gate": None,
    "mix": {"augmented": 1812, "direct": 204, "answer": 91},
    "train_recall": {"prompts": 0.982, "questions": None},
    "calls": {
        "rationales": 290,
        "look_ups": 410,
        "by_look_ups": {"0": 80, "1": 60, "2": 100, "3": 50},
        "skipped": {"name": 4, "relation": 2, "replay": 1},
    },
    "valid_accuracy": {"general": 0.4, "augmented": 0.35},
    "calibration": {"split": "valid", "n": 150, "n_correct": 60, "threshold": 0.7, "score": 0.72},
    "completion_tokens": {"std_cot": 123456, "nesycd": 123400},
}


def make_examples(split: str, count: int = 40) -> list[Example]:
    """Special (units) and general (navigate) questions in turn; four templates a task."""
    examples = []
    for index in range(count):
        special = index % 2 == 0
        task = "units" if special else "navigate"
        truth = Derivation(facts=(FACT,), steps=("6 x 2 = 12",), uses=((0,),)) if special else None
        text = HOSTILE if index == HOSTILE_INDEX else f"{split} question {index}?"
        template = f"t{index % 8 // 2}"
        examples.append(
            Example(
                uid=f"{split}-{index}",
                task=task,
                question=text,
                answer="12",
                split=split,
                template=template,
                truth=truth,
            )
        )
    return examples


def make_attempts(arm: str, examples: Sequence[Example]) -> list[Attempt]:
    """One attempt a question; general ones are right three times in four, whatever the method."""
    attempts = []
    for index, example in enumerate(examples):
        special = example.task == "units"
        correct = index // 2 % 5 >= ARMS[arm] if special else index // 2 % 4 > 0
        informed = arm in {"std_cot_kb", "nesycd_context", "nesycd_oracle"} and special
        attempts.append(
            Attempt(
                example=example.uid,
                solver=arm,
                response=HOSTILE
                if index == HOSTILE_INDEX
                else f"{arm} says so. Therefore, the answer is {12 if correct else 7}.",
                answer="12" if correct else "7",
                correct=correct,
                margin=0.9 if correct else 0.2,
                least_margin=0.9 if correct else 0.2,
                prompt_tokens=30 if informed else 20,
                completion_tokens=10,
                knowledge=(FACT.id,) if informed else (),
                knowledge_tokens=10 if informed else 0,
                # Lessons and rules are asked for too, and none fits.
                routed=informed or (arm == "nesycd" and special),
                calls=CALLS.get(arm, ()) if special else (),
                seconds=0.5,
            )
        )
    return attempts


def make_evaluation(splits: Sequence[str] = ("test", "ood_unseen")) -> Evaluation:
    """All methods on all splits."""
    examples = {split: make_examples(split) for split in splits}
    return Evaluation(
        examples=[example for split in splits for example in examples[split]],
        attempts={(arm, split): make_attempts(arm, examples[split]) for arm in ARMS for split in splits},
        kinds={"units": "special", "navigate": "general"},
        frequency={e.uid: i % 6 if e.truth else None for split in splits for i, e in enumerate(examples[split])},
        knowledge={"items": 2, "by_kind": {"fact": 1, "lesson": 1}, "by_status": {"approved": 2}, "sources": {}},
        recall=dict.fromkeys(splits, 0.9),
        seconds={"general": 12.5, "eval-test-nesycd": 3.0},
        router={"mode": "margin", "threshold": 0.7, "closed_book": "general"},
        method=METHOD,
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if BROWSER is None:
        pytest.skip("no chromium or chrome on this machine")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])


@pytest.fixture
def shown(browser: Any) -> Iterator[Callable[..., Any]]:
    """Shows a file in a window of its own, in which a message of the console or a request to anywhere is a fault."""
    wrong: list[str] = []
    contexts = []

    def show(path: Path, **settings: Any) -> Any:
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("console", lambda said: wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(("file:", "data:", "blob:")) or wrong.append(asked.url))
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def faults() -> Callable[[Any], list[str]]:
    """What axe finds serious on a page, and whether the page is wider than its window."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")

    def found(page: Any) -> list[str]:
        violations = axe.Axe().run(page).response["violations"]
        serious = [one for one in violations if one["impact"] in ("serious", "critical")]
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in serious] + ["wide"] * wide

    return found


@pytest.fixture
def evaluation() -> Evaluation:
    return make_evaluation()


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run folder with results, predictions, stages, knowledge base, config and manifest."""
    folder = tmp_path / "a <b>run"
    (folder / "stages").mkdir(parents=True)
    evaluation = make_evaluation()
    for (arm, split), attempts in evaluation.attempts.items():
        store_attempts(folder, f"eval-{split}-{arm}", attempts)
    for split in ("test", "ood_unseen"):
        examples = make_examples(split)
        hit = Hit(item=FACT, score=1.0, why="names fathom")
        _write(folder, f"examples-{split}", examples)
        _write(folder, f"retrieve-{split}", [Retrieval(example=e.uid, hits=(hit,)) for e in examples if e.truth])
    proof = Evidence(example="train-1", source="expert")
    stored: list[tuple[Item, Evidence]] = [(FACT, proof), (Lesson(text="<b>Mind</b> the units."), proof)]
    with KnowledgeBase.open(folder / "kb.sqlite") as base:
        base.add(stored, status=Status.APPROVED, reviewer="auto")
    (folder / "config.json").write_text(json.dumps({"name": "<u>quick</u>"}))
    (folder / "manifest.json").write_text(json.dumps({"machine": "two cores"}))
    (folder / "results.json").write_text(json.dumps(build_results(evaluation)))
    return folder


def store_attempts(folder: Path, stage: str, attempts: Sequence[Attempt]) -> None:
    """Attempts as a run stores them: predictions, answers and verdicts."""
    predictions = [
        Prediction(
            key=f"{stage}/{one.example}",
            student="s",
            segments=(Segment(text=one.response),),
            trace=one.calls,
            margin=one.margin,
            least_margin=one.least_margin,
            prompt_tokens=one.prompt_tokens,
            completion_tokens=one.completion_tokens,
            seconds=one.seconds,
        )
        for one in attempts
    ]
    with (folder / "predictions.jsonl").open("a", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(one.to_json())}\n" for one in predictions)
    answers = [
        Answer(
            example=one.example,
            method=one.solver,
            predictions=(made.id,),
            knowledge=one.knowledge,
            knowledge_tokens=one.knowledge_tokens,
            routed=one.routed,
        )
        for one, made in zip(attempts, predictions, strict=True)
    ]
    _write(folder, stage, answers)
    verdicts = [
        Verdict(example=one.example, prediction=made.id, answer=one.answer, correct=one.correct, grader=1)
        for one, made in zip(attempts, predictions, strict=True)
    ]
    _write(folder, f"{stage}.verdicts", verdicts)


def _write(folder: Path, stage: str, records: Sequence[Record]) -> None:
    lines = [json.dumps(record.to_json()) for record in records]
    (folder / "stages" / f"{stage}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
