"""`nesycd review`: the review and ask pages of a run or base, in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nesycd.cli.kb_common import Root, plain, user
from nesycd.core.errors import ConfigError

if TYPE_CHECKING:
    from nesycd.serving.pages.review import Review
    from nesycd.serving.safety import Tokens

app = typer.Typer()


@app.command()
def review(
    run: Annotated[
        str, typer.Argument(help="A run's name, or its folder; the newest one if not given.", show_default=False)
    ] = "",
    root: Root = Path("runs"),
    kb: Annotated[
        str, typer.Option("--kb", help="Another base than the run's: a kb.sqlite, or a database's URL.")
    ] = "",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any free one.")] = 8321,
    reviewer: Annotated[
        str, typer.Option("--reviewer", help="Your name in the history; your user name if not given.")
    ] = "",
    item: Annotated[
        str, typer.Option("--item", help="Begin with the page of this item: its id, or the first characters of it.")
    ] = "",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", envvar="NESYCD_TOKEN_FILE", help="Lines of `role token name`: who may sign in, and as what."
        ),
    ] = None,
) -> None:
    """Review a knowledge base in the browser, and ask the student.

    A queue shows one item at a time beside the question, the student's wrong answer and the teacher's cause; approve, edit,
    reject, merge or split by mouse or keyboard. Before an edit is saved, the page says which answers it would change. Every
    decision is a revision with your name.

    Only this machine reaches the pages, and a link that works once signs you in. For others, name an address by --host and
    who may sign in by --token-file: roles are reader (looks and asks), reviewer (decides and edits) and admin (also goes back
    to whole versions). Of a run with knowledge.review = "human" that waits, run the recipe again when the items are reviewed.

    Examples:

        nesycd review

        nesycd review quickstart --reviewer Ann

        nesycd review quickstart --item 3fa9

        nesycd review --kb units.sqlite

        nesycd review quickstart --host 0.0.0.0 --token-file tokens.txt
    """
    from nesycd.runs.folders import find_run, newest_run
    from nesycd.serving.pages.review import Review

    tokens = _tokens(token_file, host)
    who = user(reviewer)
    folder = find_run(root, run) if run else None if kb else newest_run(root, "kb.sqlite")
    shown = Review(folder, kb)
    try:
        found = shown.kb.get(item).item_id if item else ""
        _serve(shown, tokens, who, host, port, found)
    finally:
        shown.close()


def _tokens(path: Path | None, host: str) -> Tokens:
    """Who may sign in.

    Raises:
        ConfigError: other machines could reach the pages, and nobody was named.
    """
    from nesycd.serving.safety import Tokens, is_loopback, new_token, read_tokens

    if path is not None:
        return read_tokens(path)
    if is_loopback(host):
        return Tokens()
    raise ConfigError(
        f"--host {host}: other machines could reach the pages, so say who may sign in by --token-file FILE, a file with lines of "
        f"role, token and name, such as: reviewer {new_token()} Ann"
    )


def _serve(shown: Review, tokens: Tokens, who: str, host: str, port: int, item: str) -> None:
    """Serve until Ctrl-C."""
    import threading

    import uvicorn

    from nesycd.serving.listening import bound, config_of
    from nesycd.serving.pages.app import review_app
    from nesycd.serving.pages.sessions import Sessions
    from nesycd.serving.safety import Grant, Role, is_loopback, loopback_hosts

    listening, address = bound(host, port)
    is_local = is_loopback(host)
    # With tokens the link is left out: whoever may read the terminal need not be an admin.
    sessions = Sessions(tokens, None if tokens else Grant(who, Role.ADMIN))

    def link(told: str) -> None:
        typer.echo(f"{told} {address}/enter?key={sessions.new_key()}{f'&item={item}' if item else ''}")

    application = review_app(
        shown, sessions, loopback_hosts() if is_local else None, lambda: link("another browser signs in by")
    )
    typer.echo(plain(f"{shown.kb.place}, revision {shown.kb.revision}; stop by Ctrl-C"))
    if sessions.owner is None:
        typer.echo(f"sign in with a token at {address}" + (f"; then {address}/items/{item}" if item else ""))
    else:
        link("open")
    if not is_local:
        typer.echo(
            "note: tokens and texts travel as plain text; put a proxy with TLS in front, or use an SSH tunnel", err=True
        )
    threading.Thread(target=_warm_up, args=(shown,), daemon=True).start()
    uvicorn.Server(config_of(application, limit_concurrency=200)).run(sockets=[listening])


def _warm_up(shown: Review) -> None:
    """Read what the first page needs while the browser is opened."""
    from contextlib import suppress

    from nesycd.core.errors import NesycdError

    with suppress(NesycdError):
        shown.listing.now()
        shown.evidence.load()
