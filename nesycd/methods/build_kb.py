"""Step 3, symbolic distillation: from the student's errors to the approved entries of the run's knowledge base.

The teacher's diagnoses, the imported files and the documents give proposals; the leak, instance-specific and ill-formed-item
filters refuse some; the knowledge base is built from the rest once, and is edited only by people after that.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import Any

from nesycd.core.answers import Attempt
from nesycd.core.config import KINDS
from nesycd.core.errors import KnowledgeError, ReviewWaits, RunError
from nesycd.core.judgements import Refusal
from nesycd.core.records import Diagnosis, Entry, Evidence, Example, Induction, Item, Rationale, Rule, Status
from nesycd.documents import documents_in, read_documents
from nesycd.knowledge import KnowledgeBase, LeakFilter, filters, item_key, knowledge_version, read_file
from nesycd.knowledge.carry import carry_over, is_worked_on
from nesycd.methods.context import Context
from nesycd.methods.gating import Gated, gated
from nesycd.methods.judge_lessons import induced
from nesycd.methods.take_kb import Taken, held_out, read_of
from nesycd.routing import MarginRouter, calibrate
from nesycd.rules import failures
from nesycd.runs.dealing import together
from nesycd.runs.shards import by_key
from nesycd.runs.stage import Artifact
from nesycd.stages import diagnose, induce, self_check

_PASSED_OVER = {Status.REJECTED, Status.RETIRED}
_DEALT = 256
"""Errors that a worker diagnoses at once, where it can."""
_case = attrgetter("example")


@dataclass(frozen=True)
class Collected:
    """Attempts at all training questions (`solver` names the student that made each), and those students' adapters."""

    attempts: list[Attempt]
    students: dict[str, Artifact]


@dataclass(frozen=True)
class Known:
    """The approved entries, the diagnoses they come from, and the counts of the leak filter and the self-check."""

    entries: list[Entry]
    diagnoses: Sequence[Diagnosis | Induction]
    """What the teacher was asked about errors, single ones and clusters."""
    leaks: dict[str, int]
    self_check: dict[str, int] | None
    gate: dict[str, dict[str, int]] | None
    """By kind, the counts of the gate; None where `knowledge.gate` is empty, or a reviewed base was taken."""
    version: dict[str, Any]
    """`version`, `revision` and `items` of the knowledge base: stored with S_E's checkpoint."""
    waiting: int
    """How many items wait for review where none is approved; 0 where one is."""


def build_knowledge(
    context: Context,
    train: Sequence[Example],
    rationales: Sequence[Rationale],
    kept: Mapping[str, Rationale],
    collected: Collected,
) -> Known:
    """The run's knowledge base from the teacher's diagnoses and the imported files, or from a reviewed base.

    Raises:
        KnowledgeError: an imported file or the reviewed base cannot be used.
        RunError: a base that was made is gone.
    """
    settings = context.recipe.knowledge
    if settings.base is not None:
        return _taken(context, Taken.of(context, train, settings.base))
    attempts = collected.attempts
    signal = context.recipe.router.signal
    sure = MarginRouter(calibrate(attempts, signal).threshold, signal)
    asked = diagnose.cases(train, kept, attempts, settings.source, context.recipe.seed, sure.unsure)
    cases = {case.example.uid: case for case in asked}
    brought = _imported(context)  # a file that cannot be read is told before the teacher is asked
    produce, work = by_key(
        Diagnosis, lambda uids: context.teacher.diagnoses([cases[uid] for uid in uids]), _case, _DEALT
    )
    diagnoses = context.run.records(
        "diagnoses",
        Diagnosis,
        {"teacher": context.teacher.fingerprint, "examples": train, "rationales": rationales, "attempts": attempts}
        | {"source": settings.source},
        list(cases),
        produce,
        # A language model is asked by this process alone: its ledger and its limits know what was paid.
        work=None if hasattr(context.teacher, "forget") else work,
    )
    inductions = induced(context, train, kept, attempts, diagnoses)
    proposed = [*diagnose.proposals(diagnoses), *induce.proposals(inductions), *brought]
    refused = _refused(context, train, kept, diagnoses, inductions, brought)
    limit, seed = settings.max_items, context.recipe.seed
    fit = diagnose.without(proposed, refused)
    proposals = diagnose.limited([pair for pair in fit if pair[0].kind in settings.kinds], limit, seed)
    checked = _self_checked(context, train, proposals, collected) if settings.self_check else None
    judged = gated(context, train, rationales, kept, collected, proposals) if settings.gate else None
    # The seed chooses which items stay where there is a limit.
    inputs: dict[str, Any] = {"diagnoses": diagnoses, "review": settings.review, "max_items": limit, "refused": refused}
    if checked is not None:
        inputs["repaired"] = sorted(checked.repaired)
    if judged is not None:
        inputs["judged"] = list(judged.found.values())
    if set(settings.kinds) != set(KINDS):
        inputs["kinds"] = sorted(set(settings.kinds))
    if inductions:
        inputs["inductions"] = inductions
    if brought:
        inputs["brought"] = brought
    inputs["seed"] = seed
    _make(context, inputs, lambda: _build(context, proposals, checked, judged, brought))
    return _known(context, train, [*diagnoses, *inductions], len(proposed), refused, checked, judged)


