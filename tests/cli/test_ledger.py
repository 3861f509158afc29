"""`nesycd ledger` and `nesycd check`: what was paid, and what would be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nesycd.api import preflight
from nesycd.api.build import chat_of
from nesycd.cli.check import print_report
from nesycd.cli.main import app
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError, TeacherError
from nesycd.core.protocols import ErrorCase, ErrorCluster
from nesycd.core.records import Example
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.batch_ledger import Batches
from nesycd.llm.chat import Message, Request
from nesycd.llm.ledger import Answer, Budget, Call, Ledger, default_path
from nesycd.llm.openai_api import OpenAIEndpoint
from nesycd.tasks.base import StoredTask

LOCAL = "http://localhost:9"


@pytest.fixture(autouse=True)
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NESYCD_LEDGER", str(tmp_path / "ledger.sqlite"))
    return tmp_path / "ledger.sqlite"


def fill(path: Path) -> None:
    with Ledger.open(path) as opened:
        for name, failure in (("a", ""), ("b", "length")):
            call = Call(name, f"rationale:{name}", "m", LOCAL, '{"messages":[]}', 900)
            number = opened.claim(call, Budget("thesis")).call
            opened.settle(number, call, Answer("said", failure, "m-1", 30, 5, 1_500_000, 2.0))
        opened.lose(opened.claim(Call("c", "k", "m2", LOCAL, "{}", None), Budget("thesis")).call, "timeout")


def run(*words: str) -> str:
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 0, done.output
    return done.output


def test_calls_are_summed_up_by_model_or_budget(ledger: Path) -> None:
    fill(ledger)
    by_model = run("ledger", "show")
    assert "0.000003" in by_model and "price unknown" in by_model and str(ledger) in by_model.replace("\n", "")
    assert "1 calls count with the most they may have cost" in by_model
    assert "thesis" in run("ledger", "show", "--by", "budget")
    assert CliRunner().invoke(app, ["ledger", "show", "--by", "day"]).exit_code == 2


def test_answers_are_exported_and_pruned(ledger: Path, tmp_path: Path) -> None:
    fill(ledger)
    run("ledger", "export", str(tmp_path / "out.jsonl"))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [(row["key"], row["text"], row["failure"]) for row in rows] == [
        ("rationale:a", "said", ""),
        ("rationale:b", "said", "length"),
    ]
    assert json.loads(run("ledger", "export", "-").splitlines()[0]) == rows[0]
    assert CliRunner().invoke(app, ["ledger", "prune"]).exit_code == 2
    assert CliRunner().invoke(app, ["ledger", "prune", "--before", "soon"]).exit_code == 2
    assert run("ledger", "prune", "--failed", "--before", "2999-01-01") == "forgot 1 answers\n"
    assert len(run("ledger", "export", "-").splitlines()) == 1


def test_a_missing_ledger_is_told_in_one_line(ledger: Path) -> None:
    done = CliRunner().invoke(app, ["ledger", "show"])
    assert done.exit_code == 2 and done.stderr == f"error: there is no ledger at {ledger}\n"
    assert '["https://api.openai.com"]' in run("ledger", "prices")


def recipe(tmp_path: Path, api: str) -> Recipe:
    path = tmp_path / "r.toml"
    path.write_text(f'name = "r"\n[task]\nname = "longtail"\n[teacher]\nname = "api"\n[teacher.api]\n{api}\n')
    return load_recipe(path)


def test_a_recipe_names_model_server_and_caps(tmp_path: Path) -> None:
    chat = chat_of(recipe(tmp_path, 'model = "gpt-4o-mini"\nmax_usd = 0.3\nmax_calls = 7\nconcurrency = 3'))
    assert chat.name == "gpt-4o-mini" and chat.price is not None and chat.ledger == default_path()
    assert chat.limits.budget == Budget("r", 300_000_000_000, 7) and chat.limits.concurrency == 3
    mine = chat_of(recipe(tmp_path, 'model = "m"\nbase_url = "http://localhost:9/v1"\nledger = "l"\nbudget = "b"'))
    assert mine.price is None and mine.ledger == Path("l") and mine.limits.budget == Budget("b")


def test_a_recipe_names_the_provider_and_batches(tmp_path: Path) -> None:
    chat = chat_of(recipe(tmp_path, 'provider = "anthropic"\nmodel = "claude-haiku-4-5"\nmax_usd = 1'))
    assert not isinstance(chat, BatchChat) and chat.price is not None and chat.price.output == 5_000_000
    halved = chat_of(recipe(tmp_path, 'provider = "anthropic"\nmodel = "claude-haiku-4-5"\nmax_usd = 1\nbatch = true'))
    assert isinstance(halved, BatchChat) and halved.price is not None and halved.price.output == 2_500_000
    assert chat.fingerprint == halved.fingerprint
    with pytest.raises(
        ConfigError, match=r"teacher\.api\.provider: must be 'openai' or 'anthropic', but it is \"mine\""
    ):
        recipe(tmp_path, 'model = "m"\nprovider = "mine"')


def test_batches_are_shown_and_given_up(ledger: Path) -> None:
    with Ledger.open(ledger) as opened:
        batches = Batches(opened, OpenAIEndpoint("m", LOCAL))
        plan = batches.plan([Call("a", "k", "m", LOCAL, "{}", 2_000_000)], Budget("thesis"))
        assert plan.batch is not None
        batches.submitted(plan.batch, "batch_77")
    shown = run("ledger", "show")
    assert "batch_77" in shown and "0.000002" in shown and "collects the answers" in shown
    assert CliRunner().invoke(app, ["ledger", "prune", "--batch", "batch_78"]).exit_code == 2
    assert "its 1 requests count as possibly paid" in run("ledger", "prune", "--batch", "batch_77")
    assert "batch_77" not in run("ledger", "show")


def test_what_cannot_be_asked_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher\.api\.model is missing"):
        chat_of(recipe(tmp_path, "concurrency = 3"))
    with pytest.raises(TeacherError, match=r"max_usd: the price of 'm' at http://localhost:9 is unknown"):
        chat_of(recipe(tmp_path, 'model = "m"\nbase_url = "http://localhost:9/v1"\nmax_usd = 1'))
    with pytest.raises(ConfigError) as raised:
        recipe(tmp_path, 'model = "m"\nkey_env = "sk-planted"')
    assert "teacher.api.key_env" in str(raised.value) and "sk-planted" not in str(raised.value)


class Planning:
    """A teacher that plans one request for each question and error."""

    name = "m"
    fingerprint = "f"

    def rationales(self, examples: Sequence[Example]) -> list[object]:
        raise AssertionError("nothing is asked")

    diagnoses = rationales

    def plan_rationales(self, examples: Sequence[Example]) -> list[Request]:
        return [Request(f"r:{one.uid}", (Message("user", one.question),), 100) for one in examples]

    def plan_diagnoses(self, cases: Sequence[ErrorCase]) -> list[Request]:
        return [Request(f"d:{case.example.uid}", (Message("user", case.example.question),), 200) for case in cases]

    def plan_inductions(self, clusters: Sequence[ErrorCluster]) -> list[Request]:
        return []


def test_a_check_tells_calls_tokens_and_usd(tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [Example(uid=f"q{n}", task="t", question=f"What is {n}?", answer="1") for n in range(5)]
    task = StoredTask("t", {"train": examples})
    console = Console(width=120, record=True, file=(tmp_path / "shown").open("w"))
    asked = recipe(tmp_path, 'model = "gpt-4o-mini"\nmax_usd = 2.5')
    monkeypatch.setattr(preflight, "task_of", lambda recipe: task)
    monkeypatch.setattr(preflight, "teacher_of", lambda recipe, task: Planning())
    monkeypatch.setenv("OPENAI_API_KEY", "")
    print_report(preflight.preflight(asked, tmp_path), console)
    shown = console.export_text()
    console.file.close()
    assert "gpt-4o-mini: 5 training questions; no call was sent" in shown
    assert "<= 500" in shown and "<= 1000" in shown and "<= 0.0" in shown
    assert "Caps on budget 'r': max_usd 2.5" in shown
    assert not ledger.exists()


def test_a_check_of_a_teacher_without_calls_says_so(tmp_path: Path) -> None:
    quick = str(Path(__file__).parent.parent.parent / "recipes" / "longtail.toml")
    table = ("--set", "student.model=table")
    assert "The teacher 'expert' sends no calls: nothing to pay for.\n" in run(
        "check", quick, "--limit", "2", "--root", str(tmp_path), *table
    )
    assert not (tmp_path / "longtail").exists()
