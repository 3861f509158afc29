"""The whole method with the table student: no torch, a run folder, all default methods."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nesycd.api import build
from nesycd.cli.run import execute
from nesycd.core.answers import Answer, Segment
from nesycd.core.config import load_recipe
from nesycd.core.errors import NesycdError, ReviewWaits
from nesycd.core.protocols import Generation, Prompt, Task
from nesycd.core.records import Annotation, Example, Retrieval, Status
from nesycd.grading import closing
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.table import METHODS, knowledge_cells
from nesycd.reports import load_results
from nesycd.reports.folder import read_run
from nesycd.reports.samples import answers, choose
from nesycd.runs.predictions import FILE, Predictions, read_attempts
from nesycd.runs.run import read_records
from nesycd.students.table import TableStudent

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
TABLE = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "task.settings.test_special=8",
    "task.settings.test_general=8",
    "augmented.calls=1",
    "augmented.context=0.5",
    "augmented.calls_and_context=0.25",
    "augmented.empty_calls=0.1",
)
DEFAULTS = [name for name, method in METHODS.items() if method.default]


def run(folder: Path, *overrides: str) -> str:
    out = io.StringIO()
    execute(load_recipe(LONGTAIL, [*TABLE, *overrides]), folder, Console(file=out, width=120))
    return out.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    run(folder)
    return folder


def states(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((folder / "stages").glob("*.json"))}


def test_all_arms_and_splits_are_scored(finished: Path) -> None:
    results = load_results(finished / "results.json").to_json()
    splits = {"test", "ood_composed", "ood_unseen", "ood_unseen_imported"}
    assert DEFAULTS == [
        "zero_shot", "std_cot", "std_cot_kb", "nesycd_no_kb", "nesycd", "nesycd_routed", "nesycd_oracle"
    ]  # fmt: skip
    for arm in DEFAULTS:
        assert set(results["methods"][arm]) == splits
        assert results["methods"][arm]["test"]["n"] == 8 * 8 + 4 * 8
    scores = {arm: results["methods"][arm]["test"] for arm in DEFAULTS}
    reading = {"std_cot_kb", "nesycd", "nesycd_oracle"}
    assert {arm for arm, score in scores.items() if score["routed"] == 1.0} == reading
    assert 0 < scores["nesycd_routed"]["routed"] < 1 and scores["std_cot"]["routed"] == 0
    # Lessons and rules alone are a small part of what is retrieved.
    assert 0 < scores["nesycd"]["delivered"] < scores["std_cot_kb"]["delivered"]
    calling = {"nesycd", "nesycd_routed", "nesycd_oracle"}
    assert {arm for arm, score in scores.items() if score["look_ups_found"]} == calling
    assert {arm for arm, score in scores.items() if score["look_ups"]} <= calling | {"nesycd_no_kb"}
    assert scores["nesycd"]["look_ups_found"] > scores["nesycd"]["look_ups"] / 2
    assert scores["nesycd"]["accuracy"] > max(scores["std_cot"]["accuracy"], scores["nesycd_no_kb"]["accuracy"])
    assert results["retrieval"]["test"]["needed_fact_recall"] > 0.7
    # Nothing about reserved entities is known before it is imported by hand.
    unseen, imported = (results["retrieval"][s]["needed_fact_recall"] for s in ("ood_unseen", "ood_unseen_imported"))
    assert unseen == 0.0 and imported > 0.7
    assert results["retrieval"]["valid"]["needed_fact_recall"] > 0.7
    assert results["tasks"]["units"]["kind"] == "special" and results["tasks"]["stories"]["kind"] == "general"
    assert results["knowledge"]["by_kind"]["fact"] > 50
    assert "<h2>" in (finished / "report.html").read_text() and "src=" not in (finished / "report.html").read_text()


def test_the_results_tell_what_the_steps_did(finished: Path) -> None:
    method = load_results(finished / "results.json").method
    assert method is not None
    counts = method.rationales
    assert counts.asked == counts.kept + counts.wrong + counts.failed > 0

    def wrong(*stages: str) -> float:
        made = [attempt for stage in stages for attempt in read_attempts(finished, stage)]
        return sum(not attempt.correct for attempt in made) / len(made)

    rates = method.error_rates
    assert rates.collection == "out_of_fold"
    assert rates.collected == pytest.approx(wrong("collect-fold-0", "collect-fold-1"))
    assert rates.valid == pytest.approx(wrong("valid-general"))
    assert method.valid_accuracy["augmented"] == pytest.approx(1 - wrong("valid-augmented"))
    assert method.calibration.split == "valid"
    assert method.calibration.n == len(read_records(finished, "examples-valid", Example))
    tokens = method.completion_tokens
    assert tokens["std_cot"] == pytest.approx(tokens["nesycd"], rel=0.05)
    assert set(method.mix) == {"augmented", "direct", "answer"} and method.mix["augmented"] > 0
    assert method.train_recall.prompts is not None and method.train_recall.questions is not None
    # Prompts with look-ups alone have no context.
    assert method.train_recall.prompts > 0.7
    texts = method.mix["augmented"]
    assert method.calls is not None and method.calls.rationales == counts.kept <= texts
    sizes = {int(size): count for size, count in method.calls.by_look_ups.items()}
    assert sum(sizes.values()) == counts.kept and sum(k * n for k, n in sizes.items()) == method.calls.look_ups
    places = read_records(finished, "annotate", Annotation)
    assert sum(len(one.places) for one in places) == method.calls.look_ups > counts.kept / 2


def test_the_routed_arm_is_among_the_sample_answers(finished: Path) -> None:
    run_files = read_run(finished)
    informed, routed = (run_files.attempts[arm, "test"] for arm in ("nesycd", "nesycd_routed"))
    known = Predictions(finished / FILE).by_id
    first = read_records(finished, "eval-test-nesycd_routed-first", Answer)
    drafts = {one.example: known[one.predictions[0]] for one in first}
    assert routed.keys() == drafts.keys()
    for uid, attempt in routed.items():
        response = informed[uid].response if attempt.routed else drafts[uid].text
        assert (attempt.solver, attempt.response) == ("nesycd_routed", response)
        assert (attempt.margin, attempt.least_margin) == (drafts[uid].margin, drafts[uid].least_margin)
        both = (*drafts[uid].trace, *informed[uid].calls) if attempt.routed else drafts[uid].trace
        assert attempt.calls == both
    assert {attempt.routed for attempt in routed.values()} == {True, False}
    split, example = next(pair for pair in choose(run_files) if pair[0] == "test")
    assert "nesycd_routed" in answers(run_files, split, example.uid)


def test_another_router_selects_anew_and_answers_nothing_again(tmp_path: Path) -> None:
    settings = ("task.limit=40", "evaluation.splits=['test']")
    run(tmp_path / "r", *settings, "router.mode=never")
    before, wrote = states(tmp_path / "r"), (tmp_path / "r" / "predictions.jsonl").read_bytes()
    assert {one.routed for one in read_attempts(tmp_path / "r", "eval-test-nesycd_routed")} == {False}
    run(tmp_path / "r", *settings, "router.mode=always")
    assert {one.routed for one in read_attempts(tmp_path / "r", "eval-test-nesycd_routed")} == {True}
    after = states(tmp_path / "r")
    # Who always gives knowledge asks for no draft.
    routed = "eval-test-nesycd_routed"
    assert before.keys() - after.keys() == {f"{routed}-first.json", f"{routed}-first.plan.json"}
    changed = {name for name in after if before.get(name) != after[name]}
    assert changed - {f"{routed}.plan.json"} == {f"{routed}.json", f"{routed}.verdicts.json"}
    assert (tmp_path / "r" / "predictions.jsonl").read_bytes() == wrote, "nothing was generated again"


def test_a_second_run_does_nothing_and_ends_within_three_seconds(finished: Path) -> None:
    before, results = states(finished), (finished / "results.json").read_text()
    started = time.process_time()  # wall time would be the neighbours' too
    run(finished)
    assert time.process_time() - started < 3
    assert states(finished) == before and (finished / "results.json").read_text() == results


def test_a_changed_setting_redoes_what_depends_on_it_alone(finished: Path) -> None:
    before = states(finished)
    run(finished, "augmented.fill_to=0")
    after = states(finished)
    changed = {name for name in before if before[name] != after[name]}
    assert "augmented.json" in changed and "eval-test-nesycd.json" in changed
    kept = {"general.json", "rationales.json", "diagnoses.json", "knowledge.json", "eval-test-std_cot.json"}
    assert not changed & kept
    run(finished)


def test_an_edit_of_the_knowledge_base_reaches_retrieval(finished: Path, tmp_path: Path) -> None:
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        entry = kb.entries(kind="fact")[0]
        before = states(finished)
        kb.edit(entry.item_id, {"text": entry.item.text + " Truly."}, "ann")
        run(finished)
        after = states(finished)
        assert before["retrieve-test.json"] != after["retrieve-test.json"]
        assert before["general.json"] == after["general.json"]


def test_a_checkpoint_knows_the_knowledge_it_was_trained_with(finished: Path) -> None:
    base = load_results(finished / "results.json").knowledge
    with KnowledgeBase.open(finished / "kb.sqlite") as kb:
        version, approved = kb.version, len(kb.entries(status=Status.APPROVED))
    state = finished / "stages" / "augmented.json"
    assert base.trained_with is not None
    assert base.trained_with.model_dump() == json.loads(state.read_text())["metadata"]["knowledge"]
    assert (base.trained_with.version, base.trained_with.items) == (version, approved)
    assert base.used["test"] == base.used["ood_unseen"] == version
    # Imports by hand are other knowledge, as is meant; it is said all the same.
    assert base.used["ood_unseen_imported"] not in ("", version)
    assert base.mismatch.endswith(f"evaluated on ood_unseen_imported with {base.used['ood_unseen_imported']}")
    assert "trained with knowledge" not in run(finished)
    content = state.read_text()
    try:
        state.write_text(content.replace(version, "0123456789abcdef"))
        said = run(finished)
        assert (
            f"trained with knowledge 0123456789abcdef (revision {base.trained_with.revision}) and is evaluated" in said
        )
        assert "test with" in load_results(finished / "results.json").knowledge.mismatch
    finally:
        state.write_text(content)
        run(finished)


def test_human_review_stops_until_items_are_approved_and_others_stay_out(tmp_path: Path) -> None:
    with pytest.raises(ReviewWaits, match="items wait for review"):
        run(tmp_path / "r", "knowledge.review=human", "task.limit=30")
    assert not (tmp_path / "r" / "stages" / "augmented.json").exists()
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        [first, *others] = kb.entries(status=Status.PROPOSED, kind="fact")
        kb.approve(first.item_id, "ann")
    run(tmp_path / "r", "knowledge.review=human", "task.limit=30")
    results = load_results(tmp_path / "r" / "results.json").to_json()
    assert others and results["knowledge"]["by_status"]["approved"] == 1
    shown = {item.id for one in read_records(tmp_path / "r", "retrieve-test", Retrieval) for item in one.items}
    assert shown <= {first.item_id}


def test_without_approved_items_s_e_is_s_p(tmp_path: Path) -> None:
    with pytest.raises(ReviewWaits):
        run(tmp_path / "r", "knowledge.review=human", "task.limit=30")
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        for entry in kb.entries():
            kb.reject(entry.item_id, "ann")
    run(tmp_path / "r", "knowledge.review=human", "task.limit=30")
    results = load_results(tmp_path / "r" / "results.json").to_json()
    assert results["methods"]["std_cot_kb"]["test"]["delivered"] == 0.0
    assert results["methods"]["nesycd"]["test"]["look_ups_found"] == 0
    # Without approved knowledge S_E is S_P, which looks nothing up.
    assert results["methods"]["nesycd"]["test"]["look_ups"] == 0 and results["method"]["calls"] is None


class Reader(TableStudent):
    """Knows an answer as soon as the prompt states the first fact that the question needs, trained for it or not."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self._known = [e for e in task.load("train") if e.truth is not None and e.truth.facts]

    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        made = super().generate(prompts, **options)
        return [
            replace(one, segments=(Segment(text=self._read(p.text) or one.text),))
            for p, one in zip(prompts, made, strict=True)
        ]

    def _read(self, prompt: str) -> str:
        given = [e for e in self._known if e.truth and e.question in prompt and e.truth.facts[0].text in prompt]
        return closing(given[0].answer) if given else ""


