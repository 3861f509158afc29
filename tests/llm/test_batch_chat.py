"""Batches of both providers: answered once and paid once, whatever becomes of rows, batches and processes."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import TeacherError
from nesycd.llm import batch_chat
from nesycd.llm.anthropic_api import AnthropicBatches
from nesycd.llm.batch_ledger import give_up, pending
from nesycd.llm.chat import Chat, Completion, Message, Request
from nesycd.llm.ledger import Ledger
from nesycd.llm.openai_api import OpenAIBatches

pytest.importorskip("openai", reason="the extra `api` is not installed")
pytest.importorskip("anthropic", reason="the extra `anthropic` is not installed")

Serve = Callable[..., Any]
ROOT = Path(__file__).parent.parent.parent
PROVIDERS = {"openai": OpenAIBatches, "anthropic": AnthropicBatches}
both = pytest.mark.parametrize("provider", PROVIDERS)


class Killed(BaseException):
    """Ends a process at once, as far as the chat can see."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_chat, "SETTLE", 0.0)


def request(text: str, **given: Any) -> Request:
    return Request(text, (Message("system", "Be brief."), Message("user", text)), **{"max_tokens": 50, **given})


def numbered(count: int) -> list[str]:
    return [f"answer {number}" for number in range(count)]


def batching(server: Any, ledger: Path, provider: str = "openai", **given: Any) -> Any:
    return server.chat(ledger, provider=provider, batch=True, **{"poll": 0.01, **given})


def ask(chat: Chat, texts: Sequence[str], **given: Any) -> list[Completion]:
    return list(chat.complete([request(text, **given) for text in texts]))


def executed(server: Any) -> dict[str, int]:
    """How often each text was done by the server."""
    return {text: len(acts) for text, acts in server.told("log").items()}


def state(ledger: Path) -> Counter[str]:
    """How many calls of each state the ledger has; its sums are checked on the way."""
    with sqlite3.connect(ledger) as raw:
        counted = "SELECT COUNT(*), COALESCE(SUM(usd), 0) FROM calls WHERE state <> 'unpaid'"
        assert raw.execute("SELECT SUM(calls), SUM(usd) FROM budgets").fetchone() == raw.execute(counted).fetchone()
        found = Counter(dict(raw.execute("SELECT state, COUNT(*) FROM calls GROUP BY state").fetchall()))
        assert raw.execute("SELECT COUNT(*) FROM batch_requests").fetchone()[0] == found["batched"]
    raw.close()
    return found


@both
def test_answers_come_in_order_at_half_the_price_and_are_kept(serve: Serve, ledger_path: Path, provider: str) -> None:
    server, said = serve(), list[str]()
    texts = ["answer 1", "length 1", "answer 2", "refusal 1", "answer 1"]
    chat = batching(server, ledger_path, provider, tell=said.append)
    assert isinstance(chat, Chat)
    answers = ask(chat, texts)
    assert [answer.key for answer in answers] == texts
    assert [answer.failure for answer in answers] == ["", "length", "", "refusal: I will not", ""]
    assert [answer.cached for answer in answers] == [False] * 4 + [True]
    assert answers[0].text == "right: answer 1" and answers[0].model == "m-2026-01-01"
    assert answers[0].usd == pytest.approx((20 * 0.15 + 7 * 0.6) / 2e6)
    assert server.told("batches") == 1 and len(said) == 1
    assert said[0].startswith("submitted batch ") and "4 requests to m at http://127" in said[0]
    # A chat without batches, of the same fingerprint, is served by the ledger; and one with batches needs no server.
    single = server.chat(ledger_path, provider=provider)
    assert single.fingerprint == chat.fingerprint
    assert all(answer.cached for answer in ask(single, texts))
    server.told("new")
    assert [answer.text for answer in ask(chat, texts)] == [answer.text for answer in answers]
    assert server.told("batches") == 0 and state(ledger_path) == {"answered": 4}


@both
def test_only_rows_that_failed_or_expired_are_submitted_again(serve: Serve, ledger_path: Path, provider: str) -> None:
    server = serve()
    texts = ["answer 1", "once-expired 1", "expired 1", "once-500 1", "error-500 1", "error-400 1", "answer 2"]
    answers = {answer.key: answer for answer in ask(batching(server, ledger_path, provider, retries=2), texts)}
    assert answers["once-expired 1"].text == "right: once-expired 1"
    assert answers["once-500 1"].text == "right: once-500 1"
    assert answers["expired 1"].failure == "expired in the batch (after 3 tries)"
    assert {text for text, answer in answers.items() if answer.unanswered} == {"expired 1", "error-500 1"}
    assert answers["error-500 1"].failure == "HTTP 500: no (after 3 tries)"
    assert answers["error-400 1"].failure == "HTTP 400: no"
    assert executed(server) == dict(zip(texts, [1, 2, 3, 2, 3, 1, 1], strict=True))
    assert server.told("batches") == 3
    assert state(ledger_path) == {"answered": 4, "unpaid": 9}


