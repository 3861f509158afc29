"""What benchmarks share: saying what they are, splitting by group, listing conflicts, a task held in memory.

Nothing here knows a particular benchmark.
"""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, squeeze
from nesycd.core.records import Example, content_hash
from nesycd.grading import Form


def always_plain(task: str) -> Form:
    """The form of answers that need no form of their own."""
    return "plain"


def as_it_is(example: Example) -> Example:
    """The example unchanged: the gold of somebody else's rows needs no reading."""
    return example


def always_fits(gold: str) -> str:
    """No gold answer is refused for its form."""
    return ""


def no_number(gold: str) -> str:
    """For a benchmark whose golds are numbers."""
    return "" if grading.quantity(gold) is not None else "is no number"


def is_missing(value: object) -> bool:
    """Whether a value is what tables write for a number that is not there (NaN), or no number that can be reached."""
    return isinstance(value, float) and not math.isfinite(value)


def gold_at(example: Example, first: int) -> Example:
    """The example with a gold that is a place among the options, `first` being the first one's, as its letter."""
    place = int(example.answer) - first if re.fullmatch(r"\d{1,2}", example.answer) else -1
    if not 0 <= place < len(example.options):
        return example
    return example.model_copy(update={"answer": grading.letter(place)})


@dataclass(frozen=True)
class Card:
    """What a benchmark is, for its readers and for grading other people's answers without its files.

    Attributes:
        name: its name in recipes; its tasks are `name` or `name/...`.
        source: who publishes it, as `owner/repository` or a title.
        licence: of the publisher's files.
        sizes: questions by part, as published; parts are the publisher's splits or tasks.
        splits: which splits there are here, and how they come about.
        grading: how an answer is compared, in one sentence.
        by_task: whether `sizes` are those of its tasks, so that a row of another task is a mistake.
        hub: the Hugging Face dataset it is mapped from ("" = files only).
        form: the form of a task's answers, by `Example.task`.
        gold: reads the gold answer of a row as the publisher writes it.
        refused: why a gold answer cannot be one of this benchmark, in words that follow "answer X"; "" where it can.
    """

    name: str
    source: str
    licence: str
    sizes: Mapping[str, int]
    splits: str
    grading: str
    hub: str = ""
    by_task: bool = False
    form: Callable[[str], Form] = always_plain
    gold: Callable[[Example], Example] = as_it_is
    refused: Callable[[str], str] = always_fits

    def size_notes(self, found: Mapping[str, int], where: object) -> list[str]:
        """A sentence for each part whose size is not the published one."""
        return [
            f"{where}: {part} has {count:,} questions, but {self.sizes[part]:,} were published: "
            "a part of it, or another version"
            for part, count in found.items()
            if part in self.sizes and count != self.sizes[part]
        ]


def split_by_group(examples: Sequence[Example], shares: Mapping[str, float], seed: int) -> dict[str, list[Example]]:
    """Split by group, seeded, into parts of about `shares` (they add up to 1); the order within a part is kept.

    A group goes whole into the part that lacks most; a part with a share gets a group as long as there are enough.
    """
    groups = _shuffled_groups(examples, seed)
    wanted = {name: share * len(examples) for name, share in shares.items() if share > 0}
    chosen: dict[str, set[str]] = {name: set() for name in shares}
    size = dict.fromkeys(wanted, 0)
    for count, (uid_group, members) in enumerate(groups):
        empty = [name for name in wanted if not size[name]]
        scarce = len(groups) - count <= len(empty)
        name = empty[0] if empty and scarce else max(wanted, key=lambda part: wanted[part] - size[part])
        chosen[name].add(uid_group)
        size[name] += len(members)
    return {
        name: in_split(name, (example for example in examples if _group(example) in chosen[name])) for name in shares
    }


def hold_out(examples: Sequence[Example], count: int, seed: int) -> tuple[list[Example], list[Example]]:
    """Seeded shuffle of the groups, then the last ones as held-out part of exactly `count` where groups allow it.

    Returns:
        (kept, held out), each in the given order.
    """
    held: set[str] = set()
    for group, members in reversed(_shuffled_groups(examples, seed)):
        if len(members) <= count:
            held.add(group)
            count -= len(members)
    kept = [example for example in examples if _group(example) not in held]
    return kept, [example for example in examples if _group(example) in held]


def train_and_valid(examples: Sequence[Example], share: float, seed: int) -> dict[str, list[Example]]:
    """A train side without a `valid` of its own: a seeded share of it, one question at least, becomes `valid`."""
    train, held = hold_out(examples, max(1, round(len(examples) * share)), seed)
    return {"train": train, "valid": in_split("valid", held)}


def in_split(split: str, examples: Iterable[Example]) -> list[Example]:
    """The examples as ones of a split."""
    return [example.model_copy(update={"split": split}) for example in examples]


def text_of(row: Mapping[str, Any], key: str, where: str, publisher: str) -> str:
    """What stands in a publisher's row under a key.

    Args:
        row: the row.
        key: what it must have.
        where: file and line.
        publisher: whose file it should be, such as `GSM8K`.

    Raises:
        DataError: no such key, or no text.
    """
    text = row.get(key)
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: key {key!r} is missing or not a text; is this {publisher}'s own file?")
    return text.strip()


_MARK = re.compile(r"(?:\(([A-Z])\)|([A-Z])[.):])\s*")


