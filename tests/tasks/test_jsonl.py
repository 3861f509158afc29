"""A user's own files as a benchmark: splits, names, options and every way to get a line wrong."""

from __future__ import annotations

import json
import os
import re
from csv import DictWriter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nesycd.core.errors import DataError
from nesycd.core.protocols import Task
from nesycd.core.records import Example
from nesycd.tasks.jsonl import Jsonl, JsonlSettings


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def sums(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"question": f"{n} + {n}?", "answer": 2 * n} for n in range(start, start + count)]


def everything(task: Task) -> list[Example]:
    return [example for split in task.splits() for example in task.load(split)]


def one(tmp_path: Path, **row: Any) -> Example:
    """The example made from one row, read along with others."""
    path = write(tmp_path / "own.jsonl", [*sums(9), {"id": "it", "question": "Which?", "answer": "red", **row}])
    return next(example for example in everything(Jsonl(JsonlSettings(path=path))) if example.uid == "it")


def test_one_file_is_split_seeded_by_ratios(tmp_path: Path) -> None:
    path = write(tmp_path / "own.jsonl", sums(100))
    task = Jsonl(JsonlSettings(path=path))
    assert isinstance(task, Task)
    assert {split: len(task.load(split)) for split in task.splits()} == {"train": 70, "valid": 10, "test": 20}
    assert {e.uid for e in task.load("test")} == {e.uid for e in Jsonl(JsonlSettings(path=path)).load("test")}
    assert {e.uid for e in task.load("test")} != {e.uid for e in Jsonl(JsonlSettings(path=path, seed=1)).load("test")}
    assert {example.split for example in task.load("valid")} == {"valid"}
    assert task.grade("2.0", task.load("train")[0].model_copy(update={"answer": "2"}))
    assert task.warnings() == []


def test_three_questions_give_one_to_each_split(tmp_path: Path) -> None:
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", sums(3))))
    assert [len(task.load(split)) for split in task.splits()] == [1, 1, 1]


def test_too_few_questions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", sums(2))))


def test_equal_texts_get_ordinals_and_stay_on_one_side(tmp_path: Path) -> None:
    rows = [row for n in range(20) for row in sums(1, n) * 3]
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows)))
    by_group: dict[str, list[Example]] = {}
    for example in everything(task):
        by_group.setdefault(example.group, []).append(example)
    assert len(by_group) == 20
    for members in by_group.values():
        stem = members[0].uid
        assert [member.uid for member in members] == [stem, f"{stem}-2", f"{stem}-3"]
        assert len({member.split for member in members}) == 1


def test_conflicting_golds_are_listed_not_refused(tmp_path: Path) -> None:
    rows = [*sums(20), {"id": "odd", "question": "3  + 3?", "answer": "7"}, {"question": "4 + 4?", "answer": "8.0"}]
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows)))
    [conflict] = task.conflicts
    assert set(conflict.answers) == {"6", "7"}
    assert "odd = '7'" in task.warnings()[0]


def test_a_file_for_each_split(tmp_path: Path) -> None:
    files: dict[str, Any] = {name: write(tmp_path / f"{name}.jsonl", sums(10, start)) for name, start in
             (("train", 0), ("valid", 10), ("test", 20))}  # fmt: skip
    task = Jsonl(JsonlSettings(**files, name="own"))
    assert [len(task.load(split)) for split in ("train", "valid", "test")] == [10, 10, 10]
    assert task.load("test")[0].question == "20 + 20?"
    assert task.load("test")[0].uid.startswith("own-")


def test_valid_is_cut_from_train_where_not_given(tmp_path: Path) -> None:
    train, test = write(tmp_path / "train.jsonl", sums(50)), write(tmp_path / "test.jsonl", sums(5, 100))
    task = Jsonl(JsonlSettings(train=train, test=test))
    assert [len(task.load(split)) for split in ("train", "valid", "test")] == [45, 5, 5]
    assert not {e.group for e in task.load("train")} & {e.group for e in task.load("valid")}


def test_texts_in_two_given_files_are_told(tmp_path: Path) -> None:
    train, test = write(tmp_path / "train.jsonl", sums(5)), write(tmp_path / "test.jsonl", sums(3, 4))
    valid = write(tmp_path / "valid.jsonl", sums(2, 50))
    assert (
        "1 question(s) stand in both train and test"
        in Jsonl(JsonlSettings(train=train, valid=valid, test=test)).warnings()[0]
    )


def test_all_keys_are_taken(tmp_path: Path) -> None:
    example = one(tmp_path, options=["blue", "red"], rationale="It is red.", task="colours")
    assert (example.answer, example.options) == ("(B)", ("blue", "red"))
    assert (example.task, example.rationale) == ("jsonl/colours", "It is red.")


