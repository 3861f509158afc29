"""NesyCD (Liao et al., AAAI 2025), read top to bottom: the four steps, the router, and what is handed to evaluation.

Each call of `parts.run` is one stage of the run folder, fingerprinted by its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nesycd.core.errors import DataError, KnowledgeError
from nesycd.core.protocols import Router
from nesycd.core.records import (
    Attempt,
    Diagnosis,
    Entry,
    Evidence,
    Example,
    Item,
    Rationale,
    Refusal,
    Retrieval,
    Rule,
    Status,
    TrainingText,
)
from nesycd.knowledge import KnowledgeBase, LeakFilter, filters, knowledge_version
from nesycd.knowledge.carry import carry_over, is_worked_on
from nesycd.methods.context import Parts
from nesycd.methods.imports import imported
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.routing import Routing, choose_router
from nesycd.prompts import question_text
from nesycd.retrieval.recall import count_recall
from nesycd.routing import MarginRouter, calibrate
from nesycd.rules import failures
from nesycd.runs.stage import Artifact
from nesycd.stages import augment, collect, diagnose, rationalise, self_check, spend
from nesycd.stages.distil import general_texts


@dataclass(frozen=True)
class Trained:
    """What the method leaves behind for evaluation and serving."""

    general: Artifact
    """S_P."""
    std_cot: Artifact
    """The Std-CoT baseline: S_P, trained on for as many completion tokens as S_E's whole lineage."""
    augmented: Artifact
    """S_E."""
    entries: tuple[Entry, ...]
    """The approved knowledge, as the base holds it now."""
    routing: Routing
    collected: Collected
    kept: Mapping[str, Rationale]
    """The accepted rationales, by `Example.uid`."""
    summary: dict[str, Any]
    """Counts and rates of the steps: `method` in the results (`docs/results.md`)."""

    @property
    def closed_book(self) -> str:
        """Which of `general` and `augmented` answers unrouted questions."""
        return self.routing.closed_book

    @property
    def router(self) -> Router:
        """See `Routing`."""
        return self.routing.router

    @property
    def trained_with(self) -> dict[str, Any] | None:
        """The knowledge that S_E was trained with (`version`, `revision`, `items`); None where that was not written down.

        The base may be edited without any training text changing: S_E is then not trained anew.
        """
        found: dict[str, Any] | None = self.augmented.metadata.get(KNOWLEDGE)
        return found


KNOWLEDGE = "knowledge"
"""Where a checkpoint's state says which knowledge it was trained with."""


def distil(parts: Parts, until: str = "") -> Trained | None:
    """Run all steps of the method; finished ones are read back.

    Args:
        parts: see `Parts`.
        until: stop after the step `rationalise`, `distil`, `collect`, `diagnose` or `augment`, and return None.

    Raises:
        DataError: no training questions, or no right rationale for any of them.
    """
    train = parts.examples("train")
    if not train:
        raise DataError(f"task {parts.task.name!r} has no training questions")
    rationales = _rationales(parts, train)
    kept = rationalise.kept(rationales)
    if not kept:
        reason = next((r.failure for r in rationales if r.failure), "all answers were wrong")
        raise DataError(f"teacher {parts.teacher.name!r} gave no right rationale for {len(train)} questions: {reason}")
    if until == "rationalise":
        return None
    texts = general_texts(train, kept, parts.prompts)
    general = parts.fine_tune("general", texts)
    if until == "distil":
        return None
    collected = _collect(parts, train, texts, general)
    attempts = collected.attempts
    if until == "collect":
        return None
    known = _knowledge(parts, train, rationales, kept, collected)
    entries = known.entries
    if until == "diagnose":
        return None
    augmented, mix = _augmented(parts, train, kept, entries, general, known.version)
    if until == "augment":
        return None
    std_cot = _std_cot(parts, texts, general, augmented)
    routing = choose_router(parts, attempts, entries, general, augmented)
    route = routing.summary
    valid_accuracy = route["valid_accuracy"]
    use = route["knowledge_use"]
    summary = {
        "rationales": rationalise.counts(rationales),
        "teacher": spend.spent(rationales, known.diagnoses, use["useful"] if use else None),
        "error_rates": {
            "collection": parts.recipe.collection.mode,
            "collected": collect.error_rate(attempts),
            "valid": 1 - valid_accuracy["general"] if valid_accuracy else None,
        },
        "leaks": known.leaks,
        "self_check": known.self_check,
        **mix,
        **route,
        "completion_tokens": {
            "std_cot": lineage(std_cot, None),
            "nesycd": lineage(augmented, general if _continues(parts, general, augmented) else None),
        },
    }
    return Trained(general, std_cot, augmented, tuple(entries), routing, collected, kept, summary)


