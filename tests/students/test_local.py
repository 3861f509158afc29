"""The real embedded student: rendering, training, resuming and generating (slow tier: real weights on CPU)."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from nesycd.core.errors import ModelError, RunError
from nesycd.core.protocols import Decoding, Prompt, TrainSettings
from nesycd.core.records import TrainingText
from nesycd.core.segments import Segment, own
from nesycd.students import embedded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SUMS = [(a, b) for a in (2, 3, 5, 7) for b in (3, 4, 6, 8)]


def texts() -> list[TrainingText]:
    return [
        TrainingText(
            example=f"{a}-{b}",
            task="direct",
            prompt=f"Question: {a} bags hold {b} eggs each. How many eggs are there?",
            segments=own(f"{a} x {b} = {a * b}. Therefore, the answer is {a * b}."),
        )
        for a, b in SUMS
    ]


@pytest.fixture(scope="module")
def student():
    from nesycd.students.local import LocalStudent

    return LocalStudent()


SETTINGS = TrainSettings(learning_rate=2e-3, epochs=6, batch_tokens=512, rank=8, alpha=16)


@pytest.fixture(scope="module")
def trained(student, tmp_path_factory):
    """The folder of an adapter that was trained without interruption, and the report of that training."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, student.train(texts(), SETTINGS, folder, seed=1)


def test_inference_ids_equal_training_ids_up_to_the_first_completion_token(student):
    text = texts()[0]
    encoded = student._encode(text)
    renderer = student.renderer
    assert encoded.prompt == renderer.prompt_ids(text.prompt)
    # Golden: the whole conversation rendered at once by the model's own template tokenises into the same ids.
    messages = [{"role": "system", "content": ""}, {"role": "user", "content": text.prompt}]
    whole = renderer.tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": text.completion}])
    whole = whole["input_ids"] if not isinstance(whole, list) else whole
    assert list(whole)[: len(encoded.prompt) + len(encoded.completion)] == encoded.prompt + encoded.completion
    assert encoded.prompt[:4] == [1, 9690, 198, 2]  # <|im_start|> system \n <|im_end|>


def test_computed_results_are_the_tokens_that_training_shows(student):
    from nesycd.calls import Sums

    renderer = student.renderer
    calculator = student._supplying.row(Prompt("a", "?", Sums()))
    for text in texts():
        ids = renderer.completion_ids(text.completion)
        sums = [place for place, one in enumerate(ids) if "=" in renderer.tokenizer.decode([one])]
        for place in sums:
            result = calculator(ids[: place + 1])
            assert result and ids[place + 1 :][: len(result)] == result, text.completion
        assert len(sums) == 1 and not any(calculator(ids[:end]) for end in range(1, len(ids)) if end - 1 not in sums)


def test_base_template_has_no_chat_marks(student):
    from nesycd.students.rendering import Renderer

    plain = Renderer(student.renderer.tokenizer, "plain")
    assert plain.prompt_text("Question: x") == "Question: x\n"


def test_greedy_equals_the_librarys_generate(student):
    import torch

    from nesycd.students.generation import greedy

    # In fp32: two correct bf16 programs may round apart and then choose apart.
    model = student._fresh().float().eval()
    rows = [student.renderer.prompt_ids(text.prompt) for text in texts()[:5]]
    rows.append(student.renderer.prompt_ids("Name the capital of France."))
    made = greedy(model, rows, eos_ids=frozenset({2}), pad_id=2, max_new_tokens=24)
    for ids, row in zip(rows, made, strict=True):
        prompt = torch.tensor([ids])
        theirs = model.generate(
            prompt,
            max_new_tokens=24,
            do_sample=False,
            attention_mask=torch.ones_like(prompt),
            output_logits=True,
            return_dict_in_generate=True,
        )
        new = theirs.sequences[0, len(ids) :].tolist()
        assert row.ids == [token for token in new if token != 2]
        top = [torch.softmax(step[0].float(), -1).topk(2).values for step in theirs.logits]
        assert row.margins == pytest.approx([float(p[0] - p[1]) for p in top], abs=1e-3)
    assert "Paris" in student.renderer.decode(made[-1].ids)


