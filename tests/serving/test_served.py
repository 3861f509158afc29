"""`nesycd serve` as a process of its own, asked by clients that know nothing of it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
openai = pytest.importorskip("openai")

from nesycd.api.finished import open_run  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QUESTION = "How many feet are 9 fathoms and 4 feet?"


class Served:
    """A server process."""

    def __init__(self, folder: Path, *options: str, **environment: str) -> None:
        command = [sys.executable, "-m", "nesycd", "serve", str(folder), "--port", "0", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        assert self.process.stdout is not None
        told = self.process.stdout.readline()
        found = re.search(r"serving (http://[\d.:]+)/v1", told)
        assert found, told + (self.process.stderr.read() if self.process.stderr else "")
        self.address = found[1]

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.address}/metrics") as told:
            lines = [line for line in told.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}

    def stop(self, how: int = signal.SIGINT) -> tuple[int, str]:
        if self.process.poll() is None:
            self.process.send_signal(how)
        _, told = self.process.communicate(timeout=30)
        return self.process.returncode, told


@pytest.fixture(scope="module")
def served(finished_run: Path) -> Iterator[Served]:
    made = Served(finished_run, "--name", "units")
    yield made
    code, told = made.stop()
    assert code == 0 and told.strip().endswith("stopped") and "Traceback" not in told


def test_the_official_client_asks_plain_streamed_and_many_at_once(served: Served, finished_run: Path) -> None:
    with open_run(finished_run) as opened:
        wanted = opened.ask(QUESTION, method="nesycd")
    client = openai.OpenAI(base_url=f"{served.address}/v1", api_key="none")
    assert [one.id for one in client.models.list().data] == ["units"]
    asked: dict[str, Any] = {"model": "units", "messages": [{"role": "user", "content": QUESTION}]}
    made = client.chat.completions.create(**asked)
    assert made.nesycd["answer"] == wanted.answer and made.nesycd["response"] == wanted.text
    text = made.choices[0].message.content
    with client.chat.completions.create(**asked, stream=True) as stream:
        pieces = [event.choices[0].delta.content or "" for event in stream if event.choices]
    assert "".join(pieces) == text
    assert client.completions.create(model="units", prompt=QUESTION).choices[0].text == text
    with pytest.raises(openai.NotFoundError, match="there is no model 'other'"):
        client.chat.completions.create(**{**asked, "model": "other"})
    with pytest.raises(openai.BadRequestError, match="leave it out"):
        client.chat.completions.create(**asked, logprobs=True)

    async def many() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{served.address}/v1", api_key="none") as other:
            questions = [f"How many feet are {number} fathoms and 1 feet?" for number in range(2, 22)]
            messages = [[{"role": "user", "content": question}] for question in questions]
            return await asyncio.gather(
                *(other.chat.completions.create(model="units", messages=one) for one in messages)
            )

    # What the table student makes of it: both numbers times 6.
    assert [one.nesycd["answer"] for one in asyncio.run(many())] == [str(6 * number + 6) for number in range(2, 22)]


def test_another_client_of_that_api_works(served: Served) -> None:
    hub = pytest.importorskip("huggingface_hub")
    client = hub.InferenceClient(base_url=f"{served.address}/v1", token="none")
    asked: dict[str, Any] = {"model": "units", "messages": [{"role": "user", "content": QUESTION}]}
    text = client.chat_completion(**asked).choices[0].message.content
    assert text.endswith("Therefore, the answer is 78.")
    pieces = [event.choices[0].delta.content or "" for event in client.chat_completion(**asked, stream=True)]
    assert "".join(pieces) == text


def test_clients_that_vanish_leave_nothing_running(served: Served) -> None:
    host, port = served.address.removeprefix("http://").split(":")
    for stream in (True, False):
        body = json.dumps(
            {"model": "units", "stream": stream, "messages": [{"role": "user", "content": QUESTION}]}
        ).encode()
        headers = ["POST /v1/chat/completions HTTP/1.1", f"host: {host}", "content-type: application/json"]
        head = "\r\n".join([*headers, f"content-length: {len(body)}"])
        for _ in range(50):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(head.encode() + b"\r\n\r\n" + body)
    deadline = time.monotonic() + 20
    while (found := served.metrics())["nesycd_questions"] or found["nesycd_running"]:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


def test_others_than_this_machine_need_a_key(finished_run: Path) -> None:
    command = [sys.executable, "-m", "nesycd", "serve", str(finished_run), "--host", "0.0.0.0", "--port", "0"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 2 and "NESYCD_SERVE_KEY" in told.stderr and "Traceback" not in told.stderr
    key = "a-key-that-nobody-guesses"
    made = Served(finished_run, NESYCD_SERVE_KEY=key)
    try:
        with pytest.raises(openai.AuthenticationError, match="needs a key"):
            openai.OpenAI(base_url=f"{made.address}/v1", api_key="wrong", max_retries=0).models.list()
        assert openai.OpenAI(base_url=f"{made.address}/v1", api_key=key).models.list().data
    finally:
        _, told_then = made.stop(signal.SIGTERM)
    assert key not in told_then and "Traceback" not in told_then


def test_a_port_in_use_is_told(served: Served, finished_run: Path) -> None:
    port = served.address.rpartition(":")[2]
    command = [sys.executable, "-m", "nesycd", "serve", str(finished_run), "--port", port]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 2 and f"error: --port {port}: Address already in use" in told.stderr


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://localhost:9", "its API is below a path, as a rule http://localhost:9/v1"),
        ("localhost:8000", "--upstream: write it as http://localhost:8000/v1"),
        ("http://ann:secret@localhost:8000/v1", "by --upstream-key-env"),
    ],
)
def test_an_upstream_address_that_cannot_be_one_is_told(finished_run: Path, address: str, told: str) -> None:
    command = [sys.executable, "-m", "nesycd", "serve", str(finished_run), "--port", "0", "--upstream", address]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 2 and told in said.stderr and "secret" not in said.stderr


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run, with the real student."""
    root = tmp_path_factory.mktemp("demo")
    subprocess.run(
        [sys.executable, "-m", "nesycd", "demo", "--root", str(root), "--no-ask"], check=True, capture_output=True
    )
    return root / "demo"


def test_the_real_student_answers_as_asked_alone_and_follows_an_edit(demo: Path) -> None:
    questions = [f"How many feet are {number} fathoms and {number + 2} feet?" for number in range(3, 13)]
    made = Served(demo)
    client = openai.OpenAI(base_url=f"{made.address}/v1", api_key="none", timeout=120)
    answers: dict[str, Any] = {}

    def ask(question: str) -> None:
        messages = [{"role": "user", "content": question}]
        answers[question] = client.chat.completions.create(model="demo", messages=messages).nesycd

    def at_once() -> dict[str, str]:
        threads = [threading.Thread(target=ask, args=(question,)) for question in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {question: one["response"] for question, one in answers.items()}

    try:
        with open_run(demo) as opened:
            alone = {question: opened.ask(question, method="nesycd").text for question in questions}
            before = at_once()
            # In bf16 an answer may depend on those beside it.
            assert sum(before[question] == alone[question] for question in questions) >= 9
            [entry] = [one for one in opened.kb.entries(search="fathom") if one.item.text == "A fathom is 6 feet."]
            opened.kb.edit(entry.item_id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, reviewer="Ann")
            after = at_once()
            looked = [question for question in questions if "[fathoms | makes] 6 feet" in before[question]]
            assert len(looked) >= 8 and all("[fathoms | makes] 7 feet" in after[question] for question in looked)
    finally:
        code, told = made.stop()
    assert code == 0, told
