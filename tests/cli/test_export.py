"""`nesycd export`: what others load of a run, and what is refused before anything is written."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nesycd.api import exporting
from nesycd.api.demo import demo_folder
from nesycd.api.finished import open_run
from nesycd.api.model_card import _fenced, licence_of
from nesycd.calls import notation
from nesycd.cli.main import app
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.records import Example
from nesycd.knowledge import KnowledgeBase
from nesycd.methods.predict import Predictor
from nesycd.methods.table import METHODS
from nesycd.runs.run import read_records

ASKED = 60
"""Test questions whose answers by the loop are held equal to those of `OpenRun.ask`."""


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words: str | Path) -> str:
    result = call(*words)
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output)


def refused(*words: str | Path) -> str:
    result = call(*words)
    assert result.exit_code == 2, result.output
    return re.sub(r"\s+", " ", result.output)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's run; not to be changed."""
    return demo_folder(tmp_path_factory.mktemp("runs"))


def copy_of(run: Path, folder: Path, **student: Any) -> Path:
    """A copy of a run, with other settings of its student."""
    made = Path(shutil.copytree(run, folder / "copy"))
    config = json.loads((made / "config.json").read_text())
    config["student"] |= student
    (made / "config.json").write_text(json.dumps(config))
    return made


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "options, told",
    [
        (
            ["--method", "zero_shot"],
            "the untrained student, smollm2-135m, which you have already; trained are: std_cot",
        ),
        (["--method", "std_cott"], "did you mean 'std_cot'"),
        (["--method", "no_rules"], "a run of its own; export that run"),
        (["--method", "answer_ft"], "answer_ft was not trained in this run.*trained are: std_cot, nesycd"),
        (["--method", "std_cot"], "general: gone"),
        (["--gguf", "q4_k_m"], "'q4_k_m' is none of f32, f16, bf16, q8_0, auto; llama-quantize"),
        (["--gguf", "f16", "--converter", "nowhere.py"], "there is no file nowhere.py; it is llama.cpp's: git clone"),
        (["--gguf", "f16", "--adapter-only"], "not both"),
    ],
)
def test_what_cannot_be_exported_is_told_and_nothing_is_written(
    demo: Path, tmp_path: Path, options: list[str], told: str
) -> None:
    assert re.search(told, refused("export", demo, tmp_path / "out", *options))
    assert not [*tmp_path.iterdir()]


def test_a_student_that_writes_programs_has_no_loop_and_it_is_told(demo: Path, tmp_path: Path) -> None:
    with open_run(demo) as run:
        loops = {
            name: exporting._Writer(run, METHODS[name], tmp_path, print).has_loop for name in ("nesycd", "program")
        }
    assert loops == {"nesycd": True, "program": False}