def test_what_all_prompts_begin_with_is_read_once_and_changes_nothing(student, monkeypatch):
    from nesycd.students import generation

    model = student._fresh().float().eval()
    prefix = student.renderer.prompt_ids("Knowledge: " + " ".join(f"{n} feet are {n} fathoms." for n in range(40)))
    rows = [
        prefix + student.renderer.prompt_ids(f"Question: what {end}?")[-9:] for end in ("is a fathom", "are 7 feet")
    ]
    rows.append([*prefix, rows[0][-1]])
    options = {"eos_ids": frozenset({2}), "pad_id": 2, "max_new_tokens": 16}
    assert generation.shared_prefix(rows) == len(prefix) > generation.SHARED
    made = generation.greedy(model, rows, **options)
    monkeypatch.setattr(generation, "SHARED", 10_000)
    apart = generation.greedy(model, rows, **options)
    assert [row.ids for row in made] == [row.ids for row in apart] and len({tuple(row.ids) for row in made}) == 3
    for one, other in zip(made, apart, strict=True):
        assert one.margins == pytest.approx(other.margins, abs=1e-3)


def test_rows_dealt_out_to_cores_come_back_in_order(student):
    import torch

    from nesycd.students.generation import WORKER_ROWS, greedy, greedy_with_workers

    model = student._with_adapter(None)
    rows = [student.renderer.prompt_ids(f"Say {number}.") for number in range(2 * WORKER_ROWS + 1)]
    options = {"eos_ids": frozenset({2}), "pad_id": 2, "max_new_tokens": 3}
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = [row.ids for row in greedy_with_workers(model, rows, **options)]
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        workers = [greedy(model, rows[worker::2], **options) for worker in range(2)]
    finally:
        torch.set_num_threads(threads)
    assert made[::2] == [row.ids for row in workers[0]] and made[1::2] == [row.ids for row in workers[1]]
    assert len({tuple(ids) for ids in made}) > 5


def test_the_least_likely_tokens_are_those_of_the_librarys_logits(student):
    import torch

    asked = [Prompt("a", "What is 2 plus 2?"), Prompt("b", "Name a colour."), Prompt("c", "Hi")]
    texts = ["4.", "Blue, like the sky on a clear day.", "Hello there"]
    found = student.least_likely(asked, texts, adapter=None)
    model = student._with_adapter(None)
    for prompt, text, value in zip(asked, texts, found, strict=True):
        before, after = student.renderer.prompt_ids(prompt.text), student.renderer.completion_ids(text)
        with torch.inference_mode():
            logits = model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1].float()
        each = torch.log_softmax(logits, -1)[range(len(after)), after]
        assert value == pytest.approx(each.sort().values[:3].mean().item(), rel=0.05)
    too_long = Prompt("d", "word " * 9000)
    assert student.least_likely([too_long], ["x"], adapter=None) == [float("-inf")]


def test_stop_strings_end_an_answer(student):
    prompt = Prompt("s", "Name the capital of France.")
    (made,) = student.generate([prompt], adapter=None, decoding=Decoding(24, ("Paris",)))
    assert made.text.endswith("Paris") and made.finish == "stop"
    assert made.segments == (Segment(text=made.text),) and made.trace == ()


def test_a_computed_result_is_a_segment_of_its_own(student, trained):
    from nesycd.calls import Sums

    adapter, _ = trained
    asked = [Prompt(text.example, text.prompt) for text in texts()]
    calculating = [Prompt(one.key, one.text, Sums()) for one in asked]
    made = student.generate(calculating, adapter=adapter, decoding=Decoding(32))
    plain = student.generate(asked, adapter=adapter, decoding=Decoding(32))
    assert all({segment.source for segment in one.segments} == {"student"} for one in plain)
    computed = [one for one in made if any(segment.source == "supplied" for segment in one.segments)]
    assert len(computed) >= 12
    for one in computed:
        assert "".join(segment.text for segment in one.segments) == one.text
        before, supplied, after = one.segments
        assert (before.source, supplied.source, after.source) == ("student", "supplied", "student")
        left, right = (int(number) for number in before.text.removesuffix("=").split("x"))
        assert supplied.text == f" {left * right}" and after.text.startswith(".")


def test_a_prompt_that_does_not_fit_is_said_not_cut(student):
    long, short = Prompt("long", "word " * 9000), Prompt("short", "Name the capital of France.")
    made = student.generate([long, short], adapter=None, decoding=Decoding(8))
    assert (
        made[0].finish == "too_long" and made[0].text == "" and made[0].segments == () and made[0].prompt_tokens > 8192
    )
    assert made[1].text


def test_training_learns_and_repeats(student, trained, tmp_path):
    folder, first = trained
    again = student.train(texts(), SETTINGS, tmp_path / "again", seed=1)
    assert first.loss < 0.3 and first.dropped == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == embedded.NAME  # no folder of this machine
    weights = [(place / "adapter_model.safetensors").read_bytes() for place in (folder, tmp_path / "again")]
    assert weights[0] == weights[1] and first.loss == again.loss
    prompts = [Prompt(text.example, text.prompt) for text in texts()]
    made = student.generate(prompts, adapter=folder, decoding=Decoding(32))
    right = sum(one.text == text.completion for one, text in zip(made, texts(), strict=True))
    assert right >= 12, [one.text for one in made]


