"""LoRA fine-tuning with TRL's SFTTrainer, for `benchmarks/training.py`, which runs this in an environment of its own.

Reads a JSON object from standard input: `model` (folder), `texts` (a JSONL file of `input_ids` and `labels`), `folder` (for the
adapter), `settings` (SFTConfig), `dtype`, `rank`, `alpha`. Prints one JSON object: seconds of `train()`, and steps.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig, SFTTrainer


def main() -> None:
    """Train as standard input says."""
    given = json.load(sys.stdin)
    model = AutoModelForCausalLM.from_pretrained(given["model"], dtype=getattr(torch, given["dtype"]))
    rows = [json.loads(line) for line in Path(given["texts"]).read_text().splitlines()]
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            output_dir=given["folder"], report_to="none", save_strategy="no", disable_tqdm=True, **given["settings"]
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(given["model"]),
        peft_config=LoraConfig(
            r=given["rank"], lora_alpha=given["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    started = time.perf_counter()
    made = trainer.train()
    seconds = time.perf_counter() - started
    trainer.model.save_pretrained(given["folder"], save_embedding_layers=False)
    print(json.dumps({"seconds": seconds, "steps": made.global_step}))


if __name__ == "__main__":
    main()
