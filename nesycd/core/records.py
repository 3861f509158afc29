"""Frozen records that cross stage boundaries: what a run writes, one JSON object a line.

Every record has a schema number (`"schema": "example/2"` in its JSON) and a content-hash `id`. Records do not depend on files,
models or stages. Knowledge item types are here too, since teachers propose them and tasks contain them as ground truth.
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
from nesycd.core.segments import Segment, text_of


def content_hash(value: Any, length: int = 16) -> str:
    """The first `length` hex digits of the SHA-256 of `value` as canonical JSON (sorted keys, no blanks, UTF-8)."""
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:length]


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


_GIVEN: dict[frozenset[str], set[str]] = {}
"""Sets of fields that records were made with; they are never changed, since records are frozen."""


class Record(BaseModel):
    """Base of all records: immutable, strict about unknown fields, hashable by content.

    Subclasses set `schema_name` (`"name/number"`; the number grows when stored JSON would be read differently).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_name: ClassVar[str]
    volatile: ClassVar[frozenset[str]] = frozenset()
    """Fields that do not enter the id, such as times and token counts."""

    def model_post_init(self, _context: Any, /) -> None:
        """Share the set of the fields that were given: of its own it would take as much memory as all that a fact says."""
        given = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given))

    @cached_property
    def id(self) -> str:
        """Content hash of the record's fields (16 hex digits), without `volatile` ones."""
        return content_hash([self.schema_name, self.model_dump(mode="json", exclude=set(self.volatile))])

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed and a new `id` (pydantic would copy the cached one)."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("id", None)
        copy.model_post_init(None)
        return copy

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """The fields. Re-raises Ctrl-C, which pydantic turns into a `ValueError` where it interrupts a serializer."""
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
            DataError: wrong schema, missing or unknown field, wrong type, or an id that does not match the content; the
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

    def _repr_html_(self) -> str:
        from nesycd.core.cards import item_card

        return item_card(self)


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

    def _repr_html_(self) -> str:
        from nesycd.core.cards import item_card

        return item_card(self)


class RuleTest(BaseModel):
    """A test of a rule: given and expected facts in the syntax of clauses, each ended by a full stop (`docs/rules.md`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    given: str = ""
    expect: str = ""
    """What must follow."""
    expect_not: str = ""
    """What must not follow."""


class Rule(Record):
    """If-then knowledge: `text` for the student; `clause`, where given, Horn clauses for the engine (`docs/rules.md`).

    Empty fields are left out of its JSON, so that adding a field does not change the ids of rules without it.
    """

    schema_name = "rule/1"
    kind: Literal["rule"] = "rule"
    text: str = Field(min_length=1)
    clause: str | None = None
    """One or more clauses; the head of the first is the rule's conclusion, the others are intermediate steps."""
    says: str = ""
    """The conclusion as a fact: `subject | relation | object` with the conclusion's variables in braces."""
    scope: tuple[str, ...] = ()
    """Tasks (`Example.task`) for whose questions the rule is run; empty: all."""
    exceptions: tuple[str, ...] = ()
    """Conditions on the first clause's variables under which it does not hold."""
    tests: tuple[RuleTest, ...] = ()
    """Tests that must pass before the rule is approved."""

    @model_serializer(mode="wrap")
    def _without_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        body: dict[str, Any] = handler(self)
        return {key: value for key, value in body.items() if value or key in ("kind", "text", "clause")}

    def _repr_html_(self) -> str:
        from nesycd.core.cards import item_card

        return item_card(self)


class Passage(Record):
    """A piece of text from a corpus, at most about a hundred words, for methods that retrieve passages."""

    schema_name = "passage/1"
    text: str = Field(min_length=1)


Item = Annotated[Lesson | Fact | Rule, Field(discriminator="kind")]
"""A knowledge item as proposed by a teacher or a person. `Entry` adds what a KB stores with it."""


class Status(StrEnum):
    """Review status of an entry; only approved entries are retrieved."""

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
    """`Prediction.id` of the student's wrong response, or ""."""
    source: str
    """Teacher name, file or person."""


class Entry(Record):
    """An item in a KB: its review status, the reviewer, and the evidence so far."""

    schema_name = "entry/1"
    item: Item
    status: Status = Status.PROPOSED
    reviewer: str = ""
    """Who set the status: a person's name, or "auto" where `review = auto` approved it."""
    evidence: tuple[Evidence, ...] = ()

    @property
    def item_id(self) -> str:
        """Id of the item, the entry's key; independent of status and evidence."""
        return self.item.id

    def _repr_html_(self) -> str:
        from nesycd.core.cards import entry_card

        return entry_card(self)

    def _cells(self) -> dict[str, Any]:
        """Its row where several are listed."""
        told = {"id": self.item_id[:8], "kind": self.item.kind, "text": self.item.text, "status": self.status}
        return told | {"by": self.reviewer, "evidence": len(self.evidence)}