@pytest.mark.parametrize("mode", ["out_of_fold", "in_sample"])
def test_the_self_check_leaves_proposed_what_repairs_no_error(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "student_of", lambda recipe, *_: Reader(build.task_of(recipe)))
    said = run(
        tmp_path / "r",
        "knowledge.self_check=true",
        "task.limit=40",
        "evaluation.methods=['nesycd']",
        "evaluation.splits=['test']",
        f"collection.mode={mode}",
    )
    results = load_results(tmp_path / "r" / "results.json").to_json()
    counts = results["method"]["self_check"]
    # The table student errs on little that it was trained on, and never for want of a fact.
    assert (mode == "in_sample") == (counts["repaired"] == 0) and counts["repaired"] < counts["asked"]
    assert f"{counts['repaired']} of {counts['asked']} errors repaired" in " ".join(said.split())
    students = ["fold-0", "fold-1"] if mode == "out_of_fold" else ["general"]
    asked = [a for name in students for a in read_attempts(tmp_path / "r", f"self-check-{name}")]
    stages = ["collect-fold-0", "collect-fold-1"] if mode == "out_of_fold" else ["collect"]
    before = {a.example: a for stage in stages for a in read_attempts(tmp_path / "r", stage)}
    # Asked again is who erred, by the student that erred.
    assert len(asked) == counts["asked"] and all(not before[attempt.example].correct for attempt in asked)
    assert all(attempt.solver == f"check-{before[attempt.example].solver}" for attempt in asked)
    with KnowledgeBase.open(tmp_path / "r" / "kb.sqlite") as kb:
        entries = kb.entries()
    repaired = {attempt.example for attempt in asked if attempt.correct}
    for entry in entries:
        # Equal items merge, so that one may have repaired one error and not another.
        earned = any(evidence.example in repaired for evidence in entry.evidence)
        assert entry.status == (Status.APPROVED if earned else Status.PROPOSED)
    assert mode == "in_sample" or len({entry.status for entry in entries}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("override", ["collection.mode=in_sample", "augmented.init=general", "router.mode=never"])
def test_the_other_ways_run_too(tmp_path: Path, override: str) -> None:
    run(tmp_path / "r", "task.limit=40", override)
    results = load_results(tmp_path / "r" / "results.json").to_json()
    assert results["methods"]["nesycd_routed"]["test"]["n"] == 40
    if override == "augmented.init=general":
        # Std-CoT is trained for as many completion tokens as S_E's whole lineage.
        state = {
            name: json.loads((tmp_path / "r" / "stages" / f"{name}.json").read_text())["metadata"]["completion_tokens"]
            for name in ("general", "augmented", "std-cot")
        }
        assert abs(state["std-cot"] - state["general"] - state["augmented"]) < 1100


def test_own_questions_run_from_a_recipe(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {a} plus {b}?", "answer": str(a + b), "rationale": f"{a} + {b} = {a + b}."}
        for a in range(2, 9)
        for b in range(2, 9)
    ]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        f'name = "own"\n[task]\nname = "jsonl"\n[task.settings]\npath = "{tmp_path / "q.jsonl"}"\n'
        '[teacher]\nname = "scripted"\n[student]\nmodel = "table"\n'
    )
    asked = [f"evaluation.methods={[*knowledge_cells()]}", "evaluation.bootstrap=50"]
    execute(load_recipe(recipe, asked), tmp_path / "r", Console(file=io.StringIO()))
    results = load_results(tmp_path / "r" / "results.json").to_json()
    assert results["methods"]["std_cot"]["test"]["n"] == 10
    # It does not tell what its questions need.
    assert set(results["methods"]) == {arm for arm in knowledge_cells() if not arm.endswith("_oracle")}


@pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")
def test_gsm8k_runs_with_its_recorded_teacher(tmp_path: Path) -> None:
    sizes = "task.sizes={train = 30, valid = 8, test = 12}"
    out = io.StringIO()
    recipe = LONGTAIL.with_name("gsm8k-replay.toml")
    execute(load_recipe(recipe, ["student.model=table", sizes]), tmp_path / "r", Console(file=out, width=200))
    results = load_results(tmp_path / "r" / "results.json").to_json()
    assert results["methods"]["std_cot"]["test"]["n"] == 12
    told = results["method"]["rationales"]
    assert told["asked"] == 30 and told["kept"] >= 25 and told["wrong"] == 0
    assert results["knowledge"]["items"] == 0 and results["method"]["mix"] == {"augmented": 0, "direct": 0, "answer": 0}
    assert "no approved knowledge: augmented distillation is left out" in out.getvalue()


def test_a_benchmarks_own_few_shot_prompts_are_an_arm(tmp_path: Path) -> None:
    for name in ("bbh", "cot-prompts"):
        (tmp_path / name).mkdir()
    rows = [{"input": f"Is {n} even?", "target": "yes" if n % 2 == 0 else "no"} for n in range(30)]
    (tmp_path / "bbh" / "parity.json").write_text(json.dumps({"examples": rows}))
    (tmp_path / "cot-prompts" / "parity.txt").write_text(
        "CANARY\n-----\nTell.\n\nQ: Is 2 even?\nA: So the answer is yes.\n"
    )
    told = [
        {"id": f"bbh-parity-{n:03d}", "rationale": "Halve it.", "answer": row["target"]} for n, row in enumerate(rows)
    ]
    (tmp_path / "told.jsonl").write_text("".join(json.dumps(row) + "\n" for row in told))
    own = [
        "task.name=bbh",
        f"task.settings={{path = '{tmp_path / 'bbh'}'}}",
        "student.model=table",
        "teacher.name=replay",
    ]
    arms = [
        f"teacher.paths=['{tmp_path / 'told.jsonl'}']",
        "evaluation.bootstrap=50",
        "evaluation.methods=['zero_shot', 'few_shot']",
    ]
    execute(load_recipe(LONGTAIL, [*own, *arms]), tmp_path / "r", Console(file=io.StringIO()))
    results = load_results(tmp_path / "r" / "results.json").to_json()["methods"]
    assert results["few_shot"]["test"]["n"] == results["zero_shot"]["test"]["n"] == 6
    assert results["few_shot"]["test"]["prompt_tokens"] > results["zero_shot"]["test"]["prompt_tokens"]
    # A benchmark without prompts of its own shows training questions.
    run(tmp_path / "c", "evaluation.methods=['zero_shot', 'few_shot']", "task.limit=30", "evaluation.splits=['test']")
    results = load_results(tmp_path / "c" / "results.json").to_json()["methods"]
    assert results["few_shot"]["test"]["n"] == results["zero_shot"]["test"]["n"] == 30
    assert results["few_shot"]["test"]["prompt_tokens"] > 2 * results["zero_shot"]["test"]["prompt_tokens"]