@both
def test_a_difference_between_models_is_learned_from_the_rows(serve: Serve, ledger_path: Path, provider: str) -> None:
    server = serve()
    texts = ["needs-free-text 1", "needs-free-text 2", "answer 1"]
    answers = ask(batching(server, ledger_path, provider), texts, schema={"type": "object"})
    assert [answer.text for answer in answers] == ["ok", "ok", "right: answer 1"]
    assert executed(server) == dict(zip(texts, [2, 2, 1], strict=True))


@both
def test_a_batch_that_expires_is_gone_on_with(serve: Serve, ledger_path: Path, provider: str) -> None:
    server = serve()
    answers = ask(batching(server, ledger_path, provider), ["answer whole-expired", "answer 1"])
    assert [answer.text for answer in answers] == ["right: answer whole-expired", "right: answer 1"]
    assert executed(server) == {"answer whole-expired": 1, "answer 1": 1} and server.told("batches") == 2


@both
def test_a_cancelled_batch_keeps_its_answers_and_is_told(serve: Serve, ledger_path: Path, provider: str) -> None:
    server = serve()
    chat = batching(server, ledger_path, provider)
    with pytest.raises(TeacherError, match=r"m at http.*batch_1 was cancelled; what arrived until now is kept"):
        ask(chat, ["answer whole-cancelled", "answer 1"])
    assert state(ledger_path) == {"answered": 1, "unpaid": 1}
    assert [answer.cached for answer in ask(chat, ["answer whole-cancelled", "answer 1"])] == [True, False]
    assert set(executed(server).values()) == {1}


