"""What an item is used for, and what a change of the base would do to answers, asked before anything is saved.

A change is tried in a transaction that is taken back (`KnowledgeBase.trial`), so that it is refused, or comes out, exactly as
when it is made. Then each held-out question's prompt is planned with the changed base: where it is the same, and the calls of
the stored answer would find the same, the answer stays. Only the others are asked anew.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from nesycd.core.answers import Answer, Call, Prediction, Trace, Verdict
from nesycd.core.errors import ConfigError
from nesycd.core.markup import tag
from nesycd.core.notebook import MOST_CELL, MOST_ROWS, Listing, cut, grid, shown
from nesycd.core.records import Entry, Example, Status
from nesycd.core.storage import RecordLog
from nesycd.knowledge import Difference, KnowledgeBase, read_entities
from nesycd.knowledge.merge import entry_order
from nesycd.measure.knowledge_tests import is_right, is_same_answer
from nesycd.methods import table
from nesycd.methods.evaluate import IMPORTED
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.predict import Responded, Way, respond, stored_response
from nesycd.runs.predictions import FILE, VERDICTS, Predictions

if TYPE_CHECKING:
    from nesycd.api.finished import OpenRun

Edit = Callable[[KnowledgeBase], object]
"""A change of a base, as one makes it: `lambda kb: kb.approve(item_id, "ann")`, or `lambda kb: merge_entities(kb, ...)`. It is
called with a base on which it is tried, so it must change nothing else."""
Progress = Callable[[str, int, int], None]
"""Called with what is going on (`planned`, `asked`), how many questions of it are done, and how many there are."""
LIMIT = 100
"""Most questions that the student is asked anew, unless told otherwise: some minutes of a small student on two cores."""


@dataclass(frozen=True)
class Use:
    """A stored answer that rests on an item.

    Attributes:
        split: `train`, `valid`, `test`, ...
        method: which answered; the run's own steps on train and valid have names such as `fold-0` and `informed`.
        example: `Example.uid`.
        question: its text.
        gold: the gold answer.
        answer: what was answered; "" where no answer was found.
        correct: whether that is right.
        read: whether the item was in the prompt.
        calls: the calls that found it, with what they asked and found.
    """

    split: str
    method: str
    example: str
    question: str
    gold: str
    answer: str
    correct: bool
    read: bool
    calls: tuple[Call, ...]

    def _cells(self) -> dict[str, Any]:
        """Its row where several are listed."""
        how = [f"{call.asked} {call.found}" for call in self.calls] + (["read"] if self.read else [])
        told = {"split": self.split, "method": self.method, "question": self.question, "right": self.gold}
        return told | {"answer": self.answer, "correct": self.correct, "how": "; ".join(how)}


@dataclass(frozen=True)
class Given:
    """An answer as it is compared: what was found in it, whether that is right, the text, and the calls."""

    answer: str
    correct: bool
    text: str
    calls: tuple[Call, ...]


@dataclass(frozen=True)
class CallChange:
    """A call of an answer, before and after; None where it is not made."""

    before: Call | None
    after: Call | None

    @property
    def told(self) -> str:
        """What was asked, and what it found before and after."""
        before, after = self.before, self.after
        if before is None or after is None or before.asked != after.asked:
            gone, new = (f"{one.asked} {one.found}" if one is not None else "no call" for one in (before, after))
            return f"{gone} → {new}"
        return f"{before.asked} {before.found or 'nothing'} → {after.found or 'nothing'}"


@dataclass(frozen=True)
class AnswerChange:
    """A question whose answer would be another one.

    Attributes:
        example: `Example.uid`.
        task: `Example.task`.
        question: its text.
        gold: the gold answer.
        before, after: the answers.
        calls: the calls that differ, in the order of the answer.
        reads_other: whether other items are in its prompt, or other look-ups are offered there.
    """

    example: str
    task: str
    question: str
    gold: str
    before: Given
    after: Given
    calls: tuple[CallChange, ...]
    reads_other: bool

    @property
    def verdict(self) -> str:
        """`gained`: right now, `lost`: wrong now, `other`: another answer with the same verdict."""
        if self.before.correct == self.after.correct:
            return "other"
        return "gained" if self.after.correct else "lost"

    @property
    def told(self) -> str:
        """The calls that differ, in a line."""
        calls = [one.told for one in self.calls]
        return "; ".join([*calls, *(["it reads or is offered other items"] if self.reads_other else [])])


@dataclass(frozen=True, repr=False)
class WhatIf:
    """What a change of the base would do to the answers of one method to held-out questions.

    Attributes:
        method: that answers.
        split: whose questions were looked at.
        note: why it is another split than was asked for; "" where it is not.
        differences: the entries that would change.
        merges: entities that would be merged, as (entity, into).
        looked_at: questions of the split.
        touched: those whose prompt, or a result of whose calls, would be another one; the answer may stay the same.
        run: those for which the student was asked.
        left: those that are touched, or of which that is not known, and that were not asked: over `limit`, or cancelled.
        changed: see `AnswerChange`, lost ones first.
        cancelled: whether it was ended early.
    """

    method: str
    split: str
    note: str
    differences: tuple[Difference, ...]
    merges: tuple[tuple[str, str], ...]
    looked_at: int
    touched: int
    run: int
    left: int
    changed: tuple[AnswerChange, ...]
    cancelled: bool = False

    @property
    def gained(self) -> int:
        """Questions answered rightly after the change only."""
        return sum(one.verdict == "gained" for one in self.changed)

    @property
    def lost(self) -> int:
        """Questions answered rightly before the change only."""
        return sum(one.verdict == "lost" for one in self.changed)

    def __repr__(self) -> str:
        """How many answers change."""
        looked_at = f"{self.looked_at} questions of {self.split} looked at"
        return f"<what-if: {looked_at}, {self.touched} touched, {len(self.changed)} with another answer>"

    def __str__(self) -> str:
        """What would change, and what is not known, in a few sentences."""
        other = len(self.changed) - self.gained - self.lost
        told = f"{self.method} on {self.split}: {self.looked_at} questions looked at, {self.touched} touched, "
        told += f"{len(self.changed)} with another answer ({self.gained} gained, {self.lost} lost, {other} other). "
        told += f"The student was asked {self.run} of them; nothing was saved."
        if self.left:
            why = "cancelled" if self.cancelled else "over the limit"
            told += f" Not known: {self.left} that were not asked ({why})."
        return told + (f" Note: {self.note}." if self.note else "")

    def _repr_html_(self) -> str:
        shown_rows = self.changed[:MOST_ROWS]
        rows = [
            (
                tag("b", one.verdict),
                cut(one.question, MOST_CELL),
                cut(one.gold, MOST_CELL),
                cut(one.before.answer, MOST_CELL) or "none",
                cut(one.after.answer, MOST_CELL) or "none",
                cut(one.told, MOST_CELL),
            )
            for one in shown_rows
        ]
        heads = ("", "question", "right", "before", "after", "calls that differ")
        more = len(self.changed) - len(rows)
        return shown(
            grid(heads, rows, [one.verdict for one in shown_rows]) if rows else None,
            tag("small", f"{more} more. " if more else None, str(self)),
        )


def what_if(
    opened: OpenRun,
    edits: Edit | Sequence[Edit],
    *,
    method: str = table.MAIN,
    split: str = "valid",
    limit: int | None = LIMIT,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> WhatIf:
    """Which answers to held-out questions would be other ones if the base were changed so. Nothing is written.

    The run's student answers one caller at a time: several what-ifs, or one and `ask`, must take turns.

    Args:
        opened: the run.
        edits: the change, or several that are made together (see `Edit`).
        method: that answers.
        split: of the run; where it has no such questions, its largest held-out split is taken.
        limit: most questions that the student is asked anew; None: all that are touched.
        progress: see `Progress`.
        cancelled: asked between questions, and while the student writes; once it is true, what is known by then is returned.

    Raises:
        KnowledgeError: the change would be refused.
        ConfigError: no such method or split; or the run has no held-out questions.
        RunError: the method's student was not trained in this run.
    """
    name, note = _held_out(opened, split)
    tried = _tried(opened, [edits] if callable(edits) else list(edits))
    now, then = (opened.way(method, knowledge=one) for one in (tried.now, tried.then))
    examples = [*opened.examples(name).values()]
    work = _Comparison(opened, examples, now, then, progress, cancelled)
    ended = False
    if tried.then is not tried.now:
        try:
            work.plan()
            work.ask(limit)
        except _Cancelled:
            ended = True
    order = ("lost", "gained", "other")
    return WhatIf(
        method=method,
        split=name,
        note=note,
        differences=tried.differences,
        merges=tried.merges,
        looked_at=len(work.before) if ended else len(examples),
        touched=len(work.touched),
        run=len(work.asked),
        left=len(work.unanswered),
        changed=tuple(sorted(work.changed(), key=lambda one: order.index(one.verdict))),
        cancelled=ended,
    )


def _held_out(opened: OpenRun, split: str) -> tuple[str, str]:
    """The split to look at, and why it is another one than was asked for ("" where it is not)."""
    sizes = {name: len(opened.examples(name)) for name in opened.splits if name != "train"}
    if sizes.get(split):
        return split, ""
    if split not in sizes and split != "valid":
        raise ConfigError(f"split: {opened.folder} has no held-out split {split!r}, only {', '.join(sizes) or 'none'}")
    largest = max(sizes, key=sizes.__getitem__, default="")
    if not sizes.get(largest):
        raise ConfigError(f"split: {opened.folder} has no held-out questions, so nothing can be compared")
    return largest, f"the run has no questions of {split}; {largest} is its largest held-out split"


# --- the changed base -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tried:
    """The knowledge as it is and as it would be: the same object where nothing that is retrieved or looked up changes."""

    now: Knowledge
    then: Knowledge
    differences: tuple[Difference, ...]
    merges: tuple[tuple[str, str], ...]


def _tried(opened: OpenRun, edits: Sequence[Edit]) -> _Tried:
    opened.knowledge()  # read before others have to wait for the trial
    with opened.kb.trial() as trial:
        now = opened.knowledge()
        for edit in edits:
            edit(trial)
        found, entities = tuple(trial.differences()), read_entities(trial)
    merges = tuple(sorted(entities.merged.items() - now.entities.merged.items()))
    entries = _changed(now.entries, found)
    same = entries == now.entries and entities.fingerprint == now.entities.fingerprint
    # Not cached on disk, where only what is approved is kept.
    then = now if same else replace(now, entries=entries, entities=entities, cache=None, names=now.look_up.names)
    return _Tried(now, then, found, merges)


def _changed(entries: Iterable[Entry], found: Iterable[Difference]) -> tuple[Entry, ...]:
    """The approved entries after a change, in the order of listings."""
    gone = {one.before.item_id for one in found if one.before is not None}
    left = [entry for entry in entries if entry.item_id not in gone]
    for one in found:
        if one.after is not None and one.after.status is Status.APPROVED:
            insort(left, one.after, key=entry_order)
    return tuple(left)


# --- the answers ------------------------------------------------------------------------------------------------------


class _Cancelled(Exception):
    """Whoever asked does not want to know any more."""


class _Comparison:
    """Answers before and after, by `Example.uid`; None where the student has to be asked."""

    def __init__(
        self,
        opened: OpenRun,
        examples: Sequence[Example],
        now: Way,
        then: Way,
        progress: Progress | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._task, self._predictor = opened.task, opened.predictor
        self._examples, self._now, self._then = examples, now, then
        self._progress, self._cancelled = progress or (lambda what, done, total: None), cancelled or (lambda: False)
        self.before: dict[str, Responded | None] = {}
        self.after: dict[str, Responded | None] = {}
        self.asked: set[str] = set()

    def plan(self) -> None:
        """Find the answers that are stored."""
        for number, example in enumerate(self._examples, 1):
            self._go_on()
            self.after[example.uid] = stored_response(self._predictor, self._then, example)
            self.before[example.uid] = stored_response(self._predictor, self._now, example)
            self._progress("planned", number, len(self._examples))

    def ask(self, limit: int | None) -> None:
        """Have the student answer `limit` questions, those first that are known to be touched."""
        chosen = sorted(self.unanswered, key=lambda one: self.before[one.uid] is None)[:limit]
        self._answer(chosen, self._now, self.before)
        for example in chosen:
            if self.after[example.uid] is None:  # the answer of now may be that of then too
                self.after[example.uid] = stored_response(self._predictor, self._then, example)
        self._answer(chosen, self._then, self.after)

    def _answer(self, chosen: Sequence[Example], way: Way, into: dict[str, Responded | None]) -> None:
        lacking = [example for example in chosen if into[example.uid] is None]
        for one in respond(self._predictor, way, lacking, lambda rows, tokens, limit: self._go_on()):
            into[one.example.uid] = one
            self.asked.add(one.example.uid)
            done = sum(self.before[e.uid] is not None and self.after[e.uid] is not None for e in chosen)
            self._progress("asked", done, len(chosen))
            self._go_on()

    def _go_on(self) -> None:
        if self._cancelled():
            raise _Cancelled

    @property
    def unanswered(self) -> list[Example]:
        """Those of which it is not known how they are answered before and after."""
        looked_at = [one for one in self._examples if one.uid in self.before]
        return [one for one in looked_at if self.before[one.uid] is None or self.after[one.uid] is None]

    @property
    def touched(self) -> list[Example]:
        """Those that are known to be: with another prompt, or a call that finds something else."""
        looked_at = [one for one in self._examples if self.before.get(one.uid) is not None]
        return [one for one in looked_at if _made(self.before[one.uid]) != _made(self.after[one.uid])]

    def changed(self) -> Iterator[AnswerChange]:
        """The questions with another answer."""
        for example in self.touched:
            before, after = self.before[example.uid], self.after[example.uid]
            if before is None or after is None:
                continue
            was, now = self._given(before), self._given(after)
            if was.correct != now.correct or not is_same_answer(self._task, was.answer, now.answer, example):
                yield AnswerChange(
                    example=example.uid,
                    task=example.task,
                    question=example.question,
                    gold=example.answer,
                    before=was,
                    after=now,
                    calls=tuple(_other_calls(was.calls, now.calls)),
                    reads_other=before.asks[-1].prompt != after.asks[-1].prompt,
                )

    def _given(self, one: Responded) -> Given:
        answer = self._task.extract(one.response, one.example)
        calls = Trace(call for made in one.predictions for call in made.trace)
        return Given(answer, is_right(self._task, answer, one.example), one.response, calls)


def _made(one: Responded | None) -> tuple[str, ...]:
    return () if one is None else one.answer.predictions


def _other_calls(before: Iterable[Call], after: Iterable[Call]) -> Iterator[CallChange]:
    for was, now in zip_longest(before, after):
        if was is None or now is None or (was.asked, was.found) != (now.asked, now.found):
            yield CallChange(was, now)


# --- what an item is used for -----------------------------------------------------------------------------------------


def questions_using(opened: OpenRun, item_id: str) -> list[Use]:
    """The stored answers of a run that looked an item up or had it in their prompt, as it is or as it was before edits.

    The first call reads all answers of the run, and their index is kept until a file of them changes.

    Args:
        opened: the run.
        item_id: an id of the item, or the beginning of one.

    Raises:
        KnowledgeError: the base has no such item.
        RunError: a damaged file.
    """
    ids = opened.kb.ids(item_id)
    index = _index(opened)
    places = sorted({place for one in ids for place in index.by_item.get(one, ())})
    return Listing(_use(opened, index.answers[place], ids) for place in places)


@dataclass(frozen=True)
class _Stored:
    """What the index keeps of a graded answer. `calls`: those that found items."""

    split: str
    answer: Answer
    verdict: Verdict
    calls: tuple[Call, ...]


_State = tuple[tuple[str, int, int], ...]
"""Names of files with their time of change (ns) and size (bytes)."""


@dataclass(frozen=True)
class _Index:
    """The answers that rest on items, and for each item id their places; `state`: that of the files they were read from."""

    state: _State
    answers: Sequence[_Stored]
    by_item: Mapping[str, Sequence[int]]


def _use(opened: OpenRun, one: _Stored, ids: frozenset[str]) -> Use:
    example = opened.examples(one.split.removesuffix(IMPORTED))[one.answer.example]
    return Use(
        split=one.split,
        method=one.answer.method,
        example=example.uid,
        question=example.question,
        gold=example.answer,
        answer=one.verdict.answer,
        correct=one.verdict.correct,
        read=not ids.isdisjoint(one.answer.knowledge),
        calls=tuple(call for call in one.calls if not ids.isdisjoint(call.items)),
    )


def _index(opened: OpenRun) -> _Index:
    """The index of a run's answers; made anew where a file of them has changed."""
    stages = _graded(opened)
    folder = opened.folder / "stages"
    files = [opened.folder / FILE, *(folder / f"{name}{kind}.jsonl" for name in stages for kind in ("", VERDICTS))]
    found = [(path.name, path.stat()) for path in files if path.exists()]
    state = tuple((name, status.st_mtime_ns, status.st_size) for name, status in found)
    kept: _Index | None = opened.__dict__.get("_uses")
    if kept is None or kept.state != state:
        # What was read of the file before it changed is stale.
        stored = opened.predictions if kept is None else Predictions(opened.folder / FILE)
        kept = opened.__dict__["_uses"] = _read_index(opened, stages, stored.by_id, state)
    return kept


