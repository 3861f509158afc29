"""What was asked once is not generated again: by no other method, process or edit; and who grades anew generates nothing."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd import grading
from nesycd.cli.run import execute
from nesycd.core.answers import Answer, Attempt, Prediction, Verdict, text_of
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError, ModelError, RunError
from nesycd.core.protocols import Decoding, Generation, Prompt, Task
from nesycd.core.records import Diagnosis, Example, TrainingText
from nesycd.core.segments import own
from nesycd.core.storage import RecordLog
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.context import Context
from nesycd.methods.method import Method
from nesycd.methods.predict import Ask, Predictor, Resources, Way, respond, way_of
from nesycd.methods.table import METHODS
from nesycd.prompts import BaselinePrompts, Prompts, completion_text
from nesycd.reports.folder import read_run
from nesycd.routing import AlwaysRouter, MarginRouter, NeverRouter
from nesycd.rules import Engine
from nesycd.runs.manifest import without_times
from nesycd.runs.predictions import FILE, Predictions, read_attempts
from nesycd.runs.run import Run, read_records
from nesycd.runs.stage import Artifact, read_states
from nesycd.students.local import LocalStudent
from nesycd.students.table import TableStudent
from nesycd.tasks.longtail import LongTail, LongTailSettings

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"
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


@pytest.fixture(scope="module")
def task() -> LongTail:
    return LongTail(SETTINGS)


@pytest.fixture
def begin(tmp_path: Path, task: LongTail) -> Begin:
    """Opens a run folder, as a new process would, with a student that was taught the training questions."""

    @contextmanager
    def opened(student: TableStudent, name: str = "r", task: Task = task) -> Iterator[tuple[Context, Artifact]]:
        recipe = load_recipe(QUICKSTART, ["student.model=table"])
        given = Prompts.load(), BaselinePrompts.load()
        teacher: Any = None
        with Run.open(tmp_path / name, recipe.model_dump(mode="json")) as run, Engine() as engine:
            context = Context(run, recipe, task, teacher, student, *given, engine)
            texts = [
                TrainingText(
                    example=e.uid,
                    task="direct",
                    prompt=context.prompts.closed_book(e),
                    segments=own(completion_text(" ".join(e.truth.steps), e.answer)),
                )
                for e in task.load("train")
                if e.truth
            ]
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
        others = [
            replace(first, adapter=None),
            replace(first, prompt=first.prompt + " "),
            replace(first, decoding=replace(first.decoding, limit=3)),
            replace(first, decoding=replace(first.decoding, stop=("\n",))),
            replace(first, decoding=replace(first.decoding, calls=("sum",))),
        ]
        keys = [context.predictor.key(ask) for ask in [first, *others]]
        assert len(set(keys)) == len(keys)
        # What is only told of an answer is none: nobody reads it.
        same = replace(first, with_knowledge=True, joint=" so ", items=context.task.missing_facts("ood_unseen")[:1])  # type: ignore[attr-defined]
        assert context.predictor.key(same) == keys[0]
        student = Counting()
        student.decoding = "calculator"
        assert Predictor(student).key(first) != keys[0]
        student.decoding, student.fingerprint = "", "another model"
        assert Predictor(student).key(first) != keys[0]


def test_a_whole_run_generates_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[tuple[str, str, Decoding]] = Counter()
    plain = TableStudent.generate

    def generate(self: TableStudent, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        who = options["adapter"].name if options["adapter"] else ""
        seen.update((who, prompt.text, options["decoding"]) for prompt in prompts)
        return plain(self, prompts, **options)

    monkeypatch.setattr(TableStudent, "generate", generate)
    run(tmp_path / "r")
    assert seen and set(seen.values()) == {1}
    # The router's draft and what it sends on are other methods' answers.
    informed, routed = (
        {one.example: one for one in read_attempts(tmp_path / "r", f"eval-test-{name}")}
        for name in ("nesycd", "nesycd_routed")
    )
    assert {one.routed for one in routed.values()} == {True, False}
    assert all(one.prediction == informed[uid].prediction for uid, one in routed.items() if one.routed)
    stored = Predictions(tmp_path / "r" / FILE).by_id
    assert len(stored) == len({one.key for one in stored.values()}) == len(seen)


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

    def append(self: RecordLog[Any], record: Any) -> None:
        nonlocal written
        written += isinstance(record, Prediction)
        if written == 12:  # in the midst of the second batch of eight
            raise KeyboardInterrupt
        plain(self, record)

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
    execute(load_recipe(QUICKSTART, [*SMALL, *overrides]), folder, Console(file=out, width=200))
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
    plain = Resources(
        task=context.task,
        prompts=context.prompts,
        baseline_prompts=context.baseline_prompts,
        limit=80,
        adapter=lambda student: adapter,
        knowledge={"kb": lambda example: facts[example.uid]},
        drafts=lambda: adapter,
    )
    return replace(plain, **given)


def test_a_routed_way_keeps_the_draft_or_pays_for_both(begin: Begin, task: LongTail) -> None:
    examples = task.load("test")
    method = METHODS["nesycd_routed"]
    student = Counting()
    with begin(student) as (context, adapter):
        drafts = context.answered("eval-test-drafts", context.reading("drafts", adapter), examples)
        cut = sorted(one.least_margin for one in drafts)[len(drafts) // 2]
        given = resources(context, adapter, router=MarginRouter(cut))
        informed = {a.example: a for a in context.answered("eval-test-kb", way_of(METHODS["nesycd"], given), examples)}
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
            assert [p.id for p in other.predictions][-1] == one.prediction and len(other.asks) == 1 + one.routed
        assert len(asked(asking)) == len(set(asked(asking)))


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


def test_students_refuse_calls(begin: Begin, task: LongTail) -> None:
    decoding = Decoding(8, (), ("sum", "derive"))
    for student in (TableStudent(), LocalStudent("smollm2-135m", template="none")):
        with pytest.raises(ModelError, match=r"cannot make calls while it writes \(sum, derive\)"):
            student.generate([Prompt("a", "Question: ?")], adapter=None, decoding=decoding)
    calling = Method("calling", "one that looks things up", "rival", calls=("derive",))
    with begin(Counting()) as (context, adapter):
        way: Way = way_of(calling, resources(context, adapter))
        assert way.first(task.load("test")[0]).decoding.calls == ("derive",)
        with pytest.raises(ModelError, match="cannot make calls"):
            context.answered("eval-test-calling", way, task.load("test"))
        assert not context.run.predictions.by_id


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
