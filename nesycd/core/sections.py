"""The sections of a recipe: what each key means, which values it may have, and its default.

Settings that belong to one benchmark (`[task.settings]`) are checked by `nesycd.tasks.registry`, which knows the benchmarks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from nesycd.core.address import api_address, parts_of

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Epochs = Annotated[float, Field(gt=0, le=10_000)]
ApiAddress = Annotated[str, AfterValidator(api_address)]
Source = Literal["linked", "lexical", "dense"]
QueryField = Literal["task", "question", "options"]


class Section(BaseModel):
    """Base of all sections: frozen, strict about keys and types, documented by its fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class TaskSection(Section):
    """Which questions are used."""

    name: str
    """A benchmark: `longtail`, `jsonl` (your own questions), `gsm8k`, `bbh`, `mixture`, ...; see `nesycd tasks`."""
    limit: Count | None = None
    """Maximum number of questions of each split (`--limit`)."""
    sizes: dict[str, Count] = {}
    """Maximum number of questions of a split, as `{train = 300, test = 200}`: a seeded sample, stratified by task."""
    settings: dict[str, Any] = {}
    """The benchmark's own settings, such as `path`: see below under its name, or `nesycd settings NAME`."""


class AskSection(Section):
    """How a language model is asked for rationales and diagnoses."""

    samples: Count = 3
    """Maximum number of samples for each question. More give more correct rationales, at higher cost."""
    all_samples: bool = False
    """Ask for all samples of each question at once and keep every answer; otherwise a question is asked again only
    while no answer was correct."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """Sampling temperature of rationales; diagnoses use 0. At 0 all samples are alike, so one is enough."""
    hints: bool = True
    """Ask once more, with the gold answer shown, where no sample was correct."""
    max_tokens: Count = 1024
    """Maximum length of the teacher's answer, in its tokens; raise it for reasoning models."""
    repair: bool = True
    """Ask once more for a diagnosis that cannot be parsed."""
    cluster: Count = 1
    """Approximate number of errors of one task in one call; 1: a call for each error."""


class ApiSection(Section):
    """A language model behind an API or on a server of your own; keys come from the environment only."""

    provider: Literal["openai", "anthropic"] = "openai"
    """The API: `openai` (OpenAI and all compatible servers) or `anthropic` (Anthropic's Messages API)."""
    model: str = ""
    """The model's name, as the server calls it."""
    base_url: str = ""
    """Any server with the provider's API, such as `http://localhost:8000/v1`; not given: the provider itself."""
    key_env: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""
    """The environment variable with the key; not given: `OPENAI_API_KEY` at OpenAI, `ANTHROPIC_API_KEY` at Anthropic, no
    key at other servers."""
    parameters: dict[str, Any] = {}
    """Sent with each request, such as `{top_p = 0.9}`."""
    batch: bool = False
    """Send requests by the provider's batch API: cheaper, and answered within a day rather than at once."""
    poll: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two polls of pending batches."""
    concurrency: Count = 8
    """Maximum number of concurrent calls. Lower it where the server limits the rate."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds to wait for one answer; a later one is lost, possibly paid for, and asked for again."""
    retries: Annotated[int, Field(ge=0)] = 8
    """How often a call is sent again after a transient failure."""
    max_usd: Annotated[float, Field(ge=0)] | None = None
    """Hard cap on what all calls of the budget may cost; the model's price must be known."""
    max_calls: Annotated[int, Field(ge=0)] | None = None
    """Hard cap on the calls of the budget that were, or may have been, answered."""
    budget: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{0,100}$")] = ""
    """The name of the budget that the caps apply to, over all runs that use it; not given: the recipe's name."""
    prices: Path | None = None
    """A price table of your own, read before the package's (`nesycd ledger prices`); not given: `NESYCD_PRICES`."""
    ledger: Path | None = None
    """The ledger of all calls; not given: `NESYCD_LEDGER`, else a file in your data folder that all recipes share."""

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        """Checked for every teacher: recipes are copied to run folders and reports, where no password may stand."""
        if value:
            parts_of(value)
        return value


