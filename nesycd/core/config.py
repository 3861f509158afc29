"""Recipes: what a run is to do, as TOML checked against the sections below.

A wrong key or value is one sentence that names the key (dotted), where it stands and the nearest right key. Settings
that belong to one benchmark (`[task.settings]`) are checked by `nesycd.tasks.registry`, which knows the benchmarks.
Relative paths count from the folder in which the command runs, and then from `NESYCD_DATA` (`locate_data`).
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nesycd.core.errors import ConfigError

Arm = Literal[
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
]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Source = Literal["linked", "lexical", "dense"]
Asks = Literal["task", "question", "options"]


class Section(BaseModel):
    """Base of all sections: frozen, strict about keys and types, documented by its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class TaskSection(Section):
    """Which questions."""

    name: str
    """A benchmark: `longtail`, `jsonl` (your own questions), `gsm8k`, `bbh`, `mixture`, ...; see `nesycd tasks`."""
    limit: Count | None = None
    """At most so many questions of each split (`--limit`)."""
    sizes: dict[str, Count] = {}
    """At most so many questions of a split, as `{train = 300, test = 200}`: a seeded sample, stratified by task."""
    settings: dict[str, Any] = {}
    """The benchmark's own settings: `path`, sizes, ...; see `nesycd tasks`."""


