"""The whole method with a language model's answers: a scripted chat that errs, babbles and leaks; the table student."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from nesycd.api import build
from nesycd.cli.run import execute
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.judgements import Refusal
from nesycd.core.protocols import Task
from nesycd.core.records import Diagnosis, Example, Rationale, content_hash
from nesycd.grading import closing
from nesycd.knowledge import KnowledgeBase
from nesycd.llm.chat import Request
from nesycd.llm.scripted_chat import ScriptedChat
from nesycd.reports import load_results
from nesycd.runs.run import read_records

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
SETTINGS = (
    "student.model=table",
    "evaluation.bootstrap=50",
    "evaluation.splits=['test']",
    "evaluation.methods=['std_cot', 'nesycd']",
    "task.sizes={train = 60, valid = 12, test = 12}",
    "teacher.ask.samples=2",
    "teacher.ask.cluster=2",
)


class Model:
    """A model that knows the benchmark's truth; its answers are as bad as small models' are, by the question's hash."""

    def __init__(self, task: Task) -> None:
        self.examples = {example.question: example for example in task.load("train")}
        self.canaries = [example.question for split in ("valid", "test") for example in task.load(split)]

    def __call__(self, request: Request) -> str:
        text = request.messages[0].content
        found = [example for question, example in self.examples.items() if question in text]
        if request.schema is None:
            return self.rationale(max(found, key=lambda example: len(example.question)), request)
        if "Error 2" in text:
            found.sort(key=lambda example: text.index(example.question))
            # The last error is left out of a shared answer.
            made = [{"error": n, **self.diagnosis(example)} for n, example in enumerate(found[:-1], 1)]
            return f"Here you are:\n```json\n{json.dumps({'diagnoses': made})}\n```"
        example = max(found, key=lambda example: len(example.question))
        if luck(example) == 0 and not request.key.startswith("repair"):
            return "I would rather talk of something else."
        return str(self.diagnosis(example)) if luck(example) == 1 else json.dumps(self.diagnosis(example))

    def rationale(self, example: Example, request: Request) -> str:
        assert example.truth is not None
        right = f"{' '.join(example.truth.steps)} {closing(example.answer)}"
        if request.key.startswith("hinted"):
            return right
        if luck(example) == 2:
            return f"I guess. {closing('nothing')}"
        return f"1 + 1 = 3. {right}" if luck(example) == 3 and request.sample == 0 else right

    def diagnosis(self, example: Example) -> dict[str, object]:
        assert example.truth is not None
        facts = [
            {key: getattr(f, key) for key in ("text", "subject", "relation", "object")} for f in example.truth.facts
        ]
        canary = self.canaries[luck(example, len(self.canaries))]
        leaks = [
            f"When asked {example.question!r}, say that the answer is {example.answer}.",
            f"Remember this: {canary}",
        ]
        return {
            "cause": "It does not know.",
            "facts": facts,
            "rules": [],
            "lessons": leaks if luck(example) < 3 else ["The student added in the wrong order."],
        }


def luck(example: Example, sides: int = 5) -> int:
    return int(content_hash(example.uid), 16) % sides


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ScriptedChat, Model]:
    chats: list[tuple[ScriptedChat, Model]] = []

    def teacher_of(recipe: Recipe, task: Task) -> object:
        model = Model(task)
        chats.append((ScriptedChat(model), model))
        return build.asking_teacher(recipe, task, chats[-1][0])

    folder = tmp_path_factory.mktemp("runs") / "r"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "teacher_of", teacher_of)
        out = io.StringIO()
        execute(load_recipe(LONGTAIL, SETTINGS), folder, Console(file=out, width=120))
    assert "leak filter: " in out.getvalue() and " 0.0 % of " in out.getvalue()
    return folder, *chats[0]


def test_rationales_are_kept_recomputed_and_hinted(finished: tuple[Path, ScriptedChat, Model]) -> None:
    rationales = read_records(finished[0], "rationales", Rationale)
    assert all(rationale.correct for rationale in rationales)
    assert any(rationale.hinted for rationale in rationales) and any(r.others and not r.hinted for r in rationales)
    assert not any("1 + 1 = 3" in rationale.text for rationale in rationales)
    assert any(other.flaw == "false: 1 + 1 = 3" for rationale in rationales for other in rationale.others)


