"""The tables of real facts as entities with their names, and the invented names of the twin world.

A file in `data/` gives its `source`, a list of rows `seen` (used in training and test) and one `reserved` (for
`ood_unseen`). A row is: name, plural ("" = has none), aliases ("singular/plural", separated by `|`), then values.
Nothing here knows what the values mean, except that a value which is an entity's name or plural is renamed with it.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

TABLES = ("units", "coinage", "elements", "intervals", "letters", "feasts", "kinds", "people")
"""The data files, in the order in which the twin world invents names."""

_PARENT_COLUMNS = {"people": (0, 1, 2)}
"""Value columns that hold names of entities without a row of their own."""


@dataclass(frozen=True)
class Entity:
    """A subject of facts: its canonical name, its other names and its values in table order."""

    name: str
    plural: str
    aliases: tuple[tuple[str, str], ...]
    """(singular, plural) of each; the plural is "" where it has none."""
    values: tuple[str | int, ...]
    reserved: bool

    @property
    def other_names(self) -> tuple[str, ...]:
        """Plural and aliases: all that may stand for the canonical name."""
        names = [self.plural, *(form for alias in self.aliases for form in alias)]
        return tuple(dict.fromkeys(name for name in names if name and name != self.name))


@dataclass(frozen=True)
class Table:
    """One data file: its source and its entities in file order."""

    name: str
    source: str
    entities: tuple[Entity, ...]


@lru_cache(maxsize=1)
def real_tables() -> dict[str, Table]:
    """All tables as they stand in `data/`."""
    return {name: _read(name) for name in TABLES}


def renamed_tables(seed: int) -> dict[str, Table]:
    """The tables with an invented, pronounceable name for each entity, alias and plural; values stay otherwise."""
    rng = random.Random(f"longtail/{seed}/names")
    taken = {word.casefold() for table in real_tables().values() for name in _all_names(table) for word in name.split()}
    return {name: _renamed(table, rng, taken) for name, table in real_tables().items()}


def _read(name: str) -> Table:
    data = tomllib.loads((files(__package__) / "data" / f"{name}.toml").read_text("utf-8"))
    entities = [_entity(row, part == "reserved") for part in ("seen", "reserved") for row in data[part]]
    return Table(name, data["source"], tuple(entities))


def _entity(row: list[str | int], reserved: bool) -> Entity:
    name, plural, aliases, *values = row
    pairs = [str(alias).partition("/") for alias in str(aliases).split("|") if alias]
    return Entity(str(name), str(plural), tuple((one, many) for one, _, many in pairs), tuple(values), reserved)


def _all_names(table: Table) -> Iterable[str]:
    for entity in table.entities:
        yield entity.name
        yield from entity.other_names
        for column in _PARENT_COLUMNS.get(table.name, ()):
            if entity.values[column]:
                yield str(entity.values[column])


def _renamed(table: Table, rng: random.Random, taken: set[str]) -> Table:
    new: dict[str, str] = {}
    for entity in table.entities:
        new[entity.name] = invent(rng, taken, entity.name[0].isupper())
        if entity.plural:
            new[entity.plural] = new[entity.name] + "s"
    for name in _all_names(table):
        if name not in new and not any(name in entity.other_names for entity in table.entities):
            new[name] = invent(rng, taken, capital=True)
    entities = []
    for entity in table.entities:
        aliases = []
        for one, many in entity.aliases:
            alias = invent(rng, taken, one != one.lower())
            aliases.append((alias, alias + "s" if many else ""))
        values = tuple(new.get(value, value) if isinstance(value, str) else value for value in entity.values)
        plural = new[entity.plural] if entity.plural else ""
        entities.append(Entity(new[entity.name], plural, tuple(aliases), values, entity.reserved))
    return Table(table.name, f"invented names; values: {table.source}", tuple(entities))


_PLAIN = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "t", "v", "z")
_CLUSTERS = ("br", "dr", "fl", "gl", "kr", "pl", "tr")
_VOWELS = ("a", "e", "i", "o", "u")
_ENDS = ("l", "n", "r", "m", "k", "t", "nd", "lt", "rb", "d")


def invent(rng: random.Random, taken: set[str], capital: bool) -> str:
    """A new word of two or three syllables; `taken` (folded) grows by it and its plural."""
    while True:
        # Short words have clusters in both syllables: plain ones are too often English ("demon").
        onsets = (_CLUSTERS, _CLUSTERS) if rng.random() < 0.5 else (_PLAIN, _PLAIN, _PLAIN)
        word = "".join(rng.choice(onset) + rng.choice(_VOWELS) for onset in onsets) + rng.choice(_ENDS)
        if word not in taken and word + "s" not in taken:
            taken.update({word, word + "s"})
            return word.capitalize() if capital else word