def test_long_texts_are_dropped_and_counted(student, tmp_path):
    long = TrainingText(example="l", task="direct", prompt="word " * 300, segments=own("x"))
    settings = TrainSettings(epochs=1, max_tokens=200)
    assert student.train([*texts(), long], settings, tmp_path / "a", seed=0).dropped == 1
    with pytest.raises(ModelError, match="none of 1 training texts"):
        student.train([long], settings, tmp_path / "b", seed=0)


KILLED = """
import os, signal, sys
from pathlib import Path
from nesycd.core.protocols import TrainSettings
from nesycd.students.local import LocalStudent
sys.path.insert(0, sys.argv[2])
from test_local import texts
def progress(state):
    if state["step"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
LocalStudent().train(texts(), TrainSettings(learning_rate=2e-3, epochs=6, batch_tokens=512, rank=8, alpha=16,
    dropout=float(sys.argv[3]), checkpoint_seconds=0.0), Path(sys.argv[1]), seed=1, progress=progress)
"""


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_killed_training_goes_on_and_ends_equal(student, trained, tmp_path, dropout):
    given = [str(tmp_path / "killed"), str(Path(__file__).parent), str(dropout)]
    done = subprocess.run([sys.executable, "-c", KILLED, *given])
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "checkpoint" / "state.safetensors").is_file()
    settings = replace(SETTINGS, dropout=dropout, checkpoint_seconds=0.0)
    steps = []
    progress = lambda state: steps.append(state["step"]) if "loss" in state else None  # noqa: E731
    killed = student.train(texts(), settings, tmp_path / "killed", seed=1, progress=progress)
    assert steps[0] == 5  # the checkpoint of step 4: the fifth step's was never written
    folder, whole = trained
    if dropout:
        folder = tmp_path / "whole"
        whole = student.train(texts(), settings, folder, seed=1)
    assert killed.loss == whole.loss
    pair = [(place / "adapter_model.safetensors").read_bytes() for place in (tmp_path / "killed", folder)]
    assert pair[0] == pair[1]


def test_a_disk_that_fills_up_keeps_the_last_checkpoint(student, tmp_path, file_limit):
    folder = tmp_path / "student"
    settings = TrainSettings(epochs=1, batch_tokens=64, rank=1, alpha=1, checkpoint_seconds=0.0)
    seen = []

    with ExitStack() as full, pytest.raises(RunError, match=r"state\.safetensors: the disk is full"):

        def fill_up(state):
            if state["step"] == 2:
                seen.append((folder / "checkpoint" / "state.safetensors").read_bytes())
                full.enter_context(file_limit(10_000))

        student.train(texts(), settings, folder, seed=1, progress=fill_up)
    assert [path.name for path in folder.rglob("*")] == ["checkpoint", "state.safetensors"]
    assert (folder / "checkpoint" / "state.safetensors").read_bytes() == seen[0]
    steps = []
    student.train(
        texts(),
        settings,
        folder,
        seed=1,
        progress=lambda state: steps.append(state["step"]) if "loss" in state else None,
    )
    assert steps[0] == 2


def test_half_an_adapter_is_not_left_behind(student, tmp_path, file_limit):
    settings = TrainSettings(epochs=0.5, batch_tokens=512, rank=1, alpha=1)
    with file_limit(10_000), pytest.raises(RunError, match="student: the disk is full"):
        student.train(texts(), settings, tmp_path / "student", seed=1)
    assert not (tmp_path / "student").exists() or not [*(tmp_path / "student").iterdir()]


def test_half_a_converted_student_is_not_left_behind(student, tmp_path, file_limit, monkeypatch):
    # The tokeniser's own writer fails: it raises neither an OSError nor safetensors' error.
    monkeypatch.setattr(embedded, "_download", lambda work: work / "model.gguf")
    monkeypatch.setattr(embedded, "_convert", lambda gguf, folder: student.renderer.tokenizer.save_pretrained(folder))
    with file_limit(1_000_000), pytest.raises(RunError, match="cache: the disk is full"):
        embedded.fetch(tmp_path / "cache")
    assert [*(tmp_path / "cache").iterdir()] == []
    assert embedded.fetch(tmp_path / "cache") == tmp_path / "cache" / embedded.NAME
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        embedded.fetch(tmp_path / "file" / "cache")


def test_a_folder_that_is_no_model_is_one_clear_error(tmp_path):
    from nesycd.students.local import LocalStudent

    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(ModelError, match=r"cannot load .* as a student"):
        LocalStudent(str(tmp_path))
