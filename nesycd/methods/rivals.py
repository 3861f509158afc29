"""The rivals of NesyCD, each a short composition of the same stages in the same run folder.

A rival is what it is trained on (`stages.rivals`) and how it is asked. All share the student, the LoRA settings, the data and
the seed of the run, and are trained from the base model for as many completion tokens as NesyCD's student over its whole
lineage. Those that read passages come in two forms: over a corpus (`..._corpus`), and over NesyCD's knowledge base (`..._kb`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError
from nesycd.core.files import file_hash
from nesycd.core.places import settings_alone
from nesycd.core.protocols import Task
from nesycd.core.records import Attempt, Entry, Example, Passage, TrainingText, content_hash
from nesycd.grading import CLOSING
from nesycd.methods.context import Parts
from nesycd.methods.evaluate import FEW_SHOT_STOP
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.nesycd import Trained
from nesycd.prompts import RivalPrompts, Shown
from nesycd.retrieval import PassageIndex
from nesycd.runs.stage import Artifact, StageRecords, read_states
from nesycd.stages import augment, rivals
from nesycd.stages.distil import general_texts
from nesycd.stages.rivals import Found
from nesycd.stages.solve import Solver

PREFIX = "rival-"
"""How the stages of rivals' training begin."""
PASSAGES = 3
"""Passages in a prompt, at most (Kang et al. 2023); RAFT reads `RAFT_SIZE`."""
RAFT_SIZE = 4
Source = Literal["", "corpus", "kb"]


@dataclass(frozen=True)
class Rival:
    """One method: what it is, what it is trained on, and how it is asked.

    Attributes:
        about: one phrase for people.
        texts: its training texts; None for methods that train nothing of their own.
        ask: `closed` (the question alone), `bare` (for the answer alone), `block` (after what was retrieved), `stages`
            (CasCoD's two), `shots` (after worked examples), `told` (untrained, after what was retrieved), `whole` (after
            all knowledge).
        source: where passages come from, if it reads any.
        student: who answers where nothing is trained: `base` or `std_cot`, which has seen as many completion tokens as others.
        passages: in a prompt, at most.
        edition: grows when the same inputs would give other training texts or prompts.
    """

    about: str
    texts: Callable[[Shared, Rival], list[TrainingText]] | None
    ask: Literal["closed", "bare", "block", "stages", "shots", "told", "whole"]
    source: Source = ""
    student: Literal["base", "std_cot"] = "base"
    passages: int = PASSAGES
    edition: int = 1


@dataclass(frozen=True)
class Shared:
    """What all rivals of a run start from."""

    parts: Parts
    trained: Trained
    extra: RivalPrompts
    corpus: PassageIndex | None

    @cached_property
    def train(self) -> StageRecords[Example]:
        """The training questions."""
        return self.parts.examples("train")

    @cached_property
    def knowledge(self) -> Knowledge:
        """The run's knowledge base, retrieved as NesyCD does in training."""
        return Knowledge.of(self.parts, self.trained.entries)

    @cached_property
    def answering(self) -> Knowledge:
        """The same as NesyCD retrieves to answer."""
        return Knowledge.of(self.parts, self.trained.entries, to_answer=True)

    @cached_property
    def own(self) -> dict[str, list[Entry]]:
        """`Example.uid` -> the entries that its error gave evidence for."""
        return augment.own_entries(self.trained.entries)

    def lone(self, example: Example) -> frozenset[str]:
        """Items that an example alone gave rise to: hidden from it in training, as NesyCD does."""
        return augment.lone_items(self.own, example)

    def find(self, source: Source, example: Example, query: str, count: int, training: bool = False) -> Sequence[Shown]:
        """What a query retrieves for an example from the corpus, or from the knowledge base within its own budget."""
        if source == "corpus":
            assert self.corpus is not None
            return self.corpus.find(query, count)
        retriever = (self.knowledge if training else self.answering).retriever
        hide = self.lone(example) if training else frozenset()
        return [hit.item for hit in retriever.retrieve(query, hide=hide, task=example.task)]

    def by_question(self, rival: Rival, examples: Sequence[Example], training: bool = False) -> Found:
        """What the questions themselves retrieve."""
        query = self.knowledge.query
        return {e.uid: self.find(rival.source, e, query(e), rival.passages, training) for e in examples}

    def by_rationale(self, rival: Rival) -> Found:
        """What the teacher's rationales retrieve: near to an oracle, and not there at inference."""
        kept = self.trained.kept
        return {
            e.uid: self.find(rival.source, e, kept[e.uid].text, rival.passages, training=True)
            for e in self.train
            if e.uid in kept
        }

    @property
    def pool(self) -> Sequence[Shown]:
        """The corpus, from which RAFT draws distractors."""
        assert self.corpus is not None
        return self.corpus.passages


