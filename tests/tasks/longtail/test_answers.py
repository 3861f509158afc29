"""Every answer of longtail, computed again from the question's words and the raw tables, without the generator."""

from __future__ import annotations

import re
import tomllib
from importlib.resources import files

import pytest

from nesycd.records import Example
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


def number_at(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    assert match, (pattern, text)
    return int(match[1])


def measure(question: str, form: str, names: dict[str, Row]) -> str:
    named = mentions(question, names)
    if form == "nest":
        for row in named:
            inner = names.get(row[4].casefold())
            if inner is not None and re.search(rf"(?<!\w){inner[4]}(?!\w)", question):
                [times] = numbers(question)
                return str(times * row[3] * inner[3])
    inside = [row for row in named if re.search(rf"(?<!\w){row[4]}(?!\w)", question)]
    base = inside[0][4]
    if form == "less":
        less = number_at(rf"(\d+) {base}", question)
        rest = numbers(question)
        rest.remove(less)
        return str(rest[0] * inside[0][3] - less)
    first, second = inside
    return str(first[3] + numbers(question)[0] * second[3])


def elements(question: str, form: str, names: dict[str, Row]) -> str:
    first, second = mentions(question, names)
    [number] = numbers(question)
    return str(first[3] + second[3] - number if form == "groups" else number * first[4] + second[3])


def intervals(question: str, form: str, names: dict[str, Row]) -> str:
    named = mentions(question, names)
    less = number_at(r"(\d+) semitones", question)
    if form == "stack":
        return str(named[0][3] + named[1][3] - less)
    rest = numbers(question)
    rest.remove(less)
    return str(named[0][3] * rest[0] + less)


def letters(question: str, form: str, names: dict[str, Row]) -> str:
    named = mentions(question, script(question))
    found = numbers(question)
    if form == "sum":
        return str(named[0][3] + named[1][3] - found[0])
    times = number_at(r"(\d+) times" if "times" in question else r"by (\d+)", question)
    found.remove(times)
    return str(named[0][3] * times - found[0])


def calendar(question: str, form: str, names: dict[str, Row]) -> str:
    named, found = mentions(question, names), numbers(question)
    if form == "later":
        return f"{named[0][3] + sum(found)} {named[0][4]}"
    assert named[0][4] == named[1][4]
    return str(named[1][3] - named[0][3] - found[0])


def categories(question: str, form: str, names: dict[str, Row]) -> str:
    listed, found = mentions(question, names), numbers(question)
    classes = {row[3] for row in names.values()}
    asked = [name for name in classes if re.search(rf" {name}s?(?: are there| is that|\?|,)", question)]
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
    if "in-law" in question:
        paths = [("spouse", "father"), ("spouse", "mother")]
    elif "two grand" in question:
        last = "father" if "grandfathers" in question else "mother"
        paths = [("father", last), ("mother", last)]
    elif "grandfather and" in question:
        side = re.search(r"on the (\w+)'s side", question)[1]
        paths = [(side, "father"), (side, "mother")]
    elif "'s father" in question or "'s mother" in question:
        paths = [re.search(r"the (\w+)'s (\w+)'s (\w+)\?", question).groups()]
    else:
        paths = [re.search(r"the (\w+) of the (\w+) of the (\w+) of", question).groups()[::-1]]
    return " and ".join(walk(person, *path) for path in paths)


def navigate(question: str, form: str, names: dict[str, Row]) -> str:
    signs = {"north": 1, "south": -1, "east": 1, "west": -1, "up": 1, "down": -1, "right": 1, "left": -1}
    moves = re.findall(r"(\d+)(?: steps)? (north|south|east|west|up|down|right|left)", question)
    return str(sum(int(number) * signs[way] for number, way in moves))


def boolean(question: str, form: str, names: dict[str, Row]) -> str:
    expression = re.search(r"(?:not )*\(.*\) (?:and|or) (?:not )*(?:True|False)", question).group()
    assert re.fullmatch(r"[() ]*(?:(?:True|False|and|or|not)[() ]*)+", expression)
    return str(eval(expression, {"__builtins__": {}}))


def stories(question: str, form: str, names: dict[str, Row]) -> str:
    heaps, each, rest = numbers(question)
    lost = re.search(r"\b(gives|takes|loses|sells|uses)\b", question)
    return str(heaps * each - rest if lost else heaps * each + rest)


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
