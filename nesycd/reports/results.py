"""`results.json`: the numbers of a run as a documented contract (`docs/results.md`), checked when read back.

Accuracies, shares and differences are fractions in 0-1 (differences in -1 to 1); tokens and seconds are sums over a split.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nesycd.core.errors import RunError
from nesycd.core.storage import write_json_atomic

SCHEMA = "results/1"
SPLITS = ("test", "ood_composed", "ood_unseen", "ood_unseen_imported")
"""Splits in the order in which reports show them; others follow by name."""
ARMS = (
    "zero_shot",
    "std_cot",
    "std_cot_kb",
    "nesycd_no_kb",
    "nesycd",
    "nesycd_routed",
    "nesycd_oracle",
    "few_shot",
    "rules_alone",
    "std_cot_oracle",
    "std_cot_distracting",
    "nesycd_distracting",
)
"""Arms in the order in which reports show them; others follow by name."""
KNOWLEDGE_ARMS = {
    "std_cot": ("before", "no"),
    "std_cot_kb": ("before", "retrieved"),
    "std_cot_oracle": ("before", "oracle"),
    "std_cot_distracting": ("before", "distracting"),
    "nesycd_no_kb": ("after", "no"),
    "nesycd": ("after", "retrieved"),
    "nesycd_oracle": ("after", "oracle"),
    "nesycd_distracting": ("after", "distracting"),
}
"""Arms by student (before or after augmented distillation) and by the knowledge in the prompt."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Usd = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TaskInfo(_Part):
    """What is known of a task: `special`, `general`, or "" where the benchmark does not say."""

    kind: str


class Score(_Part):
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


class TaskScore(_Part):
    """One arm on one task."""

    n: Count
    accuracy: Share
    routed: Share


class KnownScore(Score):
    """One arm on the known or on the unknown questions of a split."""

    by_kind: dict[str, Score]


class ArmScore(KindScore):
    """One arm on one split."""

    by_task: dict[str, TaskScore]
    by_kind: dict[str, KindScore]
    by_frequency: dict[str, Score]
    """By how often the rarest needed fact occurs in training questions: "0", "1", "2", "3", "4-7", "8-15", "16+"."""
    prompt_tokens: Count
    completion_tokens: Count
    knowledge_tokens: Count
    """The part of `prompt_tokens` that is knowledge."""
    seconds: Seconds


class Estimate(_Part):
    """A difference (or a ratio of differences) over n shared questions with its 95 % interval, None where unknown."""

    n: Count
    value: float | None
    low: float | None
    high: float | None
    interval: Literal["bootstrap", "agresti-min", "none"]


class Retrieval(_Part):
    """How well retrieval did on a split."""

    needed_fact_recall: Share | None
    """None where no question needs a fact."""
    answer_in_block: Share | None = None
    """Share of the blocks that hold the gold answer, by chance or derived; None in older results."""
    answer_not_in_block: dict[str, Score] = Field(default_factory=dict)
    """Arm to its score on the questions whose block does not."""


class TrainedWith(_Part):
    """The approved knowledge that a student was trained with."""

    version: str
    revision: Count
    items: Count


class Knowledge(_Part):
    """The knowledge base in numbers."""

    items: Count
    by_kind: dict[str, Count]
    by_status: dict[str, Count]
    trained_with: TrainedWith | None = None
    """None where no S_E was trained, and in older runs."""
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


class Rationales(_Part):
    """The teacher's rationales for the training questions: those asked for are kept, wrong or failed."""

    asked: Count
    kept: Count
    wrong: Count
    failed: Count
    hinted: Count = 0
    """Of the kept, those written after the teacher was shown the gold answer."""


class ErrorRates(_Part):
    """How often S_P's recipe errs: `collected` is what diagnosis saw, `valid` (None without one) what S_P does there."""

    collection: Literal["out_of_fold", "in_sample"]
    collected: Share
    valid: Share | None


class Leaks(_Part):
    """What the filters found: of `proposed` items those `refused` as leaks; of `approved` those that leak still.

    `ill_formed` and `instance_specific` are those that the other two filters refused besides.
    """

    proposed: Count
    refused: Count
    ill_formed: Count = 0
    instance_specific: Count = 0
    approved: Count
    approved_leaking: Count


class TrainRecall(_Part):
    """Share of needed facts that arrived in training `prompts` with knowledge, and for all training `questions`."""

    prompts: Share | None
    questions: Share | None


