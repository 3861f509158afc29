"""A teacher on a server: what it is asked, what is made of its answers, and servers that cannot be one."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("tokenizers")

from nesycd.core.errors import ModelError, TeacherError
from nesycd.core.records import Targets
from nesycd.core.sections import OnPolicySection
from nesycd.core.segments import Segment, own
from nesycd.students.rendering import Renderer
from nesycd.students.served_teacher import ServedTeacher

CALL = (
    Segment(text="A fathom is [fathom | makes]"),
    Segment(text=" 6 feet", source="supplied"),
    Segment(text=". So 24."),
)
REAL = "NESYCD_TEST_VLLM"
"""Names the address of a real vLLM that holds the embedded student, under the name in `NESYCD_TEST_VLLM_MODEL`."""


class Fake(ThreadingHTTPServer):
    """A vLLM whose model finds token `n` likely after token `n - 1`."""

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tokenizer, self.shift, self.most = tokenizer, 0, 20
        self.hides: str = ""
        self.requests: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def tokens(self, text: str) -> list[int]:
        return [one + self.shift for one in self.tokenizer(text, add_special_tokens=False).input_ids]

    def logprobs(self, ids: list[int], count: int) -> list[Any]:
        made: list[Any] = [None]
        for before, token in pairwise(ids):
            told = {(before + 1 + rank) % 300: math.log(0.5 ** (rank + 1)) for rank in range(min(count, self.most))}
            told.setdefault(token, -9.5)
            made.append({str(one): {"logprob": value, "rank": 1, "decoded_token": "x"} for one, value in told.items()})
        return made


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def log_message(self, *args: Any) -> None: ...

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append({"path": self.path, "key": self.headers["authorization"], **asked})
        if self.path == "/tokenize" and self.server.hides != "/tokenize":
            return self._send({"tokens": self.server.tokens(asked["prompt"])})
        if self.path == "/v1/completions":
            told = self.server.logprobs(asked["prompt"], asked["prompt_logprobs"])
            extra = {} if self.server.hides == "logprobs" else {"prompt_logprobs": told}
            choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": None, **extra}
            return self._send(
                {"id": "1", "object": "text_completion", "created": 1, "model": "big", "choices": [choice]}
            )
        self.send_error(404)

    def _send(self, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def server(tiny_tokenizer: Callable[..., Any]) -> Iterator[Fake]:
    with Fake(tiny_tokenizer()) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


def ask(server: Fake, completions: list[Any], count: int = 4, **options: Any) -> list[Targets]:
    prompts = [f"Question {number}" for number in range(len(completions))]
    settings = OnPolicySection(server=server.address, model="big", **options)
    return [*ServedTeacher(Renderer(server.tokenizer), settings).likeliest(prompts, completions, count=count)]


def test_it_reads_prompt_and_answer_and_tells_of_each_own_token(server: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sesame")
    told = ask(server, [CALL, *(own(f"It is {number}.") for number in range(9))], key_env="MY_KEY")
    renderer = Renderer(server.tokenizer)
    written = renderer.completion_ids("".join(one.text for one in CALL))
    supplied = renderer.supplied_places(CALL)
    before = renderer.prompt_ids("Question 0")
    whole = [*before, *written]
    assert len(told) == 10 and len(told[0]) == len(written) - len(supplied)
    places = [place for place in range(len(written)) if place not in supplied]
    for place, made in zip(places, told[0], strict=True):
        last = whole[len(before) + place - 1]
        likely = [(last + 1 + rank) % 300 for rank in range(4)]
        token = written[place]
        assert [one for one, _ in made] == (likely if token in likely else [*likely[:3], token])
        assert made[0][1] == pytest.approx(math.log(0.5), abs=1e-4)
    asked = [one for one in server.requests if one["path"] == "/v1/completions"]
    assert whole in [one["prompt"] for one in asked] and {one["max_tokens"] for one in asked} == {1}
    assert {one["key"] for one in server.requests} == {"Bearer sesame"}


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"shift": 1}, "big has another vocabulary than the student"),
        ({"hides": "/tokenize"}, "HTTP 404"),
        ({"hides": "logprobs"}, "gives no log-probabilities of what it was sent; the server must be a vLLM"),
        ({"most": 2}, "start vLLM with --max-logprobs 4 or more"),
    ],
)
def test_servers_that_can_be_no_teacher(server: Fake, changes: dict[str, Any], told: str) -> None:
    for name, value in changes.items():
        setattr(server, name, value)
    with pytest.raises(ModelError, match=told):
        ask(server, [own("It is 6.")])


def test_no_server_and_no_key(server: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(TeacherError, match=r"MY_KEY with the key for .* is not set"):
        ask(server, [own("It is 6.")], key_env="MY_KEY")
    gone = OnPolicySection(server="http://127.0.0.1:9/v1", model="big")
    with pytest.raises(ModelError, match="no server answers there"):
        ServedTeacher(Renderer(server.tokenizer), gone).check()


@pytest.mark.slow
@pytest.mark.skipif(REAL not in os.environ, reason=f"{REAL} names no vLLM with the embedded student")
def test_a_real_vllm_says_what_the_same_model_says_here() -> None:
    from nesycd.students.local import LocalStudent

    student = LocalStudent()
    prompts = [
        "How many feet are 4 fathoms?",
        "Question: 3 bags hold 4 eggs each. How many eggs are there?",
        "A colour?",
    ]
    completions = [CALL, own("3 x 4 = 12. Therefore, the answer is 12."), own("Blue.")]
    model = os.environ.get("NESYCD_TEST_VLLM_MODEL", "student")
    settings = OnPolicySection(server=os.environ[REAL], model=model)
    there = [*ServedTeacher(student.renderer, settings).likeliest(prompts, completions, count=16)]
    here = student.likeliest(prompts, completions, adapter=None, count=16)
    assert [len(one) for one in there] == [len(one) for one in here]
    pairs = [
        (dict(one), dict(other)) for a, b in zip(there, here, strict=True) for one, other in zip(a, b, strict=True)
    ]
    gaps = [max(abs(math.exp(one[t]) - math.exp(other.get(t, -99))) for t in one) for one, other in pairs]
    assert sum(gaps) / len(gaps) < 0.04, "bfloat16 rounds otherwise in other kernels"
    assert sum(next(iter(one)) == next(iter(other)) for one, other in pairs) >= 0.9 * len(pairs)