# --- questions and answers -------------------------------------------------------------------------------------------


class Statement(BaseModel):
    """What a question itself says, for rules to be run on: `Ann | mother | Bea`, in the notation of `docs/calls.md`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str = Field(min_length=1)
    said: str = ""
    """The part of the question that says it, word for word; "" where nobody has told."""


def without_empty(body: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A record's fields without those of `keys` that are empty, so that adding them changes no id."""
    return {key: value for key, value in body.items() if value or key not in keys}


class Derivation(Record):
    """How a question is answered from knowledge: ground truth for recall, oracle methods and the expert teacher.

    No other method may read it. `steps` are the sentences of the chain of thought, in order; `uses` gives for each step the
    indices (into `facts`) of the facts that the step states. With `stated` and `goal` the rules can be run: the goal follows from
    what is stated, the facts and the rules.
    """

    schema_name = "derivation/1"
    facts: tuple[Fact, ...] = ()
    rules: tuple[Rule, ...] = ()
    steps: tuple[str, ...] = ()
    uses: tuple[tuple[int, ...], ...] = ()
    answer: str = ""
    """The result of the last step, where the derivation gives it."""
    stated: tuple[Statement, ...] = ()
    """What the question says, in the order of its text."""
    goal: str = ""
    """What the rules are asked for, such as `Ann | ? | Cid`; "" where they are asked for nothing."""

    @model_serializer(mode="wrap")
    def _without_unstated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(handler(self), "stated", "goal")


class Example(Record):
    """One question with its gold answer. `uid` is unique within a benchmark and names it in every other record."""

    schema_name = "example/2"
    volatile = frozenset({"metadata"})
    uid: str = Field(min_length=1)
    task: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answer: str
    options: tuple[str, ...] = ()
    """Texts of the choices, without letters; empty for an open question. `answer` is then "(A)", "(B)", ..."""
    accepted: tuple[str, ...] = ()
    """Gold answers besides `answer`, where the data has several."""
    rationale: str | None = None
    """A reference rationale, where the data has one."""
    split: str = "train"
    group: str = ""
    """Unit of splitting: examples of one group are never divided by a split or fold ("" = its own group)."""
    template: str = ""
    """Cluster for the bootstrap: examples made from one template ("" = its own cluster)."""
    truth: Derivation | None = None
    metadata: dict[str, Any] = {}
    """What else the data says of it, such as a source or a level: kept for its readers, used by no method."""

    def __hash__(self) -> int:
        return hash(self.uid)  # metadata are a dictionary, which has no hash


class Sample(Record):
    """One of several answers that a teacher gave to a question; the fields are those of `Rationale`."""

    schema_name = "sample/1"
    text: str = ""
    answer: str = ""
    correct: bool = False
    flaw: str = ""
    hinted: bool = False
    failure: str = ""
    stated: tuple[Statement, ...] = ()
    goal: str = ""

    @model_serializer(mode="wrap")
    def _without_unstated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(handler(self), "stated", "goal")


class Rationale(Record):
    """What a teacher wrote for one question. `failure` says why there is none ("" = there is one)."""

    schema_name = "rationale/2"
    volatile = frozenset({"prompt_tokens", "completion_tokens", "usd", "seconds"})
    example: str
    teacher: str
    text: str = ""
    """The chain of thought, without the closing phrase."""
    answer: str = ""
    correct: bool = False
    """Whether the answer is right and there is no `flaw`."""
    flaw: str = ""
    """What is false in the chain of thought, such as a sum, where that was checked; "" = nothing found."""
    hinted: bool = False
    """Whether the teacher was shown the gold answer."""
    failure: str = ""
    others: tuple[Sample, ...] = ()
    """Further samples, where the teacher was asked more than once: wrong answers, and right ones not chosen."""
    stated: tuple[Statement, ...] = ()
    """What the question says, as the teacher read it; see `Derivation.stated`."""
    goal: str = ""
    """See `Derivation.goal`."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    """Cost of its calls; None where the price is unknown, or no paid call was made."""
    seconds: float = 0.0

    @model_serializer(mode="wrap")
    def _without_unstated(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(handler(self), "stated", "goal")


class Diagnosis(Record):
    """A teacher's diagnosis of one wrong attempt: items to propose, or the reason why there are none."""

    schema_name = "diagnosis/1"
    volatile = frozenset({"prompt_tokens", "completion_tokens", "usd", "seconds"})
    example: str
    attempt: str
    """`Prediction.id` of the response."""
    teacher: str
    items: tuple[Item, ...] = ()
    cause: str = ""
    """One sentence on where the response went wrong."""
    failure: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    """Cost of its calls; None where the price is unknown, or no paid call was made."""
    seconds: float = 0.0