def _answers(shared: Shared, rival: Rival) -> list[TrainingText]:
    found = shared.by_question(rival, shared.train, training=True) if rival.source else {}
    return rivals.answer_texts(shared.train, shared.trained.kept, shared.parts.prompts, shared.extra, found)


def _two_losses(
    make: Callable[..., list[TrainingText]],
) -> Callable[[Shared, Rival], list[TrainingText]]:
    def texts(shared: Shared, rival: Rival) -> list[TrainingText]:
        made = make(shared.train, shared.trained.kept, shared.parts.prompts, shared.extra)
        return rivals.balanced(made, shared.parts.student.count_tokens)

    return texts


def _kard(shared: Shared, rival: Rival) -> list[TrainingText]:
    found = shared.by_rationale(rival)
    return rivals.kard_texts(shared.train, shared.trained.kept, shared.parts.prompts, found)


def _raft(shared: Shared, rival: Rival) -> list[TrainingText]:
    oracle = {uid: shown[: rival.passages - 1] for uid, shown in shared.by_rationale(rival).items()}
    kept, prompts, seed = shared.trained.kept, shared.parts.prompts, shared.parts.recipe.seed
    if rival.source == "corpus":
        return rivals.raft_texts(shared.train, kept, prompts, oracle, shared.pool, seed, rival.passages)
    pool = [entry.item for entry in shared.trained.entries]
    return rivals.raft_texts(shared.train, kept, prompts, oracle, pool, seed, rival.passages, hidden=shared.lone)


def _by_heart(shared: Shared, rival: Rival) -> list[TrainingText]:
    rationales = general_texts(shared.train, shared.trained.kept, shared.parts.prompts)
    return rationales + rivals.recital_texts(shared.trained.entries, shared.extra)


RIVALS: dict[str, Rival] = {
    "few_shot": Rival("untrained, after three worked training questions of its task", None, "shots"),
    "zero_shot_kb": Rival("untrained, given retrieved knowledge", None, "told", "kb"),
    "whole_kb": Rival("Std-CoT's student with the whole knowledge base in its prompt", None, "whole", "kb", "std_cot"),
    "answer_ft": Rival("fine-tuned on answers alone", _answers, "bare"),
    "ka_ft_corpus": Rival("answers alone, with passages retrieved from a corpus", _answers, "bare", "corpus"),
    "ka_ft_kb": Rival("answers alone, with items retrieved from the knowledge base", _answers, "bare", "kb"),
    "step_by_step": Rival(
        "Step-by-step: answers and rationales as two tasks", _two_losses(rivals.step_by_step_texts), "bare", edition=2
    ),
    "mt_cot": Rival(
        "MT-CoT: answers and explanations as two tasks", _two_losses(rivals.mt_cot_texts), "bare", edition=2
    ),
    "cascod": Rival(
        "CasCoD: first the rationale, then the answer", _two_losses(rivals.cascod_texts), "stages", edition=2
    ),
    "kard_corpus": Rival("KARD over a corpus", _kard, "block", "corpus"),
    "kard_kb": Rival("KARD over the knowledge base", _kard, "block", "kb"),
    "raft_corpus": Rival("RAFT over a corpus", _raft, "block", "corpus", passages=RAFT_SIZE),
    "raft_kb": Rival("RAFT over the knowledge base", _raft, "block", "kb", passages=RAFT_SIZE, edition=2),
    "facts_in_weights": Rival("Std-CoT, with the same items by heart", _by_heart, "closed"),
}
"""All rivals but those that a run's own arms are (zero_shot, std_cot, std_cot_kb, ...), by the name they have in results."""


_ANSWERS = re.compile(rf"eval-.+-({'|'.join(RIVALS)})(-first|-second)?")


