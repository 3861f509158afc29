"""LegalBench's diversity tasks (HazyResearch/legalbench, CC-BY-4.0): may a federal court hear a suit between these parties?

A folder with `diversity_K__train.tsv` and `diversity_K__test.tsv` for K = 1 to 4 (`text`, `label`, `parties_are_diverse`,
`aic_is_met`): one claim; one plaintiff against two defendants; two claims; two plaintiffs. The published test rows are the test.
The six published training rows of each task are part of train; the other training questions, and valid, are made here: other
persons, claims and words. A program reads each text and derives the answer from the limit of the amount and two rules; it stands
apart from rule bases.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from pydantic import Field

from nesycd.core.errors import DataError
from nesycd.core.files import question_key
from nesycd.core.records import Derivation, Example, Fact, Rule, Statement, content_hash
from nesycd.tasks.base import Card, text_of
from nesycd.tasks.policies import Derive, Look, Policy, PolicyTask, number_in, statements
from nesycd.tasks.source import FolderSettings, Source, table_rows

NAME = "legalbench"
IS_GENERATED = True
"""Training questions are made by a generator; said beside every figure."""
VERSION = 2
"""Grows when the same settings give other questions."""
TASKS = ("diversity_1", "diversity_2", "diversity_3", "diversity_4")
COLUMNS = ("text", "label", "parties_are_diverse", "aic_is_met")
ASKED = "Is there diversity jurisdiction?"
LIMIT = Fact(
    text="For diversity jurisdiction the amount in controversy must be above 75,000 dollars.",
    subject="diversity jurisdiction",
    relation="amount above",
    object="75,000 dollars",
)
RULES = (
    Rule(
        text="If a plaintiff and a defendant are from the same state, there is no diversity jurisdiction.",
        clause="same_state(P, D) :- sues(P, D), from(P, S), from(D, S).",
    ),
    Rule(
        text="If one plaintiff has several claims against one defendant, diversity jurisdiction counts their sum, "
        "but claims of or against others are not added.",
        clause='at_stake(P, D, T) :- sues(P, D), amount(_, _, "$"), T is sum(A, C : amount(C, A, "$")).',
    ),
    Rule(
        text="If no plaintiff is from the state of a defendant and each amount is above the limit, there is diversity "
        "jurisdiction, else not.",
        clause='diversity_jurisdiction(P, "No") :- sues(P, _), refused(_, _). '
        'diversity_jurisdiction(P, "Yes") :- at_stake(P, _, _), limit(L), not refused(_, _), not unknown(_). '
        "refused(P, D) :- same_state(P, D). "
        "refused(P, D) :- at_stake(P, D, T), limit(L), T <= L. "
        'limit(L) :- amount_above("diversity jurisdiction", L, "dollars"). '
        "unknown(P) :- sues(P, _), not from(P, _). "
        "unknown(D) :- sues(_, D), not from(D, _).",
    ),
)
CARD = Card(
    name=NAME,
    source="HazyResearch/legalbench",
    licence="CC-BY-4.0",
    sizes={f"{task} {part}": count for task in TASKS for part, count in (("train", 6), ("test", 300))},
    splits="test of the publisher; train is its 24 rows and questions made here, as is all of valid",
    grading="as yes or no",
)


class LegalbenchSettings(FolderSettings):
    """Diversity jurisdiction; `path` is the folder with `diversity_1__train.tsv`, `diversity_1__test.tsv`, ..."""

    train: int = Field(default=100, ge=1)
    """Made training questions of each of the four tasks, beside the six published ones."""
    valid: int = Field(default=20, ge=1)
    """Made questions of each task in `valid`."""


@dataclass(frozen=True)
class Suit:
    """What a question says.

    Attributes:
        homes: each party with its state, in the order of the text.
        plaintiffs: who sues.
        defendants: who is sued, each for all claims.
        claims: each with its amount in dollars.
    """

    homes: tuple[tuple[str, str], ...]
    plaintiffs: tuple[str, ...]
    defendants: tuple[str, ...]
    claims: tuple[tuple[str, int], ...]

    def stated_in(self, question: str) -> tuple[Statement, ...]:
        """The same as a question says it."""
        sued = rf"\${self.claims[0][1]:,}"
        return statements(
            question,
            [
                *((f"{name} | from | {state}", rf"\b{name}\b") for name, state in self.homes),
                *((f"{one} | sues | {other}", sued) for one in self.plaintiffs for other in self.defendants),
                *((f"{sort} | amount | ${amount:,}", rf"\${amount:,}") for sort, amount in self.claims),
            ],
        )

    @property
    def goal(self) -> str:
        """What the rules are asked for."""
        return f"{self.plaintiffs[0]} | diversity jurisdiction | ?"


class Legalbench(PolicyTask):
    """Diversity jurisdiction; `uid` is `legalbench-diversity_1-test-012` with the row from 0, `...-made-train-012` if made here.

    Raises:
        DataError: a missing file, or a row of another shape.
    """

    def __init__(self, settings: LegalbenchSettings) -> None:
        source = Source(settings)
        policy, notes, sizes = Policy([LIMIT]), list[str](), dict[str, int]()
        derive: dict[str, Derive] = {}
        splits: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}

        def take(suit: Suit, example: Example) -> None:
            derive[example.uid] = partial(_derive, suit, suit.stated_in(example.question))
            splits[example.split].append(_answered(example, derive[example.uid](policy.look), notes))

        for task in TASKS:
            for part in ("train", "test"):
                rows = table_rows(source.file(f"{task}__{part}.tsv"), COLUMNS, "LegalBench", separator="\t")
                for index, (where, row) in enumerate(rows):
                    uid = f"{NAME}-{task}-{part}-{index:03d}"
                    take(*_published(row, where, uid, task, part))
                sizes[f"{task} {part}"] = sum(uid.startswith(f"{NAME}-{task}-{part}-") for uid in derive)
            for part, count in (("train", settings.train), ("valid", settings.valid)):
                for index in range(count):
                    uid = f"{NAME}-{task}-made-{part}-{index:03d}"
                    take(*_made(settings.seed, uid, task, part, wants=index % 2 == 0))
        notes += CARD.size_notes(sizes, source.name)
        made_by = content_hash([VERSION, settings.model_dump(mode="json", exclude={"path"}), source.fingerprint])
        super().__init__(NAME, splits, derive, policy, notes, fingerprint=made_by)


# --- the program that answers ----------------------------------------------------------------------------------------


def _derive(suit: Suit, stated: tuple[Statement, ...], look: Look) -> Derivation:
    limit, homes = look(LIMIT.subject, LIMIT.relation), dict(suit.homes)
    told = [f"{_listed(suit.plaintiffs)} {'sues' if len(suit.plaintiffs) == 1 else 'sue'} {_listed(suit.defendants)}."]
    shared = [(one, other) for one in suit.plaintiffs for other in suit.defendants if homes[one] == homes[other]]
    for one in suit.plaintiffs:
        for other in suit.defendants:
            same = f"both from {homes[one]}" if (one, other) in shared else f"from {homes[one]} and {homes[other]}"
            told.append(f"{one} and {other} are {same}.")
    told.append(f"So the parties are {'not ' if shared else ''}diverse.")
    amount = sum(value for _, value in suit.claims)
    if len(suit.claims) > 1:
        told.append(f"{' + '.join(str(value) for _, value in suit.claims)} = {amount}.")
    enough = amount > number_in(limit)
    told.append(f"{amount} is {'' if enough else 'not '}above {number_in(limit)}.")
    answer = "Yes" if enough and not shared else "No"
    told.append(f"So there is {'' if answer == 'Yes' else 'no '}diversity jurisdiction.")
    return Derivation(
        facts=(limit,),
        rules=RULES,
        steps=(limit.text, *told),
        uses=((0,), *((),) * len(told)),
        answer=answer,
        stated=stated,
        goal=suit.goal,
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)


# --- published questions ---------------------------------------------------------------------------------------------

_HOME = re.compile(r"([A-Z]\w+) is from ([A-Z][A-Za-z ]+?)\.")
_SUIT = re.compile(r"([A-Z]\w+)(?: and ([A-Z]\w+) both)? sues? ([A-Z]\w+)(?: and ([A-Z]\w+) each)? for ([^.]+)\.$")
_CLAIM = re.compile(r"([a-z][a-z ]*?) for \$([\d,]+)(?: and |$)")


def read_suit(text: str) -> Suit | None:
    """What a published text says; None where it is of another form."""
    homes, found = _HOME.findall(text), _SUIT.search(text)
    if found is None or not (claims := _CLAIM.findall(found[5])):
        return None
    plaintiffs, defendants = (tuple(filter(None, pair)) for pair in (found.group(1, 2), found.group(3, 4)))
    if {name for name, _ in homes} != {*plaintiffs, *defendants}:
        return None
    amounts = tuple((name, int(amount.replace(",", ""))) for name, amount in claims)
    return Suit(tuple(homes), plaintiffs, defendants, amounts)


def _published(row: Mapping[str, Any], where: str, uid: str, task: str, split: str) -> tuple[Suit, Example]:
    text, label = (text_of(row, key, where, "LegalBench") for key in ("text", "label"))
    if label not in ("Yes", "No"):
        raise DataError(f"{where}: label must be Yes or No, but is {label!r}")
    suit = read_suit(text)
    if suit is None:
        raise DataError(f"{where}: not a text of LegalBench's diversity tasks: {text[:100]!r}")
    example = _example(uid, task, f"{text}\n{ASKED}", split, "")
    return suit, example.model_copy(update={"answer": label})


def _example(uid: str, task: str, question: str, split: str, template: str) -> Example:
    name = f"{NAME}/{task}"
    group = question_key(name, question)
    return Example(uid=uid, task=name, question=question, answer="", split=split, group=group, template=template)


def _answered(example: Example, truth: Derivation, notes: list[str]) -> Example:
    """The example with its derivation; a published label stands, and a note says where the program gives another one."""
    if example.answer and example.answer != truth.answer:
        notes.append(f"{example.uid}: the published label is {example.answer}, the program gives {truth.answer}")
    told = {"answer": example.answer or truth.answer, "rationale": " ".join(truth.steps), "truth": truth}
    return example.model_copy(update=told)


# --- made questions --------------------------------------------------------------------------------------------------

_PEOPLE = (
    "Agnes", "Bruno", "Clara", "Dennis", "Edith", "Felix", "Gloria", "Hector", "Irma", "Jerome", "Kira", "Lionel",
    "Mona", "Nigel", "Opal", "Pedro", "Ruth", "Simon", "Thelma", "Ulric", "Vivian", "Walter", "Yolanda", "Zachary",
)  # fmt: skip
_CLAIMS = ("fraud", "nuisance", "battery", "libel", "slander", "conversion", "unpaid wages", "false imprisonment")
_STATES = (
    "Alabama", "Alaska", "Arizona", "Arkansas", "California", "Colorado", "Connecticut", "Delaware", "Florida", "Georgia",
    "Hawaii", "Idaho", "Illinois", "Indiana", "Iowa", "Kansas", "Kentucky", "Louisiana", "Maine", "Maryland",
    "Massachusetts", "Michigan", "Minnesota", "Mississippi", "Missouri", "Montana", "Nebraska", "Nevada",
    "New Hampshire", "New Jersey", "New Mexico", "New York", "North Carolina", "North Dakota", "Ohio", "Oklahoma",
    "Oregon", "Pennsylvania", "Rhode Island", "South Carolina", "South Dakota", "Tennessee", "Texas", "Utah", "Vermont",
    "Virginia", "Washington", "West Virginia", "Wisconsin", "Wyoming",
)  # fmt: skip
_PARTIES: Mapping[str, tuple[int, int, int]] = {
    "diversity_1": (1, 1, 1),
    "diversity_2": (1, 2, 1),
    "diversity_3": (1, 1, 2),
    "diversity_4": (2, 1, 1),
}
"""Plaintiffs, defendants and claims of each task."""
_HOMES = (
    "{name} lives in {state}.", "{name} is a citizen of {state}.", "The home of {name} is {state}.",
    "{state} is where {name} resides.", "{name} has a house in {state} and stays there.", "{name} comes from {state}.",
)  # fmt: skip
_ACTIONS = (
    ("{plaintiffs} bring{s} an action against {defendants}{each}: {claims}.", "{sort}, ${amount}"),
    ("{plaintiffs} claim{s} from {defendants}{each} {claims}.", "${amount} for {sort}"),
    ("{defendants} {are}{each} taken to court by {plaintiffs} over {claims}.", "{sort} (${amount})"),
    ("{plaintiffs} file{s} a suit against {defendants}{each} over {claims}.", "{sort} of ${amount}"),
    ("For {claims}, {defendants} {are}{each} sued by {plaintiffs}.", "{sort} with ${amount} at stake"),
    ("In court {plaintiffs} demand{s} from {defendants}{each} {claims}.", "${amount} because of {sort}"),
)
_WORDINGS = tuple(product(_HOMES, _ACTIONS))


def _made(seed: int, uid: str, task: str, split: str, *, wants: bool) -> tuple[Suit, Example]:
    """A question, with jurisdiction where `wants`; where there is none, for want of diversity, of the amount, or of both."""
    rng = random.Random(f"{NAME}/{seed}/{uid}")
    suing, sued, claiming = _PARTIES[task]
    people = rng.sample(_PEOPLE, suing + sued)
    states = rng.sample(_STATES, suing + sued)
    limit = number_in(LIMIT)
    lacks_diversity, lacks_amount = (
        (False, False) if wants else rng.choice([(True, False), (False, True), (True, True)])
    )
    if lacks_diversity:
        states[suing + rng.randrange(sued)] = states[rng.randrange(suing)]
    elif sued == 2 and rng.random() < 0.25:
        states[2] = states[1]  # parties of one side may share a state
    elif suing == 2 and rng.random() < 0.25:
        states[1] = states[0]
    total = rng.randrange(5, limit // 1000 + 1) if lacks_amount else _large(rng, limit // 1000)
    first = total if claiming == 1 else rng.randrange(1, total)
    amounts = [first, total - first][:claiming]
    claims = [(sort, 1000 * amount) for sort, amount in zip(rng.sample(_CLAIMS, claiming), amounts, strict=True)]
    homes = [*zip(people, states, strict=True)]
    suit = Suit(tuple(homes), tuple(people[:suing]), tuple(people[suing:]), tuple(claims))
    number = rng.randrange(len(_WORDINGS))
    home, (action, claim) = _WORDINGS[number]
    sentences = [home.format(name=name, state=state) for name, state in homes]
    sentences.append(
        action.format(
            plaintiffs=_listed(suit.plaintiffs),
            defendants=_listed(suit.defendants),
            s="s" if suing == 1 else "",
            are="is" if sued == 1 else "are",
            each=" each" if sued > 1 else "",
            claims=" and ".join(claim.format(sort=sort, amount=f"{amount:,}") for sort, amount in claims),
        )
    )
    return suit, _example(uid, task, f"{' '.join(sentences)}\n{ASKED}", split, f"{task}/{number}")


def _large(rng: random.Random, limit: int) -> int:
    """Thousands above the limit: near it, or far above."""
    return rng.randrange(limit + 1, limit * 2) if rng.random() < 0.6 else rng.randrange(limit * 2, 9000)
