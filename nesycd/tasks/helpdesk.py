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
from nesycd.core.records import Derivation, Example, Fact, Rule, Statement, content_hash
from nesycd.tasks.base import Card, text_of
from nesycd.tasks.policies import Derive, Look, Policy, PolicyTask, number_in, statements
from nesycd.tasks.source import FolderSettings, Source

NAME = "helpdesk"
IS_GENERATED = True
"""Training questions are made by a generator; said beside every figure."""
VERSION = 2
"""Grows when the same settings give other questions."""
FAMILIES = ("hotel", "perdiem", "approval", "leave", "yesno")
APPROVERS = ("nobody", "team lead", "department head", "CFO")
PEOPLE = ("Lena", "Omar", "Petra", "Quinn", "Rosa", "Sven", "Tara", "Uwe", "Vera", "Yann")
ROLES = ("trainee", "manager", "clerk", "designer", "colleague", "driver", "technician")
GRADES = ("G1", "G2", "G3", "G4", "G5")
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
    """A question as values. The kind says what they are: (grade, nights), (city, days), (amount,), (grade, years), ...

    They stand as the question has them, numbers as integers.
    """

    kind: str
    values: tuple[str | int, ...]


class Helpdesk(PolicyTask):
    """The help desk; `uid` is `helpdesk-hotel-1` with the published id, and `helpdesk-train-hotel-007` for a made question.

    Raises:
        DataError: a missing file, a policy that lacks a sentence, or a question that the program cannot read.
        ConfigError: more questions wanted than the values allow.
    """

    def __init__(self, settings: HelpdeskSettings) -> None:
        source = Source(settings)
        policy = read_policy(read_text(source.file("policy.txt")), str(source.folder / "policy.txt"))
        notes: list[str] = []
        derive: dict[str, Derive] = {}
        examples: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}

        def take(example: Example, case: Case, who: str) -> None:
            derive[example.uid] = partial(_derive, case, *KINDS[case.kind].said(case.values, who, example.question))
            examples[example.split].append(_answered(example, derive[example.uid](policy.look), notes))

        asked: set[Case] = set()
        for where, row in read_jsonl(source.file("questions.jsonl")):
            example, case, who = _published(row, where)
            if example.uid in derive:
                raise DataError(f"{where}: there is a question {row['id']!r} already")
            asked.add(case)
            take(example, case, who)
        for family in FAMILIES:
            made = _made(family, policy, asked, settings)
            for split, count in (("train", settings.train), ("valid", settings.valid)):
                for index in range(count):
                    case, who, question, number = next(made)
                    uid = f"{NAME}-{split}-{family}-{index:03d}"
                    take(_example(uid, family, question, (), split, f"{family}/{case.kind}/{number}"), case, who)
        notes += CARD.size_notes({"test": len(examples["test"])}, source.name)
        made_by = content_hash([VERSION, settings.model_dump(mode="json", exclude={"path"}), source.fingerprint])
        super().__init__(NAME, examples, derive, policy, notes, fingerprint=made_by)

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
        _fact(f"G{g}", "hotel limit", f"{n} EUR", f"The hotel limit of grade G{g} is {n} EUR a night.")
        for n, g in hotel
    ]
    facts += [_fact(city, "per-diem", f"{n} EUR", f"The per-diem in {city} is {n} EUR a day.") for n, city in rates]
    for who, n in zip(APPROVERS[1:], limits.groups(), strict=True):
        facts.append(_fact(who, "approves above", f"{n} EUR", f"The {who} approves expenses above {n} EUR."))
    for n, grades in leave:
        for g in re.findall(r"\d", grades):
            facts.append(_fact(f"G{g}", "annual leave", f"{n} days", f"Grade G{g} has {n} days of annual leave."))
    for _, g in hotel:
        n = home[3] if g == home[2] else home[1]
        facts.append(
            _fact(f"G{g}", "home office", f"{n} days", f"Grade G{g} may work from home up to {n} days a week.")
        )
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


def _fact(subject: str, relation: str, value: str, text: str) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=value)


