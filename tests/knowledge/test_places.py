"""Where a KB may lie, and passwords that never reach a message."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.errors import KnowledgeError
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge import urls as places


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("kb.sqlite", "kb.sqlite"),
        ("postgresql://host/kb", "postgresql://host/kb"),
        ("postgresql+psycopg://ann@host/kb", "postgresql+psycopg://ann@host/kb"),
        ("postgresql+psycopg://ann:secret@host/kb", "postgresql+psycopg://ann:***@host/kb"),
        ("postgresql+psycopg://ann:se:cr@et@host:99/kb", "postgresql+psycopg://ann:***@host:99/kb"),
        ("postgresql://:secret@/kb?host=/tmp", "postgresql://:***@/kb?host=/tmp"),
        ("postgresql://host/kb?user=ann&password=secret&x=y", "postgresql://host/kb?user=ann&password=***&x=y"),
        ("postgresql://host/kb?sslpassword=secret", "postgresql://host/kb?sslpassword=***"),
    ],
)
def test_places_are_shown_without_passwords(place: str, shown: str) -> None:
    assert places.shown(place) == shown
    if "secret" in place:
        assert "secret" not in places.without_password(f"cannot connect to {place} as secret", place)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("postgresql+psycopg://ann:sec@ret@host/kb", "write an @ in the password as %40"),
        ("postgresql:/ann:secret@host/kb", "with both slashes"),
        ("postgresql+psycopg:ann:secret@host/kb", "with both slashes"),
        ("postgres:secret", "with both slashes"),
        ("postgresql+psycopg://ann:secret@host:port/kb", "not a database URL"),
        ("mysql://ann:secret@host/kb", "SQLite file or in PostgreSQL"),
        ("://ann:secret@host", "not a database URL"),
        ("postgresql+psycopg://ann:secret@127.0.0.1:1/kb", "127.0.0.1"),
        ("postgresql+psycopg://ann:sec%72et@127.0.0.1:1/kb?password=secret", "127.0.0.1"),
    ],
)
def test_errors_hold_no_password(place: str, message: str) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(KnowledgeError) as caught:
        KnowledgeBase.open(place)
    assert message in str(caught.value)
    told = CliRunner().invoke(app, ["kb", "stats", "--kb", place])
    assert told.exit_code == 2 and told.output.startswith("error: ") and told.output.count("\n") == 1
    for text in (str(caught.value), repr(caught.value.__cause__), told.output):
        assert not any(part in text for part in ("secret", "sec@ret", "sec%72et", "ret@"))


def test_a_missing_driver_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(KnowledgeError, match=r"psycopg is not installed; get it by: pip install 'nesycd\[postgres\]'"):
        KnowledgeBase.open("postgresql://host/kb")


def test_a_file_may_be_given_as_a_url(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="no knowledge base at"):
        KnowledgeBase.open(f"sqlite:///{tmp_path}/kb.sqlite", create=False)
    assert not list(tmp_path.iterdir())
    KnowledgeBase.open(f"sqlite:///{tmp_path}/kb.sqlite").close()
    odd = tmp_path / "what?now#100%.sqlite"
    KnowledgeBase.open(odd).close()
    assert odd.is_file() and KnowledgeBase.open(odd, create=False).revision == 0


@pytest.mark.slow
def test_a_wrong_password_is_told_without_it(new_database: Callable[[], str]) -> None:
    place = new_database()
    wrong = place.replace("pa55", "wr0ng")
    with pytest.raises(KnowledgeError, match="password authentication failed") as caught:
        KnowledgeBase.open(wrong)
    assert "wr0ng" not in str(caught.value) and "w%25rd" not in str(caught.value)
    with KnowledgeBase.open(place) as kb:
        assert "***" in kb.place and "pa55" not in kb.place
        with pytest.raises(KnowledgeError) as caught, kb.writing() as connection:
            connection.exec_driver_sql("SELECT nonsense")
    assert "pa55" not in str(caught.value)
