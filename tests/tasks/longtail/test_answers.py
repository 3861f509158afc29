"""Every answer of longtail, computed again from the question's words and the raw tables, without the generator."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest

from nesycd.core.records import Example
from nesycd.tasks.longtail import LongTail, LongTailSettings

Row = list


def read(table: str, last: str = "") -> dict[str, Row]:
    """Every name of a table (canonical, plural, aliases), folded, with its row; only rows that end in `last`."""
    data = tomllib.loads((files("nesycd.tasks.longtail") / "data" / f"{table}.toml").read_text("utf-8"))
    names: dict[str, Row] = {}
    for row in data["seen"] + data["reserved"]:
        if last and row[-1] != last:
            continue
        aliases = [form for alias in row[2].split("|") for form in alias.split("/")]
        for name in (row[0], row[1], *aliases):
            if name:
                assert names.setdefault(name.casefold(), row) is row, f"{table}: two rows are named {name}"
    return names


TABLES = {
    "units": read("units"),
    "coinage": read("coinage"),
    "elements": read("elements"),
    "intervals": read("intervals"),
    "calendar": read("feasts"),
    "categories": read("kinds"),
    "genealogy": read("people"),
}


def mentions(text: str, names: dict[str, Row]) -> list[Row]:
    """Rows named in a text, in order, the longest name first at each place."""
    pattern = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return [names[found.casefold()] for found in re.findall(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE)]


def numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"(?<![\w])\d+(?!\w)", text)]


def script(text: str) -> dict[str, Row]:
    """The letters of the script that a text speaks of; "ur" stands in two."""
    return read("letters", re.search(r"Hebrew alphabet|rune row|Ogham row", text).group())


def measure(question: str, form: str, names: dict[str, Row]) -> str:
    named = [row for row in mentions(question, names) if re.search(rf"(?<!\w){row[4]}(?!\w)", question)]
    first, second = numbers(question)
    if form == "mixed":
        return str(first * named[0][3] + second)
    assert named[0][4] == named[1][4]
    return str(first * named[0][3] + second * named[1][3])


def elements(question: str, form: str, names: dict[str, Row]) -> str:
    first, second = mentions(question, names)
    column = 3 if form == "groups" else 4
    return str(first[column] + second[column] + numbers(question)[0])


def intervals(question: str, form: str, names: dict[str, Row]) -> str:
    named, found = mentions(question, names), numbers(question)
    if form == "stack":
        return str(named[0][3] + named[1][3] + found[0])
    return str(found[0] * named[0][3] + found[1])


def letters(question: str, form: str, names: dict[str, Row]) -> str:
    named = mentions(question, script(question))
    return str(named[0][3] + named[1][3] + numbers(question)[0])


def calendar(question: str, form: str, names: dict[str, Row]) -> str:
    named = mentions(question, names)
    return f"{named[0][3] + sum(numbers(question))} {named[0][4]}"


def categories(question: str, form: str, names: dict[str, Row]) -> str:
    listed, found = mentions(question, names), numbers(question)
    classes = {row[3] for row in names.values()}
    asked = [name for name in classes if re.search(rf" {name}s?(?: are there| is that| among|\?|,|\.)", question)]
    assert len(asked) == 1 and len(listed) == len(found)
    return str(sum(number for number, row in zip(found, listed, strict=True) if row[3] == asked[0]))


COLUMN = {"father": 3, "mother": 4, "spouse": 5}


def walk(person: str, *path: str) -> str:
    for relation in path:
        person = TABLES["genealogy"][person.casefold()][COLUMN[relation]]
        assert person
    return person


def genealogy(question: str, form: str, names: dict[str, Row]) -> str:
    person = mentions(question, names)[0][0]
    relations = re.findall(r"\b(father|mother|spouse)\b", question)
    if form == "pair":
        first = walk(person, relations[0])
        return f"{walk(first, 'father')} and {walk(first, 'mother')}"
    return walk(person, *relations)


def navigate(question: str, form: str, names: dict[str, Row]) -> str:
    moves = re.findall(r"(\w+) (\d+)", question)
    asked = re.search(r"(?:far|distance|length) (\w+)", question)[1]
    return str(sum(int(number) for way, number in moves if way == asked))


def boolean(question: str, form: str, names: dict[str, Row]) -> str:
    expression = re.search(r"\(.*\) (?:and|or) \(.*\)", question).group()
    assert re.fullmatch(r"[() ]*(?:(?:True|False|and|or|not)[() ]*)+", expression)
    return str(eval(expression, {"__builtins__": {}}))


def stories(question: str, form: str, names: dict[str, Row]) -> str:
    heaps, each, rest = numbers(question)
    return str(heaps * each + rest)


def sums(question: str, form: str, names: dict[str, Row]) -> str:
    return str(eval(re.search(r"\d+(?: [+x] \d+)+", question).group().replace("x", "*"), {"__builtins__": {}}))


def composed(question: str, form: str, names: dict[str, Row]) -> str:
    base, times, rest = re.search(r"(Scots pence|\w+) in (\d+) (.+)$", question).groups()
    row = next(
        row
        for table in ("units", "coinage")
        for row in mentions(rest, TABLES[table])[:1]
        if row[4] == base and rest.casefold().startswith(tuple(n for n, r in TABLES[table].items() if r is row))
    )
    amount = int(times) * row[3]
    if form == "date":
        feast = mentions(question, TABLES["calendar"])[0]
        return f"{feast[3] + amount} {feast[4]}"
    phrase = re.search(r"the (semitones|place|group) of (.+)$", question)
    if phrase[1] == "place":
        return str(amount + mentions(phrase[2], script(question))[0][3])
    table = {"semitones": "intervals", "group": "elements"}[phrase[1]]
    return str(amount + mentions(phrase[2], TABLES[table])[0][3])


SOLVERS = {
    "units": measure,
    "coinage": measure,
    "elements": elements,
    "intervals": intervals,
    "letters": letters,
    "calendar": calendar,
    "categories": categories,
    "genealogy": genealogy,
    "navigate": navigate,
    "boolean": boolean,
    "stories": stories,
    "sums": sums,
    "composed": composed,
}


def solve(example: Example) -> str:
    form = example.template.split("/")[1]
    return SOLVERS[example.task](example.question, form, TABLES.get(example.task, {}))


@pytest.mark.parametrize("seed", [0, 1])
def test_answers_agree_with_an_independent_computation(seed: int) -> None:
    task = LongTail(LongTailSettings(seed=seed))
    for split in task.splits():
        for example in task.load(split):
            assert solve(example) == example.answer, example.question
