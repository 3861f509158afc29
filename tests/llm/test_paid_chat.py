"""Many requests at once: none is lost, none paid for twice, no cap broken, whatever the server or the system does."""

from __future__ import annotations

import _thread
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import TeacherError
from nesycd.llm import sending
from nesycd.llm.chat import Chat, Completion, Message, Request
from nesycd.llm.ledger import Ledger

pytest.importorskip("openai", reason="the extra `api` is not installed")

Serve = Callable[..., Any]
PAID = {"answer", "slow", "length", "refusal", "empty", "bad-usage", "no-usage"}
"""What the server does that ends in an answer."""


def requests(texts: Sequence[str], **given: Any) -> list[Request]:
    return [Request(text, (Message("user", text),), **{"max_tokens": 50, **given}) for text in texts]


def numbered(count: int) -> list[str]:
    return [f"answer {number}" for number in range(count)]


def ask(chat: Chat, texts: Sequence[str], **given: Any) -> list[Completion]:
    return list(chat.complete(requests(texts, **given)))


def check_sums(path: Path) -> None:
    """The ledger's sums are those of its calls, and each answer is that of one answered call."""
    with sqlite3.connect(path) as raw:
        counted = "SELECT COUNT(*), COALESCE(SUM(usd), 0) FROM calls WHERE state <> 'unpaid'"
        assert raw.execute("SELECT SUM(calls), SUM(usd) FROM budgets").fetchone() == raw.execute(counted).fetchone()
        answered = [row[0] for row in raw.execute("SELECT hash FROM calls WHERE state = 'answered'")]
        assert sorted(answered) == sorted(row[0] for row in raw.execute("SELECT hash FROM answers"))
        assert len(set(answered)) == len(answered)
        assert raw.execute("SELECT COUNT(*) FROM calls WHERE state = 'in_flight'").fetchone() == (0,)
    raw.close()


def one_of_both(text: str, failure: str) -> bool:
    """Whether there is an answer or a reason why not; what was cut off has both."""
    return text == "cut" if failure == "length" else bool(text) != bool(failure)


def check_chaos(log: dict[str, list[str]], answers: Sequence[Completion]) -> None:
    """Every text was answered or failed with a reason, and nothing was asked again after its answer had come."""
    for answer in answers:
        acts = log[answer.key]
        assert one_of_both(answer.text, answer.failure)
        assert not PAID & set(acts[:-1]), acts
        if not answer.failure:
            assert acts[-1] in {"answer", "slow", "bad-usage", "no-usage"}
        elif acts[-1] in PAID:
            assert answer.failure.startswith(acts[-1])
        else:
            assert answer.failure.startswith(("HTTP ", "connection lost"))


def test_completions_come_in_the_order_of_the_requests(serve: Serve, ledger_path: Path) -> None:
    chat = serve().chat(ledger_path)
    texts = ["slow 1", "answer 2", "answer 3", "answer 2"]
    assert isinstance(chat, Chat)
    answers = ask(chat, texts)
    assert [answer.key for answer in answers] == texts
    assert [answer.cached for answer in answers] == [False, False, False, True]
    assert ask(chat, []) == []


def test_what_stands_in_the_ledger_is_served_across_chats_and_samples_are_told_apart(
    serve: Serve, ledger_path: Path
) -> None:
    server = serve()
    first = ask(server.chat(ledger_path), numbered(3), temperature=0.5)
    again = ask(server.chat(ledger_path, concurrency=2, max_usd=0.0), numbered(3), temperature=0.5)
    assert [(a.text, a.usd, a.cached) for a in again] == [(a.text, a.usd, True) for a in first]
    assert not any(answer.cached for answer in ask(server.chat(ledger_path), numbered(3), temperature=0.5, sample=1))
    assert {text: len(acts) for text, acts in server.told("log").items()} == dict.fromkeys(numbered(3), 2)


