"""All methods of a recipe on all splits: the attempts behind `results.json`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from nesycd.calls import BaseRules
from nesycd.core.answers import Attempt
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import KnowsTruth, Task
from nesycd.core.records import Entry, Evidence, Example, FoundPassages, Item, Retrieval, Status
from nesycd.knowledge import entities_at, knowledge_version
from nesycd.methods.context import Context
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.method import BY_RULES, Method, Source
from nesycd.methods.predict import Adapter, Resources, way_of
from nesycd.methods.table import BASELINE, MAIN, METHODS, most_evident, most_passages
from nesycd.prompts import Shown, question_text
from nesycd.retrieval import PassageIndex, Reasoner, reasoning
from nesycd.retrieval.recall import count_recall, holds_answer
from nesycd.runs.dealing import together
from nesycd.stages import baselines
from nesycd.stages.derive import by_rules, by_statements

MANY = 0.5
"""Share of a split's questions without anything retrieved from which on users are told."""
Parse = Callable[[Example], tuple[tuple[str, ...], str] | None]
IMPORTED = "_imported"
"""Suffix of a split scored again after its missing facts were imported by hand."""


@dataclass(frozen=True)
class Scored:
    """What an evaluation yields, by (method, split) and by split."""

    examples: dict[str, Sequence[Example]]
    attempts: dict[tuple[str, str], Sequence[Attempt]]
    recall: dict[str, float | None]
    """Of needed facts, on `valid` and on every scored split."""
    knowledge: dict[str, str]
    """Version of the knowledge that each split was scored with."""
    answer_in_context: dict[str, dict[str, bool]]
    """Split to whether the retrieved context of each question (`Example.uid`) holds its gold answer."""


def tells_facts(examples: Iterable[Example]) -> bool:
    """Whether all questions say which facts they need; an oracle method requires that."""
    return all(example.truth is not None for example in examples)


def lacking(method: Method, task: Task, examples: Sequence[Example]) -> str:
    """What a benchmark does not have that a method needs, in a clause; "" where it has all."""
    if (method.source == "oracle" or method.calls == "gold") and not tells_facts(examples):
        return "its questions do not say which facts they need"
    if method.source == "stated" and not any(example.truth is not None and example.truth.goal for example in examples):
        return "its questions do not say what they state for rules"
    if method.source == "parsed" and parser_of(task) is None:
        return "the benchmark has no parser of its own"
    return ""


def parser_of(task: Task) -> Parse | None:
    """The benchmark's own parser, where it has one (see `core.protocols.Parses`)."""
    return getattr(task, "parse", None)


def splits_of(task: Task, recipe: Recipe) -> list[str]:
    """The splits to score: those the recipe names, else `test` and all that are out of domain.

    Raises:
        ConfigError: the task lacks a named split.
    """
    known = task.splits()
    wanted = recipe.evaluation.splits or tuple(s for s in known if s == "test" or s.startswith("ood_"))
    if unknown := [split for split in wanted if split not in known]:
        where = recipe.where("evaluation.splits")
        raise ConfigError(f"{where}: task {task.name!r} has no split {unknown[0]!r}, only {known}")
    return list(wanted)


def evaluate(context: Context, methods: Sequence[Method]) -> Scored:
    """Answer every split with every method, and measure what was retrieved."""
    scored = Scored({}, {}, {}, {}, {})
    _tell_other_knowledge(context)
    if "valid" in context.task.splits():
        examples = context.examples("valid")
        if _need_facts(examples):
            retrievals = context.knowledge.retrieved(context.run, "retrieve-valid", examples)
            scored.recall["valid"] = count_recall(examples, [one.items for one in retrievals]).share
            scored.answer_in_context["valid"] = _answer_in_context(
                examples, {one.example: one.items for one in retrievals}
            )
    over_splits(context, lambda split: score(context, methods, split, scored))
    return scored


def over_splits(context: Context, work: Callable[[str], None]) -> None:
    """Do something with each split that is scored and has questions; where none of them is in two splits, as parts that do not
    need each other."""
    splits = [split for split in splits_of(context.task, context.recipe) if context.examples(split)]
    asked = [question_text(example) for split in splits for example in context.examples(split)]
    parts = [partial(work, split) for split in splits]
    if len(set(asked)) == len(asked):
        together(parts)
    else:
        for part in parts:
            part()


def _each(
    methods: Sequence[Method], answers: Callable[[Method], Sequence[Attempt] | None]
) -> list[tuple[str, Sequence[Attempt] | None]]:
    return [(method.name, answers(method)) for method in methods]


