"""Several processes train as one does: gloo on the CPU, a tiny random model, started as a run starts them."""

from __future__ import annotations

import copy
import json
import random
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file  # noqa: E402

from nesycd.core.errors import ConfigError, ModelError, RunError  # noqa: E402
from nesycd.core.protocols import TrainReport, TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import own  # noqa: E402
from nesycd.students import launching, local  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402
from nesycd.students.processes import ALONE, Processes  # noqa: E402
from nesycd.students.training import Encoded, accumulate, forward_parts, shared_parts  # noqa: E402

SETTINGS = TrainSettings(learning_rate=0.05, epochs=6, batch_tokens=120, rank=2, alpha=4, checkpoint_seconds=0.0)


def texts(count: int = 14) -> list[TrainingText]:
    rng = random.Random(0)
    return [
        TrainingText(
            example=str(number),
            task="direct",
            prompt="How many feet? " * rng.randint(1, 4),
            segments=own("A fathom is 6 feet. " * rng.randint(1, 3)),
            weight=rng.choice((0.5, 1.0)),
        )
        for number in range(count)
    ]


def trained(
    student: LocalStudent, folder: Path, settings: TrainSettings = SETTINGS, stop_at: int | None = None, **options: Any
) -> tuple[TrainReport | None, list[float]]:
    """The report and the losses of a training; stopped after a step, as Ctrl-C would, where one is given."""
    losses: list[float] = []

    def watch(state: dict[str, Any]) -> None:
        if "loss" in state:
            losses.append(state["loss"])
        if stop_at is not None and len(losses) == stop_at:
            raise KeyboardInterrupt

    folder.mkdir(exist_ok=True)
    if stop_at is None:
        return student.train(texts(), settings, folder, seed=3, progress=watch, **options), losses
    with pytest.raises(KeyboardInterrupt):
        student.train(texts(), settings, folder, seed=3, progress=watch, **options)
    return None, losses


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "adapter_model.safetensors")


def test_a_batch_is_dealt_out_whole() -> None:
    batch = [Encoded([1] * n, [2] * 2, 1.0) for n in (5, 900, 3, 1500, 700, 2000, 1200)]
    shares = [Processes(rank, 3).share(batch) for rank in range(3)]
    assert sorted(map(len, (text for share in shares for text in share))) == sorted(map(len, batch))
    assert ALONE.share(batch) == batch
    assert shares[0] == Processes(2, 3).share(batch, rank=0)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_with_shards_all_make_the_same_number_of_passes(count: int) -> None:
    batch = [Encoded([1] * (n * 700), [2] * 2, 1.0) for n in range(1, count + 1)]
    made = [shared_parts(batch, Processes(rank, 4), sharded=True) for rank in range(4)]
    assert len({len(parts) for parts in made}) == 1
    weighted = [text for parts in made for part in parts for text in part if text.weight]
    assert sorted(map(len, weighted)) == sorted(map(len, batch))
    assert shared_parts(batch, ALONE, sharded=False) == forward_parts(batch)


def test_gradients_of_all_shares_add_up_to_the_batchs(model: Any) -> None:
    rng = random.Random(1)
    batch = [Encoded([rng.randrange(64) for _ in range(n)], [1, 2], 1.0) for n in (9, 3, 5, 7, 4)]
    lora = copy.deepcopy(model).train()

    def gradient(parts: list[list[Encoded]]) -> Any:
        lora.zero_grad()
        for part in parts:
            accumulate(lora, part, 0.1, 0)
        return torch.cat([parameter.grad.flatten() for parameter in lora.parameters()])

    for sharded in (False, True):
        each = [gradient(shared_parts(batch, Processes(rank, 3), sharded)) for rank in range(3)]
        torch.testing.assert_close(sum(each), gradient([batch]), atol=1e-6, rtol=1e-4)


# --- what is started and followed: launchers that only talk ---------------------------------------------------------------


