"""An MCP server over a knowledge base: agents search, look up, have items explained, and propose items; people decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field, ValidationError

from nesycd import __version__
from nesycd.calls import LookUp
from nesycd.core.errors import KnowledgeError, NesycdError
from nesycd.core.records import Entry, Evidence, Example, Fact, Item, Lesson, Rule, Status
from nesycd.core.sections import RetrievalSection
from nesycd.core.text import is_blank
from nesycd.knowledge import KnowledgeBase, read_entities
from nesycd.knowledge.queue import enqueue, told_of_waiting
from nesycd.methods.knowledge import Knowledge
from nesycd.students.table import TableStudent

INSTRUCTIONS = (
    "A knowledge base of facts, lessons and rules, those of them that are approved; `explain` tells by whom, where `auto` is "
    "no person. Search it before you state what it may hold, and name the ids of the items that you use. What you "
    "propose waits in a queue until a person decides: tell your user so."
)
_MOST = 50
_MOST_TEXT = 4000
_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

Text = Annotated[str, Field(max_length=_MOST_TEXT)]
Asked = Annotated[Text, Field(description="A question, or some words.")]
Name = Annotated[Text, Field(description="What is asked about, by any of its names, such as `fathom`.")]
Relation = Annotated[Text, Field(description="Which property of it, such as `makes`; empty: all that is stated of it.")]
Question = Annotated[
    Text, Field(description="The question that this is for; it settles which meaning of a name is meant.")
]
ItemId = Annotated[Text, Field(description="An id as `search` gives it, or its first characters (4 at least).")]
Statement = Annotated[Text, Field(description="The item in one sentence, as it is to be read.")]
Why = Annotated[Text, Field(description="Why it is needed, and from what source it is.")]
Subject = Annotated[Text, Field(description="Of a fact: what it is about, such as `fathom`.")]
Property = Annotated[
    Text, Field(description="Of a fact: which property, in a word that the base has, such as `makes`.")
]
Value = Annotated[Text, Field(description="Of a fact: the value, such as `6 feet`.")]
Names = Annotated[list[Text], Field(max_length=20, description="Of a fact: other names of its subject.")]
Clause = Annotated[Text, Field(description="Of a rule: its Horn clauses, such as `p(X, Z) :- q(X, Y), r(Y, Z).`")]
Some = Annotated[int, Field(ge=1, le=_MOST)]


class FoundItem(BaseModel):
    """An item of the base."""

    id: str
    kind: str
    text: str
    triple: tuple[str, str, str] | None = None
    """Subject, relation, object of a fact."""
    status: str
    why: str = ""
    """Why it was found."""


class Looked(BaseModel):
    """The result of a look-up."""

    found: str
    """The object, or a remark in brackets."""
    items: list[FoundItem]
    """The facts behind it."""
    how: str


class Explained(BaseModel):
    """An item with what is known of it."""

    item: FoundItem
    fields: dict[str, Any]
    evidence: list[dict[str, str]]
    history: list[str]
    queued: list[str]
    """Why a person should look at it, where it waits for that."""


class Proposed(BaseModel):
    """What became of a proposal."""

    id: str
    status: str
    note: str


class _Base:
    """The base with what is built of it, anew after each revision."""

    def __init__(self, kb: KnowledgeBase) -> None:
        self.kb = kb
        self._built: tuple[int, Knowledge, LookUp, dict[str, Entry]] | None = None

    def built(self) -> tuple[Knowledge, LookUp, dict[str, Entry]]:
        """Retrieval, look-ups and the approved entries by their ids."""
        revision = self.kb.revision
        if self._built is None or self._built[0] != revision:
            entries, entities = self.kb.entries(status=Status.APPROVED), read_entities(self.kb)
            settings = RetrievalSection(kind="fused", max_items=_MOST, budget_tokens=100_000, min_coverage=0.3)
            # The table student counts words, which is enough where nothing has to fit a prompt.
            knowledge = Knowledge(settings, TableStudent(), tuple(entries), entities)
            self._built = (
                revision,
                knowledge,
                LookUp(entries, entities, hold_names=False),
                {one.item_id: one for one in entries},
            )
        return self._built[1:]


def mcp_server(kb: KnowledgeBase, name: str = "nesycd") -> MCPServer[Any]:
    """The server; run it by `run()`, over standard input and output.

    Args:
        kb: the base; approved items are read, and proposals are written to it.
        name: told to clients.
    """
    base = _Base(kb)
    server: MCPServer[Any] = MCPServer(name, instructions=INSTRUCTIONS, version=__version__, log_level="ERROR")

    def search(query: Asked, kind: Literal["", "fact", "lesson", "rule"] = "", limit: Some = 10) -> list[FoundItem]:
        """Find approved items for a question or some words, best first, each with the reason why it was found."""
        with _told(kb):
            knowledge, _, entries = base.built()
            asked = Example(uid="query", task="query", question=_needed(query, "query"), answer="")
            hits = knowledge.retriever.retrieve(knowledge.query(asked))
            hits = [hit for hit in hits if kind in ("", hit.item.kind)]
            return [_shown(entries[hit.item.id], hit.why) for hit in hits[:limit] if hit.item.id in entries]

    def look_up(entity: Name, relation: Relation = "", question: Question = "") -> Looked:
        """What the base states of an entity: `fathom`, `makes` gives `6 feet`. Other names, plurals and slips of spelling are
        understood. A result in brackets, such as `(not found)` or `(several: ...)`, is a remark and no value; `how` then names
        the relations that the entity has. Without a relation, `items` are all facts about the entity."""
        with _told(kb):
            _, facts, entries = base.built()
            name, about = _needed(entity, "entity"), _about(facts, entity)
            known = f"it has: {', '.join(dict.fromkeys(one.relation for one in about))}" if about else ""
            if about and not relation.strip():
                return Looked(
                    found="(no relation)", items=[_shown(entries[one.id]) for one in about[:_MOST]], how=known
                )
            found = facts.find(name, relation.strip(), question)
            items = [_shown(entries[one]) for one in dict.fromkeys(found.items) if one in entries]
            how = "; ".join(filter(None, (found.how, "" if items else known)))
            return Looked(found=found.found, items=items, how=how)

    def explain(item_id: ItemId) -> Explained:
        """An item by its id, or the first characters of it (4 at least), whatever its status: its fields, the evidence for it,
        its history with the people who decided, and whether it waits for review."""
        with _told(kb):
            entry = kb.get(_needed(item_id, "item_id"))
            fields = entry.item.model_dump(mode="json", exclude_defaults=True)
            told = kb.history(entry.item_id)
            lines = [f"{line.at} {line.actor} {line.action}: {line.note}".rstrip(": ") for line in told]
            evidence = [{"question": one.example, "source": one.source} for one in entry.evidence]
            queued = _queued(kb, entry)
            return Explained(item=_shown(entry), fields=fields, evidence=evidence, history=lines, queued=queued)

    def propose(
        kind: Literal["fact", "lesson", "rule"],
        text: Statement,
        why: Why,
        context: Context[Any],
        subject: Subject = "",
        relation: Property = "",
        object: Value = "",
        aliases: Names = [],  # noqa: B006
        clause: Clause = "",
    ) -> Proposed:
        """Propose an item; a person decides whether it enters the base.

        A fact is one statement: its text, and the same as subject, relation and object (as short as a question would have them).
        A lesson is general advice on one kind of question. A rule may have a clause for the engine."""
        with _told(kb):
            item, who = _item(kind, text, subject, relation, object, aliases, clause), _client(context)
            reason = f"proposed by {who}: {_needed(why, 'why')}"
            known = _there(kb, item)
            if known is not None and known.status is not Status.PROPOSED:
                note = f"it is in the base already, {known.status}"
                return Proposed(id=known.item_id, status=str(known.status), note=note)
            entry = kb.propose(item, Evidence(example="", source=who))
            enqueue(kb, {entry.item_id: [reason]}, who)
            return Proposed(id=entry.item_id, status=str(entry.status), note="it waits for a person's decision")

    for tool in (search, look_up, explain, propose):
        server.add_tool(tool, description=getdoc(tool), annotations=_WRITES if tool is propose else _READS)
    return server


def _about(facts: LookUp, name: str) -> list[Fact]:
    """The facts about what a name means."""
    linked = (one.entity for mention in facts.linker.link(name) for one in mention.candidates)
    return [fact for node in dict.fromkeys(facts.called(name) or linked) for fact in facts.about(node)]


@contextmanager
def _told(kb: KnowledgeBase) -> Iterator[None]:
    """Turns mistakes into what the client is told: without the base's place."""
    try:
        yield
    except NesycdError as error:
        raise ToolError(str(error).replace(kb.place, Path(kb.place).name)) from None


