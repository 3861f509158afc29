"""The address of a server as people give it: with a pasted path, without one, or with a password that nobody must see."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, urlsplit

from nesycd.core.errors import ConfigError, TeacherError

_KEY = "teacher.api.base_url"
_FORM = f"{_KEY}: write it as http://localhost:8000/v1"
_PASTED = re.compile(r"/(?:chat/completions|completions|responses|embeddings|models|messages)/*\Z")


class Elsewhere(Exception):
    """The server asked to send a request on to another one.

    Args:
        origin: of the other.
    """

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        self.origin = origin


def parts_of(base_url: str) -> SplitResult:
    """A base URL in its parts. It is shown in no message: what is malformed may hold a password anywhere.

    Raises:
        ConfigError: not a URL of a server, or one with secrets in it.
    """
    if re.search(r"[@?#]", base_url):
        raise ConfigError(
            f"{_KEY}: no user, password or query belongs there; name the environment variable that holds the key in "
            "teacher.api.key_env"
        )
    if re.search(r"[\s\x00-\x1f\x7f\\]", base_url.strip()) or not base_url.isascii():
        raise ConfigError(f"{_FORM}, without blanks and special characters")
    try:
        parts = urlsplit(base_url.strip())
    except ValueError:
        raise ConfigError(
            f"{_KEY}: the address in brackets is not an IPv6 address, such as http://[::1]:8000/v1"
        ) from None
    try:
        port = parts.port
    except ValueError:
        raise ConfigError(f"{_KEY}: the port is not a number from 0 to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or (port is None and parts.netloc.endswith(":")):
        raise ConfigError(_FORM)
    return parts


def origin_of(base_url: str) -> str:
    """Scheme, host and port of a base URL.

    Raises:
        ConfigError: see `parts_of`.
    """
    parts = parts_of(base_url)
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"


def base_of(base_url: str) -> str:
    """A base URL without the route of a call that was pasted with it, and without a slash at its end.

    >>> base_of("http://localhost:8000/v1/chat/completions")
    'http://localhost:8000/v1'
    """
    path = _PASTED.sub("", parts_of(base_url).path).rstrip("/")
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
