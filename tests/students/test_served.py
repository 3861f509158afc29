"""A student that is trained here and answers on a server: the same answers, adapters by content, and servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("peft")

import nesycd
from nesycd.api.findings import Finding
from nesycd.api.preflight import preflight
from nesycd.core.config import recipe_of
from nesycd.core.errors import ConfigError, ModelError
from nesycd.core.protocols import Decoding, PacedStudent, Prompt, ScoringStudent, Student, TrainSettings
from nesycd.core.records import TrainingText
from nesycd.core.sections import ServerSection
from nesycd.core.segments import own
from nesycd.methods.predict import Ask, Predictor
from nesycd.runs.predictions import Predictions
from nesycd.students.canary import FARTHEST, PLACES, seen_here
from nesycd.students.registry import LazyStudent, build_student
from nesycd.students.served import BATCH, ServedStudent
from nesycd.students.served_adapters import PREFIX, adapter_name, seen_as

LIMIT = Decoding(8)
QUESTIONS = [Prompt(str(number), f"How many feet are {number} fathoms?") for number in range(5)]


@pytest.fixture
def server(lora_server: Callable[..., Any]) -> Any:
    return lora_server()


@pytest.fixture
def folder(server: Any, tmp_path: Path) -> Path:
    return tmp_path / "student"


@pytest.fixture
def adapters(folder: Path, tiny_adapter: Callable[..., Path]) -> list[Path]:
    return [tiny_adapter(folder, f"adapter-{seed}", seed) for seed in (1, 2)]


Serve = Callable[..., ServedStudent]


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Makes the student of a server."""
    made: list[ServedStudent] = []

    def begin(server: Any, known: str = "", tell: Callable[[str], None] = lambda text: None, **given: Any) -> Any:
        settings = ServerSection(base_url=server.address, **{"concurrency": 4, "timeout": 20.0, **given})
        one = build_student(str(folder), template="plain", compile="off", server=settings, served_by=known, tell=tell)
        assert isinstance(one, ServedStudent)
        made.append(one)
        return one

    yield begin
    for one in made:
        one.close()


@pytest.fixture
def local(folder: Path) -> LazyStudent:
    made = build_student(str(folder), template="plain", compile="off")
    assert isinstance(made, LazyStudent)
    return made


def answers(student: Any, adapter: Path | None, decoding: Decoding = LIMIT) -> list[Any]:
    return student.generate(QUESTIONS, adapter=adapter, decoding=decoding)  # type: ignore[no-any-return]


def test_it_answers_as_the_student_here_does(
    server: Any, serve: Serve, local: LazyStudent, adapters: list[Path]
) -> None:
    student = serve(server)
    told: list[tuple[int, int]] = []
    for adapter in (None, *adapters):
        here = answers(local, adapter)
        there = student.generate(QUESTIONS, adapter=adapter, decoding=LIMIT, progress=lambda *one: told.append(one))
        assert [one.text for one in there] == [one.text for one in here]
        for one, other in zip(here, there, strict=True):
            assert other.margin == pytest.approx(one.margin, abs=0.03)
            assert (other.prompt_tokens, other.finish) == (one.prompt_tokens, one.finish)
    assert len({one.text for adapter in (None, *adapters) for one in answers(local, adapter)}) > 3  # weights matter
    assert len(told) == 3 * len(QUESTIONS) and all(tokens <= limit == LIMIT.limit for tokens, limit in told)
    assert all(one["temperature"] == 0 and isinstance(one["prompt"], list) for one in server.bodies)
    assert all(isinstance(student, kind) for kind in (Student, PacedStudent, ScoringStudent))


def test_adapters_are_named_by_content_loaded_once_and_unloaded_when_nobody_uses_them(
    server: Any, serve: Serve, folder: Path, adapters: list[Path], tmp_path: Path
) -> None:
    one, other = serve(server), serve(server)
    for student in (one, other):
        for _ in range(2):
            answers(student, adapters[0])
    answers(one, adapters[1])
    names = [adapter_name(adapter, one.fingerprint) for adapter in adapters]
    assert server.done == [("load", name) for name in names] and all(name.startswith(PREFIX) for name in names)
    # The same content elsewhere is the same adapter; another base's is another.
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in adapters[0].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert adapter_name(copy, one.fingerprint) == names[0] != adapter_name(copy, "other")
    answers(one, copy)
    one.close()
    assert server.done[2:] == [("unload", names[1])]  # the other student uses the first
    other.close()
    assert server.done[3:] == [("unload", names[0])] and not server.adapters
    assert answers(one, adapters[0])  # it begins again on demand
    one.close()