# --- the program that answers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """One kind of question.

    Attributes:
        family: its family.
        pattern: where its values (`a`, `b`), and the person or thing that they are about (`who`), stand in a published question.
        wordings: of made questions; `{0}`, `{1}` are the values, `{who}` is a person, `{role}` somebody without a name.
        stated: what a question says, each with the place of the value (from 0), or with the word, that says it.
        goal: what the rule is asked for.
        rule: what follows.
        answer: the facts that are needed, the further sentences and the answer.
    """

    family: str
    pattern: str
    wordings: tuple[str, ...]
    stated: tuple[tuple[str, int | str], ...]
    goal: str
    rule: Rule
    answer: Callable[[Sequence[Any], Look], tuple[list[Fact], list[str], str]]

    def said(self, values: Sequence[Any], who: str, question: str) -> tuple[tuple[Statement, ...], str]:
        """What a question about these values says, and the goal."""
        read = (
            (
                text.format(*values, who=who),
                rf"\b{place if isinstance(place, str) else re.escape(str(values[place]))}\b",
            )
            for text, place in self.stated
        )
        return statements(question, read), self.goal.format(*values, who=who)


def _hotel(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    limit = look(values[0], "hotel limit")
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
    own, step = look(values[0], "annual leave"), look("service", "years for a day of leave")
    more = values[1] // number_in(step)
    days = number_in(own) + more
    counted = f"In {values[1]} years there are {more} times {number_in(step)} full years."
    return [own, step], [counted, f"{number_in(own)} + {more} = {days}."], str(days)


def _verdict(fact: Fact, told: str, allowed: bool) -> tuple[list[Fact], list[str], str]:
    answer = "yes" if allowed else "no"
    return [fact], [told, f"So {answer}."], answer


def _rail(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    fact, grade = look("first-class rail", "allowed from grade"), int(values[0][1:])
    allowed = grade >= number_in(fact)
    return _verdict(fact, f"G{grade} is {'not ' if allowed else ''}below G{number_in(fact)}.", allowed)


def _home(values: Sequence[Any], look: Look) -> tuple[list[Fact], list[str], str]:
    return _at_most(look(values[0], "home office"), values[1])


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


def _yes_no(conclusion: str, conditions: str, yes: str, no: str, text: str, steps: Sequence[str] = ()) -> Rule:
    """The rule of a question whose answer is yes under one condition and no under the other."""
    clauses = (f"{conclusion.format(word)} :- {conditions}, {one}." for word, one in (("yes", yes), ("no", no)))
    return Rule(text=text, clause=" ".join((*clauses, *steps)))


KINDS: Mapping[str, Kind] = {
    "hotel": Kind(
        "hotel",
        r"(?P<who>\w+) is grade (?P<a>G\d) and stays (?P<b>\d+) nights",
        (
            "{who}, whose grade is {0}, books a hotel for {1} nights. Up to how many EUR are reimbursed for it?",
            "How many EUR at most does the company pay for {1} hotel nights of {who}, grade {0}?",
            "For {1} nights in a hotel, what is the limit in EUR for {who} in grade {0}?",
            "{who} spends {1} nights in a hotel. The grade is {0}. What can be claimed at most, in EUR?",
        ),
        (("{who} | grade | {0}", 0), ("{who} | hotel nights | {1}", 1)),
        "{who} | hotel reimbursement | ?",
        Rule(
            text="If hotel nights are reimbursed, multiply the grade's hotel limit by the number of nights.",
            clause='hotel_reimbursement(P, R) :- grade(P, G), hotel_nights(P, N), hotel_limit(G, L, "EUR"), R is N * L.',
        ),
        _hotel,
    ),
    "perdiem": Kind(
        "perdiem",
        r"(?P<who>\w+) travels to (?P<a>[A-Z]\w+) for (?P<b>\d+) days",
        (
            "{who} is in {0} on business for {1} days. What per-diem in EUR is paid, with half for the first and the last day?",
            "What is the per-diem in EUR for a trip of {who} to {0} that takes {1} days, its first and last day at half?",
            "A trip of {1} days takes {who} to {0}. Its first and last day are paid at half: how many EUR of per-diem is that?",
            "{who} works {1} days in {0}. How many EUR is the per-diem, if the days of arrival and departure count half?",
        ),
        (("{who} | travels to | {0}", 0), ("{who} | days | {1}", 1)),
        "{who} | per diem paid | ?",
        Rule(
            text="If per-diem is paid, count the first and the last day together as one day, and multiply by the city's rate.",
            clause='per_diem_paid(P, R) :- travels_to(P, C), days(P, N), per_diem(C, L, "EUR"), R is (N - 1) * L.',
        ),
        _perdiem,
    ),
    "approval": Kind(
        "approval",
        r"(?P<who>expense) of (?P<a>\d+) EUR",
        (
            "{who} hands in an expense of {0} EUR. By whom must it be approved?",
            "Whose approval does {who} need for an expense that comes to {0} EUR?",
            "An amount of {0} EUR is claimed by {who} as an expense. Who approves it?",
            "{who} has spent {0} EUR. Who signs the expense?",
        ),
        (("expense | amount | {0}", 0),),
        "expense | approver | ?",
        Rule(
            text="If an expense is to be approved, find the highest limit that it is above: whose limit this is approves it.",
            clause='approver(E, A) :- amount(E, N), T is max(U : approves_above(_, U, "EUR"), U < N), '
            'approves_above(A, T, "EUR"). '
            'approver(E, nobody) :- amount(E, N), T is min(U : approves_above(_, U, "EUR")), N <= T.',
        ),
        _approval,
    ),
    "leave": Kind(
        "leave",
        r"(?P<who>\w+) is grade (?P<a>G\d) and has (?P<b>\d+) full years",
        (
            "{who}, grade {0}, has served for {1} full years. How many days of annual leave is that?",
            "How many days of leave a year does {who} get in grade {0} after {1} full years of service?",
            "After {1} full years with the company {who} is in grade {0}. How long is the annual leave in days?",
            "{who} has worked here for {1} full years, in grade {0} by now. To how much leave in days does that lead?",
        ),
        (("{who} | grade | {0}", 0), ("{who} | years of service | {1}", 1)),
        "{who} | days of leave | ?",
        Rule(
            text="If annual leave is asked for, add to the grade's days one for each full period of service.",
            clause='days_of_leave(P, R) :- grade(P, G), years_of_service(P, Y), annual_leave(G, L, "days"), '
            'years_for_a_day_of_leave(service, N, "years"), R is L + Y // N.',
        ),
        _leave,
    ),
    "rail": Kind(
        "yesno",
        r"a (?P<a>G\d) (?P<who>employee) allowed to travel first class",
        (
            "{who} is in grade {0}. Is first-class rail allowed?",
            "May {who}, grade {0}, take the train in first class?",
            "Does grade {0} entitle {who} to first class on trains?",
            "Can a {role} of grade {0} buy a first-class ticket for the train?",
            "Is first class on the train open to a {0} {role}?",
        ),
        (("{who} | grade | {0}", 0),),
        "{who} | first class | ?",
        _yes_no(
            "first_class(P, {})", 'grade(P, G), level(G, N), allowed_from_grade("first-class rail", M)', "N >= M", "N < M",
            "If first-class rail is asked about, compare the grade with the one from which it is allowed.",
            [f'level("{grade}", {number}).' for number, grade in enumerate(GRADES, 1)],
        ),
        _rail,
    ),
    "home": Kind(
        "yesno",
        r"a (?P<a>G\d) (?P<who>employee) work from home (?P<b>\d) days",
        (
            "Are {1} days of home office a week open to {who} in grade {0}?",
            "Can {who}, grade {0}, be at home {1} days a week?",
            "A {role} of grade {0} asks for {1} days of home office a week. Is that possible?",
            "Is a {0} {role} free to stay at home for {1} days of each week?",
        ),
        (("{who} | grade | {0}", 0), ("{who} | days at home | {1}", 1)),
        "{who} | home office allowed | ?",
        _yes_no(
            "home_office_allowed(P, {})", 'grade(P, G), days_at_home(P, N), home_office(G, L, "days")', "N <= L", "N > L",
            "If days of home office are asked about, compare them with the most that the grade may have.",
        ),
        _home,
    ),
    "alcohol": Kind(
        "yesno",
        r"a glass of (?P<a>(?P<who>\w+)) at",
        (
            "Does the company pay for {0} at a dinner of {who}?",
            "{who} orders {0} for guests. Is that reimbursed?",
            "On the bill of {who} there is {0}. Will the money come back?",
        ),
        (("{0} | contains | alcohol", 0),),
        "{0} | paid | ?",
        _yes_no(
            "paid(D, {})", "contains(D, alcohol), reimbursed(alcohol, W)", "W != never", "W = never",
            "If a drink is asked about, see whether it is alcohol and whether that is reimbursed.",
        ),
        _alcohol,
    ),
    "receipt": Kind(
        "yesno",
        r"(?P<who>expense) of (?P<a>\d+) EUR without a receipt",
        (
            "{who} has lost the receipt for {0} EUR. Are they paid?",
            "Without a receipt, does {who} get {0} EUR back?",
            "{who} has no receipt for an expense of {0} EUR. Does the company pay it?",
        ),
        (("expense | receipt | none", "receipt"), ("expense | amount | {0}", 0)),
        "expense | paid | ?",
        _yes_no(
            "paid(E, {})", 'receipt(E, none), amount(E, N), paid_up_to("expense without a receipt", L, "EUR")', "N <= L", "N > L",
            "If an expense has no receipt, compare it with the most that is paid without one.",
        ),
        _receipt,
    ),
    "carry": Kind(
        "yesno",
        r"Can (?P<a>\d+) days of (?P<who>leave) be carried over",
        (
            "{who} has {0} days of leave left. May all of them be taken next year?",
            "Can {who} keep {0} unused days of leave?",
            "In December {who} still has {0} days of leave. Do they stay valid in January?",
        ),
        (("leave | days left | {0}", 0),),
        "leave | carried over | ?",
        _yes_no(
            "carried_over(X, {})", 'days_left(X, N), carried_over_at_most(leave, L, "days")', "N <= L", "N > L",
            "If leave is left over, compare its days with the most that are carried over.",
        ),
        _carry,
    ),
    "sick": Kind(
        "yesno",
        r"needed for (?P<a>\d+) days of (?P<who>sick leave)",
        (
            "{who} is ill for {0} days. Is a certificate asked for?",
            "Does {who} have to show a certificate after {0} sick days?",
            "{who} stays away sick for {0} days. Must a doctor certify it?",
        ),
        (("sick leave | days | {0}", 0),),
        "sick leave | certificate needed | ?",
        _yes_no(
            "certificate_needed(X, {})", 'days(X, N), certificate_from_day("sick leave", M)', "N >= M", "N < M",
            "If somebody is ill, compare the days with the day from which a certificate is needed.",
        ),
        _sick,
    ),
}  # fmt: skip


def _derive(case: Case, stated: tuple[Statement, ...], goal: str, look: Look) -> Derivation:
    kind = KINDS[case.kind]
    facts, told, answer = kind.answer(case.values, look)
    return Derivation(
        facts=tuple(facts),
        rules=(kind.rule,),
        steps=(*(fact.text for fact in facts), *told),
        uses=(*((index,) for index in range(len(facts))), *((),) * len(told)),
        answer=answer,
        stated=stated,
        goal=goal,
    )


# --- questions -------------------------------------------------------------------------------------------------------


def _published(row: Mapping[str, Any], where: str) -> tuple[Example, Case, str]:
    """A question, its values, and who or what they are about."""
    name, family, question, answer = (
        text_of(row, key, where, "the help desk") for key in ("id", "task", "question", "answer")
    )
    uid = f"{NAME}-{name}"
    found = [
        (kind, match)
        for kind, of in KINDS.items()
        if of.family == family and (match := re.search(of.pattern, question))
    ]
    if len(found) != 1:
        raise DataError(f"{where}: not a question of the family {family!r} that can be read: {question!r}")
    [(kind, match)] = found
    values = tuple(match[key] for key in ("a", "b") if key in match.re.groupindex)
    options = row.get("options") or ()
    if options and tuple(options) != APPROVERS:
        raise DataError(f"{where}: options must be {', '.join(APPROVERS)}, in this order")
    example = _example(uid, family, question, tuple(options), "test", f"{family}/{kind}/{values}")
    case = Case(kind, tuple(int(value) if value.isdigit() else value for value in values))
    gold = grading.gold_letter(answer, example.options) or answer
    return example.model_copy(update={"answer": gold}), case, match["who"]


def _example(uid: str, family: str, question: str, options: tuple[str, ...], split: str, template: str) -> Example:
    options = options or (APPROVERS if family == "approval" else ())
    task = f"{NAME}/{family}"
    group = question_key(task, question, options)
    return Example(
        uid=uid, task=task, question=question, answer="", options=options, split=split, group=group, template=template
    )


def _answered(example: Example, truth: Derivation, notes: list[str]) -> Example:
    """The example with its derivation; a published answer stands, and a note says where the policy gives another one."""
    if example.answer and squeeze(example.answer) != squeeze(truth.answer):
        notes.append(f"{example.uid}: the published answer is {example.answer}, the policy gives {truth.answer}")
    return example.model_copy(
        update={
            "answer": example.answer or truth.answer,
            "rationale": " ".join(truth.steps),
            "truth": truth,
        }
    )


def _made(
    family: str, policy: Policy, asked: set[Case], settings: HelpdeskSettings
) -> Iterator[tuple[Case, str, str, int]]:
    """Questions of a family, each once, its kinds and their answers in turn as long as there are any.

    Yields:
        The values, who or what they are about, the text, and the number of its wording.
    """
    rng = random.Random(f"{NAME}/{settings.seed}/{family}")
    waiting: list[list[tuple[Case, int]]] = []
    for kind in (name for name, of in KINDS.items() if of.family == family):
        by_answer: dict[str, list[Case]] = {}
        for case in _cases(kind, policy):
            if case not in asked:
                answer = KINDS[kind].answer(case.values, policy.look)[2] if family in ("yesno", "approval") else ""
                by_answer.setdefault(answer, []).append(case)
        wordings = len(KINDS[kind].wordings)
        for cases in by_answer.values():
            rng.shuffle(cases)
            # All values in one wording each, before any comes in another one.
            waiting.append([(c, (n + turn) % wordings) for turn in range(wordings) for n, c in enumerate(cases)][::-1])
    while waiting := [members for members in waiting if members]:
        for members in waiting:
            case, number = members.pop()
            wording, who, role = KINDS[case.kind].wordings[number], rng.choice(PEOPLE), rng.choice(ROLES)
            yield case, role if "{role}" in wording else who, wording.format(*case.values, who=who, role=role), number
    wanted = settings.train + settings.valid
    raise ConfigError(f"task {NAME}: train and valid together are {wanted} questions a family, but {family} has fewer")


def _cases(kind: str, policy: Policy) -> list[Case]:
    """All values that a made question of a kind may have."""
    grades = [fact.subject for fact in policy.facts if fact.relation == "hotel limit"]
    cities = [fact.subject for fact in policy.facts if fact.relation == "per-diem"]
    values: Mapping[str, Iterator[tuple[str | int, ...]]] = {
        "hotel": product(grades, range(2, 31)),
        "perdiem": product(cities, range(2, 31)),
        "approval": product(range(20, 10_000, 10)),
        "leave": product(grades, range(2, 36)),
        "rail": product(grades),
        "home": product(grades, range(2, 6)),
        "alcohol": product(DRINKS),
        "receipt": product(range(5, 61)),
        "carry": product(range(2, 13)),
        "sick": product(range(2, 13)),
    }
    return [Case(kind, one) for one in values[kind]]
