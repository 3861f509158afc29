"""Linking names in a question to entities: aliases, inflections, case, hyphens, the longest name, shared names."""

from __future__ import annotations

import pytest

from nesycd.records import Fact
from nesycd.retrieval import Linker


def fact(subject: str, *aliases: str) -> Fact:
    return Fact(text=f"About {subject}.", subject=subject, relation="is", object="so", aliases=aliases)


FACTS = [
    fact("fathom", "fadom"),
    fact("foot"),
    fact("penny"),
    fact("half-crown", "tosheroon"),
    fact("pound (money)", "pound", "quid"),
    fact("pound (weight)", "pound", "lb"),
    fact("pound of flesh"),
    fact("Louis XIV", "Sun King"),
    fact("Louis"),
    fact("James"),
    fact("helium", "He"),
    fact("iodine", "I"),
    fact("gold", "Au"),
    fact("C#"),
    fact("talent"),
    fact("cherry"),
    fact("Eleanor of Aquitaine", "Aliénor d'Aquitaine"),
]


@pytest.mark.parametrize(
    ("question", "entities"),
    [
        ("How long are 3 fathoms?", ["fathom"]),
        ("FADOM", ["fathom"]),
        ("Is it six feet or two cherries?", ["foot", "cherry"]),
        ("Nine pence, please.", ["penny"]),
        ("Two half crowns and a half-crown's worth", ["half-crown", "half-crown"]),
        ("Two halfcrowns", ["half-crown"]),
        ("Where did Louis XIV's brother live?", ["louis xiv"]),
        ("The Sun King’s brother", ["louis xiv"]),
        ("Louis, XIV", ["louis xiv"]),
        ("Louis' brother", ["louis"]),
        ("A pound of flesh, 2 pounds", ["pound of flesh", "pound (money)|pound (weight)"]),
        ("fathomless talents compound", ["talent"]),
        ("a jar of jam", []),
        ("He has what I have. He is in.", []),
        ("What is the number of He?", ["helium"]),
        ("Is au or Au heavier?", ["gold"]),
        ("Raise C# and C by one.", ["c#"]),
        ("Where did Alienor d’Aquitaine die?", ["eleanor of aquitaine"]),
        ("", []),
    ],
)
def test_what_a_question_names(question: str, entities: list[str]) -> None:
    found = ["|".join(c.entity for c in mention.candidates) for mention in Linker(FACTS).link(question)]
    assert found == entities


def test_a_closed_up_name_meets_a_hyphen_in_the_question() -> None:
    linker = Linker([fact("halfcrown")])
    assert [m.words for m in linker.link("One half-crown or two half-crowns")] == ["half crown", "half crowns"]


def test_an_exact_name_beats_an_inflected_one() -> None:
    linker = Linker([fact("mark"), fact("marks")])
    assert [c.entity for m in linker.link("two marks, one mark") for c in m.candidates] == ["marks", "mark"]


def test_names_from_hidden_facts_only_are_not_seen() -> None:
    linker = Linker([fact("pound of flesh"), fact("pound"), fact("pound", "quid")])
    assert [m.words for m in linker.link("pound of flesh, quid")] == ["pound of flesh", "quid"]
    assert [m.words for m in linker.link("pound of flesh, quid", frozenset({0, 2}))] == ["pound"]
    assert linker.link("pound of flesh", frozenset({0, 1, 2})) == []
