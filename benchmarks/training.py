"""LoRA training, real tokens a second: nesycd beside TRL's SFTTrainer, same model, texts, batch, precision and learning rate.

    python benchmarks/training.py [--texts 240] [--epochs 2] [--runs 3] [--peers FOLDER]

Each training is a process of its own, in turn (A, B, C, A, B, C, ...), so that a busy machine slows all alike. The texts are
longtail's questions with their derivations; 48 others measure the loss that each training ends with. TRL runs in an environment
of its own, which is made (`--peers`, 1 GB) unless it is there. Seconds are those of the training alone, without loading the
model, with what is compiled or computed beforehand. Prints one JSON object.

On a processor with bf16, `ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` measure as on one without.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from peer import PEERS, called, environment

RANK, ALPHA, LEARNING_RATE, WARMUP, BATCH = 16, 32, 2e-3, 0.1, 8


def questions(count: int) -> tuple[list[Any], list[Any]]:
    """Training texts of longtail: `count` to train on, 48 others to measure on."""
    from nesycd.core.records import Rationale
    from nesycd.prompts import Prompts
    from nesycd.stages.distil import direct_text
    from nesycd.tasks.longtail import LongTail, LongTailSettings

    prompts, made = Prompts.load(), []
    task = LongTail(LongTailSettings())
    for split, most in (("train", count), ("valid", 48)):
        examples = [e for e in task.load(split) if e.truth]
        random.Random(0).shuffle(examples)
        gold = [
            Rationale(example=e.uid, teacher="gold", text=" ".join(e.truth.steps), answer=e.answer) for e in examples
        ]
        made.append([direct_text(*pair, prompts) for pair in zip(examples[:most], gold, strict=False)])
    return made[0], made[1]


def ours(given: dict[str, Any]) -> dict[str, Any]:
    """One training of nesycd, as the peer's script does it."""
    import time

    from nesycd.core.protocols import TrainSettings
    from nesycd.core.records import TrainingText
    from nesycd.students.local import LocalStudent

    student = LocalStudent(given["model"], compile=given["compile"])
    texts = [TrainingText.model_validate_json(line) for line in Path(given["records"]).read_text().splitlines()]
    student.load()
    started = time.perf_counter()
    report = student.train(texts, TrainSettings(**given["settings"]), Path(given["folder"]), seed=0)
    return {"seconds": time.perf_counter() - started, "steps": report.steps}


def losses(given: dict[str, Any]) -> dict[str, float]:
    """Mean loss (nats a completion token) of each adapter on the texts that none has seen."""
    import torch
    from transformers import AutoModelForCausalLM

    from nesycd.students.adapters import merged
    from nesycd.students.training import token_losses

    encoded = encoded_texts(given)
    found = {}
    for name, folder in given["adapters"].items():
        fresh = AutoModelForCausalLM.from_pretrained(given["model"], dtype=getattr(torch, given["dtype"]))
        model = merged(fresh, Path(folder)).eval()
        with torch.inference_mode():
            each = torch.cat([token_losses(model, [text], 0)[0] for text in encoded])
        found[name] = each.mean().item()
    return found


def encoded_texts(given: dict[str, Any]) -> list[Any]:
    """The texts of a file of records as token ids."""
    from nesycd.core.records import TrainingText
    from nesycd.students.local import LocalStudent
    from nesycd.students.training import Encoded

    renderer = LocalStudent().renderer
    lines = Path(given["records"]).read_text().splitlines()
    texts = [TrainingText.model_validate_json(line) for line in lines]
    return [Encoded(renderer.prompt_ids(text.prompt), renderer.completion_ids(text.completion), 1.0) for text in texts]