def _item(kind: str, text: str, subject: str, relation: str, value: str, aliases: list[str], clause: str) -> Item:
    """The proposed item.

    Raises:
        KnowledgeError: a field is missing, or does not belong to its kind.
    """
    told = {"subject": subject, "relation": relation, "object": value, "aliases": aliases, "clause": clause}
    own = {"fact": ("subject", "relation", "object", "aliases"), "lesson": (), "rule": ("clause",)}[kind]
    if extra := [name for name, given in told.items() if given and name not in own]:
        raise KnowledgeError(f"{extra[0]}: a {kind} has none")
    needed = {"text": text, **({"subject": subject, "relation": relation, "object": value} if kind == "fact" else {})}
    if empty := [name for name, given in needed.items() if is_blank(given)]:
        raise KnowledgeError(f"{empty[0]}: a {kind} needs it")
    try:
        if kind == "fact":
            names = tuple(name.strip() for name in aliases)
            subject, relation, value = subject.strip(), relation.strip(), value.strip()
            return Fact(text=text.strip(), subject=subject, relation=relation, object=value, aliases=names)
        if kind == "rule":
            return Rule(text=text.strip(), clause=clause.strip() or None)
        return Lesson(text=text.strip())
    except ValidationError as error:
        place = error.errors()[0]["loc"][0]
        raise KnowledgeError(f"{place}: a {kind} needs it") from None


def _there(kb: KnowledgeBase, item: Item) -> Entry | None:
    try:
        return kb.get(item.id)
    except KnowledgeError:
        return None


def _client(context: Context[Any]) -> str:
    """Who proposes: the client, as it calls itself."""
    given = context.session.client_params
    named = "".join(one for one in (given.client_info.name if given else "") if one.isprintable()).strip()[:60]
    return f"mcp: {named or 'a client'}"


def _queued(kb: KnowledgeBase, entry: Entry) -> list[str]:
    return list(told_of_waiting(kb).get(entry.item_id, ()))


def _needed(text: str, name: str) -> str:
    if is_blank(text):
        raise KnowledgeError(f"{name}: must not be empty")
    return text.strip()


def _shown(entry: Entry, why: str = "") -> FoundItem:
    item = entry.item
    triple = item.triple if isinstance(item, Fact) else None
    return FoundItem(id=item.id, kind=item.kind, text=item.text, triple=triple, status=str(entry.status), why=why)
