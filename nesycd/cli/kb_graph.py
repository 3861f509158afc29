"""`nesycd kb graph`, `merge`, `unmerge`, `relations`: the knowledge graph, merges of entities and declarations of relations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nesycd.cli.kb_common import By, Kb, Limit, Why, changed_base, open_base, tell_more, user
from nesycd.core.errors import KnowledgeError
from nesycd.core.text import printable

Entity = Annotated[str, typer.Argument(help="A name or alias, in quotes.", show_default=False)]


def graph(
    entity: Annotated[str, typer.Argument(help="A name or alias, in quotes.", show_default=False)] = "",
    to: Annotated[str, typer.Argument(help="Another: show the paths to it instead.", show_default=False)] = "",
    hops: Annotated[int, typer.Option("--hops", min=1, help="How many facts away.")] = 1,
    stats: Annotated[
        bool, typer.Option("--stats", help="Describe the whole graph, with facts that break declarations.")
    ] = False,
    limit: Limit = 100,
    kb: Kb = None,
) -> None:
    """Show the neighbourhood of an entity in the graph of approved facts.

    Objects are linked as retrieval links them: "6 feet" leads to the foot.

    Examples:

        nesycd kb graph fathom --hops 2

        nesycd kb graph "Louis XIV" "Henry IV"

        nesycd kb graph --stats
    """
    if bool(entity) == stats:
        raise KnowledgeError("name an entity, or give --stats; see: nesycd kb graph --help")
    made, merges = _graph(kb)
    if stats:
        _tell_stats(made, merges)
        return
    start = _one(made, entity)
    if to:
        paths = made.paths(start, _one(made, to))
        for number, path in enumerate(paths, 1):
            typer.echo(f"path {number}")
            _tell_steps(path, limit)
        if not paths:
            typer.echo("no way leads from one to the other")
        return
    steps = made.neighbourhood(start, hops)
    typer.echo(f"{printable(start)}: in {made.degree(start)} facts; within {hops} hops {len(steps)} facts")
    _tell_steps(steps, limit)


def merge(entity: Entity, into: Entity, kb: Kb = None, by: By = "", why: Why = "") -> None:
    """Take one entity as another from now on; its names and facts count as the other's. No item changes.

    Example:

        nesycd kb merge "Sun King" "Louis XIV" --why "the same man"
    """
    from nesycd.knowledge import merge_entities

    with changed_base(kb) as base:
        done = merge_entities(base, entity, into, user(by), why)
        typer.echo(f"merge {done.number}: {printable(done.entity)} is now {printable(done.into)}")
        typer.echo(f"take it back by: nesycd kb unmerge {done.number}")


def unmerge(
    number: Annotated[
        int, typer.Argument(help="Of the merge, as `nesycd kb graph --stats` shows it.", show_default=False)
    ],
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Take a merge of two entities back; later merges stand."""
    from nesycd.knowledge import unmerge_entities

    with changed_base(kb) as base:
        done = unmerge_entities(base, number, user(by), why)
        typer.echo(f"{printable(done.entity)} and {printable(done.into)} are two again")


def relations(
    file: Annotated[Path | None, typer.Argument(help="YAML with declarations to take in.", show_default=False)] = None,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Show what is declared of relations, as YAML, or take declarations in from a file.

    A declaration names the relation, what it `is` (functional: at most one object; many_valued: several are right;
    symmetric), its inverse, and the classes of subjects (domain) and objects (range), all but the name optional:

        relations:

        - {name: father, is: [functional], inverse: child, domain: person, range: person}

        - {name: child, is: [many_valued]}
    """
    from nesycd.knowledge import declare_relations, read_entities, read_relations, relations_text

    if file is None:
        with open_base(kb) as base:
            typer.echo(relations_text(read_entities(base)), nl=False)
        return
    found = read_relations(file)
    with changed_base(kb) as base:
        changed = declare_relations(base, found, user(by), why)
        typer.echo(f"{len(found)} declared, {changed} of them new or changed")


def _graph(kb: str | None) -> tuple[Any, Any]:
    from nesycd.core.records import Fact, Status
    from nesycd.knowledge import read_entities
    from nesycd.knowledge.graph import KnowledgeGraph
    from nesycd.retrieval import Linker

    with open_base(kb) as base:
        entries, entities = base.entries(status=Status.APPROVED, kind="fact"), read_entities(base)
    linker = Linker([entry.item for entry in entries], entity_of=entities.node)

    def objects_of(fact: Fact) -> list[str]:
        named = {one.entity for mention in linker.link(fact.object) for one in mention.candidates}
        return sorted(named - {entities.node(fact.subject)})

    return KnowledgeGraph(entries, entities, objects_of), entities


def _one(graph: Any, name: str) -> str:
    """The entity that a name means.

    Raises:
        KnowledgeError: none or several.
    """
    found = graph.find(name)
    if len(found) == 1:
        return str(found[0])
    if not found:
        raise KnowledgeError(f"no approved fact is about {printable(name)!r}; `nesycd kb search` looks at all words")
    raise KnowledgeError(f"{printable(name)!r} may mean {', '.join(map(printable, found))}; give one of these names")


def _tell_steps(steps: list[Any], limit: int) -> None:
    for step in steps[:limit]:
        arrow = "<-" if step.backwards else "->"
        typer.echo(
            f"{'  ' * step.depth}{arrow} {printable(step.fact.text)}  [{printable(step.fact.relation)}] {step.fact.id[:8]}"
        )
    tell_more(len(steps), limit)


def _tell_stats(graph: Any, entities: Any) -> None:
    for key, value in graph.stats().items():
        told = ", ".join(f"{name} {count}" for name, count in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{key}: {printable(str(told))}")
    for merge in entities.merges:
        back = f"; taken back by {merge.reverted}" if merge.reverted else ""
        told = f"merge {merge.number}: {merge.entity} into {merge.into} ({merge.actor}, {merge.at}: {merge.why}){back}"
        typer.echo(printable(told))
    for misfit in graph.misfits():
        typer.echo(
            f"misfit: {printable(misfit.why)}: {', '.join(f'{printable(f.text)} {f.id[:8]}' for f in misfit.facts)}"
        )
