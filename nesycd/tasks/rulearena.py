"""RuleArena's airline set (SkyRiver-2000/RuleArena, MIT): what a passenger pays for a ticket and bags by a carrier's policy.

A folder with `comp_0.jsonl` and `comp_1.jsonl` of `{"prompt", "info", "answer"}` (levels 0 and 1: 5 and 8 items), which are the
test, `fee_tables/bag_K/D.csv` (fee of the K-th checked bag by route and class; D is 0 from the U.S., 1 to it), and
`reference_rules_textual.txt`, from which the levels and fees of overweight and oversize are read.

There is no training split. Training and valid questions are made here: other passengers in other words, between cities that no
test question names, with bags drawn anew. Say so beside every figure. A program derives all answers from facts, not from
rules; the rules of the derivations (`rulearena_rules.py`) stand apart from it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nesycd.core.errors import DataError
from nesycd.core.files import question_key, read_jsonl, read_text
from nesycd.core.records import Derivation, Example, Fact, Statement, content_hash
from nesycd.tasks.base import Card, no_number, text_of
from nesycd.tasks.policies import Derive, Look, Policy, PolicyTask, number_in, statements
from nesycd.tasks.rulearena_parser import read_ticket
from nesycd.tasks.rulearena_rules import CLASSES, FAR_SOUTH, GOAL, HOME, ORDINALS, RULES, bag_relation
from nesycd.tasks.source import FolderSettings, Source, table_rows

NAME = "rulearena"
IS_GENERATED = True
"""Training questions are made by a generator; said beside every figure."""
VERSION = 2
"""Grows when the same settings give other questions."""
LEVELS = (0, 1)
ITEMS = {0: 5, 1: 8}
_ASIA = ("India", "China", "Japan", "South Korea", "Hong Kong")
_EUROPE = ("Europe", "Israel", "Qatar")
_SOUTH = ("Panama", "Colombia", "Ecuador", "Peru", "South America")
_NORTH = (HOME, "Puerto Rico", "Canada")
REGIONS = (*_NORTH, "Mexico", "Cuba", "Haiti", *_SOUTH, *_EUROPE, *_ASIA, *FAR_SOUTH)

CARD = Card(
    name=NAME,
    source="SkyRiver-2000/RuleArena",
    licence="MIT",
    sizes={"airline-0": 100, "airline-1": 100},
    splits="test (both levels); train and valid are made here: other passengers, cities and bags",
    grading="as a number",
    by_task=True,
    refused=no_number,
)
CAUTION = (
    "RuleArena has no training split: say beside every figure that the training passengers were made by a generator"
)


class RulearenaSettings(FolderSettings):
    """Airline fees; `path` is the folder with `comp_0.jsonl`, `comp_1.jsonl`, the fee tables and the policy's text."""

    train: int = Field(default=300, ge=1)
    """Made training questions of each level."""
    valid: int = Field(default=50, ge=1)
    """Made questions of each level in `valid`."""


class Bag(BaseModel):
    """An item: sizes in inches, weight in lbs."""

    model_config = ConfigDict(frozen=True)
    name: str
    size: tuple[int, int, int]
    weight: int

    @property
    def inches(self) -> int:
        """Length + width + height."""
        return sum(self.size)


class Trip(BaseModel):
    """What a question says, as its publisher writes it down (`info`), and the two cities."""

    model_config = ConfigDict(frozen=True)
    base_price: int
    customer_class: str
    routine: str
    """The region at the other end of the route."""
    direction: int = Field(ge=0, le=1)
    """0 from the U.S., 1 to it."""
    bag_list: tuple[Bag, ...] = Field(min_length=1)
    cities: tuple[str, str]

    def stated_in(self, question: str) -> tuple[Statement, ...]:
        """The same as a question says it; items are numbered from 1."""
        start, end = self.cities
        read = [
            (f"ticket | class | {self.customer_class}", re.escape(self.customer_class)),
            (f"ticket | from | {start}", f"[Ff]rom {re.escape(start)}"),
            (f"ticket | to | {end}", f" to {re.escape(end)}"),
            (f"ticket | costs | {self.base_price}", rf"\${self.base_price}\b"),
        ]
        for number, bag in enumerate(self.bag_list, 1):
            line = rf"^(?:Item )?{number}[.:)] .*?\b"
            read += [
                (f"item {number} | measures | {' | '.join(map(str, bag.size))}", line + " x ".join(map(str, bag.size))),
                (f"item {number} | weighs | {bag.weight}", rf"{line}{bag.weight} lbs"),
            ]
        return statements(question, read)


