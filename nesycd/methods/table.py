"""The table of methods that runs and comparisons evaluate and reports describe.

To add a method, add one row here and, where it trains on texts of its own, one function in `methods.training`; from outside the
package, call `register`. No other module of the package compares names of methods.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from nesycd.core.config import KINDS, Recipe
from nesycd.core.errors import ConfigError
from nesycd.core.files import did_you_mean
from nesycd.core.records import Entry, Item
from nesycd.methods import training
from nesycd.methods.method import BASE, CallSource, Method, Source, Train
from nesycd.methods.training import on_texts, two_losses
from nesycd.stages import baselines

MAIN = "nesycd"
"""The method that all others are compared with."""
UNPLUGGED = "nesycd_no_kb"
"""Its student without the knowledge base."""
ROUTED = "nesycd_routed"
"""What answers by default once a run is finished."""
BASELINE = "std_cot"
"""The student fine-tuned on rationales alone; its answers divide questions into known and unknown ones."""


def _changed(*settings: str) -> Callable[[Recipe], Sequence[str]]:
    return lambda recipe: settings


def _without(kind: str) -> Callable[[Recipe], Sequence[str]]:
    def changes(recipe: Recipe) -> Sequence[str]:
        return [f"knowledge.kinds={json.dumps([one for one in recipe.knowledge.kinds if one != kind])}"]

    return changes


def _own(
    name: str,
    about: str,
    texts: training.Texts,
    settings: Callable[[Recipe], object] = lambda recipe: None,
    **columns: object,
) -> Method:
    """A rival with a student of its own, fine-tuned on `texts`."""
    return Method(name, about, "rival", student=name, train=on_texts(texts, settings), **columns)  # type: ignore[arg-type]


def _sampling(name: str, about: str, train: Train, like: str, **columns: object) -> Method:
    """A method that is trained on right answers of the student of another, too."""
    told = f"{about}, trained on right answers of its own student too (one round of rejection sampling)"
    return Method(name, told, "rival", student=name, train=train, like=like, **columns)  # type: ignore[arg-type]


def _ablation(name: str, about: str, changes: Callable[[Recipe], Sequence[str]]) -> Method:
    return Method(name, about, "ablation", student=MAIN, source="read", calls="kb", reads_base=True, changes=changes)


_ROWS = (
    # --- methods made by a run's own steps
    Method("zero_shot", "the untrained student", "baseline", prompt="zero_shot", default=True),
    Method(
        "std_cot",
        "fine-tuned on rationales alone (standard chain-of-thought distillation)",
        "baseline",
        student="std_cot",
        train=lambda context, method: context.distilled.std_cot,
        plotted=True,
        default=True,
    ),
    Method(
        "std_cot_kb",
        "the same student, given the knowledge base",
        "baseline",
        student="std_cot",
        source="kb",
        plotted=True,
        default=True,
    ),
    Method(
        UNPLUGGED,
        "the NesyCD student unplugged: every look-up comes back empty",
        "diagnostic",
        student="nesycd",
        calls="nothing",
        reads_base=True,
        default=True,
    ),
    Method(
        "nesycd",
        "the NesyCD student, which looks facts up in the knowledge base while it writes, and reads what it cannot ask for",
        "method",
        student="nesycd",
        train=lambda context, method: context.distilled.augmented,
        source="read",
        calls="kb",
        reads_base=True,
        against=("std_cot", "std_cot_kb", "raft_kb", "nesycd_no_kb"),
        plotted=True,
        default=True,
    ),
    Method(
        "nesycd_context",
        "the same student, which reads what is retrieved and looks nothing up",
        "method",
        student="nesycd",
        source="kb",
        reads_base=True,
        against=("std_cot", "nesycd"),
    ),
    Method(
        "nesycd_both",
        "the same student, which reads what is retrieved and looks facts up",
        "method",
        student="nesycd",
        source="kb",
        calls="kb",
        reads_base=True,
        against=("nesycd",),
    ),
    Method(
        "nesycd_routed",
        "it looks facts up, and reads what it cannot ask for only where the router asks for knowledge",
        "method",
        student="nesycd",
        source="read",
        calls="kb",
        router=True,
        reads_base=True,
        against=("std_cot", "nesycd"),
        default=True,
    ),
    Method(
        "nesycd_oracle",
        "the NesyCD student, whose look-ups find exactly the needed facts, whatever it asks for: a ceiling, no rival",
        "ceiling",
        student="nesycd",
        source="read",
        calls="gold",
        reads_base=True,
        plotted=True,
        default=True,
    ),
    Method(
        "few_shot",
        "the untrained student after worked examples: the benchmark's own, or three training questions of the task",
        "baseline",
        prompt="few_shot",
    ),
    Method(
        "rules_alone",
        "what the rules derive, without a student; most questions are none that rules can answer",
        "diagnostic",
        source="rules",
        reads_base=True,
    ),
    Method(
        "parser",
        "the benchmark's own parser with the rules of the base, without a student: what a programmer's afternoon gives",
        "baseline",
        source="parsed",
        reads_base=True,
    ),
    Method(
        "gold_parse",
        "the rules of the base on what the questions state by their gold derivations, without a student: a ceiling of reading",
        "ceiling",
        source="stated",
        reads_base=True,
    ),
    Method(
        "nesycd_shuffled",
        "the NesyCD student with a base whose facts and rules have exchanged their contents: does it matter what they say?",
        "diagnostic",
        student="nesycd",
        source="shuffled",
        calls="shuffled",
        reads_base=True,
    ),
    Method(
        "std_cot_oracle",
        "the std_cot student, given exactly the needed facts: can it use them without having learned to?",
        "ceiling",
        student="std_cot",
        source="oracle",
    ),
    Method(
        "std_cot_distracting",
        "the std_cot student, given what the retriever finds once the needed facts are hidden",
        "diagnostic",
        student="std_cot",
        source="distracting",
    ),
    Method(
        "nesycd_distracting",
        "the NesyCD student, given the same: does it know when its context does not help?",
        "diagnostic",
        student="nesycd",
        source="distracting",
        reads_base=True,
    ),
    # --- published rivals
    Method("zero_shot_kb", "untrained, given retrieved knowledge", "rival", prompt="zero_shot", source="kb"),
    Method(
        "whole_kb",
        "Std-CoT's student with the whole knowledge base in its prompt",
        "rival",
        student="std_cot",
        source="all",
    ),
    _own("answer_ft", "fine-tuned on answers alone", training.answers, prompt="answer_only", trained_on="answers"),
    _own(
        "ka_ft_corpus",
        "answers alone, with passages retrieved from a corpus",
        training.answers,
        prompt="answer_only",
        trained_on="answers",
        source="corpus",
    ),
    _own(
        "ka_ft_kb",
        "answers alone, with items retrieved from the knowledge base",
        training.answers,
        prompt="answer_only",
        trained_on="answers",
        source="kb",
    ),
    _own(
        "step_by_step",
        "Step-by-step: answers and rationales as two tasks",
        two_losses(baselines.step_by_step_texts),
        prompt="answer_only",
        version=2,
    ),
    _own(
        "mt_cot",
        "MT-CoT: answers and explanations as two tasks",
        two_losses(baselines.mt_cot_texts),
        prompt="answer_only",
        version=2,
    ),
    _own(
        "cascod",
        "CasCoD: first the rationale, then the answer",
        two_losses(baselines.cascod_texts),
        prompt="two_stage",
        version=2,
    ),
    _own(
        "program",
        "program distillation (PaD): the student writes a small program, which is run in a sandbox",
        training.programs,
        calls="programs",
    ),
    _own("kard_corpus", "KARD over a corpus", training.kard, source="corpus"),
    _own("kard_kb", "KARD over the knowledge base", training.kard, source="kb"),
    _own("raft_corpus", "RAFT over a corpus", training.raft, source="corpus", passages=4),
    _own("raft_kb", "RAFT over the knowledge base", training.raft, source="kb", passages=4, version=2),
    _own("raft_whole", "RAFT with the whole knowledge base in each prompt", training.raft, source="all"),
    Method(
        "nesycd_paper",
        "NesyCD as in its paper: it reads what is retrieved where the router asks for it, and looks nothing up",
        "rival",
        student=MAIN,
        source="kb",
        router=True,
        reads_base=True,
        changes=_changed("augmented.calls=0", "augmented.calls_and_context=0", "augmented.context=1"),
        answered_by=ROUTED,
    ),
    _own(
        "std_cot_calls",
        "Std-CoT with look-ups in the facts of all rationales, errors or not (as LMLM)",
        training.calling,
        calls="rationales",
    ),
    _own("kard_calls", "KARD over the knowledge base, with look-ups in it", training.kard, source="kb", calls="kb"),
    _own(
        "raft_calls",
        "RAFT over the knowledge base, with look-ups in it",
        training.raft,
        source="kb",
        passages=4,
        calls="kb",
        version=2,
    ),
    _sampling("std_cot_rs", "Std-CoT", training.with_right_answers(training.rationales), BASELINE),
    _sampling(
        "raft_kb_rs",
        "RAFT over the knowledge base",
        training.with_right_answers(training.raft),
        "raft_kb",
        source="kb",
        passages=4,
        version=2,
    ),
    _sampling(
        "nesycd_rs",
        "NesyCD",
        training.with_right_answers(training.mixed),
        MAIN,
        source="read",
        calls="kb",
        reads_base=True,
    ),
    Method(
        "on_policy",
        "on-policy distillation: Std-CoT, then a teacher's judgement of the student's own answers, token by token",
        "rival",
        student="on_policy",
        train=training.in_rounds(training.rationales),
        like=BASELINE,
        rounds=True,
        reads_base=True,
    ),
    Method(
        "nesycd_on_policy",
        "NesyCD, then the same judgement of answers with look-ups",
        "rival",
        student="nesycd_on_policy",
        train=training.in_rounds(training.mixed),
        like=MAIN,
        rounds=True,
        source="read",
        calls="kb",
        reads_base=True,
    ),
    _own("facts_in_weights", "Std-CoT, with the same items by heart", training.memorised, reads_base=True),
    # --- ablations: NesyCD with one change, in a run of its own beside the seed's
    *(_ablation(f"no_{kind}s", f"NesyCD without {kind}s", _without(kind)) for kind in KINDS),
    _ablation(
        "no_graph",
        "NesyCD with BM25 in place of the graph's links",
        _changed("retrieval.kind=fused", 'retrieval.sources=["lexical"]'),
    ),
    _ablation(
        "in_sample",
        "NesyCD with errors of a student trained on those questions",
        _changed("collection.mode=in_sample"),
    ),
    _ablation("no_answer_task", "NesyCD without answer prediction", _changed("augmented.weights.answer=0.0")),
    _ablation("no_direct", "NesyCD without direct chains of thought", _changed("augmented.weights.direct=0.0")),
    _ablation("no_distractors", "NesyCD trained without distractors", _changed("augmented.fill_to=0")),
    _ablation("own_knowledge", "NesyCD trained with each question's own items", _changed("augmented.knowledge=own")),
)

METHODS: dict[str, Method] = {row.name: row for row in _ROWS}
"""All methods by name, in the order in which reports show them."""
NUMBERED = {
    "items": ("NesyCD with at most {} items", "knowledge.max_items={}"),
    "train": ("NesyCD with {} training questions", "task.sizes.train={}"),
}
"""Ablations with a number in their name, such as `items_50`: description and setting."""


def register(method: Method) -> None:
    """Add a user's method to the table, for the lifetime of the process.

    Raises:
        ConfigError: the name is taken or invalid; or `student` and `train` do not fit together or name no method.
    """
    if not re.fullmatch(r"[a-z0-9_]{1,60}", method.name):
        raise ConfigError(f"method {method.name!r}: a name is made of lower-case letters, digits and _")
    if find(method.name) is not None:
        raise ConfigError(f"method {method.name!r}: there is one of this name already")
    if method.student != method.name and method.student and method.student not in METHODS:
        raise ConfigError(f"method {method.name!r}: its student is that of {method.student!r}, which is no method")
    if (method.student == method.name) != (method.train is not None):
        raise ConfigError(f"method {method.name!r}: `train` goes with a student of its own, and with nothing else")
    METHODS[method.name] = method


def as_trained(method: Method, recipe: Recipe) -> Method:
    """A method as it is with a recipe: where NesyCD's student is trained without look-ups, it reads instead; a student that
    learns from a teacher on a server needs no base for that."""
    if method.rounds and method.like == BASELINE and recipe.on_policy.server:
        return replace(method, reads_base=False)
    if MAIN not in (method.student, method.like) or not method.calls or recipe.augmented.looks_up:
        return method
    instead: dict[CallSource, Source] = {"kb": "kb", "gold": "oracle"}
    source: Source = instead.get(method.calls, "") if method.source in ("", "read") else method.source
    return replace(method, calls="", source=source)


def find(name: str, recipe: Recipe | None = None) -> Method | None:
    """A method of the table, one of a recipe's `compare.variants`, or an ablation with a number; None: no such method."""
    if recipe is not None and name in recipe.compare.variants:
        settings = recipe.compare.variants[name]
        return _ablation(name, f"NesyCD with {', '.join(settings)}", _changed(*settings))
    if name in METHODS:
        return METHODS[name]
    if (match := re.fullmatch(r"([a-z]+)_([1-9]\d*)", name)) and match[1] in NUMBERED:
        about, setting = NUMBERED[match[1]]
        return _ablation(name, about.format(match[2]), _changed(setting.format(match[2])))
    return None


