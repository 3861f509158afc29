"""`nesycd kb export` and `import`: a base as files in several formats."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nesycd.cli.kb_common import By, Kb, Limit, Why, Yes, changed_base, open_base, plain, print_differences, user

FormatName = Annotated[
    str,
    typer.Option(
        "--format",
        help="yaml, jsonld, csv, tsv, xlsx, turtle, markdown, lp or skills; by the file's ending if not given.",
    ),
]


def export(
    file: Annotated[Path, typer.Argument(help="Where to; - for standard output.", show_default=False)],
    form: FormatName = "",
    kb: Kb = None,
) -> None:
    """Write the whole base: sorted, the same text for the same content.

    YAML (.yaml), and with the extra rdf Turtle (.ttl) and JSON-LD (.jsonld), are lossless.
    Tables for spreadsheets (.csv, .tsv, and with the extra xlsx .xlsx) are read back too, without evidence; Markdown (.md) is
    for reading, and .lp for clingo. With --format skills approved lessons and rules become a folder of Agent Skills, each with a
    SKILL.md, which is read back too:

        nesycd kb export skills --format skills
    """
    from nesycd.core.text import printable
    from nesycd.knowledge import export_file, export_text
    from nesycd.knowledge.exchange import format_of

    with open_base(kb) as base:
        if str(file) == "-":
            text = export_text(base, format_of(file, form or "yaml"))
            # CSV knows no escapes; a terminal must not obey what is in it.
            typer.echo(printable(text, keep_lines=True) if sys.stdout.isatty() else text, nl=False)
            return
        count = export_file(base, file, form)
        items = base.stats()["items"]
    left = f": {count} approved lessons and rules; {items - count} other items stay out" if count < items else ""
    typer.echo(f"wrote {file}{left}")


def import_(
    file: Annotated[Path, typer.Argument(help="As export writes it, or by hand.", show_default=False)],
    form: FormatName = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    approve_them: Annotated[
        bool, typer.Option("--approve", help="Approve the items whose status the file does not give.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="The base becomes what the file says: what is not in it goes.")
    ] = False,
    yes: Yes = False,
    encoding: Annotated[
        str, typer.Option("--encoding", help="Of a text file that is not UTF-8, such as windows-1252.")
    ] = "",
    language: Annotated[
        str,
        typer.Option("--language", help="Of the names in an RDF graph with labels in several; others become aliases."),
    ] = "en",
    limit: Limit = 50,
    kb: Kb = None,
    by: By = "",
    why: Why = "",
) -> None:
    """Add the items of a file (YAML, JSON-LD, CSV, TSV, Excel, Turtle, Agent Skills), all or none; equal ones merge.

    A base that is not there yet is begun: nesycd kb import kb.yaml --kb new.sqlite

    A file by hand needs only what an item consists of:

        - {kind: lesson, text: Count each kind before you add.}

        - {kind: fact, text: A fathom is 6 feet., subject: fathom, relation: length, object: 6 feet}

    Content changed under the id of an exported item is an edit of that item; a status given in the file holds. A graph that
    people made comes in as CSV with the columns subject, relation, object, or as Turtle: its facts have the source "human". Of a
    folder of Agent Skills from elsewhere each section is proposed as a lesson: nesycd kb import skills

    With --replace (YAML, Turtle, JSON-LD) the file's state takes the place of the base's, as one revision that kb revert undoes;
    approved items go only with --yes:

        nesycd kb import kb.yaml --replace --dry-run
    """
    from nesycd.core.records import Status
    from nesycd.knowledge import import_file

    status = Status.APPROVED if approve_them else Status.PROPOSED
    how: dict[str, Any] = {
        "dry_run": dry_run,
        "replace": replace,
        "may_lose": yes,
        "encoding": encoding,
        "language": language,
    }
    with changed_base(kb, create=True, dry_run=dry_run) as base:
        done = import_file(base, file, form=form, status=status, reviewer=user(by), why=why, **how)
        counts = done.counts
        # What is new stands in the file; what was there before is said.
        print_differences([one for one in done.differences if dry_run or replace or one.before is not None], limit)
        for line in (*done.graph, *(f"note: {note}" for note in done.notes)):
            typer.echo(plain(line))
        did = "nothing was imported; would be" if dry_run else "imported"
        told = f"{counts.added} new, {counts.merged} changed, {counts.unchanged} as they were"
        gone = sum(one.after is None for one in done.differences)
        graph = f", {len(done.graph)} changes of the graph" if done.graph else ""
        typer.echo(f"{did} from {file}: {told}{f', {gone} gone' if replace else ''}{graph}")
        if done.waiting:
            typer.echo(
                f"{done.waiting} of the new wait for approval, before which they are not used: nesycd kb approve ID... "
                "(all for all that wait), or import with --approve"
            )
