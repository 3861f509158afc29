"""GSM-Plus, AGIEval, ARC, MMLU, BIG-bench and MetaMathQA: made-up files in their publishers' shape, and real ones."""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from nesycd import grading
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.protocols import Task
from nesycd.core.records import Example
from nesycd.tasks.registry import build_task, card, settings_class, task_names

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def examples(task: Task) -> dict[str, Example]:
    return {example.uid: example for split in task.splits() for example in task.load(split)}


def notes(task: Task) -> str:
    return "\n".join(task.warnings())  # type: ignore[attr-defined]


def accepts_its_golds(task: Task, every: int = 1) -> bool:
    asked = [*examples(task).values()][::every]
    return all(task.grade(task.extract(grading.closing(e.answer), e), e) for e in asked)


def test_published_benchmarks_say_what_they_are() -> None:
    for name in set(task_names()) - {"longtail", "jsonl", "mixture"}:
        said = card(name)
        assert said is not None and said.name == name
        assert said.source and said.licence and said.splits and said.grading
        assert bool(said.hub) == ("hub" in settings_class(name).model_fields)
    assert card("longtail") is None
    with pytest.raises(ConfigError, match=r"no benchmark 'arcc'.*did you mean 'arc'"):
        card("arcc")


@pytest.mark.parametrize(("settings", "problem"), [
    ({}, r"task arc: give either path \(.*ARC-Easy.*\) or hub \(such as 'allenai/ai2_arc'\)"),
    ({"path": "x", "hub": "y"}, "give either path"),
    ({"path": "x", "revision": "main"}, "revision belongs to hub"),
])  # fmt: skip
def test_questions_come_from_one_place(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        build_task("arc", settings)


# --- GSM-Plus --------------------------------------------------------------------------------------------------------


def gsm_plus(folder: Path) -> Path:
    kinds = ["adding operation", "critical thinking", "integer-decimal-fraction conversion"]
    rows = [
        {"question": f"{kind} {n}?", "answer": "None" if "thinking" in kind else "4.33", "perturbation_type": kind,
         "seed_question": f"seed {n}", "solution": "x"}
        for kind in kinds for n in range(3)
    ]  # fmt: skip
    write_jsonl(folder / "testmini.jsonl", rows)
    return folder


def test_gsm_plus_ways_of_change_are_tasks(tmp_path: Path) -> None:
    task = build_task("gsm_plus", {"path": gsm_plus(tmp_path)})
    assert task.splits() == ("test",)
    assert Counter(e.task for e in task.load("test")) == {
        "gsm_plus/adding-operation": 3,
        "gsm_plus/critical-thinking": 3,
        "gsm_plus/integer-decimal-fraction-conversion": 3,
    }
    assert "testmini has 9 questions, but 2,400 were published" in notes(task)
    by_uid = examples(task)
    first, unanswerable = by_uid["gsm_plus-testmini-00000"], by_uid["gsm_plus-testmini-00003"]
    assert task.grade("13/3", first) and not task.grade("4.3", first)
    assert task.grade("cannot be determined", unanswerable) and not task.grade("0", unanswerable)
    # Changed forms of one question are one cluster.
    assert first.template == unanswerable.template != by_uid["gsm_plus-testmini-00001"].template
    some = build_task("gsm_plus", {"path": tmp_path, "kinds": ["adding operation"]})
    assert len(some.load("test")) == 3
    with pytest.raises(DataError, match=r"no kind 'addition operation' \(did you mean 'adding operation'"):
        build_task("gsm_plus", {"path": tmp_path, "kinds": ["addition operation"]})


# --- AGIEval ---------------------------------------------------------------------------------------------------------


def agieval(folder: Path) -> Path:
    marked = {
        "passage": "A river runs here.",
        "question": "Which way?",
        "options": ["(A)north", "(B)south"],
        "label": "B",
    }
    dotted = {"passage": None, "question": "Colour?", "options": [" A. red ", "  B.  blue"], "label": "A"}
    several = {"passage": "", "question": "Metals?", "options": ["(A)tin", "(B)oak", "(C)iron"], "label": ["C", "A"]}
    write_jsonl(folder / "lsat-ar.jsonl", [marked, marked | {"question": "How far?"}])
    write_jsonl(folder / "sat-en.jsonl", [dotted, several])
    write_jsonl(
        folder / "math.jsonl", [{"passage": None, "question": "1/2?", "options": None, "answer": "\\frac{1}{2}"}]
    )
    return folder


def test_agieval_puts_the_passage_first_and_reads_letters(tmp_path: Path) -> None:
    task = build_task("agieval", {"path": agieval(tmp_path), "tasks": ["lsat-ar", "sat-en", "math"]})
    found = examples(task)
    first = found["agieval-lsat-ar-000"]
    assert first.question == "A river runs here.\n\nWhich way?"
    assert (first.options, first.answer) == (("north", "south"), "(B)")
    assert first.template == found["agieval-lsat-ar-001"].template != ""
    assert found["agieval-sat-en-000"].options == ("red", "blue")
    several = found["agieval-sat-en-001"]
    assert several.answer == "(A), (C)"
    assert task.grade(task.extract("The answer is C and A.", several), several)
    assert not task.grade(task.extract("The answer is (A).", several), several)
    half = found["agieval-math-000"]
    assert task.grade("0.5", half) and not task.grade("0.4", half)
    assert accepts_its_golds(task)
    assert "lsat-ar has 2 questions, but 230 were published" in notes(task)


def test_agieval_sets_and_faults_are_named(tmp_path: Path) -> None:
    folder = agieval(tmp_path)
    with pytest.raises(DataError, match=r"aqua-rat\.jsonl: no such file; give tasks = \['lsat-ar', 'sat-en', 'math'\]"):
        build_task("agieval", {"path": folder, "tasks": "paper"})
    with pytest.raises(ConfigError, match=r"no set 'papers' \(did you mean 'paper'"):
        build_task("agieval", {"path": folder, "tasks": "papers"})
    with pytest.raises(DataError, match=r"no English task 'lsat-ra'.*did you mean 'lsat-"):
        build_task("agieval", {"path": folder, "tasks": ["lsat-ra"]})
    write_jsonl(folder / "lsat-ar.jsonl", [{"question": "?", "options": ["(A)x", "(B)y"], "label": "C"}])
    with pytest.raises(DataError, match=r"lsat-ar\.jsonl:1: label must be the letter of an option.*'C'"):
        build_task("agieval", {"path": folder, "tasks": ["lsat-ar"]})


# --- ARC -------------------------------------------------------------------------------------------------------------


def arc_row(number: int, gold: str, labels: str = "ABCD") -> dict[str, Any]:
    choices = [{"text": f"choice {label}", "label": label} for label in labels]
    return {"id": f"q{number}", "question": {"stem": f"Which {number}?", "choices": choices}, "answerKey": gold}


def test_arc_is_read_as_published_and_normalised(tmp_path: Path) -> None:
    for split, count in (("Train", 3), ("Dev", 2), ("Test", 2)):
        rows = [arc_row(n, "B") for n in range(count)] + [arc_row(9, "3", "1234"), arc_row(10, "C", "ABC")]
        write_jsonl(tmp_path / "ARC-Easy" / f"ARC-Easy-{split}.jsonl", rows)
    normalised = {"id": "n1", "question": "Which?", "options": ["ice", "sand"], "answer": "(B)", "split": "train"}
    write_jsonl(tmp_path / "challenge_train.jsonl", [normalised])
    task = build_task("arc", {"path": tmp_path})
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 6, "valid": 4, "test": 4}
    found = {example.uid: example for example in task.load("train")}
    assert found["arc-easy-q9"].answer == "(C)" and found["arc-easy-q10"].options == (
        "choice A",
        "choice B",
        "choice C",
    )
    assert (found["arc-challenge-n1"].task, found["arc-challenge-n1"].answer) == ("arc/challenge", "(B)")
    assert accepts_its_golds(task)
    assert "no file of ARC's challenge set for test" in notes(task)
    assert "easy train has 5 questions, but 2,251 were published" in notes(task)
    easy = build_task("arc", {"path": tmp_path, "sets": ["easy"]})
    assert {example.task for example in easy.load("test")} == {"arc/easy"}


