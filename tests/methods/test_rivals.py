"""Every rival in a run folder with the table student: what it is asked and trained on, and that nothing is done twice."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from nesycd.api.checks import check
from nesycd.api.running import complete, finish, is_beside, opened
from nesycd.calls import Calls, question_of
from nesycd.core.answers import Answer
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Generation, Prompt
from nesycd.core.records import Example, TrainingText
from nesycd.methods import table
from nesycd.methods.context import Context
from nesycd.methods.evaluate import Scored, score
from nesycd.methods.table import METHODS
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states
from nesycd.students.table import TableStudent

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = ["student.model=table", "evaluation.bootstrap=50", 'evaluation.methods=["std_cot", "nesycd"]', "task.limit=24"]
SMALL += ['evaluation.splits=["test"]', "compare.max_passes=6"]
RIVALS = [method for method in METHODS.values() if method.role == "rival" and not (method.beside or method.like)]


class Asked(dict[str, dict[str, str]]):
    """Adapter's name -> hash of what was asked -> the prompt that the student read."""


@pytest.fixture(scope="module")
def asked() -> Iterator[Asked]:
    found = Asked()
    plain = TableStudent.generate

    def generate(self: TableStudent, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        adapter = options["adapter"]
        found.setdefault(adapter.name if adapter else "", {}).update({one.key: one.text for one in prompts})
        return plain(self, prompts, **options)

    TableStudent.generate = generate  # type: ignore[method-assign]
    yield found
    TableStudent.generate = plain  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, asked: Asked) -> Iterator[Context]:
    folder = tmp_path_factory.mktemp("runs") / "r"
    with opened(load_recipe(LONGTAIL, SMALL), folder, Console(file=io.StringIO())) as begun:
        made, scored = complete(begun)
        score(made, [*RIVALS, METHODS["few_shot"]], "test", scored)
        finish(made)
        yield made


def read(context: Context, asked: Asked, name: str, part: str = "") -> dict[str, str]:
    """`Example.uid` -> what a method's student read last."""
    folder = context.run.folder
    known = context.run.predictions.by_id
    read = {key: text for prompts in asked.values() for key, text in prompts.items()}
    stage = f"eval-test-{name}{part}"
    return {one.example: read[known[one.predictions[-1]].key] for one in read_records(folder, stage, Answer)}


def texts(context: Context, name: str) -> list[TrainingText]:
    return read_records(context.run.folder, f"texts-{name}", TrainingText)


def question(context: Context) -> Example:
    """A test question for which the knowledge base and the corpus have something."""
    knows = context.knowledge.retriever
    return next(e for e in context.examples("test") if knows.retrieve(e.question, task=e.task))


@pytest.mark.parametrize("name", [method.name for method in RIVALS if method.train is not None])
def test_each_is_trained_from_the_base_for_as_many_completion_tokens(context: Context, name: str) -> None:
    states = read_states(context.run.folder)
    budget = context.distilled.summary["completion_tokens"]["nesycd"]
    # What is supplied is not learned.
    one_pass = sum(context.student.count_tokens([text.own_text for text in texts(context, name)]))
    seen = states[f"train-{name}"]["metadata"]["completion_tokens"]
    longest = max(len(text.completion.split()) for text in texts(context, name))
    wanted = min(budget, 6 * (one_pass + len(texts(context, name))))
    assert abs(seen - wanted) <= 32 * longest, "to within a batch"
    kept = {e.uid for e in context.train if e.uid in context.distilled.kept}
    trained = {text.example for text in texts(context, name) if text.task != "memorisation"}
    # Some rationales become no program.
    assert trained == kept or (name == "program" and len(kept) / 2 < len(trained) < len(kept) and trained < kept)


