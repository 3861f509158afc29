"""One GPU in a given time: training and generation of a student, and BBH and GSM8K compared; a JSON file and a table of it.

    python benchmarks/gpu.py [--seconds 480] [--out gpu] [--device cuda] [--model smollm2-135m] [--only PART ...]

The parts, in this order: `peak` (what a large matrix product reaches), `training` and `generation` (tokens a second and the share
of the peak), `bbh` and `gsm8k` (the recipes compare-bbh and compare-gsm8k with five methods each, on GSM8K those without a
knowledge base; their data are looked for as in a run, under `NESYCD_DATA`). Each part gets its share of the time. What was
measured is written at once to OUT/gpu.json and OUT/gpu.md; the same command goes on with what is missing, a comparison from
where it stopped.

Work is counted in floating-point operations (FLOP) of the products that the method needs: real tokens, no padding, nothing that
is computed twice. Of a training those of the frozen weights forward and backward (4 for each weight and token), of the adapter
(6), of attention, and of the output layer on tokens with loss; of generation 2 for each weight and token.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARES = {"peak": 0.02, "training": 0.15, "generation": 0.13, "bbh": 0.35, "gsm8k": 0.35}
"""Of the time; what a part leaves goes to those after it."""
NOMINAL = {"H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L4": 121, "A10": 125, "RTX 4090": 165}
"""TFLOP/s of dense bf16 products by their makers' data sheets; the first that the device's name contains."""
BATCHES = (256, 4096, 32768)
"""Completion tokens of a training batch."""
PROMPT, COMPLETION = 96, 64
"""Tokens of a text."""
ROWS = (1, 32, 128, 512)
WRITTEN = 128
"""Tokens of an answer."""
COMPARED: dict[str, tuple[str, str, list[str]]] = {
    "bbh": ("compare-bbh", "std_cot,std_cot_kb,raft_kb,nesycd_no_kb,nesycd", []),
    "gsm8k": ("compare-gsm8k", "zero_shot,std_cot,answer_ft,step_by_step,mt_cot", ["teacher.diagnose=own"]),
}
"""Recipe, methods, and changes. No model is asked, so that no server is needed: for GSM8K there is no base then."""
SIZES = "{train = 300, valid = 100, test = 270}"


class Sheet:
    """What was measured, kept in a file after each figure."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.path = folder, folder / "gpu.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.content: dict[str, Any] = {"about": dict(about), "measured": {}}
        if self.path.is_file():
            stored = json.loads(self.path.read_text(encoding="utf-8"))
            if stored["about"] != self.content["about"]:
                raise SystemExit(f"{self.path}: measured with another machine, model or sizes; give another --out")
            self.content = stored

    def has(self, name: str) -> bool:
        """Whether a figure is there and complete."""
        return name in self.content["measured"] and not self.content["measured"][name].get("unfinished")

    def put(self, name: str, figure: Mapping[str, Any]) -> None:
        """Keep a figure."""
        from nesycd.core.storage import write_atomic, write_json_atomic

        self.content["measured"][name] = {**figure, "at": datetime.now(UTC).isoformat(timespec="seconds")}
        write_json_atomic(self.path, self.content, indent=1)
        write_atomic(self.folder / "gpu.md", table(self.content))
        told = ", ".join(f"{key} {value}" for key, value in figure.items() if not isinstance(value, dict))
        print(f"{name}: {told}", file=sys.stderr, flush=True)