def test_arc_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no ARC files"):
        build_task("arc", {"path": tmp_path})
    write_jsonl(tmp_path / "ARC-Easy-Test.jsonl", [arc_row(1, "E")])
    with pytest.raises(DataError, match=r"ARC-Easy-Test\.jsonl:1: the answer 'E' is none of the choices"):
        build_task("arc", {"path": tmp_path})
    write_jsonl(tmp_path / "ARC-Easy-Test.jsonl", [{"id": "1", "question": "Why?"}])
    with pytest.raises(DataError, match=r":1: not a question of ARC"):
        build_task("arc", {"path": tmp_path})


# --- MMLU ------------------------------------------------------------------------------------------------------------


def mmlu(folder: Path, parts: tuple[str, ...] = ("dev", "val", "test")) -> Path:
    for part in parts:
        (folder / part).mkdir()
        for subject in ("anatomy", "law"):
            with (folder / part / f"{subject}_{part}.csv").open("w", newline="") as file:
                for number in range(5):
                    csv.writer(file).writerow([f'{part}, "{subject}"\n{number}?', "one", "two", "three", "four", "C"])
    return folder


def test_mmlu_trains_on_dev_and_val(tmp_path: Path) -> None:
    task = build_task("mmlu", {"path": mmlu(tmp_path)})
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 18, "valid": 2, "test": 10}
    found = examples(task)
    one = found["mmlu-test-law-004"]
    assert (one.task, one.question, one.options[2], one.answer) == ("mmlu/law", 'test, "law"\n4?', "three", "(C)")
    assert all(not uid.startswith("mmlu-test") for uid in {e.uid for e in task.load("train")})
    assert accepts_its_golds(task)
    law = build_task("mmlu", {"path": tmp_path, "subjects": ["law"]})
    assert {example.task for example in examples(law).values()} == {"mmlu/law"}
    with pytest.raises(DataError, match=r"no subject 'laws' \(did you mean 'law'"):
        build_task("mmlu", {"path": tmp_path, "subjects": ["laws"]})


