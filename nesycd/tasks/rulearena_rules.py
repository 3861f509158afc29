"""The airline's policy as rules with clauses, apart from the program that gives the gold answers (`rulearena.py`).

They run over the policy's facts and what a question says: `trip(From, To)`, `ticket(Dollars)`, `fare(Class)` and
`item(Number, Length, Width, Height, Weight)`.
"""

from __future__ import annotations

from nesycd.core.records import Rule
from nesycd.rules.clauses import predicate_of

HOME = "U.S."
FAR_SOUTH = ("Australia", "New Zealand")
CLASSES = ("Basic Economy", "Main Cabin", "Main Plus", "Premium Economy", "Business", "First")
ORDINALS = ("first", "second", "third", "fourth")


def bag_relation(bag: int, customer_class: str) -> str:
    """The relation of a route and the fee of a checked bag; bag 4 is each one from the fourth on."""
    return f"{customer_class} fee of the {ORDINALS[bag - 1]} bag"


_BAG_FEES = [
    f'fee(R, "{one}", {bag}, F) :- {predicate_of(bag_relation(bag, one))}(R, F, "dollars").'
    for bag in range(1, 5)
    for one in CLASSES
]
_HEAVY = [
    f"overweight(I, X, {k}) :- item(I, A, B, C, W), overweight_level_{k}_begins_above(lbs, X), W > X. "
    f'heavy(R, {k}, F) :- fee_of_overweight_level_{k}(R, F, "dollars").'
    for k in (1, 2, 3)
]
_LARGE = [
    f"oversize(I, X, {k}) :- item(I, A, B, C, W), oversize_level_{k}_begins_above(inches, X), A + B + C > X. "
    f'large(R, {k}, F) :- fee_of_oversize_level_{k}(R, F, "dollars").'
    for k in (1, 2)
]
_GENEROUS = [f'generous(yes) :- fare("{one}").' for one in ("First", "Business")]
_GENEROUS += [f'generous(yes) :- flight("{region}").' for region in FAR_SOUTH]

_TOTAL = (
    "total(P, T) :- ticket(P), A is sum(F, I : bag_fee(I, F)), B is sum(F, I : paid_extra(I, F)), T is P + A + B.",
    "bag_fee(I, F) :- in_order(I, N), N < 4, fare(C), on(R), fee(R, C, N, F).",
    "bag_fee(I, F) :- in_order(I, N), N >= 4, fare(C), on(R), fee(R, C, 4, F).",
    "in_order(I, N) :- checked(I), N is count(J : checked(J), J <= I).",
    f'flight(R) :- trip(A, B), region(A, "{HOME}"), region(B, R).',
    f'flight(R) :- trip(A, B), region(A, R), R != "{HOME}".',
    "on(R) :- flight(R).",
    'on("to Cuba") :- trip(A, B), region(B, "Cuba").',
    'on("from Cuba") :- trip(A, B), region(A, "Cuba").',
    *_BAG_FEES,
)
_CHECKED = (
    "checked(I) :- item(I, A, B, C, W), not carried(I).",
    "carried(I) :- fits(I), I is min(J : fits(J)).",
    "fits(I) :- item(I, A, B, C, W), carry_on_length_at_most(inches, X), carry_on_width_at_most(inches, Y), "
    "carry_on_height_at_most(inches, Z), A <= X, B <= Y, C <= Z.",
)
_EXTRA = (
    "extra(I, F) :- checked(I), F is max(X : possible(I, X)).",
    "possible(I, 0) :- checked(I).",
    "possible(I, F) :- size_fee(I, F).",
    "possible(I, F) :- weight_fee(I, F).",
    "weight_fee(I, F) :- checked(I), X is max(Y : overweight(I, Y, L)), overweight(I, X, K), flight(R), heavy(R, K, F).",
    "size_fee(I, F) :- checked(I), X is max(Y : oversize(I, Y, L)), oversize(I, X, K), flight(R), large(R, K, F).",
    *_HEAVY,
    *_LARGE,
)
_PAID = (
    "paid_extra(I, F) :- extra(I, F), not chosen(I).",
    "paid_extra(I, F) :- chosen(I), lighter(I, F).",
    "chosen(I) :- generous(yes), saving(I, S), N is count(J : goes_before(J, I)), M is count(K : bag_fee(K, 0)), N < M.",
    "goes_before(J, I) :- saving(J, T), saving(I, S), T > S.",
    "goes_before(J, I) :- saving(J, S), saving(I, S), J < I.",
    "saving(I, S) :- extra(I, F), lighter(I, G), S is F - G.",
    "lighter(I, F) :- checked(I), F is max(X : possible_lighter(I, X)).",
    "possible_lighter(I, 0) :- checked(I).",
    "possible_lighter(I, F) :- size_fee(I, F).",
    "possible_lighter(I, F) :- weight_fee(I, F), item(I, A, B, C, W), "
    'weight_allowance("complimentary bag", X, "lbs"), W > X.',
    *_GENEROUS,
)

RULES = (
    Rule(
        text="If somebody flies with bags, add the ticket, the fee of each checked bag by its number, "
        "and the extra fee of each bag that is too heavy or too large.",
        clause="\n".join(_TOTAL),
        says="ticket for {P} dollars | total in dollars | {T}",
    ),
    Rule(
        text="If items are taken along, the first one that is small enough is the carry-on, and all others are checked bags.",
        clause="\n".join(_CHECKED),
    ),
    Rule(
        text="If a bag is both overweight and oversize, only the higher of the two fees is paid.",
        clause="\n".join(_EXTRA),
    ),
    Rule(
        text="If a checked bag costs nothing in First or Business, or on flights to or from Australia or New Zealand, "
        "it may weigh as much as a complimentary bag; take those bags for it that save most.",
        clause="\n".join(_PAID),
    ),
)