class TeacherSection(Section):
    """Who writes rationales and diagnoses."""

    name: Literal["expert", "replay", "scripted", "api"] = "expert"
    """`expert` (a program that derives the benchmark's answers, where it has one: longtail, clutrr, ...), `replay`
    (recordings), `scripted` (the questions' own rationales), `api` (a language model)."""
    paths: tuple[Path, ...] = ()
    """Files of recorded rationales that `replay` serves (JSONL, JSON, CSV, Parquet); of several for a question the first is
    used."""
    diagnoses: Path | None = None
    """Recorded diagnoses that `replay` serves: a JSONL or JSON file of your own, or `stages/diagnoses.jsonl` of a run."""
    diagnose: Literal["own", "mine", "api"] = "own"
    """Where knowledge for the student's errors comes from: `own`, the teacher itself; `mine`, general sentences of the accepted
    rationales of these questions (no model is asked); `api`, the language model of `teacher.api`."""
    require_agreement: bool = False
    """Replay only rationales that are marked as correct and in agreement with their answer: for recordings made with the gold
    answer shown."""
    ask: AskSection = AskSection()
    api: ApiSection = ApiSection()


class ServerSection(Section):
    """A server that writes the student's answers; trainings stay in this process."""

    base_url: ApiAddress = ""
    """Of an OpenAI-compatible server with the untrained student, such as `http://localhost:8000/v1`; not given: answers are
    written in this process. Trained adapters need vLLM with `--enable-lora` (see `docs/serving.md`)."""
    model: str = ""
    """The untrained student's name there; not given: its only model."""
    key_env: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""
    """The environment variable with the server's key; not given: none is sent."""
    concurrency: Count = 64
    """Maximum number of answers that are asked for at once."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds to wait for one answer."""
    paths: dict[str, str] = {}
    """Folders of this machine as the server sees them, where it sees them elsewhere (a container, another machine):
    `{"/home/ann/runs" = "/runs"}`. Adapters are loaded from the run folder."""


class StudentSection(Section):
    """The small model."""

    model: str = "smollm2-135m"
    """`smollm2-135m` (embedded), a folder of a model or of a LoRA adapter (merged into its base), a Hugging Face id, or `table`
    (a fake without torch)."""
    revision: str = ""
    """Of a Hugging Face id: a branch, tag or commit; not given: the hub's main branch when first loaded. A run keeps the
    commit that it began with."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """How prompts are rendered; `auto`: chat where the model has a chat template."""
    max_new_tokens: Count = 192
    """Maximum length of an answer, in the student's tokens; longer ones are cut off. Long rationales need more."""
    stop_repetition: bool = False
    """Whether an answer that repeats itself is ended before it reaches `max_new_tokens` (repetition detection): small students
    often do."""
    batch_rows: Count = 128
    """Questions that are answered at once, at most; of prompts longer than 128 tokens fewer. Where a GPU's memory runs out, a
    batch is halved."""
    device: str = "auto"
    """`auto` (a GPU where there is one), `cpu`, `cuda` or `mps`."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether layers are compiled for training; `auto`: on a CPU with a C++ compiler, unless the training is short."""
    quantise: Literal["none", "4bit"] = "none"
    """`4bit` keeps the weights of the base model's linear layers in 4 bits, for training (QLoRA) and answers: a quarter of the
    memory, a little slower and less exact. On NVIDIA GPUs; extra `scale`."""
    delay: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that the table student sleeps at each step (for tests)."""
    server: ServerSection = ServerSection()


class TrainingSection(Section):
    """How the student is fine-tuned (LoRA)."""

    learning_rate: Rate = 1e-3
    """Peak learning rate of general distillation. Lower it for larger students: 2e-4 is usual at 7B."""
    epochs: Epochs = 3.0
    """Passes over the training texts in general distillation. Use fewer for large data, more for small data."""
    batch_tokens: Count = 256
    """Completion tokens of a training batch (one optimiser step); prompts come on top. Small data wants small batches."""
    rank: Count = 16
    """Rank of LoRA's matrices: how much an adapter can hold, and its size on disk."""
    alpha: Count = 32
    """LoRA's scale: an adapter's output is multiplied by `alpha / rank`. Change it along with the rank."""
    adapted_layers: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the layers that get an adapter, from the top. What the layers below make of a text is computed once, so that
    0.5 takes about half the time from the second pass on."""
    dropout: Share = 0.0
    """LoRA dropout in training; try a little, such as 0.05, against overfitting."""
    max_tokens: Count = 1024
    """Maximum length of a training text (prompt and completion), in the student's tokens; longer ones are left out."""
    warmup: Share = 0.1
    """Share of the steps over which the learning rate rises."""
    checkpointing: Literal["auto", "on", "off"] = "auto"
    """Gradient checkpointing: layers are run again in the backward pass, which takes a third longer and much less memory; `auto`:
    where the memory would not suffice otherwise. Changes no result."""
    processes: Count = 1
    """Processes that share each training, one for each GPU of this machine (of several machines: `docs/performance.md`). A batch
    stays what `batch_tokens` says, and is dealt out. Changes no result but by rounding."""
    shard: bool = False
    """Whether these processes share the layers' weights too (FSDP), for a model that one GPU cannot hold in training."""


