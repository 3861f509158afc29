"""One request at a time: what a server may answer, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import ConfigError, TeacherError
from nesycd.llm.address import origin_of
from nesycd.llm.chat import Completion, Message, Request
from nesycd.llm.ledger import Ledger
from nesycd.llm.openai_api import OpenAIEndpoint

pytest.importorskip("openai", reason="the extra `api` is not installed")

Serve = Callable[..., Any]


def request(text: str, **given: Any) -> Request:
    return Request(text, (Message("system", "Be brief."), Message("user", text)), **{"max_tokens": 50, **given})


def ask(chat: Any, *texts: str, **given: Any) -> list[Completion]:
    return list(chat.complete([request(text, **given) for text in texts]))


def calls(ledger: Path, state: str) -> int:
    with Ledger.open(ledger) as opened:
        return sum(row[state] for row in opened.totals())


def test_an_answer_comes_with_its_usage_cost_and_snapshot(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    [answer] = ask(server.chat(ledger_path), "answer 1")
    assert (answer.key, answer.text, answer.failure) == ("answer 1", "right: answer 1", "")
    assert (answer.prompt_tokens, answer.completion_tokens, answer.model) == (20, 7, "m-2026-01-01")
    assert answer.usd == pytest.approx((20 * 0.15 + 7 * 0.6) / 1e6)
    assert not answer.cached
    [body] = server.told("bodies")
    assert {key: body[key] for key in ("model", "max_tokens", "temperature")} == {
        "model": "m",
        "max_tokens": 50,
        "temperature": 0.0,
    }


@pytest.mark.parametrize(
    ("text", "failure", "kept"),
    [
        ("length 1", "length", "cut"),
        ("refusal 1", "refusal: I will not", ""),
        ("filtered 1", "refusal: content filter", ""),
        ("empty 1", "empty", ""),
    ],
)
def test_what_was_paid_for_but_is_of_no_use_fails_and_is_not_asked_again(
    serve: Serve, ledger_path: Path, text: str, failure: str, kept: str
) -> None:
    server = serve()
    for cached in (False, True):
        [answer] = ask(server.chat(ledger_path), text)
        assert (answer.text, answer.failure, answer.cached) == (kept, failure, cached)
        assert answer.completion_tokens == 7
    assert server.told("log") == {text: [text.split()[0]]}


def test_a_mistake_of_the_users_is_not_retried_and_costs_nothing(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    chat = server.chat(ledger_path)
    assert [answer.failure for answer in ask(chat, "error-400 1", "error-422 1")] == ["HTTP 400: no", "HTTP 422: no"]
    assert all(len(done) == 1 for done in server.told("log").values())
    assert calls(ledger_path, "unpaid") == 2


@pytest.mark.parametrize("text", ["error-401 1", "error-404 1", "no-credit 1"])
def test_what_no_request_would_survive_ends_it_all(serve: Serve, ledger_path: Path, text: str) -> None:
    server = serve()
    with pytest.raises(TeacherError, match=r"m at http://127\.0\.0\.1:\d+: HTTP 4"):
        ask(server.chat(ledger_path), text)
    assert server.told("log") == {text: [text.split()[0]]}


def test_passing_failures_are_retried(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    texts = ["once-500 1", "once-malformed 1", "error-503 1", "malformed 1", "reset 1", "truncated 1", "error-408 1"]
    answers = {answer.key: answer for answer in ask(server.chat(ledger_path, retries=2), *texts)}
    assert answers["once-500 1"].text == "right: once-500 1"
    assert answers["once-malformed 1"].text == "right: once-malformed 1"
    assert answers["error-503 1"].failure == "HTTP 503: no (after 3 tries)"
    assert answers["malformed 1"].failure.startswith("HTTP 200: not an answer of a model: {")
    assert answers["reset 1"].failure.startswith("connection lost: ")
    assert answers["truncated 1"].failure.startswith("connection lost: ")
    assert all(len(done) == (2 if text.startswith("once") else 3) for text, done in server.told("log").items())
    # Malformed once and four texts three times each: they may have been charged for. Refusals were not.
    assert calls(ledger_path, "possibly_paid") == 1 + 4 * 3
    assert calls(ledger_path, "unpaid") == 1


def test_a_server_that_asks_to_wait_is_waited_for(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    began = time.monotonic()
    [answer] = ask(server.chat(ledger_path), "once-429 1")
    assert answer.text and time.monotonic() - began >= 0.2
    # The refused try and the answered one are the same call.
    assert calls(ledger_path, "answered") == 1 and calls(ledger_path, "unpaid") == 0


def test_an_answer_that_does_not_come_in_time_may_have_been_paid(serve: Serve, ledger_path: Path) -> None:
    [answer] = ask(serve().chat(ledger_path, timeout=0.2, retries=1), "hang 1")
    assert answer.failure == "no answer within 0.2 s (after 2 tries)"
    assert calls(ledger_path, "possibly_paid") == 2


def test_without_a_server_it_is_said_at_once(serve: Serve, ledger_path: Path) -> None:
    server = serve(latency=0.0)
    server.stop()
    with pytest.raises(TeacherError, match=r"m at http://.*: no connection to the server"):
        ask(server.chat(ledger_path), "answer 1", "answer 2")
    assert calls(ledger_path, "possibly_paid") == 0


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("needs-completion-tokens", "max_tokens"),
        ("needs-default", "temperature"),
        ("needs-free-text", "response_format"),
    ],
)
def test_what_a_model_does_not_take_is_learned_once(serve: Serve, ledger_path: Path, text: str, missing: str) -> None:
    server = serve()
    chat = server.chat(ledger_path, concurrency=1)
    answers = ask(chat, f"{text} 1", f"{text} 2", temperature=0.7, schema={"type": "object"})
    assert [answer.text for answer in answers] == ["ok", "ok"]
    assert [missing in body for body in server.told("bodies")] == [True, False, False]
    assert calls(ledger_path, "answered") == 2


def test_a_schema_is_sent_where_it_is_taken_and_text_in_parts_is_put_together(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    [answer] = ask(server.chat(ledger_path), "parts 1", schema={"type": "object"})
    assert answer.text == "in parts"
    assert server.told("bodies")[0]["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_usage_that_cannot_be_true_counts_as_what_was_reserved(serve: Serve, ledger_path: Path) -> None:
    chat = serve().chat(ledger_path)
    told, bad, none, cached = ask(chat, "answer 1", "bad-usage 1", "no-usage 1", "cached 1")
    assert bad.text == none.text == "right"
    assert (bad.prompt_tokens, bad.completion_tokens) == (0, 0)
    assert bad.usd is not None and told.usd is not None and bad.usd > told.usd
    assert cached.usd == pytest.approx((10 * 0.15 + 10 * 0.075 + 7 * 0.6) / 1e6)
    with Ledger.open(ledger_path) as ledger:
        [total] = ledger.totals()
    assert total["bound"] == 2


def test_an_unknown_price_is_said(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    [answer] = ask(server.chat(ledger_path, price=None), "answer 1")
    assert answer.text and answer.usd is None
    with pytest.raises(TeacherError, match=r"max_usd: the price of 'm' at http.* is unknown"):
        server.chat(ledger_path, price=None, max_usd=1.0)


def test_a_key_goes_only_where_it_was_named_for(
    serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-1")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", "sk-planted-2")
    server = serve()
    assert ask(server.chat(ledger_path), "answer 1")[0].text
    assert ask(server.chat(ledger_path, key_env="OPENAI_API_KEY"), "answer 2")[0].text
    assert [body["authorization"] for body in server.told("bodies")] == [False, True]
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TeacherError, match=r"environment variable OPENAI_API_KEY .* is not set"):
        ask(server.chat(ledger_path, key_env="OPENAI_API_KEY"), "answer 3")


@pytest.mark.parametrize(
    "url", ["http://user:pw@h/v1", "https://h/v1?api_key=x", "h:8000/v1", "ftp://h", "http://h:x/v1"]
)
def test_a_base_url_that_cannot_be_used_is_refused_without_showing_secrets(url: str) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.api\.base_url") as raised:
        OpenAIEndpoint("m", url)
    assert "pw" not in str(raised.value) and "api_key=x" not in str(raised.value)


def test_servers_are_told_apart_by_their_origin() -> None:
    assert origin_of("https://API.openai.com/v1/") == "https://api.openai.com"
    assert origin_of("http://[::1]:8000/v1") == "http://[::1]:8000"
    assert OpenAIEndpoint("gpt-5-mini", "https://api.openai.com/v1").body(request("q")).keys() == {
        "model",
        "messages",
        "max_completion_tokens",
    }
    with pytest.raises(ConfigError, match=r"teacher\.api\.parameters\.n: "):
        OpenAIEndpoint("m", "http://h/v1", parameters={"n": 3})
