"""Editability of the knowledge: facts of the KB are replaced by false ones, one at a time; do the answers follow?

An edit happens in a copy of the KB's entries in memory; the run's own KB is only read. Under each edit all test questions
are retrieved for again, and the calls of their answers are made again. A question is *affected* where the answer derived from
the edited facts is not its gold answer; its new answer should be the derived one (it *follows*). The answers to all others
should not change (they *stay*).

Decoding is greedy, so a question is answered again only where the edit *touches* it: its prompt is another one, or one of its
calls would have another result. The answers before the edit are those of the run's method.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from nesycd.calls import question_of
from nesycd.core.answers import Attempt, Call
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.protocols import KnowsTruth, Tools
from nesycd.core.records import Entry, Example, Fact, Item, Retrieval
from nesycd.knowledge import normal_triple
from nesycd.methods.context import Context
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.predict import about
from nesycd.methods.table import MAIN, METHODS, as_trained
from nesycd.retrieval.recall import arrived

SPLIT = "test"
STAGES = ("retrieve-edits", "eval-before", "eval-before.verdicts", "eval-edits", "eval-edits.verdicts")
"""The stages that a measurement adds to a run folder."""

Blocks = Mapping[str, tuple[Item, ...]]
"""The knowledge in a prompt, by `Example.uid` or `Case.key`."""


@dataclass(frozen=True)
class Edit:
    """A fact of the KB, and the false one that replaces it."""

    fact: Fact
    changed: Fact

    def key(self, example: Example) -> str:
        """Names a question under this edit."""
        return f"{self.changed.id}/{example.uid}"


@dataclass(frozen=True)
class Case:
    """A question under an edit that affects it or touches it.

    Attributes:
        expected: the answer derived under the edit; the gold one where it is not affected.
        touched: whether its prompt, or a result of its calls, is another one.
        delivered: whether all facts that the derivation depends on are in the prompt; where nothing is read, in the base.
    """

    edit: Edit
    example: Example
    expected: str
    affected: bool
    touched: bool
    delivered: bool


@dataclass(frozen=True)
class Outcome:
    """The answers to a case; `after` is `before` where the edit does not touch it."""

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
        untouched: for each edit, how many other questions are not touched, and so keep their answers.
        without_answer: how many times a question has no answer under an edit (the new object's own facts are unknown);
            such a question is counted nowhere else.
    """

    edits: tuple[Edit, ...]
    outcomes: tuple[Outcome, ...]
    questions: int
    candidates: int
    untouched: tuple[int, ...]
    without_answer: int


def check(context: Context) -> KnowsTruth:
    """The benchmark, if edits can be measured on it; to be called before the run is completed.

    Raises:
        ConfigError: the benchmark has no ground truth.
    """
    if not isinstance(context.task, KnowsTruth):
        raise ConfigError(
            f"task.name: {context.task.name!r} cannot say what changes when a fact does; edits are "
            "measured where a program derives the answers from facts, such as on longtail"
        )
    return context.task


def measure(context: Context, count: int) -> Measurement:
    """Edit `count` facts (fewer where there are not so many), one at a time, and answer all that may change.

    Args:
        context: see `Context`; its steps are done.
        count: how many facts to edit.

    Raises:
        ConfigError: see `check`.
        DataError: no fact of the KB is both needed by a test question and retrieved for it.
    """
    task = check(context)
    examples = context.examples(SPLIT)
    knowledge, method = context.knowledge, as_trained(METHODS[MAIN], context.recipe)
    reads, calls = method.source == "kb", method.calls == "kb"
    found: Blocks = {example.uid: () for example in examples}
    if method.source:
        retrieved = knowledge.retrieved(context.run, f"retrieve-{SPLIT}", examples)
        found = {one.example: one.items if reads else one.read for one in retrieved}
    whole = tuple(entry.item for entry in knowledge.entries)
    candidates = needed_and_found(examples, found if reads else {example.uid: whole for example in examples})
    if not candidates:
        raise DataError(
            f"{context.run.kb_path}: no approved fact is needed by a {SPLIT} question and can be found for it"
        )
    edits = choose(candidates, task, count, context.recipe.seed)
    changed = _retrieve(context, knowledge, examples, found, edits, reads) if method.source else {}
    present = context.tools("kb", knowledge) if calls else context.sums
    before = {
        one.example: one
        for one in _answer(context, "before", {e.uid: Asked(e, found[e.uid], present) for e in examples})
    }
    cases: list[Case] = []
    asked: dict[str, Asked] = {}
    untouched, without_answer = [], 0
    known = context.run.predictions.by_id
    offered = {example.uid: _offered(present, example) for example in examples}
    for edit in edits:
        entries = edited(knowledge.entries, edit)
        tools = context.tools("kb", Knowledge.of(context, entries)) if calls else context.sums
        called = {
            example.uid
            for example in examples
            if _offered(tools, example) != offered[example.uid]
            or not _agrees(tools, example, known[before[example.uid].prediction].trace)
        }
        new, still, lost = cases_of(task, edit, examples, found if reads else None, changed, called, entries)
        for case in new:
            if case.touched:
                key = edit.key(case.example)
                wanted = case.example.model_copy(update={"uid": key, "answer": case.expected})
                asked[key] = Asked(wanted, changed.get(key, found[case.example.uid]), tools)
        cases += new
        untouched.append(still)
        without_answer += lost
    after = {one.example: one for one in _answer(context, "edits", asked)}
    return Measurement(
        edits=edits,
        outcomes=tuple(_outcome(context, case, before, after) for case in cases),
        questions=len(examples),
        candidates=len(candidates),
        untouched=tuple(untouched),
        without_answer=without_answer,
    )


