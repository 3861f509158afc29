"""A language model's server for tests, and chats that ask it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from nesycd.llm import pace
from nesycd.llm.anthropic_api import AnthropicEndpoint
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.ledger import PICO, Budget
from nesycd.llm.openai_api import OpenAIEndpoint
from nesycd.llm.paid_chat import PaidChat
from nesycd.llm.prices import Price
from nesycd.llm.sending import Limits

SCRIPT = Path(__file__).with_name("server.py")
PRICE = Price(input=150_000, output=600_000, cached_input=75_000, batch=Decimal("0.5"))


class Server:
    """See `server.py`."""

    def __init__(self, **settings: Any) -> None:
        command = [sys.executable, str(SCRIPT), json.dumps(settings)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}/v1"

    def told(self, what: str) -> Any:
        """`log`, `bodies`, `sent`, `bearers`, `most`, `batches` or `files`; `new` makes it forget all, `lose` the batches."""
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/{what}", timeout=10) as response:
            return json.load(response)

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def chat(self, ledger: Path, *, price: Price | None = PRICE, **given: Any) -> PaidChat:
        """A chat that asks this server; `given` is for the endpoint, the budget and the limits."""
        usd, calls = given.pop("max_usd", None), given.pop("max_calls", None)
        way = {"timeout": 5.0} | {n: given.pop(n) for n in ("key_env", "timeout", "parameters") if n in given}
        budget = Budget("b", None if usd is None else round(usd * PICO), calls)
        form = AnthropicEndpoint if given.pop("provider", "openai") == "anthropic" else OpenAIEndpoint
        more = {name: given.pop(name) for name in ("poll", "tell") if name in given}
        kind = BatchChat if given.pop("batch", False) else PaidChat
        return kind(form("m", self.url, **way), ledger, price, Limits(budget=budget, **given), **more)


@pytest.fixture(scope="module")
def tame() -> Iterator[Server]:
    """The server without settings, which most tests share: starting one takes a moment."""
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tame: Server) -> Iterator[Callable[..., Server]]:
    """Start a server with settings, or take the one without, as new. Retries come quickly."""
    monkeypatch.setattr(pace, "FIRST_WAIT", 0.01)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    started: list[Server] = []

    def start(**settings: Any) -> Server:
        if not settings:
            tame.told("new")
            return tame
        started.append(Server(**settings))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    """Where a test's ledger lies."""
    return tmp_path / "ledger.sqlite"
