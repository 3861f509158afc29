"""NesyCD with one thing changed: names for settings, so that a comparison can take each part of the method away.

An ablation is a run of its own beside the seed's, which starts from that one's finished stages: only what the change reaches is
done again. Routing needs none: the arms `nesycd` and `nesycd_routed` are it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from nesycd.core.config import KnowledgeSection
from nesycd.core.errors import ConfigError
from nesycd.core.files import did_you_mean

KINDS: tuple[str, ...] = KnowledgeSection().kinds
WITHOUT = {f"no_{kind}s": kind for kind in KINDS}
"""Ablations that take one kind of items away from those that the recipe has."""


def _kinds(left: Sequence[str]) -> str:
    return f"knowledge.kinds={json.dumps(left)}"


ABLATIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    **{
        name: (f"NesyCD without {kind}s", (_kinds([one for one in KINDS if one != kind]),))
        for name, kind in WITHOUT.items()
    },
    "no_graph": (
        "NesyCD with BM25 in place of the graph's links",
        ("retrieval.kind=fused", 'retrieval.sources=["lexical"]'),
    ),
    "in_sample": ("NesyCD with errors of a student trained on those questions", ("collection.mode=in_sample",)),
    "no_answer_task": ("NesyCD without answer prediction", ("augmented.weights.answer=0.0",)),
    "no_direct": ("NesyCD without direct chains of thought", ("augmented.weights.direct=0.0",)),
    "no_distractors": ("NesyCD trained without distractors", ("augmented.fill_to=0",)),
    "own_knowledge": ("NesyCD trained with each question's own items", ("augmented.knowledge=own",)),
}
"""Name -> what it is, and the settings that it changes."""
NUMBERED = {
    "items": ("NesyCD with at most {} items", "knowledge.max_items={}"),
    "train": ("NesyCD with {} training questions", "task.sizes.train={}"),
}
"""Names with a number, as `items_50`."""


def ablation(
    name: str, own: Mapping[str, Sequence[str]], kinds: Sequence[str] = KINDS
) -> tuple[str, tuple[str, ...]] | None:
    """What a name stands for, and the settings that it changes; None where it is no ablation.

    Args:
        name: of an ablation, such as `no_rules` or `items_50`.
        own: the recipe's `compare.variants`, which are looked at first.
        kinds: the recipe's `knowledge.kinds`, of which one is taken away.
    """
    if name in own:
        return f"NesyCD with {', '.join(own[name])}", tuple(own[name])
    if name in WITHOUT:
        return ABLATIONS[name][0], (_kinds([kind for kind in kinds if kind != WITHOUT[name]]),)
    if name in ABLATIONS:
        return ABLATIONS[name]
    if (match := re.fullmatch(r"([a-z]+)_([1-9]\d*)", name)) and match[1] in NUMBERED:
        about, setting = NUMBERED[match[1]]
        return about.format(match[2]), (setting.format(match[2]),)
    return None


def unknown(name: str, known: Sequence[str]) -> ConfigError:
    """The error for a name that is no method."""
    return ConfigError(f"no method {name!r}{did_you_mean(name, dict.fromkeys(known))}; nesycd compare --list tells all")
