"""How likely texts are to a student that is shown some items: scored in batches, as a stage of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nesycd.core.judgements import Masked
from nesycd.core.protocols import Prompt
from nesycd.core.records import Example, Item
from nesycd.methods.context import Context
from nesycd.runs.shards import by_key
from nesycd.runs.stage import Artifact

_BATCH = 256
"""Texts scored between two writes."""


@dataclass(frozen=True)
class Scored:
    """One thing to score: a question with items in its prompt, and a reference answer.

    Attributes:
        key: names it within its stage.
        student: the name of the student that has the adapter.
        apart: texts scored twice must differ in this, as they must be in other batches, or their rounding would be the same.
    """

    key: str
    example: Example
    reference: str
    items: tuple[Item, ...]
    student: str
    adapter: Artifact
    apart: bool = False


def score(context: Context, name: str, wanted: Sequence[Scored]) -> Sequence[Masked]:
    """The likelihood of each reference, over its least likely tokens (`Student.least_likely`), as the stage `name`."""
    scored = {one.key: one for one in wanted}
    inputs = {
        "scored": "least_likely",
        "student": context.student.fingerprint,
        **({"served_by": served} if (served := getattr(context.student, "served_by", "")) else {}),
        "prompts": context.prompts.fingerprint,
        "contexts": [
            [one.key, one.example.id, one.adapter.fingerprint, one.reference, [item.id for item in one.items]]
            for one in wanted
        ],
    }

    def produce(keys: Sequence[str]) -> list[Masked]:
        chosen = [scored[key] for key in keys]
        prompts = [Prompt(one.key, context.prompts.with_knowledge(one.example, one.items)) for one in chosen]
        references = [one.reference for one in chosen]
        found = context.student.least_likely(prompts, references, adapter=chosen[0].adapter.path)
        return [
            Masked(
                key=one.key,
                example=one.example.uid,
                reference=one.reference,
                items=tuple(item.id for item in one.items),
                log_likelihood=round(value, 6),
            )
            for one, value in zip(chosen, found, strict=True)
        ]

    def key_of(one: Masked) -> str:
        return one.key

    def plan() -> list[list[str]]:
        # A batch has one student.
        groups: dict[tuple[str, bool], list[str]] = {}
        for key, one in scored.items():
            groups.setdefault((one.student, one.apart), []).append(key)
        return [keys[at : at + _BATCH] for keys in groups.values() for at in range(0, len(keys), _BATCH)]

    if not scored:
        return []
    taken, work = by_key(Masked, produce, key_of)
    return context.run.batches(
        name, Masked, inputs, plan=plan, produce=taken, key_of=key_of, keys=list(scored), work=work
    )