def _taken(context: Context, taken: Taken) -> Known:
    """A reviewed base in place of one built from errors."""

    def build() -> dict[str, Any]:
        made = taken.build()
        path = context.run.kb_path
        if path.exists() and not taken.has_all_of(path):
            _kept(context, path)
        _replace(path)
        return made

    _make(context, taken.inputs, build)
    return _known(context, taken.train, (), len(taken.base.entries), taken.refused, taken=taken)


def _make(context: Context, inputs: dict[str, Any], build: Callable[[], dict[str, Any]]) -> None:
    """Make the run's base, unless it is there already.

    Raises:
        RunError: it was made and is gone.
    """
    if context.run.stage("knowledge", inputs).done and not context.run.kb_path.exists():
        raise RunError(
            f"{context.run.kb_path}: gone, though it was made and students were trained with it; put a copy back, or delete "
            f"{context.run.folder / 'stages' / 'knowledge.json'} to have it made anew from the diagnoses (edits are then lost)"
        )
    context.run.value("knowledge", inputs, build)


def _known(
    context: Context,
    train: Sequence[Example],
    diagnoses: Sequence[Diagnosis | Induction],
    proposed: int,
    refused: Sequence[Refusal],
    checked: _SelfChecked | None = None,
    judged: Gated | None = None,
    taken: Taken | None = None,
) -> Known:
    """What the run's base holds now."""
    with KnowledgeBase.open(context.run.kb_path, notify=context.run.notify) as kb:
        revision = kb.revision
        entries = kb.entries(status=Status.APPROVED)
        waiting = 0 if entries else len(kb.entries(status=Status.PROPOSED))
    self_checked = None if checked is None else {"asked": checked.asked, "repaired": len(checked.repaired)}
    leaks = {
        "proposed": proposed,
        "refused": sum(one.filter == "leak" for one in refused) if taken is None else len(taken.hidden),
        "ill_formed": sum(refusal.filter == "ill_formed" for refusal in refused),
        "instance_specific": sum(refusal.filter == "instance_specific" for refusal in refused),
        "approved": len(entries),
        "approved_leaking": _leaking(context, train, entries if taken is None else taken.localised(entries)),
    }
    version = {
        "version": knowledge_version(entry.item_id for entry in entries),
        "revision": revision,
        "items": len(entries),
    }
    gate = None if judged is None else judged.counts
    return Known(entries, diagnoses, leaks, self_checked, gate, version, waiting)


def check_reviewed(context: Context, known: Known) -> None:
    """Stop before augmented distillation where people are to review the base, and have approved nothing of it yet.

    Raises:
        ReviewWaits: with the commands for the review.
    """
    if not known.waiting:
        return
    base = shlex.quote(str(context.run.kb_path))
    if context.recipe.knowledge.review == "human":
        raise ReviewWaits(
            f"{known.waiting} items wait for review, and none is approved: list them by `nesycd kb list --status proposed --kb "
            f"{base}`, approve or reject them by `nesycd kb approve ID... --kb {base}` (`all` for all that wait) and `nesycd kb "
            f"reject ID... --kb {base}`, and run again"
        )
    context.run.notify(f"{known.waiting} items wait for review, and none is approved: nesycd kb list --kb {base}")


