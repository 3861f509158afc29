"""`nesycd compare`: rows from real run folders, methods and seeds added later, mistakes told in one line."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nesycd.api.build import task_of
from nesycd.api.checks import possible
from nesycd.api.comparing import _scored_before, folder_of, run_comparison, stored_as
from nesycd.calls.tools import LOOK_UP
from nesycd.cli.main import app
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.protocols import TRAINING
from nesycd.core.records import Status
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.method import Method
from nesycd.methods.table import METHODS, named, of_recipe
from nesycd.reports.comparison import load_comparison
from nesycd.reports.comparison_page import print_comparison
from nesycd.reports.results import load_results
from nesycd.runs.predictions import read_attempts
from nesycd.students.table import TableStudent

RECIPES = Path(__file__).parents[2] / "recipes"
LONGTAIL = RECIPES / "longtail.toml"
SMALL = [
    "student.model=table",
    "evaluation.bootstrap=50",
    "task.limit=24",
    'evaluation.splits=["test", "ood_composed"]',
]


def put_together(
    recipe: Path,
    settings: Sequence[str],
    folder: Path,
    methods: Sequence[str] = (),
    seeds: Sequence[int] = (),
    **more: Any,
) -> str:
    def varied(changes: Sequence[str]) -> Recipe:
        return load_recipe(recipe, [*settings, *changes])

    console = Console(file=io.StringIO(), width=200, record=True)
    made = run_comparison(varied(()), varied, folder, console, methods, seeds, **more)
    if made is not None:
        print_comparison(made, console)
    return console.export_text()


def compare(folder: Path, methods: list[str], seeds: list[int], *overrides: str) -> str:
    return put_together(LONGTAIL, [*SMALL, *overrides], folder, methods, seeds)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[dict[str, Any]]]:
    """A comparison that is widened twice: the folder, what was printed, and comparison.json after each call."""
    folder = tmp_path_factory.mktemp("runs") / "c"
    printed, states = [], []
    for methods, seeds in ((["std_cot", "nesycd"], [0]), (["cascod", "no_rules"], [0]), (["nesycd"], [1])):
        printed.append(compare(folder, methods, seeds))
        states.append(json.loads((folder / "comparison.json").read_text()))
    return folder, printed, states


@pytest.mark.slow
def test_methods_and_seeds_are_added_to_what_is_there(made: tuple[Path, list[str], list[dict[str, Any]]]) -> None:
    folder, printed, states = made
    assert [list(one["methods"]) for one in states[:2]] == [
        ["std_cot", "nesycd"],
        ["std_cot", "nesycd", "cascod", "no_rules"],
    ]
    roles = {name: one["role"] for name, one in states[1]["methods"].items()}
    assert roles == {"std_cot": "baseline", "nesycd": "method", "cascod": "rival", "no_rules": "ablation"}
    assert "seed 1 lacks answers with these settings (cascod, no_rules): add it with --seeds 1" in printed[2]
    assert states[2]["seeds"] == [0], "a seed that lacks methods does not count"
    # Only what was lacking was run: the first call's students were not trained again, nor for the ablation.
    trained = [(folder / f"seed-0{name}" / "stages" / "general.json").read_text() for name in ("", ".no_rules")]
    assert trained[0] == trained[1]
    assert (folder / "seed-0.no_rules" / "results.json").is_file()


@pytest.mark.slow
def test_nesycd_as_in_its_paper_is_a_run_of_its_own_with_its_own_router(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compare(folder, ["nesycd", "nesycd_paper"], [0])
    beside = folder / "seed-0.nesycd_paper"
    attempts = read_attempts(beside, "eval-test-nesycd_routed")
    assert not any(call.name == LOOK_UP for one in attempts for call in one.calls) and any(
        one.knowledge for one in attempts
    )
    config = json.loads((beside / "config.json").read_text())
    assert (config["augmented"]["calls"], config["augmented"]["context"]) == (0, 1)
    threshold = {one: load_results(one / "results.json").router["threshold"] for one in (beside, folder / "seed-0")}
    assert len(set(threshold.values())) == 2, "each run calibrates its own"
    found = load_comparison(folder / "comparison.json")
    right = sum(one.correct for one in attempts) / len(attempts)
    assert found.scores["nesycd_paper"]["test"]["all"].value == pytest.approx(right)
    assert found.methods["nesycd_paper"].role == "rival"


@pytest.mark.slow
def test_figures_are_those_of_the_stored_answers(made: tuple[Path, list[str], list[dict[str, Any]]]) -> None:
    folder, _, _ = made
    found = load_comparison(folder / "comparison.json")

    def right(name: str, place: str = "seed-0") -> list[bool]:
        return [one.correct for one in read_attempts(folder / place, f"eval-test-{name}")]

    ours, cascod = right("nesycd"), right("cascod")
    assert found.scores["cascod"]["test"]["all"].value == pytest.approx(sum(cascod) / len(cascod))
    gap = found.differences["cascod"]["test"]
    assert gap.value == pytest.approx((sum(ours) - sum(cascod)) / len(ours)) and gap.low <= gap.value <= gap.high
    assert gap.p_holm is not None and gap.p_holm >= gap.p
    first = found.primary.difference
    assert first is not None and first.p_holm is None and first.value == found.differences["std_cot"]["test"].value
    beside = right("nesycd", "seed-0.no_rules")
    assert found.scores["no_rules"]["test"]["all"].value == pytest.approx(sum(beside) / len(beside))
    assert set(found.domains["nesycd"]) == {"in domain", "out of domain"}
    assert sum(found.errors["cascod"].values()) == pytest.approx(1)
    assert found.scored["cascod"] == {"test": 1, "ood_composed": 1}
    costs = found.costs
    assert costs["cascod"].completion_tokens == pytest.approx(costs["nesycd"].completion_tokens, rel=0.35)
    assert costs["nesycd"].trained_tokens > costs["std_cot"].trained_tokens, "its folds and S_P were trained too"
    assert costs["cascod"].answer_tokens_each > costs["std_cot"].answer_tokens_each * 0.5


@pytest.mark.slow
def test_the_page_shows_methods_differences_and_answers_side_by_side(
    made: tuple[Path, list[str], list[dict[str, Any]]],
) -> None:
    page = (made[0] / "report.html").read_text()
    for text in ("primary endpoint", "CasCoD: first the rationale", "fact missing", "seed 0: 0", "trained tokens"):
        assert text in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


@pytest.mark.slow
def test_other_answers_to_test_are_counted(made: tuple[Path, list[str], list[dict[str, Any]]], tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compare(folder, ["zero_shot"], [0])
    said = compare(folder, ["zero_shot"], [0], "student.max_new_tokens=3")
    assert "scored more than once with other answers: zero_shot (2 times)" in said
    assert load_comparison(folder / "comparison.json").scored["zero_shot"]["test"] == 2
    assert "primary endpoint (nesycd - std_cot on test): not run" in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--methods", "kard"], r"no method 'kard' \(did you mean 'kard_"),
        (["--seeds", "0,x"], "'x' is not a seed"),
        (["--set", 'compare.variants={nesycd=["seed=1"]}'], "compare.variants.nesycd: a method has this name"),
        (["--set", "compare.primary.split=dev"], "there is no split 'dev' among those scored"),
        (["--set", "compare.primary.kind=odd"], "compare.primary.kind"),
        (["--set", "compare.primary.left=std_cot"], "compare.primary: std_cot cannot be held against itself"),
        (
            ["--set", "compare.learning_rates=[0.001,0.002]", "--set", "task.settings.valid=0"],
            "compare.learning_rates: the best is chosen on valid",
        ),
        (
            ["--methods", "in_sample", "--set", "collection.mode=in_sample"],
            "in_sample: collection.mode=in_sample is what the recipe says already",
        ),
        (
            ["--methods", "no_rules", "--set", 'knowledge.kinds=["fact"]'],
            r'no_rules: knowledge.kinds=\["fact"\] is what the recipe says already',
        ),
        (["--methods", "no_facts", "--set", 'knowledge.kinds=["fact"]'], "no_facts: .*knowledge.kinds"),
        (["--set", "compare.primary.left=nesicd"], r"no method 'nesicd' \(did you mean 'nesycd'"),
        (
            ["--methods", "v", "--set", 'compare.variants={v=["knowledge.max_itemz=5"]}'],
            "v: .*unknown key knowledge.max_itemz",
        ),
        (
            ["--methods", "v", "--set", 'compare.variants={v=["task.sizes.test=4"]}'],
            "v: task.sizes.test=4 changes the questions",
        ),
        (
            ["--methods", "v", "--set", 'compare.variants={v=["evaluation.splits=[\\"valid\\"]"]}'],
            "v: .* changes the questions of test",
        ),
        (["--set", "compare.corpus=gone.jsonl"], "gone.jsonl: no such file"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], problem: str, tmp_path: Path) -> None:
    given = [
        "compare",
        str(LONGTAIL),
        "--root",
        str(tmp_path),
        "--set",
        "student.model=table",
        "--methods",
        "zero_shot",
    ]
    result = CliRunner().invoke(app, [*given, *arguments])
    assert result.exit_code == 2 and len(result.output.strip().splitlines()) == 1
    assert re.search(problem, result.output)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("method", "problem"),
    [
        ("kard_corpus", "kard_corpus retrieves passages from a corpus, and this benchmark has none"),
        ("nesycd_oracle", "nesycd_oracle cannot answer test, since its questions do not say which facts they need"),
        ("std_cot_oracle", "std_cot_oracle cannot answer test, since its questions do not say which facts they need"),
    ],
)
def test_what_own_questions_cannot_have_is_told_before_it_is_remembered(
    method: str, problem: str, tmp_path: Path
) -> None:
    recipe = own_questions(tmp_path)
    result = CliRunner().invoke(app, ["compare", str(recipe), "--root", str(tmp_path / "runs"), "--methods", method])
    assert result.exit_code == 2 and problem in result.output
    assert not (tmp_path / "runs").exists()


def test_kinds_that_own_questions_lack_are_told_at_once(tmp_path: Path) -> None:
    given = ["compare", str(own_questions(tmp_path)), "--set", "compare.primary.kind=special"]
    result = CliRunner().invoke(app, [*given, "--root", str(tmp_path / "runs"), "--methods", "zero_shot"])
    assert result.exit_code == 2 and "compare.primary.kind: no question of test is special" in result.output
    assert not (tmp_path / "runs").exists()


def test_the_recipes_methods_are_compared_without_those_that_the_questions_cannot_have(tmp_path: Path) -> None:
    recipe = load_recipe(own_questions(tmp_path))
    own = [*of_recipe(recipe), METHODS["std_cot_oracle"]]
    assert METHODS["nesycd_oracle"] in own
    assert possible(own, task_of(recipe), ["test"]) == [one for one in own if one.role != "ceiling"]


def own_questions(folder: Path) -> Path:
    """A recipe with ten questions of one's own."""
    rows = [{"question": f"What is {n} + 1?", "answer": n + 1, "rationale": f"{n} + 1 = {n + 1}."} for n in range(10)]
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = folder / "own.toml"
    recipe.write_text(
        'name = "own"\n[task]\nname = "jsonl"\n[teacher]\nname = "scripted"\n[student]\nmodel = "table"\n'
        f"[task.settings]\npath = {str(folder / 'own.jsonl')!r}\n"
    )
    return recipe