def _rationales(parts: Parts, train: Sequence[Example]) -> Sequence[Rationale]:
    by_uid = {example.uid: example for example in train}
    return parts.run.records(
        "rationales",
        Rationale,
        {"teacher": parts.teacher.fingerprint, "examples": train},
        list(by_uid),
        lambda uids: rationalise.rationalise([by_uid[uid] for uid in uids], parts.teacher, parts.task),
    )


def _continues(parts: Parts, general: Artifact, augmented: Artifact) -> bool:
    """Whether S_E was trained on from S_P, whose tokens then count as its own."""
    return parts.recipe.augmented.init == "general" and augmented.fingerprint != general.fingerprint


def lineage(adapter: Artifact, init: Artifact | None) -> int:
    """Completion tokens that a student was trained on, those of the one it started from among them."""
    tokens = int(adapter.metadata["completion_tokens"])
    return tokens + (int(init.metadata["completion_tokens"]) if init is not None else 0)


# --- step 2 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Collected:
    """Attempts at all training questions (`solver` names the student that made each), and those students' adapters."""

    attempts: list[Attempt]
    students: dict[str, Artifact]


def _collect(parts: Parts, train: Sequence[Example], texts: Sequence[TrainingText], general: Artifact) -> Collected:
    """Attempts at all training questions: by S_P itself, or by students that were not trained on them."""
    settings = parts.recipe.collection
    if settings.mode == "in_sample":
        solver = parts.solver("general", general.path)
        made = list(parts.attempts("collect", solver, train, general.fingerprint))
        return Collected(made, {"general": general})
    fold_of = collect.assign_folds(train, settings.folds, parts.recipe.seed)
    answered: dict[str, Attempt] = {}
    students: dict[str, Artifact] = {}
    for fold in range(settings.folds):
        held = [example for example in train if fold_of[example.uid] == fold]
        others = [text for text in texts if fold_of[text.example] != fold]
        if not held or not others:
            raise DataError(
                f"{len(train)} training questions are too few for {settings.folds} folds; set collection.mode=in_sample"
            )
        epochs = settings.epochs or parts.recipe.training.epochs
        student = parts.fine_tune(f"fold-{fold}", others, epochs=epochs)
        solver = parts.solver(f"fold-{fold}", student.path)
        attempts = parts.attempts(f"collect-fold-{fold}", solver, held, student.fingerprint)
        answered |= {attempt.example: attempt for attempt in attempts}
        students[solver.name] = student
    return Collected([answered[example.uid] for example in train], students)


# --- step 3 ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Known:
    """The approved entries, the diagnoses they come from, and what the checks found: of leaks, the figure beside every score."""

    entries: list[Entry]
    diagnoses: Sequence[Diagnosis]
    leaks: dict[str, int]
    self_check: dict[str, int] | None
    version: dict[str, Any]
    """Of the knowledge base: what S_E's checkpoint remembers."""


