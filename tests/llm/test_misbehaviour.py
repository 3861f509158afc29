"""Servers as they are: reasoning, errors under a 200, interruptions, refused forms, and bodies that no program could read.

Whatever comes, the call ends in an answer or a reason, the other calls go on, and nothing is paid for twice.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import ConfigError, TeacherError
from nesycd.llm.address import base_of
from nesycd.llm.anthropic_api import AnthropicEndpoint
from nesycd.llm.bodies import MOST_BYTES, MOST_CHARACTERS
from nesycd.llm.chat import CUT_REASONING, REASONED, Completion, Message, Request
from nesycd.llm.ledger import Ledger
from nesycd.llm.openai_api import OpenAIEndpoint
from nesycd.llm.paid_chat import PaidChat
from nesycd.llm.sending import Limits

pytest.importorskip("openai", reason="the extra `api` is not installed")

Serve = Callable[..., Any]
SCHEMA = {"type": "object"}
MEMORY = 300 * 2**20 + MOST_BYTES
READ_ONCE = {
    # reasoning
    "think": "right",
    "think-unopened": "right",
    "think-apart": "right",
    "think-parts": "right",
    "think-only": f"failed: {REASONED}",
    "think-only-apart": f"failed: {REASONED}",
    "think-only-field": f"failed: {REASONED}",
    "think-cut": f"failed: {CUT_REASONING}",
    "think-cut-apart": f"failed: {CUT_REASONING}",
    "think-cut-hidden": f"failed: {CUT_REASONING}",
    # sizes and forms
    "bomb": "failed: unusable: the server's answer is larger than 8 MB",
    "large": "failed: unusable: the server's answer is larger than 8 MB",
    "just-below": "right",
    "packed": "right",
    "packed-damaged": "failed: unusable: the server's answer is packed in a damaged form",
    "packed-otherwise": "failed: unusable: the server's answer is packed as 'br', which was not asked for",
    "deep": "failed: unusable: the server's JSON is nested too deeply",
    "deep-finish": "failed: unusable: the server's JSON is nested too deeply",
    "digits": "failed: unusable: a number in the server's JSON has too many digits",
    "long": "failed: too long: 1500000 characters",
    "half": "2 and \ufffd 2 is \U0001f600",
    "half-refusal": "failed: refusal: no \ufffd",
    "no-utf8": "2 and \ufffd 2",
    "marked": "right",
    "empty-error": "right",
}
"""What becomes of an answer that came, and was paid for."""


def ask(chat: PaidChat, *texts: str, **given: Any) -> list[Completion]:
    asked = [Request(text, (Message("user", text),), **{"max_tokens": 50, **given}) for text in texts]
    return list(chat.complete(asked))


def outcome(answer: Completion) -> str:
    return f"failed: {answer.failure}" if answer.failure else answer.text


def counted(ledger: Path) -> dict[str, int]:
    with Ledger.open(ledger) as opened:
        [total] = opened.totals()
    return {name: total[name] for name in ("answered", "possibly_paid", "unpaid") if total[name]}


@pytest.mark.parametrize(("act", "wanted"), READ_ONCE.items())
def test_what_came_is_read_or_fails_and_is_paid_for_once(
    serve: Serve, ledger_path: Path, act: str, wanted: str
) -> None:
    server = serve()
    for cached in (False, True):
        before, answer, after = ask(server.chat(ledger_path, timeout=30.0), "answer 1", f"{act} 1", "answer 2")
        assert (outcome(answer), answer.cached) == (wanted, cached)
        assert before.text and after.text, "the others are answered"
    assert {text: len(acts) for text, acts in server.told("log").items()} == {
        "answer 1": 1,
        f"{act} 1": 1,
        "answer 2": 1,
    }
    assert counted(ledger_path) == {"answered": 3}


@pytest.mark.parametrize("act", ["bomb", "large", "just-below", "deep", "long", "bomb-error", "large-error"])
def test_memory_stays_bounded_whatever_comes(serve: Serve, ledger_path: Path, act: str) -> None:
    chat = serve().chat(ledger_path, timeout=60.0)
    ask(chat, "answer 1")
    tracemalloc.start()
    [answer] = ask(chat, f"{act} 1")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MEMORY, f"{peak / 2**20:.0f} MB"
    assert len(answer.text) <= MOST_CHARACTERS and len(answer.failure) < 400


@pytest.mark.parametrize(
    ("act", "line"),
    [
        ("ok-402", "HTTP 200 with error 402: Insufficient credits"),
        ("ok-1008", "HTTP 200 with error 402: "),
        ("ok-401", "HTTP 200 with error 401: Unauthorized"),
        ("ok-404", "HTTP 200 with error 404: The model `m` does not exist."),
        ("page", "HTTP 200: a web page, and no answer of a model"),
    ],
)
def test_an_error_under_a_200_that_no_request_would_survive_ends_it_all_unpaid(
    serve: Serve, ledger_path: Path, act: str, line: str
) -> None:
    server = serve()
    with pytest.raises(TeacherError) as raised:
        ask(server.chat(ledger_path), f"{act} 1", *(f"answer {n}" for n in range(50)), temperature=0.1)
    assert f": {line}" in str(raised.value) and "\n" not in str(raised.value)
    assert len(server.told("log")[f"{act} 1"]) == 1
    assert counted(ledger_path)["unpaid"] >= 1 and "possibly_paid" not in counted(ledger_path)


def test_an_error_under_a_200_is_waited_for_or_told_as_its_status_says(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    began = time.monotonic()
    texts = ["once-ok-429 1", "once-ok-502 1", "once-ok-overloaded 1", "ok-400 1", "deep-error 1", "half-error 1"]
    answers = ask(server.chat(ledger_path), *texts)
    assert [answer.text for answer in answers[:3]] == [f"right: {text}" for text in texts[:3]]
    assert time.monotonic() - began >= 0.2
    assert outcome(answers[3]) == "failed: HTTP 200 with error 400: prompt is too long"
    assert outcome(answers[4]).startswith("failed: HTTP 400: ") and len(answers[4].failure) < 400
    assert outcome(answers[5]) == "failed: HTTP 400: no \ufffd"
    assert [len(acts) for acts in server.told("log").values()] == [2, 2, 2, 1, 1, 1]
    assert counted(ledger_path) == {"answered": 3, "unpaid": 3}


def test_an_answer_that_the_server_broke_off_is_asked_for_again(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    texts = ["once-begun-error 1", "once-abort 1", "once-no-resource 1", "once-finish-error 1"]
    answers = ask(server.chat(ledger_path), *texts)
    assert [outcome(answer) for answer in answers] == [f"right: {text}" for text in texts]
    # A part of it was written, and may be charged for.
    assert counted(ledger_path) == {"answered": 4, "possibly_paid": 4}
    [answer] = ask(server.chat(ledger_path, retries=0), "once-abort 2")
    assert (outcome(answer), answer.unanswered) == ("failed: HTTP 200: the server broke the answer off (abort)", True)


@pytest.mark.parametrize(
    ("act", "sent"),
    [
        ("schema-400", [True, False, False, False]),
        ("schema-404", [True, False, False, False]),
        ("schema-422", [True, False, False, False]),
        ("schema-500-told", [True, False, False, False]),
        ("schema-501", [True, False, False, False]),
        ("schema-ok-400", [True, False, False, False]),
        # This may be any trouble of the server's, so it takes two of them.
        ("schema-500", [True, False, True, False, False]),
    ],
)
def test_a_refused_schema_is_left_out_in_whatever_words_it_is_refused(
    serve: Serve, ledger_path: Path, act: str, sent: list[bool]
) -> None:
    server, told = serve(), list[str]()
    answers = ask(
        server.chat(ledger_path, concurrency=1, tell=told.append), *(f"{act} {n}" for n in "123"), schema=SCHEMA
    )
    assert [outcome(answer) for answer in answers] == ["ok"] * 3
    assert ["response_format" in body for body in server.told("bodies")] == sent
    assert told == [f"m at {server.url.removesuffix('/v1')} does not take JSON schema: asked without"]
    assert counted(ledger_path) == {"answered": 3}


@pytest.mark.parametrize(
    ("act", "left_out"),
    [
        ("no-seed", {"seed"}),
        ("no-logprobs", {"logprobs"}),
        ("no-two", {"temperature", "top_p"}),
        ("no-max-tokens", {"max_tokens"}),
    ],
)
def test_other_refused_parameters_are_left_out_likewise(
    serve: Serve, ledger_path: Path, act: str, left_out: set[str]
) -> None:
    server, told = serve(), list[str]()
    parameters = {"seed": 7, "logprobs": True, "top_p": 0.9}
    chat = server.chat(ledger_path, concurrency=1, parameters=parameters, tell=told.append)
    assert [outcome(answer) for answer in ask(chat, f"{act} 1", f"{act} 2", schema=SCHEMA)] == ["ok", "ok"]
    first, *others = server.told("bodies")
    assert [first.keys() - body.keys() for body in others] == [left_out, left_out]
    assert all({"max_tokens", "max_completion_tokens"} & body.keys() for body in others)
    assert len(told) == (act != "no-max-tokens") and all(name in told[0] for name in left_out if told)


def test_what_is_refused_in_any_form_is_told_and_teaches_nothing(serve: Serve, ledger_path: Path) -> None:
    server, told = serve(), list[str]()
    chat = server.chat(ledger_path, concurrency=1, tell=told.append)
    assert outcome(ask(chat, "no-anything 1", schema=SCHEMA)[0]) == "failed: HTTP 400: Invalid input"
    assert ask(chat, "answer 1", schema=SCHEMA)[0].text
    assert ["response_format" in body for body in server.told("bodies")] == [True, False, True]
    assert told == []


def test_a_server_in_trouble_loses_its_schema_for_one_request_only(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    chat = server.chat(ledger_path, concurrency=1)
    texts = ["once-500 1", "answer 1"]
    assert all(answer.text for answer in ask(chat, *texts, schema=SCHEMA))
    assert ["response_format" in body for body in server.told("bodies")] == [True, False, True]


def test_repaired_characters_are_told_once(serve: Serve, ledger_path: Path) -> None:
    server, told = serve(), list[str]()
    ask(server.chat(ledger_path, tell=told.append), "half 1", "half 2", "no-utf8 1", "answer 1")
    [line] = told
    assert line.startswith(f"m at {server.url.removesuffix('/v1')} sent characters that are none")


def test_no_prompt_follows_a_redirect_to_another_server(
    serve: Serve, ledger_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", "sk-planted-5f2a77")
    other = serve(latency=0.0)
    server = serve(elsewhere=other.url)
    for provider in ("openai", "anthropic"):
        with pytest.raises(TeacherError) as raised:
            ask(server.chat(ledger_path, provider=provider, key_env="PLANTED"), f"redirect {provider}")
        there = other.url.removesuffix("/v1")
        assert f"the server sends requests on to {there}: if you trust it, name it in" in str(raised.value)
    assert other.told("log") == {} and other.told("bodies") == []
    assert counted(ledger_path) == {"unpaid": 2}
    assert ask(server.chat(ledger_path), "once-redirect-here 1")[0].text == "right: once-redirect-here 1"
    with pytest.raises(TeacherError, match="the server redirects in a circle"):
        ask(server.chat(ledger_path), "redirect-round 1")


BY_ROWS = {
    "think 1": "right",
    "think-apart 1": "right",
    "think-only-apart 1": f"failed: {REASONED}",
    "think-cut-apart 1": f"failed: {CUT_REASONING}",
    "half 1": "2 and \ufffd 2 is \U0001f600",
    "deep 1": "failed: unusable: the server's JSON is nested too deeply",
    "digits 1": "failed: unusable: a number in the server's JSON has too many digits",
    "long 1": "failed: too long: 1500000 characters",
}


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_rows_of_a_batch_are_read_likewise(serve: Serve, ledger_path: Path, provider: str) -> None:
    pytest.importorskip("anthropic", reason="the extra `anthropic` is not installed")
    server, told = serve(), list[str]()
    given = {"provider": provider, "batch": True, "poll": 0.01, "tell": told.append}
    for cached in (False, True):
        answers = ask(server.chat(ledger_path, **given), *BY_ROWS)
        assert {answer.key: outcome(answer) for answer in answers} == BY_ROWS
        assert {answer.cached for answer in answers} == {cached}
    assert {text: len(acts) for text, acts in server.told("log").items()} == dict.fromkeys(BY_ROWS, 1)
    assert counted(ledger_path) == {"answered": len(BY_ROWS)}
    assert sum("sent characters that are none" in line for line in told) == 1
    assert sum("gave an answer that is all reasoning" in line for line in told) == 2


def test_an_error_under_a_200_within_a_batch_is_its_status(serve: Serve, ledger_path: Path) -> None:
    server = serve()
    chat = server.chat(ledger_path, batch=True, poll=0.01)
    answers = ask(chat, "once-ok-429 1", "once-abort 1", "ok-400 1", "answer 1")
    assert [outcome(answer) for answer in answers[:2]] == ["right: once-ok-429 1", "right: once-abort 1"]
    assert outcome(answers[2]) == "failed: HTTP 200 with error 400: prompt is too long"
    assert counted(ledger_path) == {"answered": 3, "possibly_paid": 1, "unpaid": 2}
    with pytest.raises(TeacherError, match="HTTP 200 with error 402: Insufficient credits"):
        ask(chat, "ok-402 1", "answer 2")
    assert ask(chat, "answer 2")[0].cached, "what arrived is kept"


ANTHROPIC = {name: READ_ONCE[name] for name in ("think", "bomb", "packed", "packed-damaged", "deep", "half", "long")}


@pytest.mark.parametrize(("act", "wanted"), ANTHROPIC.items())
def test_servers_of_the_other_form_are_no_better(serve: Serve, ledger_path: Path, act: str, wanted: str) -> None:
    pytest.importorskip("anthropic", reason="the extra `anthropic` is not installed")
    server = serve()
    for cached in (False, True):
        [answer] = ask(server.chat(ledger_path, provider="anthropic", timeout=30.0), f"{act} 1")
        assert (outcome(answer), answer.cached) == (wanted, cached)
    with pytest.raises(TeacherError, match="HTTP 200 with error 402: Insufficient credits"):
        ask(server.chat(ledger_path, provider="anthropic"), "ok-402 1")
    assert ask(server.chat(ledger_path, provider="anthropic"), "once-ok-overloaded 1")[0].text


@pytest.mark.parametrize("pasted", ["/chat/completions", "/chat/completions/", "/models", "/completions"])
def test_a_pasted_route_is_no_part_of_the_address(serve: Serve, ledger_path: Path, pasted: str) -> None:
    server = serve()
    endpoint = OpenAIEndpoint("m", f" {server.url}{pasted}")
    assert endpoint.base_url == server.url
    assert ask(PaidChat(endpoint, ledger_path, None, Limits()), "answer 1")[0].text
    assert AnthropicEndpoint("m", "https://h/v1/messages").base_url == "https://h"
    assert base_of("https://h/openai/models/m/v1/") == "https://h/openai/models/m/v1"


def test_an_address_without_its_path_is_told(serve: Serve, ledger_path: Path) -> None:
    origin = serve().url.removesuffix("/v1")
    with pytest.raises(TeacherError, match=r"HTTP 404: Not Found \(is it http://127\.0\.0\.1:\d+/v1\? ") as raised:
        ask(PaidChat(OpenAIEndpoint("m", origin), ledger_path, None, Limits()), "answer 1")
    assert f"{origin}/v1?" in str(raised.value)


def test_an_answer_that_is_all_reasoning_is_told_while_the_others_are_asked(serve: Serve, ledger_path: Path) -> None:
    server, told = serve(), list[str]()
    ask(server.chat(ledger_path, tell=told.append), "think-cut-apart 1", "think-cut 1", "think-only 1", "think 1")
    where = f"m at {server.url.removesuffix('/v1')} gave an answer that is"
    assert sorted(told) == sorted([f"{where} {CUT_REASONING}", f"{where} {REASONED}"])


SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{SECRET}@[::1/v1",
        f"http://user:{SECRET}@h:x/v1",
        f"user:{SECRET}@h:8000/v1",
        f"http:/user:{SECRET}@h/v1",
        f"http:user:{SECRET}@h",
        f"http://h/v1?key={SECRET}",
        f"http://h/v1#{SECRET}",
        f"http://h/user:{SECRET}@h/v1",
        f"{SECRET}://h/v1",
        f"http://h:{SECRET}/v1",
        f"//{SECRET}/v1",
        f"http://[{SECRET}]/v1",
        f"http://h {SECRET}/v1",
        f"http:\\\\user:{SECRET}/v1",
        f"http://h\n{SECRET}/v1",
        f"http://ü{SECRET}/v1",
        "http://[::1/v1",
        "http://[::g]/v1",
        "http://::1]/v1",
        "http://h:99999/v1",
        "http://h:/v1",
        "http://",
    ],
)
@pytest.mark.parametrize("form", [OpenAIEndpoint, AnthropicEndpoint])
def test_a_malformed_address_is_one_line_without_secrets(form: Any, url: str) -> None:
    with pytest.raises(ConfigError, match=r"^teacher\.api\.base_url: ") as raised:
        form("m", url)
    assert SECRET not in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.__cause__ is None