@pytest.mark.parametrize(
    "content",
    [
        '{"methods": "nesycd", "seeds": [0]}',
        '{"methods": [1], "seeds": [0]}',
        '{"methods": ["nesycd"], "seeds": ["0", 1]}',
        '{"methods": ["nesycd"], "seeds": [-1]}',
        "{",
    ],
)
def test_a_damaged_list_of_what_was_asked_for_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text(content)
    with pytest.raises(RunError, match=r"asked\.json: not readable; delete it"):
        compare(tmp_path, ["zero_shot"], [0])


def test_a_method_asked_for_before_that_is_no_more_is_told_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text('{"methods": ["few_items"], "seeds": [0]}')
    with pytest.raises(ConfigError, match=r"asked\.json: no method 'few_items'.*delete it there"):
        compare(tmp_path, ["zero_shot"], [0])


def test_a_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be read: Not a directory"):
        compare(tmp_path / "file" / "c", ["zero_shot"], [0])


def test_a_torn_last_line_of_scored_is_cut_off_and_another_is_named(tmp_path: Path) -> None:
    path = tmp_path / "scored.jsonl"
    whole = '{"method": "nesycd", "split": "test", "seed": 0, "answers": "abc"}\n'
    path.write_text(whole + '{"method": "nesy')
    assert _scored_before(path) == {("nesycd", "test", 0): ["abc"]}
    assert path.read_text() == whole
    for damaged in ('{"method": "nesycd"}\n', '{"method": ["a"], "split": "test", "seed": 0, "answers": "b"}\n'):
        path.write_text(whole + damaged)
        with pytest.raises(RunError, match=r"scored\.jsonl:2: not a line with method"):
            _scored_before(path)