class Rulearena(PolicyTask):
    """Airline fees; `uid` is `rulearena-airline-0-012` with the line from 0, `rulearena-train-0-012` for a made question.

    `Example.metadata` has what the question says in the publisher's form (`info`).

    Raises:
        DataError: a missing file or fee, or a line of another shape.
    """

    def __init__(self, settings: RulearenaSettings) -> None:
        source = Source(settings)
        tables = {(k, d): source.file(f"fee_tables/bag_{k}/{d}.csv") for k, d in product(range(1, 5), (0, 1))}
        text = source.file("reference_rules_textual.txt")
        facts = [*_bag_fees(tables), *_extra_fees(read_text(text), str(text)), *_LIMITS]
        published = [
            _published(row, where, level, index)
            for level in LEVELS
            for index, (where, row) in enumerate(read_jsonl(source.file(f"comp_{level}.jsonl")))
        ]
        asked = {city for _, trip in published for city in trip.cities}
        cities = {region: [one for one in names if one not in asked] for region, names in _CITIES.items()}
        made = {
            split: [
                _made(settings, split, level, index, cities)
                for level in LEVELS
                for index in range(settings.train if split == "train" else settings.valid)
            ]
            for split in ("train", "valid")
        }
        found = made | {"test": published}
        policy = Policy([*facts, *_city_facts(trip for members in found.values() for _, trip in members)])
        notes = [CAUTION]
        derive: dict[str, Derive] = {
            example.uid: partial(_derive, trip, trip.stated_in(example.question))
            for members in found.values()
            for example, trip in members
        }
        splits = {
            split: [_answered(example, derive[example.uid](policy.look), notes) for example, _ in members]
            for split, members in found.items()
        }
        sizes = {f"airline-{level}": sum(one.task.endswith(f"-{level}") for one in splits["test"]) for level in LEVELS}
        notes += CARD.size_notes(sizes, source.name)
        made_by = content_hash([VERSION, settings.model_dump(mode="json", exclude={"path"}), source.fingerprint])
        super().__init__(NAME, splits, derive, policy, notes, fingerprint=made_by)

    def parse(self, example: Example) -> tuple[tuple[str, ...], str] | None:
        """What regular expressions read in a question; see `Parses`."""
        return read_ticket(example.question), GOAL

    def other_object(self, fact: Fact, rng: random.Random) -> str:
        """Another region of a city; else see `PolicyTask.other_object`."""
        if fact.relation == "region":
            return rng.choice([region for region in REGIONS if region not in (fact.object, "Cuba")])
        return super().other_object(fact, rng)


# --- the policy ------------------------------------------------------------------------------------------------------


def _bag_fees(tables: Mapping[tuple[int, int], Any]) -> list[Fact]:
    """The fee of each checked bag by route and class; routes whose two directions differ have a subject for each."""
    fees: dict[tuple[int, int, str, str], str] = {}
    for (bag, direction), path in tables.items():
        for where, row in table_rows(path, CLASSES, "RuleArena"):
            region = row.get("", "")
            if region not in REGIONS or not all(row[one].isdigit() for one in CLASSES):
                raise DataError(f"{where}: a region of RuleArena and six fees are needed, but the row is {row}")
            fees |= {(bag, direction, region, one): row[one] for one in CLASSES}
    found: dict[tuple[str, str], Fact] = {}
    for (bag, direction, region, one), fee in fees.items():
        differ = any(fees.get((k, 0, region, c)) != fees.get((k, 1, region, c)) for k in range(1, 5) for c in CLASSES)
        subject = _route(region, direction) if differ else region
        text = f"{_sentence(subject)}, the {ORDINALS[bag - 1]} checked bag costs {fee} dollars in {one}."
        relation = bag_relation(bag, one)
        found[subject, relation] = _fact(subject, relation, f"{fee} dollars", text)
    return [*found.values()]


def _route(region: str, direction: int) -> str:
    return f"{'from' if direction else 'to'} {region}"


def _sentence(subject: str) -> str:
    return f"On flights {subject}" if subject.startswith(("to ", "from ")) else f"On flights to or from {subject}"


