"""The address of a server as people give it, which may be malformed and hold a password anywhere."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

_FORM = "write it as http://localhost:8000/v1"
_LOGIN = re.compile(r"""[^\s"'=,;\[({]*:[^\s"']*@""")
_ADDRESS = re.compile(r"((?:base_url|server|key_env)\b[\"'\s]*=).*", re.DOTALL)


def parts_of(address: str) -> SplitResult:
    """The address of a server in its parts.

    Raises:
        ValueError: it is none, or holds a user, password or query. The message does not show it.
    """
    if re.search(r"[@?#]", address):
        raise ValueError(
            "no user, password or query belongs there; name the environment variable that holds the key in key_env"
        )
    if re.search(r"[\s\x00-\x1f\x7f\\]", address.strip()) or not address.isascii():
        raise ValueError(f"{_FORM}, without blanks and special characters")
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        raise ValueError("what stands in brackets is not an IPv6 address; write one as http://[::1]:8000/v1") from None
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the port is not a number from 0 to 65535") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or (port is None and parts.netloc.endswith(":")):
        raise ValueError(_FORM)
    return parts


def api_address(address: str) -> str:
    """The address of an API as it is given.

    Raises:
        ValueError: see `parts_of`; or it has no path.
    """
    if address and not parts_of(address).path.strip("/"):
        raise ValueError(f"its API is below a path, as a rule {address.rstrip('/')}/v1")
    return address


def without_logins(override: str) -> str:
    """A `--set` argument as it may be shown: without logins (`user:password@`), and without addresses and keys of servers.

    >>> without_logins("teacher.api.base_url=http://localhost?key=secret")
    'teacher.api.base_url=***'
    """
    return _LOGIN.sub("***@", _ADDRESS.sub(r"\1***", override))