def by_student(methods: Sequence[Method]) -> dict[str, list[Method]]:
    """Methods by the student that they ask, or train their own after; those with a router ask the run's own students too."""
    groups: dict[str, list[Method]] = {}
    for method in methods:
        asked = method.like or method.student
        groups.setdefault(MAIN if method.router or asked == BASELINE else asked, []).append(method)
    return groups


def score(context: Context, methods: Sequence[Method], split: str, scored: Scored) -> None:
    """Answer one split with every method; again with the facts imported that it needs and no training question needs."""
    examples, entries = context.examples(split), context.distilled.entries
    _score(context, methods, context.knowledge, split, examples, scored)
    missing = context.task.missing_facts(split) if isinstance(context.task, KnowsTruth) else []
    if not missing:
        return
    known = {entry.item_id for entry in entries}
    note = Evidence(example="", source=f"missing facts of {split}")
    by_hand = tuple(
        Entry(item=fact, status=Status.APPROVED, reviewer="import", evidence=(note,))
        for fact in missing
        if fact.id not in known
    )
    _score(context, methods, Knowledge.of(context, entries + by_hand), split + IMPORTED, examples, scored)


def reads_now(method: Method) -> bool:
    """Whether a method's answers depend on the knowledge base as it is when it is asked."""
    read = ("kb", "read", "distracting", "all", "shuffled", *BY_RULES)
    return method.source in read or method.calls in ("kb", "shuffled")


def _tell_other_knowledge(context: Context) -> None:
    """Notify where S_E was trained with another version of the knowledge base than the present one."""
    then = context.distilled.trained_with
    now = knowledge_version(entry.item_id for entry in context.distilled.entries)
    if then is not None and then["version"] != now:
        context.run.notify(
            f"the student was trained with knowledge {then['version']} (revision {then['revision']}) and is evaluated "
            f"with {now}; see: nesycd kb diff {then['revision']} --kb {context.run.kb_path}"
        )


def _score(
    context: Context,
    methods: Sequence[Method],
    knowledge: Knowledge,
    split: str,
    examples: Sequence[Example],
    scored: Scored,
) -> None:
    retrievals = knowledge.retrieved(context.run, f"retrieve-{split}", examples)
    found = {retrieval.example: retrieval.items for retrieval in retrievals}
    without = sum(not items for items in found.values())
    if knowledge.entries and without >= MANY * len(found):
        context.run.notify(
            f"{split}: for {without} of {len(found)} questions nothing is found in the knowledge base of "
            f"{len(knowledge.entries)} items; nesycd ask QUESTION --why shows what is near and what keeps it out"
        )
    resources = _resources(context, methods, knowledge, split, examples, retrievals)
    earlier = split.removesuffix(IMPORTED)

    def answers(method: Method) -> Sequence[Attempt] | None:
        if split != earlier and not reads_now(method):
            # Imported facts do not affect a method that does not read the knowledge base.
            return scored.attempts.get((method.name, earlier))
        if lacks := lacking(method, context.task, examples):
            # Only a method that the recipe names is reported.
            if method.name in context.recipe.evaluation.methods:
                context.run.notify(f"{split}: {method.name} is left out, since {lacks}")
            return None
        if method.source in BY_RULES:
            return _by_rules(context, method, knowledge, split, examples)
        return context.answered(f"eval-{split}-{method.name}", way_of(method, resources), examples)

    # Methods with one student may ask it the same, so one of them is answered after the other.
    groups = by_student(methods).values()
    made = together([partial(_each, group, answers) for group in groups])
    answered = dict(itertools.chain.from_iterable(made))
    for method in methods:
        if (found_answers := answered[method.name]) is not None:
            scored.attempts[method.name, split] = found_answers
    scored.examples[split] = examples
    scored.knowledge[split] = knowledge_version(entry.item_id for entry in knowledge.entries)
    scored.answer_in_context[split] = _answer_in_context(examples, found)
    if _need_facts(examples):
        scored.recall[split] = count_recall(examples, [found[e.uid] for e in examples]).share


