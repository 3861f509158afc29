"""Answering, questions a minute: nesycd beside fixed batches in file order (transformers) and vLLM, same prompts and weights.

    python benchmarks/answering.py [--run runs/demo] [--questions 256] [--runs 3] [--only NAME ...] [--vllm FOLDER]

The prompts are the test questions of a finished run (default: the demo's, unpacked to a temporary folder), its adapter is merged
into the weights, decoding is greedy to the recipe's limit. Each answerer is a process of its own, in turn (A, B, C, A, B, ...),
so that a busy machine slows all alike; seconds are those of answering alone, with the model loaded and warm. `calls` answers the
same questions with look-ups, which the others cannot. vLLM runs in an environment of its own, which is made unless it is there.
Prints one JSON object.

On a processor with bf16, `ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` measure transformers and nesycd as on one without.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from peer import PEERS, called, environment

FIXED = 32
"""Rows of a fixed batch."""


def ours(given: dict[str, Any]) -> Callable[[], list[str]]:
    """nesycd, loaded and warm: what answers all."""
    from nesycd.core.protocols import Decoding, Prompt
    from nesycd.core.segments import text_of
    from nesycd.students.local import LocalStudent

    student = LocalStudent(given["model"])
    decoding = Decoding(limit=given["limit"])

    def answer(texts: list[str]) -> list[str]:
        prompts = [Prompt(str(place), text) for place, text in enumerate(texts)]
        found = [""] * len(prompts)
        for batch in student.plan(prompts):
            made = student.generate([prompts[place] for place in batch], adapter=None, decoding=decoding)
            for place, one in zip(batch, made, strict=True):
                found[place] = text_of(one.segments)
        return found

    answer(given["prompts"][:2])
    return lambda: answer(given["prompts"])


def calls(given: dict[str, Any]) -> Callable[[], list[str]]:
    """nesycd with look-ups in the run's base."""
    import nesycd
    from nesycd.core.records import Example
    from nesycd.methods.predict import Predictor
    from nesycd.runs.predictions import Predictions
    from nesycd.runs.run import read_records

    run = nesycd.open_run(given["run"])
    run.predictor = Predictor(run.student, Predictions())  # nothing is known beforehand
    examples = {one.uid: one for one in read_records(Path(given["run"]), "examples-test", Example)}
    asked = [examples[uid] for uid in given["uids"]]

    def answer(some: list[Any]) -> list[str]:
        return [one.response for one in run.respond(some, "nesycd")]

    answer(asked[:2])
    return lambda: answer(asked)


def fixed(given: dict[str, Any]) -> Callable[[], list[str]]:
    """transformers' generate with batches of `FIXED` in file order."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(given["model"], dtype=getattr(torch, given["dtype"])).eval()
    tokenizer = AutoTokenizer.from_pretrained(given["model"], padding_side="left")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token

    def answer(rows: list[list[int]]) -> list[str]:
        found = []
        for start in range(0, len(rows), FIXED):
            inputs = tokenizer.pad({"input_ids": rows[start : start + FIXED]}, return_tensors="pt")
            with torch.inference_mode():
                made = model.generate(**inputs, do_sample=False, max_new_tokens=given["limit"])
            found += tokenizer.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return found

    answer(given["ids"][:2])
    return lambda: answer(given["ids"])


KINDS = {"nesycd": ours, "nesycd, calls": calls, f"transformers, batches of {FIXED}": fixed}
VLLM = "vLLM"


def answers(given: dict[str, Any]) -> dict[str, Any]:
    """Seconds and answers of one answerer."""
    run = KINDS[given["kind"]](given)
    started = time.perf_counter()
    found = run()
    return {"seconds": time.perf_counter() - started, "answers": found}


def prepared(run: Path, count: int, folder: Path) -> dict[str, Any]:
    """The run's merged weights in a folder, and its prompts."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    import nesycd
    from nesycd.core.records import Example
    from nesycd.prompts import Prompts
    from nesycd.runs.run import read_records
    from nesycd.students import embedded
    from nesycd.students.adapters import merged
    from nesycd.students.devices import pick_device, pick_dtype
    from nesycd.students.local import LocalStudent

    opened = nesycd.open_run(run)
    every = read_records(run, "examples-test", Example)
    examples = [every[place] for place in sorted(random.Random(0).sample(range(len(every)), min(count, len(every))))]
    prompts, dtype = Prompts.load(opened.recipe.prompts), pick_dtype(pick_device("cpu"))
    texts = [prompts.closed_book(example) for example in examples]
    renderer, source = LocalStudent().renderer, str(embedded.fetch())
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    merged(model, opened.adapter("nesycd").path).to(dtype).save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(source).save_pretrained(folder / "model")
    return {
        "run": str(run),
        "model": str(folder / "model"),
        "limit": opened.recipe.student.max_new_tokens,
        "dtype": str(dtype).removeprefix("torch."),
        "uids": [example.uid for example in examples],
        "prompts": texts,
        "ids": [renderer.prompt_ids(text) for text in texts],
    }


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run of the embedded student that trained nesycd")
    parser.add_argument("--questions", type=int, default=256)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=[*KINDS, VLLM], help="names of answerers; default: all")
    parser.add_argument("--vllm", type=Path, default=Path.home() / ".cache" / "nesycd-vllm")
    parser.add_argument("--do", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        print(json.dumps(answers(json.load(sys.stdin))))
        return
    from nesycd.api.demo import demo_folder
    from nesycd.runs.manifest import machine

    chosen = options.only or [*KINDS, VLLM]
    # The others' builds do not match the torch that comes with vLLM, and answering text needs none of them.
    others = ("torchvision", "torchaudio", "torchcodec")
    python = environment(options.vllm, "vllm-requirements.txt", others) if VLLM in chosen else Path()
    with tempfile.TemporaryDirectory() as scratch:
        given = prepared(options.run or demo_folder(Path(scratch)), options.questions, Path(scratch))
        made: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
        for run in range(options.runs):
            for name in chosen:
                if name == VLLM:
                    peer = [python, PEERS / "vllm_answering.py"]
                    made[name].append(called(peer, given, VLLM_CPU_KVCACHE_SPACE="2", VLLM_LOGGING_LEVEL="ERROR"))
                else:
                    made[name].append(called([sys.executable, __file__, "--do"], {**given, "kind": name}))
                print(f"{name}, run {run}: {made[name][-1]['seconds']:.1f} s", file=sys.stderr)
    base = next(iter(made))
    first = {name: runs[0]["answers"] for name, runs in made.items()}
    report = {
        "machine": {**machine(), "dtype": given["dtype"]},
        "capability": os.environ.get("ATEN_CPU_CAPABILITY", "default"),
        "questions": len(given["ids"]),
        "prompt_tokens": sum(map(len, given["ids"])),
        "answerers": {
            name: {
                "seconds": [round(one["seconds"], 1) for one in runs],
                "questions_a_minute": round(60 * len(given["ids"]) / median(one["seconds"] for one in runs)),
                f"seconds_by_{base}s": sorted(
                    round(one["seconds"] / ours["seconds"], 2) for one, ours in zip(runs, made[base], strict=True)
                ),
                "same_answers": sum(a.strip() == b.strip() for a, b in zip(first[name], first[base], strict=True)),
            }
            for name, runs in made.items()
        },
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
