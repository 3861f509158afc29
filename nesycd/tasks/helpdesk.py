"""A help desk: questions about one company's expense and leave policy, with training questions made from it.

A folder with `policy.txt`, which says all limits, rates and thresholds, and `questions.jsonl` of
`{"id", "task", "question", "answer", "options"}`, which are the test. Training and valid questions are made here: in other words,
about other people, and about no values (a grade with its nights, an amount, ...) that a test question is about.
A program reads the policy and derives every answer; where it disagrees with a published answer, a note says so.
The policy's text may be edited as long as its sentences keep their form: answers and facts follow it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from pydantic import Field

from nesycd import grading
from nesycd.core.errors import ConfigError, DataError
from nesycd.core.files import question_key, read_jsonl, read_text, squeeze
from nesycd.core.records import Derivation, Example, Fact, Rule, content_hash
from nesycd.tasks.base import Card, text_of
from nesycd.tasks.policies import Derive, Look, Policy, PolicyTask, number_in
from nesycd.tasks.source import FolderSettings, Source

NAME = "helpdesk"
VERSION = 1
"""Grows when the same settings give other questions."""
FAMILIES = ("hotel", "perdiem", "approval", "leave", "yesno")
APPROVERS = ("nobody", "team lead", "department head", "CFO")
PEOPLE = ("Lena", "Omar", "Petra", "Quinn", "Rosa", "Sven", "Tara", "Uwe", "Vera", "Yann")
DRINKS = ("beer", "champagne", "cider", "gin", "rum", "sherry", "vodka", "whisky", "brandy", "port")

CARD = Card(
    name=NAME,
    source="made for trials of this package",
    licence="CC0-1.0",
    sizes={"test": 62},
    splits="test (the published questions); train and valid are made here from the policy, about other values",
    grading="as a number, an option, or yes or no",
)


class HelpdeskSettings(FolderSettings):
    """A help desk; `path` is the folder with `policy.txt` and `questions.jsonl`."""

    train: int = Field(default=100, ge=1)
    """Made training questions of each of the five families."""
    valid: int = Field(default=15, ge=1)
    """Made questions of each family in `valid`."""


@dataclass(frozen=True)
class Case:
    """A question as values. The kind says what they are: (grade, nights), (city, days), (amount,), (grade, years), ..."""

    kind: str
    values: tuple[str | int, ...]


class Helpdesk(PolicyTask):
    """The help desk; `uid` is `helpdesk-hotel-1` with the published id, and `helpdesk-train-hotel-007` for a made question.

    `Example.metadata["atoms"]` states what a question says, for the rules of its derivation.

    Raises:
        DataError: a missing file, a policy that lacks a sentence, or a question that the program cannot read.
        ConfigError: more questions wanted than the values allow.
    """

    def __init__(self, settings: HelpdeskSettings) -> None:
        source = Source(settings)
        policy = read_policy(read_text(source.file("policy.txt")), str(source.folder / "policy.txt"))
        cases: dict[str, Case] = {}
        notes: list[str] = []
        test = [_published(row, where, cases) for where, row in read_jsonl(source.file("questions.jsonl"))]
        asked = set(cases.values())
        examples: dict[str, list[Example]] = {"train": [], "valid": []}
        for family in FAMILIES:
            made = _made(family, policy, asked, settings)
            for split, count in (("train", settings.train), ("valid", settings.valid)):
                for index in range(count):
                    case, question, number = next(made)
                    uid = f"{NAME}-{split}-{family}-{index:03d}"
                    cases[uid] = case
                    examples[split].append(_example(uid, family, question, (), split, f"{family}/{case.kind}/{number}"))
        derive: dict[str, Derive] = {uid: partial(_derive, case) for uid, case in cases.items()}
        splits = {
            split: [_answered(one, cases[one.uid], policy, notes) for one in members]
            for split, members in (examples | {"test": test}).items()
        }
        notes += CARD.size_notes({"test": len(test)}, source.name)
        made_by = content_hash([VERSION, settings.model_dump(mode="json", exclude={"path"}), source.fingerprint])
        super().__init__(NAME, splits, derive, policy, notes, fingerprint=made_by)

    def other_object(self, fact: Fact, rng: random.Random) -> str:
        """Another grade of those that there are, `always` for `never`; else see `PolicyTask.other_object`."""
        if fact.object == "never":
            return "always"
        if fact.relation == "allowed from grade":
            return rng.choice([grade for grade in ("2", "3", "4", "5") if grade != fact.object])
        return super().other_object(fact, rng)


# --- the policy ------------------------------------------------------------------------------------------------------

_NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def read_policy(text: str, where: str) -> Policy:
    """The facts that a policy's text states.

    Args:
        text: the text.
        where: its file, for errors.

    Raises:
        DataError: a sentence that is missing, or has another form.
    """

    def said(topic: str, pattern: str) -> re.Match[str]:
        found = re.search(pattern, text)
        if found is None:
            raise DataError(f"{where}: no sentence about {topic} in the form that is read (/{pattern}/)")
        return found

    said("the first and the last day of a trip", r"first and the last day of a trip are paid at half")
    said("alcohol", r"Alcohol is never reimbursed")
    hotel = re.findall(r"(\d+) EUR for G(\d)", said("hotel limits", r"hotel limit per night is ([^.]+)\.")[1])
    rates = re.findall(r"(\d+) EUR in ([A-Z]\w+)", said("per-diem", r"Per-diem a day is ([^.]+)\.")[1])
    leave = re.findall(r"(\d+) days for (G\d(?: and G\d)*)", said("annual leave", r"Annual leave is ([^.]+)\.")[1])
    limits = said(
        "approval",
        r"up to (\d+) EUR needs no approval. Above \1 EUR the team lead approves, above (\d+) EUR the department head, "
        r"above (\d+) EUR the CFO",
    )
    words = "|".join(_NUMBERS)
    service = said("years of service", rf"One day is added for each full ({words}) years of service")[1]
    sick = said("sick leave", rf"certificate from the ({'|'.join(_ORDINALS)}) day on")[1]
    home = said("home office", r"Home office: up to (\d) days a week, in G(\d) up to (\d) days a week")
    rail = said("first-class rail", r"rail is allowed from G(\d) on")[1]
    unproved = said("receipts", r"without a receipt is paid up to (\d+) EUR")[1]
    carried = said("leave carried over", r"At most (\d+) days of leave are carried over")[1]
    facts = [
        _of_grade(g, "hotel limit", f"{n} EUR", f"The hotel limit of grade G{g} is {n} EUR a night.") for n, g in hotel
    ]
    facts += [_fact(city, "per-diem", f"{n} EUR", f"The per-diem in {city} is {n} EUR a day.") for n, city in rates]
    for who, n in zip(APPROVERS[1:], limits.groups(), strict=True):
        facts.append(_fact(who, "approves above", f"{n} EUR", f"The {who} approves expenses above {n} EUR."))
    for n, grades in leave:
        for g in re.findall(r"\d", grades):
            facts.append(_of_grade(g, "annual leave", f"{n} days", f"Grade G{g} has {n} days of annual leave."))
    for _, g in hotel:
        n = home[3] if g == home[2] else home[1]
        facts.append(_of_grade(g, "home office", f"{n} days", f"Grade G{g} may work from home up to {n} days a week."))
    years, day = _NUMBERS.index(service) + 1, _ORDINALS.index(sick) + 1
    each = f"A day of leave is added for each full {years} years of service."
    paid = f"An expense without a receipt is paid up to {unproved} EUR."
    return Policy(
        [
            *facts,
            _fact("service", "years for a day of leave", f"{years} years", each),
            _fact(
                "first-class rail", "allowed from grade", rail, f"First-class rail is allowed from grade G{rail} on."
            ),
            _fact("alcohol", "reimbursed", "never", "Alcohol is never reimbursed."),
            _fact("expense without a receipt", "paid up to", f"{unproved} EUR", paid),
            _fact(
                "leave", "carried over at most", f"{carried} days", f"At most {carried} days of leave are carried over."
            ),
            _fact("sick leave", "certificate from day", str(day), f"Sick leave needs a certificate from day {day} on."),
        ]
    )


def _fact(subject: str, relation: str, value: str, text: str, aliases: tuple[str, ...] = ()) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=value, aliases=aliases)


def _of_grade(number: str, relation: str, value: str, text: str) -> Fact:
    return _fact(f"grade G{number}", relation, value, text, (f"G{number}",))


# --- the program that answers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """One kind of question.

    Attributes:
        family: its family.
        pattern: where its values stand in a published question.
        wordings: of made questions; `{0}`, `{1}` are the values, `{who}` is a person.
        atom: what a question says, for the rule.
        rule: what follows.
        answer: the facts that are needed, the further sentences and the answer.
    """

    family: str
    pattern: str
    wordings: tuple[str, ...]
    atom: str
    rule: Rule
    answer: Callable[[Sequence[Any], Look], tuple[list[Fact], list[str], str]]


def _hotel(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    limit = look(f"grade {values[0]}", "hotel limit")
    most = number_in(limit) * values[1]
    return [limit], [f"{values[1]} x {number_in(limit)} = {most}."], str(most)


def _perdiem(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    rate, days = look(values[0], "per-diem"), values[1]
    paid = (days - 1) * number_in(rate)
    halves = f"The first and the last day are paid at half, so {days} days count as {days - 1}."
    return [rate], [halves, f"{days - 1} x {number_in(rate)} = {paid}."], str(paid)


def _approval(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    amount, facts = values[0], [look(who, "approves above") for who in APPROVERS[1:]]
    told = [
        f"{amount} EUR is {'' if amount > number_in(fact) else 'not '}above {number_in(fact)} EUR." for fact in facts
    ]
    passed = [fact for fact in facts if amount > number_in(fact)]
    who = max(passed, key=number_in).subject if passed else APPROVERS[0]
    asked = f"So the {who} approves." if passed else "So nobody has to approve."
    return facts, [*told, asked], grading.letter(APPROVERS.index(who))


def _leave(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    own, step = look(f"grade {values[0]}", "annual leave"), look("service", "years for a day of leave")
    more = values[1] // number_in(step)
    days = number_in(own) + more
    counted = f"In {values[1]} years there are {more} times {number_in(step)} full years."
    return [own, step], [counted, f"{number_in(own)} + {more} = {days}."], str(days)


def _verdict(fact: Fact, told: str, allowed: bool) -> tuple[list[Fact], list[str], str]:
    answer = "yes" if allowed else "no"
    return [fact], [told, f"So {answer}."], answer


def _rail(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    fact, grade = look("first-class rail", "allowed from grade"), values[0]
    allowed = grade >= number_in(fact)
    return _verdict(fact, f"G{grade} is {'not ' if allowed else ''}below G{number_in(fact)}.", allowed)


def _home(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    return _at_most(look(f"grade {values[0]}", "home office"), values[1])


def _receipt(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    return _at_most(look("expense without a receipt", "paid up to"), values[0])


def _carry(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    return _at_most(look("leave", "carried over at most"), values[0])


def _at_most(fact: Fact, value: int) -> tuple[list[Fact], list[str], str]:
    allowed = value <= number_in(fact)
    return _verdict(fact, f"{value} is {'not ' if allowed else ''}more than {number_in(fact)}.", allowed)


def _alcohol(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    fact = look("alcohol", "reimbursed")
    return _verdict(fact, f"{values[0].capitalize()} is alcohol.", fact.object != "never")


def _sick(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    fact, days = look("sick leave", "certificate from day"), values[0]
    needed = days >= number_in(fact)
    return _verdict(fact, f"Day {number_in(fact)} is {'' if needed else 'not '}among {days} days.", needed)


def _yes_no(kind: str, about: str, goal: str, condition: str, otherwise: str, text: str) -> Rule:
    """The rule of a question about a value, whose answer is yes under one condition and no under the other."""
    head = f"{kind}_verdict({about}, V) :- {goal}"
    return Rule(text=text, clause=f"{head}, {condition}, V = yes. {head}, {otherwise}, V = no.")


KINDS: Mapping[str, Kind] = {
    "hotel": Kind(
        "hotel",
        r"is grade (G\d) and stays (\d+) nights",
        (
            "{who}, whose grade is {0}, books a hotel for {1} nights. Up to how many EUR are reimbursed for it?",
            "How many EUR at most does the company pay for {1} hotel nights of {who}, grade {0}?",
            "For {1} nights in a hotel, what is the limit in EUR for {who} in grade {0}?",
        ),
        'stay("grade {0}", {1})',
        Rule(
            text="If hotel nights are reimbursed, multiply the grade's hotel limit by the number of nights.",
            clause='hotel_most(G, R) :- stay(G, N), hotel_limit(G, L, "EUR"), R is N * L.',
        ),
        _hotel,
    ),
    "perdiem": Kind(
        "perdiem",
        r"travels to ([A-Z]\w+) for (\d+) days",
        (
            "{who} is in {0} on business for {1} days. What per-diem in EUR is paid, with half for the first and the last day?",
            "What is the per-diem in EUR for a trip of {who} to {0} that takes {1} days, its first and last day at half?",
            "A trip of {1} days takes {who} to {0}. Its first and last day are paid at half: how many EUR of per-diem is that?",
        ),
        'trip("{0}", {1})',
        Rule(
            text="If per-diem is paid, count the first and the last day together as one day, and multiply by the city's rate.",
            clause='per_diem_paid(C, R) :- trip(C, N), per_diem(C, L, "EUR"), R is (N - 1) * L.',
        ),
        _perdiem,
    ),
    "approval": Kind(
        "approval",
        r"an expense of (\d+) EUR",
        (
            "{who} hands in an expense of {0} EUR. By whom must it be approved?",
            "Whose approval does {who} need for {0} EUR?",
            "An amount of {0} EUR is claimed by {who}. Who approves it?",
        ),
        "expense({0})",
        Rule(
            text="If an expense is to be approved, find the highest limit that it is above: whose limit this is approves it.",
            clause='approver(A, W) :- expense(A), approves_above(W, T, "EUR"), A > T, not higher(A, T). '
            "approver(A, nobody) :- expense(A), not above_some(A). "
            'above_some(A) :- expense(A), approves_above(_, T, "EUR"), A > T. '
            'higher(A, T) :- expense(A), approves_above(_, T, "EUR"), approves_above(_, U, "EUR"), U > T, A > U.',
        ),
        _approval,
    ),
    "leave": Kind(
        "leave",
        r"is grade (G\d) and has (\d+) full years",
        (
            "{who}, grade {0}, has served for {1} full years. How many days of annual leave is that?",
            "How many days of leave a year does {who} get in grade {0} after {1} full years of service?",
            "After {1} full years with the company {who} is in grade {0}. How long is the annual leave in days?",
        ),
        'service_of("grade {0}", {1})',
        Rule(
            text="If annual leave is asked for, add to the grade's days one for each full period of service.",
            clause='leave_days(G, R) :- service_of(G, Y), annual_leave(G, L, "days"), '
            'years_for_a_day_of_leave(service, N, "years"), R is L + Y // N.',
        ),
        _leave,
    ),
    "rail": Kind(
        "yesno",
        r"a G(\d) employee allowed to travel first class",
        (
            "{who} is in grade G{0}. Is first-class rail allowed?",
            "May {who}, grade G{0}, take the train in first class?",
            "Does grade G{0} entitle {who} to first class on trains?",
        ),
        "rail_for({0})",
        _yes_no(
            "rail", "G", 'rail_for(G), allowed_from_grade("first-class rail", M)', "G >= M", "G < M",
            "If first-class rail is asked about, compare the grade with the one from which it is allowed.",
        ),
        _rail,
    ),
    "home": Kind(
        "yesno",
        r"a (G\d) employee work from home (\d) days",
        ("Are {1} days of home office a week open to {who} in grade {0}?", "Can {who}, grade {0}, be at home {1} days a week?"),
        'home_for("grade {0}", {1})',
        _yes_no(
            "home", "N", 'home_for(G, N), home_office(G, L, "days")', "N <= L", "N > L",
            "If days of home office are asked about, compare them with the most that the grade may have.",
        ),
        _home,
    ),
    "alcohol": Kind(
        "yesno",
        r"a glass of (\w+) at",
        ("Does the company pay for {0} at a dinner of {who}?", "{who} orders {0} for guests. Is that reimbursed?"),
        'drink("{0}")',
        _yes_no(
            "alcohol", "D", "drink(D), reimbursed(alcohol, W)", 'W != "never"', 'W = "never"',
            "If a drink is asked about, see whether it is alcohol and whether that is reimbursed.",
        ),
        _alcohol,
    ),
    "receipt": Kind(
        "yesno",
        r"an expense of (\d+) EUR without a receipt",
        ("{who} has lost the receipt for {0} EUR. Are they paid?", "Without a receipt, does {who} get {0} EUR back?"),
        "unproved({0})",
        _yes_no(
            "receipt", "N", 'unproved(N), paid_up_to("expense without a receipt", L, "EUR")', "N <= L", "N > L",
            "If an expense has no receipt, compare it with the most that is paid without one.",
        ),
        _receipt,
    ),
    "carry": Kind(
        "yesno",
        r"Can (\d+) days of leave be carried over",
        ("{who} has {0} days of leave left. May all of them be taken next year?", "Can {who} keep {0} unused days of leave?"),
        "left({0})",
        _yes_no(
            "carry", "N", 'left(N), carried_over_at_most(leave, L, "days")', "N <= L", "N > L",
            "If leave is left over, compare its days with the most that are carried over.",
        ),
        _carry,
    ),
    "sick": Kind(
        "yesno",
        r"needed for (\d+) days of sick leave",
        ("{who} is ill for {0} days. Is a certificate asked for?", "Does {who} have to show a certificate after {0} sick days?"),
        "sick_for({0})",
        _yes_no(
            "sick", "N", 'sick_for(N), certificate_from_day("sick leave", M)', "N >= M", "N < M",
            "If somebody is ill, compare the days with the day from which a certificate is needed.",
        ),
        _sick,
    ),
}  # fmt: skip


def _derive(case: Case, look: Look) -> Derivation:
    kind = KINDS[case.kind]
    facts, told, answer = kind.answer(case.values, look)
    return Derivation(
        facts=tuple(facts),
        rules=(kind.rule,),
        steps=(*(fact.text for fact in facts), *told),
        uses=(*((index,) for index in range(len(facts))), *((),) * len(told)),
        answer=answer,
    )


# --- questions -------------------------------------------------------------------------------------------------------


def _published(row: Mapping[str, Any], where: str, cases: dict[str, Case]) -> Example:
    name, family, question, answer = (
        text_of(row, key, where, "the help desk") for key in ("id", "task", "question", "answer")
    )
    uid = f"{NAME}-{name}"
    if uid in cases:
        raise DataError(f"{where}: there is a question {name!r} already")
    found = [
        (kind, match)
        for kind, of in KINDS.items()
        if of.family == family and (match := re.search(of.pattern, question))
    ]
    if len(found) != 1:
        raise DataError(f"{where}: not a question of the family {family!r} that can be read: {question!r}")
    [(kind, match)] = found
    cases[uid] = Case(kind, tuple(int(value) if value.isdigit() else value for value in match.groups()))
    options = row.get("options") or ()
    if options and tuple(options) != APPROVERS:
        raise DataError(f"{where}: options must be {', '.join(APPROVERS)}, in this order")
    example = _example(uid, family, question, tuple(options), "test", f"{family}/{kind}/{match.groups()}")
    return example.model_copy(update={"answer": grading.gold_letter(answer, example.options) or answer})


def _example(uid: str, family: str, question: str, options: tuple[str, ...], split: str, template: str) -> Example:
    options = options or (APPROVERS if family == "approval" else ())
    task = f"{NAME}/{family}"
    group = question_key(task, question, options)
    return Example(
        uid=uid, task=task, question=question, answer="", options=options, split=split, group=group, template=template
    )


def _answered(example: Example, case: Case, policy: Policy, notes: list[str]) -> Example:
    """The example with its derivation; a published answer stands, and a note says where the policy gives another one."""
    truth = _derive(case, policy.look)
    if example.answer and squeeze(example.answer) != squeeze(truth.answer):
        notes.append(f"{example.uid}: the published answer is {example.answer}, the policy gives {truth.answer}")
    return example.model_copy(
        update={
            "answer": example.answer or truth.answer,
            "rationale": " ".join(truth.steps),
            "truth": truth,
            "metadata": {"atoms": f"{KINDS[case.kind].atom.format(*case.values)}."},
        }
    )


def _made(family: str, policy: Policy, asked: set[Case], settings: HelpdeskSettings) -> Iterator[tuple[Case, str, int]]:
    """Questions of a family, each once, its kinds and their answers in turn as long as there are any: (case, text, wording)."""
    rng = random.Random(f"{NAME}/{settings.seed}/{family}")
    waiting: list[list[tuple[Case, int]]] = []
    for kind in (name for name, of in KINDS.items() if of.family == family):
        by_answer: dict[str, list[Case]] = {}
        for case in _cases(kind, policy):
            if case not in asked:
                answer = _derive(case, policy.look).answer if family in ("yesno", "approval") else ""
                by_answer.setdefault(answer, []).append(case)
        wordings = len(KINDS[kind].wordings)
        for cases in by_answer.values():
            rng.shuffle(cases)
            # All values in one wording each, before any comes in another one.
            waiting.append([(c, (n + turn) % wordings) for turn in range(wordings) for n, c in enumerate(cases)][::-1])
    while waiting := [members for members in waiting if members]:
        for members in waiting:
            case, number = members.pop()
            text = KINDS[case.kind].wordings[number].format(*case.values, who=rng.choice(PEOPLE))
            yield case, text, number
    wanted = settings.train + settings.valid
    raise ConfigError(f"task {NAME}: train and valid together are {wanted} questions a family, but {family} has fewer")


def _cases(kind: str, policy: Policy) -> list[Case]:
    """All values that a made question of a kind may have."""
    grades = [fact.aliases[0] for fact in policy.facts if fact.relation == "hotel limit"]
    cities = [fact.subject for fact in policy.facts if fact.relation == "per-diem"]
    values: Mapping[str, Iterator[tuple[str | int, ...]]] = {
        "hotel": product(grades, range(2, 31)),
        "perdiem": product(cities, range(2, 31)),
        "approval": product(range(20, 10_000, 10)),
        "leave": product(grades, range(2, 36)),
        "rail": product(int(grade[1:]) for grade in grades),
        "home": product(grades, range(2, 6)),
        "alcohol": product(DRINKS),
        "receipt": product(range(5, 61)),
        "carry": product(range(2, 13)),
        "sick": product(range(2, 13)),
    }
    return [Case(kind, one) for one in values[kind]]
