"""Induction and the gate for lessons in a run: what is asked, what passes, and that nothing is done twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nesycd.api import build
from nesycd.api.build import build_parts
from nesycd.api.running import opened
from nesycd.core.answers import Attempt
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError
from nesycd.core.judgements import LessonJudgement
from nesycd.core.protocols import Decoding, ErrorCase, ErrorCluster, Generation, Prompt
from nesycd.core.records import Evidence, Example, Item, Lesson, Rule, Status
from nesycd.core.segments import Segment
from nesycd.grading import closing
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.queue import waiting
from nesycd.methods.context import Context
from nesycd.methods.distil import distil
from nesycd.methods.judge_lessons import induced, judged_lessons
from nesycd.runs.run import read_records
from nesycd.stages import collect, diagnose, induce
from nesycd.students.table import TableStudent
from nesycd.teachers.expert import ExpertTeacher
from nesycd.teachers.scripted import ScriptedTeacher

RECIPES = Path(__file__).parents[2] / "recipes"
SMALL = [
    "student.model=table",
    "task.sizes={train = 72, valid = 6, test = 6}",
    "knowledge.induction=true",
    "knowledge.gate=[]",
]
GOOD, ANY, BAD = (Lesson(text=text) for text in ("Do it right.", "Read on slowly.", "Think of something else."))


class Heeding(TableStudent):
    """Knows every answer once it reads the good lesson, and finds texts likelier where it reads anything."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__()
        self._answers = answers
        self.asked = 0

    def least_likely(
        self, prompts: Sequence[Prompt], completions: Sequence[str], *, adapter: Path | None
    ) -> list[float]:
        self.asked += len(prompts)
        plain = super().least_likely(prompts, completions, adapter=adapter)
        gains = [4.0 if GOOD.text in one.text else 0.5 if "- " in one.text else 0.0 for one in prompts]
        return [
            value + gain + len(text) % 7 / 10 * gain
            for value, gain, text in zip(plain, gains, completions, strict=True)
        ]

    def generate(
        self, prompts: Sequence[Prompt], *, adapter: Path | None, decoding: Decoding, **options: object
    ) -> list[Generation]:
        self.asked += len(prompts)
        plain = super().generate(prompts, adapter=adapter, decoding=decoding)
        return [self._heeding(prompt, made) for prompt, made in zip(prompts, plain, strict=True)]

    def _heeding(self, prompt: Prompt, made: Generation) -> Generation:
        known = [answer for question, answer in self._answers.items() if question in prompt.text]
        if GOOD.text not in prompt.text or not known:
            return made
        return replace(made, segments=(Segment(text=closing(known[0])),), trace=())


@contextmanager
def finished(folder: Path, *overrides: str) -> Iterator[Context]:
    """A run's context after its steps, with a student that heeds lessons."""
    with opened(load_recipe(RECIPES / "longtail.toml", [*SMALL, *overrides]), folder) as context:
        told = {e.uid: f"{' '.join(e.truth.steps)} {closing(e.answer)}" for e in context.train if e.truth}
        teacher = ScriptedTeacher(told, lambda case: (), inductions=lambda cluster: (GOOD, ANY))
        student = Heeding({example.question: example.answer for example in context.train})
        context = replace(context, student=student, teacher=teacher)
        steps = distil(context)
        assert steps is not None
        yield context.after(steps)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    with finished(folder):
        return folder


@pytest.fixture
def done(made: Path, tmp_path: Path) -> Iterator[Context]:
    shutil.copytree(made, tmp_path / "r")
    with finished(tmp_path / "r") as context:
        yield context


def judge(context: Context, proposals: list[tuple[Item, Evidence]]) -> dict[str, LessonJudgement]:
    steps = context.distilled
    made = judged_lessons(context, context.train, steps.kept, steps.collected, proposals)
    return {one.item: one for one in made}


def changed(context: Context, section: str, **settings: object) -> Context:
    """The context with settings of its recipe changed."""
    other = getattr(context.recipe, section).model_copy(update=settings)
    return replace(context, recipe=context.recipe.model_copy(update={section: other}))


def from_errors(context: Context, *items: Item) -> list[tuple[Item, Evidence]]:
    """Each item with the errors of one task in the first fold as evidence."""
    steps = context.distilled
    groups: dict[str, list[str]] = {}
    for case in diagnose.cases(context.train, steps.kept, steps.collected.attempts):
        if case.attempt.solver == "fold-0":
            groups.setdefault(case.example.task, []).append(case.example.uid)
    largest = sorted(groups.values(), key=len, reverse=True)
    return [
        (item, Evidence(example=uid, source="t")) for item, uids in zip(items, largest, strict=False) for uid in uids
    ]