def _fact(subject: str, relation: str, value: str, text: str) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=value)


_LIMITS = (
    *(
        _fact("carry-on", f"{side} at most", f"{most} inches", f"A carry-on has a {side} of at most {most} inches.")
        for side, most in (("length", 22), ("width", 14), ("height", 9))
    ),
    _fact("complimentary bag", "weight allowance", "70 lbs", "The weight allowance of a complimentary bag is 70 lbs."),
)
"""What the policy's prose says once."""

_CUBA = "To / From Cuba"
_ROUTES: Mapping[str, tuple[str, ...]] = {
    "Within and between U.S.": _NORTH,
    "Between U.S., Puerto Rico": _NORTH,
    _CUBA: ("Cuba",),
    "Between Mexico": ("Mexico", "Cuba", "Haiti", *_SOUTH),
    "To or from Mexico": ("Mexico", "Cuba", "Haiti"),
    "To or from Panama": _SOUTH,
    "Between Europe": _EUROPE,
    "To or from Europe": _EUROPE,
    "To or from Australia": FAR_SOUTH,
    "To or from India": _ASIA,
    "To or from China": (*_ASIA, *FAR_SOUTH),
}
"""How the policy begins the name of a group of routes -> its regions among those of the fee tables."""

_WEIGHT = re.compile(r"^#+ Over (\d+) lbs[^\n]*?to (\d+) lbs[^\n]*\n(.*?)(?=^#)", re.MULTILINE | re.DOTALL)
_SIZE = re.compile(r"flight is ([^\n]+?) AND the bag size is Over (\d+) in / \d+ cm . (\d+) in[^\n]*? be \$(\d+)")
_BY_ROUTE = re.compile(r"flight is ([^\n]+?) AND you are a [^\n]*? should be (?:\$(\d+)|Not accepted)")


def _extra_fees(text: str, where: str) -> list[Fact]:
    """The levels of overweight and oversize and their fees by region."""
    weights, sizes = _WEIGHT.findall(text), _SIZE.findall(text)
    if len(weights) != 3 or not sizes:
        raise DataError(
            f"{where}: three levels of overweight, and oversize fees, cannot be found; is this RuleArena's own file?"
        )
    facts: dict[tuple[str, str], Fact] = {}

    def state(subject: str, relation: str, value: str, told: str) -> None:
        fact = facts.setdefault((subject, relation), _fact(subject, relation, value, told))
        if fact.object != value:
            raise DataError(f"{where}: {told} But another line says {fact.object}")

    for level, (above, _, lines) in enumerate(weights, 1):
        told = f"Overweight level {level} begins above {above} lbs."
        state(f"overweight level {level}", "begins above", f"{above} lbs", told)
        # The lowest level has the same fee everywhere, given by class.
        fees = _BY_ROUTE.findall(lines) or [("", fee) for fee in re.findall(r"should be \$(\d+)", lines)]
        of_cuba = [route for route, _ in fees if route.startswith(_CUBA)]
        for route, fee in fees:
            for region in _regions(route, where) if route else REGIONS:
                # Where Cuba has a line of its own, that of the Caribbean is not about it.
                if fee and (region != "Cuba" or not of_cuba or route in of_cuba):
                    _state_fee(state, region, f"overweight level {level}", fee)
    for level, above in enumerate(dict.fromkeys(above for _, above, _, _ in sizes), 1):
        told = f"Oversize level {level} begins above {above} inches."
        state(f"oversize level {level}", "begins above", f"{above} inches", told)
        for route, begins, _, fee in sizes:
            for region in _regions(route, where) if begins == above else ():
                _state_fee(state, region, f"oversize level {level}", fee)
    return [*facts.values()]


def _state_fee(state: Callable[[str, str, str, str], None], region: str, level: str, fee: str) -> None:
    state(region, f"fee of {level}", f"{fee} dollars", f"{_sentence(region)}, {level} costs {fee} dollars.")


def _regions(route: str, where: str) -> tuple[str, ...]:
    found = [regions for begins, regions in _ROUTES.items() if route.startswith(begins)]
    if len(found) != 1:
        raise DataError(f"{where}: no group of routes is known as {route!r}")
    return found[0]


