"""A run that is killed again and again ends as one that was left alone."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nesycd.runs.manifest import without_times

PIPELINE = """
import json, sys, time
from pathlib import Path
from nesycd.core.answers import Attempt
from nesycd.core.records import Rationale
from nesycd.core.storage import write_json_atomic
from nesycd.runs.run import Run

KEYS = [f"q{number}" for number in range(24)]

def rationales(keys):
    for key in reversed(keys):
        time.sleep(0.004)
        yield Rationale(example=key, teacher="toy", text=f"about {key}", seconds=time.time())

def train(folder):
    checkpoint = folder / "checkpoint"
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    while step < 20:
        time.sleep(0.005)
        step += 1
        (folder / "part").write_text(str(step))
        (folder / "part").replace(checkpoint)
    checkpoint.unlink()
    (folder / "adapter").write_text(f"after {step} steps")
    return {"steps": step}

def answers(batch):
    # Each answer depends on its company, as with bf16.
    for place, key in enumerate(batch):
        time.sleep(0.004)
        yield Attempt(example=key, solver="toy", response=f"{key} {place} of {batch}", seconds=time.time())

with Run.open(Path(sys.argv[1]), {"seed": 1}) as run:
    told = run.records("rationalise", Rationale, {"seed": 1}, KEYS, rationales)
    student = run.artifact("distil", {"texts": told}, train)
    plan = lambda: [KEYS[start::5] for start in range(5)]
    solved = run.batches("solve", Attempt, {"student": student}, plan, answers, keys=KEYS)
    kept = run.computed("keep", Attempt, {"solved": solved}, lambda: [one for one in solved if "0 of" in one.response])
    run.value("count", {"kept": kept}, lambda: {"kept": len(kept)})
    write_json_atomic(run.results_path, {"kept": len(kept), "total_seconds": time.time()})
    run.finish()
"""


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run left behind, but for times and the lock's process number."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        name, text = str(path.relative_to(folder)), path.read_text() if path.is_file() else ""
        if path.suffix == ".jsonl":
            found[name] = [without_times(json.loads(line)) for line in text.splitlines()]
        elif path.suffix == ".json":
            found[name] = without_times(json.loads(text))
        elif name != "lock":
            found[name] = text
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="the system has no SIGKILL")
def test_a_killed_run_ends_as_one_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "pipeline.py"
    script.write_text(PIPELINE)

    def start(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(script), str(tmp_path / name)], cwd=Path(__file__).parents[2])

    assert start("alone").wait() == 0
    moments = random.Random(7)
    kills = 0
    for _ in range(6):
        process = start("killed")
        try:
            process.wait(moments.uniform(0.1, 0.35))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 3
    assert start("killed").wait() == 0
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "alone")
    before = outcome(tmp_path / "killed")
    assert start("killed").wait() == 0
    assert outcome(tmp_path / "killed") == before
