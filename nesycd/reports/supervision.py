"""What a method's figures rest on: what its student was trained on, where its base comes from, what it is told besides.

The one place that puts it in words; results, comparisons and all tables take them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.config import Recipe
from nesycd.core.records import Rationale, TrainingText
from nesycd.methods.method import BASE, BY_RULES, Method
from nesycd.runs.manifest import read_recipe
from nesycd.runs.run import read_records
from nesycd.stages.rationalise import kept
from nesycd.tasks.registry import derivations, is_generated

NONE = "none"


@dataclass(frozen=True)
class Sources:
    """Where the rationales and the base of a run come from.

    Attributes:
        rationales: what they are, such as `gold proofs` or `LLM rationales (qwen2.5-7b)`.
        base: likewise.
        kept: how many rationales were accepted: those that lead to the gold answer.
        programs: of these, how many became programs, by method.
        judge: the teacher on a server that judges students' own answers; "": there is none.
    """

    rationales: str
    base: str
    kept: int = 0
    programs: Mapping[str, int] | None = None
    judge: str = ""


def sources_of(folder: Path, methods: Mapping[str, Method]) -> Sources:
    """What a run's folder says of its rationales and its base.

    Raises:
        RunError: a damaged file.
    """
    recipe = read_recipe(folder)
    accepted = kept(read_records(folder, "rationales", Rationale))
    writers = sorted({one.teacher for one in accepted.values()})
    programs = {
        name: len(read_records(folder, f"texts-{name}", TrainingText))
        for name, method in methods.items()
        if method.calls == "programs"
    }
    judge = recipe.on_policy.model
    return Sources(_rationales(recipe, writers), _base(recipe, writers), len(accepted), programs, judge)


def supervision(method: Method, given: Sources) -> str:
    """What a method's figures rest on, in a phrase.

    Example:
        >>> from nesycd.methods.table import METHODS
        >>> given = Sources("LLM rationales (qwen)", "LLM diagnoses (qwen)")
        >>> [supervision(METHODS[name], given) for name in ("zero_shot", "std_cot", "answer_ft", "parser")]
        ['none', 'LLM rationales (qwen)', 'answers alone', 'none; base: LLM diagnoses (qwen)']
    """
    told = [_student(method, given)]
    if method.rounds and given.judge:
        told.append(f"log-probabilities of {given.judge}")
    if (method.uses_base or method.source in BY_RULES) and given.base and given.base != told[0]:
        told.append(f"base: {given.base}")
    if method.source == "oracle" or method.calls == "gold":
        told.append("the needed facts of each question asked")
    if method.source == "stated":
        told.append("gold statements of each question asked")
    return "; ".join(told)


def _student(method: Method, given: Sources) -> str:
    if method.student == BASE:
        return "worked examples" if method.prompt == "few_shot" else NONE
    if method.trained_on == "answers":
        return "answers alone"
    if method.calls == "programs" and given.programs is not None:
        return f"{given.rationales}, {given.programs.get(method.name, 0):,} of {given.kept:,} as programs"
    return given.rationales


def _rationales(recipe: Recipe, writers: list[str]) -> str:
    teacher, task = recipe.teacher, recipe.task.name
    named = f" ({', '.join(writers)})" if writers and writers != [teacher.name] else ""
    said = {
        "expert": derivations(task),
        "scripted": "the data's own rationales",
        "replay": f"recorded rationales{named}",
        "api": f"LLM rationales ({teacher.api.model})",
    }[teacher.name]
    return f"{said} of generated questions" if is_generated(task) else said


def _base(recipe: Recipe, writers: list[str]) -> str:
    """What the items of a run's base were made from."""
    knowledge, teacher = recipe.knowledge, recipe.teacher
    if knowledge.base is not None:
        return "a reviewed base"
    found = ["files"] if knowledge.files else []
    found += ["documents"] if knowledge.documents else []
    if teacher.diagnose == "mine":
        found.append(_rationales(recipe, writers))
    elif "api" in (teacher.name, teacher.diagnose):
        found.append(f"LLM diagnoses ({teacher.api.model})")
    elif teacher.name == "expert":
        found.append(_rationales(recipe, writers))
    elif teacher.diagnoses is not None:
        found.append("recorded diagnoses")
    return ", ".join(found)


def told_in_groups(told: Mapping[str, str]) -> list[str]:
    """A line for each phrase with the methods that it holds for, as below a table.

    >>> told_in_groups({"std_cot": "gold proofs", "parser": "none", "nesycd": "gold proofs"})
    ['supervision: gold proofs (std_cot, nesycd)', 'supervision: none (parser)']
    """
    found: dict[str, list[str]] = {}
    for name, text in told.items():
        found.setdefault(text, []).append(name)
    if len(found) == 1:
        return [f"supervision of all: {text}" for text in found]
    return [f"supervision: {text} ({', '.join(names)})" for text, names in found.items()]