class CollectionSection(Section):
    """Where the student's errors come from."""

    mode: Literal["out_of_fold", "in_sample"] = "out_of_fold"
    """`out_of_fold`: each training question is answered by a student that did not see it, which shows what it does not know;
    `in_sample`: by the trained student itself, as in the paper, without further trainings."""
    folds: Annotated[int, Field(ge=2)] = 2
    """Number of folds for `out_of_fold`: one student is trained for each, on the other folds. More folds give each student more
    training data, at higher cost."""
    epochs: Epochs | None = None
    """Epochs of a fold's student; not given: as `training.epochs`."""


class KnowledgeSection(Section):
    """What enters the knowledge base."""

    review: Literal["auto", "human"] = "auto"
    """`auto` approves what the teacher proposes; with `human` the run stops until a person has approved items (`nesycd kb
    approve`)."""
    source: Literal["errors", "unsure", "all", "random"] = "unsure"
    """Which questions the teacher is asked about: the student's errors; these and the questions it answered correctly with a
    margin below the router's threshold; all; or as many as there are errors, at random."""
    kinds: Annotated[tuple[Literal["lesson", "fact", "rule"], ...], Field(min_length=1)] = ("lesson", "fact", "rule")
    """Kinds of items that enter the base."""
    files: tuple[Path, ...] = ()
    """Files as `nesycd kb import` reads them, whose items are added to the teacher's proposals: they pass the same filters and,
    with `review = "auto"`, are approved."""
    documents: tuple[Path, ...] = ()
    """Documents, or folders of them, that state knowledge: Markdown, plain text, CSV and Excel tables. Their items are added to
    the teacher's proposals, each citing its line or row; when a document changes, what came from it is queued for review."""
    document_keys: dict[str, str | tuple[str, ...]] = {}
    """Heads of the columns that name the rows of tables, as `{"fees.csv" = "Plan", "prices.xlsx#Rates" = ["Plan", "Region"]}`;
    not given: the first column with another text in each row."""
    base: Path | None = None
    """A reviewed base (a `kb.sqlite`), taken in place of one built from errors: what it approves, without what leaks under the
    run's splits. No error is diagnosed then. `nesycd compare --kb`."""
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$")] = "en"
    """Language of the names, where `files` are RDF graphs with labels in several: a tag such as `de`. Other labels become
    aliases."""
    max_items: Count | None = None
    """Maximum number of items in the base, chosen by `seed`; not given: all."""
    self_check: bool = False
    """Ask the student again, with the proposed items in its prompt; with `review = "auto"` only items that corrected an error
    are approved."""
    induction: bool = False
    """Ask the teacher about clusters of like errors too, for procedures and rules that hold for all questions of the kind."""
    gate: tuple[Literal["lesson", "fact", "rule"], ...] = ("fact", "rule")
    """Kinds of items that enter by proof: what the teacher's own right rationales do not bear out stays proposed, first in the
    queue. `lesson` tries lessons, and rules in words, on questions of other folds, which takes minutes; with `induction` it is
    always done. `[]`: none."""
    gate_questions: Count = 2400
    """Maximum number of questions that the gate scores with a lesson in the prompt, in all: 12 for each lesson, those from most
    errors first."""
    derive: bool = False
    """Whether rules with clauses are executed (extra `rules`): facts derived for a question are added to its context."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.base is not None and (self.files or self.documents):
            raise ValueError(
                "base takes the place of files and documents; leave both empty and import the files into the base (nesycd kb "
                "import, nesycd kb read-documents)"
            )
        return self


class CallsSection(Section):
    """What the student may call while it writes (`docs/calls.md`)."""

    sums: bool = True
    """Whether sums are computed: after `7 x 11 =` the result is inserted. Holds for every method alike."""
    hold_names: bool = True
    """Whether the name in a look-up must be one that the question has, or that an earlier look-up found; small students make
    names up."""
    derive: bool = False
    """Whether the student says, unit by unit, what a question states, and asks the rules for what follows (extra `rules`)."""
    read: Literal["sentences", "lines", "question"] = "sentences"
    """The units in which it reads, with `derive`."""
    rationales: Literal["auto", "text"] = "auto"
    """Where the calls of training rationales come from. `auto`: from derivations where the benchmark has them and the expert
    teacher wrote them down, else by annotation; `text`: by annotation only: where a rationale states a fact of the base."""


class RetrievalSection(Section):
    """Which knowledge is retrieved into the prompt."""

    budget_tokens: Count = 96
    """Maximum length of the retrieved context, in the student's tokens; items that do not fit are not shown."""
    max_items: Count = 6
    """Maximum number of items shown with a question, within `budget_tokens`."""
    hops: Annotated[int, Field(ge=0)] = 2
    """Maximum number of links to follow from an entity named in the question, from a fact's object to that object's facts;
    0: the entity's own facts only."""
    query_fields: Annotated[tuple[QueryField, ...], Field(min_length=1)] = ("question",)
    """Query fields, the parts of an example in the query: `task` (the words of its task's name), `question`, `options`."""
    kind: Literal["linked", "fused"] = "linked"
    """`linked`: links between entities, with BM25 for rules and lessons; `fused`: reciprocal rank fusion of several sources."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)] = ("linked", "lexical")
    """Of `fused`: `linked` (as above), `lexical` (BM25 over all items), `dense` (vectors; extra `dense`)."""
    weights: dict[Source, Annotated[float, Field(gt=0)]] = {}
    """Weight of a source in the fusion, as `{linked = 2.0}`; 1.0 where not given."""
    min_coverage: Share = 0.5
    """Query coverage: minimum share of an item's words (weighted by rarity) that the query must contain, for `lexical`."""
    model: str = "wordllama"
    """Of `dense`: `wordllama` (inside the package of that name), or a folder or id for sentence-transformers."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.7
    """Minimum cosine similarity for `dense`; suitable values differ between models."""
    by_task: bool = False
    """Of `fused`: only items whose evidence is of the question's task, or of none."""


