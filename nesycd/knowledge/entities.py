"""Entities of the graph and the relations between them: which were merged, and what is declared of relations.

Both lie in the KB's own database as an append-only log of acts (who, when, why); how things stand is what the acts come to.
A merge changes no item: it says that two names mean one entity, and is taken back by a further act. Functions, not methods
of the store, which does not depend on entities.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from nesycd.core.errors import KnowledgeError
from nesycd.core.files import read_text
from nesycd.core.records import Fact, content_hash
from nesycd.core.text import normal, printable
from nesycd.knowledge.formats.mapping import first_problem
from nesycd.knowledge.rows import ITEM
from nesycd.knowledge.schema import entries as entry_rows
from nesycd.knowledge.schema import graph_acts
from nesycd.knowledge.store import KnowledgeBase
from nesycd.knowledge.yaml_text import emit_mapping, parse

FORMAT = "nesycd-graph/1"
IS_A = "is a"
"""The relation whose objects are an entity's classes, for the domains and ranges of relations."""
_MARKS = ("functional", "symmetric", "many_valued")
_TEXTS = ("inverse", "domain", "range")
_MOST_NAME = 1000
"""Characters of an entity's name that is searched for: databases search for no longer ones."""


class Relation(BaseModel):
    """What is declared of a relation. Names are compared as entities' are (case and white space do not count)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    functional: bool = False
    """At most one object for each subject."""
    many_valued: bool = False
    """Several objects of one subject are right, as those of `child`. Of a relation that is neither, they are doubtful."""
    symmetric: bool = False
    """It holds both ways, as `spouse`."""
    inverse: str = ""
    """The relation that says the same from the object's side, as `child` for `parent`."""
    domain: str = ""
    """The class its subjects are of: what their facts with the relation `is a` say."""
    range: str = ""
    """The class its objects are of; `number`: they begin with one."""


@dataclass(frozen=True)
class EntityMerge:
    """One entity taken as another: who said so, when (UTC) and why. `number` names it for `unmerge`."""

    number: int
    at: str
    actor: str
    entity: str
    into: str
    why: str
    reverted: str = ""
    """Who took it back, when and why, or ""."""


@dataclass(frozen=True)
class Entities:
    """Entities and relations as they stand; without arguments: nothing merged, nothing declared."""

    merges: tuple[EntityMerge, ...] = ()
    relations: Mapping[str, Relation] = field(default_factory=dict)
    """By normalised name."""

    @cached_property
    def merged(self) -> dict[str, str]:
        """Each entity that was merged, with what it was merged into (which may itself have been merged)."""
        return {merge.entity: merge.into for merge in self.merges if not merge.reverted}

    def node(self, name: str) -> str:
        """The graph's node for an entity's name: normalised, and merges followed."""
        node = normal(name)
        while node in self.merged:
            node = self.merged[node]
        return node

    def is_many_valued(self, relation: str) -> bool:
        """Whether several objects of one subject are right: it is declared so; a thing may be of several classes."""
        declared = self.relations.get(normal(relation))
        if declared is not None and (declared.many_valued or declared.functional):
            return declared.many_valued
        return normal(relation) == IS_A

    def is_functional(self, relation: str) -> bool:
        """Whether a relation is declared to have at most one object of each subject."""
        declared = self.relations.get(normal(relation))
        return declared is not None and declared.functional

    def inverse(self, relation: str) -> str:
        """The name of the relation as seen from the object's side; "" where nothing is declared."""
        name = normal(relation)
        if name in self.relations:
            declared = self.relations[name]
            if declared.symmetric or declared.inverse:
                return name if declared.symmetric else normal(declared.inverse)
        backs = (other for other, declared in self.relations.items() if normal(declared.inverse) == name)
        return next(backs, "")

    @cached_property
    def backwards(self) -> dict[str, str]:
        """Each relation (normalised) that says something from the object's side, with the relation that it says there.

        A symmetric one says itself. Only what is declared counts: that `father` has the inverse `child` makes fathers'
        facts speak of children, but not every child somebody's father.
        """
        return {
            name: declared.name if declared.symmetric else declared.inverse
            for name, declared in self.relations.items()
            if declared.symmetric or normal(declared.inverse)
        }

    @property
    def fingerprint(self) -> str:
        """Hash of all that changes what is found: merges and declarations as they stand."""
        told = [self.relations[name].model_dump() for name in sorted(self.relations)]
        return content_hash([sorted(self.merged.items()), told])


