"""The one table of methods: a row from outside joins runs, reports and comparisons; wrong rows and unknown names are told."""

from __future__ import annotations

import ast
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

import nesycd
from nesycd.api.comparing import run_comparison
from nesycd.api.running import is_beside
from nesycd.cli.main import app
from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
from nesycd.core.errors import ConfigError
from nesycd.core.records import TrainingText
from nesycd.core.segments import own
from nesycd.methods import table
from nesycd.methods.context import Context
from nesycd.methods.method import BASE, Method
from nesycd.methods.table import METHODS
from nesycd.methods.training import on_texts
from nesycd.prompts import completion_text
from nesycd.reports import load_results
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from nesycd.runs.stage import read_states

ROOT = Path(__file__).parents[2]
LONGTAIL = ROOT / "recipes" / "longtail.toml"
SMALL = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test']",
    "task.sizes={train = 40, valid = 12, test = 20}",
)


# --- a method from outside -----------------------------------------------------------------------------------------------


def in_capitals(context: Context, method: Method) -> list[TrainingText]:
    """The rationales, shouted."""
    kept = context.distilled.kept
    return [
        TrainingText(
            example=example.uid,
            task="direct",
            prompt=context.prompts.closed_book(example),
            segments=own(completion_text(kept[example.uid].text.upper(), kept[example.uid].answer)),
        )
        for example in context.train
        if example.uid in kept
    ]


SHOUTING = Method(
    "shouting",
    "trained on rationales in capitals",
    "rival",
    student="shouting",
    train=on_texts(in_capitals),
    against=("std_cot",),
)


@pytest.fixture
def shouting() -> Iterator[Method]:
    before = list(METHODS)
    nesycd.register_method(SHOUTING)
    nesycd.register_method(replace(SHOUTING, name="shouting_kb", train=None, source="kb"))
    yield SHOUTING
    for name in set(METHODS) - set(before):
        del METHODS[name]
    assert list(METHODS) == before


def test_a_method_from_outside_is_trained_answers_and_is_reported(shouting: Method, tmp_path: Path) -> None:
    folder, out = tmp_path / "r", io.StringIO()
    recipe = load_recipe(LONGTAIL, [*SMALL, "evaluation.methods=['std_cot', 'nesycd', 'shouting', 'shouting_kb']"])
    execute(recipe, folder, Console(file=out, width=200))
    texts = read_records(folder, "texts-shouting", TrainingText)
    assert texts and all(text.completion[:10] == text.completion[:10].upper() for text in texts)
    states = read_states(folder)
    assert states["train-shouting"]["done"] and (folder / "checkpoints" / "train-shouting").is_dir()
    budget = load_results(folder / "results.json").to_json()["method"]["completion_tokens"]["nesycd"]
    assert states["train-shouting"]["metadata"]["completion_tokens"] == pytest.approx(budget, rel=0.2)
    plain, loud, told = (read_attempts(folder, f"eval-test-{name}") for name in ("std_cot", "shouting", "shouting_kb"))
    assert len(loud) == len(told) == len(plain) == 20
    assert {a.response.partition("Therefore")[0] for a in loud} != {a.response.partition("Therefore")[0] for a in plain}
    assert not any(one.knowledge for one in loud) and any(one.knowledge for one in told)
    results = load_results(folder / "results.json")
    assert list(results.methods) == ["std_cot", "nesycd", "shouting", "shouting_kb"]
    assert results.methods["shouting"]["test"].n == 20
    assert "shouting" in out.getvalue() and "shouting" in (folder / "report.html").read_text(encoding="utf-8")
    # Whoever opens the run asks by it, and a second run does nothing again.
    with nesycd.open_run(folder) as run:
        example = run.task.load("test")[0]
        asked = run.ask(example.question, example.options, example.task, "shouting")
        assert asked.text == loud[0].response and asked.method == "shouting" and not asked.routed
    before = {path: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()}
    execute(recipe, folder, Console(file=io.StringIO()))
    assert {path: path.stat().st_mtime_ns for path in (folder / "stages").iterdir()} == before


