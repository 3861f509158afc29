"""Peers that benchmarks run beside nesycd: environments of their own, and processes that answer with one JSON object."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"


def environment(folder: Path, requirements: str, without: Sequence[str] = ()) -> Path:
    """The Python of an environment, which is made unless it is there.

    Args:
        folder: of the environment.
        requirements: name of a file in `PEERS`.
        without: packages that are removed again.
    """
    python = folder / "bin" / "python"
    if not (folder / ".made").is_file():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", PEERS / requirements], check=True)
        if without:
            subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", *without], check=True)
        (folder / ".made").touch()
    return python


def called(command: Sequence[str | Path], given: dict[str, Any], **variables: str) -> dict[str, Any]:
    """The last JSON object that a process prints, among what its libraries print.

    Args:
        command: to run.
        given: for its standard input.
        variables: of its environment, besides those of this process.
    """
    done = subprocess.run(
        command, input=json.dumps(given), capture_output=True, text=True, env={**os.environ, **variables}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    found: dict[str, Any] = json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
    return found
