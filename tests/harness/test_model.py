"""A finished run in lm-evaluation-harness itself, offline (slow tier: importing the harness takes seconds)."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd.api.regrade import regraded
from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.knowledge import KnowledgeBase
from nesycd.reports import load_results

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("lm_eval") is None, reason="the harness (extra harness) is not installed"),
    pytest.mark.filterwarnings("ignore"),
]

ROOT = Path(__file__).parents[2]
LONGTAIL = ROOT / "recipes" / "longtail.toml"
ARMS = ("nesycd_routed", "nesycd", "nesycd_no_kb", "std_cot")
SETTINGS = ("evaluation.splits=['test']", f"evaluation.methods={list(ARMS)}", "evaluation.bootstrap=20")
TABLE = ("student.model=table", "task.settings.test_special=4", "task.settings.test_general=2")
REAL = (
    "task.limit=24",
    "training.epochs=1",
    "collection.epochs=1",
    "augmented.passes=1",
    "student.max_new_tokens=32",
    "training.batch_tokens=512",
    "training.rank=4",
)


def make(folder: Path, *settings: str) -> Path:
    execute(load_recipe(LONGTAIL, [*SETTINGS, *settings]), folder, Console(file=io.StringIO()))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("runs") / "r", *TABLE)


def write_task(folder: Path, run: Path, **changes: str) -> dict[str, list[dict[str, Any]]]:
    """The task of docs/harness.md with the run's questions; returns the recorded rows of each method."""
    rows = [row for row in regraded(run) if row["split"] == "test"]
    by_arm = {arm: [row for row in rows if row["method"] == arm] for arm in ARMS}
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in by_arm[ARMS[0]]))
    [task] = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "harness.md").read_text(), re.DOTALL)
    task = task.replace("questions.jsonl", str(folder / "questions.jsonl"))
    for old, new in changes.items():
        task = re.sub(rf"(?m)^( *){old}:.*$", rf"\g<1>{old}: {new}", task)
    (folder / "my_task.yaml").write_text(task)
    return by_arm


ASK = """
import json, sys
import lm_eval
from lm_eval.tasks import TaskManager
from nesycd.harness.model import RunModel

run, folder, options, *arms = sys.argv[1:]
manager = TaskManager(include_path=folder, include_defaults=False)
for arm in arms:
    results = lm_eval.simple_evaluate(
        model=RunModel(run, arm), tasks=["my_task"], task_manager=manager, bootstrap_iters=0,
        **json.loads(options),
    )
    samples = results["samples"]["my_task"]
    print("RESULT " + json.dumps({
        "texts": [one["resps"][0][0] for one in samples], "questions": [one["doc"]["question"] for one in samples],
        "acc": results["results"]["my_task"]["acc,none"], "config": {key: results["config"][key] for key in results["config"]
        if key.startswith("nesycd_")},
    }))
"""


def offline(tmp_path: Path) -> dict[str, str]:
    places = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return {**os.environ, **places, "LM_HARNESS_CACHE_PATH": str(tmp_path / "requests"), "COLUMNS": "200"}


def ask(tmp_path: Path, run: Path, *arms: str, **options: Any) -> list[dict[str, Any]]:
    """What the harness says of the task for each method."""
    command = [sys.executable, "-c", ASK, str(run), str(tmp_path), json.dumps(options), *arms]
    done = subprocess.run(command, env=offline(tmp_path), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("RESULT ")]


def agrees(said: Sequence[dict[str, Any]], recorded: dict[str, list[dict[str, Any]]], run: Path) -> None:
    results = load_results(run / "results.json").to_json()
    for arm, one in zip(ARMS, said, strict=True):
        rows = recorded[arm]
        assert one["questions"] == [row["question"] for row in rows]
        assert one["acc"] == pytest.approx(sum(row["correct"] for row in rows) / len(rows), abs=1e-9)
        assert one["acc"] == pytest.approx(results["methods"][arm]["test"]["accuracy"], abs=1e-9)
        assert one["config"]["nesycd_method"] == arm


def test_every_arm_gives_its_stored_texts_and_its_score(finished: Path, tmp_path: Path) -> None:
    recorded = write_task(tmp_path, finished)
    said = ask(tmp_path, finished, *ARMS, cache_requests=True)
    agrees(said, recorded, finished)
    assert [one["texts"] for one in said] == [[row["response"] for row in recorded[arm]] for arm in ARMS]
    assert len({json.dumps(one["texts"]) for one in said}) >= 3 and said[0]["acc"] > said[3]["acc"]
    # The harness's own cache of requests is read back.
    assert ask(tmp_path, finished, ARMS[0], cache_requests=True) == said[:1]