def test_a_method_from_outside_is_listed_and_compared(shouting: Method, tmp_path: Path) -> None:
    listed = CliRunner().invoke(app, ["compare", "--list"]).output
    assert "shouting    " in listed and "trained on rationales in capitals" in listed
    assert listed.index("Published baselines:") < listed.index("shouting") < listed.index("Ablations:")
    assert [one.name for one in nesycd.list_methods()][-2:] == ["shouting", "shouting_kb"]
    folder, words = tmp_path / "c", ["--methods", "nesycd,shouting", "--seeds", "0", "--name", "c"]
    sets = [word for setting in SMALL for word in ("--set", setting)]
    primary = ["--set", "compare.primary.right=shouting"]
    made = CliRunner().invoke(app, ["compare", str(LONGTAIL), *words, *sets, *primary, "--root", str(tmp_path)])
    assert made.exit_code == 0, made.output + str(made.exception)
    content = json.loads((folder / "comparison.json").read_text())
    assert content["methods"]["shouting"]["role"] == "rival" and list(content["methods"]) == ["nesycd", "shouting"]
    right = [one.correct for one in read_attempts(folder / "seed-0", "eval-test-shouting")]
    assert content["scores"]["shouting"]["test"]["all"]["value"] == pytest.approx(sum(right) / len(right))
    assert content["primary"]["right"] == "shouting" and content["primary"]["difference"] is not None
    assert "shouting" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "nesycd"}, "method 'nesycd': there is one of this name already"),
        ({"name": "items_50"}, "method 'items_50': there is one of this name already"),
        ({"name": "My method"}, "method 'My method': a name is made of lower-case letters, digits and _"),
        ({"student": "nesicd", "train": None}, "its student is that of 'nesicd', which is no method"),
        ({"student": "std_cot"}, "`train` goes with a student of its own, and with nothing else"),
        ({"student": BASE}, "`train` goes with a student of its own, and with nothing else"),
        ({"train": None}, "`train` goes with a student of its own, and with nothing else"),
    ],
)
def test_wrong_rows_are_refused(changes: dict[str, object], said: str) -> None:
    before = dict(METHODS)
    with pytest.raises(ConfigError, match=said):
        nesycd.register_method(replace(SHOUTING, **changes))  # type: ignore[arg-type]
    assert before == METHODS


# --- unknown names ---------------------------------------------------------------------------------------------------------


def recipe_file(tmp_path: Path, tail: str) -> Path:
    path = tmp_path / "own.toml"
    path.write_text(f'extends = "{LONGTAIL}"\nname = "own"\n\n{tail}')
    return path


def test_an_unknown_method_is_told_with_file_line_and_the_nearest_name(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, '[evaluation]\nmethods = ["std_cot", "nesicd"]\n')
    with pytest.raises(ConfigError) as caught:
        table.of_recipe(load_recipe(path))
    told = f"{path}:5: evaluation.methods: no method 'nesicd' (did you mean 'nesycd'?); nesycd compare --list tells all"
    assert str(caught.value) == told
    # It is told before anything is run.
    made = CliRunner().invoke(app, ["run", str(path), "--set", "student.model=table", "--root", str(tmp_path / "runs")])
    assert made.exit_code != 0 and made.stderr == f"error: {told}\n"
    path = recipe_file(tmp_path, '[evaluation]\nmethods = ["no_rules"]\n')
    with pytest.raises(ConfigError, match=r"own\.toml:5: evaluation\.methods: no_rules is NesyCD with other settings"):
        table.of_recipe(load_recipe(path))


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        ('[compare]\nmethods = ["kard_bk"]\n', "5: compare.methods: no method 'kard_bk' (did you mean 'kard_kb'?)"),
        ('[compare.primary]\nleft = "nesycd_rooted"\n',
         "5: compare.primary.left: no method 'nesycd_rooted' (did you mean 'nesycd_routed'?)"),
        ('[compare.primary]\nright = "std_cott"\n',
         "5: compare.primary.right: no method 'std_cott' (did you mean 'std_cot'?)"),
        ('[compare]\nmethods = ["tiny_bse"]\n[compare.variants]\ntiny_base = ["knowledge.max_items=3"]\n',
         "5: compare.methods: no method 'tiny_bse' (did you mean 'tiny_base'?)"),
        ('[compare.variants]\nnesycd = ["knowledge.max_items=3"]\n',
         "5: compare.variants.nesycd: a method has this name already"),
    ],
)  # fmt: skip
def test_unknown_methods_of_a_comparison_are_told(tmp_path: Path, tail: str, said: str) -> None:
    path = recipe_file(tmp_path, tail)

    def varied(changes: tuple[str, ...] | list[str]) -> nesycd.Recipe:
        return load_recipe(path, ["student.model=table", *changes])

    with pytest.raises(ConfigError) as caught:
        run_comparison(varied([]), varied, tmp_path / "c")
    assert str(caught.value).startswith(f"{path}:{said}")
    assert not (tmp_path / "c").exists(), "nothing was remembered"


def test_names_given_on_the_command_line_are_told_as_such(tmp_path: Path) -> None:
    call = [
        "compare",
        str(LONGTAIL),
        "--set",
        "student.model=table",
        "--root",
        str(tmp_path),
        "--methods",
        "nesycd,raft",
    ]
    made = CliRunner().invoke(app, call)
    assert made.exit_code != 0 and made.stderr.startswith("error: --methods: no method 'raft' (did you mean 'raft_")


# --- rows ------------------------------------------------------------------------------------------------------------------


def test_each_row_is_asked_of_a_student_that_somebody_trains() -> None:
    for name, method in METHODS.items():
        assert method.name == name and method.about and not method.about.endswith(".")
        assert (method.train is not None) == (method.student == name), name
        assert method.student == BASE or METHODS[method.student].train is not None, name
        assert all(other in METHODS and other != name for other in method.against), name
        assert (method.beside or method.role != "ablation") and not (method.beside and method.default), name
        assert METHODS[method.answered_by].default and not METHODS[method.answered_by].beside, name
        # What rests on the base through its student says so.
        assert method.reads_base or method.student == BASE or not METHODS[method.student].reads_base, name
    assert {table.MAIN, table.BASELINE} <= {name for name, method in METHODS.items() if method.default}
    assert [one.name for one in table.of_recipe(load_recipe(LONGTAIL))] == [
        name for name, method in METHODS.items() if method.default
    ]


