"""The knowledge base: merging, review, history, exchange, many writers."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from nesycd.errors import KnowledgeError
from nesycd.knowledge import KnowledgeBase, export_text, export_yaml, import_yaml
from nesycd.records import Evidence, Fact, Lesson, Rule, Status

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet", aliases=("fathoms",))
AGAIN = Fact(text="A  Fathom is 6 feet.", subject="Fathom", relation="makes", object="6 feet", aliases=("fadom",))
LESSON = Lesson(text="Multiply before you add.")
RULE = Rule(text="If a sum is asked, add.", clause="sum(A, B, C) :- C is A + B.")


def why(uid: str) -> Evidence:
    return Evidence(example=uid, attempt=f"attempt-{uid}", source="expert")


def test_equal_items_merge_and_gather_evidence_in_any_order() -> None:
    proposals = [(FATHOM, why("a")), (AGAIN, why("b")), (LESSON, why("a")), (RULE, why("c")), (LESSON, why("a"))]
    texts = []
    for order in (proposals, proposals[::-1]):
        with KnowledgeBase.open(":memory:") as kb:
            kb.add(order)
            texts.append(export_text(kb))
            facts = kb.entries(kind="fact")
            assert len(facts) == 1 and {e.example for e in facts[0].evidence} == {"a", "b"}
            assert {"fathoms", "fadom"} <= set(facts[0].item.aliases)
            assert kb.stats()["items"] == 3
    assert texts[0] == texts[1]


def test_review_edit_and_history() -> None:
    with KnowledgeBase.open(":memory:") as kb:
        kb.add([(FATHOM, why("a")), (LESSON, why("a"))])
        assert not kb.entries(status=Status.APPROVED)
        kb.approve(FATHOM.id[:6], "ann")
        kb.reject(LESSON.id, "ann")
        version = kb.version
        edited = kb.edit(FATHOM.id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, "ben")
        assert edited.item.object == "7 feet" and edited.evidence and kb.version != version
        # The old id still finds the entry, and its history holds the old content.
        assert kb.get(FATHOM.id).item_id == edited.item_id
        assert [(r.actor, r.item.text) for r in kb.history(edited.item_id)][-1] == ("ben", "A fathom is 7 feet.")
        assert any(r.item == FATHOM for r in kb.history(edited.item_id))
        assert kb.stats()["by_status"] == {"approved": 1, "rejected": 1}


def test_automatic_approval_is_recorded_as_such() -> None:
    with KnowledgeBase.open(":memory:") as kb:
        kb.add([(FATHOM, why("a"))])
        assert kb.approve_all() == 1 and kb.get(FATHOM.id).reviewer == "auto"


def test_export_and_import_lose_nothing(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path / "a.sqlite") as kb, KnowledgeBase.open(tmp_path / "b.sqlite") as other:
        kb.add([(FATHOM, why("a")), (LESSON, why("b")), (RULE, why("c"))])
        kb.approve(RULE.id, "ann")
        kb.reject(LESSON.id, "ben")
        assert export_yaml(kb, tmp_path / "kb.yaml") == 3
        import_yaml(other, tmp_path / "kb.yaml")
        assert other.entries() == kb.entries() and export_text(other) == export_text(kb)


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['true']",
        "- kind: fact\n  text: no triple\n",
        "[",
        "- kind: lesson\n  txt: x\n",
    ],
)
def test_a_bad_file_changes_nothing_and_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("- kind: lesson\n  text: fine\n" + text if text.startswith("-") else text)
    with KnowledgeBase.open(":memory:") as kb:
        with pytest.raises(KnowledgeError, match=r"bad\.yaml"):
            import_yaml(kb, path)
        assert kb.stats()["items"] == 0


def test_an_unknown_id_is_one_clear_error() -> None:
    with KnowledgeBase.open(":memory:") as kb, pytest.raises(KnowledgeError):
        kb.get("abcdef")


def test_a_file_that_is_no_knowledge_base(tmp_path: Path) -> None:
    (tmp_path / "kb.sqlite").write_text("not a database, but a text that is long enough to be read as one " * 20)
    with pytest.raises(KnowledgeError):
        KnowledgeBase.open(tmp_path / "kb.sqlite")


def _write(path: str, worker: int) -> None:
    with KnowledgeBase.open(path) as kb:
        for number in range(10):
            kb.add([(Lesson(text=f"lesson {worker} {number}"), why("a")), (LESSON, why(f"{worker}-{number}"))])


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "kb.sqlite")
    KnowledgeBase.open(path).close()
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(path, worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    with KnowledgeBase.open(path) as kb:
        assert kb.stats()["items"] == 31 and len(kb.get(LESSON.id).evidence) == 30
