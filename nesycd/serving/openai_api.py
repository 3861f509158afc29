"""The OpenAI-compatible server: a finished run, with calls, context and routing inside, behind the API that clients speak."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from nesycd import __version__
from nesycd.calls.notation import settled
from nesycd.core.errors import DataError, NesycdError
from nesycd.core.records import Example
from nesycd.methods import table
from nesycd.methods.method import Method
from nesycd.reports.trace import told_of
from nesycd.serving.safety import (
    API_POLICY,
    BodyLimit,
    HostCheck,
    SecurityHeaders,
    Tokens,
    bearer,
    json_refusal,
)
from nesycd.serving.schema import (
    MOST_TEXT,
    ChatChoice,
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    ErrorAnswer,
    ErrorBody,
    Finish,
    Health,
    Model,
    Models,
    ShownItem,
    TextChoice,
    Trace,
    Usage,
    Wishes,
)
from nesycd.serving.service import Answered, Busy, Service, TooSlow

MOST_BODY = 1 << 20
"""Bytes of a request."""
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 404, 408, 413, 421, 429, 500, 504)
}
_EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string", "description": "a chunk as JSON, or [DONE]"}},
    "required": ["data"],
}
"""An event of a stream, as OpenAPI describes it."""
_log = logging.getLogger("nesycd.serving")
T = TypeVar("T")


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


class _Left(Exception):
    """The client went away."""


def openai_app(
    service: Service,
    name: str,
    methods: Collection[str],
    *,
    footnotes: bool = False,
    tokens: Tokens | None = None,
    hosts: Collection[str] | None = None,
) -> ASGIApp:
    """The server as an ASGI application, which closes the service when it is shut down.

    Args:
        service: answers.
        name: of the model: by it the first method answers, by `name/method` each of them.
        methods: by which it answers.
        footnotes: whether answers end with what they used, where a request does not say.
        tokens: one of them must be in each request to `/v1` and `/metrics`; None: no token is needed.
        hosts: names under which it answers; None: any.
    """
    app = FastAPI(
        title="nesycd",
        version=__version__,
        description="A distilled student with its knowledge base, behind OpenAI's API.",
        docs_url=None,
        redoc_url=None,
        lifespan=_closing(service),
    )
    api = _Api(service, name, [*methods], footnotes)
    responses: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/event-stream": {"schema": _EVENT}}},
        **_ERRORS,
    }
    app.post("/v1/chat/completions", response_model=ChatCompletion, responses=responses)(api.chat)
    app.post("/v1/completions", response_model=Completion, responses=responses)(api.complete)
    app.get("/v1/models", response_model=Models, responses=_ERRORS)(api.models)
    app.get("/v1/models/{model:path}", response_model=Model, responses=_ERRORS)(api.model)
    app.get("/health", response_model=Health, responses=_ERRORS)(api.health)
    app.get("/metrics", response_class=PlainTextResponse, responses=_ERRORS)(api.metrics)
    handlers: dict[Any, Callable[..., Any]] = {
        Refused: _refused,
        RequestValidationError: _invalid,
        HTTPException: _not_there,
        NesycdError: _cannot_answer,
        _Left: _nobody,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    inner = _Counted(_Guarded(BodyLimit(app, MOST_BODY, json_refusal), tokens), service)
    return SecurityHeaders(HostCheck(inner, hosts, json_refusal), API_POLICY)


def _closing(service: Service) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await service.close()

    return lifespan


class _Api:
    """The paths."""

    def __init__(self, service: Service, name: str, methods: list[str], footnotes: bool) -> None:
        self._service, self._footnotes = service, footnotes
        rows = table.named(methods, service.opened.recipe, "method")
        self._methods = {name: rows[0], **{f"{name}/{row.name}": row for row in rows}}
        self._created = int(time.time())

    # --- asking -----------------------------------------------------------------------------------------------------------

    async def chat(self, asked: ChatRequest, request: Request) -> Any:
        """Answer the last message as a question."""
        method, wishes = self._method(asked.model), asked.nesycd or Wishes()
        *before, last = asked.messages
        if last.role != "user":
            raise Refused(400, "the last message must be the user's: it is the question", param="messages")
        example = self._example(last.text, wishes, "messages")
        unread = len(before)
        notes = [
            f"{unread} earlier message{'s were' if unread > 1 else ' was'} not read: each question is answered by itself"
        ]
        told: dict[str, Any] = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
        shown = _Shown(method, asked.stops)
        answer = self._answered(example, method, asked.limit, shown, notes if unread else [])
        if asked.stream:
            usage = bool(asked.stream_options and asked.stream_options.include_usage)
            return self._stream(answer, shown, _ChatChunks(told), self._footnote(wishes), usage)
        made, trace = await _unless_left(request, answer)
        text = shown.last(made) + (footnote_of(trace) if self._footnote(wishes) else "")
        message = {"role": "assistant", "content": text}
        choice = ChatChoice(index=0, message=message, finish_reason=_finish(made, shown))
        return ChatCompletion(**told, choices=[choice], usage=_usage([made]), nesycd=trace)

    async def complete(self, asked: CompletionRequest, request: Request) -> Any:
        """Answer each prompt as a question."""
        method, wishes = self._method(asked.model), asked.nesycd or Wishes()
        examples = [self._example(prompt, wishes, "prompt") for prompt in asked.prompts]
        told: dict[str, Any] = {"id": f"cmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": asked.model}
        if asked.stream:
            if len(examples) > 1:
                raise Refused(400, "one prompt can be streamed at a time", param="prompt")
            usage = bool(asked.stream_options and asked.stream_options.include_usage)
            shown = _Shown(method, asked.stops)
            answer = self._answered(examples[0], method, asked.limit, shown, [])
            return self._stream(answer, shown, _TextChunks(told), self._footnote(wishes), usage)
        each = [_Shown(method, asked.stops) for _ in examples]
        asking = [
            self._answered(one, method, asked.limit, shown, []) for one, shown in zip(examples, each, strict=True)
        ]
        found = await _unless_left(request, _all_or_none(asking))
        choices = []
        for index, ((made, trace), shown) in enumerate(zip(found, each, strict=True)):
            text = shown.last(made) + (footnote_of(trace) if self._footnote(wishes) else "")
            choices.append(TextChoice(index=index, text=text, finish_reason=_finish(made, shown), nesycd=trace))
        return Completion(**told, choices=choices, usage=_usage([made for made, _ in found]))

    async def _answered(
        self, example: Example, method: Method, limit: int | None, shown: _Shown, notes: list[str]
    ) -> tuple[Answered, Trace]:
        most = self._service.opened.recipe.student.max_new_tokens
        made = await self._service.answer(example, method.name, min(limit or most, most), shown.tell)
        if made.finish == "too_long":
            message = (
                f"the question with its knowledge has {made.prompt_tokens} tokens: too many for the student's context"
            )
            raise Refused(400, message, code="context_length_exceeded")
        return made, _trace(made, notes)

    def _stream(
        self,
        answer: Awaitable[tuple[Answered, Trace]],
        shown: _Shown,
        chunks: _ChatChunks | _TextChunks,
        footnote: bool,
        usage: bool,
    ) -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            begun, first = time.monotonic(), True
            texts: asyncio.Queue[str | None] = asyncio.Queue()
            shown.send = texts.put_nowait
            task = asyncio.ensure_future(answer)
            task.add_done_callback(lambda _: texts.put_nowait(None))
            try:
                for one in chunks.begin():
                    yield _event(one)
                while (text := await texts.get()) is not None:
                    if first:
                        self._service.metrics.first.observe(time.monotonic() - begun)
                        first = False
                    yield _event(chunks.text(text))
                made, trace = await task
                rest = shown.rest(made) + (footnote_of(trace) if footnote else "")
                if rest:
                    yield _event(chunks.text(rest))
                yield _event(chunks.end(_finish(made, shown), trace))
                if usage:
                    yield _event(chunks.usage(_usage([made])))
                yield "data: [DONE]\n\n"
            except (Refused, NesycdError) as error:
                yield _event(_as_refused(error)[1])
            finally:
                task.cancel()

        return StreamingResponse(events(), media_type="text/event-stream")

    # --- what is there ----------------------------------------------------------------------------------------------------

    async def models(self) -> Models:
        """The methods that can be asked, as models."""
        first, *named = self._methods
        return Models(data=[self._shown_model(name) for name in (first, *(named if len(named) > 1 else ()))])

    async def model(self, model: str) -> Model:
        """One of them."""
        self._method(model)
        return self._shown_model(model)

    async def health(self) -> Health:
        """Whether it answers, and what it answers with."""
        revision, items, note = await self._service.state(next(iter(self._methods.values())).name)
        return Health(questions=self._service.count, knowledge_revision=revision, knowledge_items=items, note=note)

    async def metrics(self) -> Response:
        """Counters in Prometheus' format."""
        counted = self._service.metrics
        revision, items, _ = await self._service.state(next(iter(self._methods.values())).name)
        counted.revision.set(revision)
        counted.items.set(items)
        counted.waiting.set(self._service.count)
        counted.running.set(self._service.engine.running)
        return Response(counted.text(), media_type=counted.TYPE)

    def _shown_model(self, name: str) -> Model:
        return Model(id=name, created=self._created, about=self._methods[name].about)

    def _method(self, model: str) -> Method:
        if model not in self._methods:
            known = ", ".join(self._methods)
            raise Refused(
                404, f"there is no model {model!r}; there are: {known}", param="model", code="model_not_found"
            )
        return self._methods[model]

    def _footnote(self, wishes: Wishes) -> bool:
        return self._footnotes if wishes.footnote is None else wishes.footnote

    def _example(self, question: str, wishes: Wishes, param: str) -> Example:
        if (size := len(question) + sum(map(len, wishes.options))) > MOST_TEXT:
            told = f"the question with its options has {size:,} characters, and at most {MOST_TEXT:,} are read"
            raise Refused(400, told, param=param, code="context_length_exceeded")
        try:
            return self._service.opened.example(question, wishes.options, wishes.task)
        except DataError as error:
            raise Refused(400, str(error), param=param) from None