def test_near_learning_rates_have_folders_of_their_own(tmp_path: Path) -> None:
    assert folder_of(tmp_path, 0, 0.002).name == "seed-0.lr-0.002"
    assert folder_of(tmp_path, 0, 0.0010000001) != folder_of(tmp_path, 0, 0.001)


def test_a_run_folder_is_no_comparison(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="not a comparison's folder"):
        compare(tmp_path, ["zero_shot"], [0])
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "asked.json").write_text("[]")
    with pytest.raises(RunError, match=r"asked\.json: not readable"):
        compare(tmp_path, ["zero_shot"], [0])


@pytest.mark.slow
def test_seeds_with_other_settings_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    small = ("task.limit=8", 'evaluation.methods=["zero_shot"]')
    compare(folder, [], [0], *small)
    said = compare(folder, [], [1], *small, "student.max_new_tokens=5")
    assert "seed 0 lacks answers with these settings (zero_shot): add it with --seeds 0" in said
    assert load_comparison(folder / "comparison.json").seeds == [1]
    compare(folder, [], [], *small, "student.max_new_tokens=5")
    assert load_comparison(folder / "comparison.json").seeds == [0, 1], "without seeds, all that were asked for"
    (folder / "seed-0" / "config.json").write_text("[]")
    assert "seed 0 lacks" in compare(folder, [], [1], *small, "student.max_new_tokens=5"), "damaged settings are none"