def _city_facts(trips: Iterable[Trip]) -> list[Fact]:
    """The region of each city: at one end of every route is the U.S., at the other the region that is said."""
    regions: dict[str, str] = {}
    for trip in trips:
        ends = (HOME, trip.routine) if trip.direction == 0 else (trip.routine, HOME)
        for city, region in zip(trip.cities, ends, strict=True):
            if regions.setdefault(city, region) != region:
                raise DataError(f"{city} is in {regions[city]} in one question, and in {region} in another")
    said = "{} is in the region {} of the fee tables."
    return [_fact(city, "region", region, said.format(city, region)) for city, region in regions.items()]


# --- the program that answers ----------------------------------------------------------------------------------------


class _Working:
    """Looks facts up and remembers each once, in the order of need."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self.facts: dict[tuple[str, str], Fact] = {}

    def fact(self, subject: str, relation: str) -> Fact:
        return self.facts.setdefault((subject, relation), self._look(subject, relation))

    def number(self, subject: str, relation: str) -> int:
        return number_in(self.fact(subject, relation))

    def try_fact(self, subject: str, relation: str) -> Fact | None:
        try:
            return self.fact(subject, relation)
        except DataError:
            return None


@dataclass(frozen=True)
class _Extra:
    """An extra fee and how it comes about."""

    fee: int
    told: str


def _derive(trip: Trip, stated: tuple[Statement, ...], look: Look) -> Derivation:
    working, told = _Working(look), list[str]()
    ends = [working.fact(city, "region").object for city in trip.cities]
    region, direction = (ends[1], 0) if ends[0] == HOME else (ends[0], 1)
    told.append(f"So this is a flight {_route(region, direction)}.")
    limits = [working.number("carry-on", f"{side} at most") for side in ("length", "width", "height")]
    carried = next((n for n, bag in enumerate(trip.bag_list) if all(map(int.__le__, bag.size, limits))), None)
    told.append("No item is a carry-on." if carried is None else f"Item {carried + 1} is the carry-on.")
    checked = [n for n in range(len(trip.bag_list)) if n != carried]
    fees = [
        _bag_fee(working, region, direction, min(place, 4), trip.customer_class) for place in range(1, len(checked) + 1)
    ]
    free = fees.count(0)
    allowed = trip.customer_class in ("First", "Business") or region in FAR_SOUTH
    extras = {n: _extra(working, region, trip.bag_list[n], 0) for n in checked}
    if free and allowed:
        allowance = working.number("complimentary bag", "weight allowance")
        lighter = {n: _extra(working, region, trip.bag_list[n], allowance) for n in checked}
        saving = sorted(checked, key=lambda n: lighter[n].fee - extras[n].fee)[:free]
        chosen = sorted(n for n in saving if lighter[n].fee < extras[n].fee)
        extras |= {n: lighter[n] for n in chosen}
        items = ", ".join(str(n + 1) for n in chosen)
        told += [f"Complimentary bags: {free}; items that may weigh {allowance} lbs for it: {items}."] if chosen else []
    told += [f"Item {n + 1}: {extras[n].told}" for n in checked]
    amounts = [trip.base_price]
    for named, parts in (("bags", fees), ("extra fees", [extras[n].fee for n in checked])):
        if parts:
            told.append(f"For {named}: {_sum(parts)}.")
            amounts.append(sum(parts))
    told.append(f"In all: {_sum(amounts)}.")
    facts = tuple(working.facts.values())
    return Derivation(
        facts=facts,
        rules=RULES,
        steps=(*(fact.text for fact in facts), *told),
        uses=(*((index,) for index in range(len(facts))), *((),) * len(told)),
        answer=str(sum(amounts)),
        stated=stated,
        goal=GOAL,
    )


def _sum(parts: Sequence[int]) -> str:
    return f"{' + '.join(map(str, parts))} = {sum(parts)}" if len(parts) > 1 else str(parts[0])


def _bag_fee(working: _Working, region: str, direction: int, bag: int, customer_class: str) -> int:
    relation = bag_relation(bag, customer_class)
    fact = working.try_fact(region, relation) or working.fact(_route(region, direction), relation)
    return number_in(fact)


def _extra(working: _Working, region: str, bag: Bag, allowance: int) -> _Extra:
    """The higher fee of the two levels that a bag reaches; no weight up to the allowance counts."""
    heavy = _level(working, "overweight", 3, bag.weight if bag.weight > allowance else 0)
    large = _level(working, "oversize", 2, bag.inches)
    fees = [working.number(region, f"fee of {level}") for level in (heavy, large) if level]
    sizes = f"{' + '.join(map(str, bag.size))} = {bag.inches} inches, {large or 'no oversize'}"
    told = f"{sizes}; {bag.weight} lbs, {heavy or 'no overweight'}; extra ${max(fees, default=0)}."
    return _Extra(max(fees, default=0), told)


def _level(working: _Working, sort: str, levels: int, value: int) -> str:
    """The level with the highest limit that a value is above; "" where it is above none."""
    names = [f"{sort} level {level}" for level in range(1, levels + 1)]
    limits = [(working.number(name, "begins above"), name) for name in names]
    return max(((limit, name) for limit, name in limits if value > limit), default=(0, ""))[1]


# --- questions -------------------------------------------------------------------------------------------------------

_BETWEEN = re.compile(r"flying from (.+?) to (.+?) with ")
_WHO = re.compile(r"^(\w+)")


def _published(row: Mapping[str, Any], where: str, level: int, index: int) -> tuple[Example, Trip]:
    prompt = text_of(row, "prompt", where, "RuleArena")
    info, answer, cities = row.get("info"), row.get("answer"), _BETWEEN.search(prompt)
    if not isinstance(info, dict) or not isinstance(answer, int) or cities is None:
        raise DataError(f"{where}: prompt ('... flying from A to B with ...'), info and a whole answer are needed")
    try:
        trip = Trip.model_validate(info | {"cities": cities.groups()})
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{where}: info.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if trip.customer_class not in CLASSES or trip.routine not in REGIONS:
        raise DataError(f"{where}: no class {trip.customer_class!r}, or no region {trip.routine!r}, in RuleArena")
    who = (_WHO.search(prompt) or ["the passenger"])[0]
    question = f"{prompt}\nHow many dollars does {who} pay in all for the ticket and the items?"
    example = _example(f"{NAME}-airline-{level}-{index:03d}", level, question, "test", info)
    return example.model_copy(update={"answer": str(answer)}), trip


def _example(uid: str, level: int, question: str, split: str, info: Mapping[str, Any]) -> Example:
    task = f"{NAME}/airline-{level}"
    key = question_key(task, question)
    return Example(
        uid=uid,
        task=task,
        question=question,
        answer="",
        split=split,
        group=key,
        metadata={"level": level, "info": info},
    )


def _answered(example: Example, truth: Derivation, notes: list[str]) -> Example:
    """The example with its derivation; a published answer stands, and a note says where the program gives another one."""
    if example.answer and example.answer != truth.answer:
        notes.append(f"{example.uid}: the published answer is {example.answer}, the program gives {truth.answer}")
    told = {"answer": example.answer or truth.answer, "rationale": " ".join(truth.steps), "truth": truth}
    return example.model_copy(update=told)


# --- made questions --------------------------------------------------------------------------------------------------

_PEOPLE = ("Amara", "Bela", "Chidi", "Dunja", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Leif")
_THINGS = ("suitcase", "trunk", "duffel bag", "travel bag")
_CITIES: Mapping[str, tuple[str, ...]] = {
    HOME: (
        "Tulsa",
        "Omaha",
        "Boise",
        "Tucson",
        "Fresno",
        "Memphis",
        "Buffalo",
        "Albany",
        "Reno",
        "Knoxville",
        "Spokane",
    ),
    "Puerto Rico": ("Ponce", "Aguadilla", "Mayaguez"),
    "Canada": ("Regina", "Halifax", "Kelowna"),
    "Mexico": ("Puebla", "Merida", "Durango"),
    "Cuba": ("Holguin", "Camaguey", "Cienfuegos"),
    "Haiti": ("Cap-Haitien", "Jacmel"),
    "Panama": ("David", "Santiago de Veraguas"),
    "Colombia": ("Cali", "Pereira", "Santa Marta"),
    "Ecuador": ("Cuenca", "Loja"),
    "Peru": ("Cusco", "Arequipa"),
    "South America": ("Montevideo", "Asuncion", "Recife"),
    "Israel": ("Haifa", "Eilat"),
    "Qatar": ("Al Khor", "Al Wakrah"),
    "Europe": ("Lyon", "Porto", "Krakow", "Gothenburg", "Graz"),
    "India": ("Pune", "Jaipur"),
    "China": ("Dalian", "Kunming"),
    "Japan": ("Sendai", "Kobe"),
    "South Korea": ("Daegu", "Gwangju"),
    "Hong Kong": ("Kowloon", "Tsuen Wan"),
    "Australia": ("Darwin", "Hobart"),
    "New Zealand": ("Dunedin", "Hamilton"),
}
_WORDINGS = (
    "{who} has a {cls} ticket of ${price} from {a} to {b}. There are these items:\n{items}\n"
    "What is the total in dollars, ticket and fees together?",
    "From {a} to {b} in {cls}, {who} takes along:\n{items}\nThe fare is ${price}. What does it cost in all, in dollars?",
    "{who} goes from {a} to {b}. The ticket, {cls}, costs ${price}. Luggage:\n{items}\nHow many dollars are due in all?",
    "A flight to {b} from {a} is booked in {cls} by {who}.\nThe bags are these.\n{items}\n"
    "For the flight itself {who} was charged ${price}. Give the sum of everything in dollars.",
    "{who} flies in {cls} Class from {a} to {b} and checks in what follows.\n{items}\n"
    "The seat alone comes to ${price}. What is to be paid in all, in dollars?",
    "On the way from {a} to {b} {who} sits in {cls} Class. Packed are:\n{items}\n"
    "Without them ${price} would be due. How many dollars is it with them?",
)
_ITEMS = (
    "{number}. a {name} of {size} inches and {weight} lbs",
    "{number}. {name}, {weight} lbs, {size} in",
    "Item {number}: {name} with {size} inches, weighing {weight} lbs",
    "{number}) {size} inches and {weight} lbs: {name}",
)


def _made(
    settings: RulearenaSettings, split: str, level: int, index: int, cities: Mapping[str, Sequence[str]]
) -> tuple[Example, Trip]:
    rng = random.Random(f"{NAME}/{settings.seed}/{split}/{level}/{index}")
    region = HOME if rng.random() < 0.25 else rng.choice([one for one in REGIONS if one != HOME and cities[one]])
    start, end = rng.sample(list(cities[HOME]), 2)
    direction = rng.randrange(2)
    if region != HOME:
        start, end = (start, rng.choice(cities[region])) if direction == 0 else (rng.choice(cities[region]), end)
    # No fee is known for a third bag to or from Cuba.
    count = 3 if region == "Cuba" else ITEMS[level]
    bags = [_bag(rng, region, is_carried=number == 0) for number in range(count)]
    trip = Trip(
        base_price=rng.randrange(40, 1500),
        customer_class=rng.choice(CLASSES),
        routine=region,
        direction=direction,
        bag_list=tuple(bags),
        cities=(start, end),
    )
    listed = rng.randrange(len(_ITEMS))
    items = "\n".join(
        _ITEMS[listed].format(number=number, name=bag.name, size=" x ".join(map(str, bag.size)), weight=bag.weight)
        for number, bag in enumerate(bags, 1)
    )
    number = rng.randrange(len(_WORDINGS))
    question = _WORDINGS[number].format(
        who=rng.choice(_PEOPLE), cls=trip.customer_class, price=trip.base_price, a=start, b=end, items=items
    )
    info = trip.model_dump(mode="json", exclude={"cities"})
    example = _example(f"{NAME}-{split}-{level}-{index:03d}", level, question, split, info)
    return example.model_copy(update={"template": f"airline/{number}/{listed}"}), trip


def _bag(rng: random.Random, region: str, *, is_carried: bool) -> Bag:
    if is_carried:
        size = (rng.randrange(17, 23), rng.randrange(10, 15), rng.randrange(6, 10))
        return Bag(name=rng.choice(_THINGS), size=size, weight=rng.randrange(5, 15))
    inches = rng.choice((rng.randrange(52, 63), rng.randrange(63, 66), rng.randrange(66, 116)))
    length = rng.randrange(inches * 2 // 5, inches // 2 + 1)
    width = rng.randrange((inches - length) // 2, (inches - length) * 2 // 3 + 1)
    # Bags above 70 lbs are not accepted on some routes.
    heaviest = 70 if region in (*_EUROPE, *FAR_SOUTH) else 100
    weight = rng.choice(
        (rng.randrange(38, 51), rng.randrange(51, 54), rng.randrange(54, 71), rng.randrange(54, heaviest + 1))
    )
    return Bag(name=rng.choice(_THINGS), size=(length, width, inches - length - width), weight=weight)