# --- texts ------------------------------------------------------------------------------------------------------------


class _Shown:
    """What a client sees of a response: no look-ups, and nothing from a stop string on.

    Args:
        method: that answers.
        stops: strings that end the answer.
    """

    def __init__(self, method: Method, stops: tuple[str, ...]) -> None:
        self._has_calls, self._stops = bool(method.calls), stops
        self._sent = ""
        self.stopped = False
        self.send: Callable[[str], None] | None = None

    def tell(self, text: str) -> None:
        """Send what of a response so far is settled and was not sent yet."""
        if self.send is None:
            return
        now = settled(text) if self._has_calls else text
        cut = self._cut(now)
        if cut == now and self._stops:
            # The end may be the beginning of a stop string.
            longest = max(map(len, self._stops)) - 1
            cut = now[: len(now) - longest] if longest else now
        if len(cut) > len(self._sent) and cut.startswith(self._sent):
            self.send(cut[len(self._sent) :])
            self._sent = cut

    def last(self, made: Answered) -> str:
        """The whole text."""
        cut = self._cut(made.read)
        self.stopped = cut != made.read
        return cut

    def rest(self, made: Answered) -> str:
        """What of the whole text was not sent yet."""
        whole = self.last(made)
        return whole[len(self._sent) :] if whole.startswith(self._sent) else ""

    def _cut(self, text: str) -> str:
        return text[: min((at for stop in self._stops if (at := text.find(stop)) >= 0), default=len(text))]