def _offered(tools: Tools | None, example: Example) -> list[str]:
    """The look-ups that a question's prompt offers: which of them come first may depend on what the facts say."""
    return [] if tools is None else [*tools.offers(question_of(example))]


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
    context: Context,
    knowledge: Knowledge,
    examples: Sequence[Example],
    found: Blocks,
    edits: Sequence[Edit],
    whole: bool,
) -> Blocks:
    """The contexts that the edit changes, by `Edit.key`; unchanged ones are not stored.

    `whole`: with the facts that are looked up where the student looks facts up.
    """

    def find() -> Iterable[Retrieval]:
        for edit in edits:
            changed = Knowledge.of(context, edited(knowledge.entries, edit))
            for example in examples:
                hits = changed.retriever.retrieve(changed.query(example), task=example.task)
                new = Retrieval(example=edit.key(example), hits=tuple(hits))
                old = context.prompts.with_knowledge(example, found[example.uid])
                if context.prompts.with_knowledge(example, new.items if whole else new.read) != old:
                    yield new

    inputs = {
        "knowledge": knowledge.fingerprint,
        "examples": examples,
        "prompts": context.prompts.fingerprint,
        "edits": [[edit.fact.id, edit.changed.id] for edit in edits],
        "whole": whole,
    }
    made = context.run.computed(STAGES[0], Retrieval, inputs, find)
    return {one.example: one.items if whole else one.read for one in made}


def cases_of(
    task: KnowsTruth,
    edit: Edit,
    examples: Iterable[Example],
    found: Blocks | None,
    changed: Blocks,
    called: Collection[str],
    entries: Iterable[Entry],
) -> tuple[list[Case], int, int]:
    """The cases of one edit; how many other questions it leaves untouched; how many have no answer under it.

    Args:
        task, edit, examples: see `measure`.
        found: what is read before the edit; None: nothing is.
        changed: what is read under it, by `Edit.key`, where that is something else.
        called: the questions (`Example.uid`) with a call that has another result under it, or with other offers.
        entries: of the edited base.
    """
    cases = []
    untouched = without_answer = 0
    base = tuple(entry.item for entry in entries)
    for example in examples:
        try:
            derived = task.derive(example, [edit.changed])
        except DataError:
            without_answer += 1
            continue
        key = edit.key(example)
        affected, touched = derived.answer != example.answer, key in changed or example.uid in called
        if not affected and not touched:
            untouched += 1
            continue
        items = base if found is None else changed.get(key, found[example.uid])
        there, needed = arrived(example.model_copy(update={"truth": derived}), items)
        cases.append(Case(edit, example, derived.answer, affected, touched, there == needed))
    return cases, untouched, without_answer


# --- what is answered ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A question with what is read and called for it."""

    example: Example
    items: tuple[Item, ...]
    tools: Tools | None


def _answer(context: Context, name: str, asked: Mapping[str, Asked]) -> Sequence[Attempt]:
    """Answer questions, named by the keys of `asked`, as one stage of planned batches."""
    method = as_trained(METHODS[MAIN], context.recipe)
    way = context.reading(
        name,
        context.distilled.augmented,
        (lambda example: asked[example.uid].items) if method.source else None,
        (lambda example: asked[example.uid].tools) if method.calls else None,
    )
    return context.answered(f"eval-{name}", way, [one.example for one in asked.values()])


def _agrees(tools: Tools | None, example: Example, trace: Sequence[Call]) -> bool:
    bound = about(tools, example, ())
    return bound is None or bound.agrees(question_of(example), trace)


def _outcome(context: Context, case: Case, before: Mapping[str, Attempt], after: Mapping[str, Attempt]) -> Outcome:
    was = before[case.example.uid]
    now = after.get(case.edit.key(case.example), was)
    return Outcome(case, was, now, _follows(context, case, now) if case.affected else now.answer == was.answer)


def _follows(context: Context, case: Case, attempt: Attempt) -> bool:
    wanted = case.example.model_copy(update={"answer": case.expected})
    return bool(attempt.answer) and context.task.grade(attempt.answer, wanted)