def _graded(opened: OpenRun) -> dict[str, str]:
    """The stages of graded answers to stored questions, each with its split."""
    splits = sorted((name for split in opened.splits for name in (split, split + IMPORTED)), key=len, reverse=True)
    begins = {"collect-": "train", "valid-": "valid"} | {f"eval-{split}-": split for split in splits}
    names = sorted(
        path.name.removesuffix(f"{VERDICTS}.jsonl") for path in (opened.folder / "stages").glob(f"*{VERDICTS}.jsonl")
    )
    found = {name: next((split for begin, split in begins.items() if name.startswith(begin)), "") for name in names}
    order = ["train", "valid", "test"]
    known = {name: split for name, split in found.items() if split}
    return dict(sorted(known.items(), key=lambda one: order.index(one[1]) if one[1] in order else len(order)))


def _read_index(opened: OpenRun, stages: Mapping[str, str], known: Mapping[str, Prediction], state: _State) -> _Index:
    folder = opened.folder / "stages"
    answers: list[_Stored] = []
    by_item: dict[str, list[int]] = {}
    for name, split in stages.items():
        examples = opened.examples(split.removesuffix(IMPORTED))
        verdicts = {one.example: one for one in RecordLog(folder / f"{name}{VERDICTS}.jsonl", Verdict).read()}
        for answer in RecordLog(folder / f"{name}.jsonl", Answer).read():
            made = [known[one] for one in answer.predictions if one in known]
            calls = tuple(call for one in made for call in one.trace if call.items)
            items = {*answer.knowledge, *(item for call in calls for item in call.items)}
            if items and answer.example in verdicts and answer.example in examples:
                for item in items:
                    by_item.setdefault(item, []).append(len(answers))
                answers.append(_Stored(split, answer, verdicts[answer.example], calls))
    return _Index(state, answers, by_item)
