"""`nesycd review`: where it listens, who may sign in, and what it says of mistakes; the pages are tested beside them."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.core.records import Evidence, Lesson
from nesycd.knowledge import KnowledgeBase


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "kb.sqlite"
    with KnowledgeBase.open(path) as kb:
        kb.add([(Lesson(text="Count first."), Evidence(example="", source="ann"))])
    return path


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["review", *map(str, arguments)])
    assert result.exit_code == 2 and "Traceback" not in result.output, result.output
    return " ".join(result.output.split())


def test_other_machines_need_somebody_who_may_sign_in(base: Path) -> None:
    told = refused("--kb", base, "--host", "0.0.0.0")
    assert "other machines could reach the pages" in told and re.search(r"such as: reviewer \S{40,} Ann", told)


def test_mistakes_are_told_in_one_line(base: Path, tmp_path: Path) -> None:
    assert "there is no knowledge base" in refused("--kb", tmp_path / "no.sqlite")
    assert "no-such-run" in refused("no-such-run", "--root", tmp_path)
    assert "no item has the id 'abcdef'" in refused("--kb", base, "--item", "abcdef", "--port", "0")
    assert "holds no token" in refused("--kb", base, "--token-file", empty(tmp_path))


def empty(folder: Path) -> Path:
    path = folder / "tokens.txt"
    path.touch(0o600)
    return path


@pytest.fixture
def served(base: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "nesycd", "review", "--kb", str(base), "--port", "0", "--reviewer", "Ann"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_a_server_prints_a_link_that_signs_in_and_ends_by_ctrl_c(served: subprocess.Popen[str]) -> None:
    assert served.stdout is not None
    assert "revision 1; stop by Ctrl-C" in served.stdout.readline()
    link = served.stdout.readline().split()[-1]
    with urlopen(link) as answer:
        assert answer.status == 200 and b"Signed in" in answer.read()
        assert "HttpOnly" in answer.headers["set-cookie"]
    assert "another browser signs in by" in served.stdout.readline()
    port = link.split(":")[2].split("/")[0]
    taken = refused("--kb", "missing.sqlite", "--port", port)
    assert "there is no knowledge base" in taken
    served.send_signal(signal.SIGINT)
    _, errors = served.communicate(timeout=20)
    assert served.returncode in (0, 130) and "Traceback" not in errors, errors


@pytest.mark.slow
def test_a_port_that_is_taken_is_told(served: subprocess.Popen[str], base: Path) -> None:
    assert served.stdout is not None
    served.stdout.readline()
    port = re.findall(r":(\d+)/", served.stdout.readline())[0]
    assert f"--port {port}: Address already in use" in refused("--kb", base, "--port", port)
