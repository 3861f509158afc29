"""The airline's policy as rules with clauses, apart from the program that gives the gold answers (`rulearena.py`).

They run over the policy's facts and what a question says: `ticket | from | Boston`, `ticket | to | Lima`,
`ticket | class | First`, `ticket | costs | 300`, and of each item `item 1 | measures | 20 | 15 | 8` and `item 1 | weighs | 45`;
the goal is `ticket | total | ?`. Where a needed fee, a limit or the weight of an item is lacking they come to no total, rather
than to one without it.
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


GOAL = "ticket | total | ?"
_BAG_FEES = [
    f'fee(R, "{one}", {bag}, F) :- {predicate_of(bag_relation(bag, one))}(R, F, "dollars").'
    for bag in range(1, 5)
    for one in CLASSES
]
_HEAVY = [
    f'heavy(I, {k}, X) :- weighs(I, W), begins_above("overweight level {k}", X, "lbs"), W > X. '
    f'heavy_fee(R, {k}, F) :- fee_of_overweight_level_{k}(R, F, "dollars").'
    for k in (1, 2, 3)
]
_LARGE = [
    f'large(I, {k}, X) :- measures(I, A, B, C), begins_above("oversize level {k}", X, "inches"), A + B + C > X. '
    f'large_fee(R, {k}, F) :- fee_of_oversize_level_{k}(R, F, "dollars").'
    for k in (1, 2)
]
_GENEROUS = [f'generous(yes) :- class(T, "{one}").' for one in ("First", "Business")]
_GENEROUS += [f'generous(yes) :- flight("{region}").' for region in FAR_SOUTH]

_TOTAL = (
    "total(T, S) :- costs(T, P), bag_fees(A), extras(B), saved(C), S is P + A + B - C.",
    "bag_fees(A) :- bags(N), K is min(N, 4), K is count(M : bag_fee(M, _), M <= N), "
    "A is sum(F, M : bag_fee(M, F), M <= N) + sum(F : further(F)).",
    "bag_fee(K, F) :- class(T, C), on(R), fee(R, C, K, F).",
    "further(F) :- bags(N), N > 4, bag_fee(4, G), F is (N - 4) * G.",
    f'flight(R) :- from(T, A), to(T, B), region(A, "{HOME}"), region(B, R).',
    f'flight(R) :- from(T, A), region(A, R), R != "{HOME}".',
    "on(R) :- flight(R).",
    f'on("to Cuba") :- flight("Cuba"), from(T, A), region(A, "{HOME}").',
    'on("from Cuba") :- from(T, A), region(A, "Cuba").',
    *_BAG_FEES,
)
_CHECKED = (
    "bags(N) :- limits(X, Y, Z), count(I : fits(I)) <= 1, N is count(I : checked(I)).",
    "checked(I) :- measures(I, A, B, C), not fits(I).",
    "fits(I) :- measures(I, A, B, C), limits(X, Y, Z), A <= X, B <= Y, C <= Z.",
    'limits(X, Y, Z) :- length_at_most("carry-on", X, "inches"), width_at_most("carry-on", Y, "inches"), '
    'height_at_most("carry-on", Z, "inches").',
)
_EXTRA = (
    "extras(B) :- bags(N), N is count(I : extra(I, _)), B is sum(F, I : extra(I, F)).",
    "extra(I, F) :- weight_fee(I, A), size_fee(I, B), F is max(A, B).",
    "weight_fee(I, 0) :- checked(I), weighs(I, W), weight_levels(yes), not heavy(I, _, _).",
    "weight_fee(I, F) :- weight_level(I, K), weight_levels(yes), flight(R), heavy_fee(R, K, F).",
    "weight_level(I, K) :- checked(I), X is max(Y : heavy(I, _, Y)), K is max(L : heavy(I, L, X)).",
    'weight_levels(yes) :- begins_above("overweight level 1", X, "lbs"), begins_above("overweight level 2", Y, "lbs"), '
    'begins_above("overweight level 3", Z, "lbs").',
    "size_fee(I, 0) :- checked(I), size_levels(yes), not large(I, _, _).",
    "size_fee(I, F) :- size_level(I, K), size_levels(yes), flight(R), large_fee(R, K, F).",
    "size_level(I, K) :- checked(I), X is max(Y : large(I, _, Y)), K is max(L : large(I, L, X)).",
    'size_levels(yes) :- begins_above("oversize level 1", X, "inches"), begins_above("oversize level 2", Y, "inches").',
    *_HEAVY,
    *_LARGE,
)
_SAVED = (
    "saved(0) :- bags(N), not generous(yes).",
    "saved(0) :- free(0).",
    "saved(S) :- generous(yes), free(M), M > 0, allowance(X), S is sum(A, V : saved_by(V, A)).",
    'allowance(X) :- weight_allowance("complimentary bag", X, "lbs").',
    "free(M) :- bags(N), M is count(K : bag_fee(K, 0), K <= N) + sum(X : free_further(X)).",
    "free_further(X) :- bags(N), N > 4, bag_fee(4, 0), X is N - 4.",
    # So many bags save V each; those that save more go before them.
    "saved_by(V, A) :- as_much(V, N), more(V, G), free(M), A is V * max(0, min(N, M - G)).",
    "as_much(V, N) :- saving(_, V), N is count(I : saving(I, V)).",
    "more(V, G) :- saving(_, V), G is count(J : saving(J, U), U > V).",
    "saving(I, S) :- extra(I, F), weighs(I, W), allowance(X), W <= X, size_fee(I, G), S is F - G.",
    *_GENEROUS,
)

RULES = (
    Rule(
        text="If somebody flies with bags, add the ticket, the fee of each checked bag by its number, "
        "and the extra fee of each bag that is too heavy or too large.",
        clause="\n".join(_TOTAL),
        says="{T} | total | {S}",
    ),
    Rule(
        text="If items are taken along, the one that is small enough is the carry-on, and all others are checked bags.",
        clause="\n".join(_CHECKED),
    ),
    Rule(
        text="If a bag is both overweight and oversize, only the higher of the two fees is paid.",
        clause="\n".join(_EXTRA),
    ),
    Rule(
        text="If a checked bag costs nothing in First or Business, or on flights to or from Australia or New Zealand, "
        "it may weigh as much as a complimentary bag; take those bags for it that save most.",
        clause="\n".join(_SAVED),
    ),
)