class Weights(Section):
    """Loss weights of the three tasks; a task of weight 0 is left out."""

    augmented: Annotated[float, Field(ge=0)] = 1.0
    """Of chains of thought with knowledge in the prompt."""
    answer: Annotated[float, Field(ge=0)] = 0.5
    """Of answer prediction: the answer without a chain of thought."""
    direct: Annotated[float, Field(ge=0)] = 1.0
    """Of chains of thought without knowledge, as in general distillation."""


class AugmentedSection(Section):
    """How the student learns to use knowledge (step 4)."""

    weights: Weights = Weights()
    calls: Share = 1.0
    """Share of the questions that are trained with look-ups and a context of what they cannot ask for (lessons, rules,
    facts that no name in the question leads to), in each pass."""
    context: Share = 0.0
    """Share of the questions that are trained with a context and without look-ups, in each pass. The shares below say how."""
    calls_and_context: Share = 0.0
    """Share of the questions that are trained with look-ups and a whole context, in each pass."""
    empty_calls: Share = 0.1
    """Share of the look-ups in training that find nothing although the base has the fact, so that the student learns to go on by
    itself."""
    fill_to: Annotated[int, Field(ge=0)] = 4
    """Items to which the context of a training prompt is filled up with unrelated ones (distractors; RAFT shows four)."""
    share_without_knowledge: Share = 0.2
    """Share of the questions with a context (even of distractors only) that are also trained closed-book."""
    share_right_without_knowledge: Share = 0.0
    """The same for questions without knowledge of their own, where it is larger: 1.0 trains all of them closed-book too, as the
    paper does those answered correctly."""
    share_answer_only: Share = 0.1
    """Share of the questions that are also trained as answer prediction."""
    share_incomplete: Share = 0.0
    """Of the questions whose own items were not all retrieved, the share that is trained with the incomplete context."""
    share_distracting: Share = 1.0
    """Of the questions for which no knowledge was found, the share that is trained with distractors only."""
    passes: Count = 3
    """How often each question enters the training mix, each time with other distractors."""
    knowledge: Literal["retrieved", "own"] = "retrieved"
    """What a training prompt shows: what is retrieved for the question, or (as the paper's released code) the items proposed for
    its own error."""
    init: Literal["base", "general"] = "base"
    """Start from the base model (for as many completion tokens as general distillation), or from S_P."""
    learning_rate: Rate = 1e-3
    """Peak learning rate of augmented distillation; the other training settings are those of `training`."""
    epochs: Epochs = 1.0
    """Passes over the training mix where `init` is `general`."""

    @property
    def looks_up(self) -> bool:
        """Whether the student is trained with look-ups."""
        return bool(self.calls or self.calls_and_context)

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        if not (self.looks_up or self.context):
            raise ValueError("one of calls, context and calls_and_context must be above 0")
        return self


