"""Rule items made ready: exceptions, scope, how conclusions read, what is set aside; the stored form."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Rule, RuleTest, Status
from nesycd.knowledge import Deriver, Entities, KnowledgeBase, Relation, export_file, import_file, unite
from nesycd.rules import Engine, RuleGate, failures
from nesycd.rules.validation import RuleSet, runnable

GRAND = Rule(
    text="A father's father is a grandfather.",
    clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).",
    tests=(
        RuleTest(given="father(a, b). father(b, c).", expect="grandfather(a, c).", expect_not="grandfather(b, c)."),
    ),
)
FAMILY = (("Edward III", "Edward II"), ("Edward II", "Longshanks"), ("Edward I", "Henry III"))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as made:
        yield made


def fact(subject: str, relation: str, value: str, *aliases: str) -> Fact:
    text = f"The {relation} of {subject} is {value}."
    return Fact(text=text, subject=subject, relation=relation, object=value, aliases=aliases)


def fathers() -> list[Fact]:
    return [fact(child, "father", father, *(["Longshanks"] if child == "Edward I" else [])) for child, father in FAMILY]


def derived(engine: Engine, *rules: Rule, facts: list[Fact] | None = None, **options: Any) -> list[str]:
    known = fathers() if facts is None else facts
    entries = [Entry(item=item, status=Status.APPROVED) for item in (*known, *rules)]
    return [one.fact.text for one in Deriver(entries, engine).derive(known, **options)]


# --- the stored form --------------------------------------------------------------------------------------------------


def test_a_rule_has_only_the_fields_that_say_something_in_its_json() -> None:
    rule = Rule(text="Count first.", clause="p(X) :- q(X).")
    row = {"schema": "rule/1", "id": "2b020ae1d5322458", "kind": "rule", "text": rule.text, "clause": rule.clause}
    assert rule.to_json() == row and Rule.from_json(row) == rule


def test_every_field_changes_the_id_and_comes_back() -> None:
    full = GRAND.model_copy(update={"says": "{X} | grandfather | {Z}", "scope": ("kin",), "exceptions": ("X = a",)})
    assert len({GRAND.id, full.id, Rule(text=GRAND.text, clause=GRAND.clause).id}) == 3
    assert Rule.from_json(full.to_json()) == full


def test_equal_rules_unite_their_tests_in_any_order() -> None:
    others = [GRAND.model_copy(update={"tests": (RuleTest(expect_not=f"grandfather(a, {name})."),)}) for name in "cab"]
    one, two, three = (Entry(item=rule) for rule in others)
    made = {unite(unite(*pair), last).item.id for pair, last in (((one, two), three), ((three, one), two))}
    assert len(made) == 1 and len(unite(unite(one, two), three).item.tests) == 3  # type: ignore[union-attr]


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clause": "p(X) :- q(Y)."}, "clause: the variable X"),
        ({"clause": "p(X"}, "clause: line 1, column 4: expected"),
        ({"clause": "given(1)."}, "no rule can conclude it"),
        ({"clause": None}, "clause: is missing"),
        ({"clause": ":- father(X, Y), not mother(Z, Y)."}, "clause: the variable Z"),
        ({"clause": "false."}, "a constraint needs conditions"),
        ({"clause": ":- father(X, X).", "tests": (), "says": "a | b | c"}, "says: a constraint concludes nothing"),
        ({"tests": (RuleTest(expect="false."),)}, "tests: 'false' is expected, but the rule has no constraint"),
        ({"tests": (RuleTest(given="false.", expect="p(a)."),)}, "tests: 'false' can be expected, but not given"),
        ({"says": "X is Z"}, "says: must be 'subject | relation | object'"),
        ({"says": "{X} | of | {Y}"}, r"says: \{Y\} is no variable of the conclusion grandfather"),
        ({"exceptions": ("X =",)}, "exceptions: line 1, column 4: expected a value"),
        ({"exceptions": ("Q < 3",)}, "exceptions: the variable Q"),
        ({"tests": (RuleTest(given="father(a, b)."),)}, "tests: a test needs expect or expect_not"),
        ({"tests": (RuleTest(expect="father(X, b)."),)}, "tests: expected facts"),
    ],
)
def test_a_rule_that_cannot_run_says_in_which_field(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(KnowledgeError, match=problem):
        runnable(GRAND.model_copy(update=change))


def test_rules_that_do_not_go_together_are_set_aside_the_later_ones(engine: Engine) -> None:
    first = Rule(text="1", clause="p(X) :- father(X, _), not q(X).")
    circle, arity, text = (
        Rule(text="2", clause="q(X) :- p(X)."),
        Rule(text="3", clause="p(X, X) :- father(X, _)."),
        Rule(text="4"),
    )
    ready = RuleSet.of([first, circle, arity, text], {"father"})
    assert [rule.item for rule in ready.rules] == [first]
    assert "in a circle through 'not'" in ready.faults[circle.id] and "p has 2 arguments" in ready.faults[arity.id]
    assert text.id not in ready.faults


# --- deriving ---------------------------------------------------------------------------------------------------------


def test_what_follows_is_a_fact_with_its_proof(engine: Engine) -> None:
    entries = [Entry(item=item, status=Status.APPROVED) for item in (*fathers(), GRAND)]
    first, second = Deriver(entries, engine).derive(fathers())
    assert first.fact.triple == ("Edward II", "grandfather", "Henry III")  # Longshanks is another name of Edward I
    assert second.fact.text == "Edward III's grandfather: Edward I."
    assert [one.subject for one in second.rests_on] == ["Edward III", "Edward II"]
    assert second.told == (
        f'grandfather("Edward III", "Edward I") [rule {GRAND.id[:8]}: {GRAND.text}]',
        f"  The father of Edward III is Edward II. [fact {fathers()[0].id[:8]}]",
        f"  The father of Edward II is Longshanks. [fact {fathers()[1].id[:8]}]",
    )


def test_scope_hiding_and_review(engine: Engine) -> None:
    scoped = GRAND.model_copy(update={"scope": ("genealogy",)})
    assert derived(engine, scoped, task="genealogy") == derived(engine, scoped) != []
    assert derived(engine, scoped, task="units") == []
    assert derived(engine, GRAND, hide=frozenset({GRAND.id})) == []
    assert derived(engine, GRAND, hide=frozenset({fathers()[1].id})) == []
    proposed = [Entry(item=GRAND), *(Entry(item=item, status=Status.APPROVED) for item in fathers())]
    assert Deriver(proposed, engine).derive(fathers()) == []


@pytest.mark.parametrize("exception", ['Z = "Henry III"', 'father(Y, "henry iii")', "not father(Z, _)"])
def test_an_exception_keeps_the_conclusion_away(engine: Engine, exception: str) -> None:
    rule = GRAND.model_copy(update={"exceptions": (exception,)})
    left = derived(engine, rule)
    assert "Edward II's grandfather: Henry III." not in left
    if exception.startswith(("Z", "not")):
        assert left == ["Edward III's grandfather: Edward I."]


def test_quantities_are_numbers_and_conclusions_read_as_their_rule_says(engine: Engine) -> None:
    half = Rule(text="Half.", clause="half(U, M, B) :- makes(U, N, B), M is N / 2.", says="{U} | half | {M} {B}")
    exact = Rule(text="Whole.", clause='whole(U, "yes") :- makes(U, "6 feet").')
    facts = [fact("fathom", "makes", "6 feet"), fact("cable", "makes", "1,200 feet"), fact("rod", "makes", "some feet")]
    assert derived(engine, half, exact, facts=facts) == [
        "cable's half: 600 feet.", "fathom's half: 3 feet.", "fathom's whole: yes.",
    ]  # fmt: skip


def test_what_is_stated_already_or_says_nothing_is_not_derived(engine: Engine) -> None:
    again = Rule(text="Again.", clause="father(X, Y) :- father(X, Y). ")
    alike = Rule(text="Alike.", clause="alike(X, X) :- father(X, _).")
    step = Rule(text="Step.", clause="step(X) :- father(X, _).")
    assert derived(engine, again, alike, step) == []


def test_numbers_of_a_question_have_no_way_in(engine: Engine) -> None:
    mixed = Rule(text="Mixed.", clause="mixed(U, R) :- given(N), makes(U, V, B), R is N * V.",
                 tests=(RuleTest(given="given(4). makes(fathom, 6, feet).", expect="mixed(fathom, 24)."),))  # fmt: skip
    facts = [fact("fathom", "makes", "6 feet"), fact("4", "given", "4")]
    assert failures([mixed], engine) == [] and derived(engine, mixed, facts=facts) == []


# --- tests and gate ---------------------------------------------------------------------------------------------------


def test_a_failing_test_says_what_follows_instead(engine: Engine) -> None:
    wrong = (
        RuleTest(given="father(a, b). father(b, c).", expect="grandfather(a, d)."),
        RuleTest(given="father(a, b).", expect="grandfather(a, b)."),
        RuleTest(given="father(a, b). father(b, c).", expect_not="grandfather(a, c)."),
    )
    found = failures([GRAND.model_copy(update={"tests": (*GRAND.tests, *wrong)})], engine)
    assert [one.number for one in found] == [2, 3, 4]
    assert "expected grandfather(a, d), but what follows is grandfather(a, c)" in str(found[0])
    assert "nothing of grandfather follows" in str(found[1])
    assert "grandfather(a, c) must not follow, but does" in str(found[2])


def test_the_gate_refuses_whatever_way_a_bad_rule_comes(engine: Engine) -> None:
    bad = GRAND.model_copy(update={"clause": "grandfather(Z, X) :- father(X, Y), father(Y, Z)."})
    endless = Rule(text="Endless.", clause="n(X + 1) :- n(X).", tests=(RuleTest(given="n(1).", expect="n(2)."),))
    note = Evidence(example="", source="Ann")
    with KnowledgeBase.open(":memory:", gate=RuleGate(engine)) as kb:
        for rule, why in ((bad, "not approved: rule .*test 1: given"), (endless, "may never end")):
            kb.propose(rule, note)
            for approve in (partial(kb.approve, rule.id, "Ann"), partial(kb.approve_all, "Ann")):
                with pytest.raises(KnowledgeError, match=why):
                    approve()
            assert kb.get(rule.id).status is Status.PROPOSED
            kb.reject(rule.id, "Ann")
        kb.add([(GRAND, note)], status=Status.APPROVED, reviewer="Ann")
        with pytest.raises(KnowledgeError, match="not approved"):
            kb.edit(GRAND.id, {"clause": "grandfather(X, Z) :- father(X, Z)."}, "Ann")
        assert kb.get(GRAND.id).item == GRAND


def test_the_gate_refuses_reverts_and_imports_and_says_so_when_they_are_tried(engine: Engine, tmp_path: Path) -> None:
    bad = GRAND.model_copy(update={"clause": "grandfather(Z, X) :- father(X, Y), father(Y, Z)."})
    place, file, note = tmp_path / "kb.sqlite", tmp_path / "kb.yaml", Evidence(example="", source="Ann")
    with KnowledgeBase.open(place) as careless:
        careless.add([(bad, note)], status=Status.APPROVED, reviewer="Ann")
        export_file(careless, file)
        careless.retire(bad.id, "Ann")
    with KnowledgeBase.open(place, gate=RuleGate(engine)) as kb:
        tries = (
            partial(kb.revert, 2, "Ann"),
            partial(kb.revert_to, "1", "Ann"),
            partial(kb.decide, [bad.id], Status.APPROVED, "Ann"),
            partial(import_file, kb, file),
            partial(import_file, kb, file, dry_run=True),
        )
        for change in tries:
            with pytest.raises(KnowledgeError, match=r"not approved: rule .*test 1: given"):
                change()
            assert kb.get(bad.id).status is Status.RETIRED and kb.revision == 2
        assert kb.problems() == []


def test_the_gate_sees_what_a_new_rule_does_to_the_tests_of_others(engine: Engine) -> None:
    note = Evidence(example="", source="Ann")
    other = Rule(text="Wrong.", clause="grandfather(X, Z) :- father(X, Z).")
    with KnowledgeBase.open(":memory:", gate=RuleGate(engine)) as kb:
        kb.add([(GRAND, note)], status=Status.APPROVED, reviewer="Ann")
        kb.propose(other, note)
        with pytest.raises(KnowledgeError, match=rf"rule {GRAND.id[:8]} .*grandfather\(b, c\) must not follow"):
            kb.approve(other.id, "Ann")
        # What failed before is no reason to refuse something else.
        with KnowledgeBase.open(":memory:") as careless:
            careless.add([(GRAND, note), (other, note)], status=Status.APPROVED, reviewer="auto")
            rules = [entry.item for entry in careless.entries() if isinstance(entry.item, Rule)]
        RuleGate(engine)(rules, [*rules, Rule(text="Fine.", clause="p(X) :- father(X, _).")], lambda: {"father"})


# --- constraints and declarations -------------------------------------------------------------------------------------

NO_CYCLE = Rule(
    text="Nobody is his father's father.",
    clause=":- father(X, Y), father(Y, X).",
    tests=(
        RuleTest(given="father(a, b). father(b, a).", expect="false."),
        RuleTest(given="father(a, b). father(b, c).", expect_not="false."),
    ),
)


def test_a_constraint_is_tested_by_false_and_only_by_its_own(engine: Engine) -> None:
    assert failures([NO_CYCLE, GRAND], engine) == []
    other = Rule(text="No x.", clause=":- father(X, x).", tests=(RuleTest(given="father(a, y).", expect="false."),))
    wrong = NO_CYCLE.model_copy(update={"tests": (RuleTest(given="father(a, a).", expect_not="false."),)})
    assert sorted(one.why for one in failures([wrong, other], engine)) == [
        "given father(a, a). no constraint of the rule should be broken, but one is",
        "given father(a, y). a constraint of the rule should be broken, but none is",
    ]
    blames = Rule(text="No y.", clause=":- father(X, z).", tests=(RuleTest(given="father(a, x).", expect="false."),))
    assert len(failures([blames, other.model_copy(update={"tests": ()})], engine)) == 1, (
        "another's constraint is no help"
    )


def test_a_constraint_derives_nothing(engine: Engine) -> None:
    loop = [fact("a", "father", "b"), fact("b", "father", "a")]
    assert derived(engine, NO_CYCLE, facts=loop) == []
    assert derived(engine, NO_CYCLE, GRAND, facts=fathers()) == derived(engine, GRAND)


def test_declared_relations_hold_from_the_other_side(engine: Engine) -> None:
    relations = [
        Relation(name="father", inverse="child"),
        Relation(name="Spouse", symmetric=True),
        Relation(name="not", inverse="a|b"),
    ]
    entities = Entities(relations={one.name.lower(): one for one in relations})
    facts = [fact("Eve", "father", "Ben"), fact("Ann", "spouse", "Tom"), fact("Kim", "child", "Lou")]
    entries = [Entry(item=item, status=Status.APPROVED) for item in facts]
    found = Deriver(entries, engine, entities).derive(facts)
    assert {one.fact.text for one in found} == {"Ben's child: Eve.", "Tom's Spouse: Ann."}, (
        "a child's parent may be a mother"
    )
    assert all(one.is_declared and one.size == 1 for one in found)
    [ben] = [one for one in found if one.fact.subject == "Ben"]
    assert ben.told[0] == 'child("Ben", "Eve") [declared: father is child from the other side]'
    assert ben.rests_on == (facts[0],)
    grand = Rule(text="A child's child is a grandchild.", clause="grandchild(X, Z) :- child(X, Y), child(Y, Z).")
    line = [fact("c", "father", "b"), fact("b", "father", "a")]
    entries = [Entry(item=item, status=Status.APPROVED) for item in (*line, grand)]
    assert "a's grandchild: c." in {one.fact.text for one in Deriver(entries, engine, entities).derive(line)}


# --- quantities, dates, tables ----------------------------------------------------------------------------------------


def test_dates_are_read_from_facts_and_told_as_they_were_written(engine: Engine) -> None:
    rules = (
        Rule(text="Same day.", clause="shares(X, Y) :- born(X, D), born(Y, D), X != Y."),
        Rule(text="Due.", clause='due(X, D) :- born(X, A), A < "1 January 2027", D is A + 3 months.'),
        Rule(text="Day.", clause="day(X, D) :- born(X, D), weekday(D) = monday."),
    )
    facts = [
        fact("Ann", "born", "30 November 2026"),
        fact("Bob", "born", "2026-11-30"),
        fact("Cy", "born", "05/06/2026"),
    ]
    assert derived(engine, *rules, facts=facts) == [
        "Ann's day: 30 November 2026.", "Bob's day: 30 November 2026.", "Ann's due: 2027-02-28.", "Bob's due: 2027-02-28.",
        "Ann's shares: Bob.", "Bob's shares: Ann.",
    ]  # fmt: skip


def test_money_and_units_are_read_with_and_without_a_blank(engine: Engine) -> None:
    rule = Rule(text="Double.", clause="double(X, M, U) :- costs(X, N, U), M is N * 2.", says="{X} | double | {M} {U}")
    facts = [fact("bag", "costs", "$1,200.50"), fact("box", "costs", "100 USD"), fact("cup", "costs", "15%")]
    assert derived(engine, rule, facts=facts) == [
        "bag's double: 2401 $.",
        "box's double: 200 USD.",
        "cup's double: 30 %.",
    ]


def test_a_proof_tells_the_elements_of_a_sum_and_what_gave_way(engine: Engine) -> None:
    total = Rule(text="Total.", clause="total(P, T) :- T is sum(W : bag(P, B), weight(B, W)), bag(P, _).")
    free = Rule(text="Free.", clause="otherwise fee(P, 0) :- bag(P, _). otherwise fee(P, 9) :- bag(P, _).")
    facts = [fact("Ann", "bag", "b1"), fact("Ann", "bag", "b2"), fact("b1", "weight", "60"), fact("b2", "weight", "60")]
    entries = [Entry(item=item, status=Status.APPROVED) for item in (*facts, total, free)]
    fee, made = Deriver(entries, engine).derive(facts)
    assert (fee.fact.text, made.fact.text) == ("Ann's fee: 0.", "Ann's total: 120.")
    assert fee.told[-1] == '  nothing else says fee("Ann", _)'
    ids = [one.id[:8] for one in facts]
    assert made.told[1:] == (
        f"  Ann bag b1. [fact {ids[0]}]".replace("Ann bag b1.", facts[0].text),
        '  120 is sum(W : bag("Ann", B), weight(B, W)), of 2:',
        f"    {facts[0].text} [fact {ids[0]}]", f"    {facts[2].text} [fact {ids[2]}]",
        f"    {facts[1].text} [fact {ids[1]}]", f"    {facts[3].text} [fact {ids[3]}]",
    )  # fmt: skip
    assert {one.id for one in made.rests_on} == {one.id for one in facts} and made.size == 1
