"""Frozen records that cross stage boundaries: what a run writes, one JSON object a line.

Every record has a schema number (`"schema": "example/1"` in its JSON) and a content-hash `id`. Records know nothing of
files, models or stages. Knowledge item types live here too, because teachers propose them and tasks carry them as truth.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, ValidationError, model_serializer
from pydantic_core import PydanticSerializationError

from nesycd.core.errors import DataError


def content_hash(value: Any, length: int = 16) -> str:
    """The first `length` hex digits of the SHA-256 of `value` as canonical JSON (sorted keys, no blanks, UTF-8)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


class Record(BaseModel):
    """Base of all records: immutable, strict about unknown fields, hashable by content.

    Subclasses set `schema_name` (`"name/number"`; the number grows when stored JSON would be read differently).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_name: ClassVar[str]
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not enter the id: times, token counts and the like."""

    @cached_property
    def id(self) -> str:
        """Content hash of the record's fields (16 hex digits), `volatile` ones left out."""
        return content_hash([self.schema_name, self.model_dump(mode="json", exclude=set(self.volatile))])

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; its `id` is computed anew (pydantic would carry the cached one over)."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("id", None)
        return copy

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The fields; Ctrl-C stays Ctrl-C, which pydantic makes a `ValueError` of where a serializer is interrupted."""
        try:
            return super().model_dump(**options)
        except PydanticSerializationError as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise KeyboardInterrupt from None
            raise

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object with its `schema` and `id`."""
        return {"schema": self.schema_name, "id": self.id, **self.model_dump(mode="json")}

    @classmethod
    def from_json(cls, row: dict[str, Any], where: str = "record") -> Self:
        """Read what `to_json` wrote.

        Raises:
            DataError: wrong schema, missing or unknown field, wrong type, or an id that is not the content's; the
                message starts with `where` (file and line).
        """
        body = dict(row)
        schema, stored_id = body.pop("schema", None), body.pop("id", None)
        if schema != cls.schema_name:
            raise DataError(f"{where}: schema is {schema!r}, but {cls.schema_name!r} is needed here")
        try:
            record = cls.model_validate(body)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "record"
            raise DataError(f"{where}: {key}: {first['msg']}") from None
        if stored_id is not None and stored_id != record.id:
            raise DataError(f"{where}: id {stored_id} does not match the content ({record.id}); was the line edited?")
        return record


# --- knowledge items -------------------------------------------------------------------------------------------------


class Lesson(Record):
    """A learning summary: advice on how to think about one kind of question."""

    schema_name = "lesson/1"
    kind: Literal["lesson"] = "lesson"
    text: str = Field(min_length=1)


class Fact(Record):
    """One statement about one subject, as text for the student and as a triple for the graph.

    `aliases` are other names of the subject (plural, older or shorter forms); retrieval links any of them to it.
    """

    schema_name = "fact/1"
    kind: Literal["fact"] = "fact"
    text: str = Field(min_length=1)
    subject: str = Field(min_length=1)
    relation: str = Field(min_length=1)
    object: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()

    @property
    def triple(self) -> tuple[str, str, str]:
        """(subject, relation, object)."""
        return (self.subject, self.relation, self.object)


class RuleTest(BaseModel):
    """What a rule must conclude: facts in the syntax of clauses, each closed by a full stop (`docs/rules.md`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    given: str = ""
    expect: str = ""
    """What then must follow."""
    expect_not: str = ""
    """What then must not follow."""


class Rule(Record):
    """If-then knowledge: `text` for the student; `clause`, where given, Horn clauses for the engine (`docs/rules.md`).

    Empty fields are left out of its JSON: most rules have none of them, and a new one leaves those rules' ids as they are.
    """

    schema_name = "rule/1"
    kind: Literal["rule"] = "rule"
    text: str = Field(min_length=1)
    clause: str | None = None
    """One or more clauses; what the first concludes is the rule's conclusion, others are steps to it."""
    says: str = ""
    """How a conclusion reads as a fact: `subject | relation | object` with the conclusion's variables in braces."""
    scope: tuple[str, ...] = ()
    """Tasks (`Example.task`) for whose questions it runs; empty: all."""
    exceptions: tuple[str, ...] = ()
    """Conditions on the first clause's variables under which it does not hold."""
    tests: tuple[RuleTest, ...] = ()
    """What must pass before the rule is approved."""

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        body: dict[str, Any] = handler(self)
        return {key: value for key, value in body.items() if value or key in ("kind", "text", "clause")}