class Induction(Record):
    """What a teacher proposes for several errors of one kind together, or the reason why there is nothing."""

    schema_name = "induction/1"
    volatile = frozenset({"prompt_tokens", "completion_tokens", "usd", "seconds"})
    cluster: str
    """`ErrorCluster.key`."""
    examples: tuple[str, ...]
    """`Example.uid` of each error."""
    attempts: tuple[str, ...]
    """`Prediction.id` of their responses, in the same order."""
    teacher: str
    items: tuple[Item, ...] = ()
    failure: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = None
    """Cost of its calls; None where the price is unknown, or no paid call was made."""
    seconds: float = 0.0


FoundBy = Literal["name", "object", "hop", "lexical", "dense", "derived", "drawn"]
"""How an item was found: the question names its subject (`name`) or its object (`object`); reached from a found fact (`hop`); by
BM25 (`lexical`); by its vector (`dense`); derived by a rule (`derived`); drawn at random as a distractor (`drawn`)."""


class Hit(Record):
    """One retrieved item with the reasons why, best first in a list."""

    schema_name = "hit/2"
    item: Item
    score: float
    by: tuple[FoundBy, ...] = ()
    """The reasons by kind."""
    why: str
    """The same as text for users (`"bm25 #2"`, `"names fathom"`); not read by the program."""
    is_asked: bool = False
    """A rule that is run on what the student states (`calls.derive`), and need not be read for that."""

    @model_serializer(mode="wrap")
    def _without_asked(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(handler(self), "is_asked")

    @property
    def is_read(self) -> bool:
        """Whether it stays to be read where facts are looked up: a lesson, a rule that is not asked, or a fact that the
        question's names do not lead to, so that nobody would ask for it."""
        if self.is_asked:
            return False
        return not isinstance(self.item, Fact) or not {"name", "object", "hop"} & set(self.by)


class Retrieval(Record):
    """What was retrieved for one question, best first, with the reason for each item."""

    schema_name = "retrieval/1"
    example: str
    hits: tuple[Hit, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """The items alone, in order."""
        return tuple(hit.item for hit in self.hits)

    @property
    def read(self) -> tuple[Item, ...]:
        """Those that stay to be read where facts are looked up (see `Hit.is_read`)."""
        return tuple(hit.item for hit in self.hits if hit.is_read)


class FoundPassages(Record):
    """The passages that were retrieved for one question, best first."""

    schema_name = "found_passages/1"
    example: str
    passages: tuple[Passage, ...] = ()


class CallPlace(BaseModel):
    """A place of a rationale that states a fact and can become a look-up: `text[start:end]`, from its subject to its object."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    start: int
    end: int
    name: str
    """The subject as the question has it, or as an earlier look-up found it."""
    relation: str
    object: str
    fact: str
    """Id of the fact."""


class Annotation(Record):
    """The places of one rationale that can become look-ups, and how many others could not, by reason.

    The reasons: the question does not have the name and no earlier look-up has found it (`name`); nothing shows that this
    relation is meant (`relation`); the look-up would find something else (`replay`).
    """

    schema_name = "annotation/1"
    example: str
    places: tuple[CallPlace, ...] = ()
    skipped: dict[Literal["name", "relation", "replay"], int] = {}


Targets = tuple[tuple[tuple[int, float], ...], ...]
"""For each token of a completion that carries loss, the end token last: a teacher's likeliest tokens there, as ids of the
student's vocabulary with log-probabilities (nats)."""


class TrainingText(Record):
    """One training example: prompt and completion, with the weight of its loss.

    The student renders both with its template; only the student's own segments of the completion carry loss.
    """

    schema_name = "training_text/2"
    example: str
    task: Literal["direct", "augmented", "answer", "rationale", "memorisation", "reading"]
    """L_DC, L_AD or L_AP of the paper (eq. of step 4); for rivals also a rationale alone, and memorisation of an item; `reading`:
    what a unit of the question states."""
    prompt: str
    segments: tuple[Segment, ...] = Field(min_length=1)
    """The completion: the student's own text, and text supplied during generation."""
    weight: float = Field(default=1.0, ge=0)
    knowledge: tuple[str, ...] = ()
    targets: Targets = ()
    """What is learned in place of the completion's own tokens; empty: these."""

    @model_serializer(mode="wrap")
    def _without_targets(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_empty(handler(self), "targets")

    @property
    def completion(self) -> str:
        """The text of all segments."""
        return text_of(self.segments)

    @property
    def own_text(self) -> str:
        """The text of the segments that carry loss; used for token budgets."""
        return text_of(one for one in self.segments if one.source == "student")