def test_seeds_with_other_questions_do_not_count(tmp_path: Path) -> None:
    recipe, folder = own_questions(tmp_path), tmp_path / "c"

    def said(seed: int) -> str:
        settings = ['compare.primary.left="std_cot"', 'compare.primary.right="zero_shot"', "collection.mode=in_sample"]
        return put_together(recipe, settings, folder, ["zero_shot", "std_cot"], [seed])

    said(0)
    assert "lacks" not in said(1)
    data = tmp_path / "own.jsonl"
    data.write_text(data.read_text().replace("What is", "How much is"))
    assert "seed 0 lacks answers with these settings (zero_shot, std_cot)" in said(1)
    assert load_comparison(folder / "comparison.json").seeds == [1]
    # In another folder they are the same questions.
    (tmp_path / "moved").mkdir()
    data.rename(tmp_path / "moved" / "own.jsonl")
    recipe.write_text(recipe.read_text().replace("own.jsonl", "moved/own.jsonl"))
    said(0)
    assert load_comparison(folder / "comparison.json").seeds == [0, 1]


def test_a_table_is_made_of_what_is_finished_and_of_seeds_from_elsewhere(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    small = ("task.limit=8", 'evaluation.methods=["zero_shot"]', 'evaluation.splits=["test"]')
    compare(here, ["zero_shot"], [0], *small)
    compare(there, ["zero_shot"], [1], *small)
    # Another machine's seed needs no checkpoints; what settings came later, it ran with as they are by default.
    shutil.rmtree(there / "seed-1" / "checkpoints")
    config = json.loads((there / "seed-1" / "config.json").read_text())
    del config["student"]["compile"]
    (there / "seed-1" / "config.json").write_text(json.dumps(config))
    shutil.copytree(there / "seed-1", here / "seed-1")
    asked = (here / "asked.json").read_text()
    table = [*SMALL, *small, 'compare.methods=["zero_shot", "answer_ft"]', "compare.seeds=[0, 1, 2]"]

    def tabled(folder: Path, seeds: list[int]) -> str:
        return put_together(LONGTAIL, table, folder, seeds=seeds, run=False)

    tabled(here, [])
    assert load_comparison(here / "comparison.json").seeds == [0], "what was asked for before"
    said = tabled(here, [0, 1, 2])
    found = load_comparison(here / "comparison.json")
    assert found.seeds == [0, 1] and list(found.methods) == ["zero_shot"]
    assert "seed 2 lacks answers" in said and not (here / "seed-2").exists()
    assert (here / "asked.json").read_text() == asked, "a table asks for nothing"
    state = here / "seed-1" / "stages" / "general.json"
    state.write_text(state.read_text().replace(f'"version": {TRAINING}', '"version": 1'))
    assert "seed 1 lacks answers" in tabled(here, [0, 1]), "students were trained otherwise then"
    (here / "asked.json").unlink()
    assert "seed 0 lacks answers with these settings (answer_ft)" in tabled(here, []), "else all of the recipe"


@pytest.mark.slow
def test_answers_that_a_rival_gave_with_other_settings_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    small = ("task.limit=8", 'evaluation.splits=["test"]', "collection.mode=in_sample")
    compare(folder, ["std_cot", "answer_ft"], [0], *small)
    before = (folder / "comparison.json").read_text()
    # Only methods of the run are asked for: the rival keeps its student of so many tokens as NesyCD's had.
    said = compare(folder, ["std_cot"], [0], *small, "training.epochs=4")
    assert "seed 0 lacks answers with these settings (answer_ft): add it with --seeds 0" in said
    assert (folder / "comparison.json").read_text() == before
    compare(folder, ["answer_ft"], [0], *small, "training.epochs=4")
    costs = load_comparison(folder / "comparison.json").costs
    assert costs["answer_ft"].completion_tokens == pytest.approx(costs["std_cot"].completion_tokens, rel=0.1)
    said = compare(folder, ["std_cot"], [1], *small, "training.epochs=4", "compare.max_passes=1")
    assert "seed 0 lacks answers with these settings (answer_ft): add it with --seeds 0" in said


@pytest.mark.slow
def test_answers_that_a_rival_gave_with_other_knowledge_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    small = ("task.limit=8", 'evaluation.splits=["test"]', "collection.mode=in_sample", "knowledge.source=all")
    compare(folder, ["kard_kb", "nesycd"], [0], *small)
    with KnowledgeBase.open(folder / "seed-0" / "kb.sqlite") as base:
        base.retire(base.entries(status=Status.APPROVED)[0].item_id, reviewer="ann")
    said = compare(folder, ["nesycd"], [0], *small)
    assert "seed 0 lacks answers with these settings (kard_kb): add it with --seeds 0" in said
    assert "lacks" not in compare(folder, [], [], *small)


@pytest.mark.slow
def test_a_run_that_was_cut_short_after_a_change_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "c"
    small = ("task.limit=8", 'evaluation.splits=["test"]', "collection.mode=in_sample")
    compare(folder, ["std_cot"], [0], *small)

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TableStudent, "train", cut)
        with pytest.raises(KeyboardInterrupt):
            compare(folder, ["std_cot"], [0], *small, "training.epochs=4")
    said = compare(folder, ["std_cot"], [1], *small, "training.epochs=4")
    assert "seed 0 lacks answers with these settings (std_cot): add it with --seeds 0" in said
    assert load_comparison(folder / "comparison.json").seeds == [1]