def test_stop_strings_and_limits_are_kept(finished: Path, tmp_path: Path) -> None:
    recorded = write_task(tmp_path, finished, until='["Therefore"]', do_sample="false\n  max_gen_toks: 6")
    [said] = ask(tmp_path, finished, "std_cot")
    assert all("Therefore" not in text and len(text.split()) <= 6 for text in said["texts"])
    assert said["texts"] == [" ".join(r["response"].split()[:6]).partition("Therefore")[0] for r in recorded["std_cot"]]
    # The words of a call count towards the limit, though they are not part of what is read.
    [looked] = ask(tmp_path, finished, "nesycd")
    assert all("Therefore" not in text and len(text.split()) <= 6 for text in looked["texts"])


def command(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "nesycd", "harness", *words, "--include_path", str(tmp_path), "--tasks", "my_task"]
    return subprocess.run(call, env=offline(tmp_path), cwd=ROOT, capture_output=True, text=True)


def test_the_command_hands_over_and_refuses_in_one_sentence(finished: Path, tmp_path: Path) -> None:
    recorded = write_task(tmp_path, finished)["nesycd"]
    done = command(tmp_path, "--model_args", f"run={finished},method=nesycd", "--limit", "20")
    assert done.returncode == 0, done.stderr
    [acc] = re.findall(r"\|acc *\|↑ *\| *([\d.]+)\|", done.stdout)
    right = sum(row["correct"] for row in recorded[:20])
    assert right and float(acc) == pytest.approx(right / 20, abs=1e-4)
    write_task(tmp_path, finished, output_type="multiple_choice\ndoc_to_choice: ['a', 'b']", doc_to_target="0")
    text = (tmp_path / "my_task.yaml").read_text()
    text = re.sub(r"(?ms)^generation_kwargs:.*?(?=^metric_list)", "", text)
    (tmp_path / "my_task.yaml").write_text(re.sub(r"(?m)^process_results:.*\n", "", text))
    refused = command(tmp_path, "--run", str(finished))
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "error: task my_task: it compares likelihoods" in refused.stderr.splitlines()[-1]


def test_answers_are_kept_for_one_state_of_the_knowledge(tmp_path: Path) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CachingLM

    from nesycd.harness.model import RunModel

    run = make(tmp_path / "r", *TABLE)
    row = next(row for row in regraded(run) if row["method"] == "nesycd" and row["split"] == "test")
    request = Instance("generate_until", {"task": row["task"]}, (row["question"], {"until": []}), 0)
    file = str(tmp_path / "cache.db")
    first = RunModel(run, "nesycd")
    # A question asked twice is answered twice, and each answer is in the cache before the last one is there.
    assert CachingLM(first, file).generate_until([request, request]) == [row["response"]] * 2
    again = RunModel(run, "nesycd")
    again.run = None  # type: ignore[assignment]
    assert CachingLM(again, file).generate_until([request]) == [row["response"]]
    with pytest.raises(ConfigError, match="it holds answers of another run, method, knowledge or model"):
        CachingLM(RunModel(run, "std_cot"), file)
    with KnowledgeBase.open(run / "kb.sqlite") as kb:
        kb.reject(next(entry.item_id for entry in kb.entries(kind="fact")), "ann")
    with pytest.raises(ConfigError, match="delete it, or name another"):
        CachingLM(RunModel(run, "nesycd"), file)


def test_what_is_no_model_is_one_sentence(finished: Path, tmp_path: Path) -> None:
    from nesycd.harness.model import RunModel

    with pytest.raises(ConfigError, match=r"method: no method 'nesycd_kb' .did you mean 'nesycd_no_kb'"):
        RunModel(finished, "nesycd_kb")
    with pytest.raises(ConfigError, match="no_rules is a run of its own"):
        RunModel(finished, "no_rules")
    with pytest.raises(RunError, match="kard_kb was not trained in this run; name it in the recipe"):
        RunModel(finished, "kard_kb")
    with pytest.raises(ConfigError, match="model_args: dtype is not known"):
        RunModel(finished, dtype="auto")
    with pytest.raises(RunError, match="no run 'r2'"):
        RunModel("r2", root=tmp_path)
    with pytest.raises(ConfigError, match="apply_chat_template: leave it out"):
        RunModel(finished).apply_chat_template([])


def test_the_embedded_student_gives_its_stored_texts(tmp_path: Path) -> None:
    run = make(tmp_path / "r", *REAL)
    recorded = write_task(tmp_path, run)
    said = ask(tmp_path, run, *ARMS)
    agrees(said, recorded, run)
    assert [one["texts"] for one in said] == [[row["response"] for row in recorded[arm]] for arm in ARMS]
