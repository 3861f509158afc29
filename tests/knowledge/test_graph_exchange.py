"""Merged entities and declared relations in the lossless formats, and `replace`: the base becomes what a file says."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Evidence, Fact, Lesson, Status
from nesycd.core.text import normal
from nesycd.knowledge import (
    FORMATS,
    Entities,
    KnowledgeBase,
    Relation,
    declare_relations,
    export_file,
    export_text,
    import_file,
    merge_entities,
    read_entities,
    unmerge_entities,
)

NAMES = ["Ann", "no", "1.10", 'B "x": y', "d\x1b", "e #f"]
FACTS = [Fact(text=f"{name} is {n}.", subject=name, relation="is", object=str(n)) for n, name in enumerate(NAMES)]
EVIDENCE = Evidence(example="q", source="t")


def stands(entities: Entities) -> tuple[dict[str, str], dict[str, Relation]]:
    bare = {name: one for name, one in entities.relations.items() if one != Relation(name=one.name)}
    return entities.merged, bare


def known(kb: KnowledgeBase, status: Status = Status.APPROVED) -> None:
    kb.add([(fact, EVIDENCE) for fact in FACTS], status=status, reviewer="Ann")


relations = st.builds(
    Relation,
    name=st.sampled_from(NAMES),
    functional=st.booleans(),
    symmetric=st.booleans(),
    inverse=st.sampled_from(["", *NAMES]),
    domain=st.sampled_from(["", *NAMES]),
)
acts = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)) | st.integers(1, 6) | relations, max_size=7)


def do(kb: KnowledgeBase, given: list[tuple[str, str] | int | Relation]) -> None:
    for act in given:
        try:
            if isinstance(act, Relation):
                declare_relations(kb, [act], "Bob")
            elif isinstance(act, int):
                unmerge_entities(kb, act, "Bob", "no")
            else:
                merge_entities(kb, *act, "Ann: é", f"why {act}")
        except KnowledgeError:
            pass  # both are one already, or there is no such merge


@pytest.mark.parametrize("form", ["yaml", "jsonld", "turtle"])
@settings(max_examples=10, deadline=None)
@given(acts, acts)
@example([("Ann", "no"), ("Ann", "1.10")], [1])
@example([("Ann", "no")], [1, ("1.10", "no"), ("Ann", "1.10")])
def test_import_of_an_export_is_the_same_graph(
    tmp_path_factory: pytest.TempPathFactory, form: str, some: list, others: list
) -> None:
    file = tmp_path_factory.mktemp("exchange") / f"kb{FORMATS[form].suffixes[0]}"
    with KnowledgeBase.open(":memory:") as first, KnowledgeBase.open(":memory:") as second:
        known(first)
        do(first, some)
        export_file(first, file)
        text = file.read_text(encoding="utf-8")
        import_file(second, file)
        assert stands(read_entities(second)) == stands(read_entities(first))
        assert export_text(second, form) == text
        assert import_file(second, file).graph == ()
        # Whatever was said here before, replaced it is what the file says.
        do(second, others)
        import_file(second, file, replace=True)
        assert export_text(second, form) == text and stands(read_entities(second)) == stands(read_entities(first))


def test_merges_of_a_file_join_those_that_stand(tmp_path: Path) -> None:
    with KnowledgeBase.open(":memory:") as kb:
        known(kb)
        merge_entities(kb, "Ann", "no", "Bob", "")
        file = tmp_path / "kb.yaml"
        file.write_text("entries: []\nmerges:\n- {entity: ann, into: '1.10', by: Zoe, why: the same}\n")
        done = import_file(kb, file, dry_run=True)
        assert done.graph == ("+ merge: no into 1.10",) and read_entities(kb).node("Ann") == "no"
        import_file(kb, file)
        assert read_entities(kb).node("Ann") == "1.10" and read_entities(kb).merges[-1].actor == "Zoe"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("merges: {a: b}", "line 1: merges: must be a list"),
        ("merges:\n- {entity: a}", "line 2: a merge needs entity and into"),
        ("merges:\n- {entity: a, into: ' A'}", "line 2: a merge needs entity and into"),
        ("merges:\n- {entity: a, into: b, who: c}", "line 2: who: is not a key of a merge"),
        ("merges:\n- {entity: [a], into: b}", "line 2: entity: must be text"),
        ("merges:\n- {entity: a, into: b}\n- {entity: A, into: c}", "line 3: 'a' is merged twice"),
        ("merges: [x]", "line 1: is not a mapping"),
        ("relations:\n- {name: a, is: [odd]}", "line 2: is: 'odd' is none of"),
        ("relations:\n- {name: a}\n- {name: A, inverse: b}", "line 3: the relation 'A' is declared twice"),
    ],
)
def test_what_cannot_be_said_of_a_graph_is_named_by_its_place(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "kb.yaml"
    file.write_text(f"{text}\nentries:\n- {{kind: lesson, text: Count.}}\n")
    with KnowledgeBase.open(":memory:") as kb:
        with pytest.raises(KnowledgeError) as caught:
            import_file(kb, file)
        assert str(caught.value).startswith(f"{file}: {problem}") and kb.entries() == []


# --- replace ----------------------------------------------------------------------------------------------------------


def test_the_base_becomes_what_the_file_says_as_one_revision(base: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "kb.yaml"
    known(base)
    export_file(base, file)
    text = file.read_text("utf-8")
    edited = base.edit(FACTS[0].id, {"object": "7"}, "Bob")
    base.retire(FACTS[1].id, "Bob")
    base.add([(Lesson(text="Count."), EVIDENCE), (FACTS[2], Evidence(example="r", source="t"))])
    number, before = base.revision, base.entries()
    tried = import_file(base, file, replace=True, dry_run=True)
    assert [(one.sign, *one.changes) for one in tried.differences] == [
        ("~", "evidence"),
        ("~", "object", "reviewer"),
        ("~", "status", "reviewer"),
        ("-",),
    ]
    assert base.revision == number and base.entries() == before
    import_file(base, file, replace=True, reviewer="Zoe", why="from the book")
    assert export_text(base) == text and base.problems() == []
    [revision] = base.revisions(1)
    assert (revision.number, revision.actor, revision.action, revision.why) == (
        number + 1,
        "Zoe",
        "replace",
        "from the book",
    )
    assert base.get(edited.item_id).item == FACTS[0], "an entry keeps its history"
    base.revert(revision.number, "Ann")
    assert base.entries() == before


def test_nothing_approved_goes_unless_that_is_said(base: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "kb.yaml"
    known(base, Status.PROPOSED)
    export_file(base, file)
    base.approve(FACTS[0].id, "Ann")
    base.add([(Lesson(text="Count."), EVIDENCE)], status=Status.APPROVED, reviewer="Ann")
    before = base.entries()
    with pytest.raises(KnowledgeError, match=r"would lose 2 approved items \(\w{8}, \w{8}\); nothing was changed"):
        import_file(base, file, replace=True)
    assert base.entries() == before
    assert len(import_file(base, file, replace=True, dry_run=True).differences) == 2, "to try it asks for nothing"
    import_file(base, file, replace=True, may_lose=True)
    assert {entry.status for entry in base.entries()} == {Status.PROPOSED}


def test_a_format_that_does_not_hold_everything_replaces_nothing(base: KnowledgeBase, tmp_path: Path) -> None:
    known(base)
    export_file(base, tmp_path / "kb.csv")
    with pytest.raises(KnowledgeError, match=r"csv does not hold all of a base.*yaml, jsonld, turtle do"):
        import_file(base, tmp_path / "kb.csv", replace=True)


def test_entries_that_changed_places_are_told_apart(base: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "kb.yaml"
    one, two = Lesson(text="Count."), Lesson(text="Sum.")
    base.add([(one, EVIDENCE)])
    # The id is that of what is here, the text another's; and what is here stands in the file too.
    file.write_text(
        f'- {{kind: lesson, id: "{one.id}", text: Sum.}}\n- {{kind: lesson, text: COUNT.}}\n'
        "- {kind: lesson, text: count., evidence: [{source: x}]}\n"
    )
    import_file(base, file, replace=True)
    assert [normal(entry.item.text) for entry in base.entries()] == ["count.", "sum."]
    assert base.get(two.id).item == two and len(base.entries()[0].evidence) == 2
