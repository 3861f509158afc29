"""The benchmark for a GPU, every line of it, on a CPU: a tiny student, made-up questions, seconds."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARK = ROOT / "benchmarks/gpu.py"


SIZES = "{train = 6, valid = 2, test = 4}"
CHANGES = ["student.max_new_tokens=8", "knowledge.files=['recipes/bbh-knowledge.yaml']"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))
    import gpu

    return gpu


ABOUT = {"device": "NVIDIA H200", "model": "m", "torch": "2", "dtype": "bfloat16", "nominal_tflops": 989}
FIGURE = {"tokens_per_second": 1234.5, "ms": 2.5, "tflops": 395.6, "share": 0.5}


def test_figures_are_kept_as_they_come_and_only_what_is_missing_is_measured(gpu: Any, tmp_path: Path) -> None:
    one = gpu.Sheet(tmp_path, ABOUT)
    one.put("peak", {"tflops": 791.2, "size": 8192})
    one.put("training, 256 completion tokens a batch", FIGURE)
    one.put("bbh", {"told": "unfinished", "seconds": 60.0, "unfinished": True, "accuracy": {}})
    again = gpu.Sheet(tmp_path, ABOUT)
    assert again.has("peak") and not again.has("bbh") and not again.has("gsm8k")
    told = (tmp_path / "gpu.md").read_text()
    assert "791.2 TFLOP/s of 989 nominal" in told
    assert "| training, 256 completion tokens a batch | 1,234 | 2.5 | 395.6 | 50.00% |" in told
    with pytest.raises(SystemExit, match="another machine, model or sizes; give another --out"):
        gpu.Sheet(tmp_path, {**ABOUT, "device": "NVIDIA A100"})


def test_work_is_that_of_the_weights(gpu: Any) -> None:
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(vocab_size=64, **shape))
    found = gpu.work_of(model)
    assert found == {"layers": 2 * (4 * 32 * 32 + 3 * 32 * 48), "adapter": 0, "output": 64 * 32, "attention": 2 * 32}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_miniature_measures_everything_and_goes_on(
    gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    data = questions(tmp_path / "data")
    tiny = student(tmp_path / "student")
    command = [
        sys.executable, str(BENCHMARK), "--device", "cpu", "--out", str(tmp_path / "gpu"), "--scale", "16",
        "--model", str(tiny), "--sizes", SIZES, *(word for one in CHANGES for word in ("--set", one)),
    ]  # fmt: skip
    variables = {**os.environ, "NESYCD_DATA": str(data), "OMP_NUM_THREADS": "1"}

    def measured(seconds: str, *only: str) -> dict[str, Any]:
        done = subprocess.run(
            [*command, "--seconds", seconds, *(["--only", *only] if only else [])],
            env=variables, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads((tmp_path / "gpu/gpu.json").read_text())["measured"]
        return found

    found = measured("10", "peak")
    assert found["peak"]["tflops"] > 0
    monkeypatch.setenv("NESYCD_DATA", str(data))
    options = {"out": tmp_path / "gpu", "sizes": SIZES, "model": str(tiny), "device": "cpu", "set": CHANGES}
    begun = gpu.comparison("bbh", argparse.Namespace(**options), 1.0)
    assert begun["unfinished"] and begun["told"].startswith("unfinished") and begun["accuracy"] == {}
    for _ in range(10):
        # The same command, until nothing is missing.
        second = measured("40", "peak", "training", "generation", "bbh")
        if len(second) == 12 and second["bbh"]["told"].startswith("finished"):
            break
    assert second["peak"] == found["peak"]
    speeds = {name: one for name, one in second.items() if "tokens_per_second" in one}
    assert len(speeds) == 10 and all(0 < one["share"] < 2 and one["ms"] > 0 for one in speeds.values())
    assert second["bbh"]["told"] == "finished", (tmp_path / "gpu/bbh.log").read_text()[-2000:]
    assert set(second["bbh"]["accuracy"]) == set(gpu.COMPARED["bbh"][1].split(","))
    assert all(one["n"] == 4 for one in second["bbh"]["accuracy"].values())
    assert (tmp_path / "gpu/gpu.md").read_text().count("| `std_cot` |") == 1


def student(folder: Path) -> Path:
    """A tiny random Llama with a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator(
        [], trainers.BpeTrainer(special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="</s>", pad_token="</s>")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=4096, **shape)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def questions(root: Path) -> Path:
    """Made-up BBH and GSM8K, and recorded rationales, in their publishers' forms."""
    for folder in ("bbh/bbh", "gsm8k", "teachers"):
        (root / folder).mkdir(parents=True)

    def write(path: Path, rows: list[dict[str, Any]]) -> None:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    sort = [{"input": f"Sort: b{n} a{n}", "target": f"a{n} b{n}"} for n in range(24)]
    (root / "bbh/bbh/word_sorting.json").write_text(json.dumps({"examples": sort}))
    for split in ("train", "test"):
        rows = [{"question": f"{split}: what is {n} + 1?", "answer": f"So.\n#### {n + 1}"} for n in range(12)]
        write(root / f"gsm8k/{split}.jsonl", rows)
    for name, asked in (
        ("bbh__code-davinci-002", [(one["input"], one["target"]) for one in sort]),
        ("gsm8k-train__llama_level2", [(f"train: what is {n} + 1?", str(n + 1)) for n in range(12)]),
    ):
        rows = [
            {
                "question": question,
                "rationale": f"Letters have an order. The answer is {answer}.",
                "teacher_answer": answer,
                "teacher_correct": True,
                "rationale_agrees": True,
            }
            for question, answer in asked
        ]
        with gzip.open(root / f"teachers/{name}.jsonl.gz", "wt") as file:
            file.write("".join(json.dumps(row) + "\n" for row in rows))
    return root
