"""Students from the Hugging Face hub count by their commit, which a run keeps."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

torch = pytest.importorskip("torch")

from nesycd.api.finished import OpenRun  # noqa: E402
from nesycd.api.running import complete, opened  # noqa: E402
from nesycd.core.config import load_recipe  # noqa: E402
from nesycd.core.errors import ConfigError, ModelError  # noqa: E402
from nesycd.core.protocols import Prompt, TrainSettings  # noqa: E402
from nesycd.core.records import TrainingText  # noqa: E402
from nesycd.core.segments import own  # noqa: E402
from nesycd.students.fingerprint import student_fingerprint  # noqa: E402
from nesycd.students.hub import resolve_commit  # noqa: E402
from nesycd.students.registry import build_student  # noqa: E402

LONGTAIL = Path(__file__).parents[2] / "recipes" / "longtail.toml"
MODEL = "someone/tiny"
WORDS = ["<end>", "<other>", "Question", ":", "what", "is", "a", "fathom", "?", "feet", "6", "."]


class HubCache:
    """A cache folder in which commits are made by hand, and the only hub there is.

    Args:
        root: an empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root / f"models--{MODEL.replace('/', '--')}"

    def commit(self, number: int, *refs: str) -> str:
        """A commit with weights of its own, to which refs (`main`, tags) point from now on; returns its hash."""
        from tokenizers import Tokenizer, models, pre_tokenizers
        from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

        commit = str(number) * 40
        snapshot = self.folder / "snapshots" / commit
        torch.manual_seed(number)
        config = LlamaConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            eos_token_id=0,
            bos_token_id=0,
        )
        LlamaForCausalLM(config).save_pretrained(snapshot)
        words = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<other>"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", unk_token="<other>").save_pretrained(
            snapshot
        )
        for ref in refs:
            self.point(ref, commit)
        return commit

    def point(self, ref: str, commit: str) -> None:
        """Have a branch or tag stand for a commit."""
        (self.folder / "refs").mkdir(parents=True, exist_ok=True)
        (self.folder / "refs" / ref).write_text(commit)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubCache:
    """A hub that cannot be reached, and an empty cache of it."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # it reads the variable on import only
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return HubCache(tmp_path / "hub")


def test_a_revision_is_the_commit_that_it_stands_for(hub: HubCache) -> None:
    first = hub.commit(1, "main", "v1")
    assert resolve_commit(MODEL) == resolve_commit(MODEL, "main") == resolve_commit(MODEL, "v1") == first
    second = hub.commit(2, "main")
    assert (resolve_commit(MODEL), resolve_commit(MODEL, "v1")) == (second, first)
    assert resolve_commit(MODEL, first) == first
    with pytest.raises(ModelError, match=r"cannot load 'someone/tiny@v9' as a student: .*\(give"):
        resolve_commit(MODEL, "v9")
    for name in ("someone/unknown", "no id/at/all"):
        with pytest.raises(ModelError, match=f"cannot load '{name}@main' as a student: "):
            resolve_commit(name)


@pytest.mark.parametrize("model", ["./none", "/models/none", "~/none", "../none", "models/none/", r"C:\models\none"])
def test_a_folder_that_is_missing_is_told_as_one(
    hub: HubCache, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for revision in ("", "1" * 40):
        with pytest.raises(ModelError, match=f"^there is no folder {re.escape(repr(model))} with a student's model"):
            build_student(model, revision=revision).fingerprint  # noqa: B018
    with pytest.raises(ModelError, match="there is no such folder, and a Hugging Face id has one / at most"):
        resolve_commit("models/of/mine")


def test_a_student_from_the_hub_counts_by_its_commit(hub: HubCache) -> None:
    first = hub.commit(1, "main", "v1")
    before = build_student(MODEL)
    assert before.fingerprint == build_student(MODEL, revision=first).fingerprint
    hub.commit(2, "main")
    assert before.fingerprint == build_student(MODEL, revision="v1").fingerprint != build_student(MODEL).fingerprint


def test_a_folder_counts_by_its_files(hub: HubCache) -> None:
    folder = hub.folder / "snapshots" / hub.commit(1)
    before = student_fingerprint(str(folder), "auto", "")
    assert build_student(str(folder)).fingerprint == before
    (folder / "generation_config.json").write_text("{}")
    assert build_student(str(folder)).fingerprint != before


@pytest.mark.parametrize("model", ["table", "smollm2-135m", "."])
def test_a_revision_of_what_has_none_is_refused(model: str) -> None:
    with pytest.raises(ConfigError, match=r"student\.revision: .* has no revisions; leave it out"):
        build_student(model, revision="main")


def test_the_commits_weights_are_loaded_and_named_beside_the_adapter(hub: HubCache, tmp_path: Path) -> None:
    from nesycd.students.local import LocalStudent

    first = hub.commit(1, "main", "v1")
    second = hub.commit(2, "main")
    texts = [TrainingText(example="q", task="direct", prompt="Question: what is a fathom?", segments=own("6 feet."))]
    settings = TrainSettings(epochs=1, rank=2, alpha=2)
    asked = [Prompt("q", texts[0].prompt)]
    likely = {}
    for revision, commit in (("v1", first), ("", second), (first, first)):
        student = LocalStudent(MODEL, revision=revision, device="cpu", compile="off")
        assert student.commit == commit
        assert student.fingerprint == build_student(MODEL, revision=revision).fingerprint
        student.train(texts, settings, tmp_path / "adapter", seed=0)
        kept = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
        assert (kept["base_model_name_or_path"], kept["revision"]) == (MODEL, commit)
        [likely[revision]] = student.least_likely(asked, [texts[0].completion], adapter=tmp_path / "adapter")
    assert likely["v1"] == likely[first] != likely[""]


def test_a_run_keeps_the_commit_that_it_began_with(hub: HubCache, tmp_path: Path) -> None:
    first = hub.commit(1, "main")
    small = ["training.epochs=1", "training.rank=2", "student.max_new_tokens=2", "augmented.passes=1"]
    wanted = ["calls.sums=false", "student.compile=off", "retrieval.budget_tokens=20", *small]
    settings = load_recipe(LONGTAIL, [f"student.model={MODEL}", *wanted], limit=6)

    def go_on(name: str, model: str = MODEL) -> tuple[str, str]:
        """The student's fingerprint, and what was said."""
        out = io.StringIO()
        changed = settings.model_copy(update={"student": settings.student.model_copy(update={"model": model})})
        with opened(changed, tmp_path / name, Console(file=out, width=400)) as parts:
            if name == "a" and model == MODEL:
                complete(parts)
            return parts.student.fingerprint, out.getvalue()

    begun, said = go_on("a")
    assert "someone/tiny" not in said
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["hashes"][f"{MODEL}@main"] == first
    second = hub.commit(2, "main")
    stages = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "a" / "stages").iterdir()}
    again, said = go_on("a")
    assert again == begun and stages == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "a" / "stages").iterdir()}
    expected = rf"someone/tiny@main is {second[:12]} by now; this run goes on with {first[:12]}, which it began with"
    [line] = [line for line in said.splitlines() if "someone/tiny" in line]
    assert re.search(expected, line)
    # What asks the finished run takes the same commit, even after the recipe tried another student in between.
    go_on("a", "table")
    assert go_on("a")[0] == begun
    assert OpenRun(tmp_path / "a").student.fingerprint == begun
    # A new run begins with the newer one.
    fresh, said = go_on("b")
    assert fresh != begun and "by now" not in said
    assert json.loads((tmp_path / "b" / "manifest.json").read_text())["hashes"][f"{MODEL}@main"] == second
