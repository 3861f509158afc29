"""What the clients of `openai` and `anthropic` have in common: how they are made, and what becomes of their errors.

Both are generated alike and send through the same library, so one reading of their errors serves both. Keys come from the
environment only, and are cut out of whatever a server says.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from nesycd.core.errors import ConfigError, TeacherError
from nesycd.llm.chat import Request
from nesycd.llm.endpoint import Endpoint, Reply, SendError

PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 of failures that pass."""
FATAL = frozenset({401, 402, 403, 404})
"""Statuses that no other request would escape."""
_PAID = frozenset({408, 504, 524})
"""Statuses by which somebody on the way gave up waiting: the model may have answered all the same."""
_NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|billing_error|credit balance", re.I)
NOT_TAKEN = re.compile(
    r"support|deprecat|unknown|unrecogni[sz]ed|not permitted|not allowed|unexpected|only the default", re.I
)
"""How servers say that they do not take a parameter."""
_LONGEST_REASON = 300


class Reading:
    """Reads what a client raises and what a server says, without the key.

    Args:
        library: the module `openai` or `anthropic`.
        key: what must not be repeated; "" where there is none.
        timeout: seconds that were waited for an answer.
    """

    def __init__(self, library: Any, key: str, timeout: float) -> None:
        self._library = library
        self._key = key
        self.timeout = timeout

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what the client raises into a `SendError`."""
        import httpx2

        try:
            yield
        except self._library.APIStatusError as error:
            headers = error.response.headers
            raise self.refusal(int(error.status_code), error.response.text, headers) from None
        except (self._library.APITimeoutError, TimeoutError, httpx2.TimeoutException) as error:
            raise self._late(error) from None
        except (self._library.APIConnectionError, httpx2.HTTPError) as error:
            raise self._lost(error) from None

    def refusal(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> SendError:
        """A status that is none of success, with what the server said."""
        told = self.clean(_message(text))
        no_credit = status in (400, 429) and bool(_NO_CREDIT.search(text))
        return SendError(
            f"HTTP {status}: {told}" if told else f"HTTP {status}",
            status,
            retry=(status in PASSING or status >= 500) and not no_credit,
            paid=status in _PAID,
            fatal=status in FATAL or no_credit,
            headers=headers,
            told=self.clean(text, cut=False),
        )

    def clean(self, text: str, cut: bool = True) -> str:
        """Without the key, which a server may repeat; shortened to what a reason needs."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:_LONGEST_REASON] if cut else text

    def reply(self, endpoint: Endpoint, content: Any) -> Reply:
        """The reply in an answer's JSON.

        Raises:
            ValueError: none is.
        """
        reply = endpoint.read(content)
        return replace(reply, text=self.clean(reply.text, cut=False), failure=self.clean(reply.failure))

    def _late(self, error: BaseException) -> SendError:
        if _is_unreached(error):
            return SendError("no connection to the server in time", retry=True, reached=False)
        return SendError(f"no answer within {self.timeout:g} s", retry=True, paid=True)

    def _lost(self, error: BaseException) -> SendError:
        cause = error.__cause__ or error
        told = self.clean(str(cause) or type(cause).__name__)
        if _is_unreached(error):
            return SendError(f"no connection to the server: {told}", retry=True, reached=False)
        return SendError(f"connection lost: {told}", retry=True, paid=True)


class ClientConnection:
    """A client of `openai` or `anthropic` in one event loop: a `Connection`.

    Args:
        endpoint: makes the bodies and reads the answers.
        reading: of what the client raises.
        client: closed with the connection.
        post: sends a body; gives the client's raw response.
    """

    def __init__(
        self, endpoint: Endpoint, reading: Reading, client: Any, post: Callable[[dict[str, Any]], Awaitable[Any]]
    ) -> None:
        self._endpoint, self._reading, self._client, self._post = endpoint, reading, client, post

    async def close(self) -> None:
        """See `Connection.close`."""
        await self._client.close()

    async def send(self, request: Request) -> Reply:
        """See `Connection.send`: once, and anew in another form as long as the server's refusal teaches one."""
        # A body may be refused for each of the differences between models, and learned from each time.
        for _ in range(3):
            body = self._endpoint.body(request)
            try:
                with self._reading.errors():
                    # The client's own timeout counts from one piece of the answer to the next.
                    async with asyncio.timeout(self._reading.timeout):
                        response = (await self._post(body)).http_response
            except SendError as error:
                if error.status in (400, 422):
                    self._endpoint.learn(body, error.told)
                    if self._endpoint.body(request) != body:
                        continue
                raise
            return _reply(self._endpoint, self._reading, response)
        raise SendError("HTTP 400: the server takes none of the forms of this request")


def _reply(endpoint: Endpoint, reading: Reading, response: Any) -> Reply:
    """A reply from a 200, whatever is in it."""
    try:
        return replace(reading.reply(endpoint, json.loads(response.content)), headers=response.headers)
    except ValueError:
        shown = reading.clean(response.content.decode(errors="replace"))
        raise SendError(f"HTTP 200: not an answer of a model: {shown}", 200, retry=True, paid=True) from None


def key_for(origin: str, variable: str) -> str:
    """The key that an environment variable holds; "" where no variable is named.

    Raises:
        TeacherError: it is not set.
    """
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise TeacherError(f"the environment variable {variable} with the key for {origin} is not set")
    return key


def check_parameters(parameters: Mapping[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    """A user's own parameters, none of which may be one of `taken`.

    Raises:
        ConfigError: one is.
    """
    if wrong := sorted(taken & parameters.keys()):
        raise ConfigError(f"teacher.api.parameters.{wrong[0]}: set elsewhere, or not to be set")
    return dict(parameters)


def origin_of(base_url: str) -> str:
    """Scheme, host and port of a base URL.

    Raises:
        ConfigError: not a URL of a server, or one with secrets in it.
    """
    parts = urlsplit(base_url)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "teacher.api.base_url: no user, password or query belongs there; name the environment variable that holds "
            "the key in teacher.api.key_env"
        )
    try:
        port = parts.port
    except ValueError:
        raise ConfigError("teacher.api.base_url: the port is not a number") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"teacher.api.base_url: write it as http://localhost:8000/v1, not {base_url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}"


def limits_for(library: Any, concurrency: int) -> Any:
    """As the client sets its connections itself, but that it would keep a hundred at most."""
    limits = type(library.DEFAULT_CONNECTION_LIMITS)
    return limits(max_connections=concurrency, max_keepalive_connections=concurrency)


def _is_unreached(error: BaseException) -> bool:
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "PoolTimeout")


def _message(text: str) -> str:
    """What an error's body says: `{"error": {"message": ...}}` and the like, or all of it."""
    try:
        content = json.loads(text)
    except ValueError:
        return text
    for _ in range(2):
        if isinstance(content, dict):
            content = content.get("error") or content.get("message") or content.get("detail") or content
    return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
