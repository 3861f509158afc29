"""Anthropic's Messages API, one request at a time: what it may answer, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import ConfigError, TeacherError
from nesycd.llm.anthropic_api import AnthropicEndpoint
from nesycd.llm.chat import Completion, Message, Request
from nesycd.llm.ledger import Ledger

pytest.importorskip("anthropic", reason="the extra `anthropic` is not installed")

Serve = Callable[..., Any]


def request(text: str, **given: Any) -> Request:
    return Request(text, (Message("system", "Be brief."), Message("user", text)), **{"max_tokens": 50, **given})


def ask(server: Any, ledger: Path, *texts: str, schema: Any = None, **given: Any) -> list[Completion]:
    chat = server.chat(ledger, provider="anthropic", **given)
    return list(chat.complete([request(text, schema=schema) for text in texts]))


def test_the_system_prompt_stands_apart_and_thinking_is_no_answer(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    [answer, parts] = ask(server, ledger_path, "answer 1", "parts 1")
    assert (answer.text, answer.failure, answer.model) == ("right: answer 1", "", "m-2026-01-01")
    assert (answer.prompt_tokens, answer.completion_tokens) == (20, 7)
    assert answer.usd == pytest.approx((20 * 0.15 + 7 * 0.6) / 1e6)
    assert parts.text == "in parts"
    body = server.told("bodies")[0]
    assert body == {
        "model": "m",
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "answer 1"}],
        "authorization": False,
    }


@pytest.mark.parametrize(
    ("text", "failure", "kept"),
    [
        ("length 1", "length", "cut"),
        ("refusal 1", "refusal: I will not", ""),
        ("filtered 1", "refusal: no reason told", ""),
        ("empty 1", "empty", ""),
    ],
)
def test_what_was_paid_for_but_is_of_no_use_fails_and_is_not_asked_again(
    serve: Serve, ledger_path: Path, text: str, failure: str, kept: str
) -> None:
    server = serve()
    for cached in (False, True):
        [answer] = ask(server, ledger_path, text)
        assert (answer.text, answer.failure, answer.cached, answer.completion_tokens) == (kept, failure, cached, 7)
    assert server.told("log") == {text: [text.split()[0]]}


def test_passing_failures_are_retried(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    texts = ["once-500 1", "once-overloaded 1", "error-409 1", "overloaded 1", "truncated 1", "malformed 1"]
    answers = {answer.key: answer for answer in ask(server, ledger_path, *texts, retries=2)}
    assert answers["once-500 1"].text == "right: once-500 1"
    assert answers["once-overloaded 1"].text == "right: once-overloaded 1"
    assert answers["overloaded 1"].failure == "HTTP 529: Overloaded (after 3 tries)"
    assert answers["error-409 1"].failure == "HTTP 409: no (after 3 tries)"
    assert answers["truncated 1"].failure.startswith("connection lost: ")
    assert answers["malformed 1"].failure.startswith("HTTP 200: not an answer of a model: {")
    log = server.told("log")
    assert {text: len(acts) for text, acts in log.items() if text.startswith("once")} == dict.fromkeys(texts[:2], 2)


def test_retry_after_and_the_limits_in_the_headers_are_kept(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    [answer] = ask(server, ledger_path, "once-429 1", concurrency=1)
    assert answer.text
    [first, second] = server.told("sent")
    assert second - first >= 0.2
    limited = serve(limit=240)
    began = time.monotonic()
    ask(limited, ledger_path, *(f"answer {n}" for n in range(3)), concurrency=1)
    assert limited.told("most") == 1 and time.monotonic() - began < 5


@pytest.mark.parametrize("text", ["error-401 1", "error-404 1", "low-credit 1"])
def test_what_no_request_would_survive_ends_it_all(serve: Serve, ledger_path: Path, text: str) -> None:
    server = serve()
    with pytest.raises(TeacherError, match=r"m at http://127\.0\.0\.1:\d+: HTTP 4"):
        ask(server, ledger_path, text)
    assert server.told("log") == {text: [text.split()[0]]}


def test_a_mistake_of_the_users_is_not_retried(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    [answer] = ask(server, ledger_path, "error-400 1")
    assert answer.failure == "HTTP 400: no" and server.told("log") == {"error-400 1": ["error-400"]}
    [answer] = ask(server, ledger_path, "answer 1", parameters={"top_a": 1})
    assert answer.failure == "HTTP 400: top_a: Extra inputs are not permitted"


def test_a_schema_is_enforced_where_the_model_takes_one(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    schema = {"type": "object"}
    given = {"parameters": {"output_config": {"effort": "low"}}, "concurrency": 1}
    assert ask(server, ledger_path, "answer 1", schema=schema, **given)[0].text
    wanted = {"effort": "low", "format": {"type": "json_schema", "schema": schema}}
    assert server.told("bodies")[0]["output_config"] == wanted
    taught = ask(server, ledger_path, "needs-free-text 1", "needs-free-text 2", schema=schema, concurrency=1)
    assert [answer.text for answer in taught] == ["ok", "ok"]
    assert ["output_config" in body for body in server.told("bodies")[1:]] == [True, False, False]


def test_usage_counts_what_the_cache_held(serve: Serve, ledger_path: Path) -> None:
    bad, none, cached = ask(serve(), ledger_path, "bad-usage 1", "no-usage 1", "cached 1")
    assert bad.text == none.text == "right" and (bad.prompt_tokens, none.completion_tokens) == (0, 0)
    assert (cached.prompt_tokens, cached.completion_tokens) == (20, 7)
    assert cached.usd == pytest.approx((10 * 0.15 + 10 * 0.075 + 7 * 0.6) / 1e6)
    with Ledger.open(ledger_path) as ledger:
        assert ledger.totals()[0]["bound"] == 2


def test_a_key_goes_only_where_it_was_named_for_and_is_found_nowhere(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    key = "sk-planted-ant-71"
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", key)
    server = serve(key=key)
    assert ask(server, tmp_path / "l.sqlite", "answer 1")[0].text
    named = {"key_env": "ANTHROPIC_API_KEY", "retries": 1}
    answers = ask(server, tmp_path / "l.sqlite", "answer 2", "echo-key 1", "echo-key-in-answer 1", "reset 1", **named)
    assert [body["authorization"] for body in server.told("bodies")[:2]] == [False, True]
    assert answers[1].failure == "HTTP 400: the header was Bearer ***" and answers[2].text == "my key is ***"
    with pytest.raises(TeacherError) as raised:
        ask(server, tmp_path / "l.sqlite", "error-401 1", **named)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(key.encode() in content for content in files)
    assert key not in repr(answers) + str(raised.value) + repr(raised.value.__cause__) + "".join(capfd.readouterr())
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(TeacherError, match=r"environment variable ANTHROPIC_API_KEY .* is not set"):
        ask(server, tmp_path / "l.sqlite", "answer 3", **named)


def test_the_two_forms_share_no_answers_and_parameters_are_checked(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    one, other = server.chat(ledger_path), server.chat(ledger_path, provider="anthropic")
    assert one.fingerprint != other.fingerprint
    assert not next(iter(one.complete([request("answer 1")]))).cached
    assert not next(iter(other.complete([request("answer 1")]))).cached
    assert AnthropicEndpoint("m", "http://h/v1/").base_url == AnthropicEndpoint("m", "http://h").base_url
    for name in ("temperature", "tools", "cache_control"):
        with pytest.raises(ConfigError, match=rf"teacher\.api\.parameters\.{name}: "):
            AnthropicEndpoint("m", parameters={name: 1})
