"""CLUTRR, kinship from stories (facebookresearch/clutrr, CC-BY-NC-4.0), as its publisher lays it out, with proofs.

A folder with `gen_train234_test2to10__validation.csv`, the training pool (chains of 2 to 4 relations), of which a seeded share
becomes `valid`, and `gen_train234_test2to10__test.csv` (chains of 2 to 10). Equal stories stay together. A question's task is
`clutrr/K`, K being the length of its chain.

A relation is read as its publisher writes it: of `('Tom', 'sister', 'Eve')` Eve is the sister of Tom, so the query
`('Tom', 'Eve')` asks "What is Eve to Tom?". The derivation of a question states the story's gold relations, in the order in
which the story tells them, each from either person (that of the person who is named first comes first), and has the gold proof,
innermost step first, with a rule for each composition.

Caution: the labels come from the path of which a story was made, and some sentences say it the other way round ("A and her
granddaughter B" where A is the granddaughter of B).
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic import Field

from nesycd.core.errors import DataError
from nesycd.core.files import question_key
from nesycd.core.records import Derivation, Example, Rationale, Rule, RuleTest, Statement
from nesycd.rules.clauses import predicate_of
from nesycd.tasks.base import Card, StoredTask, in_split, text_of, train_and_valid
from nesycd.tasks.clutrr_parser import read_story
from nesycd.tasks.clutrr_programs import program_of
from nesycd.tasks.source import FolderSettings, Source, table_rows

NAME = "clutrr"
FILE = "gen_train234_test2to10__{part}.csv"
COLUMNS = ("story", "query", "target_text", "proof_state", "task_name", "story_edges", "edge_types", "genders")
_FEMALE = ("mother", "daughter", "sister", "wife", "aunt", "niece", "grandmother", "granddaughter")
_MALE = ("father", "son", "brother", "husband", "uncle", "nephew", "grandfather", "grandson")
_BACKWARDS = (
    (("mother", "father"), ("daughter", "son")),
    (("daughter", "son"), ("mother", "father")),
    (("sister", "brother"), ("sister", "brother")),
    (("wife", "husband"), ("wife", "husband")),
    (("aunt", "uncle"), ("niece", "nephew")),
    (("niece", "nephew"), ("aunt", "uncle")),
    (("grandmother", "grandfather"), ("granddaughter", "grandson")),
    (("granddaughter", "grandson"), ("grandmother", "grandfather")),
)
"""Of a relation, what one is from the other side: a woman, a man."""
RELATIONS = (*_FEMALE, "mother-in-law", "daughter-in-law", *_MALE, "father-in-law", "son-in-law")
DERIVATIONS = "gold proofs"
CAUTION = "CLUTRR is CC-BY-NC-4.0, for non-commercial use: never publish a model trained on it without saying so"

Kin = tuple[str, str, str]
"""Of the first person, the third one is the kin that the second part names."""

_TRIPLE = r"\('([^']+)', '([^']+)', '([^']+)'\)"
_STEP = re.compile(rf"\{{{_TRIPLE}: \[{_TRIPLE}, {_TRIPLE}\]\}}")
_PAIR = re.compile(r"\('([^']+)', '([^']+)'\)")
_EDGE = re.compile(r"\((\d{1,4}), (\d{1,4})\)")
_WORD = re.compile(r"'([^']+)'")
_BETWEEN = re.compile(r"\[?(?:, )*\]?")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=\])\s+(?=\[)")
"""Between sentences; many end without a stop before the next one's first name."""


def no_relation(gold: str) -> str:
    """For a benchmark whose golds are CLUTRR's relations."""
    return "" if gold.strip().lower() in RELATIONS else "is no relation"


CARD = Card(
    name=NAME,
    source="facebookresearch/clutrr",
    licence="CC-BY-NC-4.0",
    sizes={"validation": 3019, "test": 1048},
    splits="train (the publisher's validation file) and test; valid is a seeded tenth of train",
    grading="as a word",
    refused=no_relation,
)