class Calibration(_Part):
    """What the router's threshold was chosen from: `n` drafts of a split, of which `n_correct` were right.

    `score`: the accuracy of the routed answers on `valid`, or, on `train`, the balanced accuracy of right above and wrong below.
    """

    split: Literal["valid", "train"]
    n: Count
    n_correct: Count
    threshold: Annotated[float, Field(ge=-1, le=2)]
    score: Share


class SelfCheck(_Part):
    """What came of asking the student again with the proposed items: errors `asked`, of these `repaired`."""

    asked: Count
    repaired: Count


class TeacherCost(_Part):
    """What all answers of a teacher that counts tokens took; None where a price is unknown, or nothing came of them."""

    prompt_tokens: Count
    completion_tokens: Count
    usd: Usd | None
    usd_per_kept_rationale: Usd | None
    usd_per_useful_item: Usd | None


class KnowledgeUse(_Part):
    """On `valid`: of `approved` items those `shown` in a prompt; of these the `useful` ones, which stood in the prompt of a
    question that S_E answers rightly with its knowledge and wrongly without."""

    approved: Count
    shown: Count
    useful: Count


class Method(_Part):
    """What the steps of the method did, beside what came of them."""

    rationales: Rationales
    error_rates: ErrorRates
    mix: dict[Literal["augmented", "direct", "answer"], Count]
    """Training texts of S_E by task."""
    train_recall: TrainRecall
    valid_accuracy: dict[Literal["general", "augmented"], Share]
    """Of S_P and S_E without knowledge; the better one drafts. Empty without a valid split."""
    calibration: Calibration
    completion_tokens: dict[Literal["std_cot", "nesycd"], Count]
    """Trained on, over the whole lineage of either student."""
    leaks: Leaks | None = None
    """None in results from before there was a leak filter."""
    self_check: SelfCheck | None = None
    """None where `knowledge.self_check` is off."""
    knowledge_use: KnowledgeUse | None = None
    """None without a valid split, and in older results."""
    teacher: TeacherCost | None = None
    """None for a teacher that counts no tokens, and in older results."""


class Results(_Part):
    """All of `results.json`."""

    model_config = ConfigDict(populate_by_name=True)
    schema_: Literal["results/1"] = Field(alias="schema")
    tasks: dict[str, TaskInfo]
    arms: dict[str, dict[str, ArmScore]]
    differences: dict[str, dict[str, dict[str, Estimate]]]
    """SPLIT, then "LEFT - RIGHT", then kind or "all"."""
    gap_closed: dict[str, dict[str, Estimate]]
    """SPLIT, then kind or "all": (nesycd - std_cot) / (nesycd_oracle - std_cot)."""
    gain_by_frequency: dict[str, dict[str, Estimate]]
    """SPLIT, then training frequency: nesycd - std_cot."""
    known_unknown: dict[str, dict[Literal["known", "unknown"], dict[str, KnownScore]]] = Field(default_factory=dict)
    """SPLIT, then whether std_cot answers the question rightly, then ARM. Empty without std_cot, and in older results."""
    retrieval: dict[str, Retrieval]
    knowledge: Knowledge
    router: dict[str, str | float]
    """What the router was set to, e.g. `mode`, `threshold`; empty where nothing was said."""
    method: Method | None = None
    """None where only arms were scored."""
    seconds: dict[str, Seconds]
    total_seconds: Seconds

    def splits(self) -> list[str]:
        """The splits that some arm has, in the order of `SPLITS`."""
        return in_order({split for by_split in self.arms.values() for split in by_split}, SPLITS)

    def to_json(self) -> dict[str, Any]:
        """The JSON object, `schema` first."""
        return self.model_dump(mode="json", by_alias=True)


def in_order(names: set[str], known: tuple[str, ...]) -> list[str]:
    """Known names in their known order, then the rest by name."""
    return [name for name in known if name in names] + sorted(names - set(known))


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Write what `build_results` made. The file is replaced as a whole, so that none is ever half written.

    Raises:
        RunError: the results break the contract, or the file cannot be written.
    """
    write_json_atomic(path, parse_results(results, path).to_json())


def load_results(path: Path) -> Results:
    """Read and check a `results.json`.

    Raises:
        RunError: no such file, not JSON, or not the contract; the message names the file and the key.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}; has the run's evaluation ended?") from None
    except ValueError as error:
        raise RunError(f"{path}: not JSON: {error}") from None
    return parse_results(value, path)


def parse_results(value: Any, path: Path) -> Results:
    """Check a JSON value against the contract; `path` names it in the error.

    Raises:
        RunError: it breaks the contract.
    """
    try:
        return Results.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise RunError(f"{path}: {key}: {first['msg']}") from None