def unlettered(options: Sequence[str]) -> tuple[str, ...]:
    """The texts of options; marks that all of them bear in order ("(A) ...", "A. ...", "A) ...") are taken off."""
    texts = tuple(option.strip() for option in options)
    marks = [_MARK.match(text) for text in texts]
    bare = tuple(text[mark.end() :].strip() if mark else "" for text, mark in zip(texts, marks, strict=True))
    in_order = all(mark and f"({mark[1] or mark[2]})" == grading.letter(index) for index, mark in enumerate(marks))
    return bare if in_order and all(bare) else texts


def _group(example: Example) -> str:
    return example.group or example.uid


def _shuffled_groups(examples: Sequence[Example], seed: int) -> list[tuple[str, list[Example]]]:
    groups: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        groups[_group(example)].append(example)
    ordered = list(groups.items())
    random.Random(seed).shuffle(ordered)
    return ordered


@dataclass(frozen=True)
class Conflict:
    """Questions of equal text whose gold answers differ."""

    uids: tuple[str, ...]
    answers: tuple[str, ...]

    def __str__(self) -> str:
        pairs = ", ".join(f"{uid} = {answer!r}" for uid, answer in zip(self.uids, self.answers, strict=True))
        return f"equal questions with different answers: {pairs}"


def _text_key(example: Example) -> tuple[str, ...]:
    return (example.task, squeeze(example.question), *map(squeeze, example.options))


def find_conflicts(
    examples: Iterable[Example], grade: Callable[[str, Example], bool] = grading.grade
) -> list[Conflict]:
    """All groups of equal texts whose answers differ."""
    # As `question_key`, but not hashed by it: every run reads all questions, be there anything to do or not. Of most only a
    # number is kept, since texts that stand once conflict with nothing.
    examples = list(examples)
    seen: set[int] = set()
    twice: set[int] = set()
    for example in examples:
        number = hash(_text_key(example))
        (twice if number in seen else seen).add(number)
    by_text: dict[tuple[str, ...], list[Example]] = defaultdict(list)
    for example in examples if twice else ():
        if hash(key := _text_key(example)) in twice:
            by_text[key].append(example)
    conflicts = []
    for members in by_text.values():
        if any(not grade(member.answer, members[0]) for member in members[1:]):
            conflicts.append(Conflict(tuple(m.uid for m in members), tuple(m.answer for m in members)))
    return conflicts


def overlaps(splits: Mapping[str, Sequence[Example]]) -> list[str]:
    """One sentence for each pair of splits that share a group, such as a text."""
    groups = {name: {example.group for example in members} - {""} for name, members in splits.items()}
    return [
        f"{len(shared)} question(s) stand in both {one} and {other}: results on {other} flatter"
        for one, other in combinations(groups, 2)
        if (shared := groups[one] & groups[other])
    ]


class StoredTask:
    """A benchmark whose examples were read from files: `protocols.Task` with the shared grading.

    Args:
        name: the benchmark's name.
        examples: its examples by split, in order.
        notes: what the user should know about the data (questions of two splits and conflicting golds are added).
        form: the form of a task's answers, by `Example.task`.
        fingerprint: of what was read: its files' content, or the commit fetched from the hub; not given: of the examples.

    Raises:
        DataError: an empty split.
    """

    def __init__(
        self,
        name: str,
        examples: Mapping[str, Sequence[Example]],
        notes: Sequence[str] = (),
        form: Callable[[str], Form] = always_plain,
        *,
        fingerprint: str = "",
    ) -> None:
        self.name = name
        self._examples = {split: list(members) for split, members in examples.items()}
        self.fingerprint = fingerprint or content_hash([one.id for part in self._examples.values() for one in part])
        self._form = form
        for split, members in self._examples.items():
            if not members:
                total = sum(map(len, self._examples.values()))
                raise DataError(f"{name}: split {split!r} is empty ({total} questions in all); give more questions")
        everything = (example for members in self._examples.values() for example in members)
        self.conflicts = find_conflicts(everything, self.grade)
        self._notes = [*notes, *overlaps(self._examples)]

    def __repr__(self) -> str:
        """Its name, and the sizes of its splits."""
        return f"<task {self.name}: {', '.join(f'{name} {len(found)}' for name, found in self._examples.items())}>"

    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return tuple(self._examples)

    def load(self, split: str) -> list[Example]:
        """All examples of a split, in file order.

        Raises:
            DataError: no such split.
        """
        if split not in self._examples:
            raise DataError(f"{self.name}: no split {split!r}{did_you_mean(split, self._examples)}")
        return list(self._examples[split])

    def kind(self, task: str) -> str:
        """ "": files do not say which questions need sparse knowledge."""
        return ""

    def extract(self, response: str, example: Example) -> str:
        """See `grading.extract`."""
        return grading.extract(response, example, self._form(example.task))

    def grade(self, answer: str, example: Example) -> bool:
        """See `grading.grade`; where several golds are accepted, any of them."""
        form = self._form(example.task)
        others = (example.model_copy(update={"answer": gold}) for gold in example.accepted)
        return any(grading.grade(answer, one, form) for one in (example, *others))

    def warnings(self) -> list[str]:
        """What the user should know about this data, one sentence each: cautions, overlapping splits, conflicting golds."""
        return [*self._notes, *map(str, self.conflicts)]
