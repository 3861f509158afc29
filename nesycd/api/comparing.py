"""Comparisons of methods over seeds, in one folder of ordinary runs.

runs/NAME/
  asked.json                methods and seeds asked for so far; later calls add to them
  config.json               the recipe of the last call
  seed-0/                   an ordinary run; methods with students of their own are further stages in it
  seed-0.no_rules/          an ablation, started from the finished stages of its seed's run
  seed-0.lr-0.001/          with tuning: the same with another learning rate
  comparison.json report.html scored.jsonl
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd.api.build import build_parts, commit_of, data_root, server_of
from nesycd.api.checks import check, possible
from nesycd.api.dealing import done_by
from nesycd.api.running import complete, finish, is_beside, opened
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.files import file_hash, read_jsonl
from nesycd.core.paths import locate_data, settings_alone
from nesycd.core.protocols import TRAINING
from nesycd.core.records import content_hash
from nesycd.core.storage import FolderLock, disk_errors, write_atomic, write_json_atomic
from nesycd.knowledge.reviewed import read_reviewed
from nesycd.methods import table
from nesycd.methods.context import Context
from nesycd.methods.evaluate import Scored, over_splits, score, splits_of
from nesycd.methods.method import BASE, Method
from nesycd.reports.comparison import Comparison, compare
from nesycd.reports.comparison_page import render_comparison
from nesycd.reports.folder import Row, read_base, read_material
from nesycd.runs.consent import Consent
from nesycd.runs.dealing import together
from nesycd.runs.folders import COMPARISON
from nesycd.runs.manifest import read_manifest, read_recipe
from nesycd.runs.predictions import FILE as PREDICTIONS
from nesycd.runs.predictions import read_attempts
from nesycd.runs.stage import read_states
from nesycd.stages.route import accuracy

if TYPE_CHECKING:
    from rich.console import Console

Variation = Callable[[Sequence[str]], Recipe]
"""The comparison's recipe with further settings, `a.b=value` each."""


def run_comparison(
    recipe: Recipe,
    varied: Variation,
    folder: Path,
    console: Console | None = None,
    names: Sequence[str] = (),
    seeds: Sequence[int] = (),
    run: bool = True,
    consent: Consent | None = None,
) -> Comparison | None:
    """Run the methods and seeds asked for (unless `run` is false), then compare all that the folder has been asked for.

    Args:
        recipe: of the comparison.
        varied: makes the recipes of its runs.
        folder: of the comparison; created where it is missing.
        console: where notes and progress are shown; None: nowhere.
        names: methods; none: those of the recipe and those asked for before.
        seeds: none: likewise.
        run: whether anything is run.
        consent: see `Run.open`.

    Returns:
        The comparison; None where no seed has answers of all methods yet.

    Raises:
        NesycdError: a mistake in the request, before anything is run or stored.
    """
    parts = build_parts(recipe)
    found, task = parts.recipe, parts.task
    scored, primary = splits_of(task, found), recipe.compare.primary
    for side in ("left", "right"):
        table.named([getattr(primary, side)], recipe, recipe.where(f"compare.primary.{side}"))
    if primary.split not in scored:
        raise ConfigError(
            f"{recipe.where('compare.primary.split')}: there is no split {primary.split!r} among those scored "
            f"({', '.join(scored)})"
        )
    before = _asked(folder)
    try:
        table.named(before["methods"], recipe, str(folder / COMPARISON))
    except ConfigError as error:
        raise ConfigError(f"{error}; if it is no longer wanted, delete it there") from None
    wanted, known = [*recipe.compare.methods, *before["methods"]], {*recipe.compare.seeds, *before["seeds"]}
    if not run and before["seeds"]:
        wanted, known = before["methods"], set(before["seeds"])
    where = "--methods" if names else recipe.where("compare.methods")
    now = table.named(names or wanted, recipe, where) or possible(table.of_recipe(recipe), task, scored)
    check(now, parts, scored, varied)
    numbers = list(dict.fromkeys(seeds or sorted(known) or [recipe.seed]))
    asked = {"methods": [one.name for one in now], "seeds": numbers}
    if run:
        asked = _remember(folder, asked["methods"], numbers, found)
    job = _Job(
        varied, folder, console, now, table.named(asked["methods"], recipe, str(folder / COMPARISON)), scored, consent
    )

    def work(console: Console | None) -> None:
        job.console = console
        together([partial(job.run_seed, seed, f"{number} of {len(numbers)}") for number, seed in enumerate(numbers, 1)])

    if run:
        done_by(recipe.engine, console, work)
        job.console = console
    return job.put_together(asked["seeds"], recipe)


