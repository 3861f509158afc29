"""All arms on all splits: the attempts behind `results.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import KnowsTruth, Task
from nesycd.core.records import Attempt, Entry, Evidence, Example, Item, Status, content_hash
from nesycd.knowledge import entities_at, knowledge_version
from nesycd.methods.context import Parts
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.nesycd import Trained
from nesycd.methods.routing import cases_of
from nesycd.retrieval import Reasoner, reasoning
from nesycd.retrieval.recall import count_recall, holds_answer
from nesycd.routing import ALGORITHM as ROUTING
from nesycd.routing import Case
from nesycd.runs.stage import Artifact
from nesycd.stages.derive import ARM, rules_alone
from nesycd.stages.route import routed

IMPORTED = "_imported"
"""Suffix of a split scored again after its missing facts were imported by hand."""


FEW_SHOT_STOP = ("\nQ:",)
"""A student that was shown questions in a row writes the next one itself."""


@dataclass(frozen=True)
class Scored:
    """What an evaluation yields, by (arm, split) and by split."""

    examples: dict[str, Sequence[Example]]
    attempts: dict[tuple[str, str], Sequence[Attempt]]
    recall: dict[str, float | None]
    """Of needed facts, on `valid` and on every scored split."""
    knowledge: dict[str, str]
    """Version of the knowledge that each split was scored with."""
    answered: dict[str, dict[str, bool]]
    """Split to whether the block of each question (`Example.uid`) holds its gold answer."""


def tells_facts(examples: Iterable[Example]) -> bool:
    """Whether all questions say which facts they need: without that nothing is known to an oracle arm."""
    return all(example.truth is not None for example in examples)


def splits_of(task: Task, recipe: Recipe) -> list[str]:
    """The splits to score: those the recipe names, else `test` and all that are out of domain.

    Raises:
        ConfigError: the task lacks a named split.
    """
    known = task.splits()
    wanted = recipe.evaluation.splits or tuple(s for s in known if s == "test" or s.startswith("ood_"))
    if unknown := [split for split in wanted if split not in known]:
        raise ConfigError(f"evaluation.splits: task {task.name!r} has no split {unknown[0]!r}, only {known}")
    return list(wanted)


def evaluate(parts: Parts, trained: Trained) -> Scored:
    """Answer every split with every arm of the recipe."""
    scored = Scored({}, {}, {}, {}, {})
    _tell_other_knowledge(parts, trained)
    if "valid" in parts.task.splits():
        examples = parts.examples("valid")
        if _need_facts(examples):
            retrievals = Knowledge.of(parts, trained.entries).retrieved(parts.run, "retrieve-valid", examples)
            scored.recall["valid"] = count_recall(examples, [one.items for one in retrievals]).share
            scored.answered["valid"] = _answered(examples, {one.example: one.items for one in retrievals})
    for split in splits_of(parts.task, parts.recipe):
        examples = parts.examples(split)
        if not examples:
            continue
        _score(parts, trained, trained.entries, split, examples, scored)
        missing = parts.task.missing_facts(split) if isinstance(parts.task, KnowsTruth) else []
        if missing:
            known = {entry.item_id for entry in trained.entries}
            by_hand = tuple(
                Entry(item=fact, status=Status.APPROVED, reviewer="import", evidence=(_import_note(split),))
                for fact in missing
                if fact.id not in known
            )
            _score(parts, trained, trained.entries + by_hand, split + IMPORTED, examples, scored)
    return scored


def _tell_other_knowledge(parts: Parts, trained: Trained) -> None:
    """Say where S_E was trained with other knowledge than the base holds now (imports, which are meant so, aside)."""
    then, now = trained.trained_with, knowledge_version(entry.item_id for entry in trained.entries)
    if then is not None and then["version"] != now:
        parts.run.notify(
            f"the student was trained with knowledge {then['version']} (revision {then['revision']}) and is evaluated "
            f"with {now}; see: nesycd kb diff {then['revision']} --kb {parts.run.kb_path}"
        )


def _import_note(split: str) -> Evidence:
    return Evidence(example="", source=f"missing facts of {split}")


def _score(
    parts: Parts,
    trained: Trained,
    entries: tuple[Entry, ...],
    split: str,
    examples: Sequence[Example],
    scored: Scored,
) -> None:
    arms = parts.recipe.evaluation.arms
    knowledge = Knowledge.of(parts, entries)
    retrievals = knowledge.retrieved(parts.run, f"retrieve-{split}", examples)
    found = {retrieval.example: retrieval.items for retrieval in retrievals}
    blocks: dict[str, Mapping[str, Sequence[Item]]] = {arm: found for arm in KB_ARMS}
    if DISTRACTING_ARMS & set(arms):
        distracting = knowledge.distracting(parts.run, f"distract-{split}", examples, retrievals, parts.recipe.seed)
        distracted = {one.example: one.items for one in distracting}
        blocks |= {arm: distracted for arm in DISTRACTING_ARMS}
    if tells_facts(examples):
        needed = {e.uid: e.truth.facts if e.truth else () for e in examples}
        blocks |= {arm: needed for arm in ORACLE_ARMS}
    made: dict[str, Sequence[Attempt]] = {}

    def answered(arm: str, adapter: Artifact | None, items: Mapping[str, Sequence[Item]] | None, **style: Any) -> None:
        solver = parts.solver(
            arm,
            adapter.path if adapter is not None else None,
            knowledge=None if items is None else (lambda example: items[example.uid]),
            **style,
        )
        shown = None if items is None else content_hash([[item.id for item in items[e.uid]] for e in examples])
        depends = {"adapter": adapter.fingerprint if adapter is not None else "", "knowledge": shown}
        if style.get("style") == "few_shot":
            depends["prompts"] = solver.prompts_hash(examples)
        made[arm] = parts.attempts(f"eval-{split}-{arm}", solver, examples, depends)

    earlier = split.removesuffix(IMPORTED)
    for arm in _with_drafts(arms, trained):
        if split != earlier and arm not in KB_ARMS | DISTRACTING_ARMS | {"nesycd_routed", ARM}:
            # Imported facts change nothing for an arm that does not retrieve.
            made[arm] = scored.attempts[arm, earlier]
        elif arm in ORACLE_ARMS and arm not in blocks:
            continue  # the benchmark does not tell what its questions need
        elif arm == ARM:
            made[arm] = _by_rules(parts, entries, split, examples)
        elif arm == "zero_shot":
            answered(arm, None, None, style="zero_shot")
        elif arm == "few_shot":
            answered(arm, None, None, style="few_shot", stop=FEW_SHOT_STOP)
        elif arm != "nesycd_routed":
            adapter = trained.std_cot if arm.startswith("std_cot") else trained.augmented
            adapter = trained.general if arm == "draft" else adapter
            answered(arm, adapter, blocks.get(arm))
    if "nesycd_routed" in arms:
        made["nesycd_routed"] = _routed(parts, trained, split, made)
    scored.examples[split] = examples
    scored.knowledge[split] = knowledge_version(entry.item_id for entry in entries)
    scored.answered[split] = _answered(examples, found)
    # Arms made only for the router's sake are kept for the imported split, and left out of the results.
    scored.attempts.update({(arm, split): attempts for arm, attempts in made.items()})
    if _need_facts(examples):
        scored.recall[split] = count_recall(examples, [found[e.uid] for e in examples]).share


def _answered(examples: Sequence[Example], found: Mapping[str, Sequence[Item]]) -> dict[str, bool]:
    return {example.uid: holds_answer(example, found[example.uid]) for example in examples}


def _by_rules(parts: Parts, entries: tuple[Entry, ...], split: str, examples: Sequence[Example]) -> Sequence[Attempt]:
    """The arm without a student; a stage like the others."""
    entities = entities_at(parts.run.kb_path)

    def answer() -> Iterable[Attempt]:
        reasoner = Reasoner(entries, parts.engine, entities)
        return rules_alone(examples, parts.task, lambda e: reasoner.answer(e.question, task=e.task))

    version = knowledge_version(entry.item_id for entry in entries)
    inputs: dict[str, Any] = {"knowledge": version, "examples": examples, "algorithm": reasoning.ALGORITHM}
    if entities.merged or entities.backwards:
        inputs["entities"] = entities.fingerprint
    return parts.run.computed(f"eval-{split}-{ARM}", Attempt, inputs, answer)


def _need_facts(examples: Sequence[Example]) -> bool:
    return any(example.truth is not None and example.truth.facts for example in examples)


def _routed(
    parts: Parts,
    trained: Trained,
    split: str,
    made: Mapping[str, Sequence[Attempt]],
) -> Sequence[Attempt]:
    """The routed arm, selected from the other arms' answers; a stage like theirs, so that reports can show it."""
    drafts, informed = made[draft_arm(trained)], made["nesycd"]
    # The mode tells routers apart that have no settings.
    inputs: dict[str, Any] = {"mode": parts.recipe.router.mode, "router": trained.router, "algorithm": ROUTING}
    inputs |= {"drafts": drafts, "informed": informed}
    return parts.run.computed(
        f"eval-{split}-nesycd_routed",
        Attempt,
        inputs,
        lambda: routed(drafts, informed, trained.router, "nesycd_routed"),
    )


