"""What the clients of `openai` and `anthropic` have in common: how they are made, and what becomes of their errors.

Both are generated alike and send through the same library, so one reading of their errors serves both. Keys come from the
environment only, and are cut out of whatever a server says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from nesycd.core.errors import ConfigError
from nesycd.llm.address import Elsewhere
from nesycd.llm.bodies import (
    MOST_CHARACTERS,
    REPLACED,
    TOO_DEEP,
    Unusable,
    decoded,
    error_in,
    is_page,
    json_in,
    mended,
    shown,
)
from nesycd.llm.chat import CUT_REASONING, REASONED, Request
from nesycd.llm.endpoint import SCHEMA, Endpoint, Reply, SendError

PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 of failures that pass."""
FATAL = frozenset({401, 402, 403, 404, 405})
"""Statuses that no other request would escape."""
NO_ROUTE = (404, 405)
"""Statuses of an address that is none of a model's."""
FORMS = frozenset({400, 404, 422, 500, 501})
"""Statuses by which servers refuse the form of a request."""
_PAID = frozenset({408, 504, 524})
"""Statuses by which somebody on the way gave up waiting: the model may have answered all the same."""
_NO_CREDIT = re.compile(
    r"insufficient.?(?:quota|balance|credit|funds)|billing_hard_limit|billing_error|exceeded_current_quota|credit balance",
    re.I,
)
NOT_TAKEN = re.compile(
    r"support|deprecat|unknown|unrecogni[sz]ed|not permitted|not allowed|unexpected|only the default|not implemented|extra"
    r"|unavailable|not available|cannot be used|does not accept",
    re.I,
)
"""How servers say that they do not take a parameter."""
SCHEMA_WORDS = re.compile(
    r"response.?format|output_config|output_format|json.?(?:schema|mode)|schema|grammar|structured|guided|outlines",
    re.I,
)
"""What servers speak of that fail at a schema."""
BROKEN = f"sent characters that are none (half a surrogate pair, or bytes of no text): each stands as {REPLACED} in the answers"
_LONGEST_REASON = 300
_FORMS = 4
"""In so many forms a request is sent, at most: there may be several things that a model does not take."""
_DOUBTS = 2
"""So often a request must be taken without a schema after a failure that named none, until no other has one."""


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
        """Turn what the client raises into a `SendError`.

        Raises:
            Unusable: an answer came that cannot be read.
        """
        import httpx2

        try:
            yield
        except self._library.APIStatusError as error:
            headers = error.response.headers
            raise self.refusal(int(error.status_code), error.response.text, headers) from None
        except (self._library.APITimeoutError, TimeoutError, httpx2.TimeoutException) as error:
            raise self._late(error) from None
        except (self._library.APIConnectionError, httpx2.HTTPError, Elsewhere) as error:
            if isinstance(error.__cause__, Unusable):
                raise error.__cause__ from None
            raise self._lost(error) from None

    def refusal(self, status: int, text: str, headers: Mapping[str, str] | None = None, where: str = "") -> SendError:
        """A status that is none of success, with what the server said; `where` it stood, if not in the status line."""
        told = self.clean(_message(text))
        no_credit = status in (400, 403, 429) and bool(_NO_CREDIT.search(text))
        what = f"{where}error {status}" if where else f"HTTP {status}"
        return SendError(
            f"{what}: {told}" if told else what,
            status,
            retry=(status in PASSING or status >= 500) and not no_credit,
            paid=status in _PAID,
            fatal=status in FATAL or 300 <= status < 400 or no_credit,
            headers=headers,
            told=self.clean(text, cut=False),
        )

    def clean(self, text: str, cut: bool = True) -> str:
        """Without the key, which a server may repeat, and as every file takes it; shortened to what a reason needs."""
        text = mended(text)
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:_LONGEST_REASON] if cut else text

    def reply(self, endpoint: Endpoint, content: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """The reply in an answer's JSON.

        Raises:
            SendError: an error stands there, the answer was broken off, or there is none.
            Unusable: the answer cannot be read.
        """
        if (fault := error_in(content)) is not None:
            error = self.refusal(fault.status, fault.text, headers, where="HTTP 200 with ")
            error.paid = error.paid or fault.begun
            raise error
        try:
            reply = endpoint.read(content)
        except ValueError:
            raise self.no_answer(shown(content)) from None
        except RecursionError:
            raise Unusable(TOO_DEEP) from None
        text = self.clean(reply.text, cut=False)
        failure = self.clean(reply.failure)
        if len(text) > MOST_CHARACTERS:
            text, failure = text[:MOST_CHARACTERS], f"too long: {len(text)} characters"
        note = BROKEN if text.count(REPLACED) > reply.text.count(REPLACED) else ""
        if failure in (REASONED, CUT_REASONING):
            note = f"gave an answer that is {failure}"
        snapshot = self.clean(reply.snapshot)
        return replace(reply, text=text, failure=failure, snapshot=snapshot, headers=headers or {}, note=note)

    def no_answer(self, text: str) -> SendError:
        """What came with a status of success, and is not what a model answers."""
        reason = f"HTTP 200: not an answer of a model: {self.clean(text)}"
        return SendError(reason, 200, retry=True, paid=True)

    def _late(self, error: BaseException) -> SendError:
        if _is_unreached(error):
            return SendError("no connection to the server in time", retry=True, reached=False)
        return SendError(f"no answer within {self.timeout:g} s", retry=True, paid=True)

    def _lost(self, error: BaseException) -> SendError:
        cause = error if isinstance(error, Elsewhere) else error.__cause__ or error
        if isinstance(cause, Elsewhere):
            # The other server was sent nothing, and this one served nothing.
            told = f"the server sends requests on to {self.clean(cause.origin)}: if you trust it, name it in teacher.api.base_url"
            return SendError(told, 307, fatal=True)
        told = self.clean(str(cause) or type(cause).__name__)
        if type(cause).__name__ == "TooManyRedirects":
            return SendError(f"the server redirects in a circle: {told}", 308, fatal=True)
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
        tell: called once with each thing that was learned of the server.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        reading: Reading,
        client: Any,
        post: Callable[[dict[str, Any]], Awaitable[Any]],
        tell: Callable[[str], None],
    ) -> None:
        self._endpoint, self._reading, self._client, self._post = endpoint, reading, client, post
        self._tell = tell
        self._said: set[str] = set()
        self._doubted: set[str] = set()
        self._confirmed = 0
        self._answered = False

    async def close(self) -> None:
        """See `Connection.close`."""
        await self._client.close()

    async def send(self, request: Request) -> Reply:
        """See `Connection.send`: once, and anew in another form as long as the server's refusal suggests one.

        What was left out is remembered when the server has taken the request without it.
        """
        doubted = request.key in self._doubted
        without = frozenset({SCHEMA}) if doubted else frozenset()
        for _ in range(_FORMS):
            body = self._endpoint.body(request, without)
            try:
                reply = await self._sent(body)
            except SendError as error:
                refused = self._endpoint.refused(body, error)
                if refused and SCHEMA in refused and is_vague(error):
                    # Also a server in trouble says this. The next try, if there is one, is made without a schema.
                    self._doubted.add(request.key)
                elif refused - without and self._endpoint.body(request, without | refused) != body:
                    without |= refused
                    continue
                elif doubted:
                    self._doubted.discard(request.key)
                raise
            self._learn(without, doubted)
            if reply.note:
                self._say(reply.note)
            return reply
        raise SendError("HTTP 400: the server takes none of the forms of this request", 400)

    async def _sent(self, body: dict[str, Any]) -> Reply:
        try:
            with self._reading.errors():
                # The client's own timeout counts from one piece of the answer to the next.
                async with asyncio.timeout(self._reading.timeout):
                    response = (await self._post(body)).http_response
            reply = self._reply(response)
        except Unusable as found:
            return Reply("", failure=self._reading.clean(str(found)))
        except SendError as error:
            if error.status in NO_ROUTE and not self._answered:
                error.reason += self._endpoint.hint
            raise
        self._answered = True
        return reply

    def _reply(self, response: Any) -> Reply:
        """A reply from a 200, whatever is in it."""
        text = decoded(response.content)
        try:
            content = json_in(text)
        except ValueError:
            if is_page(text):
                # Some gateways have pages for their own failures as well.
                reason = "HTTP 200: a web page, and no answer of a model"
                raise SendError(reason, 404, retry=self._answered, fatal=True) from None
            raise self._reading.no_answer(text) from None
        reply = self._reading.reply(self._endpoint, content, response.headers)
        broken = REPLACED in text and REPLACED.encode() not in response.content
        return replace(reply, note=BROKEN) if broken and not reply.note else reply

    def _learn(self, without: frozenset[str], doubted: bool) -> None:
        if doubted:
            self._confirmed += 1
            if self._confirmed < _DOUBTS:
                without = without - {SCHEMA}
        if new := self._endpoint.leave_out(without):
            names = " and ".join("JSON schema" if name == SCHEMA else f"`{name}`" for name in new)
            self._say(f"does not take {names}: asked without")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._tell(f"{self._endpoint.model} at {self._endpoint.origin} {text}")