def _resources(
    context: Context,
    methods: Sequence[Method],
    knowledge: Knowledge,
    split: str,
    examples: Sequence[Example],
    retrievals: Sequence[Retrieval],
) -> Resources:
    """What the methods need to answer a split; what is retrieved for them is a stage of the run each."""
    steps, recipe = context.distilled, context.recipe
    wanted = {method.source for method in methods}
    sources: dict[Source, Mapping[str, Sequence[Shown]]] = {"kb": {one.example: one.items for one in retrievals}}
    sources["read"] = {one.example: one.read for one in retrievals}
    if "shuffled" in wanted:
        made = context.shuffled(knowledge).retrieved(context.run, f"retrieve-{split}-shuffled", examples)
        reads = recipe.augmented.looks_up
        sources["shuffled"] = {one.example: one.read if reads else one.items for one in made}
    if "distracting" in wanted:
        made = knowledge.distracting(context.run, f"distract-{split}", examples, retrievals, recipe.seed)
        sources["distracting"] = {one.example: one.items for one in made}
    if "oracle" in wanted and tells_facts(examples):
        sources["oracle"] = {e.uid: e.truth.facts if e.truth else () for e in examples}
    if "corpus" in wanted and context.corpus is not None:
        sources["corpus"] = _passages(context, context.corpus, split.removesuffix(IMPORTED), examples, knowledge.query)
    if "all" in wanted:
        whole = most_evident(knowledge.entries)
        sources["all"] = {example.uid: whole for example in examples}

    def found(shown: Mapping[str, Sequence[Shown]]) -> Callable[[Example], Sequence[Shown]]:
        return lambda example: shown[example.uid]

    @cache
    def adapter(student: str) -> Adapter:
        method = METHODS[student]
        assert method.train is not None
        return method.train(context, method)

    def shots(example: Example) -> str:
        kept, extra = steps.kept, context.baseline_prompts
        return baselines.worked_examples(example, context.train, kept, extra, baselines.SHOTS, recipe.seed)

    return Resources(
        task=context.task,
        prompts=context.prompts,
        baseline_prompts=context.baseline_prompts,
        limit=recipe.student.max_new_tokens,
        adapter=adapter,
        knowledge={source: found(shown) for source, shown in sources.items()},
        tools=cache(lambda source: context.tools(source, knowledge, examples)),
        router=steps.router,
        drafts=lambda: steps.drafts,
        by=recipe.calls.read,
        shots=shots,
    )


def _passages(
    context: Context,
    corpus: PassageIndex,
    split: str,
    examples: Sequence[Example],
    query: Callable[[Example], str],
) -> Mapping[str, Sequence[Shown]]:
    """For each question as many passages as any method reads at most, as a stage."""

    def find() -> list[FoundPassages]:
        return [FoundPassages(example=e.uid, passages=tuple(corpus.find(query(e), most_passages()))) for e in examples]

    inputs = {"corpus": corpus, "queries": [query(example) for example in examples], "count": most_passages()}
    inputs["examples"] = [example.uid for example in examples]
    made = context.run.computed(f"retrieve-{split}-corpus", FoundPassages, inputs, find)
    return {one.example: one.passages for one in made}


def _answer_in_context(examples: Sequence[Example], found: Mapping[str, Sequence[Item]]) -> dict[str, bool]:
    return {example.uid: holds_answer(example, found[example.uid]) for example in examples}


def _by_rules(
    context: Context, method: Method, knowledge: Knowledge, split: str, examples: Sequence[Example]
) -> Sequence[Attempt]:
    """The answers that the rules derive, without a student."""
    entities = entities_at(context.run.kb_path)
    version = knowledge_version(entry.item_id for entry in knowledge.entries)
    inputs: dict[str, Any] = {"knowledge": version, "examples": examples, "entities": entities.fingerprint}
    name = f"eval-{split}-{method.name}"
    if method.source == "rules":
        reasoner = Reasoner(knowledge.entries, context.engine, entities)
        inputs["algorithm"] = reasoning.ALGORITHM
        return context.supplied(
            name,
            method.name,
            examples,
            inputs,
            lambda example: by_rules(example, lambda e: reasoner.answer(e.question, task=e.task)),
        )
    rules = BaseRules(knowledge.entries, context.engine, entities)
    told = {example.uid: _told(method, context.task, example) for example in examples}
    inputs |= {"rules": rules.fingerprint, "told": told}
    return context.supplied(
        name, method.name, examples, inputs, lambda example: by_statements(example, *told[example.uid], rules)
    )


def _told(method: Method, task: Task, example: Example) -> tuple[Sequence[str], str]:
    """What a question states and its goal: by its gold derivation, or as the benchmark's own parser reads it."""
    if method.source == "stated":
        truth = example.truth
        return ([one.text for one in truth.stated], truth.goal) if truth is not None else ((), "")
    parse = parser_of(task)
    assert parse is not None
    return parse(example) or ((), "")


def _need_facts(examples: Sequence[Example]) -> bool:
    return any(example.truth is not None and example.truth.facts for example in examples)
