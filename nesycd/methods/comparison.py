"""What a comparison is made of: which methods there are, and which run folders hold them.

runs/NAME/
  asked.json                what was asked for so far: methods and seeds, which later calls add to
  seed-0/                   an ordinary run; rivals are further stages in it
  seed-0.no_rules/          an ablation, begun from the finished stages of its seed's run
  seed-0.lr-0.001/          with tuning: the same with another learning rate
  comparison.json report.html scored.jsonl
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from nesycd.core.config import Arm, Recipe
from nesycd.core.errors import ConfigError
from nesycd.methods.ablations import ABLATIONS, ablation, unknown
from nesycd.methods.rivals import RIVALS

ARMS = get_args(Arm)
NEEDED = ("std_cot", "nesycd")
"""Arms that every seed's run answers with, since all else is held against them."""


@dataclass(frozen=True)
class Method:
    """One row of the comparison.

    Attributes:
        sort: `arm` (of the seed's own run), `rival` (further stages in it) or `ablation` (a run beside it).
        about: what it is, in one phrase; "" for arms, which reports explain.
        changes: settings that an ablation changes.
    """

    name: str
    sort: str
    about: str = ""
    changes: tuple[str, ...] = ()

    @property
    def arm(self) -> str:
        """Under which name its answers are stored in its run folder."""
        return "nesycd" if self.sort == "ablation" else self.name


def methods_of(names: Sequence[str], recipe: Recipe, own_shots: bool) -> list[Method]:
    """The methods of these names, in order and each once.

    Args:
        names: arms, rivals and ablations; none: the recipe's `evaluation.arms`.
        recipe: holds variants of the user's own.
        own_shots: whether the benchmark has few-shot prompts of its own, which then are what `few_shot` is.

    Raises:
        ConfigError: a name that is no method.
    """
    variants = recipe.compare.variants
    if clash := [name for name in variants if name in ARMS or name in RIVALS]:
        raise ConfigError(f"compare.variants.{clash[0]}: a method has this name already")
    made = []
    for name in dict.fromkeys(names or recipe.evaluation.arms):
        if (changed := ablation(name, variants, recipe.knowledge.kinds)) is not None:
            made.append(Method(name, "ablation", *changed))
        elif name in RIVALS and not (name in ARMS and own_shots):
            made.append(Method(name, "rival", RIVALS[name].about))
        elif name in ARMS:
            made.append(Method(name, "arm"))
        else:
            raise unknown(name, [*ARMS, *RIVALS, *ABLATIONS, *variants])
    return made


def arms_of(methods: Sequence[Method]) -> tuple[str, ...]:
    """The arms that a seed's run answers with."""
    return tuple(dict.fromkeys([*NEEDED, *(method.name for method in methods if method.sort == "arm")]))


def folder_of(root: Path, seed: int, rate: float | None = None, variant: str = "") -> Path:
    """The run folder of a seed, of one of its tuning trials, or of an ablation of either."""
    trial = "" if rate is None else f".lr-{rate!r}"
    return root / f"seed-{seed}{trial}{f'.{variant}' if variant else ''}"


def begin_from(source: Path, target: Path) -> None:
    """Give a run folder that is not there yet the finished stages of another; what its settings do not share is redone in it.

    Checkpoints are linked rather than copied: whole files, which are replaced and never written into.
    """
    if target.exists() or not source.exists():
        return
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    # Answers to the test questions are another student's, or nobody's, in a run with one arm.
    others = shutil.ignore_patterns("eval-*", "rival-*")
    shutil.copytree(source / "stages", part / "stages", ignore=others)
    shutil.copytree(source / "checkpoints", part / "checkpoints", ignore=others, copy_function=_link)
    for path in [source / "manifest.json", *source.glob("kb.sqlite*")]:
        if path.is_file():
            shutil.copy2(path, part / path.name)
    os.replace(part, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # other file systems, or none that knows links
        shutil.copy2(source, target)
