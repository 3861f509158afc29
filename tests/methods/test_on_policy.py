"""Training on sampled answers, with the table student: rejection sampling, and distillation on policy in rounds."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from nesycd.api.running import complete, finish, is_beside, opened
from nesycd.core.answers import Attempt
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.records import Example, Retrieval, Targets, TrainingText
from nesycd.core.segments import Segment, own
from nesycd.methods import on_policy, table
from nesycd.methods.context import Context
from nesycd.methods.evaluate import by_student
from nesycd.methods.sampling import Sampled, right_and_new
from nesycd.methods.table import METHODS
from nesycd.reports.comparison_costs import _trainings
from nesycd.reports.folder import Row
from nesycd.reports.supervision import Sources, supervision
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states
from nesycd.students.table import TableStudent

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
NAMES = ("std_cot_rs", "nesycd_rs", "on_policy", "nesycd_on_policy")
SMALL = ["student.model=table", "evaluation.bootstrap=50", 'evaluation.splits=["test"]', "task.limit=24"]
SMALL += [f'evaluation.methods=["std_cot", "nesycd", {", ".join(map(repr, NAMES))}]'.replace("'", '"')]
SMALL += ["compare.samples=2", "on_policy.rounds=2"]


class Scored(list[tuple[str, tuple[Segment, ...]]]):
    """The prompts and completions that the teacher read."""


@pytest.fixture(scope="module")
def scored() -> Iterator[Scored]:
    found, plain = Scored(), TableStudent.likeliest

    def likeliest(self: TableStudent, prompts: Sequence[str], completions: Any, **options: Any) -> list[Targets]:
        found.extend(zip(prompts, map(tuple, completions), strict=True))
        return plain(self, prompts, completions, **options)

    TableStudent.likeliest = likeliest  # type: ignore[method-assign]
    yield found
    TableStudent.likeliest = plain  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, scored: Scored) -> Iterator[Context]:
    """Of a run that was interrupted in the second round and went on."""
    folder = tmp_path_factory.mktemp("runs") / "r"
    plain = TableStudent.train

    def interrupted(self: TableStudent, texts: Any, settings: Any, made: Path, **options: Any) -> Any:
        if made.name == "train-on_policy":
            raise KeyboardInterrupt
        return plain(self, texts, settings, made, **options)

    TableStudent.train = interrupted  # type: ignore[method-assign]
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            opened(load_recipe(LONGTAIL, SMALL), folder, Console(file=io.StringIO())) as begun,
        ):
            complete(begun)
    finally:
        TableStudent.train = plain  # type: ignore[method-assign]
    asked = len(scored)
    with opened(load_recipe(LONGTAIL, SMALL), folder, Console(file=io.StringIO())) as begun:
        made, _ = complete(begun)
        finish(made)
        again = [one for one in scored[asked:] if one in scored[:asked]]
    assert asked and not again, "what the teacher said is not asked again"
    yield made


def texts(context: Context, stage: str) -> list[TrainingText]:
    return read_records(context.run.folder, f"texts-{stage}", TrainingText)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_trained_for_as_many_completion_tokens_as_all(context: Context, name: str) -> None:
    states = read_states(context.run.folder)
    budget = context.distilled.summary["completion_tokens"]["nesycd"]
    lineage = [f"train-{name}.0", f"train-{name}.1", f"train-{name}"] if METHODS[name].rounds else [f"train-{name}"]
    assert [
        one for one in states if one.startswith(f"train-{name}") and not one.startswith(f"train-{name}_")
    ] == lineage
    trained = [states[one]["metadata"]["completion_tokens"] for one in lineage]
    longest = max(len(text.completion.split()) for text in texts(context, name))
    assert abs(sum(trained) - budget) <= longest * len(lineage), "to within a text each"
    own_stages, needed = _trainings(Row(METHODS[name], {0: context.run.folder}, name), states, started=False)
    assert own_stages == lineage and set(lineage) <= set(needed)
    if METHODS[name].rounds:
        assert trained == pytest.approx([budget * 3 / 4, budget / 8, budget / 8], abs=2 * longest)
        assert states[f"teach-{name}"]["metadata"]["completion_tokens"] == pytest.approx(budget, abs=longest)
        assert f"teach-{name}" in needed and f"teach-{name}" not in own_stages
    like = {"std_cot_rs": "general", "nesycd_rs": "augmented"}.get(name)
    assert like is None or like in needed, "the student that wrote the answers was trained too"
    sampled = sum(states[one]["metadata"].get("sampled_tokens", 0) for one in lineage)
    stages = [one for one in states if one.startswith(f"sample-{name}.") and not one.endswith(".verdicts")]
    assert sampled == sum(a.completion_tokens for one in stages for a in read_attempts(context.run.folder, one)) > 0


def test_in_each_round_the_student_answers_as_on_test_and_the_teacher_reads_what_is_needed(
    context: Context, scored: Scored
) -> None:
    train = {example.uid: example for example in context.train}
    for name in ("on_policy", "nesycd_on_policy"):
        shown = {
            one.example: one.items for one in read_records(context.run.folder, f"found-{name}", Retrieval) if one.items
        }
        asked = []
        for number in (1, 2):
            made = texts(context, f"{name}.{number}")
            attempts = {one.example: one for one in read_attempts(context.run.folder, f"sample-{name}.{number}")}
            assert {text.example for text in made} == attempts.keys() and len(made) == len(attempts)
            for text in made:
                question = train[text.example].question
                assert question in text.prompt and attempts[text.example].response
                items = [item.text for item in shown[text.example]]
                [teacher] = {prompt for prompt, segments in scored if segments == text.segments and question in prompt}
                assert items and all(item in teacher for item in items)
                facts = [item.text for item in shown[text.example] if item.kind == "fact"]
                assert not any(f"- {fact}" in text.prompt for fact in facts), "the student does not read them"
                assert len(text.targets) == 1 + len(text.own_text.split()), "what is supplied has no target"
            asked += [text.example for text in made]
        assert len(set(asked)) == min(len(asked), len(shown)), "every question once, as long as there are others"
    supplied = [
        one for text in texts(context, "nesycd_on_policy.1") for one in text.segments if one.source == "supplied"
    ]
    assert supplied, "it looks facts up as on test"
    begun, taught = texts(context, "on_policy"), texts(context, "on_policy.0")
    assert {text.task for text in begun} == {"direct"} and len(begun) == len(context.distilled.kept)
    shown = [one for one in read_records(context.run.folder, "found-on_policy", Retrieval) if one.items]
    assert [text.example for text in taught] == [one.example for one in shown], (
        "its teacher reads the same after knowledge"
    )
    assert all(item.text in text.prompt for text, one in zip(taught, shown, strict=True) for item in one.items)


def test_nothing_is_done_twice(context: Context) -> None:
    folder = context.run.folder
    before = {path: path.stat().st_mtime_ns for path in [*(folder / "stages").iterdir(), folder / "predictions.jsonl"]}
    said = io.StringIO()
    with opened(load_recipe(LONGTAIL, SMALL), folder, Console(file=said)) as begun:
        made, _ = complete(begun)
        finish(made)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "removed" not in said.getvalue()
    for stage in (
        "sample-on_policy.1.verdicts",
        "texts-on_policy.2",
        "teach-on_policy",
        "train-on_policy.0",
        "found-on_policy",
    ):
        assert (folder / "stages" / f"{stage}.json").exists()
        assert is_beside(stage) and is_beside(stage, {"std_cot"}) and not is_beside(stage, {"on_policy"})


def test_right_answers_are_added_once_and_wrong_or_cut_ones_never() -> None:
    example = Example(uid="t/1", task="t", split="train", question="How many feet are 4 fathoms?", answer="24")

    def answer(text: str, correct: bool = True, **fields: Any) -> Sampled:
        found = Attempt(example=example.uid, solver="std_cot", response=text, correct=correct, **fields)
        return Sampled(example, found, "Q", own(text) if text else (), ())

    before = [TrainingText(example=example.uid, task="direct", prompt="Q", segments=own("4 x 6 = 24."))]
    call = (Segment(text="[fathoms | makes]"), Segment(text=" 6 feet", source="supplied"), Segment(text=": 24."))
    looked = Sampled(example, answer("x").attempt.model_copy(update={"knowledge": ("a",)}), "Q, and more", call, ())
    made = right_and_new(
        [
            answer("4  x 6 = 24. "),
            answer("6 x 4 = 24."),
            answer("6 x 4\n= 24."),
            answer("6 x 4 = 42.", correct=False),
            answer("6 x 4 = 24 and", finish="length"),
            answer(""),
            looked,
        ],
        before,
    )
    assert [(text.completion, text.task) for text in made] == [
        ("6 x 4 = 24.", "direct"),
        ("[fathoms | makes] 6 feet: 24.", "augmented"),
    ]
    assert made[1].segments == call and made[1].prompt == "Q, and more"


def test_a_teacher_that_knows_no_more_is_none(context: Context) -> None:
    nothing = SimpleNamespace(retriever=SimpleNamespace(retrieve=lambda *a, **b: []), fingerprint="empty")
    run = SimpleNamespace(computed=lambda name, kind, inputs, make: make())
    parts: Any = SimpleNamespace(distilled=context.distilled, knowledge=nothing, train=context.train, run=run)
    with pytest.raises(DataError, match=r"on_policy: the knowledge base has nothing .* on_policy\.server"):
        on_policy._needed(parts, METHODS["on_policy"])


def test_a_teacher_on_a_server_reads_the_prompt_after_worked_ones(context: Context) -> None:
    served = load_recipe(LONGTAIL, [*SMALL, 'on_policy.server="http://127.0.0.1:9/v1"', 'on_policy.model="big"'])
    [method, ours] = [table.as_trained(METHODS[name], served) for name in ("on_policy", "nesycd_on_policy")]
    assert METHODS["on_policy"].uses_base and not method.uses_base and ours.uses_base
    given = Sources("gold proofs", "", judge="big")
    assert supervision(method, given) == "gold proofs; log-probabilities of big"
    begun = [text for text in texts(context, "on_policy") if text.task == "direct"]
    example = next(one for one in context.train if one.uid == begun[0].example)
    attempt = Attempt(example=example.uid, solver="on_policy", response="x")
    [prompt] = on_policy._shots([Sampled(example, attempt, begun[0].prompt, own("x"), ())], begun)
    *shots, last = prompt.split("\n\n")
    assert last == begun[0].prompt and len(shots) == on_policy.SHOTS
    of = {f"{text.prompt}\n{text.completion}": text.example for text in begun}
    assert all(of[shot] != example.uid for shot in shots)
    with pytest.raises(ConfigError, match="has no tokens that a teacher could read"):
        next(on_policy._targets(SimpleNamespace(recipe=served, student=context.student), ["Q"], [], None))  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", ['on_policy.model="big"', 'on_policy.server="http://localhost:8000/v1"'])
def test_a_server_and_its_model_are_named_together(setting: str) -> None:
    with pytest.raises(ConfigError, match="server and model belong together"):
        load_recipe(LONGTAIL, [setting])


def test_methods_that_ask_one_student_are_answered_one_after_the_other() -> None:
    groups = by_student(
        [METHODS[name] for name in ("nesycd", "nesycd_rs", "raft_kb", "raft_kb_rs", "std_cot_rs", "nesycd_routed")]
    )
    assert [[one.name for one in group] for group in groups.values()] == [
        ["nesycd", "nesycd_rs", "std_cot_rs", "nesycd_routed"],
        ["raft_kb", "raft_kb_rs"],
    ]