def test_what_each_is_asked_on_test_is_what_it_was_trained_on(context: Context, asked: Asked) -> None:
    """The same renderer makes training and test prompts: only the question, and what was found, differ."""
    example = question(context)
    line = f"Question: {example.question}"
    items = [hit.item.text for hit in context.knowledge.retriever.retrieve(example.question, task=example.task)]
    assert context.corpus is not None
    passages = [one.text for one in context.corpus.find(example.question, 4)]
    block = "Knowledge:\n" + "\n".join(f"- {text}" for text in items) + "\n"

    def over(count: int) -> str:
        return "Knowledge:\n" + "\n".join(f"- {text}" for text in passages[:count]) + "\n"

    whole = table.most_evident(context.distilled.entries)
    bare = "\nGive only the answer."
    offered = Calls(context.knowledge.look_up).offers(question_of(example))
    calls = f"\nLook up: {' '.join(offered)}"
    assert offered and offered == Calls(context.rationale_items.look_up).offers(question_of(example))
    expected = {
        "answer_ft": line + bare,
        "step_by_step": line + bare,
        "mt_cot": line + bare,
        "ka_ft_kb": block + line + bare,
        "ka_ft_corpus": over(3) + line + bare,
        "kard_kb": block + line,
        "kard_corpus": over(3) + line,
        "raft_kb": block + line,
        "raft_corpus": over(4) + line,
        "raft_whole": "Knowledge:\n" + "\n".join(f"- {item.text}" for item in whole) + f"\n{line}",
        "facts_in_weights": line,
        "program": line,
        # Who may look facts up is told which.
        "std_cot_calls": line + calls,
        "kard_calls": block + line + calls,
        "raft_calls": block + line + calls,
    }
    assert expected.keys() == {method.name for method in RIVALS if method.train is not None} - {"cascod"}
    for name, prompt in expected.items():
        assert read(context, asked, name)[example.uid] == prompt, name
        assert prompt in asked[f"train-{name}"].values(), "by a student of its own"


def test_cascod_is_asked_twice_and_the_second_time_with_its_own_rationale(context: Context, asked: Asked) -> None:
    example = question(context)
    folder = context.run.folder
    last = {one.example: one for one in read_attempts(folder, "eval-test-cascod")}
    known = context.run.predictions.by_id
    drafts = {one.example: known[one.predictions[0]] for one in read_records(folder, "eval-test-cascod-first", Answer)}
    first = drafts[example.uid]
    written = first.text
    second = f"Question: {example.question}\nRationale: {' '.join(written.split())}\nTherefore, the answer is"
    assert read(context, asked, "cascod", "-first")[example.uid] == f"Question: {example.question}"
    assert read(context, asked, "cascod")[example.uid] == second
    assert last[example.uid].response.startswith(f"{written} Therefore, the answer is ")
    # Both answers cost.
    alone = known[last[example.uid].prediction]
    for cost in ("prompt_tokens", "completion_tokens"):
        both = getattr(first, cost) + getattr(alone, cost)
        assert getattr(last[example.uid], cost) == both > getattr(first, cost)


def test_training_reads_what_the_rationale_finds_and_hides_what_the_question_gave_rise_to(context: Context) -> None:
    assert context.corpus is not None
    for text in texts(context, "kard_corpus")[:8]:
        rationale = context.distilled.kept[text.example].text
        assert text.knowledge == tuple(one.id for one in context.corpus.find(rationale, 3))
    hidden = {example.uid: context.single_source(example) for example in context.train}
    for name in ("kard_kb", "raft_kb", "kard_calls", "raft_calls"):
        checked = [text for text in texts(context, name) if hidden[text.example]]
        assert checked and not any(set(text.knowledge) & hidden[text.example] for text in checked), name


def test_raft_over_the_whole_base_trains_with_all_of_it_in_another_order_each_time(context: Context) -> None:
    every = {entry.item_id for entry in context.distilled.entries}
    hidden = {example.uid: context.single_source(example) for example in context.train}
    made = texts(context, "raft_whole")
    # Each fact of so few questions is of one alone, so that none is needed and none is left out.
    assert all(set(text.knowledge) == every - hidden[text.example] and len(every) > 10 for text in made)
    assert len({text.knowledge for text in made}) == len(made)