@dataclass(frozen=True)
class _SelfChecked:
    """How many wrongly answered questions were asked again, and which of them (`Example.uid`) are now answered rightly."""

    asked: int
    repaired: frozenset[str]


def _self_checked(
    context: Context, train: Sequence[Example], proposals: Sequence[tuple[Item, Evidence]], collected: Collected
) -> _SelfChecked:
    """Each student answers again the questions it got wrong, now with the items proposed from that error."""
    asked = self_check.to_ask(proposals, collected.attempts)
    by_uid = {example.uid: example for example in train}

    def again(name: str, adapter: Artifact) -> Sequence[Attempt]:
        wrong = [by_uid[one.example] for one in collected.attempts if one.solver == name and one.example in asked]
        way = context.reading(f"check-{name}", adapter, lambda example: asked[example.uid])
        return context.answered(f"self-check-{name}", way, wrong)

    made = together([partial(again, *student) for student in collected.students.items()])
    answers = [*chain.from_iterable(made)]
    return _SelfChecked(len(answers), self_check.repaired(answers))


def _refused(
    context: Context,
    train: Sequence[Example],
    kept: Mapping[str, Rationale],
    diagnoses: Sequence[Diagnosis],
    inductions: Sequence[Induction],
    brought: Sequence[tuple[Item, Evidence]],
) -> Sequence[Refusal]:
    """The proposals that the filters refuse, with the reasons: a stage of the run."""
    outside = held_out(context)

    def check() -> list[Refusal]:
        proposed = [*diagnose.proposals(diagnoses), *induce.proposals(inductions), *brought]
        return filters.refusals(proposed, train, outside, texts)

    texts = {uid: rationale.text for uid, rationale in kept.items()}
    return context.run.computed(
        "refused",
        Refusal,
        {
            "diagnoses": diagnoses,
            "examples": train,
            "held_out": read_of(outside),
            "algorithm": filters.ALGORITHM,
            "rationales": texts,
            **({"inductions": inductions} if inductions else {}),
            **({"brought": brought} if brought else {}),
        },
        check,
    )


def _leaking(context: Context, train: Sequence[Example], entries: Sequence[Entry]) -> int:
    """How many approved entries still leak: people may have approved, written or edited them."""
    outside = held_out(context)

    def count() -> int:
        leaks = LeakFilter(train, outside)
        return sum(leaks.leak(entry.item, entry.evidence) is not None for entry in entries)

    approved = [[entry.item, list(entry.evidence)] for entry in entries]
    inputs = {"entries": approved, "examples": train, "held_out": read_of(outside), "algorithm": filters.ALGORITHM}
    leaking = int(context.run.value("leaks", inputs, count))
    if leaking:
        place = shlex.quote(str(context.run.folder))
        context.run.notify(
            f"approved items that give questions away: {leaking}; see which by nesycd kb leaks --run {place}"
        )
    return leaking


def _build(
    context: Context,
    proposals: Sequence[tuple[Item, Evidence]],
    checked: _SelfChecked | None,
    judged: Gated | None,
    brought: Sequence[tuple[Item, Evidence]],
) -> dict[str, Any]:
    """Build the base from the proposals; people's edits in the previous base are carried over, and that base is kept.

    The new base replaces the old one only when it is complete, so that a kill loses neither.
    """
    path = context.run.kb_path
    fresh = path.with_name("kb.new.sqlite")
    _remove(fresh)
    with KnowledgeBase.open(fresh) as kb:
        if context.recipe.knowledge.review == "human":
            kb.add(proposals)
        else:
            # Items that failed the self-check stay proposed; the self-check does not apply to imported items.
            passing = None if checked is None else {"", *checked.repaired}
            kb.add([pair for pair in proposals if passing is None or pair[1].example in passing])
            kb.approve_all(but=_failing(context, kb) | _unproven(kb, judged))
            kb.add([pair for pair in proposals if passing is not None and pair[1].example not in passing])
        if judged is not None:
            judged.queue(kb)
        if path.exists() and _is_worked_on(context, path):
            _carry_over(context, _kept(context, path), kb, {item_key(item) for item, _ in brought})
        made = {"proposals": len(proposals), **kb.stats()}
    _replace(path)
    return made


