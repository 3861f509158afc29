"""The methods with distracting and with oracle knowledge in a run, with the table student."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
from nesycd.core.records import Example, Fact, Retrieval
from nesycd.knowledge import normal_triple
from nesycd.methods.table import knowledge_cells
from nesycd.reports import load_results
from nesycd.retrieval import holds_answer
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records

CELLS = knowledge_cells()
LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SMALL = ("student.model=table", "evaluation.bootstrap=50", f"evaluation.methods={[*CELLS]}",
         "evaluation.splits=['ood_unseen']", "task.settings.train_special=6", "task.settings.train_general=4",
         "task.settings.valid=1", "task.settings.test_special=1", "task.settings.test_general=1",
         "task.settings.ood_unseen=16", "task.settings.ood_composed=0")  # fmt: skip


def test_distracting_blocks_hold_nothing_that_helps(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    execute(load_recipe(LONGTAIL, SMALL), folder, Console(file=io.StringIO()))
    results = load_results(folder / "results.json")
    assert set(results.methods) == set(CELLS) and len(CELLS) == 8
    sides = results.known_unknown["ood_unseen_imported"]
    assert set(sides["unknown"]) == set(CELLS)
    assert sides["known"]["nesycd"].n + sides["unknown"]["nesycd"].n == 16
    examples = {e.uid: e for e in read_records(folder, "examples-ood_unseen", Example)}
    for split in ("ood_unseen", "ood_unseen_imported"):
        real = {r.example: r for r in read_records(folder, f"retrieve-{split}", Retrieval)}
        made = {r.example: r for r in read_records(folder, f"distract-{split}", Retrieval)}
        assert made.keys() == examples.keys()
        for uid, one in made.items():
            truth = examples[uid].truth
            assert truth is not None and not holds_answer(examples[uid], one.items)
            needed = {normal_triple(fact) for fact in truth.facts}
            assert not needed & {normal_triple(item) for item in one.items if isinstance(item, Fact)}
        assert all(len(made[uid].hits) >= len(real[uid].hits) for uid in made)
        assert split == "ood_unseen" or all(one.hits for one in made.values())
        for arm in ("std_cot_distracting", "nesycd_distracting"):
            for attempt in read_attempts(folder, f"eval-{split}-{arm}"):
                assert attempt.solver == arm and attempt.knowledge == tuple(i.id for i in made[attempt.example].items)
    assert all(one.knowledge for one in read_attempts(folder, "eval-ood_unseen-std_cot_oracle"))