class Passage(Record):
    """A piece of text from a corpus, at most some hundred words: what methods that retrieve passages read."""

    schema_name = "passage/1"
    text: str = Field(min_length=1)


Item = Annotated[Lesson | Fact | Rule, Field(discriminator="kind")]
"""A knowledge item as proposed by a teacher or a person. What a KB stores of it besides is `Entry`."""


class Status(StrEnum):
    """Where an entry stands in review; only approved entries are retrieved."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    RETIRED = "retired"


class Evidence(Record):
    """Why an entry exists: the example whose error gave rise to it, the wrong attempt, and who proposed it."""

    schema_name = "evidence/1"
    example: str
    """`Example.uid` of the training question, or "" where a person wrote the item."""
    attempt: str = ""
    """`Attempt.id` of the student's wrong response, or ""."""
    source: str
    """Teacher name, file or person."""


class Entry(Record):
    """An item as it stands in a KB: its review status, by whom, and the evidence gathered so far."""

    schema_name = "entry/1"
    item: Item
    status: Status = Status.PROPOSED
    reviewer: str = ""
    """Who set the status: a person's name, or "auto" where `review = auto` approved it."""
    evidence: tuple[Evidence, ...] = ()

    @property
    def item_id(self) -> str:
        """Id of the item, the entry's key: it stays the same when status or evidence change."""
        return self.item.id


# --- questions and answers -------------------------------------------------------------------------------------------


class Derivation(Record):
    """How a question is answered from knowledge: the truth that recall, the oracle arm and the expert teacher need.

    No method may read it. `steps` are the sentences of the working, in order; `uses` gives for each step the indices
    (into `facts`) of the facts that the step states.
    """

    schema_name = "derivation/1"
    facts: tuple[Fact, ...] = ()
    rules: tuple[Rule, ...] = ()
    steps: tuple[str, ...] = ()
    uses: tuple[tuple[int, ...], ...] = ()
    answer: str = ""
    """What the last step comes to, where the derivation says so by itself."""


class Example(Record):
    """One question with its gold answer. `uid` is unique within a benchmark and names it in every other record."""

    schema_name = "example/1"
    uid: str = Field(min_length=1)
    task: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answer: str
    options: tuple[str, ...] = ()
    """Texts of the choices, without letters; empty for an open question. `answer` is then "(A)", "(B)", ..."""
    rationale: str | None = None
    """A reference working, where the data has one."""
    split: str = "train"
    group: str = ""
    """Unit of splitting: examples of one group stay on one side of every split or fold ("" = its own group)."""
    template: str = ""
    """Cluster for the bootstrap: examples made alike share it ("" = its own cluster)."""
    truth: Derivation | None = None


class Sample(Record):
    """One of several answers that a teacher gave to a question; the fields are those of `Rationale`."""

    schema_name = "sample/1"
    text: str = ""
    answer: str = ""
    correct: bool = False
    flaw: str = ""
    hinted: bool = False
    failure: str = ""