def _replace(path: Path) -> None:
    """Let the base that was built take its place."""
    for suffix in ("-wal", "-shm"):  # of the old base: the new one must not be read with them
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    os.replace(path.with_name("kb.new.sqlite"), path)


def _is_worked_on(context: Context, path: Path) -> bool:
    """Whether people worked on a base; one that cannot be read may be theirs."""
    try:
        with KnowledgeBase.open(path, create=False) as kb:
            return is_worked_on(kb, documents_in(context.recipe.knowledge.documents))
    except KnowledgeError:
        return True


def _kept(context: Context, path: Path) -> Path:
    """A copy of a base that is to be replaced, which stays."""
    number = next(n for n in range(1, 10_000) if not path.with_name(f"kb.{n}.sqlite").exists())
    aside = path.with_name(f"kb.{number}.sqlite")
    shutil.copy2(path, aside)
    context.run.notify(f"{path}: made from other diagnoses or documents and edited since; kept as {aside.name}")
    return aside


def _carry_over(context: Context, aside: Path, kb: KnowledgeBase, stated: Collection[str]) -> None:
    """What people did in the base before holds in the new one, or is told; `stated` are keys of what documents say."""
    try:
        with KnowledgeBase.open(aside, create=False) as old:
            done = carry_over(old, kb, documents_in(context.recipe.knowledge.documents), stated)
    except KnowledgeError as error:
        context.run.notify(f"nothing was carried over from {aside.name}: {error}")
        return
    for told in done.carried:
        context.run.notify(f"carried over from {aside.name}: {told}")
    for told in done.left:
        context.run.notify(f"not carried over from {aside.name}: {told}")


def _remove(path: Path) -> None:
    """Delete a base and its SQLite side files."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _failing(context: Context, kb: KnowledgeBase) -> set[str]:
    """Ids of the proposed rules that fail their own tests: they stay proposed, for review by a person."""
    rules = [entry.item for entry in kb.entries(kind="rule") if isinstance(entry.item, Rule)]
    if not any(rule.tests for rule in rules):
        return set()
    found = [one for one in failures(rules, context.engine) if one.rule.tests]
    for one in found:
        context.run.notify(f"not approved: {one}")
    return {one.rule.id for one in found}


def _unproven(kb: KnowledgeBase, judged: Gated | None) -> set[str]:
    """Ids of the items that the gate keeps for review by a person."""
    unproven = judged.unproven if judged is not None else ()
    return {entry.item_id for entry in kb.entries() if item_key(entry.item) in unproven}


def _imported(context: Context) -> list[tuple[Item, Evidence]]:
    """The items of `knowledge.files` with their sources, without those that the file marks as rejected or retired, and those of
    `knowledge.documents` with their places.

    A file's evidence may name questions of another run, so only its sources are taken.

    Raises:
        KnowledgeError: a file or document cannot be read, or entries in it cannot be used: each is named.
    """
    found: Sequence[tuple[Item, Evidence]] = [
        (one.entry.item, Evidence(example="", source=source))
        for path in context.recipe.knowledge.files
        for one in read_file(path, language=context.recipe.knowledge.language)
        if one.entry.status not in _PASSED_OVER
        for source in sorted({evidence.source for evidence in one.entry.evidence} or {path.name})
    ]
    settings = context.recipe.knowledge
    readings = read_documents(settings.documents, settings.document_keys)
    for note in chain.from_iterable(reading.notes for reading in readings):
        context.run.notify(f"note: {note}")
    return [*found, *chain.from_iterable(reading.proposals for reading in readings)]