def is_vague(error: SendError) -> bool:
    """Whether a failure of the server, which may be due to a schema, does not speak of one."""
    return error.status == 500 and not SCHEMA_WORDS.search(error.told)


def named_in(told: str, names: Iterable[str]) -> frozenset[str]:
    """Those of the parameters that a refusal names as not taken."""
    if not NOT_TAKEN.search(told):
        return frozenset()
    return frozenset(name for name in names if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told))


def check_parameters(parameters: Mapping[str, Any], taken: frozenset[str]) -> dict[str, Any]:
    """A user's own parameters, none of which may be one of `taken`.

    Raises:
        ConfigError: one is.
    """
    if wrong := sorted(taken & parameters.keys()):
        raise ConfigError(f"teacher.api.parameters.{wrong[0]}: set elsewhere, or not to be set")
    return dict(parameters)


def limits_for(library: Any, concurrency: int) -> Any:
    """As the client sets its connections itself, but that it would keep a hundred at most."""
    limits = type(library.DEFAULT_CONNECTION_LIMITS)
    return limits(max_connections=concurrency, max_keepalive_connections=concurrency)


def _is_unreached(error: BaseException) -> bool:
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "PoolTimeout")


def _message(text: str) -> str:
    """What an error's body says: `{"error": {"message": ...}}` and the like, or all of it."""
    try:
        content = json_in(text)
    except (ValueError, Unusable):
        return text
    for _ in range(2):
        if isinstance(content, dict):
            content = content.get("error") or content.get("message") or content.get("detail") or content
    return content if isinstance(content, str) else shown(content)