def _knowledge(
    parts: Parts,
    train: Sequence[Example],
    rationales: Sequence[Rationale],
    kept: Mapping[str, Rationale],
    collected: Collected,
) -> _Known:
    settings = parts.recipe.knowledge
    attempts = collected.attempts
    signal = parts.recipe.router.signal
    sure = MarginRouter(calibrate(attempts, signal).threshold, signal)
    asked = diagnose.cases(train, kept, attempts, settings.source, parts.recipe.seed, sure.unsure)
    cases = {case.example.uid: case for case in asked}
    diagnoses = parts.run.records(
        "diagnoses",
        Diagnosis,
        {"teacher": parts.teacher.fingerprint, "examples": train, "rationales": rationales, "attempts": attempts}
        | {"source": settings.source},
        list(cases),
        lambda uids: parts.teacher.diagnoses([cases[uid] for uid in uids]),
    )
    proposed = [*diagnose.proposals(diagnoses), *(brought := imported(parts))]
    refused = _refused(parts, train, kept, diagnoses, brought)
    limit, seed = settings.max_items, parts.recipe.seed
    fit = diagnose.without(proposed, refused)
    proposals = diagnose.limited([pair for pair in fit if pair[0].kind in settings.kinds], limit, seed)
    checked = _self_checked(parts, train, proposals, collected) if settings.self_check else None
    # The seed chooses which items stay where there is a limit.
    inputs: dict[str, Any] = {"diagnoses": diagnoses, "review": settings.review, "max_items": limit, "refused": refused}
    if checked is not None:
        inputs["repaired"] = sorted(checked.repaired)
    if len(settings.kinds) < 3:
        inputs["kinds"] = sorted(settings.kinds)
    if brought:
        inputs["brought"] = brought
    parts.run.value("knowledge", {**inputs, "seed": seed}, lambda: _build(parts, proposals, checked))
    with KnowledgeBase.open(parts.run.kb_path, notify=parts.run.notify) as kb:
        revision = kb.revision
        entries = kb.entries(status=Status.APPROVED)
        if not entries and kb.entries():
            parts.run.notify(
                f"{len(kb.entries())} items wait for review: nesycd kb list --kb {parts.run.kb_path} "
                "--status proposed; approve them and run again"
            )
    self_checked = None if checked is None else {"asked": checked.asked, "repaired": len(checked.repaired)}
    leaks = {
        "proposed": len(proposed),
        "refused": sum(refusal.filter == "leak" for refusal in refused),
        "ill_formed": sum(refusal.filter == "ill_formed" for refusal in refused),
        "instance_specific": sum(refusal.filter == "instance_specific" for refusal in refused),
        "approved": len(entries),
        "approved_leaking": _leaking(parts, train, entries),
    }
    version = {
        "version": knowledge_version(entry.item_id for entry in entries),
        "revision": revision,
        "items": len(entries),
    }
    return _Known(entries, diagnoses, leaks, self_checked, version)


@dataclass(frozen=True)
class _SelfChecked:
    """How many errors were asked again, and which of them (`Example.uid`) are right now."""

    asked: int
    repaired: frozenset[str]


def _self_checked(
    parts: Parts, train: Sequence[Example], proposals: Sequence[tuple[Item, Evidence]], collected: Collected
) -> _SelfChecked:
    """Each student answers again what it got wrong, now with the items that its error gave rise to."""
    asked = self_check.to_ask(proposals, collected.attempts)
    by_uid = {example.uid: example for example in train}
    answers: list[Attempt] = []
    for name, adapter in collected.students.items():
        again = [by_uid[one.example] for one in collected.attempts if one.solver == name and one.example in asked]
        solver = parts.solver(f"check-{name}", adapter.path, knowledge=lambda example: asked[example.uid])
        shown = [[item.id for item in asked[example.uid]] for example in again]
        depends = {"adapter": adapter.fingerprint, "knowledge": shown}
        answers += parts.attempts(f"self-check-{name}", solver, again, depends)
    return _SelfChecked(len(answers), self_check.repaired(answers))


def _held_out(parts: Parts) -> list[str]:
    """The texts of all questions that are not for training: read to refuse items, never to choose them."""
    splits = [split for split in parts.task.splits() if split != "train"]
    return [question_text(example) for split in splits for example in parts.examples(split)]