# --- folders -----------------------------------------------------------------------------------------------------------


def folder_of(root: Path, seed: int, rate: float | None = None, variant: str = "") -> Path:
    """The run folder of a seed, of one of its tuning trials, or of an ablation of either."""
    trial = "" if rate is None else f".lr-{rate!r}"
    return root / f"seed-{seed}{trial}{f'.{variant}' if variant else ''}"


def begin_from(source: Path, target: Path) -> None:
    """Create a run folder with the finished stages of another; stages that depend on other settings are redone in it.

    Checkpoints are hard-linked rather than copied; files in them are replaced, never modified in place.
    """
    if target.exists() or not source.exists():
        return
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    # Answers to test questions, and the students of other methods, are not part of a run with one method.
    others = shutil.ignore_patterns("eval-*", *(f"{own}-*" for own in table.OWN_STAGES))
    shutil.copytree(source / "stages", part / "stages", ignore=others)
    shutil.copytree(source / "checkpoints", part / "checkpoints", ignore=others, copy_function=_link)
    for path in [source / "manifest.json", source / PREDICTIONS, *source.glob("kb.sqlite*")]:
        if path.is_file():
            shutil.copy2(path, part / path.name)
    os.replace(part, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def _asked(folder: Path) -> dict[str, list[Any]]:
    """The `methods` and `seeds` that the comparison was asked for before.

    Raises:
        RunError: not the folder of a comparison, or the file is damaged.
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
    except (ValueError, RecursionError):
        stored = None
    match stored:
        case {"methods": [*methods], "seeds": [*seeds]}:
            if all(isinstance(one, str) for one in methods) and all(type(one) is int and one >= 0 for one in seeds):
                return {"methods": methods, "seeds": seeds}
    raise RunError(f"{path}: not readable; delete it, and name all methods and seeds again")


def _remember(folder: Path, names: Sequence[str], seeds: Sequence[int], recipe: Recipe) -> dict[str, list[Any]]:
    """Store the recipe, and add methods and seeds to those that the comparison was asked for before; return all of them."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        stored = _asked(folder)
        united = {
            "methods": list(dict.fromkeys([*stored["methods"], *names])),
            "seeds": sorted({*stored["seeds"], *seeds}),
        }
        write_json_atomic(folder / "config.json", recipe.tables())
        write_json_atomic(folder / COMPARISON, united)
        return united


@contextmanager
def _alone(folder: Path, patience: float = 60.0) -> Iterator[None]:
    """Lock a comparison's folder while one of its files is written, which takes only a moment.

    Raises:
        RunError: another process holds the lock for longer than `patience` seconds.
    """
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


# --- from which settings answers are -----------------------------------------------------------------------------------


def settings_stage(name: str, split: str) -> str:
    """The stage with the hash of the settings under which a method last answered a split."""
    return f"settings-{split}-{name}"


def settings_of(recipe: Recipe, states: Mapping[str, Any], split: str) -> str:
    """Hash of all settings, and of the run's own stages, that a method's answers to a split may depend on.

    With the same settings the stages differ where questions, recordings, prompts or the knowledge base were edited.
    """
    corpus = recipe.compare.corpus
    own = [recipe.compare.max_passes, file_hash(corpus) if corpus is not None else ""]
    read = (f"examples-{split}", "rationales", "general", "augmented", f"retrieve-{split}")
    made = {stage: [states[stage]["fingerprint"], states[stage]["output"]] for stage in read if stage in states}
    settings = {part: value for part, value in settings_alone(recipe).items() if part not in ("evaluation", "compare")}
    return content_hash([settings, own, made])


def answer_further(context: Context, methods: Sequence[Method], scored: Scored) -> None:
    """Answer the run's splits with methods that are not in its recipe, as further stages of the run."""

    def answer(split: str) -> None:
        score(context, methods, split, scored)
        told = settings_of(context.recipe, read_states(context.run.folder), split)
        for method in methods:
            context.run.value(settings_stage(method.name, split), {"settings": told}, partial(str, told))

    over_splits(context, answer)


def stored_as(method: Method) -> str:
    """The name under which a method's answers are stored in its run folder: that of the method that answers there."""
    return method.answered_by if method.beside else method.name


class _Job:
    """The work of one call of `run_comparison`."""

    def __init__(
        self,
        varied: Variation,
        folder: Path,
        console: Console | None,
        now: Sequence[Method],
        wanted: Sequence[Method],
        scored: Sequence[str],
        consent: Consent | None,
    ) -> None:
        self.varied, self.folder, self.console, self.consent = varied, folder, console, consent
        self.now, self.wanted = now, wanted
        self.scored = scored
        self._hashes: dict[str, dict[str, str]] = {}

    def tell(self, text: str) -> None:
        """Print a sentence to the console."""
        if self.console is not None:
            self.console.print(text, markup=False, highlight=False)

    def settings(self, seed: int, rate: float | None, changes: Sequence[str] = (), own: Sequence[str] = ()) -> Recipe:
        """The recipe of one run of the comparison; `own`: the methods that it evaluates."""
        tuned = [] if rate is None else [f"training.learning_rate={rate!r}", f"augmented.learning_rate={rate!r}"]
        if rate is not None:
            # The learning rate is chosen on valid, which must therefore be answered.
            tuned.append(f"evaluation.splits={json.dumps([*self.scored, 'valid'])}")
        methods = [f"evaluation.methods={json.dumps(list(own))}"] if own else []
        return self.varied([f"seed={seed}", *tuned, *changes, *methods])

    def run_seed(self, seed: int, place: str) -> None:
        """Run all methods of this call under one seed, with each candidate learning rate; `place`: which of the seeds it is."""
        self.tell(f"seed {seed} ({place})")
        rates: Sequence[float | None] = self.settings(seed, None).compare.learning_rates or [None]
        own = table.in_order({table.BASELINE, table.MAIN, *(m.name for m in self.wanted if self.of_run(m))})
        together([partial(self.run_rate, seed, rate, own) for rate in rates])

    def run_rate(self, seed: int, rate: float | None, own: Sequence[str]) -> None:
        """The same with one learning rate; `own`: the methods that the seed's own run evaluates."""
        base = folder_of(self.folder, seed, rate)
        others = [one for one in self.now if not one.beside and not self.of_run(one)]
        is_complete = False

        def at_base() -> None:
            nonlocal is_complete
            further = ("methods", [one.name for one in others])
            with opened(self.settings(seed, rate, own=own), base, self.console, self.consent, further) as context:
                context, scored = complete(context)
                is_complete = True
                if using := [m.name for m in self.now if m.uses_base and not m.beside]:
                    read_base(base, using[0])  # before hours of work on further methods
                answer_further(context, others, scored)
                finish(context)

        def beside() -> None:
            # Ablations need the run's own stages, and not those of further methods.
            if is_complete:
                together([partial(self.run_beside, method, seed, rate) for method in self.now if method.beside])

        together([at_base, beside])

    def run_beside(self, method: Method, seed: int, rate: float | None) -> None:
        """The run of an ablation, beside that of its seed."""
        assert method.changes is not None
        changed = self.settings(seed, rate, method.changes(self.settings(seed, rate)), (method.answered_by,))
        beside = folder_of(self.folder, seed, rate, method.name)
        begin_from(folder_of(self.folder, seed, rate), beside)
        with opened(changed, beside, self.console, self.consent) as context:
            complete(context)

    def of_run(self, method: Method) -> bool:
        """Whether the seed's own run evaluates a method: its student is untrained, or made by the run's own steps."""
        return not method.beside and method.student in (BASE, table.BASELINE, table.MAIN)

    def put_together(self, seeds: Sequence[int], settings: Recipe) -> Comparison | None:
        """Write the comparison over all seeds that have answers of all methods; None where there is no such seed."""
        chosen = {seed: self.chosen(seed, settings) for seed in seeds}
        lacking = {seed: names for seed in seeds if (names := self.lacking(seed, settings))}
        ready = [seed for seed in seeds if seed not in lacking]
        for seed, names in lacking.items():
            what = "all methods" if len(names) == len(self.wanted) > 3 else ", ".join(names)
            self.tell(f"seed {seed} lacks answers with these settings ({what}): add it with --seeds {seed}")
        if not ready:
            self.tell("no seed has answers of all methods yet: nothing is compared")
            return None
        rows = [self.row(method, {seed: chosen[seed][method.name] for seed in ready}) for method in self.wanted]
        # A split may be empty under a benchmark's settings.
        found = [read_states(rows[0].folders[seed]) for seed in ready]
        scored = [split for split in self.scored if not all(_is_empty(states, split) for states in found)]
        material = read_material(rows, ready, scored)
        with _alone(self.folder):
            first, resamples = settings.compare.primary, settings.evaluation.bootstrap
            rates = {m.name: {s: r for s in ready if (r := chosen[s][m.name]) is not None} for m in self.wanted}
            made: Comparison = compare(
                self.folder.name,
                material,
                (first.left, first.right, first.split, first.kind),
                self.count_scored(rows, scored),
                {name: by_seed for name, by_seed in rates.items() if by_seed},
                resamples,
                settings.names_primary,
                _reviewed(settings),
            )
            write_json_atomic(self.folder / "comparison.json", made.to_json())
            write_atomic(self.folder / "report.html", render_comparison(made, material))
        return made

    # --- what the folders contain --------------------------------------------------------------------------------------

    def place(self, method: Method, seed: int, rate: float | None) -> Path:
        """The run folder with a method's answers."""
        return folder_of(self.folder, seed, rate, method.name if method.beside else "")

    def chosen(self, seed: int, settings: Recipe) -> dict[str, float | None]:
        """Method -> the learning rate that was best on valid under a seed (of equal ones the first); None without tuning."""
        rates = settings.compare.learning_rates
        if not rates:
            return dict.fromkeys((method.name for method in self.wanted), None)
        return {method.name: max(rates, key=lambda rate: self.on_valid(method, seed, rate)) for method in self.wanted}

    def on_valid(self, method: Method, seed: int, rate: float) -> float:
        """Accuracy on valid with a learning rate; -1 where it has not been run."""
        found = read_attempts(self.place(method, seed, rate), f"eval-valid-{stored_as(method)}")
        return accuracy(found) if found else -1.0

    def lacking(self, seed: int, settings: Recipe) -> list[str]:
        """The methods that have not answered all splits under a seed with the recipe's settings."""
        rates: Sequence[float | None] = settings.compare.learning_rates or [None]
        return [m.name for m in self.wanted if not all(self.is_done(m, seed, rate) for rate in rates)]

    def is_done(self, method: Method, seed: int, rate: float | None) -> bool:
        """Whether a method has answered all splits, in a run with the same settings and the same content of files."""
        folder = self.place(method, seed, rate)
        try:
            # Settings that did not exist when the run was made have their defaults.
            made = read_recipe(folder)
        except RunError:
            return False
        states = read_states(folder)
        if states.get("general", {}).get("version", TRAINING) != TRAINING:
            return False  # its students would be trained differently by this version
        whole = all(state["done"] for name, state in states.items() if not is_beside(name))
        manifest = read_manifest(folder) or {}
        if not whole or manifest.get("finished") is None:
            return False  # an unfinished run may hold answers from before its settings changed
        base = self.settings(seed, rate)
        changes = method.changes(base) if method.changes is not None else ()
        recipe = locate_data(self.settings(seed, rate, changes), data_root())
        if any(manifest["hashes"].get(part) != value for part, value in self.hashes(recipe, manifest).items()):
            return False  # files were edited since
        wanted, config = settings_alone(recipe), settings_alone(made)
        # The sections that name methods and splits may differ.
        same = all(config.get(part) == value for part, value in wanted.items() if part not in ("evaluation", "compare"))
        return same and all(
            states.get(f"eval-{split}-{stored_as(method)}", {}).get("done")
            and self.is_of(method, recipe, split, states)
            for split in self.scored
            if not _is_empty(states, split)
        )

    def hashes(self, recipe: Recipe, manifest: Mapping[str, Any]) -> dict[str, str]:
        """The hashes that the manifest of a recipe's run has if it was made from the present files."""
        # Cached, since reading the questions may take seconds, and most methods differ only in other sections.
        read = recipe.model_dump(mode="json", include={"seed", "prompts", "task", "teacher", "student", "knowledge"})
        commit = commit_of(recipe, manifest)
        served = server_of(manifest)
        key = json.dumps([read, commit, served])
        if key not in self._hashes:
            self._hashes[key] = build_parts(recipe, commit, served).hashes
        return self._hashes[key]

    def is_of(self, method: Method, recipe: Recipe, split: str, states: Mapping[str, Any]) -> bool:
        """Whether a method's stored answers were given under these settings; True where that was not recorded."""
        stored = states.get(settings_stage(method.name, split))
        return stored is None or stored["metadata"].get("value") == settings_of(recipe, states, split)

    def row(self, method: Method, rates: dict[int, float | None]) -> Row:
        """A method with the folders of its answers, by seed."""
        folders = {seed: self.place(method, seed, rate) for seed, rate in rates.items()}
        return Row(method, folders, stored_as(method))

    def count_scored(self, rows: Sequence[Row], splits: Sequence[str]) -> dict[str, dict[str, int]]:
        """How many different sets of answers of each method to a split were scored under one seed (the maximum over seeds).

        Each new set of answers is a line of `scored.jsonl`, which is only appended to.
        """
        path = self.folder / "scored.jsonl"
        seen = _scored_before(path)
        with disk_errors(path), path.open("a", encoding="utf-8") as file:
            for row in rows:
                for seed, folder in row.folders.items():
                    states = read_states(folder)
                    for split in splits:
                        answers = states.get(f"eval-{split}-{row.stored}", {}).get("output", "")
                        known = seen.setdefault((row.name, split, seed), [])
                        if answers not in known:
                            known.append(answers)
                            line = {"method": row.name, "split": split, "seed": seed, "answers": answers}
                            file.write(json.dumps(line) + "\n")
        return {
            row.name: {split: max(len(seen[row.name, split, seed]) for seed in row.folders) for split in splits}
            for row in rows
        }


def _reviewed(recipe: Recipe) -> str:
    """The reviewed base of a recipe, for reports; "" where it has none."""
    base = locate_data(recipe, data_root()).knowledge.base
    return "" if base is None else f"{base.name}, version {read_reviewed(base).version}"


def _is_empty(states: Mapping[str, Any], split: str) -> bool:
    """Whether a split has no questions, according to a run's stage states."""
    state = states.get(f"examples-{split}")
    return state is not None and bool(state["done"]) and not state["metadata"]["records"]


def _scored_before(path: Path) -> dict[tuple[str, str, int], list[str]]:
    """The lines of `scored.jsonl`: (method, split, seed) -> hashes of its answers. An incomplete last line is removed.

    Raises:
        DataError, RunError: a damaged line, or a file that cannot be read or written.
    """
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
