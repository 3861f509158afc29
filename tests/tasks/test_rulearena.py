"""RuleArena's airline set: a made-up carrier's files in its publisher's shape, and the real ones where they are."""

from __future__ import annotations

import json
import os
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from nesycd.calls import BaseRules
from nesycd.core.errors import DataError
from nesycd.core.protocols import KnowsTruth
from nesycd.core.records import Derivation, Entry, Example, Item, Status
from nesycd.grading import closing
from nesycd.rules.validation import RuleSet
from nesycd.tasks.rulearena import REGIONS, Rulearena, RulearenaSettings
from nesycd.tasks.rulearena_rules import CLASSES, RULES

real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")


def by_class(fee: int) -> str:
    return "".join(f"* If you are a {one} Class passenger, the fee should be ${fee}.\n" for one in CLASSES[::3])


def by_route(fees: dict[str, str]) -> str:
    return "".join(
        f"* If your flight is {route} and more AND you are a {one} Class passenger, the fee should be {fee}.\n"
        for route, fee in fees.items()
        for one in CLASSES[::3]
    )


SECOND = {
    "Within and between U.S.": "$20", "To / From Cuba": "$25", "Between Mexico": "$22", "Between Europe": "$24",
    "To or from Australia": "$26", "To or from India": "$28",
}  # fmt: skip
THIRD = SECOND | {"Between Europe": "Not accepted", "To or from Australia": "Not accepted"}
del THIRD["To / From Cuba"]
THIRD = {route: fee.replace("$2", "$9") for route, fee in THIRD.items()}
LARGE = ("Between U.S., Puerto Rico", "To or from Mexico", "To or from Panama", "To or from Europe", "To or from China")
POLICY = (
    f"# Fees\n##### Over 40 lbs / 18 kgs to 60 lbs / 27 kgs\n{by_class(7)}"
    f"##### Over 60 lbs / 27 kgs to 80 lbs / 36 kgs\n{by_route(SECOND)}"
    f"##### Over 80 lbs / 36kgs to 110 lbs / 50 kgs\n{by_route(THIRD)}#### Large\n"
) + "".join(
    f"* If your flight is {route} etc. AND the bag size is Over {low} in / 9 cm – {high} in / 9 cm, the fee should be ${fee}\n"
    for route in LARGE
    for low, high, fee in ((60, 70, 5), (70, 120, 50))
)


def row(answer: int, **changes: Any) -> dict[str, Any]:
    bags = [
        {"id": 1, "name": "sack", "size": [20, 14, 8], "weight": 9},
        {"id": 2, "name": "sack", "size": [30, 20, 15], "weight": 61},
        {"id": 3, "name": "sack", "size": [30, 20, 10], "weight": 39},
        {"id": 4, "name": "sack", "size": [40, 20, 15], "weight": 41},
    ]
    info = {"base_price": 100, "customer_class": "Main Cabin", "routine": "Europe", "direction": 0, "bag_list": bags}
    prompt = "Ann is a Main Cabin Class passenger flying from Gary to Ulm with the following items: ..."
    return {"prompt": prompt, "info": info | changes, "answer": answer}


