"""`results.json`: the numbers of a run as a documented contract (`docs/results.md`), checked when read back.

Accuracies, shares and differences are fractions in 0-1 (differences in -1 to 1); tokens and seconds are sums over a split.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nesycd.core.errors import RunError

SCHEMA = "results/2"
SPLITS = ("test", "ood_composed", "ood_unseen", "ood_unseen_imported")
"""Splits in the order in which reports show them; others follow by name."""
FEW = 30
"""Below so many questions an accuracy is marked: its interval is some 30 points wide."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Usd = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """A part of a document that `nesycd` writes: fields are checked, and none is left unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Document(Part):
    """A whole document, `schema` first."""

    model_config = ConfigDict(populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, `schema` first."""
        return self.model_dump(mode="json", by_alias=True)

    def __repr__(self) -> str:
        """What it has; all of it would be pages."""
        return f"<{type(self).__name__}: {', '.join(type(self).model_fields)}>"

    __str__ = __repr__


class TaskInfo(Part):
    """What is known of a task: `special`, `general`, or "" where the benchmark does not say."""

    kind: str


class Score(Part):
    """An accuracy with its 95 % interval; the three are None where n is 0. `interval` names how it was made."""

    n: Count
    correct: Count
    accuracy: Share | None
    low: Share | None
    high: Share | None
    interval: Literal["bootstrap", "wilson", "none"]


class KindScore(Score):
    """A score with the shares of its questions for which retrieval was asked, and that got an item."""

    routed: Share
    delivered: Share


class Statements(Part):
    """What a student said that the questions state: `made` in all, `right` as the benchmark has it, which has `needed`."""

    made: Count
    right: Count
    needed: Count


class Goals(Part):
    """Goals that rules were asked (`docs/calls.md`): `asked` in all, `reached` with a result."""

    asked: Count
    reached: Count
    statements: Statements | None
    """What was stated for them; None where the benchmark does not know what its questions state."""


class TaskScore(Part):
    """One method on one task."""

    n: Count
    accuracy: Share
    routed: Share


class KnownScore(Score):
    """One method on the known or on the unknown questions of a split."""

    by_kind: dict[str, Score]


class MethodScore(KindScore):
    """One method on one split."""

    by_task: dict[str, TaskScore]
    by_kind: dict[str, KindScore]
    by_frequency: dict[str, Score]
    """By how often the rarest needed fact occurs in training questions: "0", "1", "2", "3", "4-7", "8-15", "16+"."""
    look_ups: Count = 0
    """Look-ups made in all answers, and how many of them found something."""
    look_ups_found: Count = 0
    goals: Goals | None = None
    """Of all answers; None where rules were asked nothing."""
    goals_by_task: dict[str, Goals] = {}
    prompt_tokens: Count
    completion_tokens: Count
    knowledge_tokens: Count
    """The part of `prompt_tokens` that is knowledge."""
    seconds: Seconds


class Estimate(Part):
    """A difference (or a ratio of differences) over n shared questions with its 95 % interval, None where unknown."""

    n: Count
    value: float | None
    low: float | None
    high: float | None
    interval: Literal["bootstrap", "agresti-min", "none"]


class Retrieval(Part):
    """How well retrieval did on a split."""

    needed_fact_recall: Share | None
    """None where no question needs a fact."""
    answer_in_context: Share | None = None
    """Share of the questions whose retrieved context holds the gold answer, by chance or derived; None where there are none."""
    answer_not_in_context: dict[str, Score] = Field(default_factory=dict)
    """Method to its score on the questions whose retrieved context does not."""


class TrainedWith(Part):
    """The approved knowledge that a student was trained with."""

    version: str
    revision: Count
    items: Count


class Knowledge(Part):
    """The knowledge base in numbers."""

    items: Count
    by_kind: dict[str, Count]
    by_status: dict[str, Count]
    trained_with: TrainedWith | None = None
    """None where no S_E was trained."""
    used: dict[str, str] = Field(default_factory=dict)
    """Split -> version of the knowledge that it was evaluated with."""

    @property
    def mismatch(self) -> str:
        """A sentence where S_E was evaluated with other knowledge than it was trained with, else ""."""
        then = self.trained_with
        others = {split: version for split, version in self.used.items() if then and version != then.version}
        if then is None or not others:
            return ""
        told = ", ".join(f"{split} with {version}" for split, version in others.items())
        return f"the student was trained with {then.version} (revision {then.revision}), and evaluated on {told}"


class Rationales(Part):
    """The teacher's rationales for the training questions: those asked for are kept, wrong or failed."""

    asked: Count
    kept: Count
    wrong: Count
    failed: Count
    hinted: Count = 0
    """Of the kept, those written after the teacher was shown the gold answer."""


class ErrorRates(Part):
    """How often S_P's recipe errs: `collected` is what diagnosis saw, `valid` (None without one) what S_P does there."""

    collection: Literal["out_of_fold", "in_sample"]
    collected: Share
    valid: Share | None


class Leaks(Part):
    """What the filters found: of `proposed` items those `refused` as leaks; of `approved` those that leak still.

    `ill_formed` and `instance_specific` are those that the other two filters refused besides.
    """

    proposed: Count
    refused: Count
    ill_formed: Count = 0
    instance_specific: Count = 0
    approved: Count
    approved_leaking: Count


class TrainRecall(Part):
    """Share of needed facts that arrived in training `prompts` with knowledge, and for all training `questions`."""

    prompts: Share | None
    questions: Share | None


class TrainingCalls(Part):
    """The places of training rationales that can become look-ups (`docs/calls.md`)."""

    rationales: Count
    look_ups: Count
    by_look_ups: dict[str, Count]
    """How many rationales have so many places."""
    skipped: dict[Literal["name", "relation", "replay"], Count]
    """Places that could not be used, by reason."""


class Calibration(Part):
    """What the router's threshold was chosen from: `n` drafts of a split, of which `n_correct` were right.

    `score`: the accuracy of the routed answers on `valid`, or, on `train`, the balanced accuracy of right above and wrong below.
    """

    split: Literal["valid", "train"]
    n: Count
    n_correct: Count
    threshold: Annotated[float, Field(ge=-1, le=2)]
    score: Share


class SelfCheck(Part):
    """What came of asking the student again with the proposed items: errors `asked`, of these `repaired`."""

    asked: Count
    repaired: Count


class GateCount(Part):
    """What the gate found of the proposed items of a kind: how many it `judged`, and how many of them `passed`."""

    judged: Count
    passed: Count


class TeacherCost(Part):
    """What all answers of a teacher that counts tokens took; None where a price is unknown, or nothing came of them."""

    prompt_tokens: Count
    completion_tokens: Count
    usd: Usd | None
    usd_per_kept_rationale: Usd | None
    usd_per_useful_item: Usd | None


class KnowledgeUse(Part):
    """On `valid`: of `approved` items those `shown` in a prompt; of these the `useful` ones, which stood in the prompt of a
    question that S_E answers rightly with its knowledge and wrongly without."""

    approved: Count
    shown: Count
    useful: Count


class Method(Part):
    """What the steps of the method did, beside what came of them."""

    rationales: Rationales
    error_rates: ErrorRates
    mix: dict[Literal["augmented", "reading", "direct", "answer"], Count]
    """Training texts of S_E by task."""
    train_recall: TrainRecall
    calls: TrainingCalls | None = None
    """None where no rationale is trained with look-ups."""
    valid_accuracy: dict[Literal["general", "augmented"], Share]
    """Of S_P closed-book, and of S_E without a context. Empty without a valid split."""
    calibration: Calibration
    completion_tokens: dict[str, Count]
    """Trained on, over the whole lineage of either student."""
    leaks: Leaks
    self_check: SelfCheck | None = None
    """None where `knowledge.self_check` is off."""
    gate: dict[Literal["lesson", "fact", "rule"], GateCount] | None = None
    """By kind; None where `knowledge.gate` is empty, or a reviewed base was taken."""
    knowledge_use: KnowledgeUse | None = None
    """None without a valid split."""
    teacher: TeacherCost | None = None
    """None for a teacher that counts no tokens."""


class Results(Document):
    """All of `results.json`."""

    schema_: Literal["results/2"] = Field(alias="schema")
    tasks: dict[str, TaskInfo]
    methods: dict[str, dict[str, MethodScore]]
    supervision: dict[str, str] = Field(default_factory=dict)
    """METHOD: what its student was trained on, where its base comes from, what it is told besides."""
    differences: dict[str, dict[str, dict[str, Estimate]]]
    """SPLIT, then "LEFT - RIGHT", then kind or "all"."""
    gap_closed: dict[str, dict[str, Estimate]]
    """SPLIT, then kind or "all": (nesycd - std_cot) / (nesycd_oracle - std_cot)."""
    gain_by_frequency: dict[str, dict[str, Estimate]]
    """SPLIT, then training frequency: nesycd - std_cot."""
    known_unknown: dict[str, dict[Literal["known", "unknown"], dict[str, KnownScore]]] = Field(default_factory=dict)
    """SPLIT, then whether std_cot answers the question rightly, then METHOD. Empty without std_cot."""
    retrieval: dict[str, Retrieval]
    knowledge: Knowledge
    router: dict[str, str | float]
    """What the router was set to, e.g. `mode`, `threshold`; empty where nothing was said."""
    method: Method | None = None
    """None where only methods were scored."""
    seconds: dict[str, Seconds]
    total_seconds: Seconds

    def splits(self) -> list[str]:
        """The splits that some method answered, in the order of `SPLITS`."""
        return in_order({split for by_split in self.methods.values() for split in by_split}, SPLITS)


def in_order(names: set[str], known: tuple[str, ...]) -> list[str]:
    """Known names in their known order, then the rest by name."""
    return [name for name in known if name in names] + sorted(names - set(known))


def kinds_in_order(kinds: Iterable[str]) -> list[str]:
    """Kinds of question as reports show them: `special` first, `all` last."""
    return sorted(set(kinds), key=lambda kind: (kind == "all", kind != "special", kind))


def score_of(score: MethodScore | KnownScore | None, kind: str) -> Score | None:
    """The part of a score for a kind of question, the score itself for "all"; None where there is none."""
    return score if score is None or kind == "all" else score.by_kind.get(kind)


def load_results(path: Path) -> Results:
    """Read and check a `results.json`.

    Raises:
        RunError: no such file, not JSON, or not the contract; the message names the file and the key.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}; has the run's evaluation ended?") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON: {error}") from None
    try:
        return Results.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{path}: {key}: {first['msg']}") from None
