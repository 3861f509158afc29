"""What a question states, goals for rules, and how the results are written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nesycd.calls import DERIVE, BaseRules, Calls, GoldRules, LookUp
from nesycd.calls.notation import last_request, settled, without_calls, write_goal
from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Derivation, Entry, Fact, Item, Rule, Statement, Status
from nesycd.reports.trace import told_of
from nesycd.rules import Engine
from nesycd.rules.statements import atom_of, by_unit, goal_of, read_back, units, written
from nesycd.tasks.clutrr import rule_of

STORY = ("Ann | son | Bob", "Bob | mother | Ann", "Bob | sister | Eve", "Eve | brother | Bob", "Eve | husband | Dan")
SISTER = rule_of("son", "sister", "daughter")
IN_LAW = rule_of("daughter", "husband", "son-in-law")
FEE = Fact(text="Europe's bag fee is 75 USD.", subject="Europe", relation="bag fee", object="75")
TOTAL = Rule(
    text="A bag to a region costs its fee.",
    clause="total(T, S) :- goes_to(T, R), bag_fee(R, F), S = sum(F, B : bag(T, B)).",
    says="{T} | total | {S}",
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


def base_of(engine: Engine, *items: Item, status: Status = Status.APPROVED) -> BaseRules:
    return BaseRules([Entry(item=item, status=status) for item in items], engine)


# --- units and statements ----------------------------------------------------------------------------------------------


def test_a_question_is_read_by_sentences_lines_or_whole() -> None:
    question = "[Ann] has a son. His name is [Bob] [Eve] likes it at 3.5 km.\nWhat is Eve to Ann?"
    assert [unit.text for unit in units(question)] == [
        "[Ann] has a son.", "His name is [Bob]", "[Eve] likes it at 3.5 km.", "What is Eve to Ann?"
    ]  # fmt: skip
    assert [unit.before for unit in units(question)][:2] == ["", "[Ann] has a son."]
    assert [unit.text for unit in units(question, "lines")] == question.splitlines()
    assert [unit.text for unit in units(question, "question")] == [question]
    assert len(units("So. " * 500)) == 100


def test_statements_belong_to_the_unit_that_says_them_or_to_it_and_the_one_before() -> None:
    read = units("Ann has a son. His name is Bob. He is well. Bob met Eve.")
    stated = [
        Statement(text="Ann | son | Bob", said="Ann has a son. His name is Bob."),
        Statement(text="Bob | sister | Eve", said="Bob met Eve."),
        Statement(text="Ann | daughter | Eve", said="His name is Bob. He is well. Bob met Eve."),
        Statement(text="Ann | x | Eve"),
    ]
    assert by_unit(stated, read) == [[], ["Ann | son | Bob"], [], ["Bob | sister | Eve"]]
    assert written([]) == "(nothing)" and read_back(written([])) == []
    assert read_back(written(STORY)) == list(STORY)


@pytest.mark.parametrize(
    ("text", "atom"),
    [
        ("Ann | mother-in-law | Bea", 'mother_in_law("Ann", "Bea")'),
        ("item 1 | measures | 20 | 15.5 | -8", 'measures("item 1", 20, 15.5, -8)'),
        (r"a \| b | is \[x\] | c", 'is_x("a | b", c)'),
        ("ticket | costs | 1,200", "costs(ticket, 1200)"),
        ('Ann "Bo" | says | no', 'says("Ann \\"Bo\\"", no)'),
    ],
)
def test_a_statement_is_an_atom(text: str, atom: str) -> None:
    assert atom_of(text) == atom


@pytest.mark.parametrize("text", ["", "Ann", "Ann | ", "| x | y", "Ann | ? | Bob", "Ann | !! | Bob", "hm, | | |"])
def test_what_is_no_statement_is_left_out(text: str) -> None:
    with pytest.raises(KnowledgeError):
        atom_of(text)
    assert read_back(f"{text}\nAnn | son | Bob\n{text}") == ["Ann | son | Bob"]


def test_goals_leave_something_open() -> None:
    assert goal_of("route | fee | ? | ?") == "fee(route, X, Y)" and goal_of("? | fee | 5") == "fee(X, 5)"
    for text in ("Ann | son | Bob", "Ann", "? | ?" + " | ?" * 6):
        with pytest.raises(KnowledgeError):
            goal_of(text)


# --- results -----------------------------------------------------------------------------------------------------------


def test_the_shortest_proof_tells_an_open_relation(engine: Engine) -> None:
    base = base_of(engine, SISTER, IN_LAW)
    found = base.derive("Ann | ? | Eve", STORY)
    assert found.found == "daughter" and found.items == (SISTER.id,)
    assert "[stated 1]" in found.how and "[stated 3]" in found.how
    assert base.derive("Ann | ? | Dan", STORY).found == "son-in-law"
    # What was stated is as it was written.
    assert base.derive("Ann | ? | Bea", ["Ann | mother-in-law | Bea"]).found == "mother-in-law"
    assert base.derive("Dan | ? | Ann", STORY).found == "(nothing follows)"
    assert base_of(engine).derive("Ann | ? | Eve", STORY).found == "(nothing follows)"
    assert base_of(engine, SISTER, status=Status.PROPOSED).derive("Ann | ? | Eve", STORY).found == "(nothing follows)"


def test_two_relations_that_are_as_near_are_said(engine: Engine) -> None:
    told = ["Ann | son | Bob", "Bob | grandmother | Eve"]
    both = base_of(engine, rule_of("son", "grandmother", "mother"), rule_of("son", "grandmother", "mother-in-law"))
    assert both.derive("Ann | ? | Eve", told).found == "(several: mother; mother-in-law)"


def test_values_follow_from_facts_and_statements(engine: Engine) -> None:
    base = base_of(engine, FEE, TOTAL)
    told = ["ticket | goes to | Europe", "ticket | bag | first", "ticket | bag | second"]
    found = base.derive("ticket | total | ?", told)
    assert found.found == "150" and set(found.items) == {FEE.id, TOTAL.id}
    assert base.derive("ticket | bag | ?", told).found == "first; second"
    dearer = FEE.model_copy(update={"object": "80"})
    assert base_of(engine, dearer, TOTAL).derive("ticket | total | ?", told).found == "160"
    assert base.fingerprint != base_of(engine, dearer, TOTAL).fingerprint


def test_rules_of_other_tasks_are_not_asked(engine: Engine) -> None:
    base = base_of(engine, SISTER.model_copy(update={"scope": ("kin",)}))
    assert base.derive("Ann | ? | Eve", STORY, task="kin").found == "daughter"
    assert base.derive("Ann | ? | Eve", STORY, task="other").found == "(nothing follows)"


def test_the_gold_rules_are_those_of_the_question(engine: Engine) -> None:
    gold = GoldRules([("q", Derivation(rules=(SISTER,))), ("r", None)], engine)
    assert gold.derive("Ann | ? | Eve", STORY, "q").found == "daughter" and gold.relations == ["daughter"]
    assert gold.derive("Ann | ? | Eve", STORY, "r").found == "(nothing follows)"


# --- calls -------------------------------------------------------------------------------------------------------------


def test_a_goal_is_a_call_with_its_statements_in_the_trace(engine: Engine) -> None:
    calls = Calls(LookUp([]), rules=base_of(engine, SISTER)).about(STORY, "kin")
    text = f"So {write_goal('Ann | ? | Eve')}"
    made = calls.supply(text, "What is Eve to Ann?", [])
    assert made is not None and made.text == " daughter"
    call = made.call
    assert (call.name, call.asked, call.found, call.given) == (DERIVE, "[derive: Ann | ? | Eve]", "daughter", STORY)
    assert told_of(call).splitlines()[:2] == [f"stated: {'; '.join(STORY)}", "[derive: Ann | ? | Eve] -> daughter"]
    # The trace suffices to tell whether the answer still holds, under another base too.
    assert Calls(LookUp([]), rules=base_of(engine, SISTER, IN_LAW)).agrees("", [call])
    assert not Calls(LookUp([]), rules=base_of(engine)).agrees("", [call])
    assert not Calls(LookUp([])).agrees("", [call])
    assert calls.names == ("look_up/2", "derive/1") and Calls(LookUp([])).names == ("look_up/2",)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("[derive: Ann | son | Bob]", "(error: a goal has a ? for what is asked: Ann | son | Bob)"),
        ("[derive: Ann | ? | Zoe]", "(nothing follows)"),
    ],
)
def test_a_goal_that_cannot_be_read_is_told_to_the_student(engine: Engine, asked: str, found: str) -> None:
    calls = Calls(LookUp([]), rules=base_of(engine, SISTER)).about(STORY, "")
    made = calls.supply(asked, "", [])
    assert made is not None and made.text == f" {found}" and made.call.kind == "note"


def test_goals_are_held_to_names_relations_and_what_is_open(engine: Engine) -> None:
    calls = Calls(LookUp([]), rules=base_of(engine, SISTER)).about(STORY, "")
    question = "What is Eve to Ann?"

    def goes_on(text: str, more: str) -> bool:
        allowed = calls.allowed(text, question, [])
        return allowed is None or allowed(more)

    # Where a look-up's name would be, the goal may begin.
    assert goes_on("[", "der") and goes_on("[deri", "ve") and goes_on("[derive", ":") and goes_on("[", "Ann |")
    assert not goes_on("[", "dare")
    assert goes_on("[derive: ", "Ann") and goes_on("[derive: Ann", " |") and goes_on("[derive: Ann |", " ?")
    assert goes_on("[derive: Ann | ? | E", "ve") and goes_on("[derive: Ann | ? | Eve", "]")
    assert goes_on("[derive: Ann | daugh", "ter |") and goes_on("[derive: D", "an |")
    assert not goes_on("[derive: Ann | ? | E", "mil") and not goes_on("[derive: Ann |", " cousin |")


def test_goals_and_their_notes_are_no_part_of_what_is_read() -> None:
    text = (
        "It is [derive: Ann | ? | Eve] daughter. [derive: a | ?] (nothing follows) The son. Therefore, the answer is x."
    )
    assert without_calls(text) == "It is daughter. The son. Therefore, the answer is x."
    assert settled("It is [derive: Ann | ? | Eve] (noth") == "It is "
    request = last_request("[derive: Ann | ? | Eve]")
    assert request is not None and (request.goal, request.name) == ("Ann | ? | Eve", "")
    assert last_request(r"\[derive: Ann | ? | Eve]") is None
