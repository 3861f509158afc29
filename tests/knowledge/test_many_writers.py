"""Many writers at once lose nothing, and a writer killed at any moment leaves a sound base with all it was told is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nesycd.knowledge import KnowledgeBase

WRITER = """
import sys
from nesycd.knowledge import KnowledgeBase
from nesycd.core.records import Evidence, Lesson
path, name, edits = sys.argv[1], sys.argv[2], int(sys.argv[3])
shared = Lesson(text="All of us were here.")
with KnowledgeBase.open(path) as kb:
    item = kb.propose(Lesson(text=f"{name} begins"), Evidence(example=name, source="w")).item_id
    for number in range(edits):
        if number % 10:
            item = kb.edit(item, {"text": f"{name} {number}"}, name, f"edit {number}").item_id
        else:
            kb.add([(shared, Evidence(example=f"{name} {number}", source="w"))])
"""


@pytest.mark.slow
def test_eight_processes_with_a_thousand_edits_each_lose_nothing(new_place: Callable[[], str]) -> None:
    processes, edits, place = 8, 1000, new_place()
    KnowledgeBase.open(place).close()
    commands = [[sys.executable, "-c", WRITER, place, f"writer{n}", str(edits)] for n in range(processes)]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    assert [writer.communicate(timeout=800)[1] for writer in running] == [""] * processes
    with KnowledgeBase.open(place, create=False) as kb:
        assert kb.problems() == [] and kb.revision == processes * (edits + 1)
        assert len(kb.entries()) == processes + 1
        for n in range(processes):
            (entry,) = kb.entries(search=f"writer{n}")
            texts = [line.item.text for line in kb.history(entry.item_id)]
            assert texts == [f"writer{n} begins", *(f"writer{n} {number}" for number in range(edits) if number % 10)]
        (shared,) = kb.entries(search="all of us")
        assert len(shared.evidence) == processes * edits // 10
        assert {(r.actor, r.why) for r in kb.revisions() if r.action == "edit"} == {
            (f"writer{n}", f"edit {number}") for n in range(processes) for number in range(edits) if number % 10
        }


KILLER = """
import os, random, signal, struct, sys, time
from nesycd.knowledge import KnowledgeBase
from nesycd.core.records import Evidence, Lesson

path, kills = sys.argv[1], int(sys.argv[2])
chance = random.Random(1)

def write(name, told):
    # Each acknowledged revision is told through the pipe.
    with KnowledgeBase.open(path) as kb:
        for number in range(1_000_000):
            lessons = [Lesson(text=f"{name} {number} {part}") for part in range(5)]
            kb.add([(lesson, Evidence(example=name, source="w")) for lesson in lessons])
            kb.edit(lessons[0].id, {"text": f"{name} {number} edited"}, "Ann")
            kb.approve_all()
            kb.revert(kb.revision, "Ann")
            os.write(told, struct.pack("q", kb.revision))

written = 0
for kill in range(kills):
    heard, told = os.pipe()
    writer = os.fork()
    if writer == 0:
        write(f"writer {kill}", told)
    os.close(told)
    # Some are killed while they open the base, most at work.
    last = os.read(heard, 8) if kill % 4 else b""
    time.sleep(chance.uniform(0, 0.03))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    with os.fdopen(heard, "rb") as pipe:
        last = (last + pipe.read())[-8:]
    with KnowledgeBase.open(path, create=False) as kb:
        assert kb.problems() == [], kb.problems()
        assert kb.revision >= (struct.unpack("q", last)[0] if last else written), "what was acknowledged is lost"
        written = kb.revision
print(written)
"""


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.slow)])
def test_writers_killed_at_any_moment_leave_a_sound_base(tmp_path: Path, kills: int) -> None:
    path = tmp_path / "kb.sqlite"
    KnowledgeBase.open(path).close()
    done = subprocess.run([sys.executable, "-c", KILLER, path, str(kills)], capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > kills, "the writers did get to write"
