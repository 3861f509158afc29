"""What was asked once is not generated again: by no other method, process or edit; and who grades anew generates nothing."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd import grading
from nesycd.calls import LOOK_UP, Calls, LookUp, Sums, annotate, question_of, with_calls, without_calls
from nesycd.cli.run import execute
from nesycd.core.answers import Answer, Attempt, Prediction, Verdict, text_of
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.protocols import Decoding, Generation, Prompt, Task, Tools
from nesycd.core.records import Diagnosis, Entry, Example, Fact, Lesson, Status, TrainingText
from nesycd.core.segments import own
from nesycd.core.storage import RecordLog
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.context import Context
from nesycd.methods.predict import Ask, Predictor, Resources, offering, respond, way_of
from nesycd.methods.table import METHODS
from nesycd.prompts import BaselinePrompts, Prompts, completion_text
from nesycd.reports.folder import read_run
from nesycd.routing import AlwaysRouter, MarginRouter, NeverRouter
from nesycd.rules import Engine
from nesycd.runs.manifest import without_times
from nesycd.runs.predictions import FILE, Predictions, read_attempts
from nesycd.runs.run import Run, read_records
from nesycd.runs.stage import Artifact, read_states
from nesycd.stages.augment import closed
from nesycd.students.table import TableStudent
from nesycd.tasks.longtail import LongTail, LongTailSettings

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test']",
    "task.sizes={train = 60, valid = 12, test = 24}",
)
SETTINGS = LongTailSettings(train_special=4, train_general=4, valid=1, test_special=5, test_general=2)


class Counting(TableStudent):
    """Remembers what it was asked, and is interrupted when it is asked for one batch more than `limit`."""

    def __init__(self, limit: int = 1000) -> None:
        super().__init__()
        self.batch, self.limit = 8, limit
        self.calls: list[list[Prompt]] = []

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        if len(self.calls) == self.limit:
            raise KeyboardInterrupt
        self.calls.append(list(prompts))
        return super().generate(prompts, **options)


Begin = Callable[..., AbstractContextManager[tuple[Context, Artifact]]]


def base_of(facts: Iterable[Fact]) -> LookUp:
    return LookUp([Entry(item=fact, status=Status.APPROVED) for fact in {fact.id: fact for fact in facts}.values()])


def needed(*examples: Example) -> list[Fact]:
    return [fact for example in examples if example.truth for fact in example.truth.facts]


def edited(facts: Sequence[Fact], place: int) -> list[Fact]:
    """The facts with another object in one of them."""
    old = facts[place]
    return [fact if fact.id != old.id else fact.model_copy(update={"object": f"{fact.object} ells"}) for fact in facts]


@pytest.fixture(scope="module")
def task() -> LongTail:
    return LongTail(SETTINGS)


@pytest.fixture
def begin(tmp_path: Path, task: LongTail) -> Begin:
    """Opens a run folder, as a new process would, with a student that was taught the training questions."""

    @contextmanager
    def opened(student: TableStudent, name: str = "r", task: Task = task) -> Iterator[tuple[Context, Artifact]]:
        recipe = load_recipe(LONGTAIL, ["student.model=table"])
        given = Prompts.load(), BaselinePrompts.load()
        teacher: Any = None
        with Run.open(tmp_path / name, recipe.model_dump(mode="json")) as run, Engine() as engine:
            context = Context(run, recipe, task, teacher, student, *given, engine)
            taught = [(e, " ".join(e.truth.steps)) for e in task.load("train") if e.truth]
            texts = [
                TrainingText(
                    example=e.uid,
                    task="direct",
                    prompt=context.prompts.closed_book(e),
                    segments=own(completion_text(rationale, e.answer)),
                )
                for e, rationale in taught
            ]
            for e, rationale in taught:
                known = base_of(needed(e))
                made = with_calls(e, rationale, annotate(e, rationale, known, given=True), known)
                prompt = offering(context.prompts, Calls(known)).closed_book(e)
                texts.append(
                    TrainingText(example=e.uid, task="augmented", prompt=prompt, segments=closed(made, e.answer))
                )
            yield context, context.fine_tune("general", texts)

    return opened


def asked(student: Counting) -> list[str]:
    return [prompt.key for call in student.calls for prompt in call]


def told(attempts: Sequence[Attempt]) -> list[str]:
    """Ids, which the seconds do not enter."""
    return [one.id for one in attempts]


# --- what is shared --------------------------------------------------------------------------------------------------


def test_methods_that_ask_the_same_share_a_prediction(begin: Begin, task: LongTail) -> None:
    student, examples = Counting(), task.load("test")
    with begin(student) as (context, adapter):
        one = context.answered("eval-test-one", context.reading("one", adapter), examples)
        assert len(asked(student)) == len(set(asked(student))) == len(examples)
        other = context.answered("eval-test-other", context.reading("other", adapter), examples)
        assert len(asked(student)) == len(examples), "the second method asks nobody"
        assert [a.prediction for a in one] == [a.prediction for a in other]
        assert {a.solver for a in one} == {"one"} and {a.solver for a in other} == {"other"}
        assert [a.response for a in one] == [a.response for a in other] and len({a.response for a in one}) > 5
        # A question that stands there twice, under two names, is one prompt.
        again = [example.model_copy(update={"uid": f"{example.uid}-again"}) for example in examples]
        context.answered("eval-test-twice", context.reading("twice", adapter), [*examples, *again])
        assert len(asked(student)) == len(examples)


def test_a_prompt_that_stands_there_twice_is_generated_once(begin: Begin, task: LongTail) -> None:
    student, examples = Counting(), task.load("test")
    again = [example.model_copy(update={"uid": f"{example.uid}-again"}) for example in examples]
    with begin(student) as (context, adapter):
        made = context.answered("eval-test-twice", context.reading("twice", adapter), [*examples, *again])
    assert len(asked(student)) == len(set(asked(student))) == len(examples)
    assert [a.example for a in made] == [e.uid for e in (*examples, *again)], "in the order of the questions"
    size = len(examples)
    assert [a.prediction for a in made[:size]] == [a.prediction for a in made[size:]]


def test_another_student_prompt_or_decoding_is_another_question(begin: Begin, task: LongTail) -> None:
    example = task.load("test")[0]
    with begin(Counting()) as (context, adapter):
        first = context.reading("r", adapter).first(example)
        looking = Calls(LookUp([]), Sums())
        others = [
            replace(first, adapter=None),
            replace(first, prompt=first.prompt + " "),
            replace(first, decoding=replace(first.decoding, limit=3)),
            replace(first, decoding=replace(first.decoding, stop=("\n",))),
            replace(first, tools=None),
            replace(first, tools=Calls(LookUp([]))),
            replace(first, tools=looking, question="Another?"),
            replace(first, tools=looking),
        ]
        assert first.tools == Sums() and first.question == question_of(example)
        keys = [context.predictor.key(ask) for ask in [first, *others]]
        assert len(set(keys)) == len(keys)
        # What is only told of an answer is none: nobody reads it.
        same = replace(first, with_knowledge=True, joint=" so ", items=context.task.missing_facts("ood_unseen")[:1])  # type: ignore[attr-defined]
        assert context.predictor.key(same) == keys[0]
        # Sums depend on no question, and what look-ups find is no part of what is asked.
        assert context.predictor.key(replace(first, question="Another?")) == keys[0]
        calling = replace(first, tools=Calls(base_of(needed(*task.load("test"))), Sums()))
        assert context.predictor.key(calling) == keys[-1]
        student = Counting()
        student.decoding = "repetition"
        assert Predictor(student).key(first) != keys[0]
        student.decoding, student.fingerprint = "", "another model"
        assert Predictor(student).key(first) != keys[0]


def test_a_whole_run_generates_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[tuple[str, str, Decoding, str]] = Counter()
    plain = TableStudent.generate

    def generate(self: TableStudent, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        who = options["adapter"].name if options["adapter"] else ""
        known = {prompt.key: prompt.tools.state if prompt.tools else "" for prompt in prompts}
        seen.update((who, prompt.text, options["decoding"], known[prompt.key]) for prompt in prompts)
        return plain(self, prompts, **options)

    monkeypatch.setattr(TableStudent, "generate", generate)
    run(tmp_path / "r", f"evaluation.methods={['std_cot', 'nesycd_no_kb', 'nesycd', 'nesycd_routed']}")
    assert seen and set(seen.values()) == {1}
    # The router's draft and what it sends on are other methods' answers.
    alone, informed, routed = (
        {one.example: one for one in read_attempts(tmp_path / "r", f"eval-test-{name}")}
        for name in ("nesycd_no_kb", "nesycd", "nesycd_routed")
    )
    assert {one.routed for one in routed.values()} == {True, False}
    assert all(one.prediction == informed[uid].prediction for uid, one in routed.items() if one.routed)
    stored = Predictions(tmp_path / "r" / FILE).by_id
    assert len(stored) == len({found_by(one) for one in stored.values()}) == len(seen)
    # Who finds nothing was asked first; where nothing is offered or read, and nothing found, its answer is that of the others.
    shared = {uid: alone[uid].prediction == one.prediction for uid, one in informed.items()}
    assert set(shared.values()) == {True, False}
    for uid, one in informed.items():
        same = stored[alone[uid].prediction].key == stored[one.prediction].key
        assert shared[uid] == (same and not any(call.items for call in one.calls))
        assert not (same and one.knowledge)


def found_by(one: Prediction) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What was asked, and what each call found."""
    return one.key, tuple((call.asked, call.found) for call in one.trace)


