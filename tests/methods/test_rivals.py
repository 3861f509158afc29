"""Every rival in a run folder with the table student: what it is asked and trained on, and that nothing is done twice."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd.cli.run import complete, finish, opened
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Generation, Prompt
from nesycd.core.records import Attempt, Example, TrainingText
from nesycd.methods import rivals
from nesycd.methods.rivals import RIVALS, Shared, corpus_of, run_rival
from nesycd.prompts import RivalPrompts
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states
from nesycd.students.table import TableStudent

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"
SMALL = ["student.model=table", "evaluation.bootstrap=50", 'evaluation.arms=["std_cot", "nesycd"]', "task.limit=24"]
SMALL += ['evaluation.splits=["test"]', "compare.max_passes=6"]


class Asked(dict[str, dict[str, str]]):
    """Adapter's name -> key -> the prompt that the student read."""


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
def shared(tmp_path_factory: pytest.TempPathFactory, asked: Asked) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("runs") / "r"
    with opened(load_recipe(QUICKSTART, SMALL), folder, Console(file=io.StringIO())) as parts:
        trained, _ = complete(parts)
        made = Shared(parts, trained, RivalPrompts.load(), corpus_of(parts.task, []))
        for name in RIVALS:
            run_rival(made, name, ["test"])
        finish(parts)
        yield made


def texts(shared: Shared, name: str) -> list[TrainingText]:
    return read_records(shared.parts.run.folder, f"rival-{name}-texts", TrainingText)


def question(shared: Shared) -> Example:
    """A test question for which the knowledge base and the corpus have something."""
    knows = shared.knowledge.retriever
    return next(e for e in shared.parts.examples("test") if knows.retrieve(e.question, task=e.task))


@pytest.mark.parametrize("name", [name for name, rival in RIVALS.items() if rival.texts is not None])
def test_each_is_trained_from_the_base_for_as_many_completion_tokens(shared: Shared, name: str) -> None:
    states = read_states(shared.parts.run.folder)
    budget = shared.trained.summary["completion_tokens"]["nesycd"]
    one_pass = sum(shared.parts.student.count_tokens([text.completion for text in texts(shared, name)]))
    seen = states[f"rival-{name}"]["metadata"]["completion_tokens"]
    longest = max(len(text.completion.split()) for text in texts(shared, name))
    wanted = min(budget, 6 * (one_pass + len(texts(shared, name))))
    assert abs(seen - wanted) <= 32 * longest, "to within a batch"
    kept = {e.uid for e in shared.train if e.uid in shared.trained.kept}
    assert {text.example for text in texts(shared, name) if text.task != "recital"} == kept


def test_what_each_is_asked_on_test_is_what_it_was_trained_on(shared: Shared, asked: Asked) -> None:
    """The same renderer makes training and test prompts: only the question, and what was found, differ."""
    example = question(shared)
    line = f"Question: {example.question}"
    items = [hit.item.text for hit in shared.knowledge.retriever.retrieve(example.question, task=example.task)]
    assert shared.corpus is not None
    passages = [one.text for one in shared.corpus.find(example.question, 4)]
    block = "Knowledge:\n" + "\n".join(f"- {text}" for text in items) + "\n"

    def over(count: int) -> str:
        return "Knowledge:\n" + "\n".join(f"- {text}" for text in passages[:count]) + "\n"

    bare = "\nGive only the answer."
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
        "facts_in_weights": line,
    }
    for name, prompt in expected.items():
        assert asked[f"rival-{name}"][example.uid] == prompt, name


def test_cascod_is_asked_twice_and_the_second_time_with_its_own_rationale(shared: Shared, asked: Asked) -> None:
    example = question(shared)
    folder = shared.parts.run.folder
    first, last = (
        {one.example: one for one in read_records(folder, f"eval-test-cascod{part}", Attempt)}
        for part in ("-first", "")
    )
    written = first[example.uid].response
    second = f"Question: {example.question}\nRationale: {' '.join(written.split())}\nTherefore, the answer is"
    assert asked["rival-cascod"][example.uid] == second
    assert last[example.uid].response.startswith(f"{written} Therefore, the answer is ")
    assert last[example.uid].completion_tokens > first[example.uid].completion_tokens


def test_training_reads_what_the_rationale_finds_and_hides_what_the_question_gave_rise_to(shared: Shared) -> None:
    assert shared.corpus is not None
    for text in texts(shared, "kard_corpus")[:8]:
        rationale = shared.trained.kept[text.example].text
        assert text.knowledge == tuple(one.id for one in shared.corpus.find(rationale, 3))
    hidden = {example.uid: shared.lone(example) for example in shared.train}
    for name in ("kard_kb", "raft_kb"):
        lone = [text for text in texts(shared, name) if hidden[text.example]]
        assert lone and not any(set(text.knowledge) & hidden[text.example] for text in lone), name


def test_the_untrained_read_knowledge_and_worked_examples(shared: Shared, asked: Asked) -> None:
    folder = shared.parts.run.folder
    told = read_records(folder, "eval-test-zero_shot_kb", Attempt)
    assert any(one.knowledge for one in told) and all(one.solver == "zero_shot_kb" for one in told)
    example = question(shared)
    whole = {one.example: one for one in read_records(folder, "eval-test-whole_kb", Attempt)}[example.uid]
    assert set(whole.knowledge) == {entry.item_id for entry in shared.trained.entries}
    assert asked[""][example.uid].startswith(("Knowledge:\n", "Q: "))


def test_a_second_run_does_nothing_again_and_a_plain_run_keeps_the_rivals(shared: Shared) -> None:
    folder = shared.parts.run.folder
    before = {path: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()}
    for name in RIVALS:
        run_rival(shared, name, ["test"])
    finish(shared.parts)
    assert {path: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()} == before
    assert rivals.is_stage("rival-kard_kb-texts") and rivals.is_stage("eval-test-cascod-second")
    assert not rivals.is_stage("eval-test-nesycd") and not rivals.is_stage("general")


def test_a_method_that_needs_a_corpus_says_where_to_get_one() -> None:
    with pytest.raises(ConfigError, match=r"kard_corpus retrieves .* compare.corpus"):
        rivals.check(["cascod", "kard_corpus"], None)


def test_the_whole_base_is_read_by_the_student_that_saw_as_much_as_all_others(shared: Shared) -> None:
    longer = replace(shared.trained.std_cot, fingerprint="trained on, since S_E began from S_P")
    assert rivals.trained_as(replace(shared, trained=replace(shared.trained, std_cot=longer)), "whole_kb") == longer


def test_the_whole_base_begins_with_what_is_most_evident(shared: Shared) -> None:
    *others, last = sorted(shared.trained.entries, key=lambda entry: -len(entry.evidence))
    told = last.model_copy(update={"evidence": last.evidence * 100})
    order = rivals._by_evidence(replace(shared, trained=replace(shared.trained, entries=(*others, told))))
    assert order[0] == last.item and rivals._by_evidence(shared)[0] != last.item
