"""A server's base URL: its origin, without a pasted route; which key goes there, and what does not follow a redirect."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult

from nesycd.core.address import parts_of
from nesycd.core.errors import ConfigError, TeacherError

_PASTED = re.compile(r"/(?:chat/completions|completions|responses|embeddings|models|messages)/*\Z")


class Elsewhere(Exception):
    """The server asked to send a request on to another one.

    Args:
        origin: of the other.
    """

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        self.origin = origin


def origin_of(base_url: str) -> str:
    """Scheme, host and port of a base URL.

    Raises:
        ConfigError: not a URL of a server, or one with secrets in it.
    """
    parts = _parts(base_url)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def base_of(base_url: str) -> str:
    """A base URL without the route of a call that was pasted with it, and without a slash at its end.

    >>> base_of("http://localhost:8000/v1/chat/completions")
    'http://localhost:8000/v1'
    """
    path = _PASTED.sub("", _parts(base_url).path).rstrip("/")
    return origin_of(base_url) + path


def key_for(origin: str, variable: str) -> str:
    """The key that an environment variable holds; "" where no variable is named.

    Raises:
        TeacherError: it is not set.
    """
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise TeacherError(f"the environment variable {variable} with the key for {origin} is not set")
    return key


def _parts(base_url: str) -> SplitResult:
    try:
        return parts_of(base_url)
    except ValueError as error:
        raise ConfigError(f"teacher.api.base_url: {error}") from None
