"""A LoRA adapter as the student: merged into its base before anything is trained, or refused with the reason."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from nesycd.core.errors import ConfigError, ModelError  # noqa: E402
from nesycd.core.protocols import Prompt, TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import own  # noqa: E402
from nesycd.students import embedded, local  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402
from nesycd.students.origin import Origin, origin_of  # noqa: E402
from nesycd.students.registry import build_student  # noqa: E402

TEXTS = [TrainingText(example="q", task="direct", prompt="What is a fathom?", segments=own("A fathom is 6 feet."))]
ASKED = [Prompt("q", TEXTS[0].prompt)]
SETTINGS = TrainSettings(epochs=2, rank=2, alpha=4, learning_rate=0.01)

Adapted = Callable[..., Path]


@pytest.fixture
def adapted(tiny_student: Callable[..., Path], tmp_path: Path) -> Adapted:
    """Writes an adapter of random weights, as other tools do, on a tiny student; returns its folder."""

    def made(name: str = "adapter", on: Path | None = None, **options: Any) -> Path:
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        base = AutoModelForCausalLM.from_pretrained(on or tiny_student())
        config = {"r": 2, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **options}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = get_peft_model(base, LoraConfig(**config))
            torch.manual_seed(1)
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.data += torch.randn_like(parameter) / 2
            model.save_pretrained(tmp_path / name)
        return tmp_path / name

    return made


def student_in(folder: Path | str) -> LocalStudent:
    made = LocalStudent(str(folder), device="cpu", compile="off")
    made._dtype = torch.float32  # random weights are not rounded alike
    return made


def likely(student: LocalStudent, adapter: Path | None = None) -> float:
    (found,) = student.least_likely(ASKED, [TEXTS[0].completion], adapter=adapter)
    return found


def change(folder: Path, **values: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("options", [{}, {"modules_to_save": ["lm_head"]}, {"use_dora": True}, {"bias": "all"}])
@pytest.mark.parametrize("tied", [False, True])
def test_an_adapter_is_merged_and_what_is_trained_on_it_keeps_it(
    tiny_student: Callable[..., Path], adapted: Adapted, tmp_path: Path, options: dict[str, Any], tied: bool
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = tiny_student(tie_word_embeddings=tied)
    folder = adapted(on=base, **options)
    student = student_in(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(folder)).eval()
    ids = student.renderer.prompt_ids(ASKED[0].text)
    with torch.inference_mode():
        ours, expected = (model(torch.tensor([ids])).logits.float() for model in (student._with_adapter(None), theirs))
    assert torch.allclose(ours, expected, atol=1e-3)
    assert not any("lora" in name or "modules_to_save" in name for name, _ in student._fresh().named_parameters())

    student.train(TEXTS, SETTINGS, tmp_path / "trained", seed=0)
    assert likely(student, tmp_path / "trained") > likely(student) != likely(student_in(base))
    kept = json.loads((tmp_path / "trained" / "adapter_config.json").read_text())
    assert kept["base_model_name_or_path"] == str(folder) and not kept["modules_to_save"]
    # What was trained is a student too: both adapters are merged, in order.
    assert origin_of(str(tmp_path / "trained")) == Origin(str(base), "", (folder, tmp_path / "trained"))
    again = student_in(tmp_path / "trained")
    assert likely(again) == pytest.approx(likely(student, tmp_path / "trained"), abs=1e-4)


def test_an_adapter_counts_by_its_own_files_and_its_bases(adapted: Adapted, tiny_student: Callable[..., Path]) -> None:
    base = tiny_student()
    folder = adapted(on=base)
    before = build_student(str(folder)).fingerprint
    assert before == student_in(folder).fingerprint
    assert before not in {
        build_student(str(base)).fingerprint,
        build_student(str(adapted("other", base, r=4))).fingerprint,
    }
    tiny_student(seed=1)
    assert build_student(str(folder)).fingerprint != before


def test_an_adapters_own_tokenizer_goes_first(
    adapted: Adapted, tiny_tokenizer: Callable[..., Any], tmp_path: Path
) -> None:
    folder = adapted()
    assert "<|im_start|>" in student_in(folder).renderer.prompt_text("x")
    tiny_tokenizer("{{ 'Q: ' + messages[-1]['content'] }}").save_pretrained(folder)
    assert student_in(folder).renderer.prompt_text("x") == "Q: x"


def test_a_base_is_found_where_it_is(adapted: Adapted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = adapted()
    change(folder, base_model_name_or_path="../student")
    assert origin_of(str(folder)).base == str(folder / "../student")
    monkeypatch.chdir(tmp_path)
    change(folder, base_model_name_or_path="student")
    assert origin_of("adapter") == Origin("student", "", (Path("adapter"),))
    change(folder, base_model_name_or_path="someone/tiny", revision="v1")
    assert origin_of(str(folder)) == Origin("someone/tiny", "v1", (folder,))
    assert origin_of(str(folder), "v2").revision == "v2" and build_student(str(folder), revision="v2")
    # An adapter of the embedded student that was trained on another machine.
    change(folder, base_model_name_or_path=f"/home/someone/.cache/nesycd/{embedded.NAME}", revision=None)
    assert origin_of(str(folder)) == Origin(embedded.NAME, "", (folder,))
    with pytest.raises(ConfigError, match="has no revisions"):
        build_student(str(folder), revision="v2")
    change(folder, base_model_name_or_path="/models/gone")
    with pytest.raises(
        ModelError, match=r"adapter_config\.json: there is no folder /models/gone, .*; correct base_model"
    ):
        origin_of(str(folder))


@pytest.mark.parametrize(
    "values, told",
    [
        ({"peft_type": "PREFIX_TUNING"}, "peft_type PREFIX_TUNING cannot be a student, only a LORA one"),
        ({"base_model_name_or_path": None}, "base_model_name_or_path is empty; name the model"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(adapted: Adapted, values: dict[str, Any], told: str) -> None:
    folder = adapted()
    change(folder, **values)
    for refused in (lambda: student_in(folder), lambda: build_student(str(folder)).fingerprint):
        with pytest.raises(ModelError, match=told):
            refused()
    change(folder, peft_type="LORA", base_model_name_or_path=str(folder))
    with pytest.raises(ModelError, match="leads back to this adapter; name a model there"):
        student_in(folder)


def test_half_an_adapter_and_half_a_model_are_refused(adapted: Adapted) -> None:
    folder = adapted()
    weights = (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors; save the adapter as safetensors"):
        student_in(folder)
    weights.rename(folder / "adapter_model.safetensors")
    (folder / "model.safetensors").touch()
    with pytest.raises(ModelError, match="has both a whole model and an adapter"):
        student_in(folder)
    (folder / "adapter_config.json").write_text("[]")
    with pytest.raises(ModelError, match=r"adapter_config\.json: not an adapter's configuration"):
        student_in(folder)


def test_an_adapter_of_another_model_is_one_sentence(
    adapted: Adapted, tiny_student: Callable[..., Path], tmp_path: Path
) -> None:
    folder = adapted()
    tiny_student(hidden_size=32)
    with pytest.raises(ModelError, match=r"adapter: the adapter does not fit the model .*size mismatch"):
        student_in(folder).train(TEXTS, SETTINGS, tmp_path / "trained", seed=0)
    tiny_student()
    weights = load_file(folder / "adapter_model.safetensors")
    weights.pop(next(name for name in weights if "lora_B" in name))
    save_file(weights, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"adapter: the adapter does not fit the model .*missing adapter keys"):
        student_in(folder).train(TEXTS, SETTINGS, tmp_path / "trained", seed=0)


def test_an_adapter_that_only_the_hub_has_is_refused(adapted: Adapted, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = adapted()
    # As transformers loads it, were it on the hub.
    monkeypatch.setattr("nesycd.students.local.origin_of", lambda model, revision: Origin(model))
    student = student_in(folder.parent / "student")
    student._source = str(folder)
    with pytest.raises(ModelError, match=r"is an adapter on the Hugging Face hub, .* download it"):
        student.train(TEXTS, SETTINGS, folder.parent / "trained", seed=0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o007, 0o660)])
def test_a_group_reads_adapters_as_far_as_the_umask_lets_it(
    tiny_student: Callable[..., Path], tmp_path: Path, mask: int, mode: int
) -> None:
    seen = []

    def look(state: dict[str, Any]) -> None:
        seen.extend(path.stat().st_mode & 0o777 for path in tmp_path.glob("trained/checkpoint/*"))

    student = student_in(tiny_student())
    settings = TrainSettings(epochs=2, rank=2, alpha=4, checkpoint_seconds=0.0)
    before = os.umask(mask)
    try:
        student.train(TEXTS, settings, tmp_path / "trained", seed=0, progress=look)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "trained").iterdir()}
    assert modes == {"adapter_config.json": mode, "adapter_model.safetensors": mode}
    assert seen == [mode]


@pytest.mark.parametrize("room", ["kept", "loaded anew"])
def test_the_base_is_loaded_once_for_all_adapters_and_stays_as_it_is(
    tiny_student: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: str
) -> None:
    if room == "loaded anew":
        monkeypatch.setattr(local, "KEPT", 0)
    loads = []
    read = local._load

    def counted(factory: Any, *args: Any, **options: Any) -> Any:
        loads.append(factory.__name__)
        return read(factory, *args, **options)

    monkeypatch.setattr(local, "_load", counted)
    student = student_in(tiny_student())
    untrained = likely(student)
    student.train(TEXTS, SETTINGS, tmp_path / "a", seed=0)
    first = likely(student, tmp_path / "a")
    student.train(TEXTS, SETTINGS, tmp_path / "b", seed=0, init=tmp_path / "a")
    student.pace(SETTINGS, 10, 10)
    assert likely(student, tmp_path / "b") > first > untrained == likely(student)
    assert likely(student, tmp_path / "a") == first
    student.train(TEXTS, SETTINGS, tmp_path / "c", seed=0)
    weights = [load_file(tmp_path / name / "adapter_model.safetensors") for name in "ac"]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    models = loads.count("AutoModelForCausalLM")
    assert models == 1 if room == "kept" else models > 5


def test_merged_weights_are_rounded_once(tiny_student: Callable[..., Path], adapted: Adapted) -> None:
    base, folder = tiny_student(), adapted()
    student = LocalStudent(str(base), device="cpu", compile="off")
    student._dtype = torch.bfloat16
    exact = student_in(base)._with_adapter(folder).state_dict()
    given = {name: weights.double() for name, weights in load_file(folder / "adapter_model.safetensors").items()}
    ours = student._with_adapter(folder).state_dict()
    plain = student._fresh().state_dict()
    for name in (name for name in exact if name.endswith("_proj.weight")):
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        added = given[f"{stem}.lora_B.weight"] @ given[f"{stem}.lora_A.weight"] * 4  # alpha 8, rank 2
        assert torch.equal(ours[name], (plain[name].double() + added).to(torch.bfloat16))