def is_stage(name: str) -> bool:
    """Whether a stage of a run is a rival's: a run alone neither makes nor removes it."""
    return name.startswith(PREFIX) or _ANSWERS.fullmatch(name) is not None


def check(names: Sequence[str], corpus: PassageIndex | None) -> None:
    """Whether these rivals can be run.

    Raises:
        ConfigError: one reads a corpus, and there is none.
    """
    wanting = [name for name in names if name in RIVALS and RIVALS[name].source == "corpus"]
    if wanting and corpus is None:
        raise ConfigError(
            f"{wanting[0]} retrieves passages from a corpus, and this benchmark has none of its own: name a JSONL file with "
            "a text in each row in compare.corpus, or leave the method out"
        )


def run_rival(shared: Shared, name: str, splits: Sequence[str]) -> dict[str, Sequence[Attempt]]:
    """Train a rival where it is trained, and answer some splits; finished stages are read back.

    Returns:
        Split -> one attempt for each question, in the stage `eval-SPLIT-NAME` of the run.
    """
    rival, parts = RIVALS[name], shared.parts
    adapter = trained_as(shared, name)
    made = {}
    for split in splits:
        if parts.examples(split):
            made[split] = _answered(shared, name, rival, adapter, split)
            told = settings_of(parts.recipe, read_states(parts.run.folder), split)
            parts.run.value(settings_stage(name, split), {"settings": told}, partial(str, told))
    return made


def settings_stage(name: str, split: str) -> str:
    """The stage that says from which settings and stages a rival last answered a split: its answers outlive a run with others."""
    return f"{PREFIX}{name}-{split}-settings"


def settings_of(recipe: Recipe, states: Mapping[str, Any], split: str) -> str:
    """Hash of all settings, and of the run's own stages, that a rival's answers to a split may hang on.

    The same settings give other stages where questions, recordings, prompts or the knowledge base were edited.
    """
    corpus = recipe.compare.corpus
    own = [recipe.compare.max_passes, file_hash(corpus) if corpus is not None else ""]
    read = (f"examples-{split}", "rationales", "general", "augmented", f"retrieve-{split}")
    made = {stage: [states[stage]["fingerprint"], states[stage]["output"]] for stage in read if stage in states}
    settings = {part: value for part, value in settings_alone(recipe).items() if part not in ("evaluation", "compare")}
    return content_hash([settings, own, made])


def trained_as(shared: Shared, name: str) -> Artifact | None:
    """The adapter that a rival answers with; None for the base model."""
    rival, parts = RIVALS[name], shared.parts
    if rival.texts is None:
        return shared.trained.std_cot if rival.student == "std_cot" else None
    make = rival.texts
    inputs = {
        "examples": shared.train,
        "rationales": [shared.trained.kept[e.uid] for e in shared.train if e.uid in shared.trained.kept],
        "prompts": [parts.prompts.fingerprint, shared.extra.texts],
        "source": _source(shared, rival, shared.knowledge),
        # Only what these texts read: an edited item changes no text of a method that reads none.
        "entries": list(shared.trained.entries) if rival.source == "kb" or name == "facts_in_weights" else [],
        "seed": parts.recipe.seed,
        "student": parts.student.fingerprint,
        "algorithm": rival.edition,
    }
    texts = parts.run.computed(f"{PREFIX}{name}-texts", TrainingText, inputs, lambda: make(shared, rival))
    budget, passes = shared.trained.summary["completion_tokens"]["nesycd"], parts.recipe.compare.max_passes
    if passes is not None:
        counted = parts.run.value(
            f"{PREFIX}{name}-size", {"texts": texts, "student": parts.student.fingerprint}, lambda: _size(shared, texts)
        )
        budget = min(budget, int(passes * counted))
    return parts.fine_tune(f"{PREFIX}{name}", texts, completion_token_budget=budget)


def _size(shared: Shared, texts: Sequence[TrainingText]) -> int:
    """Completion tokens of one pass, the end of each text among them."""
    return sum(shared.parts.student.count_tokens([text.completion for text in texts])) + len(texts)


def _source(shared: Shared, rival: Rival, knowledge: Knowledge) -> str:
    if rival.source == "corpus":
        assert shared.corpus is not None
        return shared.corpus.fingerprint
    return knowledge.fingerprint if rival.source == "kb" else ""


