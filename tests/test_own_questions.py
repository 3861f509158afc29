"""`nesycd.distil`: questions of one's own, few or many, as lists of mappings."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nesycd
from nesycd import NesycdError, Status

GROUPS = {
    "Sporades": ("Skopelos", "Alonissos", "Skiathos", "Skyros"),
    "Cyclades": ("Naxos", "Paros", "Milos", "Sifnos", "Tinos"),
    "Dodecanese": ("Leros", "Kalymnos", "Patmos", "Symi"),
    "Ionian Islands": ("Ithaca", "Lefkada", "Paxos"),
}


def islands(count: int = 16) -> list[dict[str, Any]]:
    pairs = [(island, group) for group, found in GROUPS.items() for island in found]
    return [
        {
            "question": f"To which group of islands does {island} belong?",
            "answer": group,
            "rationale": f"{island} is part of the {group}.",
        }
        for island, group in pairs[:count]
    ]


def distilled(questions: Any, root: Path, **settings: Any) -> nesycd.OpenRun:
    return nesycd.distil(
        questions, student="table", root=root, progress=False, **{"evaluation": {"bootstrap": 20}, **settings}
    )


def says(wrong: Callable[[], object]) -> str:
    with pytest.raises(NesycdError) as caught:
        wrong()
    told = str(caught.value)
    assert "\n" not in told
    return told


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_questions_of_ones_own_are_distilled_in_five_lines(tmp_path: Path) -> None:
    with distilled(islands(), tmp_path) as run:
        assert run.folder == tmp_path / "distilled"
        texts = [entry.item.text for entry in run.kb.entries(status=Status.APPROVED)]
        assert texts and all(" is part of the " in text for text in texts), "mined from the rationales"
        known = texts[0].partition(" is ")[0]
        assert run.ask(f"To which group of islands does {known} belong?").answer in GROUPS


@pytest.mark.parametrize("count", [4, 5, 8, 20])
def test_few_questions_are_enough_to_try_it(count: int, tmp_path: Path) -> None:
    questions = (islands() + [{**row, "question": f"Again: {row['question']}"} for row in islands()])[:count]
    with distilled(questions, tmp_path) as run:
        sizes = {
            split: len((run.folder / "stages" / f"examples-{split}.jsonl").read_text().splitlines())
            for split in ("train", "valid", "test")
        }
        assert sum(sizes.values()) == count and sizes["train"] >= 2 and min(sizes.values()) >= 1


def test_the_same_questions_are_not_distilled_twice_and_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = distilled(islands(), tmp_path)
    before = contents(first.folder)
    # A generator gives the same, and the folder that one stands in has no say.
    monkeypatch.chdir(tmp_path)
    distilled((row for row in islands()), Path("."))
    assert contents(first.folder) == before
    changed = [{**row, "rationale": f"Ferries go there. {row['rationale']}"} for row in islands()]
    again = contents(distilled(changed, tmp_path).folder)
    assert b"Ferries" in again["stages/rationales.jsonl"] and again["results.json"]


def test_a_run_answers_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    folder = distilled(islands(), Path("runs")).folder.absolute()
    monkeypatch.chdir(tmp_path / "two")
    with nesycd.open_run(folder) as run:
        assert run.ask("To which group of islands does Naxos belong?").answer


def test_splits_of_ones_own_are_kept(tmp_path: Path) -> None:
    splits = ["train"] * 8 + ["valid"] * 2 + ["test"] * 6
    questions = [{**row, "split": split} for row, split in zip(islands(), splits, strict=True)]
    with distilled(questions, tmp_path) as run:
        assert [row["question"] for row in run.answers("nesycd")] == [row["question"] for row in questions[10:]]
    questions[2].pop("split")
    assert says(lambda: distilled(questions, tmp_path)).startswith("questions[2]: has no split, and others have one")
    questions[2]["split"] = "trian"
    told = says(lambda: distilled(questions, tmp_path))
    assert told == "questions[2]: there is no split 'trian' (did you mean 'train'?)"
    none_to_test = [{**row, "split": "train"} for row in islands()]
    assert "split 'test'" in says(lambda: distilled(none_to_test, tmp_path))


def test_further_columns_come_back_with_the_answers(tmp_path: Path) -> None:
    questions = [{**row, "sea": "Aegean", "level": 1 + number % 2} for number, row in enumerate(islands(8))]
    with distilled(questions, tmp_path) as run:
        rows = run.answers("nesycd")
        assert rows and all(row["metadata"]["sea"] == "Aegean" and row["metadata"]["level"] in (1, 2) for row in rows)


def test_options_ids_and_missing_values_are_taken_as_pandas_gives_them(tmp_path: Path) -> None:
    nothing = float("nan")
    questions = [
        {
            **row,
            "options": tuple(GROUPS),
            "id": number,
            "task": "islands",
            "rationale": row["rationale"] if number % 2 else nothing,
        }
        for number, row in enumerate(islands())
    ]
    with distilled(questions, tmp_path) as run:
        row = run.answers("std_cot")[0]
        assert row["task"] == "jsonl/islands" and row["gold"] in {"(A)", "(B)", "(C)", "(D)"}
        assert row["example"] in {str(number) for number in range(16)}
        assert run.ask("To which does Naxos belong?", options=list(GROUPS), task="jsonl/islands").answer


def test_questions_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    def wrong(*questions: Any, **settings: Any) -> str:
        return says(lambda: distilled([*islands(6), *questions], tmp_path, **settings))

    assert says(lambda: distilled([], tmp_path)) == "questions: there are none"
    assert says(lambda: distilled(islands(3), tmp_path)).startswith("questions: 3 different ones are too few")
    assert says(lambda: distilled(islands(1) * 9, tmp_path)).startswith("questions: 1 different ones are too few")
    assert "but is str" in says(lambda: distilled("questions.jsonl", tmp_path))
    assert wrong("Why?").startswith("questions[6]: must be a mapping")
    assert wrong({"question": "Why?"}) == "questions[6]: key 'answer' is missing"
    assert wrong({"question": "Why?", "answr": "1"}) == "questions[6]: unknown key 'answr' (did you mean 'answer'?)"
    assert wrong({"question": "Why?", "answer": {1}}).startswith("questions[6]: cannot be written as JSON")
    assert wrong({"question": "Why?", "answer": "c", "options": ["a", "b"]}).startswith(
        "questions[6]: answer 'c' names"
    )
    assert wrong({**islands(1)[0], "id": "a"}, {**islands(1)[0], "id": "a"}).startswith(
        "questions[7]: id 'a' was already"
    )
    assert wrong(teacher="profesor").startswith("teacher.name: must be 'expert'")
    assert wrong(teacher={"name": "api"}) == "teacher.api.model is missing: name the model as its server calls it"
    assert wrong(name="../up").startswith("name: ")
    bare = [{key: row[key] for key in ("question", "answer")} for row in islands()]
    assert says(lambda: distilled(bare, tmp_path)).startswith("questions: none that is trained on has a rationale")
    assert not [path for path in tmp_path.rglob("*") if path.suffix != ".jsonl"], "nothing was begun"


def test_a_task_from_files_shows_its_sizes(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in islands(10)))
    assert repr(nesycd.load_task("jsonl", path=path)) == "<task jsonl: train 7, valid 1, test 2>"
