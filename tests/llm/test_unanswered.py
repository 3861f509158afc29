"""A teacher whose server fails for a while: what was not answered stays open, what was paid for is asked no second time.

The whole method with the table student; prompts of its own put the question first, whose first word tells the server what to do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.records import Diagnosis, Rationale
from nesycd.llm.ledger import Ledger
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states

pytest.importorskip("openai", reason="the extra `api` is not installed")

Serve = Callable[..., Any]
WORDS = ["alpha", "beta", "gamma", "delta", "omega", "kappa", "sigma", "theta"]


def question(act: str, number: int) -> dict[str, str]:
    text = f"{act} What is {number} times {number + 1} in {WORDS[number % 8]}? Therefore, the answer is {number * (number + 1)}."
    return {"id": f"q{number}", "question": text, "answer": str(number * (number + 1))}


class Recipe:
    """A recipe whose teacher is the server; `acts` are those of some training questions."""

    def __init__(self, folder: Path, url: str, acts: dict[int, str], api: str = "retries = 0") -> None:
        self.folder, self.run = folder, folder / "runs" / "r"
        splits = {"train": range(2, 18), "valid": range(20, 24), "test": range(30, 34)}
        for split, numbers in splits.items():
            rows = [question(acts.get(number, "answer"), number) for number in numbers]
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        prompts = folder / "prompts"
        prompts.mkdir()
        (prompts / "rationale.txt").write_text("{question}")
        (prompts / "error.txt").write_text("{question} {answer} {rationale} {response}")
        (prompts / "diagnosis.txt").write_text("{error}")
        (prompts / "diagnosis_repair.txt").write_text("again: {problem}")
        paths = "\n".join(f'{split} = "{folder / split}.jsonl"' for split in splits)
        self.path = folder / "r.toml"
        self.path.write_text(
            f'name = "r"\nprompts = "{prompts}"\n[task]\nname = "jsonl"\n[task.settings]\n{paths}\n'
            f'[teacher]\nname = "api"\n[teacher.api]\nmodel = "m"\nbase_url = "{url}"\n{api}\n'
            f'ledger = "{folder / "ledger.sqlite"}"\n[teacher.ask]\nsamples = 1\nhints = false\n'
            '[student]\nmodel = "table"\n[collection]\nfolds = 2\n[knowledge]\nsource = "all"\n'
            '[evaluation]\nsplits = ["test"]\nmethods = ["std_cot", "nesycd"]\nbootstrap = 50\n'
        )

    def call(self, *words: str) -> Result:
        command = words[:1] or ("run",)
        return CliRunner().invoke(
            app, [*command, str(self.path), "--root", str(self.folder / "runs"), "--name", "r", *words[1:]]
        )

    def records(self, stage: str, kind: type[Any]) -> list[Any]:
        return read_records(self.run, stage, kind)

    def is_done(self, stage: str) -> bool:
        return bool(read_states(self.run)[stage]["done"])


def check_line(result: Result, line: str) -> None:
    """Exit code 2 and one line on standard error."""
    assert result.exit_code == 2, result.output + repr(result.exception)
    assert [said for said in result.stderr.splitlines() if said.startswith("error:")] == [f"error: {line}"]
    assert "Traceback" not in result.output


def test_what_was_not_answered_stays_open_and_the_same_command_finishes(serve: Serve, tmp_path: Path) -> None:
    server = serve(latency=0.001)
    # Each of these messages fails once: first as a question for a rationale, then as one for a diagnosis.
    recipe = Recipe(tmp_path, server.url, {3: "once-500", 5: "once-500", 7: "refusal"})
    kept = "what was answered is kept, and the same command goes on"
    first = recipe.call()
    check_line(first, f"rationales: 2 of 16 questions were not answered: HTTP 500: no; {kept}")
    rationales = recipe.records("rationales", Rationale)
    assert len(rationales) == 14 and not {"q3", "q5"} & {one.example.rpartition("-")[2] for one in rationales}
    assert [one.failure for one in rationales if one.failure] == ["refusal: I will not"]
    assert not recipe.is_done("rationales") and "general" not in read_states(recipe.run)
    second = recipe.call()
    assert recipe.is_done("rationales") and len(recipe.records("rationales", Rationale)) == 16
    open_ = [one for one in recipe.records("diagnoses", Diagnosis)]
    assert open_ and not any("HTTP" in one.failure for one in open_)
    check_line(second, f"diagnoses: 2 of {len(open_) + 2} questions were not answered: HTTP 500: no; {kept}")
    third = recipe.call()
    assert third.exit_code == 0, third.output
    assert len(recipe.records("diagnoses", Diagnosis)) == len(open_) + 2
    acts = server.told("log")
    assert all(done == ["once-500", "answer"] for text, done in acts.items() if text.startswith("once-500"))
    assert all(len(done) == 1 for text, done in acts.items() if text.startswith(("answer", "refusal"))), (
        "none is paid twice"
    )
    log = server.told("log")
    assert recipe.call().exit_code == 0 and server.told("log") == log


def test_a_cap_leaves_the_stage_open_until_it_is_raised(serve: Serve, tmp_path: Path) -> None:
    server = serve(latency=0.001)
    recipe = Recipe(tmp_path, server.url, {}, "max_calls = 10")
    result = recipe.call("rationalise")
    reason = "cap: max_calls reached (10 of 10 under budget 'r'), raise it to go on"
    kept = "what was answered is kept, and the same command goes on"
    check_line(result, f"rationales: 6 of 16 questions were not answered: {reason}; {kept}")
    assert len(recipe.records("rationales", Rationale)) == 10
    assert recipe.call("rationalise", "--set", "teacher.api.max_calls=16").exit_code == 0
    assert len(recipe.records("rationales", Rationale)) == 16
    assert all(len(done) == 1 for done in server.told("log").values())


def test_other_commands_stop_with_the_same_line(serve: Serve, tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, serve(latency=0.001).url, {3: "error-503"})
    kept = "what was answered is kept, and the same command goes on"
    check_line(recipe.call("compare"), f"rationales: 1 of 16 questions were not answered: HTTP 503: no; {kept}")
    # Edits are measured on the embedded benchmark alone.
    recipe.path = Path(__file__).parents[2] / "recipes" / "longtail.toml"
    api = f'{{model = "m", base_url = "{serve().url}", max_calls = 2, ledger = "{tmp_path / "l.sqlite"}"}}'
    words = ["student.model=table", "teacher.name=api", f"teacher.api={api}", "teacher.ask.hints=false"]
    recipe.folder = tmp_path / "edits"
    result = recipe.call("edits", "--limit", "6", *(word for one in words for word in ("--set", one)))
    reason = "cap: max_calls reached (2 of 2 under budget 'longtail'), raise it to go on"
    check_line(result, f"rationales: 6 of 6 questions were not answered: {reason}; {kept}")


def test_no_server_is_one_line_and_no_record(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, "http://127.0.0.1:9/v1", {})
    result = recipe.call()
    assert result.exit_code == 2 and "no connection to the server" in result.stderr
    assert result.stderr.count("error:") == 1 and recipe.records("rationales", Rationale) == []


def test_failures_that_were_paid_for_are_asked_again_only_on_demand(serve: Serve, tmp_path: Path) -> None:
    server = serve(latency=0.001)
    recipe = Recipe(tmp_path, server.url, {7: "refusal", 9: "length"})
    assert recipe.call().exit_code == 0
    before = server.told("log")
    failed = [one for one in recipe.records("diagnoses", Diagnosis) if one.failure]
    assert failed, "the server's answers are no diagnoses"
    assert recipe.call().exit_code == 0 and server.told("log") == before
    assert recipe.call("run", "--retry-failed").exit_code == 0
    after = server.told("log")
    # Rationales that failed, and for each failed diagnosis the first answer and, where that could not be read, its repair.
    repaired = [one for one in failed if one.failure.startswith("the answer cannot be read")]
    asked = {text: len(done) - len(before.get(text, [])) for text, done in after.items()}
    rationales = [text for text in asked if text.startswith(("refusal", "length")) and text.endswith(".")]
    assert rationales and all(after[text] == before[text] * 2 for text in rationales)
    assert sum(asked.values()) == len(rationales) + len(failed) + len(repaired)
    assert [one.failure for one in recipe.records("rationales", Rationale) if one.failure] == [
        "refusal: I will not",
        "length",
    ]
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        [total] = ledger.totals()
    assert total["answered"] == sum(len(done) for done in after.values()), "what was paid before still counts"
    assert recipe.call().exit_code == 0 and server.told("log") == after