def test_what_leaks_is_refused_with_its_reason_and_nothing_else(finished: tuple[Path, ScriptedChat, Model]) -> None:
    folder = finished[0]
    refused = read_records(folder, "refused", Refusal)
    assert {refusal.item.kind for refusal in refused} == {"lesson"}
    reasons = [refusal.reason for refusal in refused]
    ill_formed = [refusal for refusal in refused if refusal.filter == "ill_formed"]
    assert {refusal.reason for refusal in ill_formed} == {"speaks of 'the student'"}
    assert any("with its answer" in reason for reason in reasons) and any("outside training" in r for r in reasons)
    diagnoses = read_records(folder, "diagnoses", Diagnosis)
    # One left out of a shared answer is asked alone, once.
    assert {d.failure.partition(":")[0] for d in diagnoses} == {"", "the answer cannot be read"}
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        entries = kb.entries()
    assert {entry.item.kind for entry in entries} == {"fact"} and len(entries) > 20
    leaks = load_results(folder / "results.json").to_json()["method"]["leaks"]
    assert leaks == {
        "proposed": sum(len(diagnosis.items) for diagnosis in diagnoses),
        "refused": len(refused) - len(ill_formed),
        "ill_formed": len(ill_formed),
        "instance_specific": 0,
        "approved": len(entries),
        "approved_leaking": 0,
    }


def test_no_held_out_question_is_ever_shown_to_the_teacher(finished: tuple[Path, ScriptedChat, Model]) -> None:
    folder, chat, model = finished
    sent = "\n".join(message.content for request in chat.asked for message in request.messages)
    assert len(chat.asked) > 60 and next(iter(model.examples)) in sent
    assert not [question for question in model.canaries if question in sent.replace("Remember this", "")]
    canaries = set(model.canaries)
    for path in [folder / "kb.sqlite", *(folder / "stages").glob("retrieve-*.jsonl")]:
        stored = path.read_bytes().decode("utf-8", "ignore")
        assert not [question for question in canaries if question in stored], path


def test_an_entry_that_a_person_lets_leak_is_counted(finished: tuple[Path, ScriptedChat, Model]) -> None:
    folder, _, model = finished
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        entry = kb.entries(kind="fact")[0]
        kb.edit(entry.item_id, {"text": f"Ann says: {model.canaries[0]}"}, "ann")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "teacher_of", lambda recipe, task: build.asking_teacher(recipe, task, ScriptedChat(model)))
        execute(load_recipe(LONGTAIL, SETTINGS), folder, out := Console(file=io.StringIO(), width=120))
    assert load_results(folder / "results.json").to_json()["method"]["leaks"]["approved_leaking"] == 1
    told = " ".join(out.file.getvalue().split())  # type: ignore[attr-defined]
    assert "approved items that give questions away: 1; see which by nesycd kb leaks --run" in told
    assert " 0.0 % of" not in out.file.getvalue().split("leak filter")[1].splitlines()[0]  # type: ignore[attr-defined]


@pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")
def test_the_recipe_for_a_local_server_runs_on_real_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = {
        "cause": "c",
        "facts": [],
        "rules": [{"if": "something is counted each week", "then": "multiply by the weeks"}],
    }
    small = ["student.model=table", "task.sizes={train = 24, valid = 6, test = 8}", "evaluation.bootstrap=50"]
    recipe = build.locate_data(load_recipe(LONGTAIL.with_name("own-server.toml"), small), build.data_root())
    known = {example.question: example for example in build.task_of(recipe).load("train")}

    def answer(request: Request) -> str:
        if request.schema is not None:
            return json.dumps(made)
        example = next(known[question] for question in known if question in request.messages[0].content)
        return f"{example.rationale} {closing(example.answer)}"

    asked: list[Recipe] = []

    def chat_of(recipe: Recipe) -> ScriptedChat:
        asked.append(recipe)
        return ScriptedChat(answer)

    monkeypatch.setattr(build, "chat_of", chat_of)
    execute(recipe, tmp_path / "r", Console(file=io.StringIO(), width=120))
    results = load_results(tmp_path / "r" / "results.json").to_json()
    assert asked[0].teacher.api.base_url == "http://localhost:8000/v1"
    assert results["method"]["rationales"]["kept"] == 24 and results["knowledge"]["by_kind"] == {"rule": 1}
    assert results["methods"]["nesycd"]["test"]["delivered"] > 0
