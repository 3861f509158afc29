"""The command line finds its commands without importing them, and tells a user's mistake in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from nesycd import __version__
from nesycd.cli import main
from nesycd.core.errors import DataError

ROOT = Path(__file__).parent.parent.parent


def help_seconds() -> float:
    """Of computing: by the clock another process on the machine would be measured too."""
    before = os.times()
    subprocess.run([sys.executable, "-m", "nesycd", "--help"], check=True, capture_output=True, cwd=ROOT)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_help_lists_every_command_within_a_moment() -> None:
    shown = CliRunner().invoke(main.app, ["--help"]).output
    for name, (_, summary) in main.COMMANDS.items():
        assert name in shown
        assert summary in shown
    # The best of three: the first may have to read its files from the disk.
    assert min(help_seconds() for _ in range(3)) < 0.4


def test_help_imports_no_command() -> None:
    program = (
        "import sys, nesycd.cli.main as m\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(m.app, ['--help']).exit_code == 0\n"
        "print([name for name, (module, _) in m.COMMANDS.items() if module.partition(':')[0] in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_a_command_says_of_itself_what_the_list_says(name: str) -> None:
    command = main.load(name)
    assert (command.help or "").partition("\n")[0] == main.COMMANDS[name][1]
    assert CliRunner().invoke(main.app, [name, "--help"]).exit_code == 0


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(main.app, ["--version"]).output.startswith(f"nesycd {__version__} (Python 3.")


def test_an_unknown_command_is_a_usage_error() -> None:
    shown = CliRunner().invoke(main.app, ["rnus"])
    assert shown.exit_code == 2
    assert "rnus" in shown.stderr


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (DataError("x.jsonl:3: not valid JSON"), 2, "error: x.jsonl:3: not valid JSON\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted; run the same command again to go on\n"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "error: torch is not installed; get it by: pip install 'nesycd[student]'\n",
        ),
    ],
)
def test_mistakes_and_interruptions_are_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int, said: str
) -> None:
    broken = typer.Typer()

    @broken.command()
    def runs() -> None:
        raise raised

    monkeypatch.setattr("nesycd.cli.runs.app", broken)
    shown = CliRunner().invoke(main.app, ["runs"])
    assert (shown.exit_code, shown.stderr) == (code, said)
    assert shown.stdout == ""


@pytest.mark.parametrize("raised", [ValueError("ours"), ModuleNotFoundError("No module named 'x'", name="x")])
def test_our_own_mistakes_keep_their_traceback(monkeypatch: pytest.MonkeyPatch, raised: Exception) -> None:
    broken = typer.Typer()

    @broken.command()
    def runs() -> None:
        raise raised

    monkeypatch.setattr("nesycd.cli.runs.app", broken)
    assert CliRunner().invoke(main.app, ["runs"]).exception is raised
