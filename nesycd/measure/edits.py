"""How editable the knowledge is: facts of the KB are replaced by false ones, one at a time; does the student follow?

An edit happens in a copy of the KB's entries in memory; the run's own KB is only read. Under each edit all test questions
are retrieved for anew. A question is *affected* where the answer derived from the edited facts is not its gold answer;
its new answer should be the derived one (it *follows*). The answers to all others should be what they were (they *stay*).

Decoding is greedy, so a question is answered again only where its prompt changed; elsewhere the answer is as before. In
bf16 an answer can still depend on the prompts that share its batch. So what was answered before is not taken from the arm
`nesycd` but generated again, in the same planned batches as what is answered after the edits; how often these answers
equal the arm's (same prompts, other batches) is measured beside: so much of everything else is noise.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nesycd.core.errors import ConfigError, DataError
from nesycd.core.protocols import KnowsTruth
from nesycd.core.records import Attempt, Entry, Example, Fact, Item, Retrieval, content_hash
from nesycd.knowledge import normal_triple
from nesycd.methods.context import Parts
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.nesycd import Trained
from nesycd.retrieval.recall import arrived

SPLIT = "test"
ARM = "nesycd"
STAGES = ("retrieve-edits", "eval-edits")
"""What a measurement adds to a run folder."""

Blocks = Mapping[str, tuple[Item, ...]]
"""The knowledge in a prompt, by `Example.uid` or `Case.key`."""


@dataclass(frozen=True)
class Edit:
    """A fact of the KB, and the false one that takes its place."""

    fact: Fact
    changed: Fact

    def key(self, example: Example) -> str:
        """Names a question under this edit."""
        return f"{self.changed.id}/{example.uid}"


@dataclass(frozen=True)
class Case:
    """A question under an edit that affects it or changes its prompt.

    Attributes:
        expected: the answer derived under the edit; the gold one where it is not affected.
        delivered: whether all facts that the derivation rests on stand in the prompt.
    """

    edit: Edit
    example: Example
    expected: str
    affected: bool
    prompt_changed: bool
    delivered: bool


@dataclass(frozen=True)
class Outcome:
    """What the student made of a case; `after` is `before` where the prompt is the same."""

    case: Case
    before: Attempt
    after: Attempt
    as_wanted: bool
    """An affected answer follows, another one stays."""


@dataclass(frozen=True)
class Measurement:
    """All outcomes, and how many questions under an edit are in none of them.

    Attributes:
        candidates: how many facts could have been drawn.
        untouched: for each edit, how many other questions keep their prompts, and so their answers.
        without_answer: how many times a question has no answer under an edit (the new object's own facts are unknown);
            such a question is counted nowhere else.
        noise: for each question answered before any edit, whether the arm gave the same answer to the same prompt.
    """

    edits: tuple[Edit, ...]
    outcomes: tuple[Outcome, ...]
    questions: int
    candidates: int
    untouched: tuple[int, ...]
    without_answer: int
    noise: tuple[bool, ...]


def check(parts: Parts) -> KnowsTruth:
    """The benchmark, where edits can be measured on it; to be asked before a run is completed for their sake.

    Raises:
        ConfigError: it does not know its truth, or the recipe leaves out the arm or the split that is measured.
    """
    evaluation = parts.recipe.evaluation
    if not isinstance(parts.task, KnowsTruth):
        raise ConfigError(
            f"task.name: {parts.task.name!r} cannot say what changes when a fact does; edits are measured on longtail"
        )
    if ARM not in evaluation.arms:
        raise ConfigError(f"evaluation.arms: edits are measured on {ARM!r}, which is left out")
    if evaluation.splits and SPLIT not in evaluation.splits:
        raise ConfigError(f"evaluation.splits: edits are measured on {SPLIT!r}, which is left out")
    return parts.task


def measure(parts: Parts, trained: Trained, arm: Sequence[Attempt], count: int) -> Measurement:
    """Edit `count` facts (fewer where there are not so many), one at a time, and answer all that may change.

    Args:
        parts: see `Parts`.
        trained: see `distil`.
        arm: the run's attempts of the arm `nesycd` at the test questions.
        count: how many facts to edit.

    Raises:
        ConfigError: see `check`.
        DataError: no fact of the KB is both needed by a test question and retrieved for it.
    """
    task = check(parts)
    examples = parts.examples(SPLIT)
    knowledge = Knowledge.of(parts, trained.entries)
    found = {one.example: one.items for one in knowledge.retrieved(parts.run, f"retrieve-{SPLIT}", examples)}
    candidates = needed_and_found(examples, found)
    if not candidates:
        raise DataError(f"{parts.run.kb_path}: no approved fact is needed by a {SPLIT} question and retrieved for it")
    edits = choose(candidates, task, count, parts.recipe.seed)
    changed = _retrieve(parts, knowledge, examples, found, edits)
    cases: list[Case] = []
    untouched, without_answer = [], 0
    for edit in edits:
        new, still, lost = cases_of(task, edit, examples, found, changed)
        cases += new
        untouched.append(still)
        without_answer += lost
    outcomes = _answer(parts, trained, cases, found, changed)
    stored = {attempt.example: attempt.answer for attempt in arm}
    again = {outcome.case.example.uid: outcome.before.answer for outcome in outcomes}
    return Measurement(
        edits=edits,
        outcomes=outcomes,
        questions=len(examples),
        candidates=len(candidates),
        untouched=tuple(untouched),
        without_answer=without_answer,
        noise=tuple(answer == stored[uid] for uid, answer in again.items()),
    )


# --- what is edited --------------------------------------------------------------------------------------------------


def needed_and_found(examples: Iterable[Example], found: Blocks) -> dict[str, tuple[Fact, Fact]]:
    """By id, the KB's facts that a question needs and is given, each with the benchmark's own form of it."""
    pairs: dict[str, tuple[Fact, Fact]] = {}
    for example in examples:
        needed = {normal_triple(fact): fact for fact in example.truth.facts} if example.truth else {}
        for item in found[example.uid]:
            if isinstance(item, Fact) and normal_triple(item) in needed:
                pairs.setdefault(item.id, (item, needed[normal_triple(item)]))
    return pairs


def choose(candidates: Mapping[str, tuple[Fact, Fact]], task: KnowsTruth, count: int, seed: int) -> tuple[Edit, ...]:
    """Draw facts, each at most once, and a false object for each; the KB's aliases stay."""
    drawn = random.Random(f"edits-{seed}").sample(sorted(candidates), min(count, len(candidates)))
    edits = []
    for fact, true in (candidates[fact_id] for fact_id in drawn):
        false = task.counterfactual(true, seed)
        edits.append(Edit(fact, false.model_copy(update={"aliases": fact.aliases})))
    return tuple(edits)


def edited(entries: Iterable[Entry], edit: Edit) -> tuple[Entry, ...]:
    """A copy of the entries with the edit made; status and evidence stay, as with `KnowledgeBase.edit`."""
    return tuple(
        entry.model_copy(update={"item": edit.changed}) if entry.item_id == edit.fact.id else entry for entry in entries
    )


# --- what changes ----------------------------------------------------------------------------------------------------


def _retrieve(
    parts: Parts, knowledge: Knowledge, examples: Sequence[Example], found: Blocks, edits: Sequence[Edit]
) -> Blocks:
    """The blocks of the prompts that are other than without the edit, by `Edit.key`; the rest is not kept."""

    def find() -> Iterable[Retrieval]:
        for edit in edits:
            changed = Knowledge.of(parts, edited(knowledge.entries, edit))
            for example in examples:
                hits = changed.retriever.retrieve(changed.query(example), task=example.task)
                new = Retrieval(example=edit.key(example), hits=tuple(hits))
                old = parts.prompts.with_knowledge(example, found[example.uid])
                if parts.prompts.with_knowledge(example, new.items) != old:
                    yield new

    inputs = {
        "knowledge": knowledge.fingerprint,
        "examples": examples,
        "prompts": parts.prompts.fingerprint,
        "edits": [[edit.fact.id, edit.changed.id] for edit in edits],
    }
    made = parts.run.computed(STAGES[0], Retrieval, inputs, find)
    return {one.example: one.items for one in made}


def cases_of(
    task: KnowsTruth, edit: Edit, examples: Iterable[Example], found: Blocks, changed: Blocks
) -> tuple[list[Case], int, int]:
    """The cases of one edit; how many other questions it leaves untouched; how many have no answer under it."""
    cases = []
    untouched = without_answer = 0
    for example in examples:
        try:
            derived = task.derive(example, [edit.changed])
        except DataError:
            without_answer += 1
            continue
        affected, prompt_changed = derived.answer != example.answer, edit.key(example) in changed
        if not affected and not prompt_changed:
            untouched += 1
            continue
        items = changed[edit.key(example)] if prompt_changed else found[example.uid]
        there, needed = arrived(example.model_copy(update={"truth": derived}), items)
        cases.append(Case(edit, example, derived.answer, affected, prompt_changed, there == needed))
    return cases, untouched, without_answer


# --- what is answered ------------------------------------------------------------------------------------------------


def _before(example: Example) -> str:
    return f"before/{example.uid}"


def _answer(
    parts: Parts, trained: Trained, cases: Sequence[Case], found: Blocks, changed: Blocks
) -> tuple[Outcome, ...]:
    """Answer all prompts, without and with the edits, as one stage of planned batches."""
    asked = {_before(case.example): (case.example, found[case.example.uid]) for case in cases}
    for case in cases:
        if case.prompt_changed:
            key = case.edit.key(case.example)
            asked[key] = (case.example.model_copy(update={"answer": case.expected}), changed[key])
    examples = [example.model_copy(update={"uid": key}) for key, (example, _) in asked.items()]
    solver = parts.solver(ARM, trained.augmented.path, knowledge=lambda example: asked[example.uid][1])
    shown = content_hash([[item.id for item in items] for _, items in asked.values()])
    depends = {"adapter": trained.augmented.fingerprint, "knowledge": shown}
    attempts = {one.example: one for one in parts.attempts(STAGES[1], solver, examples, depends)}
    outcomes = []
    for case in cases:
        before = attempts[_before(case.example)]
        after = attempts.get(case.edit.key(case.example), before)
        stays = after.answer == before.answer
        outcomes.append(Outcome(case, before, after, _follows(parts, case, after) if case.affected else stays))
    return tuple(outcomes)


def _follows(parts: Parts, case: Case, attempt: Attempt) -> bool:
    wanted = case.example.model_copy(update={"answer": case.expected})
    return bool(attempt.answer) and parts.task.grade(attempt.answer, wanted)
