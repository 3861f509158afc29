"""What large bases need: work and memory that grow with what is done, not with the square of the base or all of it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest
from sqlalchemy import event, text

from nesycd.core.records import Entry, Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase, import_file, rows, versions
from nesycd.knowledge import importing as bringing
from nesycd.knowledge.exchange import export_text
from nesycd.knowledge.lint import _pairs
from nesycd.knowledge.queue import waiting


def fact(number: int, value: str = "") -> Fact:
    return Fact(
        text=f"Town {number} has {value or number} gates.",
        subject=f"Town {number}",
        relation="gates",
        object=value or str(number),
    )


def filled(place: str, count: int = 12) -> KnowledgeBase:
    kb = KnowledgeBase.open(place)
    kb.add(((fact(number), Evidence(example="", source="a file")) for number in range(count)), status=Status.APPROVED)
    return kb


@contextmanager
def statements(kb: KnowledgeBase) -> Iterator[list[str]]:
    """The SQL that is sent within."""
    sent: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        sent.append(statement)

    event.listen(kb._engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(kb._engine, "before_cursor_execute", note)


def mixed_file(kb: KnowledgeBase, path: Path) -> None:
    """An exported table as people hand it back: edits, decisions, copies, rows of their own, one told twice."""
    lines = ["kind,text,subject,relation,object,id,status,reviewer"]
    for number, entry in enumerate(kb.entries()):
        item = entry.item
        assert isinstance(item, Fact)
        value = f"{number + 100}" if number % 3 == 0 else item.object
        status = "rejected" if number % 4 == 1 else "approved"
        lines.append(
            f"fact,Town {item.subject[5:]} has {value} gates.,{item.subject},gates,{value},{entry.item_id},{status},Ann"
        )
    lines.append(lines[2].replace("gates.", "doors.").replace(",gates,", ",doors,"))  # a copy of the second
    lines += [f"fact,{one.text},{one.subject},gates,{one.object},,," for one in map(fact, (50, 51, 52, 50, 3))]
    lines += [
        "lesson,Count the gates.,,,,,proposed,",
        "lesson,Count the gates.,,,,,rejected,Bo",
        f"lesson,Look.,,,,{'0' * 16},,",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("portion", [1, 2, 7])
def test_a_file_that_is_imported_in_portions_gives_the_same_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    told, texts = [], []
    for place, size in (("whole", 4000), ("portions", portion)):
        with filled(str(tmp_path / f"{place}.sqlite")) as kb:
            mixed_file(kb, tmp_path / "mine.csv")
            monkeypatch.setattr(rows, "PORTION", size)
            done = import_file(kb, tmp_path / "mine.csv", reviewer="Cid")
            monkeypatch.setattr(rows, "PORTION", 4000)
            told.append((done.counts, done.waiting, done.notes, [(d.sign, d.entry) for d in done.differences]))
            texts.append(export_text(kb))
            assert kb.problems() == [] and kb.revision == 2, "one revision, whatever the portions"
    assert texts[0] == texts[1] and told[0] == told[1]
    assert told[0][0].added == 6 and told[0][1] == 4


def test_a_bad_row_at_the_end_leaves_nothing_of_the_portions_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "PORTION", 2)
    with filled(str(tmp_path / "kb.sqlite")) as kb:
        mixed_file(kb, tmp_path / "mine.csv")
        with (tmp_path / "mine.csv").open("a") as file:
            file.write("fact,,,,,,,\n")
        before = export_text(kb)
        with pytest.raises(Exception, match="1 of 22 entries cannot be used, nothing was imported"):
            import_file(kb, tmp_path / "mine.csv", reviewer="Cid")
        assert export_text(kb) == before and kb.revision == 1


def test_only_the_first_differences_of_a_large_import_are_told_and_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringing, "MOST_DIFFERENCES", 2)
    with filled(str(tmp_path / "kb.sqlite")) as kb:
        mixed_file(kb, tmp_path / "mine.csv")
        done = import_file(kb, tmp_path / "mine.csv", reviewer="Cid")
    assert [one.sign for one in done.differences].count("+") == 2 == [one.sign for one in done.differences].count("~")
    assert done.counts.added == 6 and done.waiting == 4 and done.counts.merged > 2


def test_queries_of_an_import_do_not_grow_with_the_base_nor_by_the_item(tmp_path: Path) -> None:
    counts = []
    for size in (20, 300):
        with filled(str(tmp_path / f"{size}.sqlite"), size) as kb:
            path = tmp_path / f"{size}.csv"
            path.write_text("subject,relation,object\n" + "".join(f"River {n},length,{n}\n" for n in range(200)))
            with statements(kb) as sent:
                import_file(kb, path)
        counts.append(len(sent))
    assert counts[0] == counts[1] < 60


def test_ids_and_former_ids_are_found_by_an_index(tmp_path: Path) -> None:
    with filled(str(tmp_path / "kb.sqlite")) as kb:
        old = fact(3).id
        new = kb.edit(old, {"object": "33"}, "Ann").item_id
        with statements(kb) as sent:
            assert kb.get(old) == kb.get(new) == kb.get(old[:9]) == kb.get(new[:9])
        looked = [one for one in sent if "item_id" in one and "WHERE" in one and "evidence" not in one]
        assert looked and not any("LIKE" in one for one in looked)
        with kb.reading() as connection:
            for one in looked:
                filled_in = one.replace("?", "'x'")
                plan = [row[-1] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {filled_in}"))]
                assert not any("SCAN" in step for step in plan if step != "SCAN CONSTANT ROW"), (one, plan)


def test_what_a_revision_changed_is_found_without_the_rest_of_the_base(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    plain = versions.state_at

    def counted(connection: object, number: int, uids: object = None) -> object:
        found = plain(connection, number, uids)  # type: ignore[arg-type]
        read.append(len(found))
        return found

    with filled(str(tmp_path / "kb.sqlite"), 40) as kb:
        kb.edit(fact(3).id, {"object": "33"}, "Ann")
        kb.reject(fact(4).id, "Ann")
        monkeypatch.setattr(versions, "state_at", counted)
        assert [one.entry.item.text for one in kb.diff("1")] == [fact(3).text, fact(4).text]
        assert kb.revert_to("1", "Ann") == 2 and max(read) == 2
        assert kb.diff("1") == [] and kb.problems() == []


def test_the_queue_reads_what_waits_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(str(tmp_path / "kb.sqlite"), 30) as kb:
        kb.propose(Lesson(text="Count."), Evidence(example="", source="x"))
        with statements(kb) as sent:
            assert [one.entry.item.text for one in waiting(kb)] == ["Count."]
        assert all("WHERE" in one for one in sent if "entries.item," in one)


def test_entries_are_read_in_portions_and_share_their_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with filled(str(tmp_path / "kb.sqlite"), 23) as kb:
        whole = kb.entries()
        monkeypatch.setattr(rows, "PORTION", 4)
        with kb.reading() as connection:
            found = [entry for _, entry in rows.each(connection)]
        assert kb.entries() == whole == sorted(found, key=lambda entry: whole.index(entry))
    assert len({id(entry.evidence[0]) for entry in found}) == 1


def test_pairs_of_texts_that_share_their_rarest_words() -> None:
    rng = random.Random(0)
    texts = [frozenset(f"w{int(40 * rng.random() ** 2)}" for _ in range(6)) for _ in range(300)]
    shared: dict[str, list[int]] = defaultdict(list)
    for place, stems in enumerate(texts):
        for stem in stems:
            shared[stem].append(place)
    expected = {
        pair
        for stems in texts
        for stem in sorted(stems, key=lambda stem: (len(shared[stem]), stem))[:2]
        for pair in combinations(shared[stem][:200], 2)
    }
    assert [*_pairs(texts, shared)] == sorted(expected) != []


def test_records_share_the_set_of_their_given_fields() -> None:
    one, other = fact(1), fact(2)
    assert one.__pydantic_fields_set__ is other.__pydantic_fields_set__
    changed = one.model_copy(update={"aliases": ("T",)})
    assert "aliases" in changed.model_fields_set and "aliases" not in other.model_fields_set
    assert Entry(item=one).model_fields_set == {"item"}