def test_the_table_student_and_unfinished_runs_are_refused(demo: Path, tmp_path: Path) -> None:
    run = copy_of(demo, tmp_path, model="table")
    assert "the table student is a fake without weights" in refused("export", run, tmp_path / "out")
    (run / "results.json").unlink()
    assert "not a finished run" in refused("export", run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_a_converter_it_is_told_how_to_get_one(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(exporting.CONVERTER_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    told = refused("export", demo, tmp_path / "out", "--gguf", "f16")
    assert "no convert_hf_to_gguf.py on PATH" in told and "github.com/ggml-org/llama.cpp" in told
    script = tmp_path / exporting.CONVERTER
    script.touch(mode=0o755)
    assert exporting.find_converter() == [sys.executable, str(script)]
    assert exporting.find_converter(f"python3 {script}") == ["python3", str(script)]


def test_a_folder_that_is_taken_is_left_alone(demo: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    for force in ([], ["--force"]):
        assert "exists, and is no earlier export" in refused("export", demo, tmp_path / "out", *force)
    (tmp_path / "out" / exporting.MANIFEST).touch()
    assert "is an export already; --force replaces it" in refused("export", demo, tmp_path / "out")
    assert "exists, and is no" in refused("export", demo, tmp_path / "out" / "mine")


def test_nothing_is_written_into_the_run(demo: Path) -> None:
    assert "lies in the run's own folder" in refused("export", demo, demo / "exported")


class Part:
    """What stands in the place of weights."""

    def __init__(self, run: Any, method: Any, folder: Path, watch: Any) -> None:
        self.folder = folder

    def write(self, adapter: Path, adapter_only: bool, gguf: float) -> list[str]:
        (self.folder / "model").touch()
        return []

    def finish(self, adapter_only: bool, notes: list[str]) -> dict[str, int]:
        (self.folder / exporting.MANIFEST).touch()
        return {"model": 1}


def test_it_appears_whole_or_not_at_all(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "new" / "out"
    monkeypatch.setattr(exporting, "_Writer", Part)
    monkeypatch.setattr(Part, "finish", lambda *given: (_ for _ in ()).throw(RunError("the disk is full")))
    assert "the disk is full" in refused("export", demo, out)
    assert not [*out.parent.iterdir()]
    monkeypatch.undo()
    monkeypatch.setattr(exporting, "_Writer", Part)
    out.mkdir()
    done("export", demo, out)
    assert {path.name for path in out.iterdir()} == {"model", exporting.MANIFEST}
    (out / "old").touch()
    done("export", demo, out, "--force")
    assert {path.name for path in out.iterdir()} == {"model", exporting.MANIFEST}
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_ollama_is_given_the_same_frame() -> None:
    from nesycd.students.exporting import SYSTEM_PLACE, Frame

    frame = Frame("<s>sys\n</s><u>", "</u><a>", f"<s>sys\n{SYSTEM_PLACE}</s><u>", "<end>", 4096)
    told = exporting.modelfile("m.gguf", frame, 120)
    assert 'TEMPLATE """<s>sys\n{{ .System }}</s><u>{{ .Prompt }}</u><a>{{ .Response }}<end>"""' in told
    assert 'PARAMETER stop "<end>"' in told and "num_predict 120" in told and "temperature 0" in told
    told = exporting.modelfile("m.gguf", replace(frame, with_system=""), 120)
    assert 'TEMPLATE """<s>sys\n</s><u>{{ .Prompt }}' in told


def test_what_a_card_quotes_ends_no_fence() -> None:
    assert _fenced("a\n```\n# b") == "````\na\n```\n# b\n````"
    assert _fenced("a") == "```\na\n```"


def test_the_licence_is_read_from_a_models_card(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    assert licence_of(card) == ""
    for text, licence in [("---\nlicense: mit\n---\n", "mit"), ("license: mit\n", ""), ("---\nlicense: mit\n", "")]:
        card.write_text(text)
        assert licence_of(card) == licence


# --- with the real student --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def out(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    before = contents(demo)
    place = tmp_path_factory.mktemp("out") / "demo"
    done("export", demo, place)
    after = contents(demo)
    assert {name for name, state in after.items() if before.get(name) != state and Path(name) != demo} == set()
    return place


def loop_of(out: Path) -> ModuleType:
    """The loop as it was exported, in a module of its own."""
    spec = importlib.util.spec_from_file_location("exported_loop", out / "loop.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.load(out / "base.json")
    return module


def side_by_side(
    jobs: Sequence[Callable[[Callable[[str, list[str]], str]], str]], served: Callable[[Sequence[str]], list[str]]
) -> list[str]:
    """The results of loops that run at one time; what they ask of the server meanwhile is answered as one batch."""
    asked: SimpleQueue[tuple[str, Future[str]]] = SimpleQueue()

    def complete(text: str, stop: list[str]) -> str:
        future: Future[str] = Future()
        asked.put((text, future))
        return future.result()

    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job, complete) for job in jobs]
        while not all(one.done() for one in running):
            time.sleep(0.1)
            waiting = [asked.get() for _ in range(asked.qsize())]
            for (_, future), text in zip(
                waiting, served([text for text, _ in waiting]) if waiting else [], strict=True
            ):
                future.set_result(text)
        return [one.result() for one in running]


def questions_of(demo: Path, count: int) -> list[Example]:
    """Test questions of all tasks."""
    found = read_records(demo, "examples-test", Example)
    return found[:: max(1, len(found) // count)][:count]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_folder_has_all_and_nothing_of_this_machine(demo: Path, out: Path) -> None:
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    told = json.loads((out / "nesycd.json").read_text())
    assert found == {*told["files"], "nesycd.json"}
    assert {"model.safetensors", "chat_template.jinja", "loop.py", "base.json", "knowledge.yaml", "README.md"} <= found
    for name in found:
        content = (out / name).read_bytes()
        for place in (out, demo, Path.home() / ".cache", Path(__file__).parents[2]):
            assert str(place).encode() not in content, (name, place)
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\nbase_model: HuggingFaceTB/SmolLM2-135M-Instruct\n")
    results = json.loads((demo / "results.json").read_text())["methods"]["nesycd"]["test"]
    shown = "{:.1f} ({:.0f}-{:.0f})".format(*(100 * results[key] for key in ("accuracy", "low", "high")))
    assert f"| **nesycd** | {results['n']} | {shown} |" in card
    assert told["knowledge"]["version"] in card
    with KnowledgeBase.open(out.parent / "read.sqlite") as kb:
        from nesycd.knowledge.exchange import import_file

        import_file(kb, out / "knowledge.yaml")
        assert kb.version == told["knowledge"]["version"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_plain_transformers_answers_as_the_run_does(demo: Path, out: Path) -> None:
    """Rendered to the same tokens, with weights that are the merged ones bit by bit, and so the same text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from nesycd.core.protocols import Decoding, Prompt
    from nesycd.students.adapters import merged
    from nesycd.students.local import LocalStudent

    student = LocalStudent(device="cpu")
    student._dtype = torch.bfloat16
    expected = merged(student._fresh(), demo / "checkpoints" / "augmented").state_dict()
    tokenizer, model = AutoTokenizer.from_pretrained(out), AutoModelForCausalLM.from_pretrained(out)
    assert model.dtype is torch.bfloat16
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    # In float32, since in bf16 guesses depend on the order of sums.
    model, exact = model.float(), LocalStudent(str(out), device="cpu")
    exact._dtype = torch.float32
    for example in questions_of(demo, 6):
        prompt = f"Question: {example.question}"
        turn = [{"role": "user", "content": prompt}]
        ids = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        assert ids["input_ids"][0].tolist() == student.renderer.prompt_ids(prompt)
        written = model.generate(**ids)[0, ids["input_ids"].shape[1] :]
        [made] = exact.generate([Prompt("q", prompt)], adapter=None, decoding=Decoding(120))
        assert tokenizer.decode(written, skip_special_tokens=True).strip() == made.text


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_loop_answers_as_ask_does(demo: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from nesycd.students.generation import greedy_with_workers
    from nesycd.students.local import LocalStudent

    loop, examples = loop_of(out), questions_of(demo, ASKED)
    # In float32: in bf16 an answer may depend on what is computed beside it.
    student = LocalStudent(str(out), device="cpu")
    student._dtype = torch.float32
    with open_run(demo) as run:
        asks = [replace(run.way("nesycd").first(example), adapter=None) for example in examples]
    predictor = Predictor(student)
    expected = [""] * len(asks)
    for batch in predictor.plan(asks):
        for place, made in zip(batch, predictor.predict([asks[place] for place in batch]), strict=True):
            expected[place] = made.text
    tokenizer = AutoTokenizer.from_pretrained(out)
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()

    def served(texts: Sequence[str]) -> list[str]:
        """What a server would go on with, as one batch."""
        rows = greedy_with_workers(
            model,
            [tokenizer(text, add_special_tokens=False).input_ids for text in texts],
            eos_ids=frozenset({tokenizer.eos_token_id}),
            pad_id=tokenizer.pad_token_id,
            max_new_tokens=120,
            stops=lambda ids: not {"]", "="}.isdisjoint(tokenizer.decode(ids[-1:])),
        )
        written = [str(tokenizer.decode(row.ids, skip_special_tokens=True)) for row in rows]
        return [re.sub(r"(?<=[\]=]).*", "", text, flags=re.DOTALL) for text in written]

    def answered(example: Example, complete: Callable[[str, list[str]], str]) -> str:
        return str(loop.answer(example.question, complete, example.options)[1])

    texts = side_by_side([partial(answered, example) for example in examples], served)
    assert texts == expected
    assert sum("[" in text for text in texts) > 30


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_adapter_alone_is_loaded_by_peft(demo: Path, out: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from nesycd.students import embedded
    from nesycd.students.adapters import peft_warnings

    done("export", demo, tmp_path / "adapter", "--adapter-only")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    base = AutoModelForCausalLM.from_pretrained(embedded.fetch(), dtype=torch.bfloat16)
    with peft_warnings():
        made = PeftModel.from_pretrained(base, tmp_path / "adapter").merge_and_unload().state_dict()
    whole = AutoModelForCausalLM.from_pretrained(out).state_dict()
    assert all(torch.equal(tensor, made[name]) for name, tensor in whole.items())
    assert "library_name: peft" in (tmp_path / "adapter" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_students_from_folders_and_adapters_on_them(demo: Path, out: Path, tmp_path: Path) -> None:
    """A run whose student is a folder, or an adapter; their places on this machine stay out of the export."""
    from nesycd.students import embedded

    model = Path(shutil.copytree(embedded.fetch(), tmp_path / "kept-private" / "my-model"))
    (model / "README.md").write_text("---\nlicense: mit\n---\n")
    given = Path(shutil.copytree(demo / "checkpoints" / "augmented", tmp_path / "kept-private" / "my-adapter"))
    config = json.loads((given / "adapter_config.json").read_text())
    (given / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(model)}))
    for student in (model, given):
        run = copy_of(demo, tmp_path / student.name, model=str(student))
        made = tmp_path / f"{student.name}-out"
        done("export", run, made)
        card = (made / "README.md").read_text()
        assert "license: mit" in card and "`my-model`" in card and "base_model:" not in card
        assert all(
            b"kept-private" not in path.read_bytes() for path in made.rglob("*.*") if path.suffix != ".safetensors"
        )
    assert "my-adapter" in card
    assert "stands on another one (my-adapter)" in refused("export", run, tmp_path / "alone", "--adapter-only")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_too_little_space_is_told_before_weights_are_written(
    demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nesycd.students import exporting as writing

    monkeypatch.setattr(writing, "shutil", SimpleNamespace(disk_usage=lambda place: SimpleNamespace(free=300 << 20)))
    assert re.search(r"takes 0.34 GB, but 0.31 GB are free", refused("export", demo, tmp_path / "out"))
    assert not [*tmp_path.iterdir()]


def llama_server() -> str:
    return os.environ.get("LLAMA_SERVER", "") or shutil.which("llama-server") or ""


@pytest.fixture
def served(demo: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A llama.cpp server with the exported GGUF file."""
    try:
        exporting.find_converter()
    except ConfigError:
        pytest.skip("needs llama.cpp's converter: NESYCD_GGUF_CONVERTER")
    if not llama_server():
        pytest.skip("needs a llama-server: LLAMA_SERVER")
    done("export", demo, tmp_path / "out", "--gguf", "bf16")
    [gguf] = (tmp_path / "out").glob("*.gguf")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [llama_server(), "-m", str(gguf), "--host", "127.0.0.1", "--port", str(port), "--jinja", "-c", "2048"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health", process)
            yield url, tmp_path / "out"
        finally:
            process.terminate()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert process.poll() is None
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


def post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as reply:
        return json.load(reply)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_llama_cpp_server_answers_by_the_loop(demo: Path, served: tuple[str, Path]) -> None:
    from nesycd.students.local import LocalStudent

    url, out = served
    renderer = LocalStudent(device="cpu").renderer
    prompt = "Question: How many feet are 4 fathoms?"
    rendered = post(f"{url}/apply-template", {"messages": [{"role": "user", "content": prompt}]})["prompt"]
    ids = post(f"{url}/tokenize", {"content": rendered, "parse_special": True})["tokens"]
    assert ids == renderer.prompt_ids(prompt)
    loop = loop_of(out)
    complete: Callable[[str, list[str]], str] = loop.server(f"{url}/v1", "demo")
    with open_run(demo) as run:
        right = 0
        for example in questions_of(demo, 40):
            _, text, trace = loop.answer(example.question, complete, example.options)
            said = run.task.extract(notation.without_calls(text) if trace else text, example)
            right += run.task.grade(said, example)
    assert right >= 28
