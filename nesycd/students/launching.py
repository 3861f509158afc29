"""A training in processes of its own, one on each device: started, followed and ended here; the work is `train_job.py`'s.

The launcher is torch's (`torchrun`), for one machine. `NESYCD_LAUNCH` names another, for several: the command that starts Python
on them, such as `accelerate launch --config_file cluster.yaml`. It belongs to the machine, so no recipe can name it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from nesycd.core import errors
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.protocols import TrainReport, TrainSettings
from nesycd.core.records import TrainingText
from nesycd.core.storage import disk_errors, write_json_atomic
from nesycd.students.train_job import JOB, MARK, REPORT, TEXTS

VARIABLE = "NESYCD_LAUNCH"
FOLDER = "job"
LOG = "log.txt"
_PATIENCE = 30.0
"""Seconds in which processes end that were told to."""


def is_launched(processes: int) -> bool:
    """Whether trainings go to processes of their own: the recipe asks for several, or the machine has a launcher of its own."""
    return processes > 1 or bool(os.environ.get(VARIABLE))


def check_processes(processes: int, device: torch.device, shard: bool = False, quantised: bool = False) -> None:
    """Refuse processes that could not train together: more than there are GPUs, say, unless the machine has its own launcher.

    Raises:
        ConfigError: they could not, or this process has been started by a launcher itself.
    """
    if shard and quantised:
        raise ConfigError(
            "training.shard: weights in 4 bits cannot be sharded; leave out training.shard or student.quantise"
        )
    if shard and not is_launched(processes):
        raise ConfigError("training.shard: weights are shared by several processes; set training.processes = N too")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and "LOCAL_RANK" in os.environ:
        raise ConfigError(
            "this command was started several times by a launcher; start it once, with training.processes = N (it starts the "
            f"processes that train), or with the launcher's command in {VARIABLE}"
        )
    if os.environ.get(VARIABLE):
        launcher(processes)
        return
    if processes == 1:
        return
    if device.type == "mps":
        raise ConfigError("training.processes: several processes cannot share Apple's GPU; leave it out")
    if device.type == "cuda" and processes > torch.cuda.device_count():
        raise ConfigError(
            f"training.processes = {processes}, but this machine has {torch.cuda.device_count()} GPU(s); lower it, or name a "
            f"launcher for several machines in {VARIABLE}"
        )
    if device.type == "cpu" and processes > (cores := os.cpu_count() or 1):
        raise ConfigError(f"training.processes = {processes}, but this machine has {cores} processor core(s); lower it")


def launcher(processes: int) -> list[str]:
    """The command that starts the processes, up to Python's own options.

    Raises:
        ConfigError: the machine's own launcher is no command.
    """
    if named := os.environ.get(VARIABLE):
        try:
            if words := shlex.split(named):
                return words
        except ValueError as error:
            raise ConfigError(f"{VARIABLE}: not a command ({error})") from None
        raise ConfigError(f"{VARIABLE}: not a command (it is blank)")
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]


def train(
    student: Mapping[str, Any],
    texts: Sequence[TrainingText],
    settings: TrainSettings,
    folder: Path,
    *,
    processes: int,
    seed: int,
    init: Path | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> TrainReport:
    """Have processes train an adapter into `folder`; they end with this call, however it ends. See `Student.train`.

    Args:
        student: arguments of `LocalStudent`.
        texts: to train on.
        settings: of the training.
        folder: the adapter's, which all processes must reach under this path.
        processes: how many, on this machine.
        seed: see `Student.train`.
        init: see there.
        progress: see there.

    Raises:
        NesycdError: one of a process, as in a training in this one.
        RunError: the processes ended otherwise; the last checkpoint is kept.
    """
    job = folder.resolve() / FOLDER
    shutil.rmtree(job, ignore_errors=True)
    with disk_errors(folder):
        job.mkdir(parents=True)
        with open(job / TEXTS, "w", encoding="utf-8") as lines:
            for text in texts:
                lines.write(text.model_dump_json() + "\n")
    start = None if init is None else str(init.resolve())
    settled = dataclasses.asdict(settings)
    write_json_atomic(
        job / JOB,
        {"student": dict(student), "settings": settled, "folder": str(folder.resolve()), "seed": seed, "init": start},
    )
    process = _start([*launcher(processes), "-m", "nesycd.students.train_job", str(job), "--follow"], processes)
    try:
        told, last = _follow(process, job / LOG, progress)
    finally:
        _end(process)
    if process.returncode or not (job / REPORT).is_file():
        if told is not None:
            raise getattr(errors, str(told["error"]), RunError)(told["text"])
        raise RunError(
            f"the training's processes ended with status {process.returncode} ({last}); what they said is in {job / LOG}. The "
            "last checkpoint is kept: the same command goes on from it"
        )
    report = TrainReport(**json.loads((job / REPORT).read_text(encoding="utf-8")))
    shutil.rmtree(job)
    return report


def _start(command: list[str], processes: int) -> subprocess.Popen[str]:
    # Both launchers' commands lie beside Python; torchrun gives each process one thread unless told.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, torch.get_num_threads() // processes))
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "PATH": path, "OMP_NUM_THREADS": threads},
            # Ctrl-C is this process's, which ends them.
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(f"{VARIABLE}: {command[0]} cannot be started ({error.strerror or error})") from None


def _follow(
    process: subprocess.Popen[str], log: Path, progress: Callable[[dict[str, Any]], None] | None
) -> tuple[dict[str, Any] | None, str]:
    """Read what the processes say until they end: the error that one of them told, and the last line of anything else."""
    assert process.stdout is not None
    told: dict[str, Any] | None = None
    last: deque[str] = deque(maxlen=1)
    with open(log, "w", encoding="utf-8") as kept:
        for line in process.stdout:
            before, mark, message = line.partition(MARK)
            if not mark:
                kept.write(before)
                kept.flush()
                last.extend([line.strip()] if line.strip(" =-\n") else [])
                continue
            state = json.loads(message)
            if "error" in state:
                told = told or state
            elif progress is not None:
                progress(state)
    process.wait()
    return told, last[0] if last else "they said nothing"


def _end(process: subprocess.Popen[str]) -> None:
    """End the launcher and what it started."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