class AskSection(Section):
    """How a language model is asked for rationales and diagnoses."""

    samples: Count = 3
    """Times that a question is asked at most."""
    all_samples: bool = False
    """Ask all samples of each question at once and keep every answer on record; else a question is asked again only
    while no answer was right."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """Of rationales; diagnoses are asked for at 0."""
    hints: bool = True
    """Ask once more, with the gold answer shown, where no sample was right."""
    max_tokens: Count = 1024
    """Longest answer."""
    repair: bool = True
    """Ask once more for a diagnosis that cannot be read."""
    cluster: Count = 1
    """Errors of one task that share a call, about; 1: a call for each error."""


class ApiSection(Section):
    """A language model behind an API or on a server of your own; keys come from the environment only."""

    provider: Literal["openai", "anthropic"] = "openai"
    """The form of requests: `openai` (OpenAI and all compatible servers) or `anthropic` (Anthropic's Messages API)."""
    model: str = ""
    """As the server calls it."""
    base_url: str = ""
    """Any server that speaks the provider's form, such as `http://localhost:8000/v1`; not given: the provider itself."""
    key_env: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")] = ""
    """The environment variable with the key; not given: `OPENAI_API_KEY` at OpenAI, `ANTHROPIC_API_KEY` at Anthropic, no
    key at other servers."""
    parameters: dict[str, Any] = {}
    """Sent with each request, such as `{top_p = 0.9}`."""
    batch: bool = False
    """Send requests by the provider's batch API: cheaper, and answered within a day rather than at once."""
    poll: Annotated[float, Field(gt=0)] = 60.0
    """Seconds between two looks at batches that are waited for."""
    concurrency: Count = 8
    """Calls on their way at once, at most."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds for one answer; one that comes later is lost, perhaps paid, and asked for again."""
    retries: Annotated[int, Field(ge=0)] = 8
    """How often a call is sent again after a passing failure."""
    max_usd: Annotated[float, Field(ge=0)] | None = None
    """Hard cap on what all calls of the budget may cost; the model's price must be known."""
    max_calls: Annotated[int, Field(ge=0)] | None = None
    """Hard cap on the calls of the budget that were, or may have been, answered."""
    budget: str = ""
    """The name under which the caps count, over all runs that use it; not given: the recipe's name."""
    prices: Path | None = None
    """A price table of your own, read before the package's (`nesycd ledger prices`); not given: `NESYCD_PRICES`."""
    ledger: Path | None = None
    """The ledger of all calls; not given: `NESYCD_LEDGER`, else a file in your data folder that all recipes share."""


class TeacherSection(Section):
    """Who writes rationales and diagnoses."""

    name: Literal["expert", "replay", "scripted", "api"] = "expert"
    """`expert` (a program that knows longtail), `replay` (recordings), `scripted` (the questions' own rationales), `api`
    (a language model)."""
    paths: tuple[Path, ...] = ()
    """Recordings to replay, JSONL or JSONL.gz."""
    diagnoses: Path | None = None
    """Recorded diagnoses, JSONL."""
    diagnose: Literal["own", "mine", "api"] = "own"
    """Where knowledge for the student's errors comes from: `own`, the teacher itself; `mine`, the accepted rationales of the
    very questions, whose general sentences are taken (nobody is asked); `api`, the language model of `teacher.api`."""
    require_agreement: bool = False
    """Replay only what its recorder marked as right and in agreement."""
    ask: AskSection = AskSection()
    api: ApiSection = ApiSection()


class StudentSection(Section):
    """The small model."""

    model: str = "smollm2-135m"
    """`smollm2-135m` (embedded), a folder, a Hugging Face id, or `table` (a fake without torch)."""
    revision: str = ""
    """Of a Hugging Face id: a branch, tag or commit; not given: what the hub's main is when first loaded. A run keeps the
    commit that it began with."""
    template: Literal["auto", "chat", "plain"] = "auto"
    """How prompts are rendered; `auto`: chat where the model has a chat template."""
    max_new_tokens: Count = 192
    """Longest answer."""
    calculator: bool = False
    """Whether sums are computed while the student writes them: after `7 x 11 =` the result is put in."""
    stop_repetition: bool = False
    """Whether an answer that repeats itself is ended before it reaches `max_new_tokens` (repetition detection): small students
    often do."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `mps`."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Whether training goes through compiled layers; `auto`: on a CPU with a C++ compiler, where the training is not short."""
    delay: Annotated[float, Field(ge=0)] = 0.0
    """Seconds that the table student sleeps at each step (for tests)."""


class TrainingSection(Section):
    """How the student is fine-tuned (LoRA)."""

    learning_rate: Rate = 1e-3
    """At its peak."""
    epochs: Annotated[float, Field(gt=0)] = 3.0
    batch_tokens: Count = 1024
    """Tokens of a training batch."""
    rank: Count = 16
    alpha: Count = 32
    dropout: Share = 0.0
    max_tokens: Count = 1024
    """Longer texts are left out, and counted."""
    warmup: Share = 0.1
    """Share of the steps over which the learning rate rises."""


class CollectionSection(Section):
    """Where the student's errors come from."""

    mode: Literal["out_of_fold", "in_sample"] = "out_of_fold"
    """`out_of_fold`: each training question is answered by a student that did not see it."""
    folds: Annotated[int, Field(ge=2)] = 2
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes of a fold's student over its part; not given: as `training.epochs`."""


class KnowledgeSection(Section):
    """What enters the knowledge base."""

    review: Literal["auto", "human"] = "auto"
    """`auto` approves what the teacher proposes; `human` leaves it for `nesycd kb approve`."""
    source: Literal["errors", "unsure", "all", "random"] = "unsure"
    """Which questions the teacher is asked about: the student's errors; these and what it got right but unsure of
    (below the router's threshold); all; or as many as errors at random."""
    kinds: Annotated[tuple[Literal["lesson", "fact", "rule"], ...], Field(min_length=1)] = ("lesson", "fact", "rule")
    """Kinds of items that enter the base."""
    files: tuple[Path, ...] = ()
    """Files as `nesycd kb import` reads them, whose items join what the teacher proposes: they pass the same checks and, with
    `review = "auto"`, are approved."""
    max_items: Count | None = None
    """Size of the base at most."""
    self_check: bool = False
    """Ask the student that erred again with the proposed items; with `review = "auto"` only those that repaired an error
    are approved."""
    derive: bool = False
    """Whether rules with clauses run (extra `rules`): what follows from the facts of a question joins its block."""


class RetrievalSection(Section):
    """What knowledge reaches the prompt."""

    budget_tokens: Count = 96
    """Student tokens of all item texts together."""
    max_items: Count = 6
    hops: Annotated[int, Field(ge=0)] = 2
    """How many objects to follow from a named entity."""
    asks: Annotated[tuple[Asks, ...], Field(min_length=1)] = ("question",)
    """What of an example is searched with: `task` (the words of its task's name), `question`, `options`."""
    kind: Literal["linked", "fused"] = "linked"
    """`linked`: by links, with BM25 for rules and lessons; `fused`: by several sources whose ranks are fused."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)] = ("linked", "lexical")
    """Of `fused`: `linked` (as above), `lexical` (BM25 over all items), `dense` (vectors; extra `dense`)."""
    weights: dict[Source, Annotated[float, Field(gt=0)]] = {}
    """How much a source counts, as `{linked = 2.0}`; 1.0 where not given."""
    min_cover: Share = 0.5
    """Least share of an item's words (by rarity) that `lexical` must find in the question."""
    model: str = "wordllama"
    """Of `dense`: `wordllama` (inside the package of that name), or a folder or id for sentence-transformers."""
    min_similarity: Annotated[float, Field(ge=-1, le=1)] = 0.7
    """Least cosine for `dense`; how near is near differs from model to model."""
    by_task: bool = False
    """Of `fused`: only items whose evidence is of the question's task, or of none."""
    choose: bool = False
    """Whether questions are answered with those found items only that are likely to help, by the model that `nesycd kb effect`
    has written into the run's folder. Training prompts are not touched."""


class Weights(Section):
    """Loss weights of the three tasks."""

    augmented: Annotated[float, Field(ge=0)] = 1.0
    answer: Annotated[float, Field(ge=0)] = 0.5
    direct: Annotated[float, Field(ge=0)] = 1.0


class AugmentedSection(Section):
    """How the student learns to use knowledge (step 4)."""

    weights: Weights = Weights()
    fill_to: Annotated[int, Field(ge=0)] = 4
    """Each block of a training prompt is filled up to so many items with unrelated ones, its distractors (RAFT shows four)."""
    share_without_knowledge: Share = 0.2
    """Share of the questions with a block (be it of distractors alone) that are trained closed-book too."""
    share_right_without_knowledge: Share = 0.0
    """The same of those that gave rise to no knowledge, where it is larger: 1.0 trains all of them so, as the paper does those
    answered rightly."""
    share_answer_only: Share = 0.1
    """Share of the questions that are trained as answer prediction too."""
    share_incomplete: Share = 0.0
    """Share of the questions whose own items were not all retrieved that keep their incomplete block."""
    share_distracting: Share = 1.0
    """Share of the questions for which there is no knowledge that are trained beside distractors alone."""
    passes: Count = 3
    """How often each question enters the mix, each time with other distractors."""
    knowledge: Literal["retrieved", "own"] = "retrieved"
    """What a training prompt shows: what is retrieved for the question, or (as the released code) the items that its own
    error gave rise to."""
    init: Literal["base", "general"] = "base"
    """Start from the base model (for as many completion tokens as general distillation), or from S_P."""
    learning_rate: Rate = 1e-3
    epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the whole mix where `init` is `general`."""


class RouterSection(Section):
    """When the student is given knowledge."""

    mode: Literal["margin", "always", "never", "classifier"] = "margin"
    """`margin`: where some was found and the student's draft is unsure, by a threshold calibrated on held-out questions
    (valid); `classifier`: where some was found and would, by what draft, hits and question say, make a right answer likelier
    (extra `router`; compare them first: `nesycd router calibrate`)."""
    signal: Literal["least", "mean"] = "least"
    """Of a draft's margins (p1 - p2 of each token): the mean of the three least, or of all."""


class EvaluationSection(Section):
    """What is measured."""

    arms: tuple[Arm, ...] = (
        "zero_shot",
        "std_cot",
        "std_cot_kb",
        "nesycd_no_kb",
        "nesycd",
        "nesycd_routed",
        "nesycd_oracle",
    )
    splits: tuple[str, ...] = ()
    """Splits to score; empty: `test` and all out-of-domain ones."""
    bootstrap: Count = 2000
    """Samples for the 95 % intervals."""


class PrimarySection(Section):
    """The one comparison that is named beforehand; all others are corrected for their number."""

    left: str = "nesycd"
    right: str = "std_cot"
    split: str = "test"
    kind: Literal["all", "special", "general"] = "all"


class CompareSection(Section):
    """What `nesycd compare` puts side by side."""

    methods: tuple[str, ...] = ()
    """Arms, rivals and ablations; empty: the arms of `evaluation.arms`. See `nesycd compare --list`."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """Empty: the recipe's own."""
    primary: PrimarySection = PrimarySection()
    max_passes: Annotated[float, Field(gt=0)] | None = None
    """Passes over its texts after which a rival stops, though it has tokens left: answers alone are short, and would be
    gone over dozens of times."""
    corpus: Path | None = None
    """Passages for the methods that read a corpus: JSONL with a `text` in each row; not given: the benchmark's own."""
    learning_rates: tuple[Rate, ...] = ()
    """Tuning: every method is tried with each of these, and the one best on valid is scored; empty: the recipe's rates."""
    variants: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], tuple[str, ...]] = {}
    """Ablations of your own: a name and the settings that it changes, as `{few_items = ["knowledge.max_items=50"]}`."""