def test_mmlu_without_test_has_no_such_split_and_faults_are_named(tmp_path: Path) -> None:
    assert build_task("mmlu", {"path": mmlu(tmp_path, ("dev", "val"))}).splits() == ("train", "valid")
    (tmp_path / "val" / "law_val.csv").write_text("Why?,a,b,c,d,E\n")
    with pytest.raises(DataError, match=r"law_val\.csv:1: the answer must be A, B, C or D, but is 'E'"):
        build_task("mmlu", {"path": tmp_path})
    (tmp_path / "val" / "law_val.csv").write_text("Why?,a,b\n")
    with pytest.raises(DataError, match=r"law_val\.csv:1: 3 columns"):
        build_task("mmlu", {"path": tmp_path})
    with pytest.raises(DataError, match=r"no MMLU files \(<subject>_dev\.csv\)"):
        build_task("mmlu", {"path": tmp_path / "none"})


# --- BIG-bench -------------------------------------------------------------------------------------------------------


def bigbench(folder: Path) -> Path:
    choice = [
        {"input": f"Colour {n}?", "target_scores": {"red": 1, "blue": 0, "green": 0}, "comment": "x"} for n in range(20)
    ]
    open_ones = [{"input": "Capital?", "target": ["Rome", "Roma"]}, {"input": "2 + 2?", "target": 4}]
    odd = [
        {"input": "Two right?", "target_scores": {"a": 0.5, "b": 0.5, "c": 0}},
        {"input": "None right?", "target_scores": {"a": 0, "b": 0}},
        {"input": "Many?", "target_scores": {f"word{n}": int(n == 7) for n in range(30)}},
        {"input": "Both?", "target": "yes", "target_scores": {"yes": 1, "no": 0}},
    ]
    write_json(
        folder / "colours" / "task.json", {"examples": choice, "task_prefix": "Name the colour.\n", "metrics": []}
    )
    write_json(folder / "open" / "one" / "task.json", {"examples": open_ones})
    write_json(folder / "odd" / "task.json", {"examples": odd})
    return folder


def test_bigbench_reads_choices_and_targets(tmp_path: Path) -> None:
    task = build_task("bigbench", {"path": bigbench(tmp_path)})
    found = examples(task)
    assert task.splits() == ("test",)
    colour = found["bigbench-colours-003"]
    assert colour.question == "Name the colour.\nColour 3?"
    assert sorted(colour.options) == ["blue", "green", "red"]
    assert colour.options["ABC".index(colour.answer[1])] == "red"
    # The right choice stands first in the file, but not here.
    assert len({example.answer for example in found.values() if example.task == "bigbench/colours"}) == 3
    capital = found["bigbench-open-one-000"]
    assert task.grade("Roma", capital) and task.grade("rome", capital) and not task.grade("Milan", capital)
    assert task.grade("4.0", found["bigbench-open-one-001"])
    two = found["bigbench-odd-000"]
    right = [letter for letter in ("(A)", "(B)", "(C)") if task.grade(letter, two)]
    assert sorted(two.options[ord(letter[1]) - 65] for letter in right) == ["a", "b"]
    assert "bigbench-odd-001: no question, or no choice scores above the others; it is left out" in notes(task)
    many = found["bigbench-odd-002"]
    assert many.options == () and task.grade("word7", many) and not task.grade("word8", many)
    assert found["bigbench-odd-003"].options
    assert accepts_its_golds(task)


