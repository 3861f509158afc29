"""A run's stages are done once, go on after a stop, and are redone only where their inputs changed."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.answers import Attempt
from nesycd.core.errors import RunError, Unanswered
from nesycd.core.protocols import TrainSettings
from nesycd.core.storage import RecordLog
from nesycd.runs import manifest
from nesycd.runs.artifacts import open_artifact
from nesycd.runs.manifest import TIME_FIELDS, machine, without_times
from nesycd.runs.run import Run, read_records
from nesycd.runs.stage import Artifact, StageRecords, fingerprint_of, read_states

KEYS = [f"q{number}" for number in range(6)]
BATCHES = [["q4", "q1"], ["q0", "q5", "q2"], ["q3"]]


def attempt(key: str, text: str = "yes") -> Attempt:
    return Attempt(example=key, solver="toy", response=f"{text} {key}", seconds=time.time())


class Producer:
    """Makes attempts, remembers for which keys, and fails after `limit` of them."""

    def __init__(self, limit: int = 100, backwards: bool = False) -> None:
        self.asked: list[str] = []
        self.limit = limit
        self.backwards = backwards

    def __call__(self, keys: list[str]) -> Iterator[Attempt]:
        for key in reversed(keys) if self.backwards else keys:
            if len(self.asked) == self.limit:
                raise KeyboardInterrupt
            self.asked.append(key)
            yield attempt(key)


def run_records(folder: Path, produce: Producer, inputs: dict[str, Any] | None = None, **more: Any) -> list[Attempt]:
    with Run.open(folder, {}, **more) as run:
        return run.records("ask", Attempt, inputs or {"seed": 1}, KEYS, produce)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestRecords:
    def test_are_written_in_the_order_of_their_keys(self, tmp_path: Path) -> None:
        records = run_records(tmp_path / "run", Producer(backwards=True))
        assert [record.example for record in records] == KEYS
        assert read_records(tmp_path / "run", "ask", Attempt) == records

    def test_are_not_made_twice_and_a_run_that_does_nothing_writes_nothing(self, tmp_path: Path) -> None:
        first = run_records(tmp_path / "run", Producer())
        before = contents(tmp_path / "run")
        again = Producer()
        assert run_records(tmp_path / "run", again) == first
        assert again.asked == []
        assert contents(tmp_path / "run") == before

    def test_of_keys_left_unanswered_are_asked_for_by_the_next_call(self, tmp_path: Path) -> None:
        def some(keys: list[str]) -> Iterator[Attempt]:
            yield from map(attempt, keys[1:])
            raise Unanswered(1, "the server is asleep")

        with Run.open(tmp_path / "run", {}) as run:
            with pytest.raises(
                RunError, match=rf"^ask: 1 of {len(KEYS)} questions were not answered: the server is asleep; what"
            ):
                run.records("ask", Attempt, {"seed": 1}, KEYS, some)
            assert not run.stage("ask", {"seed": 1, "record": Attempt.schema_name}).done
        again = Producer()
        assert [record.example for record in run_records(tmp_path / "run", again)] == KEYS
        assert again.asked == KEYS[:1]

    def test_that_are_dropped_are_made_anew(self, tmp_path: Path) -> None:
        first = run_records(tmp_path / "run", Producer())
        with Run.open(tmp_path / "run", {}) as run:
            run.drop("never-begun", Attempt, lambda record: True)
            run.drop("ask", Attempt, lambda record: record.example == KEYS[1])
        again = Producer()
        assert [one.id for one in run_records(tmp_path / "run", again)] == [one.id for one in first]
        assert again.asked == [KEYS[1]]

    def test_are_redone_when_an_input_changes(self, tmp_path: Path) -> None:
        said: list[str] = []
        run_records(tmp_path / "run", Producer(), {"seed": 1, "rate": 0.5})
        again = Producer()
        run_records(tmp_path / "run", again, {"seed": 2, "rate": 0.5}, notify=said.append)
        assert again.asked == KEYS
        assert said == ["ask: redone, because seed changed"]

    def test_go_on_after_an_interruption(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            run_records(tmp_path / "run", Producer(limit=4))
        said: list[str] = []
        again = Producer()
        records = run_records(tmp_path / "run", again, notify=said.append)
        assert again.asked == ["q4", "q5"]
        assert [record.example for record in records] == KEYS
        assert said == ["ask: going on, 4 of 6 are done"]

    def test_with_other_keys_keep_those_still_wanted(self, tmp_path: Path) -> None:
        run_records(tmp_path / "run", Producer())
        again = Producer()
        with Run.open(tmp_path / "run", {}) as run:
            records = run.records("ask", Attempt, {"seed": 1}, ["q9", "q3", "q1"], again)
        assert again.asked == ["q9"]
        assert [record.example for record in records] == ["q9", "q3", "q1"]
        assert read_records(tmp_path / "run", "ask", Attempt) == records

    @pytest.mark.parametrize(
        ("produce", "problem"),
        [
            (lambda keys: [attempt("other")], "'other' was not asked for"),
            (lambda keys: [attempt("q0"), attempt("q0")], "second one"),
            (lambda keys: [attempt("q0")], "5 records never came"),
        ],
    )
    def test_that_do_not_fit_the_keys_are_refused(
        self, tmp_path: Path, produce: Callable[[list[str]], Iterable[Attempt]], problem: str
    ) -> None:
        with Run.open(tmp_path / "run", {}) as run, pytest.raises(ValueError, match=problem):
            run.records("ask", Attempt, {}, KEYS, produce)

    def test_tell_how_far_they_are(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            run_records(tmp_path / "run", Producer(limit=4))
        seen: list[tuple[str, int, int]] = []
        run_records(tmp_path / "run", Producer(), watch=lambda *progress: seen.append(progress))
        assert seen == [("ask", 4, 6), ("ask", 5, 6), ("ask", 6, 6)]

    def test_the_same_stage_with_other_inputs_in_one_run_is_our_own_mistake(self, tmp_path: Path) -> None:
        with Run.open(tmp_path / "run", {}) as run:
            run.value("one", {"a": 1}, lambda: 1)
            with pytest.raises(ValueError, match="twice"):
                run.value("one", {"a": 2}, lambda: 1)
            with pytest.raises(ValueError, match="name"):
                run.value("../one", {"a": 2}, lambda: 1)


class TestDamage:
    @pytest.mark.parametrize("done", [True, False])
    def test_a_torn_last_line_is_cut_off_and_done_again(self, tmp_path: Path, done: bool) -> None:
        if done:
            run_records(tmp_path / "run", Producer())
        else:
            with pytest.raises(KeyboardInterrupt):
                run_records(tmp_path / "run", Producer(limit=4))
        path = tmp_path / "run/stages/ask.jsonl"
        path.write_bytes(path.read_bytes()[:-9])
        said: list[str] = []
        again = Producer()
        records = run_records(tmp_path / "run", again, notify=said.append)
        assert again.asked == (["q5"] if done else ["q3", "q4", "q5"])
        assert [record.example for record in records] == KEYS
        assert f"ask.jsonl:{6 if done else 4}: torn last line cut off" in said[0]

    def test_a_last_line_of_zeros_counts_as_torn(self, tmp_path: Path) -> None:
        run_records(tmp_path / "run", Producer())
        path = tmp_path / "run/stages/ask.jsonl"
        data = path.read_bytes()
        start = data[:-1].rfind(b"\n") + 1
        path.write_bytes(data[:start] + b"\0" * (len(data) - start - 1) + b"\n")
        again = Producer()
        run_records(tmp_path / "run", again)
        assert again.asked == ["q5"]

    @pytest.mark.parametrize(
        ("line", "problem"),
        [(b"{broken", "not valid JSON"), (b"[1]", "a JSON object is needed"), (b'{"schema": "hit/1"}', "schema is")],
    )
    def test_a_corrupt_line_is_named(self, tmp_path: Path, line: bytes, problem: str) -> None:
        run_records(tmp_path / "run", Producer())
        path = tmp_path / "run/stages/ask.jsonl"
        lines = path.read_bytes().split(b"\n")
        lines[2] = line
        path.write_bytes(b"\n".join(lines))
        with pytest.raises(RunError, match=rf"ask\.jsonl:3: .*{problem}.*delete the file"):
            run_records(tmp_path / "run", Producer())

    def test_an_edited_line_is_named(self, tmp_path: Path) -> None:
        run_records(tmp_path / "run", Producer())
        path = tmp_path / "run/stages/ask.jsonl"
        path.write_text(path.read_text().replace("yes q1", "no q1"))
        with pytest.raises(RunError, match=r"ask\.jsonl:2: id .* does not match"):
            run_records(tmp_path / "run", Producer())

    def test_a_deleted_file_is_made_again(self, tmp_path: Path) -> None:
        run_records(tmp_path / "run", Producer())
        (tmp_path / "run/stages/ask.jsonl").unlink()
        again = Producer()
        run_records(tmp_path / "run", again)
        assert again.asked == KEYS

    @pytest.mark.parametrize("name", ["stages/ask.json", "manifest.json"])
    def test_other_damaged_files_are_named(self, tmp_path: Path, name: str) -> None:
        run_records(tmp_path / "run", Producer())
        (tmp_path / "run" / name).write_text('{"schema"')
        with pytest.raises(RunError, match=rf"{name}: not a readable"):
            run_records(tmp_path / "run", Producer())

    def test_a_run_of_a_later_version_is_refused(self, tmp_path: Path) -> None:
        run_records(tmp_path / "run", Producer())
        path = tmp_path / "run/manifest.json"
        path.write_text(path.read_text().replace("run/2", "run/9"))
        with pytest.raises(RunError, match="'run/9'"):
            run_records(tmp_path / "run", Producer())

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full to write to")
    def test_a_full_disk_is_one_sentence(self) -> None:
        log = RecordLog(Path("/dev/full"), Attempt)
        with pytest.raises(RunError, match=r"/dev/full: the disk is full .*what is finished is kept"):
            log.append(attempt("q0"))
        log.close()

    def test_a_disk_that_fills_up_in_a_write_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = 700
        write = os.write

        def short_write(descriptor: int, data: bytes) -> int:
            nonlocal room
            if room == 0:
                raise OSError(28, "No space left on device")
            written = write(descriptor, data[:room])
            room -= written
            return written

        monkeypatch.setattr(os, "write", short_write)
        with pytest.raises(RunError, match=r"ask\.jsonl: the disk is full"):
            run_records(tmp_path / "run", Producer())
        monkeypatch.undo()
        size = (tmp_path / "run/stages/ask.jsonl").stat().st_size
        again = Producer()
        assert len(run_records(tmp_path / "run", again)) == 6
        assert size == 700
        assert again.asked == KEYS[-len(again.asked) :]
        assert 0 < len(again.asked) < 6


class TestBatches:
    def run(self, folder: Path, produce: Callable[[list[str]], Iterable[Attempt]], **more: Any) -> list[Attempt]:
        with Run.open(folder, {}) as run:
            return run.batches("answer", Attempt, {"seed": 1}, lambda: BATCHES, produce, **more)

    def test_are_kept_in_the_order_of_the_plan_or_of_the_keys(self, tmp_path: Path) -> None:
        records = self.run(tmp_path / "plan", Producer(backwards=True))
        assert [record.example for record in records] == ["q4", "q1", "q0", "q5", "q2", "q3"]
        records = self.run(tmp_path / "keys", Producer(), keys=KEYS)
        assert [record.example for record in records] == KEYS
        assert json.loads((tmp_path / "keys/stages/answer.plan.json").read_text()) == BATCHES
        again = Producer()
        assert self.run(tmp_path / "keys", again, keys=KEYS) == records
        assert again.asked == []

    def test_a_batch_cut_short_is_redone_whole(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.run(tmp_path / "run", Producer(limit=4))
        path = tmp_path / "run/stages/answer.jsonl"
        assert len(path.read_bytes().splitlines()) == 2
        # As if the process had died while it wrote the second batch.
        with path.open("ab") as file:
            file.write((json.dumps(attempt("q0").to_json()) + "\n").encode() + b'{"schema": "att')
        again = Producer()
        records = self.run(tmp_path / "run", again)
        assert again.asked == ["q0", "q5", "q2", "q3"]
        assert [record.example for record in records] == ["q4", "q1", "q0", "q5", "q2", "q3"]

    def test_the_plan_is_made_once(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.run(tmp_path / "run", Producer(limit=3))
        again = Producer()
        with Run.open(tmp_path / "run", {}) as run:
            run.batches("answer", Attempt, {"seed": 1}, lambda: [[key] for key in KEYS], again)
        assert again.asked == ["q0", "q5", "q2", "q3"]

    def test_a_torn_line_of_a_sorted_file_costs_its_batch_only(self, tmp_path: Path) -> None:
        self.run(tmp_path / "run", Producer(), keys=KEYS)
        path = tmp_path / "run/stages/answer.jsonl"
        path.write_bytes(path.read_bytes()[:-3])
        again = Producer()
        records = self.run(tmp_path / "run", again, keys=KEYS)
        assert again.asked == ["q0", "q5", "q2"]
        assert [record.example for record in records] == KEYS

    def test_without_a_plan_the_stage_begins_anew_and_a_damaged_one_is_named(self, tmp_path: Path) -> None:
        self.run(tmp_path / "run", Producer())
        plan = tmp_path / "run/stages/answer.plan.json"
        plan.write_text("[1")
        with pytest.raises(RunError, match=r"answer\.plan\.json: not a readable plan"):
            self.run(tmp_path / "run", Producer())
        plan.unlink()
        again = Producer()
        self.run(tmp_path / "run", again)
        assert len(again.asked) == 6

    @pytest.mark.parametrize(
        "content",
        [
            "[[1, 2], [3, 4, 5], [6]]",
            '[["q4", ["q1"]], ["q0", "q5", "q2"], ["q3"]]',
            '[["q4", "q1"], ["q0", "q5", "q2"], ["q3", "q9"]]',
            '[["q4", "q1"], ["q0", "q5", "q2"]]',
            '[["q4", "q1"], ["q0", "q5", "q2"], ["q3", "q4"]]',
            '[["q4", "q1"], ["q0", "q5", "q2"], "q3"]',
            '{"q4": ["q1"]}',
            '[["q4", "q1"], ["q0", ',
            "",
            "null",
            "[" * 100_000,
            "\udcff",
        ],
    )
    def test_a_plan_that_holds_anything_else_is_one_sentence(self, tmp_path: Path, content: str) -> None:
        self.run(tmp_path / "run", Producer(), keys=KEYS)
        plan = tmp_path / "run/stages/answer.plan.json"
        plan.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(RunError, match=r"answer\.plan\.json: not a readable plan; delete it"):
            self.run(tmp_path / "run", Producer(), keys=KEYS)
        plan.unlink()
        assert [record.example for record in self.run(tmp_path / "run", Producer(), keys=KEYS)] == KEYS

    def test_a_wrong_plan_or_answer_is_our_own_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="each key once"):
            self.run(tmp_path / "a", Producer(), keys=["q0"])
        with pytest.raises(ValueError, match="other records"):
            self.run(tmp_path / "b", lambda keys: [attempt("q4")])


class TestOthers:
    def test_computed_records_and_values_are_kept(self, tmp_path: Path) -> None:
        calls: list[str] = []

        def compute() -> list[Attempt]:
            calls.append("records")
            return [attempt("q1"), attempt("q0"), attempt("q1")]

        def value() -> dict[str, Any]:
            calls.append("value")
            return {"threshold": 0.25, "pair": (1, 2)}

        for _ in range(2):
            with Run.open(tmp_path / "run", {}) as run:
                records = run.computed("texts", Attempt, {"a": 1}, compute)
                assert [record.example for record in records] == ["q1", "q0", "q1"]
                assert run.value("router", {"texts": records}, value) == {"threshold": 0.25, "pair": [1, 2]}
        assert calls == ["records", "value"]
        (tmp_path / "run/stages/texts.jsonl").write_text("")
        with Run.open(tmp_path / "run", {}) as run:
            assert len(run.computed("texts", Attempt, {"a": 1}, compute)) == 3
        assert calls == ["records", "value", "records"]

    def test_an_artifact_goes_on_from_its_own_files(self, tmp_path: Path) -> None:
        def make(folder: Path) -> dict[str, Any]:
            if not (folder / "checkpoint").exists():
                (folder / "checkpoint").write_text("half way")
                raise KeyboardInterrupt
            (folder / "adapter").write_text("weights")
            return {"steps": 7}

        with Run.open(tmp_path / "run", {}) as run, pytest.raises(KeyboardInterrupt):
            run.artifact("student", {"rate": 0.1}, make)
        with Run.open(tmp_path / "run", {}) as run:
            made = run.artifact("student", {"rate": 0.1}, make)
        assert made.metadata == {"steps": 7}
        assert (made.path / "adapter").read_text() == "weights"
        with Run.open(tmp_path / "run", {}) as run:
            assert run.artifact("student", {"rate": 0.1}, lambda folder: {}) == made

    def test_an_artifact_with_other_inputs_begins_in_an_empty_folder(self, tmp_path: Path) -> None:
        with Run.open(tmp_path / "run", {}) as run:
            first = run.artifact("student", {"rate": 0.1}, lambda folder: {"made": (folder / "x").write_text("1")})

        def make(folder: Path) -> dict[str, Any]:
            return {"found": [path.name for path in folder.iterdir()]}

        with Run.open(tmp_path / "run", {}) as run:
            second = run.artifact("student", {"rate": 0.2}, make)
        assert second.metadata == {"found": []}
        assert second.fingerprint != first.fingerprint

    def test_a_missing_artifact_is_made_again_and_keeps_its_fingerprint(self, tmp_path: Path) -> None:
        with Run.open(tmp_path / "run", {}) as run:
            made = run.artifact("student", {"rate": 0.1}, lambda folder: {})
        made.path.rmdir()
        with Run.open(tmp_path / "run", {}) as run:
            again = run.artifact("student", {"rate": 0.1}, lambda folder: {"again": True})
        assert again.path.is_dir()
        assert again.fingerprint == made.fingerprint

    def make_adapter(self, folder: Path, notify: Callable[[str], None] | None = None) -> Artifact:
        def make(place: Path) -> dict[str, Any]:
            found = sorted(path.name for path in place.iterdir())
            (place / "adapter").write_text("weights")
            (place / "deep").mkdir(exist_ok=True)
            (place / "deep" / "config").write_text("{}")
            return {"found": found}

        with Run.open(folder, {}, notify=notify) as run:
            return run.artifact("student", {"rate": 0.1}, make)

    @pytest.mark.parametrize("lost", ["adapter", "deep/config"])
    def test_an_artifact_without_one_of_its_files_is_made_again_and_that_is_said(
        self, tmp_path: Path, lost: str
    ) -> None:
        made = self.make_adapter(tmp_path / "run")
        (made.path / lost).unlink()
        with pytest.raises(RunError, match=f"{lost}: gone .*run the recipe again"):
            open_artifact(tmp_path / "run", "student")
        said: list[str] = []
        assert self.make_adapter(tmp_path / "run", said.append) == made, "with nothing left over"
        assert said == [f"student: made again, because {made.path / lost} is gone"]
        assert open_artifact(tmp_path / "run", "student") == made

    @pytest.mark.parametrize("content", ["weightz", "weights and more", ""])
    def test_an_artifact_with_a_changed_file_is_not_used(self, tmp_path: Path, content: str) -> None:
        made = self.make_adapter(tmp_path / "run")
        (made.path / "adapter").write_text(content)
        problem = r"student.adapter: not what stage student wrote .*delete \S+student and run the recipe again"
        with pytest.raises(RunError, match=problem):
            self.make_adapter(tmp_path / "run")
        with pytest.raises(RunError, match=problem):
            open_artifact(tmp_path / "run", "student")
        shutil.rmtree(made.path)
        assert self.make_adapter(tmp_path / "run") == made
        assert (made.path / "adapter").read_text() == "weights"

    def test_an_artifact_that_is_not_finished_cannot_be_opened(self, tmp_path: Path) -> None:
        def make(folder: Path) -> dict[str, Any]:
            raise KeyboardInterrupt

        with Run.open(tmp_path / "run", {}) as run, pytest.raises(KeyboardInterrupt):
            run.artifact("student", {}, make)
        for name in ("student", "other"):
            with pytest.raises(RunError, match=f"stage {name} is not finished; run the recipe again"):
                open_artifact(tmp_path / "run", name)

    def test_a_disk_that_fills_up_while_an_artifact_is_made_is_one_sentence(self, tmp_path: Path) -> None:
        def make(folder: Path) -> dict[str, Any]:
            raise OSError(28, "No space left on device")

        with Run.open(tmp_path / "run", {}) as run, pytest.raises(RunError, match="the disk is full"):
            run.artifact("student", {}, make)

    def test_stages_of_an_earlier_config_are_removed_at_the_end(self, tmp_path: Path) -> None:
        for folds in (3, 2):
            with Run.open(tmp_path / "run", {"folds": folds}) as run:
                for fold in range(folds):
                    run.artifact(f"fold-{fold}", {}, lambda folder: {})
                run.finish()
        assert [*read_states(tmp_path / "run")] == ["fold-0", "fold-1"]
        assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == ["fold-0", "fold-1"]

    def test_measurements_beside_the_run_can_be_kept_and_do_not_count_as_its_time(self, tmp_path: Path) -> None:
        with Run.open(tmp_path / "run", {}) as run:
            run.value("measured", {}, lambda: 1)
            run.finish()
        with Run.open(tmp_path / "run", {}) as run:
            run.value("one", {}, lambda: 1)
            run.finish(keep=("measured",))
            assert [*run.seconds()] == ["one"]
        assert (tmp_path / "run/stages/measured.json").exists()


class TestManifest:
    def test_tells_config_hashes_versions_machine_and_seconds(self, tmp_path: Path) -> None:
        with Run.open(tmp_path / "run", {"seed": 3}, seeds={"run": 3}) as run:
            run.describe(student="abc")
            run.value("slow", {}, lambda: time.sleep(0.02))
            run.finish()
            assert run.seconds()["slow"] >= 0.02
        content = manifest.read_manifest(tmp_path / "run")
        assert content is not None
        assert manifest.read_config(tmp_path / "run") == {"seed": 3}
        assert (content["seeds"], content["hashes"]) == ({"run": 3}, {"student": "abc"})
        assert read_states(tmp_path / "run")["slow"]["seconds"] >= 0.02
        assert content["finished"] >= content["created"]
        assert content["versions"]["pydantic"].count(".") >= 1
        assert content["machine"] == machine()

    def test_seconds_add_up_over_interruptions_and_kills(self, tmp_path: Path) -> None:
        def stop(folder: Path) -> dict[str, Any]:
            time.sleep(0.03)
            raise KeyboardInterrupt

        with Run.open(tmp_path / "run", {}) as run, pytest.raises(KeyboardInterrupt):
            run.artifact("student", {}, stop)
        path = tmp_path / "run/stages/student.json"
        state = json.loads(path.read_text())
        assert (state["done"], state["started"], state["seconds"] >= 0.03) == (False, None, True)
        # A killed process leaves `started` behind: work went on until the newest file was written.
        path.write_text(json.dumps({**state, "seconds": 5.0, "started": 1000.0}))
        (tmp_path / "run/checkpoints/student/step").write_text("")
        os.utime(tmp_path / "run/checkpoints/student/step", (1007.0, 1007.0))
        with Run.open(tmp_path / "run", {}) as run:
            run.artifact("student", {}, lambda folder: {})
            assert 12.0 <= run.seconds()["student"] < 13.0

    def test_work_makes_a_finished_run_unfinished(self, tmp_path: Path) -> None:
        for value in (1, 2):
            with Run.open(tmp_path / "run", {}) as run:
                run.value("one", {"value": value}, lambda: 1)
                content = manifest.read_manifest(tmp_path / "run")
                assert content is not None
                assert content["finished"] is None
                run.finish()

    def test_holds_nothing_that_another_file_of_the_run_says(self, tmp_path: Path) -> None:
        with Run.open(tmp_path / "run", {"seed": 3}) as run:
            run.value("one", {}, lambda: 1)
            run.finish()
        found = manifest.read_manifest(tmp_path / "run")
        assert found is not None
        assert [*found] == ["schema", "seeds", "hashes", "versions", "machine", "created", "finished"]

    def test_a_finished_run_is_unfinished_as_soon_as_work_begins(self, tmp_path: Path) -> None:
        def finished() -> float | None:
            found: float | None = (manifest.read_manifest(tmp_path / "run") or {})["finished"]
            return found

        with Run.open(tmp_path / "run", {}) as run:
            run.value("one", {"value": 1}, lambda: 1)
            run.finish()
        with Run.open(tmp_path / "run", {}) as run:
            assert finished() is not None
            assert run.value("one", {"value": 2}, finished) is None, "a kill here leaves no finished run"

    def test_is_written_only_where_it_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "run/manifest.json"

        def go_on() -> int:
            with Run.open(tmp_path / "run", {}, seeds={"seed": 1}) as run:
                run.describe(student="abc")
                for number in range(3):
                    run.value(f"stage-{number}", {}, lambda: 1)
                run.finish()
            return path.stat().st_mtime_ns

        first = go_on()
        assert go_on() == first

    def test_a_config_that_is_gone_or_no_recipe_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match=r"config\.json: not a readable config"):
            manifest.read_config(tmp_path)
        (tmp_path / "config.json").write_text('{"seed": "x"}')
        with pytest.raises(RunError, match="cannot read the run's recipe"):
            manifest.read_recipe(tmp_path)

    def test_time_fields_can_be_left_out(self) -> None:
        assert "seconds" in TIME_FIELDS
        assert without_times({"n": 1, "seconds": 2, "rows": [{"created": 3, "m": 4}]}) == {"n": 1, "rows": [{"m": 4}]}


class TestOpen:
    def test_two_at_once_are_refused(self, tmp_path: Path) -> None:
        with Run.open(tmp_path / "run", {}), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            Run.open(tmp_path / "run", {})
        Run.open(tmp_path / "run", {}).close()

    def test_a_lock_file_of_a_dead_process_is_no_lock(self, tmp_path: Path) -> None:
        Run.open(tmp_path / "run", {}).close()
        (tmp_path / "run/lock").write_text("999999\n")
        with Run.open(tmp_path / "run", {}) as run:
            assert run.seconds() == {}

    def test_other_folders_and_files_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis/chapter").write_text("one")
        with pytest.raises(RunError, match="has other files than a run's"):
            Run.open(tmp_path / "thesis", {})
        with pytest.raises(RunError, match="a file, where"):
            Run.open(tmp_path / "thesis/chapter", {})
        assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter"]

    @pytest.mark.skipif(not os.path.isdir("/proc"), reason="the system has no /proc, where no folder can be made")
    def test_a_place_that_cannot_be_written_is_named(self) -> None:
        with pytest.raises(RunError, match="/proc/run: cannot be written"):
            Run.open(Path("/proc/run"), {})


class TestFingerprint:
    def test_stands_for_content(self) -> None:
        one = attempt("q1")
        assert fingerprint_of(one) == one.id
        assert fingerprint_of(StageRecords([one])) == fingerprint_of(StageRecords([attempt("q1")]))
        assert fingerprint_of({"a": [one, {3, 1}]}) == {"a": [one.id, [1, 3]]}
        assert fingerprint_of(TrainSettings(rank=4))["rank"] == 4

    def test_a_path_has_no_content(self) -> None:
        with pytest.raises(TypeError, match=r"PosixPath|WindowsPath"):
            fingerprint_of({"file": Path("x")})