def test_each_cluster_is_asked_about_once_and_all_its_errors_are_evidence(done: Context) -> None:
    steps = done.distilled
    assert (
        induced(changed(done, "knowledge", induction=False), done.train, steps.kept, steps.collected.attempts, []) == []
    )
    made = induced(done, done.train, steps.kept, steps.collected.attempts, [])
    wrong = {attempt.example for attempt in collect.errors(steps.collected.attempts)}
    assert len(made) > 3 and {uid for one in made for uid in one.examples} <= wrong
    fold = {attempt.example: attempt.solver for attempt in steps.collected.attempts}
    assert all(len({fold[uid] for uid in one.examples}) == 1 for one in made)
    pairs = induce.proposals(made)
    assert len(pairs) == 2 * sum(len(one.examples) for one in made)


def test_a_good_lesson_passes_and_one_that_is_as_good_as_any_fails(done: Context) -> None:
    found = judge(done, from_errors(done, GOOD, ANY, BAD))
    assert {one.verdict for one in found.values()} == {"passed", "failed"}
    good = found[GOOD.id]
    assert good.verdict == "passed" and good.repaired > good.broken == 0 and good.gain and good.control and good.p
    assert good.gain > good.control > 1 > 0.01 > good.p and good.answered == good.questions >= 3
    for item in (ANY, BAD):
        one = found[item.id]
        assert one.verdict == "failed" and one.gain and one.gain > 0.4 and one.p and one.p > 0.05
        assert one.answered == 0 and "against an item for other questions" in one.told
    tried = [*done.run.folder.glob("stages/lessons-answered-*.jsonl")]
    assert tried and (done.run.folder / "stages" / "lessons.jsonl").exists()


def test_what_was_judged_is_read_back(done: Context) -> None:
    pairs = from_errors(done, GOOD, ANY, BAD)
    before = judge(done, pairs)
    student = done.student
    assert isinstance(student, Heeding)
    asked = student.asked
    assert judge(done, pairs) == before and student.asked == asked


def test_in_a_run_with_induction_what_fails_stays_proposed_with_its_figures(tmp_path: Path) -> None:
    with finished(tmp_path / "r", 'knowledge.gate=["fact"]') as context:
        judged = {one.item: one for one in read_records(context.run.folder, "lessons", LessonJudgement)}
        wrong = {attempt.example for attempt in collect.errors(context.distilled.collected.attempts)}
        with KnowledgeBase.open(context.run.kb_path) as kb:
            entries = {entry.item_id: entry for entry in kb.entries()}
            waits = {one.entry.item_id: one.reasons for one in waiting(kb)}
        assert {item: entry.status for item, entry in entries.items()} == {
            GOOD.id: Status.APPROVED,
            ANY.id: Status.PROPOSED,
        }
        assert {one.example for one in entries[GOOD.id].evidence} <= wrong and len(entries[GOOD.id].evidence) > 6
        assert judged[GOOD.id].verdict == "passed" and judged[ANY.id].told in waits[ANY.id][0]


def test_without_folds_and_without_evidence_nothing_is_judged(done: Context) -> None:
    context = changed(done, "collection", mode="in_sample")
    assert judge(context, [(GOOD, Evidence(example="", source="a file"))]) == {}
    [one] = judge(context, from_errors(context, GOOD)).values()
    assert one.verdict == "unjudged" and "in_sample" in one.told


def test_a_teacher_that_cannot_be_asked_is_told_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'name = "r"\n[task]\nname = "longtail"\n[teacher]\ndiagnose = "mine"\n[knowledge]\ninduction = true\n'
    )
    told = r"r\.toml:7: knowledge\.induction: the teacher .*cannot be asked about clusters.*set teacher\.diagnose=api"
    with pytest.raises(ConfigError, match=told):
        build_parts(load_recipe(tmp_path / "r.toml"))


def test_the_expert_proposes_the_rules_that_most_errors_lack() -> None:
    task = build.task_of(load_recipe(RECIPES / "longtail.toml", SMALL))
    teacher = ExpertTeacher(task.derive)  # type: ignore[attr-defined]
    needed: dict[Rule, list[Example]] = {}
    for example in task.load("train"):
        for rule in example.truth.rules if example.truth else ():
            needed.setdefault(rule, []).append(example)
    (common, alike), (other, strange) = sorted(needed.items(), key=lambda pair: -len(pair[1]))[:2]

    def proposed(*wrong: tuple[Example, str]) -> tuple[Item, ...]:
        attempts = [Attempt(example=e.uid, solver="s", response=said) for e, said in wrong]
        cases = (ErrorCase(e, None, attempt) for (e, _), attempt in zip(wrong, attempts, strict=True))
        [made] = teacher.inductions([ErrorCluster(tuple(cases))])
        assert not made.failure
        return made.items

    errors = [(example, "No idea.") for example in (*alike[:3], strange[0])]
    assert common in proposed(*errors) and other not in proposed(*errors)
    assert common not in proposed(*errors[:2], (strange[0], "No idea."), (strange[1], "No idea."))
    assert proposed(*((e, " ".join(e.truth.steps)) for e in alike[:3] if e.truth)) == (), "only the closing was wrong"
