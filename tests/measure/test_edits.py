"""Edits of the knowledge measured with the table student, and with two made-up ones whose rates are known."""

from __future__ import annotations

import io
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd.api.running import complete, opened
from nesycd.calls import LOOK_UP, LookUp, annotate, question_of
from nesycd.calls.notation import write
from nesycd.core.answers import Attempt, Call, Prediction, Segment
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError, DataError, ReviewWaits
from nesycd.core.protocols import Generation, Prompt
from nesycd.core.records import Entry, Example, Fact, Status
from nesycd.core.storage import RecordLog
from nesycd.grading import closing
from nesycd.knowledge import KnowledgeBase, export_text, normal_triple
from nesycd.measure import edits
from nesycd.measure.edits import SPLIT, Case, Edit, Measurement, measure
from nesycd.methods.context import Context
from nesycd.runs.predictions import FILE, read_attempts
from nesycd.runs.run import Run
from nesycd.students.table import TableStudent
from nesycd.tasks.longtail import LongTail, LongTailSettings

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
TABLE = ("student.model=table", "evaluation.bootstrap=50", "task.sizes={train = 240, valid = 60, test = 90}")
READS = ("augmented.calls=0", "augmented.context=1", "augmented.calls_and_context=0")
CALLS = ("augmented.calls=1", "augmented.context=0", "augmented.calls_and_context=0", "evaluation.splits=['test']")
COUNT = 20


@dataclass(frozen=True)
class Finished:
    """A finished run: its folder, and its context after the steps."""

    folder: Path
    context: Context

    def measure(self, student: Any = None, count: int = COUNT) -> Measurement:
        """In the folder, opened anew, with another student where one is given."""
        with Run.open(self.folder, self.context.recipe.model_dump(mode="json")) as run:
            return measure(replace(self.context, run=run, student=student or self.context.student), count)