def test_letters_in_options_are_taken_off(tmp_path: Path) -> None:
    example = one(tmp_path, options=["(A) blue", "(B) red"], answer="B")
    assert (example.options, example.answer) == (("blue", "red"), "(B)")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"qestion": "?"}, r"own\.jsonl:10: unknown key 'qestion' \(did you mean 'question'\?\)"),
        ({"question": " "}, r"own\.jsonl:10: question must be a text that is not empty"),
        ({"answer": None}, r"own\.jsonl:10: answer must be a text"),
        ({"answer": []}, r"own\.jsonl:10: answer must be a text"),
        ({"answer": ["red", None]}, r"own\.jsonl:10: answer must be a text"),
        ({"answer": float("nan")}, r"own\.jsonl:10: answer must be a text that is not empty, but is missing"),
        (
            {"answer": float("-inf")},
            r"own\.jsonl:10: answer is missing: -inf stands in its place",
        ),
        ({"answer": {"text": "red"}}, r"own\.jsonl:10: answer must be a text"),
        ({"options": {"A": "red", "C": "blue"}}, r"options must be a list, or have the letters A, B in order"),
        ({"options": "['red' 'blue']"}, r"own\.jsonl:10: options look like a list, but are not JSON: \['red'"),
        ({"split": "fold 3"}, r"own\.jsonl:10: there is no split 'fold 3'"),
        ({"options": "red"}, r"own\.jsonl:10: options must be a list of texts"),
        ({"options": ["red"]}, r"own\.jsonl:10: 1 options, but 2 to 26"),
        ({"options": ["blue", "green"]}, r"own\.jsonl:10: answer 'red' names none or more than one of the 2 options"),
        ({"options": ["red", "red"]}, r"own\.jsonl:10: answer 'red' names none or more than one"),
        ({"id": 1.5}, r"own\.jsonl:10: id must be a text or a whole number"),
        ({"rationale": 3}, r"own\.jsonl:10: rationale must be a text"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        one(tmp_path, **row)


def test_missing_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own\.jsonl:1: key 'answer' is missing"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [{"question": "?"}])))
    with pytest.raises(DataError, match=r"own\.jsonl:1: key 'question' is missing"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [{"answer": "?"}])))


def test_an_id_used_twice_names_both_lines(tmp_path: Path) -> None:
    rows = [{"id": 7, **sums(1)[0]}, *sums(3, 5), {"id": "7", **sums(1, 2)[0]}]
    with pytest.raises(DataError, match=r"own\.jsonl:5: id '7' was already used at .*own\.jsonl:1;"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows)))


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own\.jsonl: no questions"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [])))


def test_an_unknown_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no split 'tests'.*did you mean 'test'"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", sums(10)))).load("tests")


def load(path: Path, content: str, **settings: Any) -> Jsonl:
    path.write_text(content)
    return Jsonl(JsonlSettings(path=path, **settings))


def csv(header: str, row: str, count: int = 4) -> str:
    """A table whose rows differ in their number, written as N."""
    return "\n".join([header, *(row.replace("N", str(n)) for n in range(count))])


def first(task: Jsonl) -> Example:
    return min(everything(task), key=lambda example: example.question)


def test_all_bad_rows_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    with pytest.raises(DataError) as caught:
        load(path, "id,question,answer\n1,Why?,\n1,How?,so\n1,When?,now\n2,now\n")
    assert str(caught.value) == (
        f"3 of 4 rows cannot be used: {path}:2: answer must be a text that is not empty, but is missing (empty, null or NaN); "
        f"{path}:4: id '1' was already used at {path}:3; ids must be unique; {path}:5: 2 cells, but the header has 3 "
        "(separator ','; a text that contains it stands in quotation marks)"
    )
    train, test = (
        write(tmp_path / "train.jsonl", [{"question": "?"}]),
        write(tmp_path / "test.jsonl", [{"answer": "?"}]),
    )
    with pytest.raises(DataError, match=r"2 of 2 rows.*train\.jsonl:1: key 'answer'.*test\.jsonl:1: key 'question'"):
        Jsonl(JsonlSettings(train=train, test=test))


