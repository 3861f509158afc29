"""`nesycd compare`: methods and rivals side by side, over seeds."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from nesycd.cli.run import Limit, Overrides, RecipeFile, Root, complete, finish, is_beside, opened
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.runs.folders import COMPARISON

if TYPE_CHECKING:
    from nesycd.methods.comparison import Method
    from nesycd.reports.comparison import Comparison
    from nesycd.reports.material import Row

app = typer.Typer()

Names = Annotated[
    str,
    typer.Option(
        "--methods",
        help="Names with commas between; not given: compare.methods of the recipe (or its arms), and what was asked before.",
    ),
]
Numbers = Annotated[
    str,
    typer.Option(
        "--seeds",
        help="Numbers with commas between; not given: compare.seeds of the recipe (or its seed), and what was asked before.",
    ),
]
Folder = Annotated[
    str, typer.Option("--name", help="Name of the comparison's folder; not given: compare- and the recipe's name.")
]


def _list_methods(wanted: bool) -> None:
    if not wanted:
        return
    from nesycd.methods.ablations import ABLATIONS, NUMBERED
    from nesycd.methods.comparison import ARMS
    from nesycd.methods.rivals import RIVALS
    from nesycd.reports.scores import ABOUT

    arms = {name: ABOUT.get(name, "") for name in ARMS if name not in RIVALS}
    numbered = {f"{name}_N": text.format("N") for name, (text, _) in NUMBERED.items()}
    listed = {
        "Arms of a run": arms,
        "Rivals": {name: rival.about for name, rival in RIVALS.items()},
        "Ablations": {name: text for name, (text, _) in ABLATIONS.items()} | numbered,
    }
    width = max(len(name) for names in listed.values() for name in names)
    for title, names in listed.items():
        typer.echo(f"{title}:")
        for name, text in names.items():
            typer.echo(f"  {name:<{width}} {text}")
    raise typer.Exit


@app.command()
def compare(
    recipe: RecipeFile,
    methods: Names = "",
    seeds: Numbers = "",
    overrides: Overrides = None,
    limit: Limit = None,
    name: Folder = "",
    root: Root = Path("runs"),
    table: Annotated[
        bool, typer.Option("--table", help="Run nothing: put together what is finished, also while others still run.")
    ] = False,
    listing: Annotated[
        bool, typer.Option("--list", is_eager=True, callback=_list_methods, help="List the methods and exit.")
    ] = False,
) -> None:
    """Put methods side by side in one comparison, over seeds.

    Every rival is trained on the same rationales, for as many completion tokens as NesyCD's student.
    Each seed is an ordinary run in the comparison's folder; rivals are further stages of it, ablations runs beside it that
    begin from its finished stages. What is finished is never done again: call it with more methods or seeds and these are
    added to what the folder holds; interrupt it (Ctrl-C) and the same command goes on. Several processes may work on
    different seeds of one comparison, and seeds run on another machine count when their folders are copied into the
    comparison's. Writes comparison.json and report.html.

    Examples:

        nesycd compare recipes/compare-longtail.toml

        nesycd compare recipes/quickstart.toml --methods std_cot,kard_kb,nesycd --seeds 0,1,2 --name trio

        nesycd compare recipes/compare-longtail.toml --table

        nesycd compare --list
    """
    settings = load_recipe(recipe, overrides or [], limit)
    given = [one.strip() for one in methods.split(",") if one.strip()]
    own = settings.name if settings.name.startswith("compare") else f"compare-{settings.name}"
    execute(recipe, overrides or [], limit, root / (name or own), Console(), given, _numbers(seeds), run=not table)


def _numbers(text: str) -> list[int]:
    words = [one.strip() for one in text.split(",") if one.strip()]
    if wrong := [word for word in words if not word.isdecimal()]:
        raise ConfigError(f"--seeds {text}: {wrong[0]!r} is not a seed (0, 1, 2, ...)")
    return [int(word) for word in words]


def execute(
    recipe: Path,
    overrides: Sequence[str],
    limit: int | None,
    folder: Path,
    console: Console,
    names: Sequence[str] = (),
    seeds: Sequence[int] = (),
    run: bool = True,
) -> None:
    """Run what was asked for now (unless `run` is false), then put together all that the folder has been asked for."""
    from nesycd.cli.build import parts_of
    from nesycd.cli.compare_checks import check, possible
    from nesycd.methods.comparison import methods_of
    from nesycd.methods.evaluate import splits_of

    settings = load_recipe(recipe, overrides, limit)
    # Mistakes are told before anything is run or remembered.
    found, task, *_ = parts_of(settings)
    own_shots = hasattr(task, "few_shot")
    scored, primary = splits_of(task, found), settings.compare.primary
    methods_of([primary.left, primary.right], settings, own_shots)
    if primary.split not in scored:
        raise ConfigError(
            f"compare.primary.split: there is no split {primary.split!r} among those scored ({', '.join(scored)})"
        )
    before = _asked(folder)
    try:
        methods_of(before["methods"] or ["nesycd"], settings, own_shots)
    except ConfigError as error:
        raise ConfigError(
            f"{folder / 'asked.json'}: {error}; a method that is no longer wanted: delete it there"
        ) from None
    named, known = [*settings.compare.methods, *before["methods"]], {*settings.compare.seeds, *before["seeds"]}
    if not run and before["seeds"]:
        named, known = before["methods"], set(before["seeds"])
    now = methods_of([*names] or named or possible(found.evaluation.arms, task, scored), settings, own_shots)
    check(now, found, task, scored, lambda changes: load_recipe(recipe, [*overrides, *changes], limit))
    numbers = list(dict.fromkeys(seeds or sorted(known) or [settings.seed]))
    asked = {"methods": [one.name for one in now], "seeds": numbers}
    if run:
        asked = _remember(folder, asked["methods"], numbers)
    wanted = methods_of(asked["methods"], settings, own_shots)
    job = _Job(recipe, list(overrides), limit, folder, console, now, wanted, scored)
    for number, seed in enumerate(numbers if run else [], 1):
        console.print(f"seed {seed} ({number} of {len(numbers)})", style="bold")
        job.run_seed(seed)
    job.put_together(asked["seeds"], settings)


def _asked(folder: Path) -> dict[str, list[Any]]:
    """What the comparison was asked for before: `methods` and `seeds`.

    Raises:
        RunError: the folder is something else, or the file is damaged.
    """
    path = folder / COMPARISON
    if folder.is_file() or (folder / "manifest.json").is_file():
        raise RunError(f"{folder}: not a comparison's folder; name another with --name")
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {"methods": [], "seeds": []}
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError:
        stored = None
    match stored:
        case {"methods": [*methods], "seeds": [*seeds]}:
            if all(isinstance(one, str) for one in methods) and all(type(one) is int and one >= 0 for one in seeds):
                return {"methods": methods, "seeds": seeds}
    raise RunError(f"{path}: not readable; delete it, and name all methods and seeds again")


def _remember(folder: Path, names: Sequence[str], seeds: Sequence[int]) -> dict[str, list[Any]]:
    """Add methods and seeds to those that the comparison was asked for before; returns all of them."""
    from nesycd.core.storage import disk_errors, write_json_atomic

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        stored = _asked(folder)
        united = {
            "methods": list(dict.fromkeys([*stored["methods"], *names])),
            "seeds": sorted({*stored["seeds"], *seeds}),
        }
        write_json_atomic(folder / COMPARISON, united)
        return united


@contextmanager
def _alone(folder: Path, patience: float = 60.0) -> Iterator[None]:
    """Whole files of a comparison are written by one process at a time; each needs but a moment.

    Raises:
        RunError: another one holds the folder for longer than `patience` seconds.
    """
    from nesycd.core.storage import FolderLock

    deadline = time.monotonic() + patience
    while True:
        try:
            lock = FolderLock(folder / "lock")
            break
        except RunError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    try:
        yield
    finally:
        lock.release()


class _Job:
    """One call's work: runs and their folders."""

    def __init__(
        self,
        recipe: Path,
        overrides: list[str],
        limit: int | None,
        folder: Path,
        console: Console,
        now: Sequence[Method],
        wanted: Sequence[Method],
        scored: Sequence[str],
    ) -> None:
        self.recipe, self.overrides, self.limit = recipe, overrides, limit
        self.folder, self.console = folder, console
        self.now, self.wanted = now, wanted
        self.scored = scored
        self._hashes: dict[str, dict[str, str]] = {}

    def settings(self, seed: int, rate: float | None, changes: Sequence[str] = (), arms: Sequence[str] = ()) -> Recipe:
        """The recipe of one run of the comparison."""
        tuned = [] if rate is None else [f"training.learning_rate={rate!r}", f"augmented.learning_rate={rate!r}"]
        if rate is not None:
            # What is chosen on valid must be answered there.
            tuned.append(f"evaluation.splits={json.dumps([*self.scored, 'valid'])}")
        arms_set = [f"evaluation.arms={json.dumps(list(arms))}"] if arms else []
        return load_recipe(self.recipe, [*self.overrides, f"seed={seed}", *tuned, *changes, *arms_set], self.limit)

    def run_seed(self, seed: int) -> None:
        """All methods of this call under one seed, with each learning rate that is tried."""
        from nesycd.methods.comparison import arms_of, begin_from, folder_of

        rates: Sequence[float | None] = self.settings(seed, None).compare.learning_rates or [None]
        for rate in rates:
            base = folder_of(self.folder, seed, rate)
            self.run_base(self.settings(seed, rate, arms=arms_of(self.wanted)), base)
            for method in self.now:
                if method.sort == "ablation":
                    changed = self.settings(seed, rate, method.changes, ("nesycd",))
                    beside = folder_of(self.folder, seed, rate, method.name)
                    begin_from(base, beside)
                    with opened(changed, beside, self.console) as parts:
                        complete(parts)

    def run_base(self, settings: Recipe, folder: Path) -> None:
        """A seed's own run, and its rivals as further stages."""
        from nesycd.cli.compare_checks import passages_named
        from nesycd.methods.evaluate import splits_of
        from nesycd.methods.rivals import Shared, corpus_of, run_rival
        from nesycd.prompts import RivalPrompts

        names = [method.name for method in self.now if method.sort == "rival"]
        with opened(settings, folder, self.console) as parts:
            corpus = corpus_of(parts.task, passages_named(parts.recipe))
            trained, _ = complete(parts)
            shared = Shared(parts, trained, RivalPrompts.load(settings.prompts), corpus)
            for name in names:
                run_rival(shared, name, splits_of(parts.task, parts.recipe))
            finish(parts)

    def put_together(self, seeds: Sequence[int], settings: Recipe) -> None:
        """Write and print the comparison of all seeds that have all methods."""
        from nesycd.core.storage import write_atomic, write_json_atomic
        from nesycd.reports.comparison import compare
        from nesycd.reports.comparison_page import print_comparison, render_comparison
        from nesycd.reports.material import read_material
        from nesycd.runs.stage import read_states

        chosen = {seed: self.chosen(seed, settings) for seed in seeds}
        lacking = {seed: names for seed in seeds if (names := self.lacking(seed, settings))}
        ready = [seed for seed in seeds if seed not in lacking]
        for seed, names in lacking.items():
            what = "all methods" if len(names) == len(self.wanted) > 3 else ", ".join(names)
            self.console.print(f"seed {seed} lacks answers with these settings ({what}): add it with --seeds {seed}")
        if not ready:
            self.console.print("no seed has answers of all methods yet: nothing is compared")
            return
        rows = [self.row(method, {seed: chosen[seed][method.name] for seed in ready}) for method in self.wanted]
        # A benchmark's settings may leave a split without questions.
        found = [read_states(rows[0].folders[seed]) for seed in ready]
        scored = [split for split in self.scored if not all(_is_empty(states, split) for states in found)]
        material = read_material(rows, ready, scored)
        with _alone(self.folder):
            first, compared = settings.compare.primary, settings.evaluation.bootstrap
            rates = {m.name: {s: r for s in ready if (r := chosen[s][m.name]) is not None} for m in self.wanted}
            made: Comparison = compare(
                self.folder.name,
                material,
                (first.left, first.right, first.split, first.kind),
                self.count_scored(rows, scored),
                {name: by_seed for name, by_seed in rates.items() if by_seed},
                compared,
            )
            write_json_atomic(self.folder / "comparison.json", made.to_json())
            write_atomic(self.folder / "report.html", render_comparison(made, material))
        print_comparison(made, self.console)
        self.console.print(f"Report: {self.folder / 'report.html'}", markup=False, highlight=False)

    # --- what lies in the folders --------------------------------------------------------------------------------------

    def place(self, method: Method, seed: int, rate: float | None) -> Path:
        """The run folder with a method's answers."""
        from nesycd.methods.comparison import folder_of

        return folder_of(self.folder, seed, rate, method.name if method.sort == "ablation" else "")

    def chosen(self, seed: int, settings: Recipe) -> dict[str, float | None]:
        """Method -> the learning rate that was best on valid under a seed (the first of several); None without tuning."""
        rates = settings.compare.learning_rates
        if not rates:
            return dict.fromkeys((method.name for method in self.wanted), None)
        return {method.name: max(rates, key=lambda rate: self.on_valid(method, seed, rate)) for method in self.wanted}

    def on_valid(self, method: Method, seed: int, rate: float) -> float:
        """A trial's accuracy on valid; -1 where it has not been run."""
        from nesycd.core.records import Attempt
        from nesycd.runs.run import read_records
        from nesycd.stages.route import accuracy

        found = read_records(self.place(method, seed, rate), f"eval-valid-{method.arm}", Attempt)
        return accuracy(found) if found else -1.0

    def lacking(self, seed: int, settings: Recipe) -> list[str]:
        """The methods that have not answered all splits under a seed with the recipe's settings."""
        rates: Sequence[float | None] = settings.compare.learning_rates or [None]
        return [m.name for m in self.wanted if not all(self.is_done(m, seed, rate) for rate in rates)]

    def is_done(self, method: Method, seed: int, rate: float | None) -> bool:
        """Whether a method has answered all splits, in a run of these very settings and of files that say the same."""
        from nesycd.cli.build import data_root
        from nesycd.core.places import locate_data, settings_alone
        from nesycd.core.protocols import TRAINING
        from nesycd.runs.manifest import read_manifest
        from nesycd.runs.stage import read_states

        folder = self.place(method, seed, rate)
        try:
            # What settings were not there yet when it was made, it ran with as they are by default.
            made = Recipe.model_validate_json((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        states = read_states(folder)
        if states.get("general", {}).get("version", TRAINING) != TRAINING:
            return False  # of students that would be trained otherwise today
        whole = all(state["done"] for name, state in states.items() if not is_beside(name))
        manifest = read_manifest(folder) or {}
        if not whole or manifest.get("finished") is None:
            return False  # cut short, it may hold answers from before its settings were changed
        recipe = locate_data(self.settings(seed, rate, method.changes), data_root())
        if manifest["hashes"] != self.hashes(recipe):
            return False  # of files that were edited since
        wanted, config = settings_alone(recipe), settings_alone(made)
        # Arms and methods may be more than they were when the run was made.
        same = all(config.get(part) == value for part, value in wanted.items() if part not in ("evaluation", "compare"))
        return same and all(
            states.get(f"eval-{split}-{method.arm}", {}).get("done") and self.is_of(method, recipe, split, states)
            for split in self.scored
            if not _is_empty(states, split)
        )

    def hashes(self, recipe: Recipe) -> dict[str, str]:
        """What the manifest of a recipe's run holds if it was made of the files that are there now."""
        from nesycd.cli.build import hashes_of, parts_of

        # Most methods differ in other sections, and reading the questions may take seconds.
        read = recipe.model_dump(mode="json", include={"seed", "prompts", "task", "teacher", "student", "knowledge"})
        key = json.dumps(read)
        if key not in self._hashes:
            self._hashes[key] = hashes_of(*parts_of(recipe))
        return self._hashes[key]

    def is_of(self, method: Method, recipe: Recipe, split: str, states: Mapping[str, Any]) -> bool:
        """Whether a rival's answers, which a run with others leaves, are of these settings; True where nothing says so."""
        from nesycd.methods.rivals import settings_of, settings_stage

        stored = states.get(settings_stage(method.name, split)) if method.sort == "rival" else None
        return stored is None or stored["metadata"].get("value") == settings_of(recipe, states, split)

    def row(self, method: Method, rates: dict[int, float | None]) -> Row:
        """A method with the folders of its answers."""
        from nesycd.reports.material import Row

        folders = {seed: self.place(method, seed, rate) for seed, rate in rates.items()}
        return Row(method.name, method.sort, method.about, folders, method.arm)

    def count_scored(self, rows: Sequence[Row], splits: Sequence[str]) -> dict[str, dict[str, int]]:
        """How often each method's answers to a split were scored: other answers under one seed, at most.

        Each new set of answers is a line of `scored.jsonl`, which nothing shortens.
        """
        from nesycd.core.storage import disk_errors
        from nesycd.runs.stage import read_states

        path = self.folder / "scored.jsonl"
        seen = _scored_before(path)
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            for row in rows:
                for seed, folder in row.folders.items():
                    states = read_states(folder)
                    for split in splits:
                        answers = states[f"eval-{split}-{row.arm}"]["output"]
                        known = seen.setdefault((row.name, split, seed), [])
                        if answers not in known:
                            known.append(answers)
                            line = {"method": row.name, "split": split, "seed": seed, "answers": answers}
                            file.write(json.dumps(line) + "\n")
        return {
            row.name: {split: max(len(seen[row.name, split, seed]) for seed in row.folders) for split in splits}
            for row in rows
        }


def _is_empty(states: Mapping[str, Any], split: str) -> bool:
    """Whether a run, by its stages' states, has found that a split has no questions."""
    state = states.get(f"examples-{split}")
    return state is not None and bool(state["done"]) and not state["metadata"]["records"]


def _scored_before(path: Path) -> dict[tuple[str, str, int], list[str]]:
    """The lines of `scored.jsonl`: (method, split, seed) -> its answers' hashes. A torn last line is cut off the file.

    Raises:
        DataError, RunError: a damaged line, or a file that cannot be read or written.
    """
    from nesycd.core.files import read_jsonl
    from nesycd.core.storage import disk_errors

    seen: dict[tuple[str, str, int], list[str]] = {}
    if not path.is_file():
        return seen
    with disk_errors(path):
        content = path.read_bytes()
        if (end := content.rfind(b"\n") + 1) < len(content):
            os.truncate(path, end)
    for where, line in read_jsonl(path):
        match line:
            case {"method": str(method), "split": str(split), "seed": int(seed), "answers": str(answers)}:
                seen.setdefault((method, split, seed), []).append(answers)
            case _:
                raise RunError(f"{where}: not a line with method, split, seed and answers; mend it or take it out")
    return seen
