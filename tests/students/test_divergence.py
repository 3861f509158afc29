"""Learning from a teacher's distributions: the divergence and its gradient, targets from a model, training on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from nesycd.core.errors import ModelError  # noqa: E402
from nesycd.core.protocols import ScoringStudent, TrainReport, TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import Segment, own  # noqa: E402
from nesycd.students.divergence import divergence  # noqa: E402
from nesycd.students.local import LocalStudent  # noqa: E402
from nesycd.students.scoring import candidates  # noqa: E402
from nesycd.students.training import token_losses  # noqa: E402

CALL = (
    Segment(text="A fathom is [fathom | makes]"),
    Segment(text=" 6 feet", source="supplied"),
    Segment(text=". So 24."),
)
PROMPTS = ["What is a fathom?", "And how many feet are 4?", "Name a colour."]
COMPLETIONS = [CALL, own("It is 6 feet long."), own("Blue.")]


def distributions(vocabulary: int = 12, places: int = 5) -> tuple[Any, Any]:
    torch.manual_seed(0)
    return torch.randn(places, vocabulary, dtype=torch.float64), torch.randn(places, vocabulary, dtype=torch.float64)


@pytest.mark.parametrize("beta", [0.0, 0.3, 0.5, 1.0])
def test_over_the_whole_vocabulary_it_is_the_generalised_jensen_shannon_divergence(beta: float) -> None:
    logits, other = distributions()
    teacher, student = torch.log_softmax(other, -1), torch.log_softmax(logits, -1)
    ids = torch.arange(12).expand(5, 12)
    made = divergence(logits, ids, teacher, beta)
    p, q = teacher.exp(), student.exp()
    middle = beta * p + (1 - beta) * q
    expected = {
        0.0: (p * (p / q).log()).sum(-1),
        1.0: (q * (q / p).log()).sum(-1),
    }.get(beta, beta * (p * (p / middle).log()).sum(-1) + (1 - beta) * (q * (q / middle).log()).sum(-1))
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_of_some_candidates_it_is_a_lower_bound_with_a_right_gradient(beta: float) -> None:
    logits, other = distributions()
    teacher = torch.log_softmax(other, -1)
    whole = divergence(logits, torch.arange(12).expand(5, 12), teacher, beta)
    top = teacher.topk(4)
    some = divergence(logits, top.indices, top.values, beta)
    assert bool((some < whole).all()) and bool((some > 0).all())
    same = divergence(other, top.indices, top.values, beta)
    assert float(same.abs().max()) < 1e-9, "where both agree there is nothing to learn"
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda one: divergence(one, top.indices, top.values, beta), logits)
    [slope] = torch.autograd.grad(divergence(logits, top.indices, top.values, beta).sum(), logits)
    after = divergence(logits.detach() - 0.1 * slope, top.indices, top.values, beta)
    assert bool((after < some).all())


def test_the_token_that_stands_there_is_always_a_candidate() -> None:
    ranked = [(5, -0.1), (7, -3.0)]
    assert candidates(ranked, 7, -3.0) == ((5, -0.1), (7, -3.0))
    assert candidates(ranked, 9, -8.00004) == ((5, -0.1), (9, -8.0))


@pytest.fixture
def student(tiny_student: Callable[..., Path]) -> LocalStudent:
    return LocalStudent(str(tiny_student(initializer_range=0.3)), device="cpu", compile="off")


def texts(targets: list[Any]) -> list[TrainingText]:
    return [
        TrainingText(example=prompt, task="augmented", prompt=prompt, segments=made, targets=told)
        for prompt, made, told in zip(PROMPTS, COMPLETIONS, targets, strict=True)
    ]


def train(
    student: LocalStudent, made: list[TrainingText], folder: Path, epochs: float = 30, stop_at: int = 0
) -> TrainReport:
    def progress(state: dict[str, Any]) -> None:
        if stop_at and state["step"] == stop_at:
            raise KeyboardInterrupt

    seconds = 0.0 if stop_at else 60.0
    settings = TrainSettings(0.03, epochs, batch_tokens=64, rank=8, checkpoint_seconds=seconds)
    return student.train(made, settings, folder, seed=0, progress=progress)


def distance(student: LocalStudent, adapter: Path | None, targets: list[Any]) -> float:
    """Mean divergence (nats) of a student from targets."""
    model = student._with_adapter(adapter)
    encoded = [student._encode(text) for text in texts(targets)]
    with torch.inference_mode():
        return float(token_losses(model, encoded, student._pad_id)[0].mean())


def test_targets_are_those_of_each_own_token_and_what_is_supplied_has_none(student: LocalStudent) -> None:
    assert isinstance(student, ScoringStudent)
    told = student.likeliest(PROMPTS, COMPLETIONS, adapter=None, count=8)
    encoded = [student._encoded(prompt, made) for prompt, made in zip(PROMPTS, COMPLETIONS, strict=True)]
    assert [len(one) for one in told] == [text.learned for text in encoded]
    assert encoded[0].supplied and encoded[0].learned < len(encoded[0].completion)
    for text, places in zip(encoded, told, strict=True):
        own_ids = [token for place, token in enumerate(text.completion) if place not in text.supplied]
        for token, place in zip(own_ids, places, strict=True):
            assert len(place) == 8 and token in dict(place)
    assert student.likeliest(["x " * 4000], [own("A.")], adapter=None, count=8) == [()], "too long for its context"


def test_training_on_targets_brings_the_student_to_its_teacher(student: LocalStudent, tmp_path: Path) -> None:
    """Also: the same again, and after an interruption, to the bit."""
    taught = tmp_path / "teacher"
    train(student, texts([(), (), ()]), taught)
    targets = student.likeliest(PROMPTS, COMPLETIONS, adapter=taught, count=32)
    before = distance(student, None, targets)
    report = train(student, texts(targets), tmp_path / "once")
    after = distance(student, tmp_path / "once", targets)
    assert after < before / 5, (before, after)
    assert report.completion_tokens == 30 * sum(map(len, targets)), "supplied tokens count for nothing"
    with pytest.raises(KeyboardInterrupt):
        train(student, texts(targets), tmp_path / "again", stop_at=5)
    train(student, texts(targets), tmp_path / "again")
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("once", "again")]
    assert weights[0] == weights[1]


def test_targets_of_another_tokenizer_are_refused(student: LocalStudent, tmp_path: Path) -> None:
    told = student.likeliest(PROMPTS, COMPLETIONS, adapter=None, count=8)
    with pytest.raises(ModelError, match="were made with another tokenizer"):
        train(student, texts([told[0], told[1][1:], told[2]]), tmp_path / "made")
    with pytest.raises(ModelError, match="some of the training texts have targets"):
        train(student, texts([told[0], (), told[2]]), tmp_path / "made")


def test_a_record_without_targets_is_what_it_was() -> None:
    text = TrainingText(example="a", task="direct", prompt="Q", segments=own("A"))
    assert "targets" not in text.to_json() and text.id == "717765778f259658"
    told = text.model_copy(update={"targets": (((1, -0.5), (2, -1.25)),)})
    assert TrainingText.from_json(told.to_json()) == told and told.id != text.id