@pytest.mark.parametrize(
    ("name", "encoding", "settings", "said"),
    [
        ("own.csv", "utf-8-sig", {}, "CSV, UTF-8 with a byte order mark, separator ';', 4 questions; question = Question, "
         "answer = ANSWER; kept as metadata: Level"),
        ("own.csv", "windows-1252", {"encoding": "windows-1252"}, "CSV, cp1252, separator ';', 4 questions; question"),
        ("own.txt", "utf-16", {}, "CSV, UTF-16, separator ';', 4 questions; question"),
    ],
)  # fmt: skip
def test_tables_are_questions_and_what_was_understood_is_said(
    tmp_path: Path, name: str, encoding: str, settings: dict[str, str], said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(csv("Question;ANSWER;Level", "Café N, wie viel?;N €;leicht").encode(encoding))
    task = Jsonl(JsonlSettings(path=path, **settings))
    example = first(task)
    assert (example.question, example.answer, example.metadata) == ("Café 0, wie viel?", "0 €", {"Level": "leicht"})
    assert task.understood[0].startswith(f"{path}: {said}")


def test_metadata_are_kept_and_change_no_id(tmp_path: Path) -> None:
    with_level = load(tmp_path / "a.csv", csv("question,answer,level,note", "QN?,N,hard,"))
    without = load(tmp_path / "b.csv", csv("question,answer", "QN?,N"))
    assert [one.metadata for one in everything(with_level)] == [{"level": "hard"}] * 4
    assert [one.id for one in everything(with_level)] == [one.id for one in everything(without)]
    one = first(with_level)
    assert Example.from_json(json.loads(json.dumps(one.to_json()))) == one
    chosen = load(
        tmp_path / "a.csv", csv("question,answer,level,answers", "QN?,N,hard,0"), columns={"metadata": "answers"}
    )
    assert first(chosen).metadata == {"answers": "0"}


def test_columns_may_be_named(tmp_path: Path) -> None:
    names = {"question": ("q", "hint"), "options": ("A", "B"), "answer": "key", "task": "area", "id": "nr"}
    header, row = "nr,q,hint,A,B,key,area,question", "n-N,Which N?,Think.,red,blue,B,colours,old"
    example = first(load(tmp_path / "own.csv", csv(header, row), columns=names))
    assert (example.uid, example.question, example.task) == ("n-0", "Which 0?\n\nThink.", "jsonl/colours")
    assert (example.options, example.answer) == (("red", "blue"), "(B)")
    assert example.metadata == {"question": "old"}
    with pytest.raises(DataError, match=r"own\.csv: columns\.task: no row has 'aera' \(did you mean 'area'\?\)"):
        load(tmp_path / "own.csv", csv(header, row), columns={**names, "task": "aera"})
    with pytest.raises(
        DataError, match=r"key 'question' is missing \(it has: prompt; say which is the question by columns"
    ):
        load(tmp_path / "own.csv", csv("prompt,answer", "N,N", 1))


def test_several_answers_are_accepted(tmp_path: Path) -> None:
    example = one(tmp_path, answer=["red", "crimson", "red"])
    assert (example.answer, example.accepted) == ("red", ("crimson",))
    assert one(tmp_path, answer=["B", "(A)"], options=["red", "blue"]).accepted == ("(A)",)
    task = load(tmp_path / "own.csv", csv("question,a1,a2", "QN?,N,zero", 4), columns={"answer": ("a1", "a2")})
    assert [task.grade(given, first(task)) for given in ("0", "Zero", "1")] == [True, True, False]


@pytest.mark.parametrize(
    "options", [["red", 2], {"A": "red", "B": 2}, '["red", 2]', '{"A": "red", "B": "2"}', ["(A) red", "(B) 2"]]
)
def test_options_are_read_as_others_write_them(tmp_path: Path, options: Any) -> None:
    example = one(tmp_path, options=options, answer="2")
    assert (example.options, example.answer) == (("red", "2"), "(B)")


def test_a_column_says_the_splits(tmp_path: Path) -> None:
    parts = ["train"] * 6 + ["Validation"] * 2 + ["test"] * 3
    rows = [{**row, "split": part} for row, part in zip(sums(11), parts, strict=True)]
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows)))
    assert [len(task.load(split)) for split in ("train", "valid", "test")] == [6, 2, 3]
    assert {one.question for one in task.load("test")} == {row["question"] for row in rows[8:]}
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows[:6] + rows[8:])))
    assert [len(task.load(split)) for split in ("train", "valid", "test")] == [5, 1, 3]
    with pytest.raises(DataError, match=r"1 of 12 questions have no split, such as jsonl-"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [*rows, *sums(1, 20)])))
    with pytest.raises(DataError, match="split 'test' is empty"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows[:6])))
    with pytest.raises(DataError, match=r"own\.jsonl:1: split is 'train', but the file is given as test"):
        Jsonl(
            JsonlSettings(train=write(tmp_path / "train.jsonl", sums(3)), test=write(tmp_path / "own.jsonl", rows[:1]))
        )


