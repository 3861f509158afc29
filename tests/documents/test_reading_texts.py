"""Markdown and plain text: passages with their places, and what their sentences state."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Fact
from nesycd.documents import Reading, read_documents

HANDBOOK = """\
---
title: The fee of metadata is 1 EUR.
---
# Handbook of Acme

Acme Ltd is a company in Oslo.

## Refunds

Requests are due within 30 days. If a customer
lost the receipt, the team lead decides. The fee of a *refund* is **5 EUR**.
However, this does not hold for gifts. What about VAT?
An expense up to 250 EUR needs no approval. Above 250 EUR the team lead approves.

<!-- The fee of a comment is 9 EUR. -->
<script>alert(1)</script> is never run here.

### Late returns

- Deadline: 14 days
- Fee: 3 EUR

### Early returns

- Deadline: 2 days
- Fee: 0 EUR

## Prices

| Plan | Fee (EUR) | Hours | Free shipping | Note |
|------|----------:|-------|---------------|------|
| Gold | 20        | 24    | yes           | -    |
| Silver | 10 \\| 12 | 8 | no | =1+1 |

```
The fee of code is 20 EUR.
```

## Returning a laptop

1. Back up your [data](http://x.y).
2. Bring it to
   the help desk.

You must not bring:

- pets
- open fire

## Glossary

Per diem
: a daily allowance for meals
"""


def read(folder: Path, name: str, text: str, **keys: str) -> Reading:
    (folder / name).write_text(text, encoding="utf-8")
    [reading] = read_documents([folder / name], keys)
    return reading


def told(reading: Reading) -> dict[str, str]:
    """The text of each item, with the place that it cites."""
    return {item.text: evidence.source for item, evidence in reading.proposals}


def triples(reading: Reading) -> set[tuple[str, str, str]]:
    return {item.triple for item, _ in reading.proposals if isinstance(item, Fact)}


def test_a_handbook_gives_items_that_cite_their_heading_and_line(tmp_path: Path) -> None:
    reading = read(tmp_path, "handbook.md", HANDBOOK)
    assert told(reading) == {
        "Acme Ltd is a company in Oslo.": "handbook.md, line 6",
        "Refunds: Requests are due within 30 days.": "handbook.md#Refunds, line 10",
        "Refunds: If a customer lost the receipt, the team lead decides.": "handbook.md#Refunds, line 10, sentence 2",
        "The fee of a refund is 5 EUR.": "handbook.md#Refunds, line 11",
        "Refunds: An expense up to 250 EUR needs no approval. Above 250 EUR the team lead approves.": (
            "handbook.md#Refunds, line 13"
        ),
        "Refunds: <script>alert(1)</script> is never run here.": "handbook.md#Refunds, line 16",
        "The deadline of Late returns is 14 days.": "handbook.md#Refunds > Late returns, line 20",
        "The fee of Late returns is 3 EUR.": "handbook.md#Refunds > Late returns, line 21",
        "The deadline of Early returns is 2 days.": "handbook.md#Refunds > Early returns, line 25",
        "The fee of Early returns is 0 EUR.": "handbook.md#Refunds > Early returns, line 26",
        "Returning a laptop: (1) Back up your data; (2) Bring it to the help desk.": "handbook.md#Returning a laptop, line 41",
        "Returning a laptop: You must not bring: pets; open fire.": "handbook.md#Returning a laptop, line 45",
        "Per diem: a daily allowance for meals.": "handbook.md#Glossary, line 53",
        "The fee of Gold is 20 EUR.": "handbook.md#Prices, line 32",
        "The hours of Gold are 24.": "handbook.md#Prices, line 32",
        "Gold: free shipping: yes.": "handbook.md#Prices, line 32",
        "The fee of Silver is 10 | 12.": "handbook.md#Prices, line 33",
        "The hours of Silver are 8.": "handbook.md#Prices, line 33",
        "Silver: free shipping: no.": "handbook.md#Prices, line 33",
    }
    kinds = {item.text.partition(":")[0]: item.kind for item, _ in reading.proposals}
    assert kinds["Returning a laptop"] == "rule" and kinds["Refunds"] == "rule" and kinds["Gold"] == "fact"
    assert [item.text for item, _ in reading.proposals if item.kind == "lesson"] == [
        "Returning a laptop: (1) Back up your data; (2) Bring it to the help desk."
    ]
    # The rest is counted: nothing is left out unsaid.
    assert reading.left == {"code": 1, "questions": 1, "sentences that need the one before them": 1,
                            "empty cells": 1, "formulas": 1}  # fmt: skip


POLICY = """\
Acme Ltd: expense policy, 2026

Grades are G1 to G3. The hotel limit per night is 90 EUR for G1, 110 EUR for G2 and 130 EUR for G3.
Annual leave is 24 days for G1 and G2, 26 days for G3.
Mileage for a private car is 0.30 EUR per km.
Alcohol is never reimbursed.

TRAVEL

First-class rail is allowed from
G3 on. Mr. Lee arranges it. Ann's deputy is Bo Berg.
Home office: up to 3 days a week.
"""


def test_a_plain_text_is_read_by_lines_and_its_lone_lines_are_headings(tmp_path: Path) -> None:
    reading = read(tmp_path, "policy.txt", POLICY)
    assert triples(reading) == {
        ("G1", "hotel limit per night", "90 EUR"),
        ("G2", "hotel limit per night", "110 EUR"),
        ("G3", "hotel limit per night", "130 EUR"),
        ("G1", "annual leave", "24 days"),
        ("G2", "annual leave", "24 days"),
        ("G3", "annual leave", "26 days"),
        ("private car", "mileage", "0.30 EUR per km"),
        ("Ann", "deputy", "Bo Berg"),
    }
    places = told(reading)
    assert places["The hotel limit per night is 110 EUR for G2."] == "policy.txt, line 3, sentence 2"
    assert places["TRAVEL: First-class rail is allowed from G3 on."] == "policy.txt#TRAVEL, line 10"
    assert places["TRAVEL: Ann's deputy is Bo Berg."] == "policy.txt#TRAVEL, line 11, sentence 2"
    assert places["TRAVEL: Home office: up to 3 days a week."] == "policy.txt#TRAVEL, line 12"
    assert reading.left == {"sentences of no known form": 2}  # "Grades are G1 to G3." and "Mr. Lee arranges it."


@pytest.mark.parametrize(
    ("sentence", "triple"),
    [
        ("A hin is a measure of volume.", ("hin", "is a", "measure of volume")),
        ("The head of sales is Ann Lee.", ("sales", "head", "Ann Lee")),
        ("A parcel weighs 3 kg.", ("parcel", "weight", "3 kg")),
        ("Gold costs 20 EUR a month.", ("Gold", "cost", "20 EUR a month")),
        ("The deposit is 40 EUR.", ("deposit", "is", "40 EUR")),
        ("Per-diem is 45 EUR in Lisbon and 60 EUR in Oslo.", ("Oslo", "Per-diem", "60 EUR")),
    ],
)
def test_sentences_of_known_forms_are_facts(sentence: str, triple: tuple[str, str, str], tmp_path: Path) -> None:
    reading = read(tmp_path, "t.md", sentence)
    assert triple in {(s, "Per-diem" if r == "per-diem" else r, o) for s, r, o in triples(reading)}
    assert set(told(reading)) >= {sentence} or len(reading.proposals) == 2


@pytest.mark.parametrize(
    "sentence",
    [
        "The fee of a refund is 5 EUR unless the goods are damaged.",
        "Each day of leave is 8 hours.",
        "The limit is 90 EUR, but not for G1.",
        "If the parcel is late, the fee is 0 EUR.",
    ],
)
def test_what_holds_under_a_condition_is_a_rule_and_no_fact(sentence: str, tmp_path: Path) -> None:
    [(item, _)] = read(tmp_path, "t.md", sentence).proposals
    assert (item.kind, item.text) == ("rule", sentence)


@pytest.mark.parametrize(
    "sentence",
    ["We met in Oslo.", "It costs 20 EUR.", "Is the fee 20 EUR?", "These fees are always due.", "Nice weather today!"],
)
def test_what_is_not_understood_gives_nothing_and_is_counted(sentence: str, tmp_path: Path) -> None:
    reading = read(tmp_path, "t.md", sentence)
    assert reading.proposals == [] and sum(reading.left.values()) == 1
    assert reading.notes == [f"{tmp_path}/t.md: nothing in it is stated in a form that is understood"]


def test_a_list_of_conditions_gives_a_rule_each_with_its_line(tmp_path: Path) -> None:
    entries = "* If you fly to Cuba, the fee should be $35\n* If you fly to Oslo, it is $0\n"
    text = f"## First bag\nDecide the fee as follows:\n{entries}"
    assert told(read(tmp_path, "bags.txt", text)) == {
        "First bag: If you fly to Cuba, the fee should be $35.": "bags.txt#First bag, line 3",
        "First bag: If you fly to Oslo, it is $0.": "bags.txt#First bag, line 4",
    }


def test_a_file_that_is_no_text_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"Caf\xc3\xa9.\n\xff is never read.\n")
    with pytest.raises(KnowledgeError, match=r"a\.md:2: .*UTF-8"):
        read_documents([tmp_path / "a.md"])
    (tmp_path / "a.md").write_bytes("The fee of Gold is 20 €.".encode("utf-16"))
    [reading] = read_documents([tmp_path / "a.md"])
    assert triples(reading) == {("Gold", "fee", "20 €")}


@pytest.mark.parametrize(
    "hostile", ["<!--" * 30_000, "[" * 19_000, "**a" * 6_000, "| a " * 4_000, "(" * 100_000, "a: " * 6_000]
)
def test_hostile_texts_take_no_time(hostile: str, tmp_path: Path) -> None:
    began = time.process_time()
    read(tmp_path, "t.md", f"# T\n\n{hostile}\n\nThe fee of Gold is 20 EUR.\n")
    assert time.process_time() - began < 2


def test_a_long_sentence_gives_nothing(tmp_path: Path) -> None:
    reading = read(tmp_path, "t.md", f"The fee is never {'very ' * 200}high.")
    assert reading.proposals == [] and reading.left == {"too long": 1}


def test_a_heading_is_left_out_only_where_the_text_says_it(tmp_path: Path) -> None:
    text = "## First bag\n\nIn First class no fee is due for a bag. The first bags are never weighed.\n"
    assert [*told(read(tmp_path, "b.md", text))] == [
        "First bag: In First class no fee is due for a bag.",
        "The first bags are never weighed.",
    ]


def test_what_follows_several_values_in_one_paragraph_is_about_them(tmp_path: Path) -> None:
    text = "Annual leave is 24 days for G1, 26 days for G2. One day is added for each five years.\n\nAlcohol is never paid.\n"
    assert [*told(read(tmp_path, "l.md", text))][2:] == [
        "Annual leave: One day is added for each five years.",
        "Alcohol is never paid.",
    ]


def test_headings_that_stand_several_times_are_told_apart_by_those_above_them(tmp_path: Path) -> None:
    part = "## {0} plan\n\n### Fees\n\nThe monthly fee is {1} EUR. Refunds are never paid.\n\n"
    part += "| Region | Price |\n|---|---|\n| Asia | {1} |\n\n"
    reading = read(tmp_path, "p.md", "# Plans\n\n" + part.format("Gold", 20) + part.format("Basic", 10))
    assert triples(reading) == {
        ("Gold plan", "monthly fee", "20 EUR"),
        ("Basic plan", "monthly fee", "10 EUR"),
        ("Asia", "price (Gold plan > Fees)", "20"),
        ("Asia", "price (Basic plan > Fees)", "10"),
    }
    assert "Gold plan: Fees: Refunds are never paid." in told(reading)
    assert "Gold plan > Fees: The price of Asia is 20." in told(reading)


@pytest.mark.parametrize(
    "sentence",
    [
        "To correct a fact: search, edit and save it.",
        "Tokens and texts travel unencrypted: put a proxy in front.",
        "A workbook is refused: save its table as CSV.",
        "Without conditions it is a fact.",
    ],
)
def test_a_sentence_with_a_colon_or_a_pronoun_is_no_fact(sentence: str, tmp_path: Path) -> None:
    assert triples(read(tmp_path, "t.md", f"# T\n\n## Part\n\n{sentence}\n")) == set()
