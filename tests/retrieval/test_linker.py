"""Linking names in a question to entities: aliases, inflections, case, hyphens, the longest name, shared names."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.records import Fact
from nesycd.core.text import normal
from nesycd.retrieval import Linker
from nesycd.retrieval.linker import _case_agrees, _Name, named_in
from nesycd.retrieval.words import STOPWORDS, forms, root, tokens

IRREGULAR = [
    "feet",
    "feets",
    "dice",
    "dices",
    "die",
    "axes",
    "axis",
    "axe",
    "halves",
    "half",
    "lens",
    "lenses",
    "people",
]


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


WORDS = ["pound", "pounds", "half", "halves", "crown", "crowns", "foot", "feet", "the", "he", "He", "gas", "gases", "C"]
NAMES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from([" ".join(words), "-".join(words), "".join(words)])
)


def naively(facts: Mapping[int, Fact], text: str) -> list[tuple[int, int, dict[str, bool]]]:
    """What `link` finds, by comparing every name with every place: entities of each mention, and whether exact."""
    words = tokens(text)
    found: dict[tuple[int, int, bool], dict[str, bool]] = {}
    places = [(s, e, False) for s in range(len(words)) for e in range(s + 1, len(words) + 1)]
    places += [(s, e, True) for s, e, _ in places if e - s > 1 and all(w.joined for w in words[s + 1 : e])]
    for fact in facts.values():
        for name in (fact.subject, *fact.aliases):
            parts = tokens(name)
            closed: list[str] = []
            for part in parts:
                closed[len(closed) - part.joined :] = ["".join(closed[len(closed) - part.joined :]) + part.word]
            small = all(len(t.word) <= 2 for t in parts) or (len(parts) == 1 and parts[0].word in STOPWORDS)
            for s, e, joined in places:
                said = ["".join(w.word for w in words[s:e])] if joined else [w.word for w in words[s:e]]
                if small and not _case_agrees(_Name("", "", tuple(p.written for p in parts), True), words[s:e]):
                    continue
                for path in ([p.word for p in parts], closed):
                    if len(path) == len(said) and all(forms(a) & forms(b) for a, b in zip(path, said, strict=True)):
                        entities = found.setdefault((s, e, joined), {})
                        entity = normal(fact.subject)
                        entities[entity] = entities.get(entity, False) or path == said
    chosen: list[tuple[int, int, dict[str, bool]]] = []
    for (s, e, _), named in sorted(found.items(), key=lambda f: (f[0][0] - f[0][1], not any(f[1].values()), f[0][0])):
        if all(e <= start or s >= end for start, end, _ in chosen):
            exact = {entity: sure for entity, sure in named.items() if sure}
            chosen.append((s, e, exact or named))
    return sorted(chosen, key=lambda one: one[:2])


def test_a_text_names_subjects_within_longer_names_and_beside_exact_ones() -> None:
    names = {"third": {"third"}, "minor third": {"minor third", "semiditone"}, "mark": {"mark"}, "marks": {"marks"}}
    texts = {"a": "How wide is a minor third?", "b": "Two semiditones?", "c": "5 marks", "d": "nothing", "e": "au pair"}
    assert named_in(names, texts) == {"third": {"a"}, "minor third": {"a", "b"}, "mark": {"c"}, "marks": {"c"}}
    assert named_in({"au": {"Au"}, "3": {"3"}}, texts) == {"au": set(), "3": set()}, "a symbol is written exactly so"
    assert named_in({}, texts) == {} and named_in(names, {})["third"] == set()


@settings(max_examples=60)
@given(st.dictionaries(NAMES, st.sets(NAMES, max_size=2), max_size=6), st.lists(NAMES, min_size=1, max_size=6))
def test_whether_a_subject_is_named_does_not_depend_on_others(named: dict[str, set[str]], said: list[str]) -> None:
    names = {subject: {subject, *others} for subject, others in named.items()}
    alone = {subject: named_in({subject: own}, {"t": " ".join(said)})[subject] for subject, own in names.items()}
    assert named_in(names, {"t": " ".join(said)}) == alone


@settings(max_examples=150)
@given(
    st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=2)), max_size=8),
    st.lists(NAMES, min_size=1, max_size=6),
    st.sets(st.integers(0, 7)),
)
def test_it_finds_what_comparing_every_name_with_every_place_finds(
    named: list[tuple[str, list[str]]], said: list[str], removed: set[int]
) -> None:
    facts = {number: fact(subject, *aliases) for number, (subject, aliases) in enumerate(named)}
    kept = {number: one for number, one in facts.items() if number not in removed}
    linker = Linker()
    for number in facts:
        linker.add(number, facts[number])
        if number % 3 == 1:
            linker.link("")  # settles: what comes later is found by the second automaton
    for number in facts.keys() - kept.keys():
        linker.remove(number, facts[number])
    text = " ".join(said)
    expected = naively(kept, text)
    for one in (linker, linker):
        got = [(m.start, m.end, {c.entity: c.exact for c in m.candidates}) for m in one.link(text)]
        assert got == expected
        linker.settle()
    hidden = [(m.start, m.end) for m in Linker([*facts.values()]).link(text, frozenset(facts.keys() - kept.keys()))]
    assert hidden == [one[:2] for one in expected]


@given(st.text("abcfivyes", min_size=1, max_size=6) | st.sampled_from(IRREGULAR), st.sampled_from(["", "s", "es"]))
def test_words_whose_forms_overlap_share_a_root(word: str, ending: str) -> None:
    other = word + ending
    if forms(word) & forms(other):
        assert root(word) == root(other)
    assert {root(form) for form in forms(word)} == {root(word)}