@pytest.mark.slow
def test_a_split_without_questions_is_left_out(tmp_path: Path) -> None:
    sets = ("task.limit=8", "task.settings.ood_unseen=0", 'evaluation.splits=["test", "ood_unseen"]')
    compare(tmp_path / "c", ["std_cot", "answer_ft"], [0], *sets, "collection.mode=in_sample")
    assert [*load_comparison(tmp_path / "c" / "comparison.json").scores["answer_ft"]] == ["test"]


def test_the_list_tells_every_method() -> None:
    result = CliRunner().invoke(app, ["compare", "--list"])
    assert result.exit_code == 0
    for name in ("few_shot", "kard_corpus", "no_graph", "items_N", "nesycd_routed"):
        assert name in result.output


def test_names_stand_for_methods_of_all_roles_and_variants_of_ones_own() -> None:
    recipe = load_recipe(LONGTAIL, ['compare.variants={few_items=["knowledge.max_items=50"]}'])
    found = {
        one.name: one
        for one in named(["nesycd", "mt_cot", "few_items", "items_20", "train_50", "nesycd"], recipe, "here")
    }
    assert [*found] == ["nesycd", "mt_cot", "few_items", "items_20", "train_50"]
    assert [one.role for one in found.values()] == ["method", "rival", "ablation", "ablation", "ablation"]
    assert [one.beside for one in found.values()] == [False, False, True, True, True]
    assert changed(found["few_items"], recipe) == ["knowledge.max_items=50"]
    assert stored_as(found["items_20"]) == "nesycd" and stored_as(found["mt_cot"]) == "mt_cot"
    assert changed(found["train_50"], recipe) == ["task.sizes.train=50"]
    with pytest.raises(ConfigError, match="here: no method 'items_0'"):
        named(["items_0"], recipe, "here")


