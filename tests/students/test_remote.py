"""A student behind another server: stops, supplies and goes on, whether the server says where it stopped or not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("tokenizers")

from nesycd.calls import Calls, LookUp, Sums
from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding, Generation, Prompt
from nesycd.core.records import Fact
from nesycd.core.segments import Segment
from nesycd.students.remote import RemoteStudent
from nesycd.students.remote_api import RemoteServer
from nesycd.students.rendering import Renderer

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
TOOLS = Calls(LookUp.of_facts([FATHOM]), Sums())
QUESTION = "How many feet are 4 fathoms?"
PARTS = [
    "Let x = y, [1]. One [fathoms | makes]",
    " 6 feet",
    ". It costs $3. 4 x 6 =",
    " 24",
    ". Therefore, the answer is 24.",
]
WHOLE = "".join(PARTS)


class Fake(ThreadingHTTPServer):
    """A server whose model writes `WHOLE`, but other results of calls than ours."""

    def __init__(self, tokenizer: Any, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokenizer, self.kind = tokenizer, kind
        self.requests: list[dict[str, Any]] = []
        self.logprobs = True
        self.fails = False
        self.listed = self.elsewhere = ""
        self.answer: Callable[[], Iterator[bytes]] | None = None
        """The body of each answer, in place of what the model writes."""

    def goes_on(self, so_far: str) -> str:
        """What the model writes after a beginning."""
        assert WHOLE.startswith(so_far), so_far
        rest = WHOLE[len(so_far) :]
        for before, result in ((PARTS[0], PARTS[1]), ("".join(PARTS[:3]), PARTS[3])):
            at = len(before) - len(so_far)
            if at >= 0:
                return rest[:at] + " 77" + rest[at + len(result) :]
        return rest


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def log_message(self, *args: Any) -> None: ...

    def do_GET(self) -> None:
        owner = self.server.kind
        models = [{"id": "student", "object": "model", "created": 1, "owned_by": owner}]
        self._send("application/json", self.server.listed or json.dumps({"object": "list", "data": models}))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(asked)
        if self.server.fails:
            self.send_error(500)
            return
        if self.server.elsewhere:
            self.send_response(307)
            self.send_header("location", self.server.elsewhere)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if self.server.answer is not None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            with suppress(OSError):  # the client leaves
                for part in self.server.answer():
                    self.wfile.write(part)
            return
        text = self.server.tokenizer.decode(asked["prompt"])
        more, stop = self.server.goes_on(text.partition("\n")[2]), ""
        ends = [(at, one) for one in asked.get("stop") or () if (at := more.find(one)) >= 0]
        if ends:
            at, stop = min(ends)
            more = more[: at + len(stop)] if asked.get("include_stop_str_in_output") else more[:at]
        ids = self.server.tokenizer(more, add_special_tokens=False).input_ids
        finish = "stop" if len(ids) <= asked["max_tokens"] else "length"
        ids = ids[: asked["max_tokens"]]
        events = []
        for place in range(max(1, len(ids))):
            last = place >= len(ids) - 1
            known = {"top_logprobs": [{"a": -0.1, "b": -2.5}]} if self.server.logprobs and ids else None
            choice = {
                "index": 0,
                "text": self.server.tokenizer.decode(ids[place : place + 1]),
                "logprobs": known,
                "finish_reason": finish if last else None,
            }
            if self.server.kind == "vllm":
                choice["stop_reason"] = stop or None if last and finish == "stop" else None
            events.append(
                {"id": "c", "object": "text_completion", "created": 1, "model": "student", "choices": [choice]}
            )
        self._send("text/event-stream", "".join(f"data: {json.dumps(one)}\n\n" for one in events) + "data: [DONE]\n\n")

    def _send(self, kind: str, body: str) -> None:
        data = body.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(params=["vllm", "llamacpp"])
def server(request: pytest.FixtureRequest, tiny_tokenizer: Callable[..., Any]) -> Iterator[Fake]:
    made = Fake(tiny_tokenizer(None), request.param)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def write(
    server: Fake, told: list[str] | None = None, limit: int = 200, stop: tuple[str, ...] = (), **given: Any
) -> Generation:
    async def main() -> Generation:
        renderer = Renderer(server.tokenizer, "plain")
        remote = RemoteServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
        student = RemoteStudent(renderer, remote, **given)
        try:
            await student.connect()
            prompt = Prompt("q", QUESTION, TOOLS, QUESTION)
            return await student.write(prompt, Decoding(limit, stop), (told if told is not None else []).append)
        finally:
            await student.close()

    return asyncio.run(main())


def test_calls_are_answered_here_and_the_server_goes_on(server: Fake) -> None:
    told: list[str] = []
    made = write(server, told)
    assert made.text == WHOLE and made.finish == "stop"
    assert made.segments == tuple(
        Segment(text=text, source="supplied" if place % 2 else "student") for place, text in enumerate(PARTS)
    )
    assert [(call.name, call.found) for call in made.trace] == [("look_up", "6 feet"), ("sum", "24")]
    assert all(later.startswith(earlier) for earlier, later in pairwise(told)) and told[-1] == WHOLE
    assert made.margin == pytest.approx(0.8227, abs=1e-3)
    # Prompts are the renderer's token ids, and what was written so far.
    first = server.requests[0]["prompt"]
    assert first == Renderer(server.tokenizer, "plain").prompt_ids(QUESTION)
    assert all(one["prompt"][: len(first)] == first and one["temperature"] == 0 for one in server.requests)
    assert made.prompt_tokens == len(first)


def test_a_limit_holds_over_all_requests(server: Fake) -> None:
    made = write(server, limit=20)
    assert made.finish == "length" and made.completion_tokens == 20 and WHOLE.startswith(made.text)


def test_stop_strings_of_the_decoding_end_the_answer(server: Fake) -> None:
    made = write(server, stop=("It costs",))
    assert made.finish == "stop" and made.text == "Let x = y, [1]. One [fathoms | makes] 6 feet. It costs"


def test_without_log_probabilities_there_are_no_margins(server: Fake) -> None:
    server.logprobs = False
    made = write(server)
    assert made.text == WHOLE and made.margin == 0.0


def test_what_goes_wrong_is_told_in_a_sentence(server: Fake) -> None:
    with pytest.raises(ModelError, match=r"has no model 'other'; it serves student"):
        write(server, model="other")
    server.fails = True
    with pytest.raises(ModelError, match=r"HTTP 500"):
        write(server)
    port = server.server_address[1]
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError, match=rf"127\.0\.0\.1:{port}: no server answers there"):
        write(server)


def events_of(*choices: Any) -> bytes:
    """A stream of completions with these choices, one an event."""
    made = [
        {"id": "c", "object": "text_completion", "created": 1, "model": "student", "choices": [one]} for one in choices
    ]
    return "".join(f"data: {json.dumps(one)}\n\n" for one in made).encode()


def endless(event: bytes) -> Iterator[bytes]:
    while True:
        yield event * 100


NOTHING = events_of({"index": 0, "text": "", "finish_reason": None})
ENDLESS = {
    "of text": events_of({"index": 0, "text": "x" * 50, "finish_reason": None}),
    "of large text": events_of({"index": 0, "text": "x" * 100_000, "finish_reason": None}),
    "of nothing": NOTHING,
    "without choices": b'data: {"id": "c", "choices": []}\n\n',
}


@pytest.mark.parametrize("event", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_stream_without_end_is_given_up(server: Fake, event: bytes) -> None:
    server.answer = lambda: endless(event)
    with pytest.raises(ModelError, match="writes on after the 50 tokens that it was asked for"):
        write(server, limit=50)


def test_one_piece_without_end_is_given_up(server: Fake) -> None:
    server.answer = lambda: endless(b"x" * 10_000)
    with pytest.raises(ModelError, match="larger than 8 MB"):
        write(server)


BROKEN = {
    "no JSON": b"data: {oops\n\n",
    "an error": b'data: {"error": {"message": "no memory", "code": 500}}\n\n',
    "deep JSON": b"data: " + b"[" * 100_000 + b"\n\n",
    "no UTF-8": b"data: \xff\xfe\n\n",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_what_is_no_stream_is_told_in_a_sentence(server: Fake, body: bytes) -> None:
    server.answer = lambda: iter([body])
    with pytest.raises(ModelError, match="the answer broke off, or is no stream"):
        write(server)


ODD = {
    "number for text": {"text": 7},
    "no fields": {},
    "log-probabilities that are none": {"text": "", "logprobs": {"top_logprobs": [{"a": 1e9, "b": "x"}, 3, None]}},
    "other log-probabilities": {"text": "", "logprobs": [1]},
    "numbers too large": {
        "text": "",
        "logprobs": {"token_logprobs": [-(10**400)], "top_logprobs": [{"a": -(10**400)}]},
    },
    "an object for an end": {"text": "", "finish_reason": {"a": 1}},
    "no object": [1, 2],
}


@pytest.mark.parametrize("choice", ODD.values(), ids=ODD.keys())
def test_fields_of_another_kind_are_as_if_they_were_not_there(server: Fake, choice: Any) -> None:
    server.answer = lambda: iter([events_of(choice), b"data: [DONE]\n\n"])
    made = write(server)
    assert made.text == "" and made.margin == 0.0


def test_half_a_sign_is_replaced(server: Fake) -> None:
    server.answer = lambda: iter(
        [events_of({"index": 0, "text": "6 f\ud83d", "finish_reason": "length"}), b"data: [DONE]\n\n"]
    )
    assert write(server).text == "6 f\ufffd"


def test_a_server_that_lies_about_where_it_stopped_is_not_asked_for_ever(server: Fake) -> None:
    server.answer = lambda: iter(
        [events_of({"index": 0, "text": "", "finish_reason": "stop", "stop_reason": "]"}), b"data: [DONE]\n\n"]
    )
    assert write(server).text == "" and len(server.requests) <= 2


def test_models_that_are_none_are_told(server: Fake) -> None:
    for listed in ("[]", '{"data": 3}', '{"data": [{"id": 5}, 7]}', "no JSON", "[" * 100_000):
        server.listed = listed
        with pytest.raises(ModelError):
            write(server)


def test_prompts_do_not_follow_a_redirect_elsewhere(server: Fake, tiny_tokenizer: Callable[..., Any]) -> None:
    other = Fake(tiny_tokenizer(None), "vllm")
    threading.Thread(target=other.serve_forever, args=(0.02,), daemon=True).start()
    server.elsewhere = f"http://127.0.0.1:{other.server_address[1]}/v1/completions"
    with pytest.raises(ModelError, match=r"sends its clients on to http://127"):
        write(server)
    assert other.requests == []
    other.shutdown()
    other.server_close()