def cases_on(trained: Trained, scored: Scored, split: str) -> tuple[Case, ...]:
    """The questions of a scored split with the draft and the informed answer to each.

    Raises:
        ConfigError: the recipe does not score the split, or not with the arm `nesycd_routed`.
    """
    arms = draft_arm(trained), "nesycd"
    if any((arm, split) not in scored.attempts for arm in arms):
        raise ConfigError(
            f"the recipe must score {split} with the arm nesycd_routed: evaluation.arms, evaluation.splits"
        )
    drafts, informed = (scored.attempts[arm, split] for arm in arms)
    return cases_of(scored.examples[split], drafts, informed)


KB_ARMS = frozenset({"std_cot_kb", "nesycd"})
DISTRACTING_ARMS = frozenset({"std_cot_distracting", "nesycd_distracting"})
ORACLE_ARMS = frozenset({"std_cot_oracle", "nesycd_oracle"})


def draft_arm(trained: Trained) -> str:
    """The arm that answers closed-book with the chosen student."""
    if trained.closed_book == "augmented":
        return "nesycd_no_kb"
    return "std_cot" if trained.std_cot.fingerprint == trained.general.fingerprint else "draft"


def _with_drafts(arms: Sequence[str], trained: Trained) -> list[str]:
    """The arms to answer, and those that the routed one selects from."""
    needed = [draft_arm(trained), "nesycd"] if "nesycd_routed" in arms else []
    return list(dict.fromkeys([*arms, *needed]))