def changed(method: Method, recipe: Recipe) -> list[str]:
    """The settings that make an ablation of a recipe."""
    assert method.changes is not None
    return [*method.changes(recipe)]


def test_a_kind_is_taken_from_those_that_the_recipe_has() -> None:
    recipe = load_recipe(LONGTAIL, ['knowledge.kinds=["lesson", "fact"]'])
    assert changed(METHODS["no_lessons"], recipe) == ['knowledge.kinds=["fact"]']


@pytest.mark.slow
def test_tuning_keeps_the_rate_that_is_best_on_valid(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compare(folder, ["std_cot", "mt_cot"], [0], "compare.learning_rates=[0.001, 0.002]", "task.limit=12")
    found = load_comparison(folder / "comparison.json")
    assert set(found.methods["mt_cot"].learning_rates) == {"0"}
    for rate in ("0.001", "0.002"):
        assert read_attempts(folder / f"seed-0.lr-{rate}", "eval-valid-mt_cot")


@pytest.mark.parametrize(("name", "count"), [("longtail", 27), ("bbh", 16), ("gsm8k", 15)])
def test_the_checked_in_comparisons_name_known_methods(name: str, count: int) -> None:
    path = RECIPES / f"compare-{name}.toml"
    recipe = load_recipe(path)
    assert len(named(recipe.compare.methods, recipe, "here")) == count
    for changes in recipe.compare.variants.values():
        other = load_recipe(path, changes)
        assert other.knowledge.files == () and other.teacher.diagnose in ("mine", "api")


@pytest.mark.slow
@pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")
@pytest.mark.parametrize("name", ["bbh", "gsm8k"])
def test_a_comparison_on_real_questions_runs_in_miniature(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server is away: GSM8K's knowledge is the file that a language model's would stand beside.
    monkeypatch.chdir(RECIPES.parent)
    sets = ["student.model=table", "task.limit=30", "evaluation.bootstrap=20"]
    if name == "gsm8k":
        sets += ["teacher.diagnose=own", 'knowledge.files=["recipes/bbh-knowledge.yaml"]']
    put_together(RECIPES / f"compare-{name}.toml", sets, tmp_path / "c")
    found = load_comparison(tmp_path / "c/comparison.json")
    assert (*found.methods,) == load_recipe(RECIPES / f"compare-{name}.toml").compare.methods
    assert all(scores["test"]["all"].n == 30 for scores in found.scores.values())
    if name == "bbh":
        sources = {}
        for row in ("seed-0", "seed-0.mined"):
            stage = json.loads((tmp_path / "c" / row / "stages/knowledge.json").read_text())
            sources[row] = set(stage["metadata"]["value"]["sources"])
        assert sources == {"seed-0": {"developer-written (AI)"}, "seed-0.mined": {"mined"}}


@pytest.mark.slow
def test_killed_at_three_moments_it_ends_with_the_same_comparison(tmp_path: Path) -> None:
    """SIGKILL of the process; the same command goes on, and every figure but seconds is an undisturbed comparison's."""
    settings = ["task.limit=24", "student.delay=0.02", 'evaluation.splits=["test"]']
    given = [str(LONGTAIL), "--methods", "std_cot,nesycd,cascod,no_rules", "--seeds", "0", "--name", "c"]
    for setting in ["student.model=table", "evaluation.bootstrap=50", *settings]:
        given += ["--set", setting]
    command = [sys.executable, "-m", "nesycd", "compare", *given, "--root"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    stages = tmp_path / "killed" / "c" / "seed-0" / "stages"
    for moment in (
        stages / "general.json",
        stages / "texts-cascod.json",
        stages.parent.with_name("seed-0.no_rules"),
    ):
        process = subprocess.Popen(
            [*command, str(tmp_path / "killed")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while not moment.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert process.poll() is None, "it was alive when it was killed"
        process.kill()
        process.wait()
    subprocess.run([*command, str(tmp_path / "killed")], check=True, capture_output=True)

    def figures(root: str) -> dict[str, Any]:
        found = json.loads((tmp_path / root / "c" / "comparison.json").read_text())
        for one in found["costs"].values():
            one["train_seconds"] = one["seconds_each"] = 0
        return found

    assert figures("killed") == figures("whole")