def footnote_of(trace: Trace) -> str:
    """What an answer used, for readers, to be put after it; "" where it used nothing."""
    lines = [told_of(call) for call in trace.calls]
    lines += [f"read: {item.text} ({item.why or 'given'}; {item.id[:8]})" for item in trace.items]
    return "".join(["\n\n---", *(f"\n- {line}" for line in lines)]) if lines else ""


def _trace(made: Answered, notes: list[str]) -> Trace:
    reply = made.reply
    why = {hit.item.id: hit.why for hit in reply.hits}
    return Trace(
        method=reply.method,
        answer=reply.answer,
        response=reply.text,
        calls=[*reply.trace],
        items=[ShownItem(id=item.id, text=item.text, why=why.get(item.id, "")) for item in reply.items],
        routed=reply.routed,
        reason=reply.reason,
        draft=None if reply.draft is None else reply.draft.text,
        knowledge_revision=made.version,
        notes=[*([reply.note] if reply.note else []), *notes],
    )


def _finish(made: Answered, shown: _Shown) -> Finish:
    return "length" if made.finish == "length" and not shown.stopped else "stop"


def _usage(made: list[Answered]) -> Usage:
    prompt, completion = sum(one.prompt_tokens for one in made), sum(one.completion_tokens for one in made)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


# --- streams ----------------------------------------------------------------------------------------------------------


