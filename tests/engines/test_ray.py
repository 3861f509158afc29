"""A Ray cluster of two nodes on this machine does a run's work, also where one of them is lost in the middle."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import nesycd
from nesycd.core.errors import ConfigError
from nesycd.runs.manifest import without_times

pytest.importorskip("ray", reason="the extra ray is not installed")

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SMALL = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "task.sizes={train = 40, valid = 8, test = 8}",
    "training.epochs=0.5",
    "collection.folds=2",
    'evaluation.splits=["test"]',
    'evaluation.methods=["std_cot", "nesycd"]',
)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")]


OPEN = {**os.environ, "RAY_AUTH_MODE": "disabled"}
"""A token of another cluster on this machine would be asked for by this one."""


class Cluster:
    """Nodes of one core each, on ports of this machine; each is a process group of its own."""

    def __init__(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{taken.getsockname()[1]}"
        self.nodes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Add a node; the first one leads."""
        port = self.address.partition(":")[2]
        role = (
            [f"--address={self.address}"] if self.nodes else ["--head", f"--port={port}", "--include-dashboard=false"]
        )
        command = [str(BIN / "ray"), "start", "--block", "--disable-usage-stats", "--num-cpus=1", *role]
        command += ["--object-store-memory=80000000", "--node-ip-address=127.0.0.1"]
        environment = {**OPEN, "PYTHONPATH": str(ROOT), "RAY_memory_monitor_refresh_ms": "0"}
        # A lost node is found lost after three seconds, not after half a minute.
        environment |= {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3"}
        self.nodes.append(
            subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, env=environment
            )
        )

    def kill(self, number: int) -> None:
        """Lose a node with all its processes."""
        for pid in below(self.nodes[number].pid):  # a worker would outlive its node by seconds
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nodes[number].wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    made.start()
    until(lambda: _answers(made.address), 60)
    made.start()
    yield made
    for number in reversed(range(len(made.nodes))):
        made.kill(number)


def below(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(one for child in children for one in below(int(child)))]


def _answers(address: str) -> bool:
    host, _, port = address.partition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False


def until(there: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def start(folder: Path, *settings: str) -> subprocess.Popen[str]:
    given = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    command = [str(BIN / "nesycd"), "run", str(ROOT / "recipes" / "longtail.toml"), "--root", str(folder.parent)]
    return subprocess.Popen(
        [*command, "--name", folder.name, *given], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=OPEN
    )


def outcome(folder: Path) -> dict[str, Any]:
    """Results, records and predictions, but for times and the order in which predictions came."""
    found: dict[str, Any] = {"results.json": without_times(json.loads((folder / "results.json").read_text()))}
    for path in [*sorted(folder.glob("stages/*.jsonl")), folder / "predictions.jsonl"]:
        lines = [without_times(json.loads(line)) for line in path.read_text().splitlines()]
        found[path.name] = sorted(lines, key=lambda one: str(one["id"])) if path.name == "predictions.jsonl" else lines
    return found


@pytest.mark.timeout(600)
def test_a_run_of_two_nodes_of_which_one_is_lost_ends_as_one_left_alone(tmp_path: Path, cluster: Cluster) -> None:
    alone, dealt = start(tmp_path / "alone"), tmp_path / "dealt"
    told = alone.communicate(timeout=120)[0]
    assert alone.returncode == 0, told
    run = start(dealt, "engine.name=ray", f"engine.address={cluster.address}", "student.delay=2.0")
    try:
        told_of = [dealt / "shards" / f"collect-fold-{fold}" / "0.told" for fold in (0, 1)]
        until(lambda: all(path.is_file() for path in told_of) or run.poll() is not None, 240)  # each worker has one
        assert run.poll() is None, run.communicate()[0]
        cluster.kill(1)
        told = run.communicate(timeout=200)[0]
    finally:
        if run.poll() is None:
            run.kill()
            run.communicate()
    assert run.returncode == 0, told
    assert outcome(dealt) == outcome(tmp_path / "alone")
    assert not (dealt / "shards").exists()
    assert "a worker was lost: shard 0 of " in told
    assert "Traceback" not in told and "raylet" not in told


def test_a_cluster_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^engine.address: no Ray cluster at 127.0.0.1:1: .*refused"):
        nesycd.run(
            ROOT / "recipes" / "longtail.toml",
            root=tmp_path,
            engine={"name": "ray", "address": "127.0.0.1:1"},
            progress=False,
        )
    assert not [*tmp_path.iterdir()]
