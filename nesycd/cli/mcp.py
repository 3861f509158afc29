"""`nesycd mcp`: a knowledge base as an MCP server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nesycd.cli.kb_common import Kb, Root, open_base

app = typer.Typer()


@app.command()
def mcp(
    run: Annotated[
        str, typer.Argument(help="A run's name, or its folder; the newest one if not given.", show_default=False)
    ] = "",
    kb: Kb = None,
    root: Root = Path("runs"),
) -> None:
    """Serve a knowledge base to agents by the Model Context Protocol.

    It speaks over standard input and output. Tools: search (approved items for a question), look_up (what the base states of an
    entity), explain (an item with its evidence and history), and propose (an item that waits in the review queue: no tool changes
    what is approved). An agent's program starts this command itself, perhaps in another folder: give it the whole path of
    `nesycd`, and as arguments `mcp` and the whole path of the run's folder. Edits are seen at once.

    Examples:

        nesycd mcp quickstart

        nesycd mcp /home/ann/runs/quickstart

        nesycd mcp --kb units.sqlite
    """
    import logging

    from nesycd.core.errors import ConfigError
    from nesycd.serving.mcp_server import mcp_server

    if run and kb is not None:
        raise ConfigError("give a run or --kb, not both")
    logging.getLogger("bm25s").propagate = False  # it would fill clients' logs
    with open_base(kb, run, root) as base:
        mcp_server(base).run()