class Rationale(Record):
    """What a teacher wrote for one question. `failure` says why there is none ("" = there is one)."""

    schema_name = "rationale/2"
    volatile = frozenset({"prompt_tokens", "completion_tokens", "usd", "seconds"})
    example: str
    teacher: str
    text: str = ""
    """The working, without the closing phrase."""
    answer: str = ""
    correct: bool = False
    """Whether the answer is right and the working without `flaw`."""
    flaw: str = ""
    """What is false in the working, such as a sum, where that was looked for; "" = nothing found."""
    hinted: bool = False
    """Whether the teacher was shown the gold answer."""
    failure: str = ""
    others: tuple[Sample, ...] = ()
    """What the teacher said besides, where it was asked more than once: wrong answers, and right ones not chosen."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    """What its calls cost; None where no price is known, or nothing was asked for money."""
    seconds: float = 0.0


class Attempt(Record):
    """A student's response to one prompt, as generated; grading it again needs nothing but this and the example."""

    schema_name = "attempt/2"
    # Entropies came later: outside of the id, the same answer stays the same record for whatever was made from it.
    volatile = frozenset({"seconds", "entropy", "largest_entropy"})
    example: str
    solver: str
    """Which arm or fold answered, e.g. `std_cot`, `fold-0`."""
    response: str
    answer: str = ""
    """What was extracted; "" where no answer was found."""
    correct: bool = False
    margin: float = 0.0
    """Mean over generated tokens of p1 - p2, in [0, 1]."""
    least_margin: float = 0.0
    """Mean of the three least of them: the router's signal."""
    entropy: float | None = None
    """Mean over generated tokens of the entropy of what could have been generated, in nats; None where it was not measured."""
    largest_entropy: float | None = None
    """Mean of the three largest of them."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    knowledge: tuple[str, ...] = ()
    """Ids of the items that stood in the prompt, in order."""
    knowledge_tokens: int = 0
    routed: bool = False
    """Whether retrieval was asked."""
    finish: Literal["stop", "length", "too_long", "error"] = "stop"
    """`too_long`: the prompt did not fit and nothing was generated."""
    seconds: float = 0.0

    @model_serializer(mode="wrap")
    def _without_unmeasured(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        body: dict[str, Any] = handler(self)
        return {key: value for key, value in body.items() if value is not None}


class Diagnosis(Record):
    """What a teacher made of one wrong attempt: items to propose, or the reason why there are none."""

    schema_name = "diagnosis/1"
    volatile = frozenset({"prompt_tokens", "completion_tokens", "usd", "seconds"})
    example: str
    attempt: str
    """`Attempt.id`."""
    teacher: str
    items: tuple[Item, ...] = ()
    cause: str = ""
    """One sentence on where the response went wrong."""
    failure: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    """What its calls cost; None where no price is known, or nothing was asked for money."""
    seconds: float = 0.0


FilterName = Literal["leak", "ill_formed", "instance_specific"]
"""The filters before the knowledge base (`knowledge/filters.py`)."""


class Refusal(Record):
    """A proposed item that was kept out of the knowledge base, by which filter, and why."""

    schema_name = "refusal/2"
    item: Item
    evidence: Evidence
    filter: FilterName
    reason: str


class Hit(Record):
    """One retrieved item with the reason why (`"bm25 #2"`, `"names fathom"`), best first in a list."""

    schema_name = "hit/1"
    item: Item
    score: float
    why: str


class Retrieval(Record):
    """What was retrieved for one question, best first, with the reason for each item."""

    schema_name = "retrieval/1"
    example: str
    hits: tuple[Hit, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """The items alone, in order."""
        return tuple(hit.item for hit in self.hits)


class Masked(Record):
    """How likely the student finds a right answer with a part of the retrieved items in its prompt, where it is least so.

    A fact's value is a few tokens, which would be lost in the likelihood of a whole answer's wording.
    """

    schema_name = "masked/1"
    key: str
    """`Example.uid`, number of the reference answer, number of the mask."""
    example: str
    reference: str
    items: tuple[str, ...]
    """Ids of the items that stood in the prompt."""
    log_likelihood: float
    """Mean of the reference's least likely tokens, in nats (see `Student.least_likely`)."""


class TrainingText(Record):
    """One thing to fine-tune on: chat prompt and completion, with the weight of its loss.

    The student renders both with its template; loss falls on the completion only.
    """

    schema_name = "training_text/1"
    example: str
    task: Literal["direct", "augmented", "answer", "rationale", "recital"]
    """L_DC, L_AD or L_AP of the paper (eq. of step 4); of rivals also a rationale alone, and an item by heart."""
    prompt: str
    completion: str
    weight: float = Field(default=1.0, ge=0)
    knowledge: tuple[str, ...] = ()
