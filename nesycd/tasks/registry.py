"""From a benchmark's name and settings in a recipe to the Task; and a smaller Task for smoke runs.

Settings are checked here, so that a wrong key or type is one sentence that names it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from nesycd import grading
from nesycd.core.errors import ConfigError
from nesycd.core.files import did_you_mean
from nesycd.core.paths import PATH_SETTINGS
from nesycd.core.protocols import KnowsTruth, Task
from nesycd.core.records import Derivation, Example, Fact
from nesycd.grading import Form
from nesycd.tasks.base import Card

# Module, settings class and task class of each benchmark; imported when asked for, so that listing names costs nothing.
_TASKS: dict[str, tuple[str, str, str]] = {
    "longtail": ("nesycd.tasks.longtail", "LongTailSettings", "LongTail"),
    "jsonl": ("nesycd.tasks.jsonl", "JsonlSettings", "Jsonl"),
    "gsm8k": ("nesycd.tasks.gsm8k", "Gsm8kSettings", "Gsm8k"),
    "bbh": ("nesycd.tasks.bbh", "BbhSettings", "Bbh"),
    "gsm_plus": ("nesycd.tasks.gsm_plus", "GsmPlusSettings", "GsmPlus"),
    "bigbench": ("nesycd.tasks.bigbench", "BigbenchSettings", "Bigbench"),
    "agieval": ("nesycd.tasks.agieval", "AgievalSettings", "Agieval"),
    "arc": ("nesycd.tasks.arc", "ArcSettings", "Arc"),
    "mmlu": ("nesycd.tasks.mmlu", "MmluSettings", "Mmlu"),
    "clutrr": ("nesycd.tasks.clutrr", "ClutrrSettings", "Clutrr"),
    "helpdesk": ("nesycd.tasks.helpdesk", "HelpdeskSettings", "Helpdesk"),
    "rulearena": ("nesycd.tasks.rulearena", "RulearenaSettings", "Rulearena"),
    "legalbench": ("nesycd.tasks.legalbench", "LegalbenchSettings", "Legalbench"),
    "metamath": ("nesycd.tasks.metamath", "MetamathSettings", "Metamath"),
    "mixture": ("nesycd.tasks.mixture", "MixtureSettings", "Mixture"),
}


def register(name: str, module: str, settings: str, task: str) -> None:
    """Make a benchmark known that is not in this package: to recipes, to mixtures and to all commands of this process.

    Args:
        name: as it stands in recipes.
        module: where its classes are; imported when it is first asked for. Its docstring's first line says what it is.
        settings: the class of its settings, a pydantic model.
        task: the class of the benchmark, built from its settings alone.

    Raises:
        ValueError: the name is taken.
    """
    if _TASKS.setdefault(name, (module, settings, task)) != (module, settings, task):
        raise ValueError(f"there is a benchmark {name!r} already, {_TASKS[name][2]} of {_TASKS[name][0]}")


def task_names() -> tuple[str, ...]:
    """Names that `build_task` knows."""
    return tuple(_TASKS)


def summary(name: str) -> str:
    """What a benchmark is, in one line: the first of its module's docstring.

    Raises:
        ConfigError: an unknown name.
    """
    return (_module(name).__doc__ or "").strip().partition("\n")[0]


def card(name: str) -> Card | None:
    """What a benchmark says of itself; None for those that are not published files (longtail, jsonl, mixture).

    Raises:
        ConfigError: an unknown name.
    """
    return getattr(_module(name), "CARD", None)


def caution(name: str) -> str:
    """What a benchmark's publisher asks of those who publish a model trained on it; "" where nothing is known.

    Raises:
        ConfigError: an unknown name.
    """
    return str(getattr(_module(name), "CAUTION", ""))


def derivations(name: str) -> str:
    """What the derivations of a benchmark are that the expert teacher writes as rationales.

    Raises:
        ConfigError: an unknown name.
    """
    return str(getattr(_module(name), "DERIVATIONS", "gold derivations"))


def is_generated(name: str) -> bool:
    """Whether a generator makes a benchmark's training questions.

    Raises:
        ConfigError: an unknown name.
    """
    return bool(getattr(_module(name), "IS_GENERATED", False))


def settings_class(name: str) -> type[BaseModel]:
    """The pydantic model of a benchmark's own settings (`[task.settings]`).

    Raises:
        ConfigError: an unknown name.
        TypeError: a setting is a path and has a name that `core.places` does not know as one's.
    """
    found: type[BaseModel] = getattr(_module(name), _TASKS[name][1])
    for key, field in found.model_fields.items():
        if Path in (field.annotation, *get_args(field.annotation)) and key not in PATH_SETTINGS:
            raise TypeError(f"{found.__name__}.{key} is a path: call it one of {', '.join(sorted(PATH_SETTINGS))}")
    return found


def grader(name: str) -> Callable[[str, Example, Form], bool]:
    """How a benchmark compares an answer with the gold one: by its module's `grade_answer`, where it has one.

    Raises:
        ConfigError: an unknown name.
    """
    found: Callable[[str, Example, Form], bool] = getattr(_module(name), "grade_answer", grading.grade)
    return found


def has_few_shot(name: str) -> bool:
    """Whether a benchmark has few-shot prompts of its own.

    Raises:
        ConfigError: an unknown name.
    """
    return hasattr(getattr(_module(name), _TASKS[name][2]), "few_shot")


def _module(name: str) -> Any:
    if name not in _TASKS:
        raise ConfigError(f"no benchmark {name!r}{did_you_mean(name, _TASKS)}")
    return import_module(_TASKS[name][0])


def build_task(name: str, settings: Mapping[str, Any] | None = None) -> Task:
    """Build a benchmark from its name and settings.

    Raises:
        ConfigError: an unknown name, an unknown key (the nearest right one is named) or a wrong value.
        DataError: from the benchmark's files.
    """
    checked = _checked(settings_class(name), settings or {}, f"task {name}")
    build: Callable[[Any], Task] = getattr(_module(name), _TASKS[name][2])
    return build(checked)


def _checked(kind: type[BaseModel], settings: Mapping[str, Any], where: str) -> BaseModel:
    """Settings as an instance of `kind`."""
    for key in settings:
        if key not in kind.model_fields:
            raise ConfigError(f"{where}: unknown key {key!r}{did_you_mean(key, kind.model_fields)}")
    try:
        return kind(**settings)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {key + ': ' if key else ''}{first['msg'].removeprefix('Value error, ')}") from None


class LimitedTask:
    """A benchmark cut to so many questions a split, stratified by task, seeded; all else is the inner task's.

    Args:
        inner: the whole benchmark.
        count: at most so many of each split; None: all.
        seed: which ones.
        sizes: at most so many of these splits (and no more than `count`).

    Raises:
        ConfigError: a count below 1, or a size of a split that the benchmark does not have.
    """

    def __init__(self, inner: Task, count: int | None, seed: int = 0, sizes: Mapping[str, int] | None = None) -> None:
        if count is not None and count < 1:
            raise ConfigError(f"limit must be at least 1, but is {count}")
        for split in sizes or {}:
            if split not in inner.splits():
                known = ", ".join(inner.splits())
                raise ConfigError(f"task.sizes.{split}: task {inner.name!r} has no such split (known: {known})")
        self.inner = inner
        self.name = inner.name
        self.fingerprint = inner.fingerprint
        self._count = count
        self._sizes = dict(sizes or {})
        self._seed = seed

    def __repr__(self) -> str:
        """The inner task's, and that it is cut."""
        return f"<{str(self.inner).strip('<>')}, limited>"

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not defined here: facts_about, warnings, kind, extract, grade, ...
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def splits(self) -> tuple[str, ...]:
        """As the inner task's."""
        return self.inner.splits()

    def kind(self, task: str) -> str:
        """As the inner task's."""
        return self.inner.kind(task)

    def extract(self, response: str, example: Example) -> str:
        """As the inner task's."""
        return self.inner.extract(response, example)

    def grade(self, answer: str, example: Example) -> bool:
        """As the inner task's."""
        return self.inner.grade(answer, example)

    def load(self, split: str) -> list[Example]:
        """At most as many examples as wanted, each task in proportion to its size, in the inner task's order."""
        examples = self.inner.load(split)
        wanted = min(len(examples), self._sizes.get(split, len(examples)), self._count or len(examples))
        if wanted == len(examples):
            return examples
        by_task: dict[str, list[int]] = defaultdict(list)
        for index, example in enumerate(examples):
            by_task[example.task].append(index)
        ranked: list[tuple[float, int]] = []
        for members in by_task.values():
            random.Random(self._seed).shuffle(members)
            # The k-th of n stands at (k + 1/2) / n: the first `wanted` over all tasks then are proportional.
            ranked += [((rank + 0.5) / len(members), index) for rank, index in enumerate(members)]
        chosen = sorted(index for _, index in sorted(ranked)[:wanted])
        return [examples[index] for index in chosen]


class LimitedTruth(LimitedTask):
    """A `LimitedTask` that knows its truth. From Python 3.12 on, `isinstance` sees only methods that are written out."""

    inner: Any

    def train_frequency(self, example: Example) -> int:
        """As the inner task's."""
        return int(self.inner.train_frequency(example))

    def missing_facts(self, split: str) -> list[Fact]:
        """As the inner task's, whose questions may need more than those that are left."""
        return list(self.inner.missing_facts(split))

    def derive(self, example: Example, edited: Iterable[Fact] = ()) -> Derivation:
        """As the inner task's."""
        derivation: Derivation = self.inner.derive(example, edited)
        return derivation

    def counterfactual(self, fact: Fact, seed: int = 0) -> Fact:
        """As the inner task's."""
        false: Fact = self.inner.counterfactual(fact, seed)
        return false


def limited(task: Task, count: int | None, seed: int = 0, sizes: Mapping[str, int] | None = None) -> Task:
    """The same benchmark with at most `count` questions a split, or `sizes` of some; see `LimitedTask`."""
    kind = LimitedTruth if isinstance(task, KnowsTruth) else LimitedTask
    return kind(task, count, seed, sizes)