class ClutrrSettings(FolderSettings):
    """Kinship from stories; `path` is the folder with `gen_train234_test2to10__validation.csv` and `..._test.csv`."""

    valid: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training pool that becomes `valid`."""
    per_length: int | None = Field(default=None, ge=1)
    """At most so many test questions of each length, drawn by `seed`; not given: all."""


class Clutrr(StoredTask):
    """CLUTRR; `uid` is `clutrr-test-00012` with the row's number from 0, and `clutrr-validation-...` for train and valid.

    `Example.metadata` has each person's sex by name (`genders`).

    Raises:
        DataError: a missing file or column, a row of another shape, or a proof that does not lead from the story's relations
            to the answer.
    """

    def __init__(self, settings: ClutrrSettings) -> None:
        source = Source(settings)
        found = {part: _read(source, part) for part in ("validation", "test")}
        notes = [CAUTION, *CARD.size_notes({part: len(rows) for part, rows in found.items()}, source.name)]
        splits = train_and_valid(in_split("train", found["validation"]), settings.valid, settings.seed)
        splits["test"] = _of_each_length(found["test"], settings)
        super().__init__(NAME, splits, notes, fingerprint=source.fingerprint)

    def kind(self, task: str) -> str:
        """`general`: the rules of kinship are few and shared by all questions, and the facts are told by each story."""
        return "general"

    def rules(self, split: str = "train") -> list[Rule]:
        """The compositions that the proofs of a split use, each once, in order of need.

        Raises:
            DataError: no such split.
        """
        return list(
            dict.fromkeys(rule for example in self.load(split) if example.truth for rule in example.truth.rules)
        )

    def parse(self, example: Example) -> tuple[tuple[str, ...], str] | None:
        """What regular expressions read in a story, each relation from either person where they know how; see `Parses`."""
        story, _, asked = example.question.rpartition("\n")
        names = re.fullmatch(r"What is (.+) to (.+)\?", asked)
        if names is None:
            return None
        told, sexes = read_story(story)
        back = [(other, backwards(relation, sexes[one]), one) for one, relation, other in told if one in sexes]
        return tuple(" | ".join(kin) for kin in dict.fromkeys((*told, *back))), f"{names[2]} | ? | {names[1]}"

    def program(self, example: Example, rationale: Rationale) -> str:
        """The program that a rationale in the words of our derivations becomes; "" of one in other words."""
        return program_of(rationale.text)

    def derive(self, example: Example) -> Derivation:
        """The gold derivation, for the expert teacher.

        Raises:
            DataError: not an example of this benchmark.
        """
        if example.truth is None:
            raise DataError(f"{example.uid}: not a question of {NAME}")
        return example.truth


@lru_cache(maxsize=1024)
def rule_of(first: str, second: str, result: str) -> Rule:
    """The rule that the `second` of somebody's `first` is the `result`.

    Example:
        >>> rule = rule_of("son", "wife", "daughter-in-law")
        >>> rule.text, rule.clause
        ("If somebody's son has a wife, she is the daughter-in-law.", 'daughter_in_law(X, Z) :- son(X, Y), wife(Y, Z), X != Z.')
    """
    names = [predicate_of(relation) for relation in (first, second, result)]
    article = "an" if second[0] in "aeiou" else "a"
    pronoun = "she" if result.removesuffix("-in-law") in _FEMALE else "he"
    return Rule(
        text=f"If somebody's {first} has {article} {second}, {pronoun} is the {result}.",
        clause=f"{names[2]}(X, Z) :- {names[0]}(X, Y), {names[1]}(Y, Z), X != Z.",
        says=f"{{X}} | {result} | {{Z}}",
        tests=(RuleTest(given=f"{names[0]}(ann, kim). {names[1]}(kim, eve).", expect=f"{names[2]}(ann, eve)."),),
    )


def _of_each_length(examples: Sequence[Example], settings: ClutrrSettings) -> list[Example]:
    by_length: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_length[example.task].append(example)
    chosen: set[str] = set()
    for task, members in by_length.items():
        count = min(settings.per_length or len(members), len(members))
        chosen |= {one.uid for one in random.Random(f"{NAME}/{settings.seed}/{task}").sample(members, count)}
    return [example for example in examples if example.uid in chosen]


def _read(source: Source, part: str) -> list[Example]:
    rows = table_rows(source.file(FILE.format(part=part)), COLUMNS, "CLUTRR")
    return [_example(row, where, part, index) for index, (where, row) in enumerate(rows)]


def _example(row: Mapping[str, Any], where: str, part: str, index: int) -> Example:
    story, answer = (text_of(row, key, where, "CLUTRR") for key in ("story", "target_text"))
    person, kin = _pair(row, where)
    genders = dict(_genders(row, where))
    path = _path(row, where, list(genders))
    if row["task_name"].rpartition(".")[2] != str(len(path)):
        raise DataError(f"{where}: task_name is {row['task_name']!r}, but story_edges has {len(path)} relations")
    if absent := [name for name in (person, kin, *genders) if f"[{name}]" not in story]:
        raise DataError(f"{where}: the story does not name [{absent[0]}]")
    told = _told(story, dict.fromkeys(path))
    proof = _proof(row, where, (person, answer, kin), told)
    return Example(
        uid=f"{NAME}-{part}-{index:05d}",
        task=f"{NAME}/{len(path)}",
        question=f"{story}\nWhat is {kin} to {person}?",
        answer=answer,
        accepted=_other_wordings(person, answer, kin),
        rationale=" ".join((truth := _derivation(told, proof, (person, answer, kin), genders)).steps),
        split=part,
        group=question_key(NAME, story),
        truth=truth,
        metadata={"genders": genders},
    )


def _other_wordings(person: str, answer: str, kin: str) -> tuple[str, ...]:
    plain = (answer.replace("-", " "),) if "-" in answer else ()
    said = (f"{person}'s {answer}", f"{kin} is {person}'s {answer}", f"{kin} is the {answer} of {person}")
    return (*plain, f"the {answer}", *said)


# --- what a row says -------------------------------------------------------------------------------------------------


def _parts(pattern: re.Pattern[str], row: Mapping[str, Any], key: str, where: str, shape: str) -> list[Any]:
    """What a column lists as Python writes it: every match of the pattern, of which it must consist."""
    if _BETWEEN.fullmatch(pattern.sub("", row[key])) and (found := pattern.findall(row[key])):
        return found
    raise DataError(f"{where}: {key} must be {shape}, but is {row[key][:60]!r}")


def _pair(row: Mapping[str, Any], where: str) -> tuple[str, str]:
    found = _parts(_PAIR, row, "query", where, "('Ann', 'Bob')")
    if len(found) != 1 or found[0][0] == found[0][1]:
        raise DataError(f"{where}: query must be two persons, but is {row['query']!r}")
    return found[0][0], found[0][1]


def _genders(row: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    for one in row["genders"].split(","):
        name, mark, sex = one.partition(":")
        if not mark or not name or sex not in ("male", "female"):
            raise DataError(f"{where}: genders must be 'Ann:female,Bob:male,...', but has {one!r}")
        yield name, sex


def _path(row: Mapping[str, Any], where: str, names: Sequence[str]) -> list[Kin]:
    """The relations of which the story was made, in the order of the path."""
    edges = _parts(_EDGE, row, "story_edges", where, "[(0, 1), (1, 2), ...]")
    relations = _parts(_WORD, row, "edge_types", where, "['mother', 'son', ...]")
    if len(edges) != len(relations):
        raise DataError(f"{where}: {len(edges)} story_edges, but {len(relations)} edge_types")
    if beyond := [place for edge in edges for place in edge if int(place) >= len(names)]:
        raise DataError(f"{where}: story_edges names person {beyond[0]}, but genders has {len(names)} (from 0)")
    return [
        (names[int(one)], _relation(relation, "edge_types", where), names[int(other)])
        for (one, other), relation in zip(edges, relations, strict=True)
    ]


def _relation(word: str, key: str, where: str) -> str:
    if word not in RELATIONS:
        raise DataError(f"{where}: {key} has {word!r}, which is none of CLUTRR's relations")
    return word


def _proof(row: Mapping[str, Any], where: str, goal: Kin, known: Collection[Kin]) -> list[tuple[Kin, Kin, Kin]]:
    """The steps (conclusion, first, second) from what is known to the goal, innermost first, each once."""
    steps: dict[Kin, tuple[Kin, Kin]] = {}
    for found in _parts(_STEP, row, "proof_state", where, "[{conclusion: [premise, premise]}, ...]"):
        done, first, second = found[:3], found[3:6], found[6:]
        for kin in (done, first, second):
            _relation(kin[1], "proof_state", where)
        if (first[0], first[2], second[2]) != (done[0], second[0], done[2]):
            raise DataError(f"{where}: proof_state concludes {_said(done)} from {_said(first)} and {_said(second)}")
        steps[done] = first, second
    ordered: dict[Kin, tuple[Kin, Kin]] = {}
    waiting, begun = [goal], set[Kin]()
    while waiting:
        kin = waiting[-1]
        if kin in known or kin in ordered:
            waiting.pop()
        elif kin in begun:
            if circular := [part for part in steps[kin] if part not in known and part not in ordered]:
                raise DataError(f"{where}: proof_state is circular: it uses {_said(circular[0])} to show just this")
            ordered[kin] = steps[waiting.pop()]
        elif kin not in steps:
            raise DataError(f"{where}: proof_state does not show {_said(kin)}, and story_edges does not say so")
        else:
            begun.add(kin)
            waiting += [part for part in reversed(steps[kin]) if part not in begun]
    return [(kin, *parts) for kin, parts in ordered.items()]


def _said(kin: Kin) -> str:
    return f"that {kin[2]} is the {kin[1]} of {kin[0]}"


def _told(story: str, path: Mapping[Kin, None]) -> dict[Kin, str]:
    """Each relation with the fewest neighbouring sentences that name both persons, in the order of the story."""
    sentences = _SENTENCE_END.split(story)
    found: list[tuple[tuple[int, int], Kin, str]] = []
    for kin in path:
        marks = f"[{kin[0]}]", f"[{kin[2]}]"
        spans = (
            (size, start, " ".join(sentences[start : start + size]))
            for size in range(1, len(sentences) + 1)
            for start in range(len(sentences) - size + 1)
        )
        _, start, text = next((span for span in spans if all(mark in span[2] for mark in marks)), (0, 0, story))
        found.append(((start, max(text.index(mark) for mark in marks)), kin, text))
    return {kin: text for _, kin, text in sorted(found, key=lambda one: one[0])}


# --- the derivation --------------------------------------------------------------------------------------------------


def _derivation(
    told: Mapping[Kin, str], proof: Sequence[tuple[Kin, Kin, Kin]], goal: Kin, genders: Mapping[str, str]
) -> Derivation:
    rules = [rule_of(first[1], second[1], done[1]) for done, first, second in proof]
    steps = (
        *(f"The {relation} of {one} is {other}." for one, relation, other in told),
        *(
            f"So the {done[1]} of {done[0]} is {done[2]}: the {second[1]} of the {first[1]}."
            for done, first, second in proof
        ),
    )
    return Derivation(
        rules=tuple(dict.fromkeys(rules)),
        steps=steps,
        uses=((),) * len(steps),
        answer=goal[1],
        stated=tuple(
            Statement(text=" | ".join(kin), said=said)
            for one, said in told.items()
            for kin in _from_either(one, said, genders)
        ),
        goal=f"{goal[0]} | ? | {goal[2]}",
    )


def _from_either(kin: Kin, said: str, genders: Mapping[str, str]) -> list[Kin]:
    """A relation as it is from each of the two persons, that of who is named first in the text first."""
    one, relation, other = kin
    both = [kin, (other, backwards(relation, genders[one]), one)]
    return both if said.find(f"[{one}]") <= said.find(f"[{other}]") else both[::-1]


def backwards(relation: str, sex: str) -> str:
    """What somebody of this sex is to the person who is the `relation` of theirs.

    >>> backwards("mother", "male"), backwards("niece", "female"), backwards("daughter-in-law", "male")
    ('son', 'aunt', 'father-in-law')
    """
    kind = relation.removesuffix("-in-law")
    pair = next(pair for kinds, pair in _BACKWARDS if kind in kinds)
    return pair[sex == "male"] + relation[len(kind) :]