def test_bigbench_takes_one_task_samples_and_splits(tmp_path: Path) -> None:
    bigbench(tmp_path)
    alone = build_task("bigbench", {"path": tmp_path / "colours"})
    assert {example.task for example in alone.load("test")} == {"bigbench/colours"}
    sample = build_task("bigbench", {"path": tmp_path, "per_task": 2})
    assert Counter(example.task for example in sample.load("test"))["bigbench/colours"] == 2
    split = build_task("bigbench", {"path": tmp_path, "tasks": ["colours"], "test_share": 0.25})
    assert {name: len(split.load(name)) for name in split.splits()} == {"train": 13, "valid": 2, "test": 5}


def test_bigbench_counts_by_its_names_and_content(tmp_path: Path) -> None:
    bigbench(tmp_path)
    one = build_task("bigbench", {"path": tmp_path / "open" / "one"})
    (tmp_path / "open" / "one").rename(tmp_path / "open" / "other")
    # The folder's name is its task's.
    assert build_task("bigbench", {"path": tmp_path / "open" / "other"}).fingerprint != one.fingerprint
    path = tmp_path / "open" / "other" / "task.json"
    (before,) = [e for e in build_task("bigbench", {"path": path.parent}).load("test") if e.answer == "Rome"]
    path.write_text(path.read_text().replace("Roma", "Urbs"))
    (after,) = [e for e in build_task("bigbench", {"path": path.parent}).load("test") if e.answer == "Rome"]
    assert after.accepted == ("Urbs",) and after.id != before.id, "what was graded by other golds is graded again"


def test_bigbench_faults_are_named(tmp_path: Path) -> None:
    (tmp_path / "program").mkdir()
    (tmp_path / "program" / "task.py").write_text("")
    with pytest.raises(DataError, match=r"no task\.json .*a task that is a program"):
        build_task("bigbench", {"path": tmp_path})
    bigbench(tmp_path)
    with pytest.raises(DataError, match=r"no BIG-bench task 'colors' \(did you mean 'colours'"):
        build_task("bigbench", {"path": tmp_path, "tasks": ["colors"]})
    for row, problem in (
        ({"input": "x"}, r"task\.json: example 0: 'target' \(a text or a list of texts\) or 'target_scores' is needed"),
        ({"target": "x"}, "example 0: 'input' must be a text"),
        ({"input": "x", "target_scores": ["a"]}, "example 0: 'target_scores' must be choices with their scores"),
    ):
        write_json(tmp_path / "colours" / "task.json", {"examples": [row]})
        with pytest.raises(DataError, match=problem):
            build_task("bigbench", {"path": tmp_path, "tasks": ["colours"]})
    write_json(tmp_path / "colours" / "task.json", {"name": "x"})
    with pytest.raises(DataError, match="not a BIG-bench task"):
        build_task("bigbench", {"path": tmp_path, "tasks": ["colours"]})


# --- MetaMathQA ------------------------------------------------------------------------------------------------------


def metamath(path: Path, count: int = 20) -> Path:
    rows = [
        {"query": f"{n} + {n}?", "response": f"Add them: {2 * n}.\n#### {2 * n}\nThe answer is: {2 * n}", "type": "x",
         "original_question": f"original {n // 2}"}
        for n in range(count)
    ]  # fmt: skip
    return write_json(path, [*rows, {"query": "No end?", "response": "Never."}])


def test_metamath_takes_the_answer_off_the_response(tmp_path: Path) -> None:
    task = build_task("metamath", {"path": metamath(tmp_path / "MetaMathQA.json")})
    found = examples(task)
    assert task.splits() == ("train", "valid")
    one = found["metamath-train-000003"]
    assert (one.question, one.answer, one.rationale) == ("3 + 3?", "6", "Add them: 6.")
    assert "1 row(s) do not end in" in notes(task) and "train has 21 questions, but 395,000 were published" in notes(
        task
    )
    groups = [{example.group for example in task.load(split)} for split in task.splits()]
    assert not groups[0] & groups[1]
    lines = write_jsonl(tmp_path / "m.jsonl", json.loads((tmp_path / "MetaMathQA.json").read_text()))
    assert len(examples(build_task("metamath", {"path": lines, "count": 12, "valid": 0.2}))) == 12
    with pytest.raises(DataError, match="row 0: query and response must be texts"):
        build_task("metamath", {"path": write_json(tmp_path / "bad.json", [{"query": "?"}])})