def test_a_batch_that_fails_as_a_whole_costs_nothing_and_is_told(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    with pytest.raises(TeacherError, match=r"batch batch_1 failed: invalid_json_line: cannot be served; what arrived"):
        ask(batching(server, ledger_path), ["answer whole-failed", "answer 1"])
    assert state(ledger_path) == {"unpaid": 2} and executed(server) == {}


def test_a_provider_that_is_full_is_waited_for(
    serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(looks=3)
    monkeypatch.setattr(OpenAIBatches, "most_rows", 1)
    said: list[str] = []
    answers = ask(batching(server, ledger_path, tell=said.append), ["answer 1", "answer whole-full"])
    assert all(answer.text for answer in answers) and set(executed(server).values()) == {1}
    assert server.told("batches") == 3 and any(text.startswith("too much waits at http") for text in said)


@both
def test_what_is_too_much_for_one_batch_is_cut(
    serve: Serve, ledger_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setattr(PROVIDERS[provider], "most_rows", 4)
    assert all(answer.text for answer in ask(batching(server, ledger_path, provider), numbered(9)))
    assert server.told("batches") == 3
    monkeypatch.setattr(PROVIDERS[provider], "most_bytes", 400)
    assert all(answer.text for answer in ask(batching(server, ledger_path, provider), numbered(12)[9:]))
    assert server.told("batches") > 4 and set(executed(server).values()) == {1}


@both
@pytest.mark.parametrize(
    ("step", "after"),
    [("upload", False), ("upload", True), ("create", False), ("create", True), ("status", True), ("results", True)],
)
def test_whoever_is_killed_at_any_step_pays_for_nothing_twice(
    serve: Serve, ledger_path: Path, provider: str, step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, kind = serve(), PROVIDERS[provider]
    done = getattr(kind, step)

    def killed(self: Any, *given: Any) -> Any:
        if after:
            kept = done(self, *given)
            list(kept) if step == "results" else None
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(kind, step, killed)
        with pytest.raises(Killed):
            ask(batching(server, ledger_path, provider), numbered(3))
    said: list[str] = []
    answers = ask(batching(server, ledger_path, provider, tell=said.append), numbered(3))
    assert [answer.text for answer in answers] == [f"right: {text}" for text in numbered(3)]
    assert executed(server) == dict.fromkeys(numbered(3), 1) and server.told("batches") == 1
    assert (step, after) != ("create", True) or said[0].startswith("found batch ") or "may be one" in said[0]
    found = state(ledger_path)
    assert found["answered"] == 3 and not found["batched"] and not found["possibly_paid"]


def test_a_kill_while_answers_are_read_keeps_those_read(
    serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    monkeypatch.setattr(batch_chat, "_CHUNK", 1)
    read = OpenAIBatches.results

    def cut(self: Any, status: Any) -> Any:
        for number, end in enumerate(read(self, status)):
            if number == 2:
                raise Killed
            yield end

    with monkeypatch.context() as patched:
        patched.setattr(OpenAIBatches, "results", cut)
        with pytest.raises(Killed):
            ask(batching(server, ledger_path), numbered(5))
    assert state(ledger_path) == {"answered": 2, "batched": 3}
    assert Counter(answer.cached for answer in ask(batching(server, ledger_path), numbered(5))) == {True: 2, False: 3}
    assert server.told("batches") == 1


@both
def test_a_submission_without_an_answer_is_looked_for_before_it_is_repeated(
    serve: Serve, ledger_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/v1/batches" if provider == "openai" else "/v1/messages/batches"
    server, said = serve(stall=path), list[str]()
    for module in ("openai_api", "anthropic_api"):
        monkeypatch.setattr(f"nesycd.llm.{module}.UPLOAD_SECONDS", 0.3)
    answers = ask(batching(server, ledger_path, provider, timeout=0.3, tell=said.append), numbered(3))
    assert all(answer.text for answer in answers) and server.told("batches") == 1
    assert said[0].startswith("it is not known whether a batch was taken (no answer within 0.3 s)")
    assert said[-1].startswith("found batch ")


def test_another_batch_of_the_same_size_is_not_taken_for_a_lost_one(
    serve: Serve, ledger_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(looks=2)

    def killed(self: Any, *given: Any) -> str:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(AnthropicBatches, "create", killed)
        with pytest.raises(Killed):
            ask(batching(server, ledger_path, "anthropic"), numbered(2))
    others = batching(server, tmp_path / "other.sqlite", "anthropic")
    assert all(answer.text for answer in ask(others, ["answer a", "answer b"]))
    assert all(answer.text for answer in ask(batching(server, ledger_path, "anthropic"), numbered(2)))
    assert set(executed(server).values()) == {1} and server.told("batches") == 2


def test_the_time_in_which_a_submission_may_still_arrive_is_waited_for(
    serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()

    def killed(self: Any, *given: Any) -> str:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(OpenAIBatches, "create", killed)
        with pytest.raises(Killed):
            ask(batching(server, ledger_path), numbered(2))
    monkeypatch.setattr(batch_chat, "SETTLE", 3600.0)
    looks: list[float] = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(batch_chat.time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        ask(batching(server, ledger_path), numbered(2))
    assert server.told("batches") == 0 and state(ledger_path) == {"batched": 2}


@both
def test_an_interruption_says_how_to_come_back(
    serve: Serve, ledger_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, said = serve(looks=4), list[str]()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    chat = batching(server, ledger_path, provider, tell=said.append)
    with monkeypatch.context() as patched:
        patched.setattr(batch_chat.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ask(chat, numbered(3))
    assert "batch_1 stay" in said[-1] and "run the same command again to collect the answers" in said[-1]
    with Ledger.open(ledger_path) as ledger:
        [batch] = pending(ledger)
        assert batch["waiting"] == 3 and batch["remote"].endswith("batch_1")
    assert chat.estimate([request(text) for text in numbered(5)]).cached == 3
    # Whoever asks for the same one by one is told where it is, and sends nothing.
    with pytest.raises(TeacherError, match=r"request answer 0 waits in batch \w*batch_1 at http"):
        ask(server.chat(ledger_path, provider=provider), numbered(3))
    answers = ask(chat, numbered(5))
    assert all(answer.text for answer in answers) and server.told("batches") == 2
    assert any(text.startswith("waiting for") and "in_progress, 0 of " in text for text in said)
    assert set(executed(server).values()) == {1}


def test_answers_to_what_is_no_longer_asked_are_collected_too(
    serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch_chat.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ask(batching(server, ledger_path), ["answer old whole-cancelled", "answer older"])
    # That it was cancelled does not stop who asks for something else.
    assert ask(batching(server, ledger_path), ["answer new"])[0].text
    assert state(ledger_path) == {"answered": 2, "unpaid": 1}
    with Ledger.open(ledger_path) as ledger:
        [old, _] = ledger.export()
    assert old["key"] == "answer old whole-cancelled" == old["request"]["messages"][-1]["content"]


@both
def test_caps_hold_exactly(serve: Serve, ledger_path: Path, provider: str) -> None:
    server = serve()
    answers = ask(batching(server, ledger_path, provider, max_calls=3), numbered(5))
    assert sum(bool(answer.text) for answer in answers) == 3 == len(server.told("log"))
    assert answers[4].failure.startswith("cap: max_calls reached (3 of 3 under budget 'b')")
    # What a batch leaves of what was reserved for it is used by the next ones; the cap is never broken.
    chat = batching(server, ledger_path.with_name("usd.sqlite"), provider, max_usd=0.0001)
    answers = ask(chat, numbered(60))
    cost = sum(answer.usd or 0.0 for answer in answers)
    most = chat.estimate([request("answer 99999")]).max_usd or 0.0
    assert 0.0001 - most < cost <= 0.0001 and server.told("batches") > 2
    assert answers[-1].failure.startswith("cap: max_usd reached (0.00")
    state(ledger_path.with_name("usd.sqlite"))


def test_two_at_once_share_their_batches(serve: Serve, ledger_path: Path) -> None:
    server = serve(looks=4)
    told: dict[int, list[str]] = {}

    def work(number: int) -> None:
        told[number] = [answer.text for answer in ask(batching(server, ledger_path), numbered(20))]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(told.values()) == [[f"right: {text}" for text in numbered(20)]] * 3
    assert set(executed(server).values()) == {1} and state(ledger_path) == {"answered": 20}


def test_without_a_price_of_batches_no_cap_on_usd_is_kept(serve: Serve, ledger_path: Path) -> None:
    from nesycd.llm.prices import Price

    server = serve()
    single = Price(1, 1, 1)
    with pytest.raises(TeacherError, match=r"price of 'm' at http.* in batches is unknown; add `batch = 0\.5`"):
        batching(server, ledger_path, price=single, max_usd=1.0)
    [answer] = ask(batching(server, ledger_path, price=single), ["answer 1"])
    assert answer.text and answer.usd is None


@both
def test_what_no_request_would_survive_ends_it_all(serve: Serve, ledger_path: Path, provider: str) -> None:
    server = serve()
    with pytest.raises(TeacherError, match=r"m at http.*: HTTP 404: no; what arrived until now is kept"):
        ask(batching(server, ledger_path, provider), ["error-404 1", "answer 1"])
    assert state(ledger_path) == {"answered": 1, "unpaid": 1}


@both
def test_without_a_server_it_is_said_soon_and_costs_nothing(serve: Serve, ledger_path: Path, provider: str) -> None:
    server = serve(looks=1)
    server.stop()
    with pytest.raises(TeacherError, match=r"m at http.*: no connection to the server: .* \(after 3 tries\)"):
        ask(batching(server, ledger_path, provider), numbered(2))
    assert state(ledger_path) == {"unpaid": 2}


@both
def test_a_batch_that_the_server_does_not_know_can_be_given_up(
    serve: Serve, ledger_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch_chat.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ask(batching(server, ledger_path, provider), numbered(2))
    server.told("lose")
    assert ask(batching(server, ledger_path, provider), ["answer other"])[0].text
    with pytest.raises(TeacherError, match=r"batch (\w*batch_1): .*HTTP 404.*`nesycd ledger prune --batch \1`"):
        ask(batching(server, ledger_path, provider), numbered(2))
    with Ledger.open(ledger_path) as ledger:
        assert give_up(ledger, "nothing") is None
        assert give_up(ledger, pending(ledger)[0]["remote"]) == 2
    assert all(answer.text for answer in ask(batching(server, ledger_path, provider), numbered(2)))
    assert state(ledger_path) == {"answered": 3, "possibly_paid": 2}


@both
def test_a_planted_key_is_found_nowhere(
    serve: Serve, tmp_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key, said = "sk-planted-batch-9", list[str]()
    monkeypatch.setenv("PLANTED", key)
    server = serve(key=key)
    chat = batching(server, tmp_path / "l.sqlite", provider, key_env="PLANTED", retries=0, tell=said.append)
    answers = ask(chat, ["answer 1", "echo-key 1", "echo-key-in-answer 1", "error-500 1"])
    assert answers[1].failure == "HTTP 400: the header was Bearer ***" and answers[2].text == "my key is ***"
    with pytest.raises(TeacherError) as raised:
        ask(chat, ["error-401 1"])
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(key.encode() in content for content in files)
    assert key not in repr(answers) + repr(said) + str(raised.value) + "".join(capfd.readouterr())
    assert {bearer.split()[-1] for bearer in server.told("bearers")} == {key}
    monkeypatch.delenv("PLANTED")
    with pytest.raises(TeacherError, match="environment variable PLANTED"):
        ask(chat, ["answer 3"])


RECIPE = """
name = "b"
[task]
name = "jsonl"
[task.settings]
train = "{questions}"
test = "{questions}"
[student]
model = "table"
[teacher]
name = "api"
[teacher.ask]
samples = 2
all_samples = true
hints = false
[teacher.api]
provider = "{provider}"
model = "m"
base_url = "{url}"
batch = true
poll = 0.01
max_calls = 100
"""


@both
def test_a_run_asks_in_batches(
    serve: Serve, tmp_path: Path, ledger_path: Path, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from nesycd.cli.main import app

    server = serve()
    monkeypatch.setenv("NESYCD_LEDGER", str(ledger_path))
    # The server repeats the prompt, and with it a working.
    questions = [
        {"question": f"{n} + 1 = {n + 1}. Therefore, the answer is {n + 1}.", "answer": f"{n + 1}"} for n in (1, 2)
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(question) + "\n" for question in questions))
    text = RECIPE.format(provider=provider, url=server.url, questions=tmp_path / "q.jsonl")
    (tmp_path / "r.toml").write_text(text)
    command = ["rationalise", str(tmp_path / "r.toml"), "--root", str(tmp_path / "runs")]

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(batch_chat.time, "sleep", interrupt)
        done = CliRunner().invoke(app, command)
    assert done.exit_code == 130 and "run the same command again to collect the answers" in done.stderr
    shown = CliRunner().invoke(app, ["ledger", "show"], env={"COLUMNS": "200"}).output
    assert "in batches" in shown and "batch_1" in shown and "price unknown" in shown
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert server.told("batches") == 1 and state(ledger_path).keys() == {"answered"}


@pytest.mark.parametrize("batch", ["true", "false"])
def test_a_missing_extra_is_told_with_how_to_get_it(
    tmp_path: Path, ledger_path: Path, batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from nesycd.cli.main import app

    monkeypatch.setenv("NESYCD_LEDGER", str(ledger_path))
    monkeypatch.setitem(sys.modules, "anthropic", None)
    (tmp_path / "q.jsonl").write_text('{"question": "1 + 1?", "answer": "2"}\n{"question": "2 + 2?", "answer": "4"}\n')
    text = RECIPE.format(provider="anthropic", url="http://localhost:9", questions=tmp_path / "q.jsonl")
    (tmp_path / "r.toml").write_text(text.replace("batch = true", f"batch = {batch}"))
    done = CliRunner().invoke(app, ["rationalise", str(tmp_path / "r.toml"), "--root", str(tmp_path / "runs")])
    assert done.exit_code == 2
    assert "error: anthropic is not installed; get it by: pip install 'nesycd[anthropic]'" in done.stderr


ASKING = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from nesycd.llm import batch_chat
from nesycd.llm.anthropic_api import AnthropicEndpoint
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.chat import Message, Request
from nesycd.llm.openai_api import OpenAIEndpoint
from nesycd.llm.sending import Limits

batch_chat.SETTLE = 0.5
form = {"openai": OpenAIEndpoint, "anthropic": AnthropicEndpoint}[sys.argv[4]]
chat = BatchChat(form("m", sys.argv[2]), Path(sys.argv[3]), None, Limits(), 0.02)
asked = [Request(f"q{number}", (Message("user", f"q{number}"),), max_tokens=50) for number in range(40)]
print(all([answer.text for answer in chat.complete(asked)]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the system has no SIGKILL")
@both
@pytest.mark.parametrize("stall", ["", "upload", "create"])
def test_a_process_that_is_killed_for_good_pays_for_nothing_twice(
    serve: Serve, tmp_path: Path, provider: str, stall: str
) -> None:
    paths = {"": "", "upload": "/v1/files", "create": "/v1/batches"}
    path = "/v1/messages/batches" if stall and provider == "anthropic" else paths[stall]
    server, ledger, script = serve(looks=8, stall=path), tmp_path / "ledger.sqlite", tmp_path / "ask.py"
    script.write_text(ASKING)
    command = [sys.executable, str(script), str(ROOT), server.url, str(ledger), provider]
    chance = random.Random(5)
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                while process.poll() is None and not server.told("batches") + server.told("files"):
                    time.sleep(0.02)
                time.sleep(chance.uniform(0.0, 0.1))
            finally:
                process.send_signal(signal.SIGKILL)
    last = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert last.stdout == "True\n", last.stderr
    assert set(executed(server).values()) == {1} and len(executed(server)) == 40
    assert state(ledger)["answered"] == 40