def _answered(shared: Shared, name: str, rival: Rival, adapter: Artifact | None, split: str) -> Sequence[Attempt]:
    parts, examples = shared.parts, shared.parts.examples(split)
    path = adapter.path if adapter is not None else None
    # What is retrieved counts by what finds it: prompts are made only where something is left to be answered.
    depends: dict[str, Any] = {
        "adapter": adapter.fingerprint if adapter is not None else "",
        "prompts": shared.extra.texts,
        "source": _source(shared, rival, shared.answering),
        "method": [name, rival.edition],
    }
    if rival.ask == "whole":
        depends["order"] = [item.id for item in _by_evidence(shared)]
    if rival.ask == "stages":
        return _in_stages(shared, name, path, split, depends)
    if rival.ask == "shots":
        kept = shared.trained.kept
        shown = [kept[example.uid] for example in shared.train if example.uid in kept]
        depends |= {"train": shared.train, "rationales": shown, "seed": parts.recipe.seed}
    return parts.attempts(f"eval-{split}-{name}", _solver(shared, name, rival, path, examples), examples, depends)


def _solver(shared: Shared, name: str, rival: Rival, path: Path | None, examples: Sequence[Example]) -> Solver:
    """Who answers, and what a question's prompt is."""
    parts, prompts, extra = shared.parts, shared.parts.prompts, shared.extra
    found = _Lazy(lambda: _shown(shared, rival, examples))

    def bare(example: Example) -> str:
        return rivals.bare_prompt(example, found[example.uid] if rival.source else (), prompts, extra)

    def shots(example: Example) -> str:
        seed = parts.recipe.seed
        return rivals.worked_examples(example, shared.train, shared.trained.kept, extra, rivals.SHOTS, seed)

    def told(example: Example) -> str:
        items = found[example.uid]
        return extra.fill("zero_shot_with_knowledge", example, items) if items else prompts.zero_shot(example)

    return parts.solver(
        name,
        path,
        knowledge=(lambda example: found[example.uid]) if rival.source else None,
        asks={"bare": bare, "shots": shots, "told": told}.get(rival.ask),
        stop=FEW_SHOT_STOP if rival.ask == "shots" else (),
    )


class _Lazy(dict[str, Sequence[Shown]]):
    """What was retrieved for each question, looked for when first asked: a finished stage needs none of it."""

    def __init__(self, make: Callable[[], Found]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, uid: str) -> Sequence[Shown]:
        self.update(self._make())
        return super().__getitem__(uid)


def _shown(shared: Shared, rival: Rival, examples: Sequence[Example]) -> Found:
    if rival.ask != "whole":
        return shared.by_question(rival, examples)
    items = _by_evidence(shared)
    return {example.uid: items for example in examples}


def _by_evidence(shared: Shared) -> list[Shown]:
    """All items, the most evident first."""
    return [e.item for e in sorted(shared.trained.entries, key=lambda e: (-len(e.evidence), e.item_id))]


def _in_stages(
    shared: Shared, name: str, path: Path | None, split: str, depends: Mapping[str, Any]
) -> Sequence[Attempt]:
    """CasCoD: the rationale first; then, appended to the question, the answer."""
    parts, examples = shared.parts, shared.parts.examples(split)
    first = parts.attempts(f"eval-{split}-{name}-first", parts.solver(name, path), examples, depends)
    written = {attempt.example: attempt.response for attempt in first}
    second = parts.attempts(
        f"eval-{split}-{name}-second",
        parts.solver(
            name,
            path,
            asks=lambda e: rivals.after_rationale(e, written[e.uid], shared.extra),
            before=lambda e: f"{written[e.uid]} {CLOSING} ",
        ),
        examples,
        {**depends, "first": first},
    )
    return parts.run.computed(
        f"eval-{split}-{name}", Attempt, {"first": first, "second": second}, lambda: rivals.joined(first, second, name)
    )


def corpus_of(task: Task, passages: Sequence[Passage]) -> PassageIndex | None:
    """The corpus that methods read: given passages, else the benchmark's own; None where there are none."""
    from nesycd.retrieval import passages_of

    own = getattr(task, "passages", None)
    if not passages and own is not None:
        passages = passages_of(own())
    return PassageIndex(passages) if passages else None