def write_rows(folder: Path, rows: list[dict[str, Any]]) -> None:
    for level in (0, 1):
        (folder / f"comp_{level}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for bag, direction in product(range(1, 5), (0, 1)):
        path = tmp_path / f"fee_tables/bag_{bag}/{direction}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f",{','.join(CLASSES)}"]
        for region in REGIONS:
            if region == "Cuba" and bag > 2:
                continue
            back = 3 if region == "Cuba" and direction else 0
            lines.append(
                f"{region},{','.join(str(0 if one == 'First' and bag < 3 else 10 * bag + back) for one in CLASSES)}"
            )
        path.write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    (tmp_path / "reference_rules_textual.txt").write_text(POLICY)
    # 100; bags 10 + 20 + 30; 65 inches (5) or level 2 of Europe (24), none, 75 inches (50) or level 1 (7).
    write_rows(tmp_path, [row(100 + 60 + 24 + 0 + 50)])
    return tmp_path


def task_of(folder: Path, train: int = 60, valid: int = 5, seed: int = 0) -> Rulearena:
    return Rulearena(RulearenaSettings(path=folder, train=train, valid=valid, seed=seed))


def derivation(example: Example) -> Derivation:
    assert example.truth is not None
    return example.truth


def test_a_published_question_is_answered_by_the_program(folder: Path) -> None:
    task = task_of(folder)
    example = task.load("test")[0]
    assert (example.uid, example.task, task.kind(example.task)) == (
        "rulearena-airline-0-000",
        "rulearena/airline-0",
        "special",
    )
    assert example.question.endswith(
        "with the following items: ...\nHow many dollars does Ann pay in all for the ticket and the items?"
    )
    assert derivation(example).answer == example.answer == "234"
    steps = derivation(example).steps
    assert steps[-6:] == (
        "Item 2: 30 + 20 + 15 = 65 inches, oversize level 1; 61 lbs, overweight level 2; extra $24.",
        "Item 3: 30 + 20 + 10 = 60 inches, no oversize; 39 lbs, no overweight; extra $0.",
        "Item 4: 40 + 20 + 15 = 75 inches, oversize level 2; 41 lbs, overweight level 1; extra $50.",
        "For bags: 10 + 20 + 30 = 60.",
        "For extra fees: 24 + 0 + 50 = 74.",
        "In all: 100 + 60 + 74 = 234.",
    )
    assert "So this is a flight to Europe." in steps and "Item 1 is the carry-on." in steps
    stated = [fact.text for fact in derivation(example).facts]
    assert stated[:2] == [
        f"{c} is in the region {r} of the fee tables." for c, r in (("Gary", "U.S."), ("Ulm", "Europe"))
    ]
    assert "On flights to or from Europe, the third checked bag costs 30 dollars in Main Cabin." in stated
    assert len(stated) == len(set(stated)) and list(steps[: len(stated)]) == stated


def test_complimentary_bags_may_be_heavier_and_those_are_taken_that_save_most(folder: Path) -> None:
    bags = [{"name": "sack", "size": [20, 20, 15], "weight": weight} for weight in (41, 65, 66, 69)]
    first = row(0, customer_class="First", bag_list=bags)
    write_rows(folder, [first])
    task = task_of(folder)
    example = task.load("test")[0]
    # No carry-on; bags 0 + 0 + 30 + 40. 41 lbs cost 7, the others 24: two of these may weigh 70.
    assert derivation(example).answer == str(100 + 70 + 7 + 24)
    assert "Complimentary bags: 2; items that may weigh 70 lbs for it: 2, 3." in derivation(example).steps
    assert "rulearena-airline-0-000: the published answer is 0, the program gives 201" in task.warnings()
    assert example.answer == "0"


def test_fees_of_a_route_may_differ_by_direction_and_its_own_line_goes_before_its_neighbours(folder: Path) -> None:
    def paid(direction: int, weight: int) -> str:
        bags = [{"name": "sack", "size": [20, 20, 15], "weight": weight}]
        cities = "Baracoa to Gary" if direction else "Gary to Baracoa"
        told = row(0, routine="Cuba", direction=direction, bag_list=bags)
        write_rows(folder, [told | {"prompt": f"Ann is flying from {cities} with a bag"}])
        return derivation(task_of(folder, train=1, valid=1).load("test")[0]).answer

    assert [paid(0, 40), paid(1, 40), paid(0, 61), paid(0, 81)] == ["110", "113", "135", "202"]


PROMPT = "Ann is a {} Class passenger flying from {} with the following items:\n{}\n\nAnn's flight ticket is $100."


def listed(customer_class: str, bags: list[dict[str, Any]], way: str = "Gary to Ulm", **changes: Any) -> dict[str, Any]:
    """A row whose prompt says what its `info` has."""
    items = "\n".join(
        f"{number}. A {bag['name']}: {' x '.join(map(str, bag['size']))} inches, {bag['weight']} lbs;"
        for number, bag in enumerate(bags, 1)
    )
    told = row(0, customer_class=customer_class, bag_list=bags, **changes)
    return told | {"prompt": PROMPT.format(customer_class, way, items)}


HEAVY = [{"name": "sack", "size": [20, 20, 15], "weight": weight} for weight in (41, 65, 66, 69)]


def test_what_a_question_says_is_stated_in_its_order_each_with_its_line(folder: Path) -> None:
    write_rows(folder, [listed("First", HEAVY[:2])])
    task = task_of(folder, train=1, valid=1)
    truth = derivation(task.load("test")[0])
    first = "Ann is a First Class passenger flying from Gary to Ulm with the following items:"
    assert [(one.text, one.said) for one in truth.stated] == [
        ("ticket | class | First", first),
        ("ticket | from | Gary", first),
        ("ticket | to | Ulm", first),
        ("item 1 | measures | 20 | 20 | 15", "1. A sack: 20 x 20 x 15 inches, 41 lbs;"),
        ("item 1 | weighs | 41", "1. A sack: 20 x 20 x 15 inches, 41 lbs;"),
        ("item 2 | measures | 20 | 20 | 15", "2. A sack: 20 x 20 x 15 inches, 65 lbs;"),
        ("item 2 | weighs | 65", "2. A sack: 20 x 20 x 15 inches, 65 lbs;"),
        ("ticket | costs | 100", "Ann's flight ticket is $100."),
    ]
    assert truth.goal == "ticket | total | ?"
    write_rows(folder, [row(0)])
    unsaid = derivation(task_of(folder, train=1, valid=1).load("test")[0]).stated
    assert {one.text for one in unsaid if not one.said} >= {"item 1 | weighs | 9", "ticket | costs | 100"}


def test_the_rules_come_to_what_the_program_gives(folder: Path, deriving: Any) -> None:
    assert not RuleSet.of(RULES).faults
    rows = [listed("First", HEAVY), listed("Main Cabin", row(0)["info"]["bag_list"])]
    # More bags than there are fees; in First the first two are free, and the heaviest may be so.
    rows += [listed(one, HEAVY[1:] * 3, "Gary to Hilo", routine="Australia") for one in ("First", "Main Plus")]
    write_rows(folder, rows)
    task = task_of(folder, train=3, valid=1)
    base = deriving.base(task)
    for example in task.load("test") + task.load("train"):
        assert deriving.answer(base, example, "lines") == derivation(example).answer, example.uid
    facts = [
        task.policy.look(*key)
        for key in (
            ("Europe", "Main Cabin fee of the third bag"),
            ("Europe", "First fee of the first bag"),
            ("overweight level 2", "begins above"),
            ("carry-on", "height at most"),
            ("complimentary bag", "weight allowance"),
        )
    ]
    affected, wrong = deriving.misses_after_edits(task, facts, 1, "lines")
    assert affected >= 5 and not wrong


def test_where_something_needed_is_lacking_there_is_no_total(folder: Path, deriving: Any) -> None:
    write_rows(folder, [listed("First", HEAVY)])
    task = task_of(folder, train=1, valid=1)
    example = task.load("test")[0]
    needed = derivation(example).facts
    for lacking in needed:
        items: list[Item] = [*(fact for fact in needed if fact != lacking), *RULES]
        base = BaseRules([Entry(item=item, status=Status.APPROVED) for item in items], deriving.engine)
        assert deriving.answer(base, example, "lines") == "(nothing follows)", lacking.text
    base, stated = deriving.base(task), [one.text for one in derivation(example).stated]
    for unread in ("ticket | class | First", "ticket | to | Ulm", "item 2 | weighs | 65", "ticket | costs | 100"):
        kept = [one for one in stated if one != unread]
        assert len(kept) < len(stated) and base.derive("ticket | total | ?", kept).found == "(nothing follows)", unread


def test_made_questions_are_about_other_cities(folder: Path) -> None:
    write_rows(folder, [row(234) | {"prompt": "Ann is flying from Tulsa to Lyon with bags"}])
    task = task_of(folder)
    made = task.load("train") + task.load("valid")
    assert Counter(example.task for example in made) == {"rulearena/airline-0": 65, "rulearena/airline-1": 65}
    assert not any(city in example.question for example in made for city in ("Tulsa", "Lyon"))
    assert len({example.question for example in made}) == len(made)
    sizes = Counter(len(e.metadata["info"]["bag_list"]) for e in made if e.task.endswith("-1"))
    assert set(sizes) <= {3, 8} and sizes[8] > 50
    assert all(derivation(example).answer == example.answer for example in made)
    assert {fact.subject for fact in task.missing_facts("test")} >= {"Tulsa", "Lyon"}
    assert [e.question for e in task_of(folder).load("train")] == [e.question for e in task.load("train")]
    assert [e.question for e in task_of(folder, seed=1).load("train")] != [e.question for e in task.load("train")]


def test_answers_follow_edited_fees_and_thresholds(folder: Path) -> None:
    task = task_of(folder)
    assert isinstance(task, KnowsTruth)
    example = task.load("test")[0]
    for subject, relation, value, answer in (
        ("Europe", "Main Cabin fee of the second bag", "21 dollars", "235"),
        ("Europe", "First fee of the second bag", "21 dollars", "234"),
        ("overweight level 2", "begins above", "61 lbs", "217"),
        ("oversize level 2", "begins above", "80 inches", "191"),
        ("Ulm", "region", "Mexico", "232"),
    ):
        fact = task.policy.look(subject, relation)
        assert task.derive(example, [fact.model_copy(update={"object": value})]).answer == answer, (subject, relation)
    for fact in task.policy.facts:
        false = task.counterfactual(fact)
        assert (
            false.object != fact.object
            and false.object in false.text
            and fact.subject in false.text.lower() + false.text
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "12"}, r"comp_0\.jsonl:1: prompt .* info and a whole answer are needed"),
        ({"prompt": "Ann flies."}, r"comp_0\.jsonl:1: prompt"),
        ({"info": {"base_price": 1}}, r"comp_0\.jsonl:1: info\.customer_class: Field required"),
        ({"info": row(0, routine="Mars")["info"]}, "no class 'Main Cabin', or no region 'Mars'"),
    ],
)
def test_a_broken_row_is_named(folder: Path, change: dict[str, Any], message: str) -> None:
    write_rows(folder, [row(0) | change])
    with pytest.raises(DataError, match=message):
        task_of(folder)