def test_the_untrained_read_knowledge_and_worked_examples(context: Context, asked: Asked) -> None:
    folder = context.run.folder
    told = read_attempts(folder, "eval-test-zero_shot_kb")
    assert any(one.knowledge for one in told) and all(one.solver == "zero_shot_kb" for one in told)
    example = question(context)
    whole = {one.example: one for one in read_attempts(folder, "eval-test-whole_kb")}[example.uid]
    assert set(whole.knowledge) == {entry.item_id for entry in context.distilled.entries}
    assert read(context, asked, "zero_shot_kb")[example.uid].startswith("Knowledge:\n")
    shown = read(context, asked, "few_shot")[example.uid]
    assert shown.startswith("Q: ") and shown.endswith(f"\n\nQ: {example.question}\nA:") and shown.count("\nA: ") == 3
    train = {one.question for one in context.train}
    assert all(any(question in part for question in train) for part in shown.split("\n\n")[:-1])


def test_a_second_run_does_nothing_again_and_a_plain_run_keeps_the_rivals(context: Context) -> None:
    folder = context.run.folder
    before = {path: path.stat().st_mtime_ns for path in [*(folder / "stages").iterdir(), folder / "predictions.jsonl"]}
    score(context, RIVALS, "test", Scored({}, {}, {}, {}, {}))
    finish(context)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    own = {"std_cot", "nesycd"}
    stages = {"texts-kard_kb", "size-kard_kb", "train-kard_kb", "eval-test-cascod-first", "eval-test-cascod.verdicts"}
    assert stages <= read_states(folder).keys()
    assert all(is_beside(stage, own) and is_beside(stage) for stage in stages)
    assert not any(is_beside(stage, own) for stage in ("eval-test-nesycd", "eval-test-std_cot.verdicts", "general"))


def test_a_method_that_needs_a_corpus_says_where_to_get_one(context: Context) -> None:
    methods = [METHODS["cascod"], METHODS["kard_corpus"]]
    parts: Any = SimpleNamespace(recipe=context.recipe, task=context.task, corpus=context.corpus)
    check(methods, parts, ["test"], lambda changes: context.recipe)
    parts.corpus = None
    check(methods[:1], parts, ["test"], lambda changes: context.recipe)
    with pytest.raises(ConfigError, match=r"kard_corpus retrieves .* compare.corpus"):
        check(methods, parts, ["test"], lambda changes: context.recipe)


def test_the_whole_base_is_read_by_the_student_that_saw_as_much_as_all_others(context: Context) -> None:
    assert METHODS["whole_kb"].student == "std_cot" != METHODS["whole_kb"].name
    longer = replace(context.distilled.std_cot, fingerprint="trained on, since S_E began from S_P")
    train = METHODS["std_cot"].train
    assert train is not None
    assert train(replace(context, steps=replace(context.distilled, std_cot=longer)), METHODS["std_cot"]) == longer
    stored = {one.student for one in context.run.predictions.by_id.values()}
    [whole] = {context.run.predictions.by_id[one.prediction].student
               for one in read_attempts(context.run.folder, "eval-test-whole_kb")}  # fmt: skip
    assert whole == context.distilled.std_cot.fingerprint and whole in stored


def test_the_whole_base_begins_with_what_is_most_evident(context: Context) -> None:
    *others, last = sorted(context.distilled.entries, key=lambda entry: -len(entry.evidence))
    told = last.model_copy(update={"evidence": last.evidence * 100})
    order = table.most_evident((*others, told))
    assert order[0] == last.item and table.most_evident(context.distilled.entries)[0] != last.item
    whole = read_attempts(context.run.folder, "eval-test-whole_kb")[0]
    assert whole.knowledge == tuple(item.id for item in table.most_evident(context.distilled.entries))
