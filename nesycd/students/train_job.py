"""One of the processes that share a training: `torchrun ... -m nesycd.students.train_job JOB`, or by `accelerate launch`.

A run starts them itself (`launching.py`). JOB is a folder that says all that is needed; the adapter is written by the first
process, and what it reports goes to the standard output, a line each.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nesycd.core import errors
from nesycd.core.protocols import TrainSettings
from nesycd.core.records import TrainingText
from nesycd.core.storage import FolderLock, write_json_atomic

MARK = "nesycd-training: "
"""Begins the lines that are meant for the run; a launcher may put something before it."""
JOB, TEXTS, REPORT, LOCK = "job.json", "texts.jsonl", "report.json", "lock"


def tell(message: dict[str, Any]) -> None:
    """Send a message to the run that follows."""
    print(f"{MARK}{json.dumps(message)}", flush=True)


def end_with_input() -> None:
    """End this process when its standard input ends, as it does when the run dies: what is left would write into the next one's
    folder."""

    def wait() -> None:
        while os.read(0, 1 << 16):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def texts_of(folder: Path) -> Iterator[TrainingText]:
    """The texts of a job."""
    with open(folder / TEXTS, encoding="utf-8") as lines:
        for line in lines:
            yield TrainingText.model_validate_json(line)


def work(folder: Path) -> None:
    """Do this process's part of the job in `folder`.

    Raises:
        NesycdError: see `Student.train`.
    """
    from nesycd.students.local import LocalStudent
    from nesycd.students.processes import Processes

    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    processes = Processes.joined(job["student"]["device"])
    lock = FolderLock(folder / LOCK) if processes.rank == 0 else None
    student = LocalStudent(**job["student"], processes=processes)
    report = student.train(
        list(texts_of(folder)),
        TrainSettings(**job["settings"]),
        Path(job["folder"]),
        seed=job["seed"],
        init=Path(job["init"]) if job["init"] else None,
        progress=tell if processes.rank == 0 else None,
    )
    processes.leave()
    if lock is not None:
        write_json_atomic(folder / REPORT, dataclasses.asdict(report))
        lock.release()


def main() -> None:
    """Do it; a user's mistake is told to the run, and any other error keeps its traceback."""
    folder = Path(sys.argv[1])
    if "--follow" in sys.argv and os.environ.get("RANK", "0") == "0":
        end_with_input()
    try:
        work(folder)
    except errors.NesycdError as error:
        tell({"error": type(error).__name__, "text": str(error)})
        sys.exit(2)


if __name__ == "__main__":
    main()