def table(content: Mapping[str, Any]) -> str:
    """The figures in Markdown."""
    about, measured = content["about"], content["measured"]
    lines = [f"{about['device']}, {about['model']}, torch {about['torch']}, {about['dtype']}."]
    if "peak" in measured:
        nominal = f" of {about['nominal_tflops']} nominal" if about["nominal_tflops"] else ""
        lines += ["", f"A large product reaches {measured['peak']['tflops']} TFLOP/s{nominal}."]
    if speeds := {name: one for name, one in measured.items() if "tokens_per_second" in one}:
        lines += ["", "| | tokens/s | ms a step | TFLOP/s | share of the measured peak |", "|---|---|---|---|---|"]
        for name, one in speeds.items():
            share = "" if one["share"] is None else f"{one['share']:.2%}"
            lines.append(f"| {name} | {one['tokens_per_second']:,.0f} | {one['ms']} | {one['tflops']} | {share} |")
    for name in COMPARED:
        one = measured.get(name)
        if one is None:
            continue
        lines += ["", f"{name}: {one['told']} ({one['seconds']:.0f} s)."]
        if one["accuracy"]:
            lines += ["", "| method | n | accuracy (95 %) |", "|---|---|---|"]
            lines += [
                f"| `{method}` | {got['n']} | {got['value']:.1%} ({got['low']:.1%}-{got['high']:.1%}) |"
                for method, got in one["accuracy"].items()
            ]
    return "\n".join(lines) + "\n"


# --- peak -------------------------------------------------------------------------------------------------------------


def peak(device: Any, dtype: Any, seconds: float) -> dict[str, Any]:
    """The best of several square products, as large as fits the time."""
    import torch

    best, size, ends = 0.0, 512, time.perf_counter() + seconds
    while size <= 8192 and time.perf_counter() < ends:
        left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        took = [timed(lambda a=left, b=right: a @ b, device) for _ in range(4)]
        best = max(best, 2 * size**3 / min(took[1:]) / 1e12)
        size *= 2
    return {"tflops": float(f"{best:.3g}"), "size": size // 2}


def timed(work: Callable[[], Any], device: Any) -> float:
    """Seconds until the device has done it."""
    started = time.perf_counter()
    work()
    settle(device)
    return time.perf_counter() - started


def settle(device: Any) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)


# --- the student --------------------------------------------------------------------------------------------------------


def work_of(model: Any) -> dict[str, float]:
    """Weights in products: of layers, of adapters, of the output layer; and width of attention over all layers."""
    from nesycd.students.frozen_layers import layers_of

    matrices = [(name, p) for name, p in layers_of(model).named_parameters() if p.dim() == 2]
    text = model.config.get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return {
        "layers": float(sum(p.numel() for name, p in matrices if "lora_" not in name)),
        "adapter": float(sum(p.numel() for name, p in matrices if "lora_" in name)),
        "output": float(model.get_output_embeddings().weight.numel()),
        "attention": float(text.num_hidden_layers * text.num_attention_heads * head),
    }