class RouterSection(Section):
    """When the student is given knowledge."""

    mode: Literal["margin", "always", "never"] = "margin"
    """`margin`: where some was found and the margin of the student's closed-book draft is below a threshold, calibrated on
    held-out questions (valid); `always`, `never`: whatever the draft is. Compare them: `nesycd router calibrate`."""
    signal: Literal["least", "mean"] = "least"
    """Which of a draft's margins (p1 - p2 of each token) are averaged: the three lowest, or all."""


class EvaluationSection(Section):
    """What is measured."""

    methods: tuple[str, ...] = ()
    """The methods to evaluate (`nesycd compare --list`); empty: the untrained student, Std-CoT with and without the knowledge
    base, NesyCD with it, without it, routed, and given exactly the needed facts."""
    splits: tuple[str, ...] = ()
    """Splits to score; empty: `test` and all out-of-domain ones."""
    bootstrap: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    """Bootstrap resamples for the 95 % intervals; fewer are faster and less precise."""


class EngineSection(Section):
    """Where the student's work is done; results do not depend on it. `engine = "ray"` is short for `engine.name`."""

    name: Literal["local", "shards", "ray"] = "local"
    """`local`: in this process; `ray`: by the machines of a Ray cluster; `shards`: it is dealt out to `nesycd stage` commands, as
    in an array of batch jobs, and the run stops until they are done (see `docs/many-machines.md`)."""
    address: str = ""
    """HOST:PORT of the Ray cluster's head; empty: that of the environment variable `RAY_ADDRESS`, else a cluster of this machine
    alone is begun, and ended with the command."""
    workers: Count | None = None
    """Workers on each machine of the cluster, among which its GPUs and cores are divided; not given: one for each GPU, one where
    there is none."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a shard is given to another worker after its worker died."""

    @model_validator(mode="before")
    @classmethod
    def _in_full(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class PrimarySection(Section):
    """The primary endpoint: give it before you look; all other comparisons are corrected for their number."""

    left: str = "nesycd"
    """The method expected to be better."""
    right: str = "std_cot"
    """The method it is compared with."""
    split: str = "test"
    """One of the splits that are scored."""
    kind: Literal["all", "special", "general"] = "all"
    """Only `special` questions (which need sparse knowledge) or only `general` ones, where the benchmark distinguishes them."""


class CompareSection(Section):
    """What `nesycd compare` puts side by side."""

    methods: tuple[str, ...] = ()
    """Methods, including ablations; empty: those of `evaluation.methods`. See `nesycd compare --list`."""
    seeds: tuple[Seed, ...] = ()
    """Each is a run of its own; intervals include the variance between seeds. Empty: the recipe's own seed."""
    primary: PrimarySection = PrimarySection()
    max_passes: Epochs | None = None
    """Maximum number of passes of a baseline over its training texts, even if it has tokens left: answers alone are short, and
    would be repeated dozens of times."""
    corpus: Path | None = None
    """Passages for the methods that read a corpus: a file (JSONL, JSON, CSV, Parquet) with a `text` in each row; not given: the
    benchmark's own."""
    samples: Count = 4
    """Answers that are sampled to each training question for methods with rejection sampling (`..._rs`)."""
    learning_rates: tuple[Rate, ...] = ()
    """Tuning: every method is trained with each of these, and the best on valid is scored; empty: the recipe's rates."""
    variants: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,60}$")], tuple[str, ...]] = {}
    """Ablations of your own: a name and the settings it changes, as `{few_items = ["knowledge.max_items=50"]}`."""


class OnPolicySection(Section):
    """How students learn from a teacher's judgement of their own answers, token by token (`on_policy`, `nesycd_on_policy`)."""

    rounds: Count = 4
    """In each the student samples answers, and is trained on what the teacher would have written in them."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Of the completion tokens that all methods are trained on, the rounds' part; before them come rationales."""
    server: ApiAddress = ""
    """Address of a vLLM server with a teacher that has the student's vocabulary, such as `http://localhost:8000/v1`; not given:
    the student itself, which is shown knowledge of the base."""
    model: str = ""
    """The teacher's name on that server."""
    key_env: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""
    """Environment variable with the server's key; not given: it needs none."""

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if bool(self.server) != bool(self.model):
            raise ValueError("server and model belong together: give both, or neither")
        return self