def _refused(
    parts: Parts,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    diagnoses: Sequence[Diagnosis],
    brought: Sequence[tuple[Item, Evidence]],
) -> Sequence[Refusal]:
    """What is kept out of the knowledge base, with the reasons: a stage of the run."""
    held_out = _held_out(parts)

    def check() -> list[Refusal]:
        return filters.refusals([*diagnose.proposals(diagnoses), *brought], train, held_out, texts)

    texts = {uid: rationale.text for uid, rationale in kept.items()}
    return parts.run.computed(
        "refused",
        Refusal,
        {
            "diagnoses": diagnoses,
            "examples": train,
            "held_out": held_out,
            "algorithm": filters.ALGORITHM,
            "rationales": texts,
            **({"brought": brought} if brought else {}),
        },
        check,
    )


def _leaking(parts: Parts, train: Sequence[Example], entries: Sequence[Entry]) -> int:
    """How many approved entries leak all the same: people may have approved, written or edited them."""
    held_out = _held_out(parts)

    def count() -> int:
        leaks = LeakFilter(train, held_out)
        return sum(bool(leaks.reason(entry.item, entry.evidence)) for entry in entries)

    approved = [[entry.item, list(entry.evidence)] for entry in entries]
    inputs = {"entries": approved, "examples": train, "held_out": held_out, "algorithm": filters.ALGORITHM}
    return int(parts.run.value("leaks", inputs, count))


def _build(
    parts: Parts, proposals: Sequence[tuple[Item, Evidence]], checked: _SelfChecked | None = None
) -> dict[str, Any]:
    """Make the KB anew from what is proposed; one that people have worked on is put aside, never deleted."""
    path = parts.run.kb_path
    aside = _set_aside(parts, path) if path.exists() else None
    with KnowledgeBase.open(path) as kb:
        if parts.recipe.knowledge.review == "human":
            kb.add(proposals)
        else:
            # What the self-check holds back is not approved, whatever else was; of what came in a file it knows nothing.
            judged = [pair for pair in proposals if checked is not None and pair[1].example]
            held = [pair for pair in judged if checked is not None and pair[1].example not in checked.repaired]
            kb.add([pair for pair in proposals if pair not in held])
            kb.approve_all(but=_failing(parts, kb))
            kb.add(held)
        if aside is not None:
            _carry_over(parts, aside, kb)
        return {"proposals": len(proposals), **kb.stats()}


def _failing(parts: Parts, kb: KnowledgeBase) -> set[str]:
    """Ids of the proposed rules that do not pass their own tests: these wait for a person."""
    rules = [entry.item for entry in kb.entries(kind="rule") if isinstance(entry.item, Rule)]
    if not any(rule.tests for rule in rules):
        return set()
    found = [one for one in failures(rules, parts.engine) if one.rule.tests]
    for one in found:
        parts.run.notify(f"not approved: {one}")
    return {one.rule.id for one in found}


def _set_aside(parts: Parts, path: Path) -> Path | None:
    """Make room for a new base; gives where the one that people worked on lies now."""
    aside = None
    try:
        with KnowledgeBase.open(path) as kb:
            by_hand = is_worked_on(kb)
    except KnowledgeError:
        by_hand = True
    if by_hand:
        number = next(n for n in range(1, 10_000) if not path.with_name(f"kb.{n}.sqlite").exists())
        parts.run.notify(f"{path}: made from other diagnoses and edited since; kept as kb.{number}.sqlite")
        aside = path.rename(path.with_name(f"kb.{number}.sqlite"))
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return aside


def _carry_over(parts: Parts, aside: Path, kb: KnowledgeBase) -> None:
    """What people did in the base set aside holds in the new one, or is told."""
    try:
        with KnowledgeBase.open(aside, create=False) as old:
            done = carry_over(old, kb)
    except KnowledgeError as error:
        parts.run.notify(f"nothing was carried over from {aside.name}: {error}")
        return
    for told in done.carried:
        parts.run.notify(f"carried over from {aside.name}: {told}")
    for told in done.left:
        parts.run.notify(f"not carried over from {aside.name}: {told}")