def test_the_fingerprint_tells_what_decides_the_answers(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    chat = server.chat(ledger_path)
    assert chat.fingerprint == server.chat(ledger_path, concurrency=3, max_calls=2, timeout=9.0).fingerprint
    assert chat.fingerprint != server.chat(ledger_path, parameters={"top_p": 0.5}).fingerprint


@pytest.mark.parametrize("count", [250, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_server_in_chaos_leaves_each_request_answered_or_failed(serve: Serve, ledger_path: Path, count: int) -> None:
    server = serve(chaos=7)
    texts = [f"q{number}" for number in range(count)]
    answers = ask(server.chat(ledger_path, concurrency=64, retries=6), texts)
    assert [answer.key for answer in answers] == texts
    log = server.told("log")
    check_chaos(log, answers)
    check_sums(ledger_path)
    good = sum(not answer.failure for answer in answers)
    assert good > 0.7 * count
    with Ledger.open(ledger_path) as ledger:
        [total] = ledger.totals()
    assert total["answered"] == sum(acts[-1] in PAID for acts in log.values())
    lost = {"reset", "truncated", "malformed", "error-408"}
    assert total["possibly_paid"] == sum(act in lost for acts in log.values() for act in acts)
    # A second time nothing that was answered is asked again.
    later = {answer.key: answer for answer in ask(server.chat(ledger_path, concurrency=64, retries=6), texts)}
    assert all(later[answer.key].cached for answer in answers if log[answer.key][-1] in PAID)
    again = server.told("log")
    assert all(again[text] == acts for text, acts in log.items() if acts[-1] in PAID)


ASKING = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from nesycd.llm import pace
from nesycd.llm.chat import Message, Request
from nesycd.llm.ledger import Budget
from nesycd.llm.openai_api import OpenAIEndpoint
from nesycd.llm.paid_chat import PaidChat
from nesycd.llm.prices import Price
from nesycd.llm.sending import Limits

pace.FIRST_WAIT = 0.01
url, ledger, count, caps = sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])
chat = PaidChat(OpenAIEndpoint("m", url, timeout=5.0), ledger, Price(150_000, 600_000, 75_000),
                Limits(concurrency=32, retries=6, budget=Budget("b", **caps)))
asked = [Request(f"q{number}", (Message("user", f"q{number}"),), max_tokens=50) for number in range(count)]
for answer in chat.complete(asked):
    print(json.dumps([answer.key, answer.text, answer.failure]), flush=True)
"""
ROOT = Path(__file__).parent.parent.parent


def start(script: Path, server: Any, ledger: Path, count: int, **caps: int) -> subprocess.Popen[str]:
    script.write_text(ASKING)
    command = [sys.executable, str(script), str(ROOT), server.url, str(ledger), str(count), json.dumps(caps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_and_go_on(serve: Serve, tmp_path: Path, kills: int, count: int) -> tuple[list[list[str]], int, int]:
    """Ask in a process that is killed again and again while it works; what was committed is never asked again.

    Returns:
        Answers as key, text and failure; how many calls the ledger has as answered or possibly paid, and how many the
        server charged for.
    """
    server, ledger = serve(chaos=11, latency=0.02), tmp_path / "ledger.sqlite"
    chance = random.Random(3)
    committed: dict[str, list[str]] = {}
    for _ in range(kills):
        process = start(tmp_path / "ask.py", server, ledger, count)
        assert process.stdout is not None
        for _ in range(chance.randrange(1, 2 * count // (3 * kills))):
            process.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        log = server.told("log")
        assert all(log[text] == acts for text, acts in committed.items())
        with Ledger.open(ledger) as opened:
            committed = {row["key"]: log[row["key"]] for row in opened.export()}
    process = start(tmp_path / "ask.py", server, ledger, count)
    shown, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    answers = [json.loads(line) for line in shown.splitlines()]
    log = server.told("log")
    assert all(log[text] == acts for text, acts in committed.items())
    check_sums(ledger)
    with Ledger.open(ledger) as opened:
        [total] = opened.totals()
    charged = sum(act in PAID for acts in log.values() for act in acts)
    return answers, total["answered"] + total["possibly_paid"], charged


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no SIGKILL")
@pytest.mark.parametrize(("kills", "count"), [(3, 100), pytest.param(20, 2000, marks=pytest.mark.slow)])
def test_what_was_committed_before_a_kill_is_never_asked_again(
    serve: Serve, tmp_path: Path, kills: int, count: int
) -> None:
    answers, told, charged = kill_and_go_on(serve, tmp_path, kills, count)
    assert [key for key, _, _ in answers] == [f"q{number}" for number in range(count)]
    assert all(one_of_both(text, failure) for _, text, failure in answers)
    # Whatever the server answered is answered or possibly paid here: no call it charged for is missing.
    assert told >= charged > 0


def test_two_processes_send_no_call_twice_and_share_a_cap(serve: Serve, tmp_path: Path) -> None:
    server, ledger = serve(latency=0.02), tmp_path / "ledger.sqlite"
    both = [start(tmp_path / f"{name}.py", server, ledger, 60, max_calls=50) for name in "ab"]
    shown = [process.communicate(timeout=60)[0] for process in both]
    log = server.told("log")
    assert len(log) == 50 and all(len(acts) == 1 for acts in log.values())
    for text in shown:
        answers = [json.loads(line) for line in text.splitlines()]
        assert sum(bool(answer) for _, answer, _ in answers) == 50
        assert sum(failure.startswith("cap: max_calls reached (50 of 50") for _, _, failure in answers) == 10
    check_sums(ledger)


def test_the_caps_hold_exactly_under_concurrency(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    chat = server.chat(ledger_path, concurrency=32, max_calls=40)
    answers = ask(chat, numbered(100))
    assert sum(bool(answer.text) for answer in answers) == 40 == len(server.told("log"))
    assert {answer.failure[:22] for answer in answers if not answer.text} == {"cap: max_calls reached"}


def test_the_cap_on_usd_leaves_less_room_than_one_call_and_is_never_broken(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    chat = server.chat(ledger_path, concurrency=32, max_usd=0.0005)
    answers = ask(chat, numbered(200))
    cost = sum(answer.usd or 0.0 for answer in answers)
    [most] = {round(chat.estimate(requests(["answer 9999"])).max_usd or 0.0, 9)}
    assert 0.0005 - most < cost <= 0.0005
    assert any(answer.failure.startswith("cap: max_usd reached (0.00") for answer in answers)
    check_sums(ledger_path)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as at a terminal: a shell has it ignored in what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_keeps_what_arrived(serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "GRACE", 0.3)
    server = serve(latency=0.05)
    texts = [*numbered(8), "hang 1", *[f"answer {number}" for number in range(8, 4000)]]

    def interrupt() -> None:
        while len(server.told("log")) < 40:
            time.sleep(0.05)
        _thread.interrupt_main()

    got: list[Completion] = []
    with pytest.raises(KeyboardInterrupt):
        threading.Thread(target=interrupt).start()
        for answer in server.chat(ledger_path, concurrency=4).complete(requests(texts)):
            got.append(answer)
    assert [answer.key for answer in got] == numbered(8)
    log = server.told("log")
    with Ledger.open(ledger_path) as ledger:
        stored = {row["key"] for row in ledger.export()}
        [total] = ledger.totals()
    assert len(stored) > 20 and stored < log.keys()
    assert total["possibly_paid"] == len(log) - len(stored)
    time.sleep(0.2)
    assert server.told("log") == log
    assert not [thread for thread in threading.enumerate() if thread.name == "nesycd-chat"]


def test_a_caller_that_reads_no_further_stops_the_sending(serve: Serve, ledger_path: Path) -> None:
    server = serve(latency=0.02)
    answers = server.chat(ledger_path, concurrency=2).complete(requests(numbered(500)))
    assert next(answers).text
    answers.close()
    assert len(server.told("log")) < 100


HOLDING = """
import sqlite3, sys, time
raw = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10.0)
print("ready", flush=True)
sys.stdin.readline()
raw.execute("BEGIN IMMEDIATE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
raw.execute("COMMIT")
"""


@contextmanager
def lock_held(ledger: Path, seconds: float, when: Callable[[], bool]) -> Iterator[list[float]]:
    """Another process takes the ledger's write lock as soon as `when` holds; gives the time at which it lets go, once known."""
    command = [sys.executable, "-c", HOLDING, str(ledger), str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    free: list[float] = []

    def take() -> None:
        while not when():
            time.sleep(0.01)
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "held\n"
        free.append(time.monotonic() + seconds)

    thread = threading.Thread(target=take)
    thread.start()
    try:
        yield free
    finally:
        thread.join()
        process.communicate(timeout=30)


def test_a_ledger_locked_by_another_process_delays_no_call_on_its_way(serve: Serve, ledger_path: Path) -> None:
    server = serve(latency=0.5)
    Ledger.open(ledger_path).close()
    texts = [*numbered(4), "slow 1", "slow 2", "hang 1"]
    chat = server.chat(ledger_path, concurrency=8, timeout=1.5, retries=0)
    with lock_held(ledger_path, 3.0, lambda: len(server.told("log")) == len(texts)) as free:
        answers = ask(chat, texts)
        assert time.monotonic() >= free[0], "the lock was not held"
    # Read in time, though they could not be written down for longer than the time-out.
    assert [bool(answer.text) for answer in answers] == [True] * 6 + [False]
    assert max(answer.seconds for answer in answers[:6]) < 1.5
    assert answers[6].failure == "no answer within 1.5 s"
    assert all(len(acts) == 1 for acts in server.told("log").values())
    check_sums(ledger_path)
    with Ledger.open(ledger_path) as ledger:
        [total] = ledger.totals()
    assert (total["answered"], total["possibly_paid"], total["unpaid"]) == (6, 1, 0)


def test_an_interruption_while_the_ledger_is_locked_loses_nothing(
    serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "GRACE", 0.3)
    server = serve(latency=0.3)
    Ledger.open(ledger_path).close()
    answers = server.chat(ledger_path, concurrency=4).complete(requests([*numbered(4), "hang 1", *numbered(40)[4:]]))
    assert next(answers).text
    with lock_held(ledger_path, 2.0, lambda: True) as free:
        while not free:
            time.sleep(0.01)
        # The next answers have arrived by now, and wait to be written down.
        time.sleep(0.7)
        answers.close()
        assert time.monotonic() >= free[0] - 0.1
    log = server.told("log")
    with Ledger.open(ledger_path) as ledger:
        stored = {row["key"] for row in ledger.export()}
        [total] = ledger.totals()
    assert log.keys() - stored <= {"hang 1"} and stored <= log.keys(), "what was answered is kept"
    assert total["possibly_paid"] == len(log.keys() - stored), "what was never sent costs nothing"
    check_sums(ledger_path)


def test_a_planted_key_is_found_nowhere(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-planted-5f2a77"
    monkeypatch.setenv("PLANTED", key)
    server = serve(key=key)
    chat = server.chat(tmp_path / "ledger.sqlite", key_env="PLANTED", retries=1)
    answers = ask(chat, ["answer 1", "echo-key 1", "echo-key-in-answer 1", "error-500 1", "reset 1"])
    assert answers[1].failure == "HTTP 400: the header was Bearer ***"
    assert answers[2].text == "my key is ***"
    with pytest.raises(TeacherError) as raised:
        ask(chat, ["error-401 1"])
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(key.encode() in content for content in files)
    assert key not in repr(answers) + str(raised.value) + repr(raised.value.__cause__) + "".join(capfd.readouterr())
    assert all(body["authorization"] for body in server.told("bodies"))


def test_an_estimate_knows_what_the_ledger_answers(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    chat = server.chat(ledger_path)
    before = chat.estimate(requests(numbered(4)))
    assert (before.requests, before.cached, before.max_completion_tokens) == (4, 0, 200)
    assert before.completion_tokens is None and before.usd is None and not ledger_path.exists()
    ask(chat, numbered(3))
    after = chat.estimate(requests(numbered(4)))
    assert (after.cached, after.completion_tokens, after.max_completion_tokens) == (3, 7, 50)
    assert after.usd is not None and after.max_usd is not None and 0 < after.usd < after.max_usd
    unknown = server.chat(ledger_path, price=None).estimate(requests(["answer 9"]))
    assert unknown.usd is unknown.max_usd is None


@pytest.mark.slow
@pytest.mark.alone
def test_throughput_and_memory_at_high_concurrency(serve: Serve, ledger_path: Path) -> None:
    count, concurrency, latency = 2560, 128, 1.0
    server = serve(latency=latency)
    ask(server.chat(ledger_path, concurrency=concurrency), [f"answer warm {n}" for n in range(concurrency)])
    texts = requests(numbered(count))
    sizes: list[int] = []
    tracemalloc.start()
    for number, _ in enumerate(server.chat(ledger_path, concurrency=concurrency).complete(texts)):
        if number % 512 == 511:
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert max(sizes) < 1.1 * sizes[0] + 2**20
    shares: list[float] = []
    for number in range(3):  # noise of a shared machine only slows: the best of three rounds, and no more than needed
        again = requests([f"answer again {number} {n}" for n in range(count)])
        began = time.perf_counter()
        assert all(answer.text for answer in server.chat(ledger_path, concurrency=concurrency).complete(again))
        shares.append(count / concurrency * latency / (time.perf_counter() - began))
        if shares[-1] >= 0.8:
            break
    assert max(shares) >= 0.8, shares  # at 256 calls a second busy machines gave 0.87 and 0.79
    assert server.told("most") <= concurrency
