"""Where knowledge bases lie in tests: SQLite files, and (slow tier) a PostgreSQL server of our own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from nesycd.knowledge import KnowledgeBase

PASSWORD = "pa55 w%rd"
NewPlace = Callable[[], str]


def _postgres_tools() -> Path | None:
    """The folder with initdb and pg_ctl; Debian keeps it off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A server in a folder of its own, reached by a socket and with a password; gives its URL up to the database."""
    pytest.importorskip("psycopg")
    tools = _postgres_tools()
    if tools is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="nesycd-pg-"))
    # The server refuses to run as root.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def run(tool: str, *arguments: str) -> None:
        done = subprocess.run(
            [*user, str(tools / tool), "-D", "data", *arguments], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    (folder / "password").write_text(PASSWORD)
    if user:
        for path in (folder, folder / "password"):
            shutil.chown(path, "postgres")
    try:
        run("initdb", "--auth=scram-sha-256", "--pwfile=password", "--username=nesycd", "--encoding=UTF8", "--locale=C")
        # No fsync: nothing here survives the tests.
        settings = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=60"
        run("pg_ctl", "--wait", "--log=log", "-o", settings, "start")
        try:
            yield f"postgresql+psycopg://nesycd:{PASSWORD.replace('%', '%25').replace(' ', '%20')}@/{{}}?host={folder}"
        finally:
            run("pg_ctl", "--wait", "--mode=immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def new_database(postgres_server: str) -> NewPlace:
    """Each call makes an empty database on the server."""
    import psycopg

    numbers = count()

    def make() -> str:
        name = f"kb_{os.getpid()}_{os.urandom(4).hex()}_{next(numbers)}"
        url = postgres_server.format("postgres").replace("postgresql+psycopg", "postgresql")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
        return postgres_server.format(name)

    return make


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> NewPlace:
    """Each call gives a place where a new knowledge base can be made."""
    if request.param == "postgresql":
        return request.getfixturevalue("new_database")
    numbers = count()
    return lambda: str(tmp_path / f"kb-{next(numbers)}.sqlite")


@pytest.fixture
def base(new_place: NewPlace) -> Iterator[KnowledgeBase]:
    """A new knowledge base."""
    with KnowledgeBase.open(new_place()) as kb:
        yield kb