# --- in another process, after a kill, after an edit --------------------------------------------------------------------


def test_a_new_process_reads_what_is_known(begin: Begin, task: LongTail, tmp_path: Path) -> None:
    examples = task.load("test")
    with begin(Counting()) as (context, adapter):
        first = context.answered("eval-test-one", context.reading("one", adapter), examples)
    later = Counting()
    with begin(later) as (context, adapter):
        # The stage is there; without it, and for another method, the predictions are.
        assert told(context.answered("eval-test-one", context.reading("one", adapter), examples)) == told(first)
        context.run.clear("eval-test-one")
    with begin(later) as (context, adapter):
        assert told(context.answered("eval-test-one", context.reading("one", adapter), examples)) == told(first)
        context.answered("eval-test-two", context.reading("two", adapter), examples)
    assert later.calls == []


def test_a_killed_batch_is_redone_whole_with_the_same_records(
    begin: Begin, task: LongTail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = task.load("test")

    def answers(student: Counting, name: str) -> list[str]:
        with begin(student, name) as (context, adapter):
            return told(context.answered("eval-test-one", context.reading("one", adapter), examples))

    whole = Counting()
    undisturbed = answers(whole, "whole")
    plain, written = RecordLog.append, 0

    def append(self: RecordLog[Any], record: Any) -> int:
        nonlocal written
        written += isinstance(record, Prediction)
        if written == 12:  # in the midst of the second batch of eight
            raise KeyboardInterrupt
        return plain(self, record)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RecordLog, "append", append)
        answers(Counting(), "killed")
    assert len(read_predictions(tmp_path / "killed")) == 11
    rest = Counting()
    assert answers(rest, "killed") == undisturbed
    # The batch that was cut short is asked again in its old company, and what it had written already stays as it was.
    assert [[p.key for p in call] for call in rest.calls] == [[p.key for p in call] for call in whole.calls[1:]]
    ids = [[one.id for one in read_predictions(tmp_path / name)] for name in ("killed", "whole")]
    assert ids[0] == ids[1] and len(set(ids[0])) == len(examples)


