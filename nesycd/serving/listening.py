"""Listening for HTTP on an address."""

from __future__ import annotations

import os
import socket

from nesycd.core.errors import ConfigError


def bound(host: str, port: int) -> tuple[socket.socket, str]:
    """A socket bound to an address, and the URL at which it is reached. Connections wait until a server takes the socket.

    Args:
        host: a name or address of this machine.
        port: 0: any that is free.

    Raises:
        ConfigError: the port is taken, or the host is none of this machine's.
    """
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        made = socket.socket(family, kind)
    except OSError as error:
        raise ConfigError(f"--host {host}: {error.strerror or error}") from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        why = os.strerror(error.errno or 0)
        raise ConfigError(f"--port {port}: {why} at {host}; choose another one, or 0 for any") from None
    shown = f"[{host}]" if ":" in host else host
    return made, f"http://{shown}:{made.getsockname()[1]}"