class _ChatChunks:
    """The events of a streamed chat."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = {**told, "object": "chat.completion.chunk"}

    def begin(self) -> list[dict[str, Any]]:
        """The first events."""
        return [self._choice({"role": "assistant", "content": ""})]

    def text(self, text: str) -> dict[str, Any]:
        """More text."""
        return self._choice({"content": text})

    def end(self, finish: Finish, trace: Trace) -> dict[str, Any]:
        """The last one of the answer."""
        return {**self._choice({}, finish), "nesycd": trace.model_dump(mode="json")}

    def usage(self, usage: Usage) -> dict[str, Any]:
        """What it took."""
        return {**self._told, "choices": [], "usage": usage.model_dump()}

    def _choice(self, delta: dict[str, str], finish: Finish | None = None) -> dict[str, Any]:
        return {**self._told, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]}


class _TextChunks:
    """The events of a streamed completion."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = {**told, "object": "text_completion"}

    def begin(self) -> list[dict[str, Any]]:
        """See `_ChatChunks`: none."""
        return []

    def text(self, text: str, finish: Finish | None = None) -> dict[str, Any]:
        """More text."""
        return {**self._told, "choices": [{"index": 0, "text": text, "finish_reason": finish, "logprobs": None}]}

    def end(self, finish: Finish, trace: Trace) -> dict[str, Any]:
        """The last one of the answer."""
        return {**self.text("", finish), "nesycd": trace.model_dump(mode="json")}

    def usage(self, usage: Usage) -> dict[str, Any]:
        """What it took."""
        return {**self._told, "choices": [], "usage": usage.model_dump()}


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


async def _all_or_none(asking: list[Any]) -> list[tuple[Answered, Trace]]:
    """All answers; where one fails the others are given up."""
    tasks = [asyncio.ensure_future(one) for one in asking]
    try:
        return [*await asyncio.gather(*tasks)]
    finally:
        for task in tasks:
            task.cancel()


async def _unless_left(request: Request, answer: Awaitable[T]) -> T:
    """An answer, given up when its client leaves.

    Raises:
        _Left: it left.
    """

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(left())
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise _Left
        return task.result()
    finally:
        task.cancel()
        leaving.cancel()


# --- errors -----------------------------------------------------------------------------------------------------------


def _as_refused(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body; messages that may name folders stay in the log."""
    if isinstance(error, Refused):
        status, message, param, code = error.status, error.message, error.param, error.code
    elif isinstance(error, Busy):
        status, message, param, code = 429, str(error), None, "busy"
    elif isinstance(error, TooSlow):
        status, message, param, code = 504, str(error), None, "timeout"
    else:
        _log.error("cannot answer: %s", error)
        status, message, param, code = 500, "the question cannot be answered; the server's log says why", None, None
    kind = {429: "rate_limit_error", 500: "server_error", 504: "server_error"}.get(status, "invalid_request_error")
    body = ErrorAnswer(error=ErrorBody(message=message, type=kind, param=param, code=code))
    return status, body.model_dump()


async def _refused(request: Request, error: Refused) -> Response:
    status, body = _as_refused(error)
    return JSONResponse(body, status)


async def _cannot_answer(request: Request, error: NesycdError) -> Response:
    status, body = _as_refused(error)
    return JSONResponse(body, status, {"retry-after": "1"} if status == 429 else None)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    message = str(first["msg"]).removeprefix("Value error, ")
    told = f"{place}: {message}" if place else message
    status, body = _as_refused(Refused(400, told[:500], param=place.partition(".")[0] or None))
    return JSONResponse(body, status)


async def _not_there(request: Request, error: HTTPException) -> Response:
    message = (
        "there is nothing here: the API is below /v1, its description is /openapi.json"
        if error.status_code == 404
        else str(error.detail)
    )
    body = ErrorAnswer(error=ErrorBody(message=message, type="invalid_request_error"))
    return JSONResponse(body.model_dump(), error.status_code, error.headers)


async def _nobody(request: Request, error: _Left) -> Response:
    return Response(status_code=499)


# --- around it --------------------------------------------------------------------------------------------------------


class _Guarded:
    """Lets requests to `/v1` and `/metrics` through that bear one of the tokens."""

    def __init__(self, app: ASGIApp, tokens: Tokens | None) -> None:
        self._app, self._tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = scope["type"] == "http" and scope["path"].startswith(("/v1", "/metrics"))
        if guarded and self._tokens is not None and self._tokens.grant_of(bearer(scope)) is None:
            kind, body = json_refusal(401, "this server needs a key: Authorization: Bearer KEY")
            response = Response(body, 401, {"www-authenticate": "Bearer"}, kind)
            return await response(scope, receive, send)
        return await self._app(scope, receive, send)


class _Counted:
    """Counts requests by path and status, and their time."""

    _PATHS = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/health", "/metrics")

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._metrics = app, service.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"] if scope["path"] in self._PATHS else "other"
        begun = time.monotonic()

        async def counting(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            self._metrics.seconds.labels(path).observe(time.monotonic() - begun)