def read_predictions(folder: Path) -> list[Prediction]:
    return RecordLog(folder / FILE, Prediction).read()


def run(folder: Path, *overrides: str) -> str:
    out = io.StringIO()
    execute(load_recipe(LONGTAIL, [*SMALL, *overrides]), folder, Console(file=out, width=200))
    return out.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    run(folder)
    return folder


@pytest.fixture
def generated(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many prompts each adapter was asked since."""
    count: Counter[str] = Counter()
    plain = TableStudent.generate

    def generate(self: TableStudent, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        count[options["adapter"].name if options["adapter"] else ""] += len(prompts)
        return plain(self, prompts, **options)

    monkeypatch.setattr(TableStudent, "generate", generate)
    return count


def prediction(line: bytes) -> str:
    return Prediction.from_json(json.loads(line), "").id


def told_by(folder: Path) -> Any:
    """The results, times aside."""
    return without_times(json.loads((folder / "results.json").read_text()))


def answers(folder: Path) -> dict[str, list[str]]:
    """Stage -> ids of its answers with their verdicts."""
    stages = [name for name in read_states(folder) if f"{name}.verdicts" in read_states(folder)]
    return {stage: told(read_attempts(folder, stage)) for stage in stages}


def test_an_edit_that_is_taken_back_costs_nothing_twice(finished: Path, generated: Counter[str]) -> None:
    methods = "evaluation.methods=['std_cot', 'std_cot_kb']"
    run(finished, methods)
    assert not generated
    before = answers(finished)
    shown = Counter(item for one in read_attempts(finished, "eval-test-std_cot_kb") for item in one.knowledge)
    [(item, times)] = shown.most_common(1)
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        text = kb.get(item).item.text
        edited = kb.edit(item, {"text": f"{text} Truly."}, "ann")
        said = run(finished, methods)
        assert 0 < generated["general"] <= times, "only whose prompt changed is asked again"
        # S_E was trained anew: answers of methods that this recipe leaves out went with the student that gave them.
        assert "eval-test-nesycd_no_kb: removed, because the student that answered is gone" in said
        assert "eval-test-zero_shot" in answers(finished) and "eval-test-nesycd" not in answers(finished)
        generated.clear()
        kb.edit(edited.item_id, {"text": text}, "ann")
        run(finished, methods)
        assert generated["general"] == 0
    assert all(answers(finished)[name] == before[name] for name in ("eval-test-std_cot", "eval-test-std_cot_kb"))
    run(finished)
    assert answers(finished) == before


@pytest.mark.parametrize("loss", ["torn", "last", "all"])
def test_predictions_that_are_gone_are_made_again(finished: Path, generated: Counter[str], loss: str) -> None:
    path, before = finished / FILE, answers(finished)
    results = told_by(finished)
    cited = {one for stage in [*before, "eval-test-nesycd_routed-first"]
             for answer in read_records(finished, stage, Answer) for one in answer.predictions}  # fmt: skip
    lines = [line for line in path.read_bytes().splitlines(keepends=True) if prediction(line) in cited]
    kept = {"torn": [*lines[:-1], lines[-1][:-20]], "last": lines[:-1], "all": []}[loss]
    path.write_bytes(b"".join(kept)) if kept else path.unlink()
    with pytest.raises(RunError, match=r"predictions of .* are gone; run the recipe again to make them anew"):
        for stage in before:
            read_attempts(finished, stage)
    said = run(finished)
    assert ("torn last line cut off" in said) == (loss == "torn") and "some of its predictions are gone" in said
    assert generated.total() == (len(cited) if loss == "all" else 1)
    assert answers(finished) == before and told_by(finished) == results
    assert sorted(one.id for one in read_predictions(finished)) == sorted(cited)
    generated.clear()
    run(finished)
    assert not generated


def test_finishing_drops_what_adapters_wrote_that_are_gone(finished: Path, generated: Counter[str]) -> None:
    def students() -> set[str]:
        return {one.student for one in read_predictions(finished)}

    before, there = students(), {state["output"] for state in read_states(finished).values()}
    old = read_states(finished)["augmented"]["output"]
    assert before <= {"", *there} and "" in before and len(before) == 5, "two folds, S_P, S_E, the untrained"
    run(finished, "augmented.fill_to=0")
    after = students()
    [gone], [new] = before - after, after - before
    assert gone == old and new == read_states(finished)["augmented"]["output"]
    run(finished)
    assert students() == before


# --- grading ---------------------------------------------------------------------------------------------------------


class Strict:
    """A benchmark with another idea of what is right."""

    def __init__(self, inner: Task) -> None:
        self.inner = inner

    def grade(self, answer: str, example: Example) -> bool:
        return not self.inner.grade(answer, example)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_mended_grader_grades_anew_and_nobody_is_asked(
    begin: Begin, task: LongTail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, student = task.load("test"), Counting(0)
    with begin(Counting()) as (context, adapter):
        before = context.answered("eval-test-one", context.reading("one", adapter), examples)
    stored = (tmp_path / "r" / "stages" / "eval-test-one.jsonl").read_bytes()
    monkeypatch.setattr(grading, "VERSION", grading.VERSION + 1)
    strict: Any = Strict(task)
    with begin(student, task=strict) as (context, adapter):
        after = context.answered("eval-test-one", context.reading("one", adapter), examples)
    assert {one.correct for one in before} == {True, False} and any(one.answer for one in before)
    assert [one.correct for one in after] == [bool(one.answer) and not one.correct for one in before]
    assert [one.prediction for one in after] == [one.prediction for one in before]
    assert (tmp_path / "r" / "stages" / "eval-test-one.jsonl").read_bytes() == stored
    verdicts = read_records(tmp_path / "r", "eval-test-one.verdicts", Verdict)
    assert {one.grader for one in verdicts} == {grading.VERSION}
    assert [one.prediction for one in verdicts] == [one.prediction for one in after]


def test_a_new_version_of_the_grader_redoes_verdicts_alone(
    finished: Path, generated: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(finished)
    before = {path.name: path.read_bytes() for path in (finished / "stages").glob("*.json")}
    results = told_by(finished)
    with monkeypatch.context() as patch:
        patch.setattr(grading, "VERSION", grading.VERSION + 1)
        assert "eval-test-nesycd.verdicts: redone, because grader changed" in run(finished)
        after = {path.name: path.read_bytes() for path in (finished / "stages").glob("*.json")}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {name for name in before if name.endswith(".verdicts.json")} and not generated
    assert told_by(finished) == results
    run(finished)


# --- ways in one step and in two -------------------------------------------------------------------------------------


def resources(context: Context, adapter: Artifact, **given: Any) -> Resources:
    facts = {example.uid: example.truth.facts if example.truth else () for example in context.task.load("test")}
    lessons = {uid: [Lesson(text=f"Mind that: {fact.text}") for fact in found] for uid, found in facts.items()}
    plain = Resources(
        task=context.task,
        prompts=context.prompts,
        baseline_prompts=context.baseline_prompts,
        limit=context.recipe.student.max_new_tokens,
        adapter=lambda student: adapter,
        knowledge={"kb": lambda example: facts[example.uid], "read": lambda example: lessons[example.uid]},
        drafts=lambda: adapter,
    )
    return replace(plain, **given)


def test_a_routed_way_keeps_the_draft_or_pays_for_both(begin: Begin, task: LongTail) -> None:
    examples = task.load("test")
    method = METHODS["nesycd_routed"]
    student, tools = Counting(), Calls(base_of(needed(*examples)[::2]), Sums())
    with begin(student) as (context, adapter):
        drafting = context.reading("drafts", adapter, tools=lambda example: tools)
        drafts = context.answered("eval-test-drafts", drafting, examples)
        cut = sorted(one.least_margin for one in drafts)[len(drafts) // 2]
        given = resources(context, adapter, router=MarginRouter(cut), tools=lambda source: tools)
        whole = way_of(METHODS["nesycd"], given)
        informed = {a.example: a for a in context.answered("eval-test-nesycd", whole, examples)}
        count = len(asked(student))
        made = context.answered("eval-test-routed", way_of(method, given), examples)
        assert len(asked(student)) == count, "both are at hand"
        needs = {example.uid: bool(example.truth and example.truth.facts) for example in examples}
        assert {one.routed for one in made} == {True, False}
        for draft, one in zip(drafts, made, strict=True):
            answer = informed[one.example]
            assert one.routed == (draft.least_margin < cut and needs[one.example])
            assert one.prediction == (answer if one.routed else draft).prediction
            assert one.knowledge == (answer.knowledge if one.routed else ())
            assert one.calls == (*draft.calls, *answer.calls) if one.routed else one.calls == draft.calls
            # The signals are the draft's, whichever answer stands, and where there were two both cost.
            assert (one.margin, one.least_margin) == (draft.margin, draft.least_margin)
            for cost in ("prompt_tokens", "completion_tokens"):
                assert getattr(one, cost) == getattr(draft, cost) + (getattr(answer, cost) if one.routed else 0)
        # Outside of a run folder the same comes out.
        asking = Counting()
        outside = {one.example.uid: one for one in respond(Predictor(asking), way_of(method, given), examples)}
        for one in made:
            other = outside[one.example]
            assert text_of(other.segments) == one.response and other.answer.routed == one.routed
            assert other.looked_up == any(call.name == LOOK_UP for call in one.calls)
            assert other.response == without_calls(one.response) and (other.response != one.response) == other.looked_up
            assert [p.id for p in other.predictions][-1] == one.prediction and len(other.asks) == 1 + one.routed
        assert len(asked(asking)) == len(set(asked(asking)))
        assert {call.kind for one in drafts for call in one.calls if call.name == LOOK_UP} == {"value", "note"}


@pytest.mark.parametrize(("router", "steps", "routed"), [(AlwaysRouter(), 1, True), (NeverRouter(), 1, False)])
def test_a_router_that_always_says_the_same(
    begin: Begin, task: LongTail, router: Any, steps: int, routed: bool
) -> None:
    with begin(Counting()) as (context, adapter):
        way = way_of(METHODS["nesycd_routed"], resources(context, adapter, router=router))
        made = list(respond(Predictor(context.student), way, task.load("test")))
    assert {len(one.predictions) for one in made} == {steps} and {one.answer.routed for one in made} == {routed}


def test_a_two_step_way_answers_after_its_own_rationale(begin: Begin, task: LongTail, tmp_path: Path) -> None:
    examples, student = task.load("test")[:12], Counting()
    with begin(student) as (context, adapter):
        way = way_of(METHODS["cascod"], resources(context, adapter))
        made = context.answered("eval-test-cascod", way, examples)
        known = context.run.predictions.by_id
        outside = {one.example.uid: one for one in respond(Predictor(Counting()), way, examples)}
    stored = read_records(tmp_path / "r", "eval-test-cascod", Answer)
    firsts = read_records(tmp_path / "r", "eval-test-cascod-first", Answer)
    for one, answer, first in zip(made, stored, firsts, strict=True):
        rationale, last = (known[prediction] for prediction in answer.predictions)
        assert first.predictions == (rationale.id,)
        assert one.response == f"{rationale.text} Therefore, the answer is {last.text}"
        segments = answer.segments(known)
        assert [segment.source for segment in segments] == ["student", "supplied", "student"]
        assert one.completion_tokens == rationale.completion_tokens + last.completion_tokens
        assert outside[one.example].segments == segments
    later = Counting(0)
    with begin(later) as (context, adapter):
        way = way_of(METHODS["cascod"], resources(context, adapter))
        assert told(context.answered("eval-test-cascod", way, examples)) == told(made)


def test_a_way_that_needs_what_is_not_there_says_so(begin: Begin) -> None:
    with begin(Counting()) as (context, adapter):
        given = resources(context, adapter)
        with pytest.raises(
            ConfigError, match=r"kard_corpus: there is no knowledge of the kind that it reads \(corpus\)"
        ):
            way_of(METHODS["kard_corpus"], given)
        bare: Any = Strict(context.task)
        with pytest.raises(ConfigError, match="few_shot: no worked examples"):
            way_of(METHODS["few_shot"], replace(given, task=bare)).first(context.task.load("test")[0])


# --- calls, evidence -------------------------------------------------------------------------------------------------


def looking(
    context: Context, adapter: Artifact, examples: Sequence[Example], tools: Tools, shown: Tools | None = None
) -> list[Ask]:
    """Prompts that offer what `shown` has (if it is given) and call `tools`."""
    way = context.reading("looking", adapter, tools=lambda example: shown or tools)
    return [replace(way.first(example), tools=tools) for example in examples]


def planned(predictor: Predictor, asks: Sequence[Ask]) -> list[Prediction]:
    """The predictions in planned batches, in the order of the asks."""
    made: dict[int, Prediction] = {}
    for batch in predictor.plan(asks):
        made |= zip(batch, predictor.predict([asks[place] for place in batch]), strict=True)
    return [made[place] for place in range(len(asks))]


def test_an_answer_is_used_again_exactly_if_its_calls_would_find_the_same(begin: Begin, task: LongTail) -> None:
    examples, student = task.load("train"), Counting()
    facts = needed(*{example.uid: example for example in examples}.values())
    changed = edited(facts, 0)
    [old] = {fact.id for fact in facts} - {fact.id for fact in changed}
    with begin(student) as (context, adapter):
        predictor = context.predictor
        asks = looking(context, adapter, examples, Calls(base_of(facts), Sums()))
        before = planned(predictor, asks)
        by_key = {one.key: one for one in before}
        count = len(asked(student))
        assert count == len(by_key) == len(examples)
        again = looking(context, adapter, examples, Calls(base_of(changed), Sums()))
        touched = []
        for example, ask in zip(examples, again, strict=True):
            one = by_key[predictor.key(ask)]
            read = {item for call in one.trace for item in call.items}
            assert ask.tools is not None and ask.tools.agrees(ask.question, one.trace) == (old not in read)
            assert predictor.find(ask) == (one if old not in read else None)
            touched += [example.uid] * (old in read)
        assert 0 < len(touched) < len(examples)
        assert touched == [e.uid for e in examples if e.truth and old in {fact.id for fact in e.truth.facts}]
        # Only these are asked again, and say what the edited base says.
        after = {e.uid: one for e, one in zip(examples, planned(predictor, again), strict=True)}
        assert len(asked(student)) == count + len(touched)
        new = facts[0].object + " ells"
        for example, ask in zip(examples, again, strict=True):
            told = [call.found for call in after[example.uid].trace]
            assert (new in told) == (example.uid in touched)
            # The value is no part of the prompt; both answers are kept, and the edit taken back costs nothing.
            assert new not in ask.prompt and facts[0].object not in ask.prompt
            variants = predictor.predictions.variants(predictor.key(ask))
            assert len(variants) == 1 + (example.uid in touched) and variants[0] == by_key[predictor.key(ask)]
        assert [predictor.find(ask) for ask in asks] == [by_key[predictor.key(ask)] for ask in asks]
    assert len(asked(student)) == count + len(touched)


def test_an_answer_without_look_ups_is_used_again_whatever_the_base_holds(begin: Begin, task: LongTail) -> None:
    examples, student = task.load("train"), Counting()
    whole = Calls(base_of(needed(*examples)), Sums())
    with begin(student) as (context, adapter):
        made = planned(context.predictor, looking(context, adapter, examples, Calls(LookUp([]), Sums()), whole))
        free = {one.key for one in made if all(call.name != LOOK_UP for call in one.trace)}
        assert 5 < len(free) < len(examples) == len(asked(student))
        planned(context.predictor, looking(context, adapter, examples, whole))
    assert not free & set(asked(student)[len(examples) :])


def test_answers_that_differ_in_what_their_calls_found_are_kept_and_read_back(
    begin: Begin, task: LongTail, tmp_path: Path
) -> None:
    examples = [example for example in task.load("train") if example.truth and example.truth.facts][:6]
    facts = needed(*examples)
    bases = [Calls(base_of(known), Sums()) for known in (facts, [], facts)]
    made: list[list[Prediction]] = []
    with begin(Counting()) as (context, adapter):
        made += [context.predictor.predict(looking(context, adapter, examples, one, bases[0])) for one in bases]
    assert made[0] == made[2] and all(one.key == other.key for one, other in zip(made[0], made[1], strict=True))
    assert all(one.id != other.id and one.text != other.text for one, other in zip(made[0], made[1], strict=True))
    stored = read_predictions(tmp_path / "r")
    assert sorted(one.id for one in stored) == sorted(one.id for one in (*made[0], *made[1]))
    later = Counting(0)
    with begin(later) as (context, adapter):
        predictions = context.run.predictions
        for tools, expected in zip(bases, made, strict=True):
            asks = looking(context, adapter, examples, tools, bases[0])
            assert context.predictor.predict(asks) == expected
            for ask, first, second in zip(asks, made[0], made[1], strict=True):
                assert list(predictions.variants(context.predictor.key(ask))) == [first, second]
        assert set(predictions.by_id) == {one.id for one in stored}
        # The same answer once more is none; of students that are gone both variants go.
        predictions.add([made[1][0], made[0][0]])
        predictions.keep_only([""])
        assert not predictions.by_id and not predictions.variants(made[0][0].key)
    assert not later.calls and read_predictions(tmp_path / "r") == []


def test_a_batch_may_hold_prompts_with_different_tools(begin: Begin, task: LongTail) -> None:
    [example] = [e for e in task.load("train") if e.truth and len(e.truth.facts) == 2][:1]
    facts, student = needed(example), Counting()
    bases = [facts, edited(facts, 0), edited(facts, 1), [], facts]
    with begin(student) as (context, adapter):
        tools = [Calls(base_of(known), Sums()) for known in bases]
        calling = [ask for one in tools for ask in looking(context, adapter, [example], one, tools[0])]
        others = [context.reading("plain", adapter).first(example), replace(calling[0], tools=None)]
        asks = [*calling, *others]
        # What is asked with the same prompt and other knowledge is planned like another prompt; what is the same comes last.
        batches = context.predictor.plan(asks)
        assert [len(batch) for batch in batches] == [len(asks) - 1, 1] and batches[-1] == [4]
        made = dict(enumerate(planned(context.predictor, asks)))
        assert len(student.calls) == 1 and len(asked(student)) == len(asks) - 1
        assert made[4] == made[0] and len({one.id for one in made.values()}) == len(asks) - 1
        for at, known in enumerate(bases):
            found = [call.found for call in made[at].trace if call.name == LOOK_UP]
            assert found == [fact.object for fact in known] if known else set(found) == {"(not found)"}
        assert [call.name for call in made[5].trace].count(LOOK_UP) == 0 and made[6].trace == ()
        # In one call, however many: a student that was interrupted is asked for the whole batch again.
        alone = Predictor(Counting())
        assert [one.id for one in alone.predict(asks)] == [made[at].id for at in range(len(asks))]


def test_a_batch_tells_how_far_its_answers_are(task: LongTail, tmp_path: Path, begin: Begin) -> None:
    class Telling(Counting):
        def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
            for tokens in (1, 2):
                options["progress"](tokens, options["decoding"].limit)
            return super().generate(prompts, **options)

    seen: list[tuple[str, int, int, int, int]] = []
    examples = task.load("test")[:3]
    with begin(Telling()) as (context, adapter):
        telling = replace(context, writing=lambda *state: seen.append(state))
        telling.answered("told", telling.reading("told", adapter), examples)
        limit = context.recipe.student.max_new_tokens
    assert seen == [("told", 3, 3, 1, limit), ("told", 3, 3, 2, limit)]


def test_what_rules_tell_is_kept_as_predictions_of_nobody(begin: Begin, task: LongTail, tmp_path: Path) -> None:
    examples = task.load("test")[:3]

    def tell(example: Example) -> Prediction:
        return Prediction(key=f"rules/{example.uid}", student="", segments=())

    with begin(Counting(0)) as (context, _):
        made = context.supplied("eval-test-told", "told", examples, {"by": "rules"}, tell)
        assert [one.correct for one in made] == [False] * 3 and {one.solver for one in made} == {"told"}
        (context.run.folder / FILE).unlink()
    with begin(Counting(0)) as (context, _):
        assert told(context.supplied("eval-test-told", "told", examples, {"by": "rules"}, tell)) == told(made)
    assert len(read_predictions(tmp_path / "r")) == 3


def test_evidence_cites_what_the_student_wrote(finished: Path) -> None:
    stored = {one.id: one for one in read_predictions(finished)}
    folds = {read_states(finished)[f"fold-{fold}"]["output"] for fold in range(2)}
    made = {a.example: a for fold in range(2) for a in read_attempts(finished, f"collect-fold-{fold}")}
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        evidence = [one for entry in kb.entries() for one in entry.evidence]
    assert len(evidence) > 20 and all(one.attempt == made[one.example].prediction for one in evidence)
    assert all(stored[one.attempt].student in folds for one in evidence)
    diagnoses = read_records(finished, "diagnoses", Diagnosis)
    assert diagnoses and all(one.attempt in stored for one in diagnoses)
    # A report reads them too.
    assert read_run(finished).attempts["nesycd", "test"]


def test_an_ask_knows_its_student(begin: Begin) -> None:
    with begin(Counting()) as (_, adapter):
        assert (
            Ask("?", None, Decoding(1)).student == "" and Ask("?", adapter, Decoding(1)).student == adapter.fingerprint
        )
