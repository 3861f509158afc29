"""Records of what was found of knowledge items: refused by a filter, judged by the gate, measured by likelihoods."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nesycd.core.records import Evidence, Item, Record


class Judgement(Record):
    """What the gate found of a proposed fact or of a rule with clauses, from the teacher's own rationales."""

    schema_name = "judgement/1"
    item: str
    """Id of the item."""
    verdict: Literal["passed", "failed", "unjudged"]
    told: str
    """The figures and the reason in a sentence."""
    figures: dict[str, int] = Field(default_factory=dict)
    """What was counted, by name (`nesycd/stages/gate.py`, `rule_gate.py`)."""


class LessonJudgement(Record):
    """What the gate found of a lesson, or of a rule without clauses, on questions of folds that it does not come from.

    Likelihoods are those of accepted rationales with their gold answers, over their least likely tokens (see
    `Student.least_likely`); gains are means over the questions.
    """

    schema_name = "lesson_judgement/1"
    item: str
    """Id of the item."""
    verdict: Literal["passed", "failed", "unjudged"]
    told: str
    """The figures and the reason in a sentence."""
    questions: int = 0
    """How many were scored."""
    gain: float | None = None
    """Log-likelihood with the item in the prompt minus without it, in nats."""
    control: float | None = None
    """The same minus that with an item for other questions in the prompt; None where there is no such item."""
    p: float | None = None
    """One-sided, of paired t-tests: the larger one of both gains."""
    answered: int = 0
    """How many questions were answered with the item; 0 where its gain was not sure."""
    repaired: int = 0
    """Answers that are right with the item only."""
    broken: int = 0
    """Answers that are right without the item only."""


FilterName = Literal["leak", "ill_formed", "instance_specific"]
"""The filters before the knowledge base (`knowledge/filters.py`)."""


class Refusal(Record):
    """A proposed item that was kept out of the knowledge base, by which filter, and why."""

    schema_name = "refusal/3"
    item: Item
    evidence: Evidence
    filter: FilterName
    reason: str
    question: str = ""
    """Text of the question that the item would give away, or whose course it tells; "" of an ill-formed one."""


class Masked(Record):
    """Likelihood of a right answer given a part of the retrieved items in the prompt, over its least likely tokens.

    A fact's value is a few tokens, which hardly change the likelihood of the whole answer.
    """

    schema_name = "masked/1"
    key: str
    """`Example.uid`, number of the reference answer, number of the mask."""
    example: str
    reference: str
    items: tuple[str, ...]
    """Ids of the items in the prompt."""
    log_likelihood: float
    """Mean of the reference's least likely tokens, in nats (see `Student.least_likely`)."""