def named(names: Iterable[str], recipe: Recipe, where: str) -> list[Method]:
    """The methods of these names, in order and each once.

    Args:
        names: what was asked for.
        recipe: for its `compare.variants`.
        where: start of the error message: the option, or the recipe's file, line and key (`Recipe.where`).

    Raises:
        ConfigError: no method has this name, or a variant has the name of a method.
    """
    if clash := [name for name in recipe.compare.variants if name in METHODS]:
        raise ConfigError(f"{recipe.where(f'compare.variants.{clash[0]}')}: a method has this name already")
    made = []
    for name in dict.fromkeys(names):
        method = find(name, recipe)
        if method is None:
            known = [*METHODS, *recipe.compare.variants]
            near = did_you_mean(name, dict.fromkeys(known))
            raise ConfigError(f"{where}: no method {name!r}{near}; nesycd compare --list tells all")
        made.append(as_trained(method, recipe))
    return made


def of_recipe(recipe: Recipe) -> list[Method]:
    """The methods that a recipe's run evaluates: those of `evaluation.methods`, else the table's defaults.

    Raises:
        ConfigError: see `named`; or an ablation, which needs a run of its own.
    """
    where = recipe.where("evaluation.methods")
    if not recipe.evaluation.methods:
        return [as_trained(method, recipe) for method in METHODS.values() if method.default]
    methods = named(recipe.evaluation.methods, recipe, where)
    if beside := [method.name for method in methods if method.beside]:
        raise ConfigError(
            f"{where}: {beside[0]} is NesyCD with other settings, a run of its own; give it to nesycd compare"
        )
    return methods


