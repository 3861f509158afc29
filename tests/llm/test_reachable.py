"""Whether a server is there, takes the key and has the model: told in one sentence, without the key."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nesycd.llm.anthropic_api import AnthropicEndpoint
from nesycd.llm.openai_api import OpenAIEndpoint
from nesycd.llm.reachable import Reached, reach

KEY = "sk-secret-123"


class Listing(http.server.BaseHTTPRequestHandler):
    """Answers `GET` as `SAID` says, and remembers the headers."""

    said: tuple[int, bytes, dict[str, str]] = (200, b"{}", {})
    seen: list[tuple[str, Any]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers))
        status, body, headers = type(self).said
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("A_KEY", KEY)
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listing)
    Listing.seen = []
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/v1"
    made.shutdown()
    thread.join()
    made.server_close()


def models(*names: Any) -> bytes:
    return json.dumps({"data": [{"id": name} for name in names]}).encode()


@pytest.fixture
def ask(server: str) -> Callable[..., Reached]:
    def asked(status: int, body: bytes = b"", headers: dict[str, str] | None = None, **given: Any) -> Reached:
        Listing.said = (status, body, headers or {})
        found = reach(OpenAIEndpoint(given.pop("model", "m"), server, **given), 5.0)
        assert KEY not in f"{found.problem}{found.note}" and "\n" not in f"{found.problem}{found.note}"
        return found

    return asked


def test_the_models_of_a_server_are_told(ask: Callable[..., Reached], server: str) -> None:
    assert ask(200, models("m", "n"), key_env="A_KEY") == Reached(("m", "n"))
    [(path, headers)] = Listing.seen
    assert path == "/v1/models" and headers["Authorization"] == f"Bearer {KEY}"
    assert "does not list 'm', but x and" not in ask(200, models("x")).note
    assert "does not list 'm', but x" in ask(200, models("x")).note
    assert "and 2 more" in ask(200, models(*"abcdefg")).note


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"data": 3}', b'{"data": [3, {"id": 4}]}', b"[" * 100_000, b"\xff"]
)
def test_a_list_that_is_none_is_no_error(ask: Callable[..., Reached], body: bytes) -> None:
    found = ask(200, body)
    assert found.models == () and found.problem.count("language models") <= 1


@pytest.mark.parametrize(
    ("status", "given", "told"),
    [
        (401, {"key_env": "A_KEY"}, "refuses the key in A_KEY (HTTP 401)"),
        (403, {}, "asks for a key (HTTP 403): name the environment variable that holds it in teacher.api.key_env"),
        (307, {}, "sends requests on to another address (HTTP 307)"),
    ],
)
def test_what_no_request_would_escape_is_a_problem(
    ask: Callable[..., Reached], status: int, given: dict[str, str], told: str
) -> None:
    assert told in ask(status, KEY.encode(), {"Location": "http://127.0.0.1:9/"}, **given).problem


def test_the_key_goes_to_no_other_address(ask: Callable[..., Reached], server: str) -> None:
    ask(302, b"", {"Location": f"{server}/elsewhere"}, key_env="A_KEY")
    assert [path for path, _ in Listing.seen] == ["/v1/models"]


def test_a_server_that_lists_nothing_may_be_well(ask: Callable[..., Reached]) -> None:
    assert (found := ask(404)).problem == "" and "lists no models (HTTP 404)" in found.note
    assert (found := ask(503)).problem == "" and "not well at present (HTTP 503)" in found.note


def test_a_key_that_is_not_set_and_a_server_that_is_none_are_told(
    ask: Callable[..., Reached], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_KEY")
    assert "environment variable A_KEY" in ask(200, key_env="A_KEY").problem and Listing.seen == []
    assert (
        "no server answers at http://127.0.0.1:9 " in reach(OpenAIEndpoint("m", "http://127.0.0.1:9/v1"), 5.0).problem
    )


def test_anthropics_form_is_asked_in_its_own_way(server: str) -> None:
    Listing.said = (200, models("claude"), {})
    endpoint = AnthropicEndpoint("claude", server, key_env="A_KEY")
    assert reach(endpoint, 5.0) == Reached(("claude",))
    [(path, headers)] = Listing.seen
    assert path == "/v1/models" and headers["x-api-key"] == KEY and headers["anthropic-version"]