def kinds(dtype: str, completion_tokens: float) -> dict[str, dict[str, Any]]:
    """The trainings to compare: settings by name."""
    shared = {"learning_rate": LEARNING_RATE, "max_tokens": 1024, "warmup": WARMUP, "rank": RANK, "alpha": ALPHA}
    ours = {**shared, "batch_tokens": round(BATCH * completion_tokens)}
    trl = {
        "learning_rate": LEARNING_RATE,
        "lr_scheduler_type": "cosine",
        "warmup_steps": WARMUP,
        "per_device_train_batch_size": BATCH,
        "bf16": dtype == "bfloat16",
        "use_cpu": True,
    }
    return {
        "trl": {"by": "trl", "settings": trl},
        "trl, no checkpointing": {"by": "trl", "settings": {**trl, "gradient_checkpointing": False}},
        "nesycd": {"by": "nesycd", "settings": ours, "compile": "off"},
        "nesycd, upper half": {
            "by": "nesycd",
            "settings": {**ours, "adapted_layers": 0.5, "rank": 2 * RANK, "alpha": 2 * ALPHA},
            "compile": "off",
        },
    }


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=240)
    parser.add_argument("--epochs", type=float, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of trainings; default: all")
    parser.add_argument("--peers", type=Path, default=Path.home() / ".cache" / "nesycd-peers")
    parser.add_argument("--do", choices=["ours", "losses"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        made = {"ours": ours, "losses": losses}[options.do](json.load(sys.stdin))
        print(json.dumps(made))
        return
    from nesycd.runs.manifest import machine
    from nesycd.students import embedded
    from nesycd.students.devices import pick_device, pick_dtype

    python = environment(options.peers, "requirements.txt")
    dtype = str(pick_dtype(pick_device("cpu"))).removeprefix("torch.")
    train, held_out = questions(options.texts)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, texts in (("train", train), ("held-out", held_out)):
            (folder / f"{name}.jsonl").write_text("".join(text.model_dump_json() + "\n" for text in texts))
        encoded = encoded_texts({"records": str(folder / "train.jsonl")})
        tokens = sum(map(len, encoded)) * options.epochs
        rows = [
            {"input_ids": text.prompt + text.completion, "labels": [-100] * len(text.prompt) + text.completion}
            for text in encoded
        ]
        (folder / "ids.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        model = str(embedded.fetch())
        every = kinds(dtype, sum(text.learned for text in encoded) / len(encoded))
        chosen = {name: kind for name, kind in every.items() if not options.only or name in options.only}
        timed: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
        for run in range(options.runs):
            for name, kind in chosen.items():
                out = folder / f"{name}-{run}"
                given = {"folder": str(out), "model": model, "dtype": dtype, "rank": RANK, "alpha": ALPHA}
                if kind["by"] == "trl":
                    settings = {**kind["settings"], "num_train_epochs": options.epochs, "seed": run}
                    given |= {"texts": str(folder / "ids.jsonl"), "settings": settings}
                    timed[name].append(called([python, PEERS / "trl_training.py"], given))
                else:
                    given |= {
                        "model": embedded.NAME,
                        "records": str(folder / "train.jsonl"),
                        "settings": {**kind["settings"], "epochs": options.epochs},
                        "compile": kind["compile"],
                    }
                    timed[name].append(called([sys.executable, __file__, "--do", "ours"], given))
                print(f"{name}, run {run}: {tokens / timed[name][-1]['seconds']:.0f} tokens/s", file=sys.stderr)
        last = {name: str(folder / f"{name}-{options.runs - 1}") for name in chosen}
        given = {"model": model, "dtype": dtype, "records": str(folder / "held-out.jsonl"), "adapters": last}
        loss = called([sys.executable, __file__, "--do", "losses"], given)
    base = "trl" if "trl" in chosen else next(iter(chosen))
    report = {
        "machine": {**machine(), "dtype": dtype},
        "capability": os.environ.get("ATEN_CPU_CAPABILITY", "default"),
        "tokens": tokens,
        "trainings": {
            name: {
                "tokens_per_second": [round(tokens / one["seconds"], 1) for one in made],
                "median": round(median(tokens / one["seconds"] for one in made), 1),
                f"times_{base}": sorted(
                    round(of["seconds"] / one["seconds"], 2) for one, of in zip(made, timed[base], strict=True)
                ),
                "steps": made[-1]["steps"],
                "held_out_loss": round(loss[name], 4),
            }
            for name, made in timed.items()
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
