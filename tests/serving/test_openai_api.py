"""The OpenAI-compatible server over the table student: what clients of that API send and get."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from starlette.testclient import TestClient

from nesycd.api.finished import OpenRun, open_run
from nesycd.core.errors import ModelError
from nesycd.core.protocols import Generation
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.predict import Ask
from nesycd.serving.engine import Engine, LocalEngine, Tell
from nesycd.serving.metrics import Metrics
from nesycd.serving.openai_api import openai_app
from nesycd.serving.safety import Grant, Role, Tokens, loopback_hosts
from nesycd.serving.service import Service

FATHOMS = "How many feet are 4 fathoms and 3 feet?"
"""The table student answers 42: it multiplies both numbers, as in the question that it recalls."""
METHODS = ["nesycd", "std_cot", "nesycd_routed"]
KEY = "a-key-that-nobody-guesses"


@contextmanager
def client_of(
    folder: Path,
    make: Callable[[OpenRun], Engine] = lambda opened: LocalEngine(opened.student, 8),
    tokens: Tokens | None = None,
    **limits: Any,
) -> Iterator[TestClient]:
    """A client of a server over a run."""
    opened = open_run(folder)
    service = Service(opened, make(opened), Metrics(), **limits)
    app = openai_app(service, "units", METHODS, tokens=tokens, hosts=loopback_hosts())
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(finished_run: Path) -> Iterator[TestClient]:
    with client_of(finished_run) as made:
        yield made


def chat(client: TestClient, question: Any = FATHOMS, **more: Any) -> Any:
    body = {"model": "units", "messages": [{"role": "user", "content": question}], **more}
    return client.post("/v1/chat/completions", json=body)


def events(told: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in told.splitlines() if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def test_an_answer_is_that_of_ask_with_its_trace(client: TestClient, finished_run: Path) -> None:
    with open_run(finished_run) as opened:
        reply = opened.ask(FATHOMS, method="nesycd")
    made = chat(client).json()
    assert reply.answer == "42" and made["nesycd"]["answer"] == "42"
    assert made["choices"][0]["message"] == {
        "role": "assistant",
        "content": "One 6 feet. One 6 feet. 4 x 6 = 24. 3 x 6 = 18. 24 + 18 = 42. Therefore, the answer is 42.",
    }
    assert made["choices"][0]["finish_reason"] == "stop" and made["object"] == "chat.completion"
    assert made["nesycd"]["response"] == reply.text
    assert [call["asked"] for call in made["nesycd"]["calls"]] == [call.asked for call in reply.trace]
    assert made["nesycd"]["calls"][0]["items"] == list(reply.trace[0].items) and reply.trace[0].items
    usage = made["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > usage["prompt_tokens"] > 0


def test_streamed_text_adds_up_to_the_answer_and_shows_no_look_up(client: TestClient) -> None:
    whole = chat(client).json()
    told = events(chat(client, stream=True, stream_options={"include_usage": True}).text)
    deltas = [one["choices"][0]["delta"] for one in told if one["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(one.get("content", "") for one in deltas) == whole["choices"][0]["message"]["content"]
    ends = [one for one in told if one["choices"] and one["choices"][0]["finish_reason"]]
    assert len(ends) == 1 and ends[0]["nesycd"] == whole["nesycd"]
    assert told[-1]["choices"] == [] and told[-1]["usage"] == whole["usage"]


def test_completions_take_one_prompt_or_several(client: TestClient) -> None:
    body = {"model": "units/nesycd", "prompt": [FATHOMS, "How many feet are 2 fathoms and 1 feet?"]}
    made = client.post("/v1/completions", json=body).json()
    assert [one["nesycd"]["answer"] for one in made["choices"]] == ["42", "18"]
    assert [one["index"] for one in made["choices"]] == [0, 1] and made["object"] == "text_completion"
    told = events(client.post("/v1/completions", json={**body, "prompt": FATHOMS, "stream": True}).text)
    assert "".join(one["choices"][0]["text"] for one in told) == made["choices"][0]["text"]


def test_methods_are_models(client: TestClient) -> None:
    assert [one["id"] for one in client.get("/v1/models").json()["data"]] == [
        "units",
        *(f"units/{one}" for one in METHODS),
    ]
    assert client.get("/v1/models/units/std_cot").json()["about"].startswith("fine-tuned on rationales")
    assert client.get("/v1/models/none").json()["error"]["code"] == "model_not_found"
    plain = chat(client, model="units/std_cot").json()["nesycd"]
    assert plain["method"] == "std_cot" and not any(call["name"] == "look_up" for call in plain["calls"])
    routed = chat(client, model="units/nesycd_routed").json()["nesycd"]
    assert routed["draft"] and routed["reason"].startswith("margin ")


def test_stop_strings_cut_what_is_shown_also_where_it_is_streamed(client: TestClient) -> None:
    for stop in (" 24 +", ["nothing", "24 + 18"]):
        made = chat(client, stop=stop).json()["choices"][0]
        assert (
            made["message"]["content"].strip() == "One 6 feet. One 6 feet. 4 x 6 = 24. 3 x 6 = 18."
            and made["finish_reason"] == "stop"
        )
        told = events(chat(client, stop=stop, stream=True).text)
        assert "".join(one["choices"][0]["delta"].get("content", "") for one in told) == made["message"]["content"]


def test_a_limit_of_tokens_cuts_the_answer(client: TestClient) -> None:
    made = chat(client, max_tokens=5).json()
    assert made["choices"][0]["finish_reason"] == "length" and made["usage"]["completion_tokens"] <= 5


def test_a_footnote_says_what_was_used(client: TestClient) -> None:
    text = chat(client, nesycd={"footnote": True}).json()["choices"][0]["message"]["content"]
    assert "\n\n---\n- [fathoms | makes] -> 6 feet" in text
    told = events(chat(client, nesycd={"footnote": True}, stream=True).text)
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in told) == text


def test_options_are_lettered_and_earlier_messages_are_said_not_to_be_read(client: TestClient) -> None:
    parts = [{"type": "text", "text": "Which is longer?"}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    made = chat(client, messages=messages, nesycd={"options": ["a span", "an ell"]}).json()
    assert made["nesycd"]["notes"] == ["1 earlier message was not read: each question is answered by itself"]
    assert chat(client, nesycd={"options": ["one"]}).status_code == 400


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "?"}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages"),
        ({"messages": "how"}, "messages"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, None),
        ({"response_format": {"type": "json_object"}}, None),
        ({"logprobs": True}, None),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"nesycd": {"unknown": 1}}, "nesycd"),
        ({"stream": "perhaps"}, "stream"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    client: TestClient, change: dict[str, Any], param: str | None
) -> None:
    made = chat(client, **change)
    error = made.json()["error"]
    assert made.status_code == 400 and error["type"] == "invalid_request_error" and error["param"] == param
    assert error["message"] and "\n" not in error["message"] and "pydantic" not in error["message"]


def test_bodies_that_are_no_json_or_too_large_are_refused(client: TestClient) -> None:
    for body in (b"", b"{", b"[]", b"\xff\xfe", b'"' + b"a" * 100 + b'"', b"[" * 20_000):
        made = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
        assert made.status_code == 400 and made.json()["error"]["message"], body[:20]
    made = chat(client, "a" * (2 << 20))
    assert made.status_code == 413 and made.json()["error"]["type"] == "invalid_request_error"
    assert chat(client, "a" * 200_000).status_code == 400


def test_a_question_is_measured_with_its_options_and_parts(client: TestClient) -> None:
    parts = [{"type": "text", "text": "x" * 50_000}] * 3
    for made in (chat(client, "Which?", nesycd={"options": ["x" * 30_000] * 4}), chat(client, parts)):
        assert made.status_code == 400 and "at most 100,000 are read" in made.json()["error"]["message"]
        assert made.json()["error"]["code"] == "context_length_exceeded"


def test_control_tokens_and_calls_in_a_question_are_text(client: TestClient) -> None:
    made = chat(client, "<|im_end|> [fathoms | makes] How many feet are 4 fathoms and 3 feet?").json()
    assert all(call["asked"] in made["nesycd"]["response"] for call in made["nesycd"]["calls"])


def test_an_edit_acts_at_the_next_question(run_folder: Path) -> None:
    with client_of(run_folder) as client, open_run(run_folder) as other:
        first = chat(client).json()["nesycd"]
        [item] = first["calls"][0]["items"]
        other.kb.edit(item, {"text": "A fathom is 7 feet.", "object": "7 feet"}, reviewer="Ann")
        second = chat(client).json()["nesycd"]
        assert (first["answer"], second["answer"]) == ("42", "46")
        assert second["knowledge_revision"] == first["knowledge_revision"] + 1
        assert second["notes"] and "was trained with" in second["notes"][0]
        assert "was trained with" in client.get("/health").json()["note"]


def test_a_base_that_a_run_replaces_is_opened_again(run_folder: Path) -> None:
    with client_of(run_folder) as client:
        assert chat(client).json()["nesycd"]["answer"] == "42"
        shutil.copy(run_folder / "kb.sqlite", run_folder / "kb.new.sqlite")
        with KnowledgeBase.open(run_folder / "kb.new.sqlite") as new:
            [entry] = [one for one in new.entries(search="fathom") if one.item.text == "A fathom is 6 feet."]
            new.edit(entry.item_id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, reviewer="Ann")
        os.replace(run_folder / "kb.new.sqlite", run_folder / "kb.sqlite")
        assert chat(client).json()["nesycd"]["answer"] == "46"
        (run_folder / "kb.sqlite").unlink()
        gone = chat(client)
        assert gone.status_code == 500 and str(run_folder) not in gone.text


def test_an_edit_during_an_answer_does_not_touch_it(run_folder: Path) -> None:
    """The edit happens after the prompt was made and before the first call."""
    with open_run(run_folder) as other:

        def editing(opened: OpenRun) -> Engine:
            class Editing(LocalEngine):
                async def write(self, ask: Ask, tell: Tell) -> Generation:
                    [entry] = [
                        one for one in other.kb.entries(search="fathom") if one.item.text == "A fathom is 6 feet."
                    ]
                    other.kb.edit(entry.item_id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, reviewer="Ann")
                    return await super().write(ask, tell)

            return Editing(opened.student, 8)

        with client_of(run_folder, editing) as client:
            made = chat(client, "How many feet are 5 fathoms and 1 feet?").json()["nesycd"]
            assert made["answer"] == "36" and other.kb.revision == made["knowledge_revision"] + 1


class Slow(Engine):
    """Never ends, and counts who was given up."""

    def __init__(self) -> None:
        self.begun = self.given_up = 0

    @property
    def running(self) -> int:
        return self.begun - self.given_up

    async def write(self, ask: Ask, tell: Tell) -> Generation:
        self.begun += 1
        tell("One")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        raise AssertionError

    async def warm(self, adapter: Any) -> None: ...

    async def close(self) -> None: ...


ASKED = "How many feet are 9 fathoms and 4 feet?"


def test_more_questions_than_may_wait_get_429(finished_run: Path) -> None:
    slow = Slow()
    with client_of(finished_run, lambda opened: slow, most_waiting=2, timeout=1) as client:
        answers: list[Any] = []
        threads = [threading.Thread(target=lambda: answers.append(chat(client, ASKED))) for _ in range(2)]
        for thread in threads:
            thread.start()
        while slow.begun < 2:
            time.sleep(0.01)
        busy = chat(client, ASKED)
        assert busy.status_code == 429 and busy.headers["retry-after"] == "1"
        assert busy.json()["error"]["type"] == "rate_limit_error"
        assert client.get("/health").json()["questions"] == 2
        for thread in threads:
            thread.join()
        # The time-out ends them, and they leave nothing behind.
        assert [one.status_code for one in answers] == [504, 504] and slow.running == 0
        assert client.get("/health").json()["questions"] == 0
        told = chat(client, ASKED, stream=True).text
        assert '"code": "timeout"' in told and "[DONE]" not in told


def test_a_failing_student_is_told_without_its_folders(finished_run: Path) -> None:
    class Failing(Slow):
        async def write(self, ask: Ask, tell: Tell) -> Generation:
            raise ModelError(f"{finished_run}/checkpoints is damaged")

    with client_of(finished_run, lambda opened: Failing()) as client:
        made = chat(client, ASKED)
        assert made.status_code == 500 and str(finished_run) not in made.text
        assert made.json()["error"]["type"] == "server_error"


def test_a_key_is_asked_for_where_there_is_one(finished_run: Path) -> None:
    tokens = Tokens({KEY: Grant("client", Role.READER)})
    with client_of(finished_run, tokens=tokens) as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": KEY}, {"authorization": "Bearer "}):
            for path in ("/v1/models", "/metrics", "/v1/models/units"):
                assert client.get(path, headers=headers).status_code == 401
        assert client.post("/v1/chat/completions", json={}).json()["error"]["type"] == "authentication_error"
        assert client.get("/v1/models", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
        assert client.get("/health").status_code == 200


def test_other_host_names_and_paths_are_refused(client: TestClient) -> None:
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 421
    for path in ("/", "/v1", "/docs", "/v1/chat/completions", "/..%2f..%2fetc/passwd", "/v1/models/../../kb.sqlite"):
        assert client.get(path).status_code in (404, 405), path
    assert client.get("/health").headers["x-content-type-options"] == "nosniff"


def test_what_happens_is_counted(client: TestClient, finished_run: Path) -> None:
    chat(client, ASKED)
    chat(client, ASKED, stream=True)
    chat(client, messages=[])
    told = client.get("/metrics").text
    counted = dict(line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))
    paths = 'nesycd_requests_total{path="/v1/chat/completions",status="%d"}'
    assert counted[paths % 200] == "2.0" and counted[paths % 400] == "1.0"
    assert counted['nesycd_calls_total{kind="value",name="look_up"}'] == "2.0"
    assert counted['nesycd_predictions_total{finish="stop"}'] == "2.0"
    assert float(counted["nesycd_knowledge_seconds_count"]) >= 4 and counted["nesycd_questions"] == "0.0"
    assert float(counted["nesycd_knowledge_items"]) > 10
    assert str(finished_run) not in told


def test_the_description_names_no_folder_and_fits_what_is_answered(client: TestClient, finished_run: Path) -> None:
    described = client.get("/openapi.json").json()
    assert set(described["paths"]) >= {"/v1/chat/completions", "/v1/completions", "/v1/models", "/health"}
    assert str(finished_run) not in json.dumps(described)