def read_entities(kb: KnowledgeBase) -> Entities:
    """Entities and relations of a KB as they stand."""
    with kb.reading() as connection:
        return stand(connection)


def entities_at(path: Path) -> Entities:
    """Those of the KB at a path; nothing merged or declared where there is none."""
    if not path.exists():
        return Entities()
    with KnowledgeBase.open(path, create=False) as kb:
        return read_entities(kb)


def merge_entities(kb: KnowledgeBase, entity: str, into: str, actor: str, why: str) -> EntityMerge:
    """Take one entity as another from now on: names and facts of both are those of `into`.

    Raises:
        KnowledgeError: no actor, a name that no fact gives to one entity alone, or both are one already.
    """
    _need_actor(actor)
    with kb.writing() as connection:
        before = stand(connection)
        old, new = (before.node(known_entity(connection, name)) for name in (entity, into))
        if old == new:
            raise KnowledgeError(f"{printable(entity)!r} and {printable(into)!r} are one entity already")
        number = act(connection, actor, "merge", {"entity": old, "into": new}, why)
        after = stand(connection)
    return next(merge for merge in after.merges if merge.number == number)


def unmerge_entities(kb: KnowledgeBase, number: int, actor: str, why: str) -> EntityMerge:
    """Take a merge back; later ones stand.

    Raises:
        KnowledgeError: no actor, or no such merge that still stands.
    """
    _need_actor(actor)
    with kb.writing() as connection:
        standing = {merge.number for merge in stand(connection).merges if not merge.reverted}
        if number not in standing:
            shown = ", ".join(map(str, sorted(standing))) or "none"
            raise KnowledgeError(f"merge {number} is none that stands (these do: {shown})")
        act(connection, actor, "unmerge", {"merge": number}, why)
        return next(merge for merge in stand(connection).merges if merge.number == number)


def declare_relations(kb: KnowledgeBase, relations: Sequence[Relation], actor: str, why: str = "") -> int:
    """Declare relations as one change, each in the place of what was said of it before; gives how many changed.

    Raises:
        KnowledgeError: no actor, or two declarations of one relation.
    """
    _need_actor(actor)
    names = [normal(relation.name) for relation in relations]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise KnowledgeError(f"the relation {printable(twice)!r} is declared twice")
    with kb.writing() as connection:
        before = stand(connection).relations
        changed = [relation for relation in relations if before.get(normal(relation.name)) != relation]
        for relation in changed:
            act(connection, actor, "declare", relation.model_dump(), why)
    return len(changed)


def relations_text(entities: Entities) -> str:
    """The declarations as YAML, sorted: the same text for the same declarations."""
    lines = [f"format: {FORMAT}", "relations:" if entities.relations else "relations: []"]
    for name in sorted(entities.relations):
        lines += emit_mapping(as_mapping(entities.relations[name]))
    return "\n".join(lines) + "\n"


def as_mapping(relation: Relation) -> dict[str, Any]:
    """A declaration as it stands in files."""
    body: dict[str, Any] = {"name": relation.name}
    if marks := [mark for mark in _MARKS if getattr(relation, mark)]:
        body["is"] = marks
    return body | {key: value for key in _TEXTS if (value := getattr(relation, key))}


def read_relations(path: Path) -> list[Relation]:
    """Declarations from a YAML file as `relations_text` writes it.

    Raises:
        KnowledgeError: it cannot be read, or a declaration cannot be used: named with line and key.
    """
    root = parse(read_text(path, KnowledgeError), str(path)).value
    given = root.get("relations") if isinstance(root, Mapping) else None
    if given is None or set(root) - {"format", "relations"} or not isinstance(given.value, list):
        raise KnowledgeError(f"{path}: needs a mapping with `relations:`, a list of declarations")
    if "format" in root and root["format"].value != FORMAT:
        raise KnowledgeError(f"{path}: format is {root['format'].value!r}, but {FORMAT!r} is read here")
    return [relation_of(node.plain, f"{path}: line {node.line}") for node in given.value]