def finished(folder: Path, *settings: str) -> Finished:
    with opened(load_recipe(LONGTAIL, [*TABLE, *settings]), folder, Console(file=io.StringIO())) as context:
        return Finished(folder, complete(context)[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Of a student that reads what is retrieved."""
    return finished(tmp_path_factory.mktemp("runs") / "r", *READS, "evaluation.methods=['std_cot', 'nesycd']")


@pytest.fixture(scope="module")
def calling(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Of a student that looks facts up and reads nothing."""
    return finished(tmp_path_factory.mktemp("runs") / "c", *CALLS, "evaluation.methods=['std_cot', 'nesycd']")


@pytest.fixture(scope="module")
def task() -> LongTail:
    return LongTail(LongTailSettings.model_validate(load_recipe(LONGTAIL).task.settings))


@pytest.fixture
def copy(run: Finished, tmp_path: Path) -> Finished:
    shutil.copytree(run.folder, tmp_path / "copy")
    return replace(run, folder=tmp_path / "copy")


@pytest.fixture
def calling_copy(calling: Finished, tmp_path: Path) -> Finished:
    shutil.copytree(calling.folder, tmp_path / "calling")
    return replace(calling, folder=tmp_path / "calling")


@pytest.fixture(scope="module")
def measured(run: Finished) -> Measurement:
    return run.measure()


@pytest.fixture(scope="module")
def called(calling: Finished) -> Measurement:
    return calling.measure()


BOTH = pytest.mark.parametrize(("where", "what"), [("run", "measured"), ("calling", "called")])


class Reader(TableStudent):
    """Answers by a function of the question and the lines of its context."""

    def __init__(self, name: str, tell: Callable[[Example, list[str]], str], examples: Sequence[Example]) -> None:
        super().__init__()
        self.fingerprint = name
        self._tell = tell
        self._by_question = {example.question: example for example in examples}

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        texts = []
        for prompt in prompts:
            example = next(e for question, e in self._by_question.items() if question in prompt.text)
            lines = [line[2:] for line in prompt.text.splitlines() if line.startswith("- ")]
            texts.append(closing(self._tell(example, lines)))
        return [
            Generation((Segment(text=text),), 1.0, 1.0, prompt_tokens=1, completion_tokens=1, finish="stop")
            for text in texts
        ]


class Caller(TableStudent):
    """Looks up what a question needs, by the names that the question has for it, and answers by what it is told."""

    def __init__(self, task: LongTail, examples: Sequence[Example]) -> None:
        super().__init__()
        self.fingerprint = "caller"
        self._task = task
        self._by_question = {question_of(example): example for example in examples}

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        return [self._answer(prompt, self._by_question[prompt.question]) for prompt in prompts]

    def _answer(self, prompt: Prompt, example: Example) -> Generation:
        assert example.truth is not None
        needed = {fact.id: fact for fact in example.truth.facts}
        look = LookUp([Entry(item=fact, status=Status.APPROVED) for fact in needed.values()])
        segments: list[Segment] = []
        trace: list[Call] = []
        changed = []
        for place in annotate(example, " ".join(example.truth.steps), look, given=True).places:
            segments.append(Segment(text=f" {write(place.name, place.relation)}"))
            assert prompt.tools is not None
            made = prompt.tools.supply("".join(one.text for one in segments), prompt.question, trace)
            assert made is not None
            segments.append(Segment(text=made.text, source="supplied"))
            trace.append(made.call)
            if made.call.kind == "value" and made.call.found != place.object:
                changed.append(needed[place.fact].model_copy(update={"object": made.call.found}))
        closed = Segment(text=f" {closing(self._task.derive(example, changed).answer)}")
        return Generation((*segments, closed), 1.0, 1.0, 1, 1, "stop", tuple(trace))


@BOTH
def test_every_question_is_counted_once_under_every_edit(where: str, what: str, request: pytest.FixtureRequest) -> None:
    run, measured = request.getfixturevalue(where), request.getfixturevalue(what)
    assert len(measured.edits) == COUNT == len({edit.fact.id for edit in measured.edits})
    counted = len(measured.outcomes) + sum(measured.untouched) + measured.without_answer
    assert counted == COUNT * measured.questions == COUNT * 90
    affected = [outcome for outcome in measured.outcomes if outcome.case.affected]
    assert len(affected) >= COUNT / 2
    # What was answered before an edit are the run's own answers, word for word and prediction for prediction.
    own = {one.example: one for one in read_attempts(run.folder, f"eval-{SPLIT}-nesycd")}
    assert measured.outcomes and all(
        o.before.prediction == own[o.case.example.uid].prediction and o.before.answer == own[o.case.example.uid].answer
        for o in measured.outcomes
    )
    assert 0 < sum(outcome.as_wanted for outcome in affected) < len(affected)


@BOTH
def test_outcomes_are_what_the_benchmark_derives(
    where: str, what: str, task: LongTail, request: pytest.FixtureRequest
) -> None:
    measured = request.getfixturevalue(what)
    for outcome in measured.outcomes:
        case = outcome.case
        derived = task.derive(case.example, [case.edit.changed])
        assert case.expected == derived.answer
        assert case.affected == (derived.answer != case.example.answer)
        assert case.affected or case.touched
        assert outcome.before.correct == task.grade(outcome.before.answer, case.example)
        if case.affected:
            wanted = case.example.model_copy(update={"answer": case.expected})
            assert outcome.as_wanted == task.grade(outcome.after.answer, wanted)
        else:
            assert outcome.as_wanted == (outcome.after.answer == outcome.before.answer)
        if not case.touched:
            assert outcome.after is outcome.before
        elif where == "run":
            assert outcome.after.knowledge != outcome.before.knowledge and not looked_up(outcome.after)
        else:
            assert looked_up(outcome.after) != looked_up(outcome.before)
            assert outcome.after.knowledge == outcome.before.knowledge, "lessons and rules do not depend on it"


def looked_up(attempt: Attempt) -> list[tuple[str, str]]:
    return [(call.asked, call.found) for call in attempt.calls if call.name == LOOK_UP]


def test_with_calls_an_edit_touches_exactly_the_questions_whose_trace_has_the_fact(
    calling: Finished, called: Measurement, task: LongTail
) -> None:
    before, base = read_attempts(calling.folder, f"eval-{SPLIT}-nesycd"), calling.context.knowledge.entries
    counts, lost = [], 0

    def is_lost(uid: str, edit: Edit) -> bool:
        """Whether the question has no answer under the edit, and so counts nowhere."""
        try:
            task.derive(examples[uid], [edit.changed])
        except DataError:
            return True
        return False

    examples = {example.uid: example for example in task.load(SPLIT)}
    for place, edit in enumerate(called.edits):
        traced = {one.example for one in before if any(edit.fact.id in call.items for call in one.calls)}
        cases = [outcome.case for outcome in called.outcomes if outcome.case.edit is edit]
        nowhere = {uid for uid in traced if is_lost(uid, edit)}
        assert {case.example.uid for case in cases if case.touched} == traced - nowhere
        lost += len(nowhere)
        # What is neither touched nor affected is only counted.
        assert called.untouched[place] <= called.questions - len(traced)
        # Nothing is read: what the base holds can be looked up.
        held = {normal_triple(one.item) for one in edits.edited(base, edit) if isinstance(one.item, Fact)}
        for case in cases:
            facts = task.derive(case.example, [edit.changed]).facts
            assert case.delivered == (held >= {normal_triple(fact) for fact in facts})
        counts.append(len(traced))
    assert lost <= called.without_answer
    assert COUNT / 2 < sum(counts) < COUNT * called.questions / 4
    # What the edited base says is in the new traces, in the place of what it said.
    touched = [outcome for outcome in called.outcomes if outcome.case.touched]
    for one in touched:
        old, new = one.case.edit.fact, one.case.edit.changed
        told = [call for call in one.after.calls if new.id in call.items]
        # On a way the fact may lead to what the next one says, or to nobody of whom the base knows anything.
        assert told or any(call.kind == "note" for call in one.after.calls)
        assert all(call.found == new.object or len(call.items) > 1 for call in told)
        assert not any(old.id in call.items for call in one.after.calls)
    assert any(one.as_wanted for one in touched if one.case.affected)


def test_one_who_looks_up_follows_wherever_the_trace_has_the_fact(calling_copy: Finished, task: LongTail) -> None:
    examples = task.load(SPLIT)
    made = calling_copy.measure(Caller(task, examples))
    assert all(o.before.correct for o in made.outcomes)
    affected = [o for o in made.outcomes if o.case.affected]
    assert affected and all(o.as_wanted for o in affected if o.case.touched)
    assert not any(o.as_wanted for o in affected if not o.case.touched)
    assert all(o.as_wanted for o in made.outcomes if not o.case.affected)
    # Two edits may touch one question, whose prompt is the same under both.
    counts = Counter(o.case.example.uid for o in made.outcomes if o.case.touched)
    assert max(counts.values()) > 1
    deaf = calling_copy.measure(Reader("deaf", lambda example, lines: example.answer, examples))
    assert not any(o.as_wanted for o in deaf.outcomes if o.case.affected)
    # It makes no calls: it is touched only where the edit changes what a spelled-out way offers.
    ways = {example.uid for example in examples if example.task == "genealogy"}
    assert {o.case.example.uid for o in deaf.outcomes if o.case.touched} <= ways
    assert all(o.as_wanted for o in deaf.outcomes if not o.case.affected)


@BOTH
def test_the_knowledge_base_is_left_as_it_was(where: str, what: str, request: pytest.FixtureRequest) -> None:
    run, measured = request.getfixturevalue(where), request.getfixturevalue(what)
    with KnowledgeBase.open(run.folder / "kb.sqlite") as kb:
        text = export_text(kb)
    for edit in measured.edits:
        assert edit.fact.text in text and edit.changed.text not in text


def test_one_who_reads_follows_and_one_who_does_not_stays(copy: Finished, task: LongTail) -> None:
    examples = task.load(SPLIT)
    facts = [fact for example in examples if example.truth for fact in example.truth.facts]
    false = {changed.text: changed for changed in map(task.counterfactual, facts)}

    def from_block(example: Example, lines: list[str]) -> str:
        return task.derive(example, [false[line] for line in lines if line in false]).answer

    reading = copy.measure(Reader("reads", from_block, examples))
    followed = [o.as_wanted for o in reading.outcomes if o.case.affected and o.case.touched]
    assert followed and all(followed)
    assert all(o.as_wanted for o in reading.outcomes if not o.case.affected)
    assert all(o.before.correct for o in reading.outcomes)
    deaf = copy.measure(Reader("deaf", lambda example, lines: example.answer, examples))
    assert not any(o.as_wanted for o in deaf.outcomes if o.case.affected)
    assert all(o.as_wanted for o in deaf.outcomes if not o.case.affected)


class Interrupted(TableStudent):
    """The table student, interrupted when it is asked for one batch more than `limit`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.batches = limit, 0
        self.batch = 8

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        if self.batches == self.limit:
            raise KeyboardInterrupt
        self.batches += 1
        return super().generate(prompts, **options)


def told(measurement: Measurement) -> list[tuple[Case, str, str, bool]]:
    """The outcomes, the seconds they took aside."""
    return [(o.case, o.before.id, o.after.id, o.as_wanted) for o in measurement.outcomes]


def forget(folder: Path) -> None:
    """Take out the answers under edits, and all that was generated for them alone."""
    stages = folder / "stages"
    known = {one.prediction for path in stages.glob("*-*.verdicts.jsonl") if "edits" not in path.name
             for one in read_attempts(folder, path.name.removesuffix(".verdicts.jsonl"))}  # fmt: skip
    for state in stages.glob("eval-edits*"):
        state.unlink()
    log = RecordLog(folder / FILE, Prediction)
    log.rewrite([one for one in log.read() if one.id in known])


@pytest.mark.parametrize(("where", "what"), [("copy", "measured"), ("calling_copy", "called")])
def test_interrupted_it_goes_on_and_ends_equal(where: str, what: str, request: pytest.FixtureRequest) -> None:
    copy, measured = request.getfixturevalue(where), request.getfixturevalue(what)
    forget(copy.folder)
    whole = Interrupted(100)
    assert told(copy.measure(whole)) == told(measured)
    forget(copy.folder)
    with pytest.raises(KeyboardInterrupt):
        copy.measure(Interrupted(1))
    rest = Interrupted(100)
    assert told(copy.measure(rest)) == told(measured)
    assert rest.batches == whole.batches - 1 > 0
    assert told(copy.measure(Interrupted(0))) == told(measured)
    # The answers themselves gone, what was generated is still there.
    for state in (copy.folder / "stages").glob("eval-edits*"):
        state.unlink()
    assert told(copy.measure(Interrupted(0))) == told(measured)


def test_more_facts_than_there_are_means_all_of_them(copy: Finished) -> None:
    everything = copy.measure(count=10_000)
    assert len(everything.edits) == everything.candidates < 10_000


def test_an_edit_takes_the_place_of_its_fact_alone() -> None:
    fact = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet", aliases=("fathoms",))
    other = fact.model_copy(update={"text": "A span is 9 inches.", "subject": "span", "object": "9 inches"})
    entries = [Entry(item=item, status=Status.APPROVED) for item in (fact, other)]
    changed = fact.model_copy(update={"text": "A fathom is 7 feet.", "object": "7 feet"})
    after = edits.edited(entries, Edit(fact, changed))
    assert [entry.item for entry in after] == [changed, other]
    assert [entry.item for entry in entries] == [fact, other]


def test_only_needed_and_retrieved_facts_are_drawn_and_keep_the_aliases_of_the_kb(task: LongTail) -> None:
    example = next(e for e in task.load(SPLIT) if e.truth and len(e.truth.facts) > 1)
    assert example.truth is not None
    needed, missed = example.truth.facts[:2]
    stranger = next(fact for fact in task.world().facts if fact not in example.truth.facts)
    own = needed.model_copy(update={"subject": needed.subject.upper(), "aliases": ("x",)})
    candidates = edits.needed_and_found([example], {example.uid: (stranger, own)})
    assert candidates == {own.id: (own, needed)} and missed.id not in candidates
    [edit] = edits.choose(candidates, task, 5, seed=1)
    assert edit.fact == own and edit.changed.aliases == ("x",)
    assert edit.changed.triple == task.counterfactual(needed, 1).triple != needed.triple


def test_an_edit_after_which_a_question_has_no_answer_counts_nowhere(task: LongTail) -> None:
    kin = [e for e in task.load(SPLIT) if e.task == "genealogy"]
    assert kin[0].truth is not None
    fact = kin[0].truth.facts[0]
    nobody = fact.model_copy(update={"object": "Nobody at all", "text": "No text."})
    others = [fact for example in kin if example.truth for fact in example.truth.facts]
    base = [Entry(item=one, status=Status.APPROVED) for one in (*others, nobody)]
    for found, called in (({e.uid: () for e in kin}, ()), (None, {e.uid for e in kin})):
        cases, untouched, lost = edits.cases_of(task, Edit(fact, nobody), kin, found, {}, called, base)
        assert lost >= 1 and len(cases) + untouched + lost == len(kin)
        assert kin[0].uid not in {case.example.uid for case in cases}
        # Where nothing is read, what the base holds can be looked up.
        assert {case.delivered for case in cases} == ({True} if found is None else set())
        assert {case.touched for case in cases} == ({True} if called else set())


@pytest.mark.slow
def test_where_edits_cannot_be_measured(tmp_path: Path) -> None:
    def measuring(*overrides: str, recipe: Path = LONGTAIL) -> Measurement:
        settings = load_recipe(recipe, ["student.model=table", "task.limit=30", *overrides])
        with opened(settings, tmp_path / "r", Console(file=io.StringIO())) as context:
            edits.check(context)
            return measure(complete(context)[0], 5)

    # Whichever methods and splits the run answers: S_E is asked for what they leave open, and answers the same.
    usual = measuring("evaluation.splits=['test']")
    assert usual.edits and usual.outcomes
    assert told(measuring("evaluation.splits=['test']", "evaluation.methods=['std_cot']")) == told(usual)
    assert told(measuring("evaluation.splits=['ood_unseen']")) == told(usual)
    with pytest.raises(DataError, match="no approved fact"):
        measuring("knowledge.kinds=['lesson']")
    with pytest.raises(ReviewWaits, match="items wait for review"):
        measuring("knowledge.review=human")
    (tmp_path / "q.jsonl").write_text("".join(f'{{"question": "{n}?", "answer": "1"}}\n' for n in range(30)))
    own = tmp_path / "own.toml"
    own.write_text(f'name = "o"\n[task]\nname = "jsonl"\n[task.settings]\npath = "{tmp_path / "q.jsonl"}"\n')
    with pytest.raises(ConfigError, match="'jsonl' cannot say"):
        measuring("teacher.name=scripted", recipe=own)
