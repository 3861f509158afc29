"""`nesycd grade`: other people's answers."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nesycd import grading
from nesycd.api.regrade import regraded
from nesycd.calls import as_read
from nesycd.cli.main import app
from nesycd.core.answers import Attempt, Call
from nesycd.core.files import read_jsonl
from nesycd.core.records import Example
from nesycd.runs.predictions import read_attempts

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")

Rows = list[dict[str, Any]]


def call(benchmark: str, rows: Rows | str, tmp_path: Path, out: str = "graded.jsonl") -> tuple[Result, Rows]:
    path = tmp_path / "answers.jsonl"
    path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
    shown = CliRunner().invoke(app, ["grade", "--benchmark", benchmark, str(path), "--out", str(tmp_path / out)])
    made = tmp_path / out
    return shown, [json.loads(line) for line in made.read_text().splitlines()] if made.exists() else []


def row(answer: Any, response: str, **more: Any) -> dict[str, Any]:
    return {"question": "Why?", "answer": answer, "response": response, **more}


@pytest.mark.parametrize(
    ("benchmark", "given", "extracted", "correct", "how"),
    [
        ("gsm8k", row("x\n#### 1,200", "So the answer is $1200."), "$1200", True, "closing"),
        ("gsm8k", row(18, "#### 18"), "18", True, "hashes"),
        ("gsm8k", row("18", "18"), "", False, "none"),
        ("gsm_plus", row("4.33", r"\boxed{13/3}"), "13/3", True, "boxed"),
        ("bbh", row("a b", "my answer is a, b", task="word_sorting"), "a, b", True, "answer_is"),
        ("bbh", row("a b", "my answer is a, b"), "a, b", False, "answer_is"),
        ("bbh", row("] )", "The answer is ]).", task="bbh/dyck_languages"), "])", True, "closing"),
        ("agieval", row("AC", "The answer is A and C.", options=["(A)x", "(B)y", "(C)z"]), "(A), (C)", True, "closing"),
        ("agieval", row(r"\frac{1}{2}", "The answer is 0.5.", task="math"), "0.5", True, "closing"),
        ("arc", row("B", "The answer is fire.", options=["ice", "fire"]), "(B)", True, "closing"),
        ("bigbench", row(["Rome", "Roma"], "The answer is Roma."), "Roma", True, "closing"),
        ("jsonl", row(True, "The answer is true."), "true", True, "closing"),
        ("longtail", row("6 feet", "The answer is 6 feet."), "6 feet", True, "closing"),
    ],
)
def test_a_row_comes_back_graded(
    benchmark: str, given: dict[str, Any], extracted: str, correct: bool, how: str, tmp_path: Path
) -> None:
    shown, made = call(benchmark, [given], tmp_path)
    assert shown.exit_code == 0, shown.output
    lenient = correct or given["response"] == "18"
    assert made == [{**given, "extracted": extracted, "correct": correct, "lenient": lenient, "how": how}]


def test_options_in_a_bbh_question_are_read(tmp_path: Path) -> None:
    given = row("(B)", "The answer is blue.") | {"question": "Which?\nOptions:\n(A) red\n(B) blue"}
    assert call("bbh", [given], tmp_path)[1][0]["correct"] is True


def test_a_summary_by_task_is_printed_and_grading_can_be_repeated(tmp_path: Path) -> None:
    rows = [row("1", "The answer is 1.", task=task, id=n) for n, task in enumerate(["a", "b", "b"])]
    rows.append(row("1", "#### 2", task="b"))
    shown, made = call("jsonl", rows, tmp_path)
    lines = {line.split()[0]: line.split() for line in shown.output.splitlines() if line.strip()}
    assert lines["b"][1:5] == ["3", "2", "66.7", "%"] and lines["all"][1:5] == ["4", "3", "75.0", "%"]
    assert lines["all"][5:] == ["75.0", "%", "3", "0", "1", "0", "0"]
    assert call("jsonl", made, tmp_path, "again.jsonl")[1] == made


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (
            [row("1", "x"), {"question": "Why?", "answer": "1"}],
            "answers.jsonl:2: response must be a text and is missing",
        ),
        ([row("1", "x") | {"response": None}], "answers.jsonl:1: response must be a text"),
        ([{"answer": "1", "response": "x"}], "answers.jsonl:1: question must be a text that is not empty"),
        ([row(None, "x")], "answers.jsonl:1: answer must be a text or a number"),
        ([row([], "x")], "answers.jsonl:1: answer must be a text or a number"),
        ([row("1", "x", task=3)], "answers.jsonl:1: task must be a text"),
        ([row("A", "x", options=["a", ""])], "answers.jsonl:1: options must be a list of texts"),
        ([row("C", "x", options=["ice", "fire"])], "answers.jsonl:1: answer 'C' names none of the 2 options"),
        ("[1]\n", "answers.jsonl:1: a JSON object is needed"),
        ("{\n", "answers.jsonl:1: not valid JSON"),
        ("\n", "answers.jsonl: no rows in this file"),
        ([row("1", "cut \ud83d")], "answers.jsonl:1: cannot be read: \\ud83d is half a character"),
    ],
)
def test_a_malformed_row_is_named_and_nothing_is_written(rows: Rows | str, problem: str, tmp_path: Path) -> None:
    shown, made = call("arc", rows, tmp_path)
    assert (shown.exit_code, made) == (2, [])
    assert problem in shown.stderr


@pytest.mark.parametrize(
    ("benchmark", "task", "problem"),
    [
        ("bbh", "word sorting", "bbh has no task 'word sorting' (did you mean 'word_sorting'?)"),
        ("agieval", "agieval/sat_math", "agieval has no task 'sat_math' (did you mean 'sat-math'?)"),
    ],
)
def test_a_task_that_a_benchmark_does_not_have_is_a_mistake(
    benchmark: str, task: str, problem: str, tmp_path: Path
) -> None:
    shown, made = call(benchmark, [row("1", "x", task=task)], tmp_path)
    assert (shown.exit_code, made) == (2, []) and f"answers.jsonl:1: {problem}" in shown.stderr


@pytest.mark.parametrize(
    ("benchmark", "given", "problem"),
    [
        ("gsm8k", row("2 + 2\n####", "x"), "no gold answer can be read from '2 + 2\\n####'"),
        ("agieval", row("Z", "x", options=["(A)x", "(B)y"]), "answer 'Z' names none of the 2 options"),
        ("bbh", row("C", "x", options=["x", "y"]), "answer 'C' names none of the 2 options"),
    ],
)
def test_a_gold_that_cannot_be_one_is_named_as_it_stands(
    benchmark: str, given: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    shown, made = call(benchmark, [given], tmp_path)
    assert (shown.exit_code, made) == (2, []) and f"answers.jsonl:1: {problem}" in shown.stderr


def test_a_gold_is_read_as_people_write_it(tmp_path: Path) -> None:
    colours = {"question": "Which?\nOptions:\n(A) red\n(B) blue"}
    assert call("bbh", [row("B", "The answer is (B).") | colours], tmp_path)[1][0]["correct"] is True
    bodies = row("NATO", "The answer is (B).", options=["(A)EU", "(B)NATO"])
    assert call("agieval", [bodies], tmp_path)[1][0]["correct"] is True


@pytest.mark.parametrize(
    ("benchmark", "answer", "options", "right"),
    [
        ("mmlu", 2, ["1", "2", "3", "4"], "(C)"),  # the hub writes an index from 0
        ("mmlu", "0", ["1", "2", "3", "0"], "(A)"),
        ("arc", "2", ["4", "3", "2", "1"], "(B)"),  # some of ARC's labels are numbers from 1
        ("agieval", 1, ["2", "0", "1"], "(B)"),
        ("mmlu", "B", ["Al", "Tl", "C", "B"], "(B)"),  # a letter comes first, even where it is another option's text
        ("jsonl", "C", ["C", "B", "A"], "(C)"),
        ("arc", "blue", ["A. red", "B. blue"], "(B)"),
        ("arc", "B", ["A) red", "B) blue"], "(B)"),
    ],
)
def test_a_gold_is_read_as_its_publisher_writes_it(
    benchmark: str, answer: Any, options: list[str], right: str, tmp_path: Path
) -> None:
    rows = [row(answer, f"The answer is {grading.letter(place)}", options=options) for place in range(len(options))]
    shown, made = call(benchmark, rows, tmp_path)
    assert shown.exit_code == 0, shown.output
    assert [one["extracted"] for one in made if one["correct"]] == [right]


@pytest.mark.parametrize("benchmark, gold", [("gsm8k", "many"), ("gsm8k", "5 or 6"), ("gsm_plus", "the green one")])
def test_a_gold_that_is_no_number_is_refused_where_golds_are_numbers(benchmark: str, gold: str, tmp_path: Path) -> None:
    shown, made = call(benchmark, [row(gold, "x")], tmp_path)
    assert (shown.exit_code, made) == (2, [])
    assert f"answers.jsonl:1: answer {gold!r} is no number, as the gold answers of {benchmark} are" in shown.stderr
    assert call("gsm_plus", [row("None", "The answer is unknown.")], tmp_path)[1][0]["correct"] is True


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "null"])
def test_a_number_that_is_not_there_is_no_gold(value: str, tmp_path: Path) -> None:
    text = '{"question": "Why?", "answer": %s, "response": "The answer is nan."}\n' % value  # noqa: UP031 - it has braces
    shown, made = call("jsonl", text, tmp_path)
    assert (shown.exit_code, made) == (2, []) and "answers.jsonl:1: answer must be a text or a number" in shown.stderr


def test_the_lenient_verdict_stands_beside_the_strict_one(tmp_path: Path) -> None:
    said = {
        "7 + 7 makes 14": True, "14 pears, or 6": False, "<think>6</think> so 14, I think": True, "The answer is 14.": True,
        "nothing": False, "14<think>6": True,
    }  # fmt: skip
    shown, made = call("gsm8k", [row("14", response) for response in said], tmp_path)
    assert [one["lenient"] for one in made] == list(said.values())
    assert [one["correct"] for one in made] == [response == "The answer is 14." for response in said]
    assert "lenient" in shown.output and "66.7 %" in shown.output
    letters = {
        "I would say B, not (A)": False,
        "B, as A wet one is not": True,
        "A wet one: (B)": True,
        "I think it is B": True,
        "Bears": False,
    }
    _, made = call("arc", [row("B", response, options=["ice", "fire"]) for response in letters], tmp_path)
    assert [one["lenient"] for one in made] == list(letters.values())
    _, made = call("jsonl", [row("yes", "Not no but yes, they do"), row("oak", "an oak")], tmp_path)
    assert [one["lenient"] for one in made] == [True, False]


def test_that_hardly_any_answer_was_found_is_said(tmp_path: Path) -> None:
    rows = [row("14", "It is 14") for _ in range(9)] + [row("14", "The answer is 14.")]
    shown, _ = call("gsm8k", rows, tmp_path)
    told = " ".join(shown.output.split())
    assert "9 of 10 responses state no answer" in told and "The last number or letter is right in 10." in told
    assert "state no answer" not in call("gsm8k", rows[1:], tmp_path)[0].output


def test_new_ways_of_stating_an_answer_are_named_and_counted(tmp_path: Path) -> None:
    rows = [row("14", '{"answer": 14}'), row("14", "The total is 14."), row("B", "Option B", options=["ice", "fire"])]
    shown, made = call("jsonl", rows, tmp_path)
    assert [one["how"] for one in made] == ["field", "sentence", "whole"]
    assert all(one["correct"] for one in made)
    assert all(source in shown.output for source in ("field", "sentence", "whole"))
    assert "field" not in call("jsonl", [row("14", "The answer is 14.")], tmp_path)[0].output


def test_rows_are_written_as_they_are_graded(tmp_path: Path) -> None:
    """A file is graded in little memory, however long it is; nothing of it stands there where a row is malformed."""
    path, out = tmp_path / "many.jsonl", tmp_path / "graded.jsonl"
    line = json.dumps(row("14", "So it is 14. " * 1_000 + "The answer is 14.")) + "\n"
    path.write_text(line * 200)
    tracemalloc.start()
    try:
        shown = CliRunner().invoke(app, ["grade", "--benchmark", "gsm8k", str(path), "--out", str(out)])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shown.exit_code == 0 and out.read_text().count("\n") == 200
    assert peak < 1_000_000 < path.stat().st_size
    path.write_text(line * 10 + "{}\n")
    shown = CliRunner().invoke(app, ["grade", "--benchmark", "gsm8k", str(path), "--out", str(tmp_path / "no.jsonl")])
    assert shown.exit_code == 2 and sorted(one.name for one in tmp_path.iterdir()) == ["graded.jsonl", "many.jsonl"]


def test_a_task_may_be_called_anything(tmp_path: Path) -> None:
    shown, made = call("jsonl", [row("1", "x", task="[/b]")], tmp_path)
    assert shown.exit_code == 0 and "[/b]" in shown.output and len(made) == 1


def test_a_rows_own_verdict_is_kept(tmp_path: Path) -> None:
    given = row("2", "The answer is 1.", correct=True)
    _, made = call("gsm8k", [given], tmp_path)
    assert (made[0]["given_correct"], made[0]["correct"], made[0]["how"]) == (True, False, "closing")
    assert call("gsm8k", made, tmp_path, "again.jsonl")[1] == made


def test_a_runs_responses_are_graded_again(tmp_path: Path) -> None:
    rows = [{"question": f"{a} + 3?", "answer": str(a + 3), "rationale": f"{a} + 3 = {a + 3}."} for a in range(30)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    (tmp_path / "own.toml").write_text(
        f'name = "own"\n[task]\nname = "jsonl"\nsettings = {{path = "{tmp_path / "q.jsonl"}"}}\n'
        '[teacher]\nname = "scripted"\n[student]\nmodel = "table"\n'
        '[evaluation]\nbootstrap = 50\nmethods = ["zero_shot", "std_cot"]\n'
    )
    done = CliRunner().invoke(app, ["run", str(tmp_path / "own.toml"), "--root", str(tmp_path / "runs")])
    assert done.exit_code == 0, done.output
    out = tmp_path / "graded.jsonl"
    shown = CliRunner().invoke(app, ["grade", "--run", "own", "--root", str(tmp_path / "runs"), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    made = [json.loads(line) for line in out.read_text().splitlines()]
    assert Counter((one["method"], one["split"]) for one in made) == {("zero_shot", "test"): 6, ("std_cot", "test"): 6}
    assert all(one["correct"] == one["recorded"] for one in made)
    assert "0 of 12 graded unlike the run's record" in shown.output and "std_cot test" in shown.output
    assert "no run 'other'" in CliRunner().invoke(app, ["grade", "--run", "other", "--root", str(tmp_path)]).stderr


def test_responses_with_look_ups_are_graded_as_people_read_them(tmp_path: Path) -> None:
    quickstart = str(Path(__file__).parents[2] / "recipes" / "longtail.toml")
    sets = ["student.model=table", "evaluation.methods=['nesycd', 'std_cot']", "evaluation.splits=['test']",
            "evaluation.bootstrap=20", "augmented.calls=1"]  # fmt: skip
    words = ["run", quickstart, "--limit", "24", "--name", "r", "--root", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, *(word for one in sets for word in ("--set", one))])
    assert done.exit_code == 0, done.output
    stored = {one.example: one for one in read_attempts(tmp_path / "r", "eval-test-nesycd")}
    graded = {one["id"]: one for one in regraded(tmp_path / "r") if one["method"] == "nesycd"}
    looked = {uid for uid, one in stored.items() if any(call.name == "look_up" for call in one.calls)}
    assert len(looked) > 5 and graded.keys() == stored.keys()
    for uid, row in graded.items():
        assert (row["response"] != stored[uid].response) == (uid in looked)
        assert (row["extracted"], row["correct"]) == (stored[uid].answer, stored[uid].correct)
        assert "[" not in row["response"] and "(not found)" not in row["response"]
    # What was found right after the closing words is the answer, and not the call.
    made = (Call(name="look_up", asked="[kaf | place]", found="11"),)
    attempt = Attempt(example="q", solver="s", response="Therefore, the answer is [kaf | place] 11.", calls=made)
    assert as_read(attempt.response, attempt.calls) == "Therefore, the answer is 11."
    assert as_read(attempt.response, ()) == attempt.response, "brackets that call nothing stay"


def test_other_mistakes_are_told(tmp_path: Path) -> None:
    shown, _ = call("gsm9k", [row("1", "x")], tmp_path)
    assert shown.exit_code == 2 and "no benchmark 'gsm9k' (did you mean 'gsm8k'?)" in shown.stderr
    shown, _ = call("gsm8k", [row("1", "x")], tmp_path, "answers.jsonl")
    assert shown.exit_code == 2 and "name another, so that they are kept" in shown.stderr
    shown = CliRunner().invoke(app, ["grade", str(tmp_path / "answers.jsonl")])
    assert shown.exit_code == 2 and "give a file and --benchmark NAME, or --run NAME" in shown.stderr
    shown = CliRunner().invoke(app, ["grade", "--run", "own", "--benchmark", "gsm8k"])
    assert shown.exit_code == 2 and "is graded by its own benchmark" in shown.stderr


# --- recorded outputs (docs/grading.md gives these numbers) ----------------------------------------------------------


def recorded(name: str) -> Rows:
    return [found for _, found in read_jsonl(Path(os.environ["NESYCD_DATA"]) / "teachers" / name)]


@real
def test_the_recorded_correctness_of_bbh_is_reproduced(tmp_path: Path) -> None:
    path, out = tmp_path / "bbh.jsonl.gz", tmp_path / "graded.jsonl"
    with gzip.open(path, "wt") as file:
        for one in recorded("bbh__code-davinci-002.jsonl.gz"):
            file.write(json.dumps({**one, "response": one["rationale"]}) + "\n")
    shown = CliRunner().invoke(app, ["grade", "--benchmark", "bbh", str(path), "--out", str(out)])
    assert shown.exit_code == 0, shown.output
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 6511
    assert [one["id"] for one in rows if one["correct"] != one["teacher_correct"]] == []
    assert Counter(one["how"] for one in rows) == {"closing": 6275, "none": 236}
    assert Counter(map(cause, rows)) == {
        "right": 4816, "none stated": 236, "two or more": 94, "no such letter": 14, "none of them": 13, "another": 1338
    }  # fmt: skip


def cause(row: dict[str, Any]) -> str:
    """Why a recorded answer is wrong."""
    answer, options = row["extracted"], tuple(row["options"] or ())
    if row["correct"] or not answer:
        return "right" if row["correct"] else "none stated"
    if not options or grading.option_letter(answer, options):
        return "another"
    if "none" in answer.lower():
        return "none of them"
    return "two or more" if answer.count("(") > 1 else "no such letter"


@real
@pytest.mark.parametrize(("name", "rows", "right", "apart"), [("llama", 7441, 7419, 52), ("gemini", 7432, 7072, 4)])
def test_the_recorded_correctness_of_gsm8k_is_reproduced(name: str, rows: int, right: int, apart: int) -> None:
    found = recorded(f"gsm8k-train__{name}_level2.jsonl.gz")
    made = Counter[str](rows=len(found))
    for one in found:
        answer = one["teacher_answer"] or ""
        asked = Example(uid="q", task="gsm8k", question=one["question"], answer=one["answer"])
        made["right"] += grading.grade(answer, asked)
        made["unlike the record"] += grading.grade(answer, asked) != one["teacher_correct"]
        stated = grading.closing_answer(one["rationale"])
        made["states another"] += bool(stated) and not grading.same_answer(stated, answer)
    assert made == {"rows": rows, "right": right, "unlike the record": 0, "states another": apart}