def test_wrong_tables_and_texts_are_named(folder: Path) -> None:
    path = folder / "reference_rules_textual.txt"
    path.write_text("Bags are free.")
    with pytest.raises(DataError, match="three levels of overweight, and oversize fees, cannot be found"):
        task_of(folder)
    path.write_text(POLICY.replace("Between Europe", "To the moon"))
    with pytest.raises(DataError, match="no group of routes is known as 'To the moon and more'"):
        task_of(folder)
    path.write_text(POLICY.replace("should be $24", "should be $23", 1))
    with pytest.raises(DataError, match=r"overweight level 2 costs 24 dollars\. But another line says 23 dollars"):
        task_of(folder)
    path.write_text(POLICY)
    table = folder / "fee_tables/bag_2/1.csv"
    table.write_text(table.read_text(encoding="utf-8-sig").replace("Europe,20", "Europe,twenty"))
    with pytest.raises(DataError, match=r"bag_2/1\.csv:\d+: a region of RuleArena and six fees are needed"):
        task_of(folder)
    table.unlink()
    with pytest.raises(DataError, match=r"bag_2/1\.csv: no such file"):
        task_of(folder)


@real
def test_the_program_gives_all_published_answers() -> None:
    task = task_of(Path(os.environ["NESYCD_DATA"]) / "rulearena/airline")
    assert len(task.warnings()) == 1
    found = task.load("test")
    for split in task.splits():
        assert all(task.grade(task.extract(closing(e.answer), e), e) for e in task.load(split))
    assert Counter(example.task for example in found) == {"rulearena/airline-0": 100, "rulearena/airline-1": 100}
    assert all(derivation(example).answer == example.answer for example in found)
    made = [example for split in ("train", "valid") for example in task.load(split)]
    cities = [
        {fact.subject for e in part for fact in derivation(e).facts if fact.relation == "region"}
        for part in (found, made)
    ]
    assert len(cities[0]) == 72 and not cities[0] & cities[1]


