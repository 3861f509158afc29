"""Storage URLs of a KB: a SQLite file or a PostgreSQL database, and how they are shown without the password."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from nesycd.core.errors import KnowledgeError

HIDDEN = "***"
_LOGIN = re.compile(r"(?<=://)([^:/@]*):(.*)(?=@)")
"""User and password. Greedy, so that a password with an unescaped @ in it is hidden whole."""
_QUERY = re.compile(r"([?&][^=&]*passw[^=&]*=)([^&]*)", re.IGNORECASE)
_POSTGRESQL = "postgresql+psycopg"
_NO_URL = re.compile(r"(postgres(?:ql)?(?:\+\w+)?):(?!//).*", re.DOTALL)
"""A database URL without its slashes, whose login is then anywhere."""


def is_url(place: str | Path) -> bool:
    """Whether a storage location is a database URL, not a file."""
    return "://" in str(place)


def shown(place: str | Path) -> str:
    """A storage URL without its password, for messages, logs and manifests."""
    if not is_url(place):
        return _NO_URL.sub(rf"\1:{HIDDEN}", str(place)) if _NO_URL.match(str(place)) else str(place)
    return _QUERY.sub(rf"\g<1>{HIDDEN}", _LOGIN.sub(rf"\g<1>:{HIDDEN}", str(place)))


def without_password(text: str, place: str | Path) -> str:
    """`text`, which others made (a driver), without the password that `place` holds."""
    if not is_url(place):
        return text
    found = [match[2] for pattern in (_LOGIN, _QUERY) for match in pattern.finditer(str(place))]
    pieces = {part for secret in found for part in (secret, unquote(secret), *secret.split("@")) if len(part) > 2}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, HIDDEN)
    return text


def url_of(place: str | Path) -> URL:
    """The database URL of a KB's file or URL.

    Raises:
        KnowledgeError: not a supported database, or a URL that cannot be parsed.
    """
    if _NO_URL.match(str(place)):
        raise KnowledgeError(f"{shown(place)}: write the database as {_POSTGRESQL}://USER@HOST/NAME, with both slashes")
    if not is_url(place):
        return URL.create("sqlite", database=str(place))
    try:
        url = make_url(str(place))
    except (SQLAlchemyError, ValueError) as error:
        raise KnowledgeError(f"{shown(place)}: not a database URL ({without_password(str(error), place)})") from None
    if "@" in (url.host or ""):
        raise KnowledgeError(f"{shown(place)}: write an @ in the password as %40")
    if url.drivername in {"postgresql", "postgres", _POSTGRESQL}:
        return url.set(drivername=_POSTGRESQL)
    if url.drivername != "sqlite":
        raise KnowledgeError(
            f"{shown(place)}: a knowledge base lies in a SQLite file or in PostgreSQL ({_POSTGRESQL}://USER@HOST/NAME)"
        )
    return url


def file_of(url: URL) -> Path | None:
    """The file of a SQLite KB; None where there is none (memory, PostgreSQL)."""
    if url.drivername != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)