def test_several_processes_load_an_adapter_once(server: Any, serve: Serve, adapters: list[Path]) -> None:
    students = [serve(server) for _ in range(4)]
    threads = [threading.Thread(target=answers, args=(student, adapters[0])) for student in students]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [what for what, _ in server.done] == ["load"]


def test_of_many_adapters_the_longest_unused_is_unloaded(
    server: Any,
    serve: Serve,
    folder: Path,
    adapters: list[Path],
    tiny_adapter: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nesycd.students.served_adapters.KEPT", 2)
    student = serve(server)
    for adapter in (*adapters, adapters[0], tiny_adapter(folder, "third", 3)):
        student.generate(QUESTIONS[:1], adapter=adapter, decoding=Decoding(1))
    unloaded = [name for what, name in server.done if what == "unload"]
    assert unloaded == [adapter_name(adapters[1], student.fingerprint)] and len(server.adapters) == 2


def test_predictions_of_a_server_and_local_ones_never_mix(
    server: Any, serve: Serve, local: LazyStudent, adapters: list[Path]
) -> None:
    student, ask = serve(server), Ask("How many?", None, LIMIT)
    assert student.served_by == "vllm 0.32.0" == student.decoding
    assert student.fingerprint == local.fingerprint  # adapters do not depend on where answers are written
    keys = {Predictor(one).key(ask) for one in (student, local)}
    server.version = "0.33.0"
    assert len(keys | {Predictor(serve(server)).key(ask)}) == 3
    # Others say what runs there in their answers.
    server.version = ""
    assert serve(server).served_by == "vllm"


def test_a_server_that_cannot_tell_its_version_now_is_not_another_one(server: Any, serve: Serve) -> None:
    server.version = "broken"
    with pytest.raises(ModelError, match="HTTP 503: try again"):
        _ = serve(server).served_by
    server.version = ""
    assert serve(server).served_by == "vllm"


def test_without_a_server_finished_work_is_recognised_and_unfinished_is_not_begun(
    server: Any, serve: Serve, adapters: list[Path]
) -> None:
    student = serve(server)
    server.stop()
    with pytest.raises(
        ModelError, match=r"student\.server: http://127\.0\.0\.1:\d+: no server answers there; start it"
    ):
        student.decoding  # noqa: B018
    known = serve(server, known="vllm 0.32.0")
    assert known.decoding == "vllm 0.32.0"
    with pytest.raises(ModelError, match="no server answers there; what was answered before is kept: start the server"):
        answers(known, None)


def test_a_server_that_dies_costs_its_batch_only(
    server: Any, serve: Serve, lora_server: Callable[..., Any], adapters: list[Path], tmp_path: Path
) -> None:
    file, port = tmp_path / "predictions.jsonl", server.server_address[1]

    class Adapter:
        path, fingerprint = adapters[0], "one"

    asks = [Ask(f"How many feet are {number} fathoms?", Adapter(), LIMIT) for number in range(2 * BATCH * 2)]

    def ask_all(student: ServedStudent) -> int:
        predictor = Predictor(student, Predictions(file, lambda text: None))
        done = 0
        try:
            for batch in predictor.plan(asks):
                done += len(predictor.predict([asks[place] for place in batch]))
        finally:
            predictor.predictions.close()
        return done

    first = serve(server, concurrency=2)
    server.most = 6 + BATCH * 2 + 3  # some of them look at weights
    with pytest.raises(ModelError, match="no server answers there; what was answered before is kept"):
        ask_all(first)
    kept = len(file.read_text().splitlines())
    assert kept == BATCH * 2
    server.stop()
    again = lora_server(port=port)  # it has no adapters
    assert ask_all(serve(again, concurrency=2)) == len(asks)
    assert [what for what, _ in again.done] == ["load"] and len(file.read_text().splitlines()) == len(asks)
    asked = [body for body in again.bodies if body["max_tokens"] == LIMIT.limit]
    assert len(asked) == len(asks) - kept


def test_a_restarted_server_gets_its_adapters_again(server: Any, serve: Serve, adapters: list[Path]) -> None:
    student = serve(server)
    before = answers(student, adapters[0])
    server.restart()
    assert answers(student, adapters[0]) == before
    assert [what for what, _ in server.done] == ["load", "load"]
    server.restart()
    server.version = "0.33.0"
    with pytest.raises(ModelError, match=r"runs vllm 0\.33\.0 now, and ran vllm 0\.32\.0 before: run the same command"):
        answers(student, adapters[0])


def test_a_server_that_takes_an_adapter_and_does_not_use_it_is_found_out(
    server: Any, serve: Serve, adapters: list[Path]
) -> None:
    server.lies = "base"
    with pytest.raises(
        ModelError, match=r"answers by its model 'tiny' where it is asked for nesycd-.* restart the server"
    ):
        answers(serve(server), adapters[0])
    assert not server.adapters  # what is not right is unloaded


def test_a_server_that_answers_by_another_adapter_is_found_out(server: Any, serve: Serve, adapters: list[Path]) -> None:
    server.lies = "first"
    student = serve(server)
    answers(student, adapters[0])
    with pytest.raises(ModelError, match=r"answers a known text otherwise than the adapter .*adapter-2 does here"):
        answers(student, adapters[1])


def test_a_server_with_another_model_is_found_out(
    server: Any, serve: Serve, lora_server: Callable[..., Any], local: LazyStudent
) -> None:
    other = lora_server("other", seed=3)
    with pytest.raises(ModelError, match="'tiny' answers a known text otherwise than the student here"):
        answers(serve(other), None)


@pytest.mark.parametrize("told", [0, 1])
def test_a_server_without_log_probabilities_is_refused(server: Any, serve: Serve, told: int) -> None:
    server.tells = told
    with pytest.raises(
        ModelError, match=rf"tells the log-probabilities of {told} tokens where two .* --max-logprobs 2"
    ):
        answers(serve(server), None)


def test_the_canary_tells_weights_apart_and_is_kept(
    local: LazyStudent, adapters: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [seen_here(local, adapter, f"one-{place}") for place, adapter in enumerate((None, *adapters))]
    assert all(len(one.tokens) == PLACES for one in seen)
    assert all(one.distance(other) > FARTHEST for one in seen for other in seen if one is not other)
    monkeypatch.setattr(LazyStudent, "likeliest", lambda *given, **named: pytest.fail("it is kept"))
    assert seen_here(local, adapters[0], "one-1") == seen[1]
    (tmp_path / "cache" / "canaries" / "one-1.json").write_text("[]")
    with pytest.raises(pytest.fail.Exception):
        seen_here(local, adapters[0], "one-1")


def test_what_the_server_does_not_take_is_told_with_what_to_do(
    server: Any, serve: Serve, folder: Path, adapters: list[Path], tiny_adapter: Callable[..., Path], tmp_path: Path
) -> None:
    high = tiny_adapter(folder, "high", 5, rank=32)
    with pytest.raises(
        ModelError, match=r"whose rank is 32: LoRA rank 32 .* 16; start the server with --max-lora-rank 32"
    ):
        answers(serve(server), high)
    elsewhere = serve(server, paths={str(tmp_path): "/there"})
    with pytest.raises(
        ModelError, match=r"finds no adapter in /there/adapter-1: does it see that folder\? student\.server"
    ):
        answers(elsewhere, adapters[0])
    server.roots["/there/adapter-1"] = adapters[0]
    assert answers(elsewhere, adapters[0])
    server.loads = False
    with pytest.raises(ModelError, match=r"loads no adapters at run time: start it with --enable-lora and VLLM_ALLOW"):
        answers(serve(server), adapters[1])
    server.key = "secret-key"
    with pytest.raises(ModelError, match="HTTP 401") as told:
        answers(serve(server), None)
    assert "secret" not in str(told.value)


def test_keys_models_and_addresses(server: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    server.key = "secret-key"
    with pytest.raises(ConfigError, match=r"student\.server\.key_env: the environment variable THE_KEY is not set"):
        answers(serve(server, key_env="THE_KEY"), None)
    monkeypatch.setenv("THE_KEY", "secret-key")
    assert answers(serve(server, key_env="THE_KEY", model="tiny"), None)
    with pytest.raises(ModelError, match="has no model 'big'; it serves tiny"):
        answers(serve(server, key_env="THE_KEY", model="big"), None)
    with pytest.raises(ConfigError, match="the table student is no model"):
        build_student("table", server=ServerSection(base_url=server.address))
    for address, told in (
        ("http://a:b@localhost/v1", r"in key_env"),
        ("http://localhost:8000", r"as a rule http://localhost:8000/v1"),
    ):
        with pytest.raises(ValueError, match=told):
            ServerSection(base_url=address)


@pytest.mark.parametrize(
    "folder, there",
    [("/a/runs/r", "/runs/r"), ("/a/runs", "/runs"), ("/a/b", "/home/b"), ("/a", "/home"), ("/ab", "/ab")],
)
def test_the_innermost_folder_of_several_says_where_it_is_there(folder: str, there: str) -> None:
    assert seen_as(Path(folder), {"/a": "/home/", "/a/runs": "/runs"}) == there


def test_prompts_that_are_too_long(server: Any, serve: Serve, local: LazyStudent) -> None:
    long = [Prompt("long", "fathom " * 4000)]
    here = local.generate(long, adapter=None, decoding=LIMIT)
    assert serve(server).generate(long, adapter=None, decoding=LIMIT) == here and here[0].finish == "too_long"
    server.context = 24  # shorter than the model's own
    with pytest.raises(ModelError, match=r"context of 24 tokens, .* start it with --max-model-len \d+ or more"):
        answers(serve(server), None)


def test_likelihoods_are_the_servers_where_it_tells_them(
    server: Any, serve: Serve, local: LazyStudent, adapters: list[Path]
) -> None:
    completions = ["It is 6 feet.", "It is a cable.", "No."]
    prompts = [*QUESTIONS[:2], Prompt("long", "fathom " * 4000)]
    told: list[str] = []
    for adapter in (None, adapters[0]):
        here = local.least_likely(prompts, completions, adapter=adapter)
        there = serve(server, tell=told.append).least_likely(prompts, completions, adapter=adapter)
        assert there == pytest.approx(here, abs=0.05) and there[2] == float("-inf")
    assert not told
    server.echoes = False
    student = serve(server, tell=told.append)
    for _ in range(2):
        assert student.least_likely(prompts, completions, adapter=None) == pytest.approx(
            local.least_likely(prompts, completions, adapter=None)
        )
    assert len(told) == 1 and "computed in this process" in told[0]


def test_so_many_are_asked_at_once_and_no_more(server: Any, serve: Serve) -> None:
    student = serve(server, concurrency=3)
    prompts = [Prompt(str(number), f"{number} fathoms?") for number in range(BATCH * 3 + 1)]
    assert [len(batch) for batch in student.plan(prompts)] == [12, 1]
    student.generate(prompts, adapter=None, decoding=Decoding(2))
    assert 1 < server.peak <= 3


def test_answers_are_told_while_they_are_written_and_can_be_given_up(
    server: Any, serve: Serve, local: LazyStudent, adapters: list[Path]
) -> None:
    student, told = serve(server), list[str]()
    student.ready(adapters[0]).result(20)
    made = student.begin(QUESTIONS[0], adapters[0], LIMIT, told.append).result(20)
    assert made.text == answers(local, adapters[0])[0].text and told[-1].rstrip() == made.text
    given_up = student.begin(QUESTIONS[0], adapters[0], Decoding(400), told.append)
    assert given_up.cancel() or given_up.done()

    async def within_a_loop() -> Any:  # as in a notebook
        return answers(student, None)

    assert asyncio.run(within_a_loop()) == answers(student, None)


def test_trainings_and_speed_are_measured_where_they_happen(server: Any, serve: Serve, tmp_path: Path) -> None:
    student = serve(server)
    made = tmp_path / "trained"
    made.mkdir()
    texts = [TrainingText(example="t/train/0", task="direct", prompt="How many?", segments=own("6 feet."))]
    student.train(texts, TrainSettings(epochs=1.0, rank=2), made, seed=0)
    assert answers(student, made) and student.count_tokens(["a fathom"])[0] > 1
    pace = student.pace(TrainSettings(rank=2), 8, 8)
    assert pace.trained > 0 and pace.answered > 0 and any(body.get("ignore_eos") for body in server.bodies)


def test_a_server_is_looked_at_before_a_run(
    server: Any, folder: Path, tmp_path: Path, lora_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = tmp_path / "questions.jsonl"
    rows = [{"question": f"How many feet are {number} fathoms?", "answer": str(6 * number)} for number in range(30)]
    questions.write_text("".join(json.dumps(one) + "\n" for one in rows))

    def found(**training: Any) -> Finding:
        recipe = recipe_of(
            {
                "name": "served",
                "task": {"name": "jsonl", "settings": {"path": str(questions)}},
                "teacher": {"name": "scripted"},
                "student": {"model": str(folder), "template": "plain", "server": {"base_url": server.address}},
                "training": training,
            }
        )
        [one] = [one for one in preflight(recipe, tmp_path / "runs").findings if one.what == "student.server"]
        return one

    assert found().state == f"vllm 0.32.0 at {server.address}: tiny, context 2048" and not found().remedy
    assert "start the server with --max-lora-rank 32 or more" in found(rank=32).remedy
    server.lies = "base"
    assert "does not look at what it loads" in found().remedy and not server.adapters
    server.loads = False
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True" in found().remedy
    server.stop()
    assert "no server answers there" in found().remedy
    assert [*tmp_path.glob("**/.nesycd-probe-*")] == []


def test_the_pages_example_is_a_recipe() -> None:
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    [told] = [part.partition("```")[0] for part in page.split("```toml\n")[1:] if "[student.server]" in part]
    recipe = recipe_of({"name": "x", "task": {"name": "longtail"}, **tomllib.loads(told)})
    assert recipe.student.server.concurrency == 64 and recipe.student.server.base_url.endswith("/v1")


@pytest.mark.slow
def test_a_run_answers_on_a_server_goes_on_there_and_is_recognised_without_it(
    server: Any, folder: Path, tmp_path: Path, lora_server: Callable[..., Any]
) -> None:
    questions = tmp_path / "questions.jsonl"
    rows = [
        {
            "question": f"How many feet are {number} fathoms?",
            "rationale": f"One fathom is 6 feet. {number} x 6 = {6 * number}.",
            "answer": str(6 * number),
        }
        for number in range(2, 26)
    ]
    questions.write_text("".join(json.dumps(one) + "\n" for one in rows))
    port = server.server_address[1]

    def go(**changed: Any) -> nesycd.OpenRun:
        told: dict[str, Any] = {"base_url": server.address, "concurrency": 2}
        student = {"model": str(folder), "template": "plain", "max_new_tokens": 6, "compile": "off"}
        recipe = {
            "name": "served",
            "task": {"name": "jsonl", "settings": {"path": str(questions)}},
            "teacher": {"name": "scripted"},
            "student": {**student, "server": {**told, **changed}},
            "training": {"epochs": 0.5, "rank": 2, "batch_tokens": 512},
            "evaluation": {"methods": ["std_cot", "nesycd"]},
        }
        return nesycd.run(recipe, root=tmp_path / "runs", progress=False)

    server.most = 20  # it dies while a fold's student answers
    with pytest.raises(ModelError, match="no server answers there; what was answered before is kept"):
        go()
    kept = (tmp_path / "runs" / "served" / "predictions.jsonl").read_text().splitlines()
    server.stop()
    again = lora_server(port=port)
    with go() as run:
        assert {row["method"] for row in run.results} >= {"std_cot", "nesycd"}
    assert not again.adapters and [what for what, _ in again.done].count("load") >= 2
    predictions = (tmp_path / "runs" / "served" / "predictions.jsonl").read_text().splitlines()
    assert 0 < len(kept) < len(predictions)
    manifest = json.loads((tmp_path / "runs" / "served" / "manifest.json").read_text())
    assert manifest["hashes"]["served_by"] == "vllm 0.32.0"
    again.stop()
    with go() as run:  # nothing is left to do, so no server is needed
        [known] = run.respond([next(iter(run.examples("test").values()))], "std_cot")
        assert known.predictions[0].key in {json.loads(line)["key"] for line in predictions}
        with pytest.raises(ModelError, match="no server answers there"):
            run.ask("How many feet are 1000 fathoms?", method="std_cot")