# --- step 4 ----------------------------------------------------------------------------------------------------------


def _augmented(
    parts: Parts,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    entries: Sequence[Entry],
    general: Artifact,
    version: Mapping[str, Any],
) -> tuple[Artifact, dict[str, Any]]:
    knowledge = Knowledge.of(parts, entries)
    own = augment.own_entries(entries)
    evidence = {uid: [entry.item_id for entry in mine] for uid, mine in own.items()}
    retrievals = parts.run.computed(
        "retrieve-train",
        Retrieval,
        {"knowledge": knowledge.fingerprint, "examples": train, "evidence": evidence},
        lambda: augment.retrieve_hidden(train, own, knowledge.retriever, knowledge.query),
    )
    if not entries:
        parts.run.notify("no approved knowledge: augmented distillation is left out, S_E is S_P")
        return general, {"mix": _counts(()), "train_recall": {"prompts": None, "questions": None}}
    settings = parts.recipe.augmented
    visible = (
        augment.own_knowledge(train, own) if settings.knowledge == "own" else augment.visible_knowledge(retrievals, own)
    )
    mix = augment.Mix(
        augmented=settings.weights.augmented,
        direct=settings.weights.direct,
        answer=settings.weights.answer,
        passes=settings.passes,
        fill_to=settings.fill_to,
        closed_share=settings.share_without_knowledge,
        right_closed_share=settings.share_right_without_knowledge,
        answer_share=settings.share_answer_only,
        incomplete_share=settings.share_incomplete,
        distracting_share=settings.share_distracting,
    )
    texts = augment.augmented_texts(train, kept, visible, entries, parts.prompts, mix, parts.recipe.seed)
    from_general = settings.init == "general"
    # Started from the base model, S_E sees as many completion tokens as S_P, which then is the Std-CoT baseline too.
    budget = None if from_general else int(general.metadata["completion_tokens"])
    augmented = parts.fine_tune(
        "augmented",
        texts,
        general if from_general else None,
        {KNOWLEDGE: dict(version)},
        learning_rate=settings.learning_rate,
        epochs=settings.epochs,
        completion_token_budget=budget,
    )
    return augmented, {"mix": _counts(texts), "train_recall": _train_recall(train, texts, entries, retrievals)}


def _counts(texts: Sequence[TrainingText]) -> dict[str, int]:
    return {task: sum(text.task == task for text in texts) for task in ("augmented", "direct", "answer")}


def _train_recall(
    train: Sequence[Example],
    texts: Sequence[TrainingText],
    entries: Sequence[Entry],
    retrievals: Sequence[Retrieval],
) -> dict[str, float | None]:
    """Share of needed facts that arrived: in the training prompts with knowledge, and for all training questions."""
    by_uid = {example.uid: example for example in train}
    items = {entry.item_id: entry.item for entry in entries}
    blocks = [text for text in texts if text.task == "augmented"]
    prompts = count_recall(
        [by_uid[block.example] for block in blocks],
        # What is not in the base was derived, and is no fact that a question needs.
        [[items[item] for item in block.knowledge if item in items] for block in blocks],
    )
    questions = count_recall(train, [retrieval.items for retrieval in retrievals])
    found = {"prompts": prompts, "questions": questions}
    return {name: one.share if one.needed else None for name, one in found.items()}


def _std_cot(parts: Parts, texts: Sequence[TrainingText], general: Artifact, augmented: Artifact) -> Artifact:
    """The baseline with the same number of completion tokens as S_E's lineage, on rationales alone."""
    if not _continues(parts, general, augmented):
        return general
    budget = lineage(augmented, general)
    return parts.fine_tune("std-cot", texts, completion_token_budget=budget)