WORKING = "Two and two make four. So the answer is 4."
TURNS = [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": WORKING}]
MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "2 + 2?"}]},
    {"role": "assistant", "content": WORKING},
]
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("row", "question", "metadata"),
    [
        ({"instruction": "Add.", "input": "2 + 2", "output": WORKING}, "Add.\n\n2 + 2", {}),
        ({"instruction": "2 + 2?", "input": "", "output": WORKING, "text": "x"}, "2 + 2?", {"text": "x"}),
        ({"instruction": "2 + 2?", "output": "Two and two make four.\n#### 4"}, "2 + 2?", {}),
        ({"conversations": TURNS, "source": "web"}, "2 + 2?", {"source": "web"}),
        ({"messages": MESSAGES}, "2 + 2?", {}),
        ({"messages": [SYSTEM, *MESSAGES]}, "2 + 2?", {"system": "Be brief."}),
    ],
)
def test_published_shapes_of_instructions_are_read(
    tmp_path: Path, row: dict[str, Any], question: str, metadata: dict[str, Any]
) -> None:
    path = write(tmp_path / "own.jsonl", [row])
    task = Jsonl(JsonlSettings(train=path, valid=path, test=path))
    example = first(task)
    assert (example.question, example.answer, example.metadata) == (question, "4", metadata)
    assert example.rationale == "Two and two make four."
    assert re.search("; rows of (Alpaca|ShareGPT|messages)", task.understood[0])


def test_a_shape_with_a_column_for_the_answer_keeps_the_response_as_rationale(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"Q{n}?"}, {"role": "assistant", "content": f"It is {n}."}],
             "answer": n} for n in range(4)]  # fmt: skip
    example = first(Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows))))
    assert (example.answer, example.rationale) == ("0", "It is 0.")


def test_answers_may_stand_at_the_end_of_a_response(tmp_path: Path) -> None:
    rows = [{"query": f"Q{n}?", "response": f"Hm. So \\boxed{{{n}}} it is."} for n in range(4)]
    names = {"question": "query", "answer": "response", "rationale": "response"}
    task = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows), columns=names))
    assert (first(task).answer, first(task).rationale) == ("0", rows[0]["response"])
    assert task.warnings() == []
    rows = [{"question": f"Q{n}?", "answer": "It goes on and on. " * 20 + str(n)} for n in range(4)]
    [note] = Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", rows))).warnings()
    assert note.startswith(f"4 answer(s) are long or a whole working, such as at {tmp_path / 'own.jsonl'}:1: ")
    [note] = load(tmp_path / "own.csv", csv("question,answer", "QN?,nan")).warnings()
    assert note.startswith("4 answer(s) are the text 'nan' or 'null'")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (
            {"messages": MESSAGES * 2},
            "one turn of the user and one answer, but here are user, assistant, user, assistant",
        ),
        ({"messages": MESSAGES[:1]}, "but here are user"),
        ({"messages": [MESSAGES[1], MESSAGES[0]]}, "but here are assistant, user"),
        ({"messages": "Why?"}, "messages must be a list of turns"),
        (
            {"messages": [{"role": "user", "content": [{"image": "x"}]}, MESSAGES[1]]},
            "a turn must be text, but is {'image'",
        ),
        ({"messages": None}, "not a row of messages as the first: key 'messages' is missing"),
        ({"question": "Why?", "answer": "So."}, "not a row of messages as the first: key 'messages' is missing"),
    ],
)
def test_conversations_that_are_no_question_are_named(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=rf"own\.jsonl:2: .*{re.escape(problem)}"):
        Jsonl(JsonlSettings(path=write(tmp_path / "own.jsonl", [{"messages": MESSAGES}, row])))


def test_the_help_desks_questions_are_read_from_a_spreadsheets_csv(tmp_path: Path) -> None:
    if "NESYCD_DATA" not in os.environ:
        pytest.skip("NESYCD_DATA names no folder of real data")
    source = Path(os.environ["NESYCD_DATA"]) / "helpdesk" / "questions.jsonl"
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    with (tmp_path / "own.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = DictWriter(file, ["id", "task", "question", "answer", "options"], delimiter=";")
        table.writeheader()
        table.writerows({**row, "options": json.dumps(row["options"]) if "options" in row else ""} for row in rows)
    there, here = (Jsonl(JsonlSettings(path=path)) for path in (source, tmp_path / "own.csv"))
    assert [one.id for one in everything(there)] == [one.id for one in everything(here)] and len(everything(here)) == 62


@pytest.mark.parametrize(
    "settings",
    [
        {"columns": {"qestion": "q"}},
        {"columns": {"id": ("a", "b")}},
        {"encoding": "windows-1253x"},
        {"separator": ";;"},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JsonlSettings(path=Path("x"), **settings)


@pytest.mark.parametrize(
    "settings",
    [{}, {"path": "a", "train": "b"}, {"train": "a"}, {"test": "a"}, {"path": "a", "ratios": (1, 0, 1)}],
)
def test_settings_must_name_one_way(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JsonlSettings(**settings)
