"""Goals derived from statements, a base's facts and its rules: kinship, a policy of fees, and what is refused or said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Item, Rule, Status
from nesycd.knowledge import Entities, Relation
from nesycd.knowledge import goals as module
from nesycd.knowledge.goals import Answers, Premises, derive, needed_for
from nesycd.rules import Engine, Limits
from nesycd.rules.parser import parse_clauses, parse_goal


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def fact(subject: str, relation: str, value: str, *aliases: str) -> Fact:
    return Fact(
        text=f"{subject} {relation} {value}.", subject=subject, relation=relation, object=value, aliases=aliases
    )


def premises(engine: Engine, *items: Item, entities: Entities | None = None) -> Premises:
    base = Premises([Entry(item=item, status=Status.APPROVED) for item in items], engine, entities)
    assert base.faults == {}
    return base


def values(made: Answers) -> list[str]:
    return [",".join(value for _, value in one.values) for one in made.found]


# --- kinship ----------------------------------------------------------------------------------------------------------

COMPOSED = ("father brother uncle", "mother brother uncle", "uncle son cousin", "son son grandson",
            "grandson sister granddaughter", "father father grandfather", "daughter son grandson")  # fmt: skip
KIN = tuple(
    Rule(text=f"A {first}'s {second} is one's {made}.", clause=f"{made}(X, Z) :- {first}(X, Y), {second}(Y, Z).")
    for first, second, made in (one.split() for one in COMPOSED)
)


def test_which_relation_holds_is_composed_from_a_story(engine: Engine) -> None:
    story = ['father("Ann", "Ben")', 'brother("Ben", "Cy").', 'son("Cy", "Dan")', 'father("Kim", "Lou")']
    made = derive('R("Ann", "Dan")', story, premises(engine, *KIN))
    assert made.outcome == "one"
    [one] = made.found
    assert (str(one.atom), one.values, one.text) == (
        'cousin("Ann", "Dan")',
        (("relation", "cousin"),),
        "Ann | cousin | Dan",
    )
    assert one.stated == (0, 1, 2) and one.size == 2
    assert {item.text for item in one.items} == {KIN[0].text, KIN[2].text}
    assert one.told == (
        f'cousin("Ann", "Dan") [rule {KIN[2].id[:8]}: {KIN[2].text}]',
        f'  uncle("Ann", "Cy") [rule {KIN[0].id[:8]}: {KIN[0].text}]',
        '    father("Ann", "Ben") [stated 1]',
        '    brother("Ben", "Cy") [stated 2]',
        '  son("Cy", "Dan") [stated 3]',
    )


def test_the_base_knows_what_the_story_does_not_say(engine: Engine) -> None:
    facts = [fact("Benjamin", "brother", "Cy", "Ben"), fact("Cy", "son", "Dan"), fact("Cy", "son", "Dora")]
    base = premises(engine, *KIN, *facts)
    made = derive('cousin("Ann", Who)', ['father("Ann", "Ben")'], base)
    assert made.outcome == "several" and values(made) == ["Dan", "Dora"], "Ben is another name of Benjamin"
    assert {item.id for item in made.found[0].items} == {facts[0].id, facts[1].id, KIN[0].id, KIN[2].id}
    hidden = derive('cousin("Ann", Who)', ['father("Ann", "Ben")'], base, hide=frozenset({facts[1].id, KIN[1].id}))
    assert values(hidden) == ["Dora"]
    assert derive('cousin("Ann", Who)', [], base).outcome == "nothing"
    assert derive('son("Cy", "Dan")', [], base).found[0].told == (f"Cy son Dan. [fact {facts[1].id[:8]}]",)


def test_declarations_and_scopes_take_part(engine: Engine) -> None:
    entities = Entities(relations={"spouse": Relation(name="spouse", symmetric=True)})
    scoped = KIN[5].model_copy(update={"scope": ("kin",)})
    base = premises(engine, scoped, fact("Ann", "spouse", "Tom"), entities=entities)
    assert values(derive("spouse(tom, X)", [], base)) == ["Ann"]
    story = ["father(a, b)", "father(b, c)"]
    assert [derive("grandfather(a, X)", story, base, task=task).outcome for task in ("", "kin", "fees")] == [
        "one",
        "one",
        "nothing",
    ]


def test_an_answer_has_its_shortest_proof_and_the_order_is_fixed(engine: Engine) -> None:
    reach = Rule(text="Reach.", clause="reach(X, Y) :- road(X, Y). reach(X, Z) :- reach(X, Y), road(Y, Z).")
    roads = ["road(a, b)", "road(b, c)", "road(c, d)", "road(a, d)"]
    base = premises(engine, reach)
    made = [derive("reach(a, X)", order, base) for order in (roads, roads[::-1])]
    assert [values(one) for one in made] == [["b", "d", "c"], ["b", "d", "c"]]
    assert [one.size for one in made[0].found] == [1, 1, 2]
    assert values(derive("reach(X, X)", roads, base)) == [] and values(derive("reach(X, X)", [*roads, "road(d, a)"], base)) == [
        "a", "d", "b", "c",
    ]  # fmt: skip


# --- a policy of fees -------------------------------------------------------------------------------------------------

POLICY: tuple[Item, ...] = (
    fact("fee for up to 50 lb", "is", "0 USD"),
    fact("fee for over 50 to 70 lb", "is", "100 USD"),
    fact("fee for over 70 lb", "is", "200 USD"),
    fact("1", "bag fee", "40 USD"),
    fact("2", "bag fee", "45 USD"),
    fact("3 or more", "bag fee", "150 USD"),
    fact("military", "exempt from", "bag fees"),
    fact("elite", "exempt until", "31 December 2026"),
    Rule(text="An overweight bag costs what its weight says.",
         clause="overweight(B, F) :- weight(B, W, lb), r_is(T, F, usd), W in T.", says="{B} | overweight fee | {F} USD"),
    Rule(text="A bag costs what its number says.",
         clause='otherwise for P, B: bag_cost(P, B, F) :- bag(P, B, N), bag_fee(T, F, usd), N in T.'),
    Rule(text="Who is exempt pays for no bag.",
         clause='bag_cost(P, B, 0) :- bag(P, B, _), exempt(P). exempt(P) :- status(P, S), exempt_from(S, "bag fees").'
                " exempt(P) :- status(P, S), exempt_until(S, D), travels(P, A), A <= D."),
    Rule(text="In all, all bags are paid, and of weight the dearest only.",
         clause="total(P, T) :- passenger(P), T is sum(F, B : bag_cost(P, B, F)) + max(0, D), dearest(P, D). "
                "dearest(P, D) :- passenger(P), D is max(F : bag(P, B, _), overweight(B, F)).", says="{P} | total | {T} USD"),
    Rule(text="Who has more than three bags asks before.", clause="asks(P) :- passenger(P), count(B : bag(P, B, _)) > 3."),
)  # fmt: skip
TRIP = ["passenger(ann)", "bag(ann, b1, 1)", "bag(ann, b2, 2)", "bag(ann, b3, 3)", 'weight(b1, "50 lb")', "weight(b2, 70, lb)",
        'weight(b3, "70.5lb")']  # fmt: skip


@pytest.fixture(scope="module")
def policy(engine: Engine) -> Premises:
    return premises(engine, *POLICY)


@pytest.mark.parametrize(
    ("more", "total"),
    [
        ([], "435"),  # 40 + 45 + 150, and 200
        (["status(ann, military)"], "200"),
        (["status(ann, elite)", "travels(ann, 2026-12-31)"], "200"),
        (["status(ann, elite)", 'travels(ann, "January 1, 2027")'], "435"),
        (["bag(ann, b4, 4)", "weight(b4, 10, lb)"], "585"),
    ],
)
def test_a_total_follows_tiers_counts_and_exceptions(policy: Premises, more: list[str], total: str) -> None:
    made = derive("total(ann, T)", [*TRIP, *more], policy)
    assert made.outcome == "one" and values(made) == [total] and not made.cut
    assert made.found[0].text == f"ann | total | {total} USD"
    assert derive("asks(ann)", [*TRIP, *more], policy).outcome == ("one" if "bag(ann, b4, 4)" in more else "nothing")


def test_a_proof_of_a_total_cites_the_rows_that_gave_it(policy: Premises) -> None:
    [one] = derive("total(ann, T)", [*TRIP, "status(ann, military)"], policy).found
    assert "0 is sum(F, B : bag_cost(ann, B, F)), of 3:" in "\n".join(one.told)
    cited = {item.text for item in one.items if isinstance(item, Fact)}
    assert cited == {"military exempt from bag fees.", "fee for up to 50 lb is 0 USD.", "fee for over 50 to 70 lb is 100 USD.",
                     "fee for over 70 lb is 200 USD."}  # fmt: skip
    told = "\n".join(derive("total(ann, T)", TRIP, policy).found[0].told)
    assert "nothing else says bag_cost(ann, b3, _)" in told and "3 or more bag fee 150 USD. [fact" in told


def test_an_edited_row_is_followed_at_once(engine: Engine) -> None:
    edited = [fact("2", "bag fee", "55 USD") if item.text == "2 bag fee 45 USD." else item for item in POLICY]
    assert values(derive("total(ann, T)", TRIP, premises(engine, *edited))) == ["445"]


def test_a_long_proof_is_an_answer_and_what_it_needs_twice_is_told_once(engine: Engine) -> None:
    chain = Rule(text="Chain.", clause="reaches(X, Y) :- road(X, Y). reaches(X, Z) :- reaches(X, Y), road(Y, Z).")
    roads = [f"road(p{n}, p{n + 1})" for n in range(180)]
    made = derive("reaches(p0, p180)", roads, premises(engine, chain))
    assert made.found[0].size == 180 and len(made.found[0].stated) == 180
    assert len(made.found[0].told) == module.MAX_TOLD + 1 and made.found[0].told[-1] == "and more steps"
    both = Rule(
        text="Both.",
        clause="both(X) :- left(X), right(X). left(X) :- base(X). right(X) :- base(X). base(X) :- said(X).",
    )
    told = derive("both(a)", ["said(a)"], premises(engine, both)).found[0].told
    assert [line.partition(" [")[0] for line in told] == [
        "both(a)", "  left(a)", "    base(a)", "      said(a)", "  right(a)", "    base(a)"
    ]  # fmt: skip
    assert told[-1].endswith("[see above]")


# --- which facts take part --------------------------------------------------------------------------------------------


def test_what_nothing_named_leads_to_is_needed_as_a_whole() -> None:
    clauses = parse_clauses(
        "fee(B, F) :- weight(B, W), row(T, F), W in T. otherwise fee(B, 0) :- bag(B). "
        "row(T, F) :- table(T, F). free(X) :- fee(X, 0)."
    )
    needed = needed_for(parse_goal("free(b1)"), (0,), clauses)
    assert needed.predicates == {"free", "fee", "weight", "row", "table", "bag"} and needed.whole == {"row", "table"}
    assert needed_for(parse_goal("free(X)"), (), clauses).whole == {"free", "fee", "bag", "weight", "row", "table"}
    assert needed_for(parse_goal("R(b1, 0)"), (0,), clauses).whole == {"row", "table"}


def test_what_a_row_leads_to_takes_part(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TABLE", 5)
    rule = Rule(text="Cost.", clause="cost(B, F, U) :- weight(B, W), fee(T, N), price(N, F, U), W in T.")
    others = [fact(f"n{n}", "price", f"{n} USD") for n in range(20)]
    base = premises(engine, rule, fact("up to 50 lb", "fee", "small"), fact("small", "price", "9 USD"), *others)
    assert values(derive("cost(b, F, usd)", ["weight(b, 20)"], base)) == ["9"]


def test_facts_beyond_reach_are_left_out_and_said_where_they_may_matter(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TABLE", 5)
    people = [fact(f"p{n}", "born in", "Rome") for n in range(20)]
    rule = Rule(text="Fellows.", clause="fellow(X, Y) :- friend(X, Z), born_in(Z, C), born_in(Y, C), Y != Z.")
    base = premises(engine, rule, *people, fact("ann", "friend", "p0"), fact("bob", "friend", "kim"))
    made = derive("fellow(ann, Y)", [], base)
    assert made.cut and 0 < len(made.found) < 19, "Rome is a hub"
    assert not derive("fellow(bob, Y)", [], base).cut
    monkeypatch.setattr(module, "MAX_FACTS", 3)
    assert derive("fellow(ann, Y)", [], base).cut


# --- what is refused, and what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "stated", "problem"),
    [
        ("father(ann", [], r"goal: line 1, column 11: expected ',' or '\)'"),
        ("p(X + 1)", [], "goal: .*a condition cannot calculate"),
        ("p(" + "a" * 500 + ")", [], "the goal has 503 characters, 400 are taken"),
        ("p(X)", ["q(a)", "q(b"], r"statement 2: line 1, column 4: expected ',' or '\)'"),
        ("p(X)", ["q(X)"], r"statement 1: expected facts"),
        ("p(X)", ["p(a) :- q(a)"], "statement 1: expected facts"),
        ("p(X)", ["q(a). q(b)"], "statement 1 holds 2 facts"),
        ("p(X)", ["given(3)"], r"given\(3\) cannot be stated"),
        ("p(X)", ["false"], "cannot be stated"),
        ("p(X)", ['q("' + "a" * 500 + '")'], "statement 1 has 505 characters"),
        ("p(X)", ["q(a)"] * 201, "201 statements are too many: 200"),
    ],
)  # fmt: skip
def test_a_goal_or_statement_that_is_not_taken_is_named(
    policy: Premises, goal: str, stated: list[str], problem: str
) -> None:
    with pytest.raises(KnowledgeError, match=problem):
        derive(goal, stated, policy)


def test_a_limit_that_was_reached_is_said(engine: Engine) -> None:
    endless = Rule(text="Endless.", clause="n(X + 1) :- n(X).")
    with Engine(Limits(most=500)) as small:
        made = derive("n(X)", ["n(1)"], premises(small, endless))
    assert made.outcome == "stopped" and "make more than 500 facts" in made.stopped and made.found == ()


def test_more_answers_than_are_told_are_counted(engine: Engine) -> None:
    base = premises(engine, Rule(text="Same.", clause="q(X) :- p(X)."))
    made = derive("q(X)", [f"p({n})" for n in range(60)], base)
    assert (len(made.found), made.left, made.outcome) == (50, 10, "several")


def test_a_goal_without_rules_is_answered_by_what_is_stated(engine: Engine) -> None:
    made = derive('born("Ann", D)', ['born("Ann", "30 November 2026")', 'born("Ann", 2026-11-30)'], premises(engine))
    assert values(made) == ["30 November 2026"] and made.found[0].size == 0 and made.found[0].stated == (0,)