def in_order(names: Iterable[str]) -> list[str]:
    """Names in the order of the table; unknown ones after them, sorted."""
    place = {name: number for number, name in enumerate(METHODS)}
    return sorted(names, key=lambda name: (place.get(name, len(place)), name))


def method_of(stage: str) -> Method | None:
    """The method whose training or answers a stage holds; None for the stages of the run's own steps."""
    for pattern in (
        rf"(?:{'|'.join(OWN_STAGES)})-(?P<name>{{}})(?:\.\d+)?(?:-first|-read)?(?:\.verdicts)?",
        r"(?:eval|settings)-.+-(?P<name>{})(?:-first)?(?:\.verdicts)?",
    ):
        # Longer names first, since one may end with another.
        names = "|".join(sorted(METHODS, key=len, reverse=True))
        if (match := re.fullmatch(pattern.format(names), stage)) is not None:
            return METHODS[match["name"]]
    return None


SHOWN = ("no", "retrieved", "oracle", "distracting")
"""Kinds of knowledge in the order of the report's table on known and unknown questions."""
_BY_SOURCE: dict[Source, str] = {"": "no", "kb": "retrieved", "oracle": "oracle", "distracting": "distracting"}
_BY_CALLS: dict[CallSource, str] = {"nothing": "no", "kb": "retrieved", "gold": "oracle"}