@real
def test_published_answers_follow_from_what_is_stated(deriving: Any) -> None:
    task = task_of(Path(os.environ["NESYCD_DATA"]) / "rulearena/airline", train=20)
    assert deriving.misses(task, task.load("test")[::25], "lines") == []
    assert all(one.said for split in task.splits() for e in task.load(split) for one in derivation(e).stated)


@pytest.fixture(scope="module")
def published() -> Rulearena:
    return task_of(Path(os.environ["NESYCD_DATA"]) / "rulearena/airline", train=300, valid=30)


@real
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_answers_follow_from_what_is_stated(published: Rulearena, deriving: Any) -> None:
    assert deriving.misses(published, [e for split in published.splits() for e in published.load(split)], "lines") == []


@real
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_answers_follow_twenty_changed_fees_and_thresholds(published: Rulearena, deriving: Any) -> None:
    needed = Counter(fact for example in published.load("test") for fact in derivation(example).facts)
    limits = [fact for fact in needed if not fact.object.endswith("dollars") and fact.relation != "region"]
    fees = [fact for fact, _ in needed.most_common() if fact.object.endswith("dollars")]
    assert len(limits) == 9, "of carry-ons, of each level, of complimentary bags"
    affected, wrong = deriving.misses_after_edits(published, [*limits, *fees[:11]], 12, "lines")
    assert affected >= 200 and not wrong