def relation_of(given: Any, where: str) -> Relation:
    """A declaration as `as_mapping` makes it.

    Raises:
        KnowledgeError: it cannot be used; named by `where` and key.
    """
    if not isinstance(given, Mapping):
        raise KnowledgeError(f"{where}: is not a mapping of keys to values")
    body = dict(given)
    marks = body.pop("is", [])
    said = marks if isinstance(marks, list) else [marks]
    if unknown := [mark for mark in said if mark not in _MARKS]:
        raise KnowledgeError(f"{where}: is: {unknown[0]!r} is none of {', '.join(_MARKS)}")
    if other := sorted(set(body) - {"name", *_TEXTS}):
        raise KnowledgeError(f"{where}: {other[0]}: is not a key ({', '.join(('name', 'is', *_TEXTS))})")
    try:
        relation = Relation.model_validate(body | dict.fromkeys(said, True))
    except ValidationError as error:
        raise KnowledgeError(f"{where}: {first_problem(error)}") from None
    if not normal(relation.name):
        raise KnowledgeError(f"{where}: name: is blank")
    if relation.functional and relation.many_valued:
        raise KnowledgeError(f"{where}: is: functional and many_valued exclude each other")
    return relation


def _need_actor(actor: str) -> None:
    if not actor.strip():
        raise KnowledgeError("a change of the graph needs the name of who makes it")


def act(connection: Connection, actor: str, action: str, body: Mapping[str, Any], note: str) -> int:
    """Write an act (`merge`, `unmerge`, `declare`) into the log; gives its number."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    told = json.dumps(body, ensure_ascii=False, sort_keys=True)
    made = connection.execute(insert(graph_acts).values(at=now, actor=actor, action=action, body=told, note=note))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0])


def stand(connection: Connection) -> Entities:
    """Entities and relations as they stand, on an open connection."""
    merges: dict[int, EntityMerge] = {}
    relations: dict[str, Relation] = {}
    for row in connection.execute(select(graph_acts).order_by(graph_acts.c.seq)):
        body = json.loads(row.body)
        if row.action == "merge":
            merges[row.seq] = EntityMerge(row.seq, row.at, row.actor, body["entity"], body["into"], row.note)
        elif row.action == "unmerge":
            old = merges[body["merge"]]
            said = f"{row.actor}, {row.at}: {row.note}"
            merges[old.number] = EntityMerge(old.number, old.at, old.actor, old.entity, old.into, old.why, said)
        else:
            relation = Relation.model_validate(body)
            relations[normal(relation.name)] = relation
    return Entities(tuple(merges.values()), relations)


def known_entity(connection: Connection, name: str) -> str:
    """The entity that a name, or an alias that only one entity has, stands for."""
    wanted = normal(name)
    if len(wanted) > _MOST_NAME:
        raise KnowledgeError(
            f"an entity's name has at most {_MOST_NAME:,} characters here, and this one has {len(wanted):,}"
        )
    query = select(entry_rows.c.item).where(entry_rows.c.kind == "fact")
    near = query.where(entry_rows.c.words.contains(wanted, autoescape=True))
    subjects: set[str] = set()
    bearers: set[str] = set()
    for text in connection.execute(near).scalars():
        fact = ITEM.validate_json(text)
        assert isinstance(fact, Fact)
        names = {normal(fact.subject), normal(fact.object)}
        subjects |= {wanted} & names
        if wanted in map(normal, fact.aliases):
            bearers.add(normal(fact.subject))
    if subjects:
        return wanted
    if len(bearers) != 1:
        some = (
            f"several entities bear it: {', '.join(map(printable, sorted(bearers)))}" if bearers else "no fact has it"
        )
        raise KnowledgeError(f"the entity {printable(name)!r} is not known: {some}")
    return bearers.pop()