# --- BBH's prompts ---------------------------------------------------------------------------------------------------


def test_bbh_few_shot_prompts_are_the_publishers(tmp_path: Path) -> None:
    rows = [{"input": f"Which {n}?\nOptions:\n(A) red\n(B) blue", "target": "(B)"} for n in range(10)]
    write_json(tmp_path / "bbh" / "navigate.json", {"examples": rows})
    task = build_task("bbh", {"path": tmp_path / "bbh"})
    one = examples(task)["bbh-navigate-003"]
    with pytest.raises(DataError, match="few-shot prompts need the publisher's folder cot-prompts"):
        task.few_shot(one)  # type: ignore[attr-defined]
    (tmp_path / "cot-prompts").mkdir()
    (tmp_path / "cot-prompts" / "navigate.txt").write_text(
        "CANARY\n-----\nFind the way.\n\nQ: x\nA: y. So the answer is z.\n"
    )
    made = build_task("bbh", {"path": tmp_path / "bbh"}).few_shot(one)  # type: ignore[attr-defined]
    assert made == (
        "Find the way.\n\nQ: x\nA: y. So the answer is z.\n\n"
        "Q: Which 3?\nOptions:\n(A) red\n(B) blue\nA: Let's think step by step."
    )


# --- real files ------------------------------------------------------------------------------------------------------


def data(name: str) -> Path:
    return Path(os.environ["NESYCD_DATA"]) / name


@real
def test_real_gsm_plus() -> None:
    task = build_task("gsm_plus", {"path": data("gsm_plus")})
    assert set(Counter(example.task for example in task.load("test")).values()) == {300}
    assert notes(task) == "" and accepts_its_golds(task, 7)


@real
def test_real_agieval() -> None:
    said = card("agieval")
    assert said is not None
    there = [name for name in said.sizes if data(f"agieval/{name}.jsonl").is_file()]
    task = build_task("agieval", {"path": data("agieval"), "tasks": there})
    assert Counter(e.task.partition("/")[2] for e in task.load("test")) == {name: said.sizes[name] for name in there}
    assert "published" not in notes(task)
    assert all(not re.match(r"\s*[(（]?[A-F][)）.]", option) for e in task.load("test") for option in e.options)
    assert accepts_its_golds(task, 7)


@real
def test_real_arc() -> None:
    task = build_task("arc", {"path": data("arc"), "sets": ["easy"]})
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 2251, "valid": 570, "test": 2376}
    assert notes(task).endswith("2 question(s) stand in both train and test: results on test flatter")
    assert accepts_its_golds(task, 7)


@real
def test_real_bbh_prompts() -> None:
    task = build_task("bbh", {"path": data("bbh/bbh")})
    made = {example.task: task.few_shot(example) for example in task.load("test")}  # type: ignore[attr-defined]
    assert len(made) == 27
    for text in made.values():
        assert text.count("\nQ: ") == 4 and text.count("So the answer is") == 3 and "canary" not in text


def test_a_bigbench_task_is_named_by_its_folder_from_within_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "riddles").mkdir()
    (tmp_path / "riddles" / "task.json").write_text('{"examples": [{"input": "Why?", "target": "so"}]}')
    monkeypatch.chdir(tmp_path / "riddles")
    assert [e.uid for e in build_task("bigbench", {"path": "."}).load("test")] == ["bigbench-riddles-000"]


def test_a_byte_order_mark_is_no_part_of_an_mmlu_question(tmp_path: Path) -> None:
    for part in ("dev", "val"):
        (tmp_path / part).mkdir()
        lines = "".join(f"{part} {n}?,a,b,c,d,A\n" for n in range(3))
        (tmp_path / part / f"law_{part}.csv").write_text(lines, encoding="utf-8-sig")
    task = build_task("mmlu", {"path": tmp_path})
    questions = {e.question for split in task.splits() for e in task.load(split)}
    assert questions == {f"{part} {n}?" for part in ("dev", "val") for n in range(3)}