def training(student: Any, batch_tokens: int, checkpointing: str, seconds: float, scale: int) -> dict[str, Any]:
    """Steps on made-up texts until the time is over; the first two are not timed."""
    from peft import get_peft_model

    from nesycd.core.protocols import TrainSettings
    from nesycd.students.adapters import lora_config, peft_warnings
    from nesycd.students.training import Encoded, fine_tune

    rows = max(1, batch_tokens // COMPLETION)
    settings = TrainSettings(batch_tokens=rows * COMPLETION, epochs=100.0, checkpoint_seconds=3600.0)
    with peft_warnings():
        lora = get_peft_model(student._fresh(), lora_config(student._fresh(), settings))
    model = student._trainable(lora).get_base_model()
    rng, vocabulary = random.Random(0), model.get_input_embeddings().num_embeddings

    def ids(count: int) -> list[int]:
        return [rng.randrange(vocabulary) for _ in range(count)]

    texts = [Encoded(ids(PROMPT // scale), ids(COMPLETION), 1.0) for _ in range(4 * rows)]
    times: list[float] = []
    ends = time.perf_counter() + seconds

    def watch(state: dict[str, Any]) -> None:
        if "loss" in state:
            settle(model.device)
            times.append(time.perf_counter())
            if len(times) >= 4 and times[-1] > ends:
                raise Over

    with tempfile.TemporaryDirectory() as folder:
        saving = checkpointing == "on"
        with suppress(Over):
            fine_tune(model, texts, settings, Path(folder), seed=0, pad_id=0, progress=watch, checkpointing=saving)
    step = median(later - one for one, later in pairwise(times[1:]))
    weights, length = work_of(model), PROMPT // scale + COMPLETION
    each = 4 * weights["layers"] + 6 * weights["adapter"] + 6 * weights["attention"] * length
    flop = rows * (length * each + COMPLETION * 4 * weights["output"])
    return speed(rows * length, step, flop) | {"steps": len(times), "memory_gib": memory(model.device)}


class Over(Exception):
    """The time of a measurement is over."""


def generation(student: Any, rows: int, seconds: float, written: int) -> dict[str, Any]:
    """Answers of a batch, each `written` tokens; the time of reading the prompts counts as that of a step."""
    from nesycd.students.generation import greedy_with_workers

    model = student._with_adapter(None)
    rng, vocabulary = random.Random(0), model.get_input_embeddings().num_embeddings
    prompts = [[rng.randrange(vocabulary) for _ in range(PROMPT)] for _ in range(rows)]
    times: list[float] = []
    ends = time.perf_counter() + seconds

    def watch(done: Any, limit: Any) -> None:
        settle(model.device)
        times.append(time.perf_counter())
        if len(times) >= 8 and times[-1] > ends:
            raise Over

    with suppress(Over):
        greedy_with_workers(model, prompts, eos_ids=frozenset(), pad_id=0, max_new_tokens=written, progress=watch)
    step = (times[-1] - times[0]) / (len(times) - 1)
    weights = work_of(model)
    each = 2 * weights["layers"] + 2 * weights["output"] + 4 * weights["attention"] * (PROMPT + written / 2)
    return speed(rows, step, rows * each) | {"steps": len(times), "memory_gib": memory(model.device)}


def speed(tokens: int, seconds: float, flop: float) -> dict[str, Any]:
    """Figures of a step."""
    return {
        "tokens_per_second": round(tokens / seconds, 1),
        "ms": round(1000 * seconds, 2),
        "tflops": float(f"{flop / seconds / 1e12:.3g}"),
        "share": None,
    }


def memory(device: Any) -> float | None:
    """GiB that were taken at most since the last call; None where the device does not tell."""
    if device.type != "cuda":
        return None
    import torch

    found = torch.cuda.max_memory_allocated(device) / 2**30
    torch.cuda.reset_peak_memory_stats(device)
    return round(found, 2)


# --- comparisons ----------------------------------------------------------------------------------------------------------


def comparison(name: str, options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Run `nesycd compare` for so long; what is finished then is told."""
    recipe, methods, changes = COMPARED[name]
    root = options.out / "runs"
    sets = [*changes, f"task.sizes={options.sizes}", f"student.model={options.model}"]
    sets += [f"student.device={options.device}"]
    sets += options.set
    command = [sys.executable, "-m", "nesycd", "compare", str(ROOT / f"recipes/{recipe}.toml"), "--yes"]
    command += ["--root", str(root.resolve()), "--name", name, "--methods", methods, "--seeds", "0"]
    command += [word for one in sets for word in ("--set", one)]
    log = options.out / f"{name}.log"
    began = time.monotonic()
    with open(log, "a", encoding="utf-8") as out:
        # From the repository's folder, to which the recipes' paths are relative.
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=ROOT)
        try:
            process.wait(max(1.0, seconds))
            told = "finished" if process.returncode == 0 else f"ended with {process.returncode}, see {log.name}"
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            told = "unfinished, the time was over; the same command goes on"
        if process.returncode != 0:
            subprocess.run([*command, "--table"], stdout=out, stderr=out, cwd=ROOT, timeout=120, check=False)
    path = root / name / "comparison.json"
    scores = json.loads(path.read_text(encoding="utf-8"))["scores"] if path.is_file() else {}
    accuracy = {
        method: {key: by["test"]["all"][key] for key in ("n", "value", "low", "high")}
        for method, by in scores.items()
        if "test" in by
    }
    return {
        "told": told,
        "seconds": round(time.monotonic() - began, 1),
        "unfinished": process.returncode != 0,
        "accuracy": accuracy,
    }


# --- all ------------------------------------------------------------------------------------------------------------------


def measure(sheet: Sheet, options: argparse.Namespace, student: Any) -> None:
    """All parts that are missing, within the time."""
    ends = options.begun + options.seconds
    left = {part: share for part, share in SHARES.items() if part in options.only}

    def share(part: str, count: int = 1) -> float:
        return max(0.5, (ends - time.monotonic()) * left[part] / max(1e-9, sum(left.values())) / count)

    device, dtype = student._device, student._dtype
    if "peak" in left:
        if not sheet.has("peak"):
            sheet.put("peak", peak(device, dtype, share("peak")))
        del left["peak"]
    best = sheet.content["measured"].get("peak", {}).get("tflops")

    def keep(name: str, make: Callable[[], dict[str, Any]]) -> None:
        if sheet.has(name) or time.monotonic() > ends:
            return
        try:
            figure = make()
        except RuntimeError as error:
            from nesycd.students.memory import is_out_of_memory

            if not is_out_of_memory(error):
                raise
            figure = {"told": "memory ran out"}
        if best and "tflops" in figure:
            figure["share"] = float(f"{figure['tflops'] / best:.3g}")
        sheet.put(name, figure)

    if "training" in left:
        trainings = [(batch // options.scale, way) for batch in BATCHES for way in ("off", "on")]
        each = share("training", len(trainings))
        for batch, way in trainings:
            name = f"training, {batch} completion tokens a batch{', checkpointing' if way == 'on' else ''}"
            keep(name, lambda b=batch, w=way: training(student, b, w, each, options.scale))
        del left["training"]
    if "generation" in left:
        each = share("generation", len(ROWS))
        for rows in ROWS:
            count, written = max(1, rows // options.scale), max(8, WRITTEN // options.scale)
            keep(f"generation, {count} rows", lambda r=count, w=written: generation(student, r, each, w))
        del left["generation"]
    student._release()
    for name in [part for part in left if part in COMPARED]:
        seconds = min(share(name), ends - time.monotonic())
        del left[name]
        if not sheet.has(name) and seconds > 1:
            sheet.put(name, comparison(name, options, seconds))


def main() -> None:
    """Measure, within the time that is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=480.0, help="for everything, loading included")
    parser.add_argument("--out", type=Path, default=Path("gpu"), help="a folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--only", nargs="*", choices=list(SHARES), default=list(SHARES))
    parser.add_argument("--sizes", default=SIZES, help="questions of a comparison")
    parser.add_argument("--set", action="append", default=[], help="a change to the recipes of the comparisons")
    parser.add_argument("--scale", type=int, default=1, help="divides batches, rows and lengths, to try the script")
    options = parser.parse_args()
    options.begun = time.monotonic()
    import torch

    from nesycd.runs.manifest import machine
    from nesycd.students.local import LocalStudent

    student = LocalStudent(options.model, device=options.device, compile="off")
    device = student._device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({machine()['cpu']})"
    about = {
        "device": name,
        "nominal_tflops": next((value for part, value in NOMINAL.items() if part in name), None),
        "torch": torch.__version__,
        "dtype": str(student._dtype).removeprefix("torch."),
        "model": options.model,
        "sizes": options.sizes,
        "scale": options.scale,
        "changes": options.set,
        "machine": machine(),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    sheet = Sheet(options.out, about)
    if not os.environ.get("NESYCD_DATA"):
        print("NESYCD_DATA is not set: data of BBH and GSM8K are looked for in this folder", file=sys.stderr)
    measure(sheet, options, student)
    print((options.out / "gpu.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