def test_ablations_with_a_number_and_variants_are_found() -> None:
    recipe = load_recipe(LONGTAIL, ["compare.variants={small = ['knowledge.max_items=3']}"])
    for name, settings in (
        ("items_50", ["knowledge.max_items=50"]),
        ("train_100", ["task.sizes.train=100"]),
        ("small", ["knowledge.max_items=3"]),
        ("no_rules", ['knowledge.kinds=["lesson", "fact"]']),
    ):
        method = table.find(name, recipe)
        assert method is not None and method.changes is not None and list(method.changes(recipe)) == settings
        assert method.beside and method.student == table.MAIN
    assert table.find("items_0") is table.find("small") is table.find("folds_3") is None


# --- stages ----------------------------------------------------------------------------------------------------------------


def test_every_stage_of_a_comparison_is_told_from_the_runs_own(tmp_path: Path) -> None:
    names = ["nesycd", "nesycd_routed", "whole_kb", "cascod", "kard_kb"]

    def varied(changes: tuple[str, ...] | list[str]) -> nesycd.Recipe:
        return load_recipe(LONGTAIL, [*SMALL, *changes])

    run_comparison(varied([]), varied, tmp_path / "c", None, names, [0])
    stages = list(read_states(tmp_path / "c" / "seed-0"))
    found = {stage: method.name for stage in stages if (method := table.method_of(stage)) is not None}
    expected = {f"{own}-{name}": name for own in ("texts", "train") for name in ("cascod", "kard_kb")}
    for name in ("std_cot", "nesycd", "nesycd_routed", "whole_kb", "cascod", "kard_kb"):
        expected |= {f"eval-test-{name}": name, f"eval-test-{name}.verdicts": name}
    expected |= {f"eval-test-{name}-first": name for name in ("nesycd_routed", "cascod")}
    expected |= {f"settings-test-{name}": name for name in ("cascod", "kard_kb")}
    assert found == expected
    own = {
        "rationales",
        "general",
        "augmented",
        "collect-fold-0",
        "valid-informed",
        "valid-informed.verdicts",
        "knowledge",
    }
    assert own <= set(stages) - set(found)
    beside = {stage for stage in stages if is_beside(stage)}
    assert beside == {stage for stage, name in found.items() if name not in (table.MAIN, table.BASELINE)}


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("eval-ood_unseen_imported-nesycd_no_kb.verdicts", "nesycd_no_kb"),
        ("eval-ood_unseen-std_cot_kb", "std_cot_kb"),
        ("eval-test-zero_shot_kb", "zero_shot_kb"),
        ("eval-test-raft_kb-first.verdicts", "raft_kb"),
        ("eval-test-items_50", None),
        ("eval-edits", None),
        ("retrieve-test-corpus", None),
        ("train", None),
        ("texts-nobody", None),
        ("collect-fold-0", None),
    ],
)
def test_the_method_of_a_stage(stage: str, name: str | None) -> None:
    found = table.method_of(stage)
    assert (found and found.name) == name


# --- nothing else knows names ------------------------------------------------------------------------------------------------

WORDS = {"zero_shot", "few_shot", "in_sample", "program", "parser"}
"""Rows whose names are words of prompts, of recipes (`collection.mode`) and of code too."""
ALLOWED = {
    ("core/sections.py", "std_cot"): "the default of compare.primary.right",
    ("cli/harness.py", "nesycd"): "the model's name in the harness",
    ("methods/distil.py", "std_cot"): "a key of `completion_tokens` in the results",
}


def test_no_other_file_compares_names_of_methods() -> None:
    names = set(METHODS) - WORDS - {table.MAIN}
    found: dict[tuple[str, str], list[int]] = {}
    for path in sorted((ROOT / "nesycd").rglob("*.py")):
        place = path.relative_to(ROOT / "nesycd").as_posix()
        if place == "methods/table.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in names:
                found.setdefault((place, str(node.value)), []).append(node.lineno)
            # `nesycd` is the package, the command and a folder too: it may stand anywhere but in a comparison.
            if isinstance(node, ast.Compare):
                for part in ast.walk(node):
                    if isinstance(part, ast.Constant) and part.value in {table.MAIN}:
                        found.setdefault((place, table.MAIN), []).append(node.lineno)
    strangers = {place: lines for place, lines in found.items() if place not in ALLOWED}
    assert not strangers, "only methods/table.py knows methods by name; give the row a column"
    assert not ALLOWED.keys() - found.keys(), "an exception that is none any more"


def test_what_the_package_offers_is_no_module_of_its() -> None:
    """Once a module is imported, it takes the place of whatever the package offers by the same name."""
    modules = {path.stem for path in (ROOT / "nesycd").iterdir()}
    assert not set(nesycd.__all__) & modules
    assert all(getattr(nesycd, name) is not None for name in nesycd.__all__)
