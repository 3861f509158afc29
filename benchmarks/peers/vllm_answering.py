"""Greedy answers by vLLM, for `benchmarks/answering.py`, which runs this in an environment of its own.

Reads a JSON object from standard input: `model` (folder), `ids` (prompts as token ids), `limit` (most new tokens), `dtype`.
Prints one JSON object: seconds once the engine is up and warm, and the answers.
"""

from __future__ import annotations

import json
import sys
import time

from vllm import LLM, SamplingParams


def main() -> None:
    """Answer as standard input says."""
    given = json.load(sys.stdin)
    llm = LLM(given["model"], dtype=given["dtype"], max_model_len=1024, max_num_seqs=128, enforce_eager=True)
    greedy = SamplingParams(temperature=0, max_tokens=given["limit"])
    prompts = [{"prompt_token_ids": ids} for ids in given["ids"]]
    llm.generate(prompts[:2], greedy, use_tqdm=False)
    started = time.perf_counter()
    made = llm.generate(prompts, greedy, use_tqdm=False)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "answers": [one.outputs[0].text for one in made]}))


if __name__ == "__main__":
    main()
