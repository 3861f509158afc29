"""What a comparison makes of answers: extremes, splits without questions, and what its methods cost."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd.api.front import as_recipe
from nesycd.core.answers import Attempt
from nesycd.core.config import recipe_of
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.records import Diagnosis, Evidence, Example, Lesson, Rationale, Record
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.table import METHODS
from nesycd.reports.advice import SEEDS, comparison_advice
from nesycd.reports.comparison import Comparison, compare
from nesycd.reports.comparison_costs import Cost, cost
from nesycd.reports.comparison_page import bases, print_comparison, render_comparison, told
from nesycd.reports.folder import Material, Row, read_base
from nesycd.reports.results import Results
from nesycd.runs.run import Run

TOKENS = {"steps": 1, "tokens": 50, "completion_tokens": 10}


def run_folder(folder: Path, stages: list[str], init: str = "base") -> Path:
    config: dict[str, Any] = {"name": "r", "task": {"name": "longtail"}, "augmented": {"init": init}}
    with Run.open(folder, config) as run:
        for name in stages:
            run.artifact(name, {"name": name}, lambda _: TOKENS)
    return folder


def material(folder: Path, right: dict[str, bool], splits: tuple[str, ...] = ("test",)) -> Material:
    """Six questions, which each method answers always rightly or always wrongly."""
    rows = [Row(METHODS[name], {0: folder}, name) for name in right]
    made = Material(rows, [0], splits)
    for split in splits:
        asked = [Example(uid=f"{split}/{n}", task="t", question="q", answer="a", template=f"{n}") for n in range(6)]
        made.examples[0, split] = {one.uid: one for one in asked}
        for name, correct in right.items():
            answers = [Attempt(example=one.uid, solver=name, response="", correct=correct) for one in asked]
            made.attempts[name, 0, split] = {one.example: one for one in answers}
    return made


def compared(made: Material, split: str = "test") -> Comparison:
    return compare("c", made, ("nesycd", "std_cot", split, "all"), {}, {}, 50)


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True)])
def test_a_difference_without_exception_is_no_interval_around_zero(ours: bool, theirs: bool, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented"])
    found = compared(material(folder, {"std_cot": theirs, "nesycd": ours})).primary.difference
    assert found is not None and found.value == ours - theirs
    assert (found.low > 0, found.high < 0) == (ours, theirs)


@pytest.mark.parametrize(("splits", "high"), [(("test", "ood_a"), 0.39), (("test", "ood_a", "ood_b"), 0.24)])
def test_a_domain_of_equal_answers_has_an_interval(splits: tuple[str, ...], high: float, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented"])
    found = compared(material(folder, {"std_cot": False, "nesycd": True}, splits)).domains
    assert found["std_cot"]["in domain"].high == pytest.approx(0.39, abs=0.01)
    assert found["std_cot"]["out of domain"].high == pytest.approx(high, abs=0.01)
    assert found["nesycd"]["out of domain"].low == pytest.approx(1 - found["std_cot"]["out of domain"].high)


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(120, ""), (80, "ood_b all"), (60, "ood_a all, ood_b all"), (44, "p")],
)
def test_a_narrow_terminal_gets_fewer_columns_and_no_cut_cell(width: int, left_out: str, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented"])
    made = compared(material(folder, {"std_cot": False, "nesycd": True}, ("test", "ood_a", "ood_b")))
    stream = io.StringIO()
    print_comparison(made, Console(file=stream, width=width, color_system=None))
    text = stream.getvalue()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width and "…" not in text
    table, _, said = text.partition("left out here, see the page: ")
    assert "100.0 (" in table and left_out in " ".join(said.split())
    assert bool(said) == bool(left_out)
    assert ("+100.0 (" in table) == ("nesycd - it" not in " ".join(said.split()).partition("primary endpoint")[0])


def test_every_method_says_what_it_is(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented", "train-cascod"])
    found = compared(material(folder, {"std_cot": True, "nesycd": True, "cascod": True, "no_graph": True})).methods
    assert all(one.about for one in found.values())
    roles = {"std_cot": "baseline", "nesycd": "method", "cascod": "rival", "no_graph": "ablation"}
    assert {name: one.role for name, one in found.items()} == roles


def test_each_methods_base_is_told_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented", "train-kard_kb"])
    made = material(folder, {"std_cot": True, "kard_kb": True, "nesycd": True, "no_facts": True})
    made.seeds = [0, 1]
    for split in made.splits:
        made.examples[1, split] = made.examples[0, split]
        for row in made.rows:
            made.attempts[row.name, 1, split] = made.attempts[row.name, 0, split]
    made.rows = [Row(row.method, {0: folder, 1: folder}, row.stored) for row in made.rows]
    for name in ("kard_kb", "nesycd"):
        made.bases |= {(name, 0): {"fact": 41, "rule": 5}, (name, 1): {"fact": 45, "rule": 5}}
    made.bases |= {("no_facts", seed): {"rule": 5} for seed in (0, 1)}
    found = compared(made)
    assert found.methods["nesycd"].base == {"0": {"fact": 41, "rule": 5}, "1": {"fact": 45, "rule": 5}}
    assert bases(found) == [
        "knowledge base of kard_kb, nesycd: 41-45 fact, 5 rule items approved",
        "knowledge base of no_facts: 5 rule items approved",
        "without a knowledge base: std_cot",
    ]
    using = {name for name, method in METHODS.items() if method.uses_base}
    assert {"kard_kb", "nesycd", "std_cot_kb", "whole_kb", "facts_in_weights", "no_rules"} <= using
    assert not {"std_cot", "zero_shot", "kard_corpus", "std_cot_calls"} & using
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        item = kb.propose(Lesson(text="Count first."), Evidence(example="", source="x")).item_id
        with pytest.raises(RunError, match=r"kb\.sqlite: no approved items, so nesycd has no knowledge"):
            read_base(folder, "nesycd")
        kb.approve(item, "ann")
    assert read_base(folder, "nesycd") == {"lesson": 1}


def test_only_an_endpoint_that_the_recipe_names_was_named_beforehand(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented"])
    made = material(folder, {"std_cot": True, "nesycd": False})
    assert told(compared(made))[0].startswith(
        "primary endpoint (the default: name one in the recipe before you look): "
    )
    named = compare("c", made, ("nesycd", "std_cot", "test", "all"), {}, {}, 50, named=True)
    assert told(named)[0].startswith("primary endpoint, named beforehand: nesycd - std_cot on test: ")
    tables: dict[str, Any] = {"name": "r", "task": {"name": "longtail"}}
    primary = {"compare": {"primary": {"right": "raft_kb"}}}
    assert not recipe_of(tables).names_primary
    assert recipe_of(tables | primary).names_primary
    assert not recipe_of(tables, ["compare.primary.right=raft_kb"]).names_primary
    assert not recipe_of(tables | primary, ["compare.primary.right=std_cot"]).names_primary
    assert not recipe_of(tables | {"compare": {"seeds": [1]}}).names_primary
    # A recipe that is handed on in Python names no more than it did.
    assert not as_recipe(recipe_of(tables), {}).names_primary
    assert as_recipe(recipe_of(tables | primary), {"seed": 3}).names_primary


def test_a_primary_split_without_questions_is_told(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented"])
    with pytest.raises(ConfigError, match=r"compare\.primary\.split: ood_unseen has no questions"):
        compared(material(folder, {"std_cot": True, "nesycd": True}), "ood_unseen")


def costs(folder: Path, method: str) -> Cost:
    made = material(folder, {method: True})
    return cost(made, made.rows[0], "test")


def test_a_lineage_counts_each_training_once(tmp_path: Path) -> None:
    whole = run_folder(tmp_path / "whole", ["general", "augmented"], "general")
    assert costs(whole, "nesycd").completion_tokens == 20
    # Without approved knowledge S_E is S_P.
    bare = run_folder(tmp_path / "bare", ["general"], "general")
    assert costs(bare, "nesycd").completion_tokens == 10


def test_whole_kb_is_answered_by_std_cots_student(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented", "fold-0", "std-cot"], "general")
    assert costs(folder, "whole_kb").trained_tokens == 150 == costs(folder, "std_cot_kb").trained_tokens


def test_distracting_items_come_from_the_knowledge_base(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "fold-0", "fold-1", "std-cot"])
    assert costs(folder, "std_cot").trained_tokens == 50
    assert costs(folder, "std_cot_distracting").trained_tokens == costs(folder, "std_cot_kb").trained_tokens == 200


@pytest.mark.parametrize(("price", "usd"), [(0.25, 0.5), (None, None)])
def test_what_took_no_tokens_leaves_no_price_unknown(price: float | None, usd: float | None, tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented"])
    told = {"teacher": "t", "prompt_tokens": 5, "usd": price}
    made: dict[str, list[Record]] = {
        "rationales": [
            Rationale(example="a", **told),
            Rationale(example="b", **told),
            Rationale(example="c", teacher="t"),
        ],
        "diagnoses": [Diagnosis(example="a", attempt="x", teacher="mined")],
    }
    with Run.open(folder, {"name": "r", "task": {"name": "longtail"}, "augmented": {"init": "base"}}) as run:
        for name, records in made.items():
            run.computed(name, type(records[0]), {}, lambda records=records: records)  # type: ignore[misc]
    assert costs(folder, "nesycd").usd == usd and costs(folder, "nesycd").teacher_tokens == 10


@pytest.mark.parametrize(("benchmark", "tokens", "usd"), [("longtail", 15, 0.75), ("bbh", 0, 0.0)])
def test_few_shot_costs_the_rationales_that_its_prompts_show(
    benchmark: str, tokens: int, usd: float, tmp_path: Path
) -> None:
    config = {"name": "r", "task": {"name": benchmark}, "augmented": {"init": "base"}, "seed": 0}
    train = [Example(uid=f"{n}", task="t" if n < 5 else "u", question=f"q{n}", answer="a") for n in range(9)]
    rationales = [
        Rationale(example=one.uid, teacher="t", prompt_tokens=5, usd=0.25, text="r", answer="a", correct=one.uid != "0")
        for one in train
    ]
    with Run.open(tmp_path / "r", config) as run:
        run.computed("examples-train", Example, {}, lambda: train)
        run.computed("rationales", Rationale, {}, lambda: rationales)
    found = costs(tmp_path / "r", "few_shot")
    # Three of the four kept ones of the test's one task; a publisher's own prompts ask no teacher.
    assert (found.teacher_tokens, found.usd) == (tokens, usd)


def page_of(tmp_path: Path, right: dict[str, bool]) -> str:
    folder = run_folder(tmp_path / "r", ["general", "augmented", "train-cascod"])
    made = material(folder, right, ("test", "ood_a"))
    results = {
        "tasks": {},
        "methods": {},
        "differences": {},
        "gap_closed": {},
        "gain_by_frequency": {},
        "retrieval": {},
    }
    knowledge = {"items": 0, "by_kind": {}, "by_status": {}}
    rest = {"schema": "results/2", "knowledge": knowledge, "router": {}, "seconds": {}, "total_seconds": 0}
    made.results[0] = Results.model_validate({**results, **rest})
    return render_comparison(compared(made), made)


def test_the_page_says_what_it_means_and_what_to_do_and_folds_the_rest(tmp_path: Path) -> None:
    page = page_of(tmp_path, {"std_cot": False, "nesycd": True})
    order = ["On only 6 test questions the student with its knowledge base (nesycd, 100.0\u00a0% right) is better than"]
    order += ["Primary endpoint (the default", 'id="next"', "were compared under one seed: more seeds tell more", SEEDS]
    order += ['id="details"', *(f'id="{part}"' for part in ("differences", "splits", "samples", "costs", "setup"))]
    places = [page.index(text) for text in order]
    assert places == sorted(places)
    assert str(tmp_path) not in page
    alone = page_of(tmp_path, {"std_cot": False})
    assert "nesycd was not run, so nesycd and std_cot cannot be held against each other." in alone
    assert "#differences" not in alone and 'id="differences"' not in alone
    assert "nesycd compare RECIPE --methods nesycd,std_cot" in alone


def test_advice_after_a_comparison(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "r", ["general", "augmented"])
    worse = compared(material(folder, {"std_cot": True, "nesycd": False}))
    assert [one.command for one in comparison_advice(worse)] == ["nesycd kb effect RECIPE", ""]
    level = compared(material(folder, {"std_cot": True, "nesycd": True}))
    assert "cannot be told apart here: more seeds" in comparison_advice(level)[0].text
    better = compared(material(folder, {"std_cot": False, "nesycd": True}))
    sure = better.model_copy(update={"seeds": [0, 1], "primary": better.primary.model_copy(update={"named": True})})
    assert comparison_advice(sure) == []
    leaking = sure.model_copy(update={"leaks": {"0": 0, "1": 2}})
    [one] = comparison_advice(leaking)
    assert one.text.startswith("Seed 1: 2 approved items give questions of it away")
    assert one.command == "nesycd kb leaks --run c/seed-1"


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 360])
def test_axe_finds_no_fault_on_the_page(
    tmp_path: Path, shown: Callable[..., Any], faults: Callable[[Any], list[str]], width: int
) -> None:
    path = tmp_path / "report.html"
    path.write_text(page_of(tmp_path, {"std_cot": False, "nesycd": True, "cascod": True}), encoding="utf-8")
    page = shown(path, viewport={"width": width, "height": 800})
    page.get_by_role("button", name="open all", exact=True).click()
    assert faults(page) == []