@pytest.fixture
def said(tiny_student: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Trains by a launcher that runs a script in place of the processes."""
    student = str(tiny_student())

    def made(script: str, **options: Any) -> Any:
        (tmp_path / "launcher.py").write_text(f"import json, os, sys, time\nJOB = sys.argv[-2]\n{script}")
        monkeypatch.setenv(launching.VARIABLE, f"{sys.executable} {tmp_path}/launcher.py")
        return trained(LocalStudent(student, device="cpu"), tmp_path / "adapter", **options)

    return made


REPORT = {"steps": 2, "tokens": 9, "completion_tokens": 4, "loss": 0.5, "dropped": 1, "seconds": 1.0}


def test_a_launcher_of_the_machines_own_gets_the_whole_job(said: Any, tmp_path: Path) -> None:
    script = f"""
print("0: nesycd-training: " + json.dumps(dict(step=1, steps=2, loss=0.75, tokens_per_second=1)), flush=True)
assert sys.argv[1:3] == ["-m", "nesycd.students.train_job"] and sys.argv[-1] == "--follow"
job = json.load(open(JOB + "/job.json"))
assert job["settings"]["rank"] == 2 and job["student"]["device"] == "cpu" and job["seed"] == 3, job
assert len(open(JOB + "/texts.jsonl").readlines()) == 14
json.dump({REPORT}, open(JOB + "/report.json", "w"))
"""
    report, losses = said(script)
    assert report == TrainReport(**REPORT) and losses == [0.75]
    assert not (tmp_path / "adapter/job").exists()


def test_a_mistake_that_a_process_tells_is_told_as_in_this_one(said: Any) -> None:
    message = {"error": "ModelError", "text": "none of 14 training texts fits"}
    with pytest.raises(ModelError, match=r"^none of 14 training texts fits$"):
        said(f"print('nesycd-training: ' + {json.dumps(message)!r}, flush=True); sys.exit(2)")


def test_processes_that_die_leave_what_they_said_and_a_way_on(said: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"status 9 \(out of paper\).*log\.txt.*the same command goes on"):
        said("print('out of paper'); print('-----'); sys.exit(9)")
    assert "out of paper" in (tmp_path / "adapter/job/log.txt").read_text()


def test_a_launcher_that_is_not_there_is_named(tiny_student: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(launching.VARIABLE, "no-such-launcher --n 2")
    with pytest.raises(ConfigError, match=r"NESYCD_LAUNCH: no-such-launcher cannot be started"):
        trained(LocalStudent(str(tiny_student()), device="cpu"), tmp_path / "adapter")


@pytest.mark.parametrize("named, told", [("torchrun 'a", "No closing quotation"), (" ", "it is blank")])
def test_a_launcher_that_is_no_command_is_told_before_anything_is_trained(
    named: str, told: str, tiny_student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(launching.VARIABLE, named)
    with pytest.raises(ConfigError, match=rf"NESYCD_LAUNCH: not a command \({told}\)"):
        LocalStudent(str(tiny_student()), device="cpu")


def is_alive(pid: str) -> bool:
    try:
        return not re.search(r"State:\s+Z", Path(f"/proc/{pid}/status").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the system has no /proc")
def test_an_interrupt_ends_all_that_was_started(said: Any, tmp_path: Path) -> None:
    script = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(tmp_path / "pids")!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
print("nesycd-training: " + json.dumps(dict(step=1, steps=2, loss=0.75, tokens_per_second=1)), flush=True)
time.sleep(600)
"""
    said(script, stop_at=1)
    for pid in (tmp_path / "pids").read_text().split():
        deadline = time.monotonic() + 10
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_alive(pid)


def test_more_processes_than_gpus_are_refused(tiny_student: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"training\.processes = 3, but this machine has 2 GPU"):
        launching.check_processes(3, torch.device("cuda"))
    monkeypatch.setattr(launching.os, "cpu_count", lambda: 2)
    with pytest.raises(ConfigError, match=r"training\.processes = 3, but this machine has 2 processor core"):
        launching.check_processes(3, torch.device("cpu"))
    launching.check_processes(2, torch.device("cpu"))
    with pytest.raises(ConfigError, match="Apple's GPU"):
        launching.check_processes(2, torch.device("mps"))
    with pytest.raises(ConfigError, match=r"set training\.processes = N too"):
        launching.check_processes(1, torch.device("cuda"), shard=True)
    with pytest.raises(ConfigError, match=r"leave out training\.shard or student\.quantise"):
        launching.check_processes(2, torch.device("cuda"), shard=True, quantised=True)
    monkeypatch.setenv(launching.VARIABLE, "srun torchrun")
    launching.check_processes(3, torch.device("cuda"))
    launching.check_processes(1, torch.device("cuda"), shard=True)


def test_a_run_that_a_launcher_started_several_times_is_refused(
    tiny_student: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ConfigError, match=r"start it once, with training\.processes"):
        LocalStudent(str(tiny_student()), device="cpu")


# --- real processes -------------------------------------------------------------------------------------------------------


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything in fp32, in the processes too, so that rounding hides nothing."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(local, "pick_dtype", lambda device: torch.float32)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_give_the_loss_curve_of_one(shard: bool, exact: None, tiny_student: Any, tmp_path: Path) -> None:
    model = str(tiny_student(num_hidden_layers=2))
    _, expected = trained(LocalStudent(model, device="cpu"), tmp_path / "one")
    # Sharded, checkpointing comes on top: both change no result.
    both = LocalStudent(model, device="cpu", processes=2, shard=shard, checkpointing="on" if shard else "off")
    report, losses = trained(both, tmp_path / "two")
    assert losses == pytest.approx(expected, rel=1e-4)
    assert losses[-1] < losses[0] - 0.1 and report is not None and report.steps == len(losses) > 8
    one = weights(tmp_path / "one")
    for name, tensor in weights(tmp_path / "two").items():
        torch.testing.assert_close(tensor, one[name], atol=1e-3, rtol=1e-2)
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == [
        "adapter_config.json", "adapter_model.safetensors"
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_interrupted_training_of_two_goes_on_to_the_bit(exact: None, tiny_student: Any, tmp_path: Path) -> None:
    student = LocalStudent(str(tiny_student(num_hidden_layers=2)), device="cpu", processes=2)
    # Each process drops other units, and must go on with the random numbers that it had.
    settings = replace(SETTINGS, dropout=0.2)
    _, whole = trained(student, tmp_path / "whole", settings)
    trained(student, tmp_path / "again", settings, stop_at=4)
    assert (tmp_path / "again/checkpoint").is_dir()
    _, rest = trained(student, tmp_path / "again", settings)
    assert 0 < len(rest) < len(whole) and rest == whole[-len(rest) :]
    again = weights(tmp_path / "again")
    assert all(torch.equal(tensor, again[name]) for name, tensor in weights(tmp_path / "whole").items())