def knowledge_cells() -> dict[str, tuple[str, str]]:
    """Methods that differ only in the student (before or after augmented distillation) and in the knowledge that it is given.

    What it may look up counts before what it reads; of several methods with the same knowledge the first one stands.
    """
    found: dict[tuple[str, str], str] = {}
    for method in METHODS.values():
        told = _BY_CALLS.get(method.calls) if method.calls else _BY_SOURCE.get(method.source)
        side = {BASELINE: "before", MAIN: "after"}.get(method.student)
        apart = method.router or method.beside or method.role == "rival" or method.prompt != "question"
        if told is not None and side is not None and not apart:
            found.setdefault((side, told), method.name)
    places = [(side, told) for side in ("before", "after") for told in SHOWN]
    return {found[place]: place for place in places if place in found}


def is_routed(name: str) -> bool:
    """Whether a method uses the run's router."""
    return name in METHODS and METHODS[name].router


def has_student(name: str) -> bool:
    """Whether a method answers with a trained student; True for unknown names."""
    return name not in METHODS or METHODS[name].student != BASE


def oracle_of(name: str) -> str | None:
    """The method with the same student that is given exactly the needed facts; None where there is none."""
    student = METHODS[name].student
    ceilings = (m.name for m in METHODS.values() if m.role == "ceiling" and m.student == student != BASE)
    return next(ceilings, None)


def checkpoint_of(student: str, stages: Collection[str]) -> str:
    """The stage in which a method's student was trained, by that method's name.

    Args:
        student: `Method.student`, not `BASE`.
        stages: of the run. Without a stage `std-cot` the Std-CoT student is S_P; without `augmented` S_E is S_P.
    """
    own = {BASELINE: "std-cot", MAIN: "augmented"}
    if student in own:
        return own[student] if own[student] in stages else "general"
    return f"{training.PREFIX}{student}"


def most_evident(entries: Iterable[Entry]) -> list[Item]:
    """All items, those with the most evidence first, so that a prompt that is cut off loses those with the least."""
    return [entry.item for entry in sorted(entries, key=lambda entry: (-len(entry.evidence), entry.item_id))]


def most_passages() -> int:
    """The largest `passages` of all methods that read a corpus."""
    return max(method.passages for method in METHODS.values() if method.source == "corpus")


OWN_STAGES = ("texts", "size", "train", "sample", "found", "teach")
"""Prefixes of the stages in which a method trains a student of its own."""
