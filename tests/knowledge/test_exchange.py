"""Export and import: lossless, the same text for the same content, all or nothing, and deaf to hostile YAML."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Lesson, Rule, RuleTest, Status
from nesycd.knowledge import KnowledgeBase, export_file, export_text, import_file, read_file
from nesycd.knowledge.yaml_text import quote

texts = st.one_of(
    st.text(min_size=1, max_size=40),
    st.sampled_from(
        [
            "no",
            "Null",
            "~",
            "1.10",
            "2020-01-01",
            "a: b",
            "a #b",
            "- x",
            "[[[[[[[[[[",
            "x\ny",
            "'q'",
            "é\x85\u2028\ufeff",
        ]
    ),
)
seen = texts.filter(str.strip)
items = st.one_of(
    st.builds(Lesson, text=seen),
    st.builds(Rule, text=seen, clause=st.none() | texts),
    st.builds(
        Rule,
        text=seen,
        clause=texts,
        says=texts | st.just(""),
        scope=st.lists(texts, max_size=2).map(tuple),
        exceptions=st.lists(texts, max_size=2).map(tuple),
        tests=st.lists(
            st.builds(RuleTest, given=texts, expect=texts | st.just(""), expect_not=texts | st.just("")), max_size=2
        ).map(tuple),
    ),
    st.builds(
        Fact, text=seen, subject=texts, relation=texts, object=texts, aliases=st.lists(texts, max_size=3).map(tuple)
    ),
)
evidence = st.builds(Evidence, example=texts | st.just(""), attempt=st.text(max_size=5), source=texts)
entries = st.builds(
    Entry,
    item=items,
    status=st.sampled_from(Status),
    reviewer=st.text(max_size=8),
    evidence=st.lists(evidence, max_size=3).map(tuple),
)


@given(st.lists(entries, max_size=6))
def test_import_of_an_export_is_the_same_knowledge_base(
    tmp_path_factory: pytest.TempPathFactory, some: list[Entry]
) -> None:
    file = tmp_path_factory.mktemp("exchange") / "kb.yaml"
    with KnowledgeBase.open(":memory:") as first, KnowledgeBase.open(":memory:") as second:
        first.add_entries(some)
        count = export_file(first, file)
        counts = import_file(second, file).counts
        assert counts.added == count == len(first.entries())
        assert second.entries() == first.entries()
        assert export_text(second) == file.read_text(encoding="utf-8")
        assert import_file(second, file).counts.unchanged == count


@given(texts)
def test_any_text_is_read_alike_by_other_yaml_readers(text: str) -> None:
    assert yaml.safe_load(f"key: {quote(text)}") == {"key": text}
    assert yaml.safe_load(f"- {{a: {quote(text, inside=True)}, b: [{quote(text, inside=True)}]}}") == [
        {"a": text, "b": [text]}
    ]


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_by_hand_needs_the_content_only(tmp_path: Path) -> None:
    file = write(tmp_path, "- kind: fact\n  text: A fathom is 6 feet.\n  subject: fathom\n  relation: feet\n  object: 6\n"
                           "- {kind: lesson, text: no}\n- kind: rule\n  text: If so, then so.\n  clause: ~\n")  # fmt: skip
    with KnowledgeBase.open(":memory:") as kb:
        assert import_file(kb, file, status=Status.APPROVED, reviewer="Ann").counts.added == 3
        by_kind = {entry.item.kind: entry for entry in kb.entries()}
    fact = by_kind["fact"]
    assert isinstance(fact.item, Fact) and fact.item.object == "6"
    assert by_kind["lesson"].item.text == "no"
    assert (fact.status, fact.reviewer) == (Status.APPROVED, "Ann")
    assert fact.evidence == (Evidence(example="", source="mine.yaml"),)


def test_content_edited_in_the_file_edits_the_entry(tmp_path: Path) -> None:
    with KnowledgeBase.open(":memory:") as kb:
        lesson = Lesson(text="Count the apples.")
        kb.add([(lesson, Evidence(example="q1", source="expert"))], status=Status.APPROVED, reviewer="auto")
        file = tmp_path / "kb.yaml"
        export_file(kb, file)
        file.write_text(file.read_text().replace("apples", "pears").replace("approved", "retired"))
        counts = import_file(kb, file, reviewer="Ann").counts
        (entry,) = kb.entries()
        assert (counts.added, counts.merged) == (0, 1)
        assert entry.item.text == "Count the pears." and entry.status is Status.RETIRED
        assert entry.evidence == (Evidence(example="q1", source="expert"),)
        history = kb.history(lesson.id)
        assert [(r.action, r.actor, str(r.status)) for r in history[:2]] == [
            ("add", "auto", "approved"),
            ("edit", "Ann", "approved"),
        ]
        assert history[-1].status is Status.RETIRED


def test_every_bad_entry_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "- {kind: lesson, text: Good.}\n"
        "- {kind: fact, text: No subject., relation: r, object: o}\n"
        "- {kind: lesson, text: Good too., colour: red}\n"
        "- {kind: poem, text: Roses.}\n"
        "- {kind: lesson, text: [a, list]}\n"
        "- {kind: lesson, text: Well., status: famous}\n"
        "- {kind: lesson, text: Well., evidence: [{example: q}]}\n"
        "- {text: What am I.}\n"
        "- just words\n"
        "- {kind: lesson, text: '  '}\n",
    )
    with KnowledgeBase.open(":memory:") as kb:
        with pytest.raises(KnowledgeError) as caught:
            import_file(kb, file)
        assert kb.entries() == []
    message = str(caught.value)
    assert message.startswith(f"{file}: 9 of 10 entries cannot be used, nothing was imported: ")
    for number, key in [(2, "subject"), (3, "colour"), (4, "kind"), (5, "text"), (6, "status"), (7, "evidence.source"),
                        (8, "kind"), (9, "is not a mapping"), (10, "text")]:  # fmt: skip
        assert f"entry {number} (line {number}): {key}" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- !!python/object/apply:os.system [echo]", "line 1: the tag"),
        ("- {kind: !!binary bGVzc29u, text: x}", "line 1: the tag"),
        ("- &a {kind: lesson, text: x}\n- *a", "line 1: anchors"),
        ("a: &x [l]\nb: [*x, *x]", "line 1: anchors"),
        ("[" * 200_000, "nested too deeply"),
        ("- " * 200_000 + "x", "nested too deeply"),
        ("- {kind: lesson, text: x}\n---\n- {kind: lesson, text: y}", "line 2: a second document"),
        ("- {kind: lesson, text: x, text: y}", "line 1: the key 'text' stands twice"),
        ("- kind: lesson\n  text: [x\n", "line 3"),
        ("- {kind: lesson, text: \x00}", "unacceptable character"),
        ("- {[a]: b}", "a key must be text"),
        ("", "is empty"),
        ("just words", "needs a list of entries"),
        ("entries: 5", "needs a list of entries"),
        ("format: other/3\nentries: []", "format is 'other/3'"),
        ("items: []", "'items' is not a key"),
    ],
)
def test_hostile_or_foreign_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(KnowledgeError) as caught:
        read_file(file)
    assert str(caught.value).startswith(str(file)) and message in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="No such file"):
        read_file(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("- {kind: lesson, text: Zählen.}".encode("latin-1"))
    with pytest.raises(KnowledgeError, match="not UTF-8"):
        read_file(tmp_path / "latin.yaml")


def test_a_full_disk_leaves_the_old_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kb.yaml"
    with KnowledgeBase.open(":memory:") as kb:
        export_file(kb, file)
        old = file.read_text()
        kb.propose(Lesson(text="Count."), Evidence(example="", source="Ann"))

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(KnowledgeError, match=r"No space left.*old file is unchanged"):
            export_file(kb, file)
    assert file.read_text() == old == "format: nesycd-kb/1\nentries: []\n"
    assert [path.name for path in tmp_path.iterdir()] == ["kb.yaml"]
