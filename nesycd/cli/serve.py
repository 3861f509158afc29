"""`nesycd serve`: a finished run behind OpenAI's API."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nesycd.core.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from nesycd.api.finished import OpenRun
    from nesycd.serving.engine import Engine
    from nesycd.serving.safety import Tokens
    from nesycd.serving.service import Service

app = typer.Typer()
KEY = "NESYCD_SERVE_KEY"
"""Variable with the key that clients must give."""


@app.command()
def serve(
    run: Annotated[
        str,
        typer.Argument(help="A run's name, or its folder; the newest finished one if not given.", show_default=False),
    ] = "",
    root: Annotated[Path, typer.Option("--root", help="The folder with the runs.")] = Path("runs"),
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method", help="Method that answers (nesycd compare --list), as often as needed; nesycd if not given."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; all but this machine's need a key.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0: any that is free.")
    ] = 8320,
    key_env: Annotated[
        str,
        typer.Option(
            "--key-env", help="Variable with the key that clients must give; no key is asked for where it is empty."
        ),
    ] = KEY,
    name: Annotated[str, typer.Option("--name", help="The model's name for clients; the run's if not given.")] = "",
    most_rows: Annotated[
        int, typer.Option("--batch", min=0, help="Most answers that are written at once; 0: student.batch_rows.")
    ] = 0,
    most_waiting: Annotated[
        int, typer.Option("--queue", min=1, help="Most questions at once, waiting ones included; further ones get 429.")
    ] = 256,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that an answer may take.")] = 120.0,
    footnotes: Annotated[
        bool, typer.Option("--footnotes", help="End answers with what they used, where a request does not say.")
    ] = False,
    upstream: Annotated[
        str,
        typer.Option(
            "--upstream",
            help="Address of an OpenAI-compatible server (vLLM, llama.cpp) that serves the exported student, such as "
            "http://localhost:8000/v1; the answers are generated there.",
        ),
    ] = "",
    upstream_model: Annotated[
        str, typer.Option("--upstream-model", help="The model's name there; its only one if not given.")
    ] = "",
    upstream_key_env: Annotated[
        str,
        typer.Option("--upstream-key-env", help="Variable with the key for that server; none is sent if not given."),
    ] = "",
) -> None:
    """Serve a finished run behind OpenAI's API.

    Look-ups, context and routing happen inside. Any client of that API works: give it http://127.0.0.1:8320/v1 and the run's name
    as the model (or NAME/METHOD). The last message is the question; each is answered by itself, greedily. The field "nesycd" of
    an answer says how it came about: each look-up with the items behind it, what was read, the route. The knowledge base is read
    as it is: an edit takes effect from the next question on.

    The student runs in this process, which batches what arrives; or in another server, to which the exported student was given
    (nesycd export). Then only the knowledge is here. /health and /metrics (Prometheus) are for those who run it.

    Examples:

        nesycd serve quickstart

        nesycd serve quickstart --method nesycd --method std_cot --footnotes

        nesycd serve quickstart --upstream http://localhost:8000/v1

        NESYCD_SERVE_KEY=a-long-random-text nesycd serve quickstart --host 0.0.0.0
    """
    from nesycd.api.finished import open_run
    from nesycd.methods.table import MAIN
    from nesycd.serving.listening import bound
    from nesycd.serving.metrics import Metrics
    from nesycd.serving.service import Service

    tokens = _tokens(host, key_env)
    opened = open_run(run, root)
    methods = [*dict.fromkeys(method or [MAIN])]
    for one in methods:
        opened.way(one)  # what cannot be asked is told at once
    listening, address = bound(host, port)
    engine = _engine(opened, methods, most_rows, upstream, upstream_model, upstream_key_env)
    service = Service(opened, engine, Metrics(), most_waiting=most_waiting, timeout=timeout)
    with suppress(KeyboardInterrupt), listening:
        asyncio.run(
            _serve(service, name or opened.folder.resolve().name, methods, footnotes, tokens, listening, address)
        )
    typer.echo("stopped", err=True)


async def _serve(
    service: Service,
    name: str,
    methods: list[str],
    footnotes: bool,
    tokens: Tokens | None,
    listening: socket.socket,
    address: str,
) -> None:
    """Load the student, then serve until Ctrl-C."""
    import uvicorn

    from nesycd.serving.listening import config_of
    from nesycd.serving.openai_api import openai_app
    from nesycd.serving.safety import is_loopback, loopback_hosts

    host = listening.getsockname()[0]
    hosts = loopback_hosts() if is_loopback(host) else None
    served = openai_app(service, name, methods, footnotes=footnotes, tokens=tokens, hosts=hosts)
    try:
        typer.echo("loading the student", err=True)
        for method in methods:
            await service.warm(method)
        revision, items, note = await service.state(methods[0])
    except BaseException:
        await service.close()
        raise
    if note:
        typer.echo(f"note: {note}", err=True)
    models = ", ".join([name, *(f"{name}/{method}" for method in methods if len(methods) > 1)])
    typer.echo(
        f"serving {address}/v1 (models: {models}; knowledge: {items} items, revision {revision}); stop by Ctrl-C"
    )
    if hosts is None:
        typer.echo("note: keys and texts travel as plain text; put a proxy with TLS in front", err=True)
    await uvicorn.Server(config_of(served)).serve(sockets=[listening])


def _tokens(host: str, key_env: str) -> Tokens | None:
    """The key that clients must give; None where none is asked for.

    Raises:
        ConfigError: others than this machine could ask without a key, or it is short.
    """
    from nesycd.serving.safety import LEAST_TOKEN, Grant, Role, Tokens, is_loopback

    key = os.environ.get(key_env, "").strip()
    if not key:
        if not is_loopback(host):
            raise ConfigError(f"--host {host}: others could ask; give them a key by {key_env} in the environment")
        return None
    if len(key) < LEAST_TOKEN:
        raise ConfigError(f"{key_env}: the key has {len(key)} characters, and needs {LEAST_TOKEN} at least")
    return Tokens({key: Grant("client", Role.READER)})


def _engine(
    opened: OpenRun, methods: list[str], most_rows: int, upstream: str, upstream_model: str, key_env: str
) -> Engine:
    from nesycd.serving.engine import LocalEngine
    from nesycd.serving.upstream import ServedEngine, UpstreamEngine
    from nesycd.students.served import ServedStudent

    if not upstream:
        if upstream_model:
            raise ConfigError("--upstream-model: give the server too, by --upstream")
        if isinstance(opened.student, ServedStudent):
            return ServedEngine(opened.student)
        return LocalEngine(opened.student, most_rows or opened.recipe.student.batch_rows)
    from nesycd.core.address import parts_of

    try:
        path = parts_of(upstream).path.strip("/")
    except ValueError as error:
        told = str(error).replace("in key_env", "by --upstream-key-env")
        raise ConfigError(f"--upstream: {told}") from None
    if not path:
        # llama.cpp has routes of other forms there, whose answers would be taken for another student's.
        raise ConfigError(f"--upstream {upstream}: its API is below a path, as a rule {upstream.rstrip('/')}/v1")
    adapters = {one.fingerprint if one else "" for method in methods for one in opened.adapters(method)}
    if len(adapters) > 1:
        raise ConfigError(
            f"--upstream: {', '.join(methods)} ask {len(adapters)} students, and that server has one; serve one method"
        )
    return UpstreamEngine(opened, methods, upstream, upstream_model, os.environ.get(key_env, ""))