def test_users_mistakes_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NesycdError, match="no split 'tset'"):
        run(tmp_path / "a", "evaluation.splits=['tset']", "task.limit=30")
    with pytest.raises(NesycdError, match="no recordings"):
        run(tmp_path / "b", "teacher.name=replay", "task.limit=30")


SCRIPT = """
import sys
from pathlib import Path
from rich.console import Console
from nesycd.cli.run import execute
from nesycd.core.config import load_recipe
execute(load_recipe(Path(sys.argv[1]), sys.argv[3:]), Path(sys.argv[2]), Console(quiet=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("most", "least"), [(3, 2), (20, 10)])
def test_killed_anywhere_it_ends_equal(
    tmp_path: Path, outcome: Callable[[Path], tuple[Any, str]], most: int, least: int
) -> None:
    """SIGKILL at moments spread over a slowed run; the results and the KB equal an undisturbed run's."""
    settings = (*TABLE, "task.limit=40", "student.delay=0.04")
    run(tmp_path / "whole", *settings)
    kills = 0
    for attempt in range(200):
        command = [sys.executable, "-c", SCRIPT, str(LONGTAIL), str(tmp_path / "killed"), *settings]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            # Later and later, so that each start gets a little further than the last.
            process.wait(timeout=0.75 + 0.02 * attempt * 20 / most if kills < most else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            continue
        assert process.returncode == 0
        break
    assert kills >= least
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
