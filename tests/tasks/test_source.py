"""Every benchmark of files counts by what its files say, wherever they lie."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.paths import without_paths
from nesycd.tasks.registry import build_task, task_names
from nesycd.tasks.rulearena import REGIONS
from nesycd.tasks.rulearena_rules import CLASSES

WORD = "seventeen"
"""Stands in every file: what is edited."""


def rows(count: int, **row: Any) -> str:
    return "".join(json.dumps({key: f"{value}{n}" for key, value in row.items()}) + "\n" for n in range(count))


def story(number: int) -> str:
    """A row of CLUTRR: "X{number} has a son, Y, and he has a brother, Z."."""
    x, y, z = (f"{name}{number}" for name in "XYZ")
    told = f"[{x}] has {WORD} sons. [{y}] likes his brother [{z}]. [{y}] is a son of [{x}]."
    proof = f"[{{('{x}', 'son', '{z}'): [('{x}', 'son', '{y}'), ('{y}', 'brother', '{z}')]}}]"
    cells = [told, f"('{x}', '{z}')", "son", proof, "task_1.2", "[(0, 1), (1, 2)]", "['son', 'brother']"]
    return ",".join(f'"{cell}"' for cell in (*cells, f"{x}:male,{y}:male,{z}:male")) + "\n"


STORIES = "story,query,target_text,proof_state,task_name,story_edges,edge_types,genders\n"
PARTIES = (
    "Ada is from Ohio. Bo is from Utah. Ada sues Bo for libel for $5.",
    "Ada is from Ohio. Bo is from Utah. Cy is from Utah. Ada sues Bo and Cy each for libel for $5.",
    "Ada is from Ohio. Bo is from Utah. Ada sues Bo for libel for $5 and fraud for $6.",
    "Ada is from Ohio. Bo is from Utah. Cy is from Utah. Ada and Cy both sue Bo for libel for $5.",
)
GRADES = ", ".join(f"{80 + n} EUR for G{n}" for n in range(1, 6))
RULES_OF_WORK = f"""We are {WORD}. The hotel limit per night is {GRADES}. Per-diem a day is 10 EUR in Rome.
The first and the last day of a trip are paid at half. Up to 100 is small: up to 90 EUR needs no approval. Above 90 EUR the \
team lead approves, above 500 EUR the department head, above 900 EUR the CFO. Annual leave is 20 days for G1 and G2, 22 days \
for G3, 23 days for G4 and 24 days for G5. One day is added for each full two years of service. At most 3 days of leave are \
carried over. First-class rail is allowed from G2 on. Alcohol is never reimbursed. An expense without a receipt is paid up to \
9 EUR. Sick leave needs a certificate from the second day on. Home office: up to 2 days a week, in G1 up to 1 days a week."""
BANDS = "".join(
    f"##### Over {low} lbs / 1 kgs to {high} lbs / 2 kgs\n* If you are a First Class passenger, the fee should be $3.\n"
    for low, high in ((40, 60), (60, 80), (80, 110))
)
LARGE = "".join(
    f"* If your flight is {route} AND the bag size is Over {low} in / 9 cm – 200 in / 9 cm, the fee should be $5\n"
    for route in (
        "Between U.S., Puerto Rico",
        "To or from Mexico",
        "To or from Panama",
        "To or from Europe",
        "To or from China",
    )
    for low in (60, 70)
)
FLIGHT = {
    "prompt": f"Ann, {WORD}, is flying from Gary to Ulm with a bag",
    "info": {
        "base_price": 1, "customer_class": "First", "routine": "Europe", "direction": 0,
        "bag_list": [{"name": "bag", "size": [9, 9, 9], "weight": 9}],
    },
    "answer": 1,
}  # fmt: skip
FEES = f"of,{','.join(CLASSES)},note\n" + "".join(f"{one}{',1' * 6},{WORD}\n" for one in REGIONS)

FILES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "gsm8k": ({}, {f"{part}.jsonl": rows(9, question=f"{WORD}?", answer="#### 4") for part in ("train", "test")}),
    "gsm_plus": ({}, {"testmini.jsonl": rows(4, question=f"{WORD}?", answer="4", perturbation_type="kind")}),
    "bbh": (
        {},
        {"navigate.json": json.dumps({"examples": [{"input": f"{WORD} {n}", "target": "y"} for n in range(9)]})},
    ),
    "bigbench": ({}, {"t/task.json": json.dumps({"examples": [{"input": WORD, "target": "y"}]})}),
    "agieval": (
        {"tasks": ["sat-en"]},
        {"sat-en.jsonl": json.dumps({"question": WORD, "options": ["(A)x", "(B)y"], "label": "A"})},
    ),
    "arc": ({}, {"easy_test.jsonl": json.dumps({"id": "1", "question": WORD, "options": ["x", "y"], "answer": "A"})}),
    "mmlu": (
        {},
        {f"{p}/law_{p}.csv": "".join(f"{WORD} {p} {n},a,b,c,d,A\n" for n in range(5)) for p in ("dev", "val")},
    ),
    "metamath": ({"path": "m.jsonl"}, {"m.jsonl": rows(9, query=f"{WORD}?", response="So. The answer is: 4")}),
    "clutrr": (
        {},
        {
            f"gen_train234_test2to10__{part}.csv": STORIES + "".join(map(story, numbers))
            for part, numbers in (("validation", range(9)), ("test", range(9, 12)))
        },
    ),
    "helpdesk": (
        {"train": 9, "valid": 1},
        {
            "policy.txt": RULES_OF_WORK,
            "questions.jsonl": json.dumps(
                {"id": "1", "task": "approval", "question": f"{WORD}: an expense of 80 EUR?", "answer": "nobody"}
            ),
        },
    ),
    "legalbench": (
        {"train": 3, "valid": 1},
        {
            f"diversity_{number}__{part}.tsv": f"text\tlabel\tparties_are_diverse\taic_is_met\n{text}\tNo\t{WORD}\t-\n"
            for number, text in enumerate(PARTIES, 1)
            for part in ("train", "test")
        },
    ),
    "rulearena": (
        {"train": 3, "valid": 1},
        {
            "reference_rules_textual.txt": f"{WORD}\n{BANDS}#### Large\n{LARGE}",
            **{f"comp_{level}.jsonl": json.dumps(FLIGHT) for level in (0, 1)},
            **{f"fee_tables/bag_{bag}/{way}.csv": FEES.replace("of,", ",", 1) for bag in range(1, 5) for way in (0, 1)},
        },
    ),
    "jsonl": ({"path": "m.jsonl"}, {"m.jsonl": rows(9, question=f"{WORD}?", answer="4")}),
    "mixture": (
        {"parts": [{"name": "gsm_plus", "use": {"test": "test"}, "settings": {"path": ""}}]},
        {"testmini.jsonl": rows(4, question=f"{WORD}?", answer="4", perturbation_type="kind")},
    ),
}


def settings_in(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    if "parts" in settings:
        return {"parts": [{**part, "settings": {"path": str(folder)}} for part in settings["parts"]]}
    return {**settings, "path": str(folder / settings.get("path", ""))}


def test_no_benchmark_of_files_is_left_out() -> None:
    assert set(FILES) == {*task_names()} - {"longtail"}


@pytest.mark.parametrize("name", sorted(FILES))
def test_edited_files_count_and_moved_or_touched_ones_do_not(name: str, tmp_path: Path) -> None:
    if name == "metamath":
        pytest.importorskip("math_verify")
    settings, files = FILES[name]
    folder = tmp_path / "here"
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)

    def build() -> str:
        return build_task(name, settings_in(folder, settings)).fingerprint

    before, told = build(), without_paths(settings_in(folder, settings))
    folder = folder.rename(tmp_path / "there")
    for file in files:
        os.utime(folder / file, (1, 1))
    assert build() == before and without_paths(settings_in(folder, settings)) == told
    for file, text in files.items():
        (folder / file).write_text(text.replace(WORD, "eighteen", 1))
        assert build() != before, f"{file} is read and does not count"
        (folder / file).write_text(text)
    assert build() == before


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("name", sorted(FILES))
def test_files_are_read_with_and_without_a_byte_order_mark(name: str, encoding: str, tmp_path: Path) -> None:
    if name == "metamath":
        pytest.importorskip("math_verify")
    settings, files = FILES[name]

    def build(folder: Path, encoding: str) -> list[str]:
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text.replace(WORD, "about – siebzehn"), encoding=encoding)
        task = build_task(name, settings_in(folder, settings))
        return [example.id for split in task.splits() for example in task.load(split)]

    assert build(tmp_path / "marked", encoding) == build(tmp_path / "plain", "utf-8")
