"""Arms that say what reading, rules and the base's content are worth: parser, gold statements, shuffled base, programs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import nesycd
from nesycd.api.finished import OpenRun
from nesycd.cli.run import execute
from nesycd.core.answers import Attempt
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.records import Example, Fact, TrainingText
from nesycd.knowledge import KnowledgeBase
from nesycd.methods import table
from nesycd.reports import load_results
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from tests.methods.stories import write_stories

pytest.importorskip("clingo")
pytest.importorskip("pydantic_monty")

ROOT = Path(__file__).parents[2]
METHODS = ["std_cot", "nesycd", "parser", "gold_parse", "nesycd_shuffled", "program"]


def meeting(number: int, one: str, two: str) -> str:
    """Every fourth story in words that the parser does not know."""
    return f"[{two}] fathered [{one}]." if number % 4 == 3 else f"[{one}] met his father [{two}]."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clutrr")
    write_stories(folder, meeting)
    return folder


def settings(data: Path, *more: str) -> list[str]:
    return [
        f"task.settings.path={data}",
        "task.settings.per_length=8",
        "task.sizes={train = 16, valid = 4}",
        "student.model=table",
        "knowledge.source=all",
        "evaluation.bootstrap=50",
        f"evaluation.methods={json.dumps(METHODS)}",
        *more,
    ]


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    recipe = load_recipe(ROOT / "recipes" / "clutrr.toml", settings(data))
    execute(recipe, folder, Console(file=(out := io.StringIO()), width=200))
    (folder / "told.txt").write_text(out.getvalue())
    return folder


def attempts(folder: Path, method: str) -> dict[str, Attempt]:
    return {one.example: one for one in read_attempts(folder, f"eval-test-{method}")}


def test_rules_on_gold_statements_answer_everything_and_on_the_parsers_what_it_reads(finished: Path) -> None:
    examples = {one.uid: one for one in read_records(finished, "examples-test", Example)}
    gold, parsed = attempts(finished, "gold_parse"), attempts(finished, "parser")
    with KnowledgeBase.open(finished / "kb.sqlite") as base:
        items = {entry.item_id for entry in base.entries()}
    for uid, one in gold.items():
        truth = examples[uid].truth
        assert truth is not None and one.correct and one.response == f"Therefore, the answer is {examples[uid].answer}."
        [call] = one.calls
        assert call.asked == f"[derive: {truth.goal}]" and call.given == tuple(each.text for each in truth.stated)
        assert set(call.items) <= items and "[stated " in call.how
    for uid, one in parsed.items():
        known = "fathered" not in examples[uid].question
        assert one.correct == known and (one.response == "") != known
        assert one.calls[0].found == (examples[uid].answer if known else "(nothing follows)")


def test_a_shuffled_base_is_asked_by_the_same_student_and_answers_otherwise(tmp_path: Path) -> None:
    more = ["student.model=table", "task.limit=24", "evaluation.bootstrap=50", 'evaluation.splits=["test"]']
    names = ["std_cot", "nesycd", "nesycd_shuffled"]
    recipe = load_recipe(ROOT / "recipes" / "longtail.toml", [*more, f"evaluation.methods={json.dumps(names)}"])
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as base:
        objects = {entry.item.object for entry in base.entries() if isinstance(entry.item, Fact)}
    true, shuffled = (attempts(tmp_path / "r", name) for name in ("nesycd", "nesycd_shuffled"))
    pairs = [pair for uid in true for pair in zip(true[uid].calls, shuffled[uid].calls, strict=False)]
    found = [(a.found, b.found) for a, b in pairs if a.name == "look_up" and a.asked == b.asked and a.kind == "value"]
    assert any(one != other for one, other in found)
    assert {other for _, other in found} <= objects


def test_programs_are_trained_run_and_answer_in_an_opened_run(finished: Path) -> None:
    texts = read_records(finished, "texts-program", TrainingText)
    assert len(texts) == 16 and all(text.prompt.startswith("Question: [") for text in texts)
    for text in texts:
        program, found = text.segments
        assert program.text.startswith('```python\nkin = {("') and found.source == "supplied"
    made = attempts(finished, "program")
    for one in made.values():
        [call] = one.calls
        assert call.name == "program" and (call.kind == "value") == bool(one.answer)
    assert "16 of 16 rationales became programs" in (finished / "told.txt").read_text()
    with nesycd.open_run(finished) as run:
        assert isinstance(run, OpenRun)
        example = run.task.load("test")[0]
        reply = run.ask(example.question, task=example.task, method="program")
        assert reply.reason == "program reads none, and its program is run"
        assert reply.text == made[example.uid].response and reply.answer == made[example.uid].answer
        with pytest.raises(ConfigError, match="nesycd_shuffled: there is no"):
            run.ask(example.question, method="nesycd_shuffled")
        with pytest.raises(ConfigError, match="parser: there is no"):
            run.ask(example.question, method="parser")


def test_every_figure_names_its_supervision(finished: Path) -> None:
    told = load_results(finished / "results.json").supervision
    assert told == {
        "std_cot": "gold proofs",
        "nesycd": "gold proofs",
        "parser": "none; base: gold proofs",
        "gold_parse": "none; base: gold proofs; gold statements of each question asked",
        "nesycd_shuffled": "gold proofs",
        "program": "gold proofs, 16 of 16 as programs",
    }
    page, shown = (finished / "report.html").read_text(encoding="utf-8"), (finished / "told.txt").read_text()
    for text in told.values():
        assert text in page
    assert "supervision" in shown and "none; base: gold proofs" in shown


def test_a_comparison_names_it_too(data: Path, finished: Path, tmp_path: Path) -> None:
    made = nesycd.compare(
        load_recipe(ROOT / "recipes" / "clutrr.toml", settings(data, 'evaluation.methods=["std_cot", "nesycd"]')),
        ["std_cot", "answer_ft", "program", "gold_parse", "parser", "nesycd"],
        seeds=[0],
        root=tmp_path,
        progress=False,
    )
    assert made.methods["answer_ft"].supervision == "answers alone"
    assert made.methods["program"].supervision == "gold proofs, 16 of 16 as programs"
    assert "answers alone" in str(made) and "answers alone" in made._repr_html_()
    assert made.scores["gold_parse"]["test"]["all"].value == 1.0


@pytest.mark.parametrize("name", ["parser", "gold_parse"])
def test_what_a_benchmark_does_not_have_is_told_before_anything_is_run(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(ROOT / "recipes" / "longtail.toml", ["student.model=table", "task.limit=24"])
    with pytest.raises(ConfigError, match=f"{name} cannot answer test, since .*: leave it out"):
        nesycd.compare(recipe, ["std_cot", name, "nesycd"], seeds=[0], root=tmp_path, progress=False)
    assert table.METHODS[name].shows_knowledge is False


def test_where_no_rationale_becomes_a_program_the_method_says_so(tmp_path: Path) -> None:
    rows = [
        {"question": f"Who is number {n}?", "answer": f"Ann {n}", "rationale": f"It is Ann {n}."} for n in range(30)
    ]
    with pytest.raises(DataError, match=r"program: 0 of .* rationales became programs .*leave the method out"):
        nesycd.distil(
            rows, student="table", root=tmp_path, progress=False, evaluation={"methods": ["std_cot", "program"]}
        )