class Recipe(Section):
    """A whole recipe; each field is a section of the TOML file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """Name of the run's folder."""
    seed: Annotated[int, Field(ge=0)] = 0
    prompts: Path | None = None
    """A folder with prompt files of your own; those that it lacks are the package's (`nesycd/prompts`)."""
    task: TaskSection
    teacher: TeacherSection = TeacherSection()
    student: StudentSection = StudentSection()
    training: TrainingSection = TrainingSection()
    collection: CollectionSection = CollectionSection()
    knowledge: KnowledgeSection = KnowledgeSection()
    retrieval: RetrievalSection = RetrievalSection()
    augmented: AugmentedSection = AugmentedSection()
    router: RouterSection = RouterSection()
    evaluation: EvaluationSection = EvaluationSection()
    compare: CompareSection = CompareSection()


EXTENDS = "extends"
"""A recipe's key, at its top: the file of another recipe (from its own folder) whose tables it lies over."""
_OPEN = "task.settings"
"""Whose keys are a benchmark's own (as those of `task.sizes` are its splits)."""
PATH_SETTINGS = frozenset({"path", "train", "valid", "test", "prompts"})
"""Settings of benchmarks that are paths where they are texts."""


def load_recipe(path: Path, overrides: Sequence[str] = (), limit: int | None = None) -> Recipe:
    """Read a recipe file.

    Args:
        path: a TOML file.
        overrides: `a.b=value` each, as given to `--set`; the value in TOML, or a bare word.
        limit: as given to `--limit`: the same as `task.limit=N`.

    Raises:
        ConfigError: no such file, not TOML, or a wrong key or value.
    """
    data, texts = _read(path)
    given = [*overrides, *([] if limit is None else [f"task.limit={limit}"])]
    sources = {apply_override(data, override): override for override in given}
    try:
        return Recipe.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        # An unknown key explains more than the missing one it was meant for.
        first = min(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        dotted = _dotted(first["loc"])
        raise ConfigError(f"{_where(texts, sources, dotted)}: {_problem(dotted, first)}") from None


def _read(path: Path, above: tuple[Path, ...] = ()) -> tuple[dict[str, Any], dict[Path, str]]:
    """A recipe's tables over those of the recipe that it `extends`, and the texts of both, its own first."""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not valid UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    base = data.pop(EXTENDS, None)
    if base is None:
        return data, {path: text}
    if not isinstance(base, str) or (path.parent / base).resolve() in (seen := (*above, path.resolve())):
        raise ConfigError(f"{path}: {EXTENDS} must name the file of another recipe, beside this one")
    below, texts = _read(path.parent / base, seen)
    return _over(data, below), {path: text, **texts}


def _over(data: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Tables laid over each other; all else of `data` takes the place of what `base` says."""
    both = {key: _over(value, base[key]) for key, value in data.items() if _are_tables(value, base.get(key))}
    return {**base, **data, **both}


def _are_tables(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)


def locate_data(recipe: Recipe, root: Path | None) -> Recipe:
    """The recipe with relative data paths that are not here, but below `root`, put there (`NESYCD_DATA`)."""
    if root is None:
        return recipe
    settings = locate_settings(recipe.task.settings, root)
    teacher = recipe.teacher
    diagnoses = None if teacher.diagnoses is None else _located(teacher.diagnoses, root)
    teacher = teacher.model_copy(
        update={"paths": tuple(_located(path, root) for path in teacher.paths), "diagnoses": diagnoses}
    )
    if teacher.api.prices is not None:
        api = teacher.api.model_copy(update={"prices": _located(teacher.api.prices, root)})
        teacher = teacher.model_copy(update={"api": api})
    task = recipe.task.model_copy(update={"settings": settings})
    prompts = None if recipe.prompts is None else _located(recipe.prompts, root)
    compare = recipe.compare
    if compare.corpus is not None:
        compare = compare.model_copy(update={"corpus": _located(compare.corpus, root)})
    files = tuple(_located(path, root) for path in recipe.knowledge.files)
    knowledge = recipe.knowledge.model_copy(update={"files": files})
    found = {"task": task, "teacher": teacher, "prompts": prompts, "knowledge": knowledge, "compare": compare}
    return recipe.model_copy(update=found)


def locate_settings(settings: Mapping[str, Any], root: Path | None) -> dict[str, Any]:
    """A benchmark's settings with their paths (`PATH_SETTINGS`) found as by `locate_data`; those of a mixture's parts too."""
    if root is None:
        return dict(settings)
    return {key: _located_setting(key, value, root) for key, value in settings.items()}


def _located_setting(key: str, value: Any, root: Path) -> Any:
    if key in PATH_SETTINGS and isinstance(value, str):
        return str(_located(Path(value), root))
    if key == "parts" and isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return [{**part, "settings": locate_settings(part.get("settings", {}), root)} for part in value]
    return value


def _located(path: Path, root: Path) -> Path:
    return root / path if not path.exists() and (root / path).exists() else path


def apply_override(data: dict[str, Any], override: str) -> str:
    """Set `a.b=value` in nested tables; later ones win.

    Returns:
        The dotted key.

    Raises:
        ConfigError: no `=`, a broken value, or a key below something that is not a table.
    """
    dotted, equals, value = override.partition("=")
    dotted = dotted.strip()
    parts = dotted.split(".")
    if not equals or not all(re.fullmatch(r"[\w-]+", part) for part in parts):
        raise ConfigError(f"--set {override}: write it as key=value, such as training.epochs=2")
    table = data
    for depth, part in enumerate(parts[:-1], 1):
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {'.'.join(parts[:depth])} is a value, it has no keys below it")
    table[parts[-1]] = _value(value.strip(), override)
    return dotted


def _value(text: str, override: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        if not text or text[0] in "\"'[{":
            raise ConfigError(f"--set {override}: not a TOML value ({error})") from None
        return text


def known_keys() -> tuple[str, ...]:
    """All dotted keys of a recipe, sections left out."""
    return tuple(_keys(Recipe, ""))


def _keys(section: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _problem(dotted: str, error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key {dotted}{_nearest(dotted)}"
    if error["type"] == "missing":
        return f"{dotted} is missing"
    given = error["input"]
    # Who puts a key where its variable's name belongs shall not find it in a log too.
    hidden = isinstance(given, dict | list) or dotted == "teacher.api.key_env"
    shown = "" if hidden else f", but it is {json.dumps(given, default=str)}"
    return f"{dotted}: {error['msg'].replace('Input should be', 'must be')}{shown}"


def _nearest(dotted: str) -> str:
    """` (did you mean ...?)`: a key of the same section first, then the same name in another section."""
    keys = known_keys()
    section, _, name = dotted.rpartition(".")
    siblings = [key for key in keys if key.rpartition(".")[0] == section]
    names = {key.rpartition(".")[2]: key for key in siblings}
    elsewhere = {key.rpartition(".")[2]: key for key in keys}
    if section and section != "task" and name in elsewhere:
        return f" (did you mean {elsewhere[name]}?)"
    sections = {key.partition(".")[0]: key.partition(".")[0] for key in keys} if not section else {}
    if near := difflib.get_close_matches(name, [*names, *sections], n=1, cutoff=0.6):
        return f" (did you mean {(sections | names)[near[0]]}?)"
    if section == "task":
        return f" (a benchmark's own settings go below [{_OPEN}]: {_OPEN}.{name}?)"
    if near := difflib.get_close_matches(name, elsewhere, n=1, cutoff=0.6):
        return f" (did you mean {elsewhere[near[0]]}?)"
    return f" (known: {', '.join(siblings or keys)})"


def _where(texts: dict[Path, str], sources: dict[str, str], dotted: str) -> str:
    """The override or the line of a file that set a key; the recipe's file where neither can be told."""
    for key, override in reversed(sources.items()):
        if dotted == key or dotted.startswith(f"{key}.") or key.startswith(f"{dotted}."):
            return f"--set {override}"
    lines = ((path, _line(text, dotted)) for path, text in texts.items())
    return next((f"{path}:{line}" for path, line in lines if line), str(next(iter(texts))))


def _line(text: str, dotted: str) -> int:
    """The number of the line of a recipe that set a key; 0 where none did."""
    table = ""
    best = 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([\w.-]+)\s*\]", line):
            key = table = header[1]
        elif pair := re.match(r"\s*([\w.-]+)\s*=", line):
            key = f"{table}.{pair[1]}" if table else pair[1]
        else:
            continue
        if dotted == key or dotted.startswith(f"{key}."):
            best = number
    return best
