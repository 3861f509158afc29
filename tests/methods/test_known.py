"""The arms with distracting and with oracle knowledge in a run, with the table student."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from nesycd.cli.run import execute
from nesycd.config import load_recipe
from nesycd.knowledge import normal_triple
from nesycd.records import Attempt, Example, Fact, Retrieval
from nesycd.reports import load_results
from nesycd.reports.results import KNOWLEDGE_ARMS
from nesycd.retrieval import holds_answer
from nesycd.run import read_records

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.toml"
SMALL = ("student.model=table", "evaluation.bootstrap=50", "task.limit=24", f"evaluation.arms={[*KNOWLEDGE_ARMS]}")


def run(folder: Path, *overrides: str, recipe: Path = QUICKSTART) -> str:
    out = io.StringIO()
    execute(load_recipe(recipe, [*SMALL, *overrides]), folder, Console(file=out, width=120))
    return out.getvalue()


def test_distracting_blocks_hold_nothing_that_helps(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    sizes = "task.sizes={train = 90, valid = 12, test = 24, ood_unseen = 8}"
    run(folder, "evaluation.splits=['test', 'ood_unseen']", sizes)
    results = load_results(folder / "results.json")
    assert set(results.arms) == set(KNOWLEDGE_ARMS)
    sides = results.known_unknown["test"]
    assert set(sides["unknown"]) == set(KNOWLEDGE_ARMS)
    assert sides["known"]["nesycd"].n + sides["unknown"]["nesycd"].n == 24
    for split in ("test", "ood_unseen_imported"):
        examples = {e.uid: e for e in read_records(folder, f"examples-{split.removesuffix('_imported')}", Example)}
        real = {r.example: r for r in read_records(folder, f"retrieve-{split}", Retrieval)}
        made = {r.example: r for r in read_records(folder, f"distract-{split}", Retrieval)}
        assert made.keys() == examples.keys() and any(one.hits for one in made.values())
        for uid, one in made.items():
            truth = examples[uid].truth
            assert truth is not None and not holds_answer(examples[uid], one.items)
            needed = {normal_triple(fact) for fact in truth.facts}
            assert not needed & {normal_triple(item) for item in one.items if isinstance(item, Fact)}
        assert any(made[uid].hits and len(made[uid].hits) >= len(real[uid].hits) for uid in made)
        for arm in ("std_cot_distracting", "nesycd_distracting"):
            for attempt in read_records(folder, f"eval-{split}-{arm}", Attempt):
                assert attempt.solver == arm and attempt.knowledge == tuple(i.id for i in made[attempt.example].items)
    oracle = read_records(folder, "eval-test-std_cot_oracle", Attempt)
    assert any(one.knowledge for one in oracle)


def test_a_benchmark_that_does_not_tell_its_truth_has_no_oracle(tmp_path: Path) -> None:
    rows = [
        f'{{"question": "What is {n} plus 1?", "answer": "{n + 1}", "task": "t{n % 2}", "rationale": "{n} + 1 = {n + 1}."}}\n'
        for n in range(40)
    ]
    (tmp_path / "q.jsonl").write_text("".join(rows))
    own = tmp_path / "own.toml"
    own.write_text(f'name = "o"\n[task]\nname = "jsonl"\n[task.settings]\npath = "{tmp_path / "q.jsonl"}"\n')
    run(tmp_path / "r", "teacher.name=scripted", recipe=own)
    results = load_results(tmp_path / "r" / "results.json")
    assert set(results.arms) == {arm for arm in KNOWLEDGE_ARMS if not arm.endswith("_oracle")}
