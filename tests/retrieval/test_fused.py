"""The fused retriever: its sources, their fusion, changes one at a time, filters, and an index kept on disk."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.protocols import Retriever
from nesycd.core.records import Entry, Evidence, Fact, Hit, Item, Lesson, Rule, Status
from nesycd.knowledge import Entities, EntityMerge, KnowledgeBase, Relation
from nesycd.retrieval import FusedRetriever, Fusion, KnowledgeRetriever, fused
from nesycd.retrieval.dense import Vectors
from nesycd.tasks.longtail import LongTail


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def fact(text: str, subject: str, relation: str, value: str, *aliases: str) -> Fact:
    return Fact(text=text, subject=subject, relation=relation, object=value, aliases=aliases)


class Letters:
    """Vectors of letter counts: an embedder that needs no model."""

    fingerprint, dimensions = "letters", 26

    def embed(self, texts: Sequence[str]) -> Vectors:
        counts = np.array([[t.lower().count(chr(97 + n)) for n in range(26)] for t in texts], dtype=np.float32)
        counts = counts.reshape(len(texts), 26)
        return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


FATHOM = fact("A fathom is 6 feet.", "fathom", "size in feet", "6 feet", "fadom")
FOOT = fact("A foot is 12 inches.", "foot", "size in inches", "12 inches")
MONEY = fact("A pound was worth 20 shillings.", "pound (money)", "worth", "20 shillings", "pound")
WEIGHT = fact("A pound weighs 16 ounces.", "pound (weight)", "weighs", "16 ounces", "pound")
FATHER = fact("The father of Louis was Henry.", "Louis", "father", "Henry")
BORN = fact("Henry was born in 1553.", "Henry", "birth", "1553")
GRANDFATHER = Rule(text="A grandfather is the father of a father or of a mother.")
COUNT = Lesson(text="Count the apples in each basket before adding them.")
ALL: list[Item] = [FATHOM, FOOT, MONEY, WEIGHT, FATHER, BORN, GRANDFATHER, COUNT]


def entries(items: Sequence[Item], status: Status = Status.APPROVED) -> list[Entry]:
    return [Entry(item=item, status=status) for item in items]


def make(items: Sequence[Item] = ALL, **given: object) -> FusedRetriever:
    fusion = Fusion(**{key: given.pop(key) for key in [*given] if key in Fusion.__dataclass_fields__})  # type: ignore[arg-type]
    return FusedRetriever(entries(items), words, fusion, **given)  # type: ignore[arg-type]


def found(hits: Sequence[Hit]) -> list[str]:
    return [hit.item.text for hit in hits]


def test_it_is_a_retriever_and_says_which_sources_found_what() -> None:
    retriever = make()
    assert isinstance(retriever, Retriever) and len(retriever) == len(ALL)
    [hit, *_] = retriever.retrieve("Which size in feet has a fathom?")
    assert (hit.item, hit.why) == (FATHOM, "names fathom; bm25 #1")
    assert hit.score == pytest.approx(2 / 61, abs=1e-6)
    assert make(sources=("linked",)).retrieve("How many feet is a fathom?")[0].why == "names fathom"
    assert make(sources=("lexical",)).retrieve("What size in feet is a fathom?")[0].why == "bm25 #1"
    assert retriever.retrieve("") == [] and make([]).retrieve("fathom") == []


def test_an_ambiguous_name_is_told_by_the_questions_other_words_or_left_open() -> None:
    assert found(make().retrieve("How many shillings are 3 pounds?"))[0] == MONEY.text
    assert found(make().retrieve("How many ounces are 3 pounds?"))[0] == WEIGHT.text
    assert set(found(make().retrieve("What is a pound?"))) == {MONEY.text, WEIGHT.text}


def test_weights_say_which_source_counts_more() -> None:
    items = [fact("Zork.", "Ann", "age", "9"), Lesson(text="Count apples.")]
    question = "Ann counts apples."
    for source, first in (("linked", items[0]), ("lexical", items[1])):
        hits = make(items, sources=("linked", "lexical"), min_score=1.1, weights={source: 3.0}).retrieve(question)
        assert hits[0].item == first, source


def test_facts_are_found_by_their_object_where_the_relation_is_asked() -> None:
    items = [FATHER, BORN, fact("Louis ruled France.", "Louis", "realm", "Henry")]
    hits = make(items, sources=("linked",)).retrieve("Whose father was Henry?")
    assert [hit.item for hit in hits if "father is Henry" in hit.why] == [FATHER]
    child = Entities(relations={"father": Relation(name="father", inverse="child")})
    hits = make(items, sources=("linked",), entities=child).retrieve("Name a child of Henry.")
    assert [hit.item for hit in hits if "father is Henry" in hit.why] == [FATHER]


def test_hops_and_merged_entities() -> None:
    question = "When was the birth of Louis' father?"
    assert BORN.text in found(make(hops=1).retrieve(question))
    assert not any("hop" in hit.why for hit in make(hops=0).retrieve(question))
    other = fact("Henri was shot in 1610.", "Henri", "death", "1610")
    merged = Entities(merges=(EntityMerge(1, "", "Ann", "henri", "henry", ""),))
    asked = "In which year was the death of Henry?"
    assert other.text not in found(make([*ALL, other], sources=("linked",)).retrieve(asked))
    assert found(make([*ALL, other], sources=("linked",), entities=merged).retrieve(asked))[0] == other.text
    default = KnowledgeRetriever(entries([*ALL, other]), words, entities=merged)
    assert found(default.retrieve(asked))[0] == other.text
    assert default.fingerprint != KnowledgeRetriever(entries([*ALL, other]), words).fingerprint


def test_dense_finds_what_shares_no_word() -> None:
    items = [Lesson(text="zzyzx qqq"), Lesson(text="abc cba")]
    hits = make(items, sources=("linked", "dense"), embedder=Letters()).retrieve("zyx zzq")
    assert [(hit.item, hit.why) for hit in hits] == [(items[0], "dense #1")]
    with pytest.raises(ValueError, match="embedder"):
        make(items, sources=("dense",))


def test_facts_whose_subject_nobody_names_are_found_whatever_else_they_say() -> None:
    long = "Above 90 books the keeper of the north wing approves, on a Monday and with two seals, a loan."
    keeper = fact(long, "loan above 90 books", "approver", "keeper")
    others = [fact(f"The {name} is open to guests.", name, "open to", "guests") for name in ("hall", "yard", "loft")]
    policy = make([keeper, *others])
    assert found(policy.retrieve("Who approves a loan of 95 books?")) == [long]
    assert policy.retrieve("Who wrote these books?") == []


def test_limits() -> None:
    items = [fact(f"Ann has the size {n}.", "Ann", f"size {n}", str(n)) for n in range(9)]
    assert len(make(items, max_items=3).retrieve("What size is Ann?")) == 3
    assert len(make(items, budget_tokens=11).retrieve("What size is Ann?")) == 2


def test_filters_by_status_and_task() -> None:
    mixed = [entry for status, item in zip(Status, ALL, strict=False) for entry in entries([item], status)]
    for entry in mixed:
        retriever = FusedRetriever(mixed, words, Fusion(statuses=frozenset({entry.status})))
        assert len(retriever) == 1 and found(retriever.retrieve(entry.item.text)) == [entry.item.text]
    belongs = {FATHOM.id: {"units"}, FATHER.id: {"kin", "history"}}
    retriever = FusedRetriever(
        entries(ALL), words, Fusion(), tasks_of=lambda entry: frozenset(belongs.get(entry.item_id, ()))
    )
    question = "How many feet is a fathom, and who was the father of Louis?"
    assert {FATHOM.text, FATHER.text} <= set(found(retriever.retrieve(question)))
    assert FATHER.text not in found(retriever.retrieve(question, task="units"))
    assert FATHOM.text not in found(retriever.retrieve(question, task="history"))
    assert set(found(retriever.retrieve(question, task="new"))).isdisjoint({FATHER.text, FATHOM.text})
    assert found(retriever.retrieve("Count the apples in baskets", task="units")) == [COUNT.text]


def test_hidden_items_are_not_found_by_any_source() -> None:
    retriever = make(sources=("linked", "lexical", "dense"), embedder=Letters(), min_similarity=0.1)
    for item in ALL:
        assert item.text in found(retriever.retrieve(item.text))
        assert item.text not in found(retriever.retrieve(item.text, hide=frozenset({item.id})))


QUESTIONS = [
    "What is the size of ba?",
    "Who was the father of ko?",
    "Who was ba's father's father?",
    "Name the size and the father of ti ko.",
    "Add the size of apples.",
]
NAMES = ["ba", "ko", "ti ko", "ba ti"]
ITEM = st.one_of(
    st.builds(
        lambda s, r, o: fact(f"The {r} of {s} is {o}.", s, r, o),
        st.sampled_from(NAMES),
        st.sampled_from(["size", "father"]),
        st.sampled_from([*NAMES, "12 inches"]),
    ),
    st.builds(lambda a, b: Lesson(text=f"Add {a} to the {b} of apples."), *[st.sampled_from(["size", "age"])] * 2),
)


@settings(max_examples=25)
@given(st.lists(ITEM, max_size=8), st.lists(st.tuples(st.booleans(), ITEM), max_size=8))
def test_after_any_changes_it_finds_what_a_new_one_finds(first: list[Item], changes: list[tuple[bool, Item]]) -> None:
    fusion = Fusion(sources=("linked", "lexical", "dense"), hops=2, min_coverage=0.3)
    retriever = FusedRetriever(entries(first), words, fusion, embedder=Letters())
    kept = {item.id: item for item in first}
    for added, item in changes:
        if added:
            kept[item.id] = item
            retriever.update(entries([item]))
        else:
            kept.pop(item.id, None)
            retriever.update(entries([item], Status.RETIRED))
    fresh = FusedRetriever(entries([*kept.values()]), words, fusion, embedder=Letters())
    assert retriever.fingerprint == fresh.fingerprint and len(retriever) == len(fresh)
    for question in QUESTIONS:
        linked = [
            {(one._items[f.index].id, f.tier, f.fit) for f in one._links.find(question)} for one in (retriever, fresh)
        ]
        assert linked[0] == linked[1]
    retriever.settle()  # until then BM25 goes by an older mean length
    for question in QUESTIONS:
        before, after = retriever.retrieve(question), fresh.retrieve(question)
        assert [(hit.item.id, hit.score) for hit in before] == [(hit.item.id, hit.score) for hit in after]


def test_it_follows_a_knowledge_base(tmp_path: Path) -> None:
    evidence = Evidence(example="", source="Ann")
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        kb.add([(item, evidence) for item in ALL], status=Status.APPROVED, reviewer="Ann")
        retriever = FusedRetriever.following(kb, words)
        assert retriever.refresh(kb) == 0
        changed = kb.edit(FATHOM.id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, "Ann").item
        assert retriever.refresh(kb) == 1
        assert found(retriever.retrieve("How many feet is a fathom?"))[0] == changed.text
        assert FATHOM.text not in found(retriever.retrieve(FATHOM.text))
        kb.retire(changed.id, "Ann")
        kb.propose(Lesson(text="A fathom is a length."), evidence)
        assert retriever.refresh(kb) == 2
        assert "fathom" not in " ".join(found(retriever.retrieve("How long is a fathom?")))
        kb.approve_all("Ann")
        kb.approve(changed.id, "Ann")
        retriever.refresh(kb)
        assert set(found(retriever.retrieve("How long is a fathom?"))) >= {changed.text}
        approved = kb.entries(status=Status.APPROVED)
        assert retriever.fingerprint == FusedRetriever(approved, words).fingerprint


def test_many_changes_are_settled_by_themselves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fused, "_WORTH_CACHING", 3)
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        retriever = FusedRetriever.following(kb, words)
        for n in range(5):
            kb.add([(Lesson(text=f"Count {n} apples."), Evidence(example="", source="x"))], status=Status.APPROVED)
            retriever.refresh(kb)
            assert retriever._lexical.changes == (n + 1 if n < 3 else n - 3)
        assert [hit.item.text for hit in retriever.retrieve("Count 4 apples.")] == ["Count 4 apples."]


def test_an_index_on_disk_is_used_for_its_own_items_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(fused, "_WORTH_CACHING", 3)
    question = "How many feet is one fadom?"
    expected = make().retrieve(question)
    assert make(cache=tmp_path).retrieve(question) == expected
    [path] = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    words_of = fused._lexical_words  # rules and lessons are few beside facts, and are indexed again

    def words_of_few(item: Item) -> list[str]:
        return pytest.fail("read from disk") if isinstance(item, Fact) else words_of(item)

    monkeypatch.setattr(fused, "_lexical_words", words_of_few)
    again = make(ALL[::-1], cache=tmp_path)
    assert again.retrieve(question) == expected and path.stat().st_mtime_ns == stamp
    monkeypatch.undo()
    monkeypatch.setattr(fused, "_WORTH_CACHING", 3)
    assert make(ALL[1:], cache=tmp_path).retrieve(question) == make(ALL[1:]).retrieve(question)
    assert len(list(tmp_path.iterdir())) == 2
    path.write_bytes(path.read_bytes()[:100])
    assert make(cache=tmp_path).retrieve(question) == expected
    assert path.stat().st_size > 100, "written anew"


def test_on_longtail_links_alone_find_what_the_default_retriever_finds() -> None:
    examples = random.Random(0).sample(LongTail().load("train"), 60)
    items = {i.id: i for e in examples if e.truth for i in (*e.truth.facts, *e.truth.rules)}
    default = KnowledgeRetriever(entries([*items.values()]), words, hops=2)
    links = FusedRetriever(entries([*items.values()]), words, Fusion(sources=("linked",), hops=2))
    both = FusedRetriever(entries([*items.values()]), words, Fusion(hops=2))
    lost = 0
    for example in examples:
        expected = found(default.retrieve(example.question))
        assert [text for text in found(links.retrieve(example.question)) if text in expected] == expected
        needed = {f.text for f in example.truth.facts} if example.truth else set()
        lost += len(needed - set(found(both.retrieve(example.question))))
    assert lost <= 1
