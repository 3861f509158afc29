"""The recipes of the paper's students and of the recorded teachers: what they share, and that they run as they stand."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import tomllib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from nesycd.api import build, preflight
from nesycd.cli.main import app
from nesycd.cli.run import execute
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.paths import locate_data
from nesycd.core.protocols import Task
from nesycd.core.records import Example
from nesycd.grading import closing
from nesycd.knowledge import KnowledgeBase, LeakFilter, read_file
from nesycd.knowledge.filters import ill_formed
from nesycd.llm.chat import Request
from nesycd.llm.reachable import Reached
from nesycd.llm.scripted_chat import ScriptedChat
from nesycd.reports import load_results

RECIPES = Path(__file__).parent.parent / "recipes"
PAPER = {
    "paper-tinyllama-1.1b": 2e-4,
    "paper-llama2-7b": 1e-4,
    "paper-llama3-8b": 5e-5,
    "paper-qwen2-0.5b": 2e-4,
    "paper-qwen2-1.5b": 1e-4,
    "paper-qwen2-7b": 1e-4,
}
"""The paper's students and their learning rates."""
real = pytest.mark.skipif("NESYCD_DATA" not in os.environ, reason="NESYCD_DATA names no folder of real data")


# --- the paper's students ---------------------------------------------------------------------------------------------


def test_the_papers_students_differ_in_model_and_learning_rate_only() -> None:
    assert {path.stem for path in RECIPES.glob("paper-*.toml")} == {*PAPER, "paper-mixture"}
    shared = load_recipe(RECIPES / "paper-mixture.toml").model_dump()
    for name, rate in PAPER.items():
        assert set(tomllib.loads((RECIPES / f"{name}.toml").read_text())) == {
            "extends", "name", "student", "training", "augmented"
        }  # fmt: skip
        recipe = load_recipe(RECIPES / f"{name}.toml")
        own = recipe.model_dump()
        assert recipe.training.learning_rate == recipe.augmented.learning_rate == rate
        assert {key for key in own if own[key] != shared[key]} <= {"name", "student", "training", "augmented"}
        for section, free in (
            ("training", {"learning_rate"}),
            ("augmented", {"learning_rate"}),
            ("student", {"model", "template"}),
        ):
            changed = {key for key in own[section] if own[section][key] != shared[section][key]}
            assert changed <= free, (name, section)
    models = {load_recipe(RECIPES / f"{name}.toml").student.model for name in PAPER}
    assert len(models) == len(PAPER)


def test_they_have_the_papers_settings() -> None:
    recipe = load_recipe(RECIPES / "paper-qwen2-7b.toml")
    training, augmented = recipe.training, recipe.augmented
    assert (training.rank, training.alpha, training.dropout, training.warmup) == (32, 64, 0.0, 0.1)
    assert training.epochs >= 10 and training.max_tokens >= 2048 and augmented.epochs == 3
    assert set(augmented.weights.model_dump().values()) == {1.0} and augmented.share_answer_only == 1.0
    assert recipe.collection.mode == "in_sample" and recipe.knowledge.source == "errors"
    assert (recipe.teacher.name, recipe.teacher.ask.temperature) == ("api", 0.8)
    assert recipe.student.max_new_tokens == 1024 and recipe.retrieval.max_items == 1


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few made-up questions of each part of the mixture, in its publisher's files."""
    root = tmp_path_factory.mktemp("data")
    (root / "bbh/bbh").mkdir(parents=True)
    rows = [{"input": f"Sort: b{n} a{n}", "target": f"a{n} b{n}"} for n in range(10)]
    (root / "bbh/bbh/word_sorting.json").write_text(json.dumps({"examples": rows}))
    for part in ("dev", "val"):
        (root / "mmlu" / part).mkdir(parents=True)
        with (root / "mmlu" / part / f"law_{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([[f"Which {part} law {n}?", "a", "b", "c", "d", "B"] for n in range(4)])
    (root / "metamath").mkdir()
    made = [
        {"query": f"What is {n} + {n}?", "response": f"{n} + {n} = {2 * n}. The answer is: {2 * n}"} for n in range(8)
    ]
    (root / "metamath/MetaMathQA-395K.json").write_text(json.dumps(made))
    for split in ("train", "test"):
        write_jsonl(
            root / f"gsm8k/{split}.jsonl", [{"question": f"{split} {n}?", "answer": f"So.\n#### {n}"} for n in range(4)]
        )
    (root / "bigbench/colours").mkdir(parents=True)
    shown = [{"input": f"Sky {n}?", "target_scores": {"blue": 1, "red": 0}} for n in range(3)]
    (root / "bigbench/colours/task.json").write_text(json.dumps({"examples": shown}))
    asked = {"passage": None, "options": ["(A)one", "(B)two"], "label": "B"}
    tasks = ("aqua-rat", "logiqa-en", "lsat-ar", "lsat-lr", "lsat-rc", "sat-en", "sat-en-without-passage", "sat-math")
    for task in tasks:
        write_jsonl(root / f"agieval/{task}.jsonl", [{**asked, "question": f"{task}?"}])
    plus = {
        "solution": "So.",
        "answer": "3",
        "perturbation_type": "digit expansion",
        "seed_question": "s",
        "seed_answer": "3",
    }
    write_jsonl(root / "gsm_plus/testmini.jsonl", [{**plus, "question": f"Plus {n}?"} for n in range(3)])
    for name in ("easy", "challenge"):
        row = {"id": "1", "question": f"{name}?", "options": ["sun", "moon"], "answer": "(A)"}
        write_jsonl(root / f"arc/{name}_test.jsonl", [row])
    return root


class Knowing:
    """A model that answers the training questions rightly, and makes a lesson of each error."""

    def __init__(self, task: Task) -> None:
        self.examples = {example.question: example for example in task.load("train")}

    def __call__(self, request: Request) -> str:
        text = request.messages[0].content
        example: Example = max((e for q, e in self.examples.items() if q in text), key=lambda e: len(e.question))
        if request.schema is None:
            return f"Think of it step by step. {closing(example.answer)}"
        return json.dumps(
            {"cause": "c", "facts": [], "rules": [], "lessons": ["When you sort words, compare letters."]}
        )


# The table student remembers what it was trained on: in sample it makes no errors.
TABLE = ("student.model=table", "knowledge.source=all")
EMBEDDED = ("student.model=smollm2-135m", "training.epochs=1", "augmented.epochs=1", "student.max_new_tokens=8")


@pytest.mark.parametrize(
    "sets",
    [
        pytest.param((*TABLE, "evaluation.methods=['nesycd']", "evaluation.splits=['test']"), id="some"),
        pytest.param(TABLE, id="all", marks=pytest.mark.slow),
        pytest.param(
            (*EMBEDDED, "evaluation.methods=['nesycd', 'nesycd_routed']", "evaluation.splits=['test', 'ood_arc_easy']"),
            id="embedded student",
            marks=[pytest.mark.slow, pytest.mark.timeout(900)],
        ),
    ],
)
def test_a_papers_recipe_runs_in_miniature(
    sets: tuple[str, ...], published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NESYCD_DATA", str(published))

    def teacher_of(recipe: Recipe, task: Task) -> object:
        return build.asking_teacher(recipe, task, ScriptedChat(Knowing(task)))

    monkeypatch.setattr(build, "teacher_of", teacher_of)
    recipe = load_recipe(RECIPES / "paper-qwen2-0.5b.toml", ["evaluation.bootstrap=20", *sets])
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    arms = load_results(tmp_path / "r/results.json").to_json()["methods"]
    ood = {"ood_bigbench", "ood_agieval", "ood_gsm_plus", "ood_arc_easy", "ood_arc_challenge"}
    splits = set(recipe.evaluation.splits) or {"test", *ood}
    assert set(arms) == set(recipe.evaluation.methods) and all(set(scored) == splits for scored in arms.values())
    with KnowledgeBase.open(tmp_path / "r/kb.sqlite") as kb:
        assert kb.stats()["by_kind"] == {"lesson": 1}
    assert arms["nesycd"]["test"]["knowledge_tokens"] > 0


# --- the paper's architectures ------------------------------------------------------------------------------------------

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] | trim }}"
    "<|eot_id|>{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
LLAMA2 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] | trim }} [/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] | trim }} {{ eos_token }}{% endif %}{% endfor %}"
)
SHAPES: dict[str, dict[str, Any]] = {
    "paper-llama2-7b": {"kind": "llama", "form": "llama2", "heads": 4, "shared": 4},
    "paper-tinyllama-1.1b": {"kind": "llama", "form": "llama2", "heads": 8, "shared": 1},
    "paper-llama3-8b": {"kind": "llama", "form": "llama3", "heads": 4, "shared": 1, "rope_theta": 500_000.0},
    "paper-qwen2-0.5b": {"kind": "qwen2", "form": "qwen2", "heads": 7, "shared": 1, "tie_word_embeddings": True},
    "paper-qwen2-1.5b": {"kind": "qwen2", "form": "qwen2", "heads": 6, "shared": 1, "tie_word_embeddings": True},
    "paper-qwen2-7b": {"kind": "qwen2", "form": "qwen2", "heads": 7, "shared": 1, "tie_word_embeddings": False},
}
"""Of each model: its class, the form of its tokenizer, and how many query heads share keys and values; the sizes are tiny."""
LINES = ["Sort: b0 a0", "Which law is it?", "What is 2 + 2? The answer is: 4", "Think of it step by step."] * 5


def sentencepiece_like() -> Any:
    """LLaMA 2's: BPE over text whose blanks are "\u2581", bytes where a letter is unknown, begin of text before all."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False)
    made.train_from_iterator(LINES, trainer)
    # Bytes are ordinary tokens, of which texts consist.
    content = json.loads(made.to_str())
    content["added_tokens"] = [one for one in content["added_tokens"] if not one["content"].startswith("<0x")]
    made = Tokenizer.from_str(json.dumps(content))
    made.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A $B", [("<s>", 1)])
    ends = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=LLAMA2, **ends)


def byte_level(marks: list[str], template: str, begin: str | None, end: str) -> Any:
    """LLaMA 3's and Qwen2's: byte-level BPE over pieces cut by a pattern."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    pattern = words + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(LINES, trainer)
    if begin is not None:
        place = made.token_to_id(begin)
        made.post_processor = processors.TemplateProcessing(f"{begin} $A", f"{begin} $A $B", [(begin, place)])
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=template, bos_token=begin, eos_token=end)


def tokenizer_of(form: str) -> Any:
    if form == "llama2":
        return sentencepiece_like()
    if form == "llama3":
        marks = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
        return byte_level(marks, LLAMA3, marks[0], marks[1])
    return byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], CHATML, None, "<|endoftext|>")


def paper_student(name: str, folder: Path) -> Path:
    """A random model of a paper's student's architecture, tiny, with a tokenizer of its form."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    shape = dict(SHAPES[name])
    kind, tokenizer = shape.pop("kind"), tokenizer_of(shape.pop("form"))
    heads, shared = shape.pop("heads"), shape.pop("shared")
    config, model = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM)}[kind]
    sizes = {"hidden_size": 8 * heads, "intermediate_size": 64, "num_hidden_layers": 2, "max_position_embeddings": 4096}
    if "rope_theta" in shape:
        shape["rope_parameters"] = {"rope_type": "default", "rope_theta": shape.pop("rope_theta")}
    torch.manual_seed(0)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    made = model(
        config(
            vocab_size=len(tokenizer), num_attention_heads=heads, num_key_value_heads=shared, **sizes, **ends, **shape
        )
    )
    made.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("paper-llama2-7b", "<s>[INST] ", " [/INST]"),
        (
            "paper-llama3-8b",
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n",
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        ),
        ("paper-qwen2-7b", "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"),
    ],
)
def test_prompts_have_each_familys_form_and_texts_come_back(name: str, before: str, after: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from nesycd.students.rendering import Renderer

    tokenizer = tokenizer_of(SHAPES[name]["form"])
    begins = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    plain, chat = Renderer(tokenizer, "plain"), Renderer(tokenizer, "chat", None)
    for text in ("Sort: b0 a0", "Caf\u00e9 \u4e2d <0x41> [INST] <|im_end|> </s>"):
        assert plain.prompt_ids(text)[: len(begins)] == begins
        assert plain.prompt_ids(text).count(tokenizer.bos_token_id) == len(begins)
        *written, end = plain.completion_ids(text)
        assert end == tokenizer.eos_token_id and plain.decode(written).strip() == text
    ids = chat.prompt_ids("Sort: b0 a0")
    assert tokenizer.decode(ids).replace("<s> [", "<s>[") == f"{before}Sort: b0 a0{after}"


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPER)
def test_each_of_the_papers_students_goes_through_the_whole_method(
    name: str, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file

    monkeypatch.setenv("NESYCD_DATA", str(published))
    monkeypatch.setattr(
        build, "teacher_of", lambda recipe, task: build.asking_teacher(recipe, task, ScriptedChat(Knowing(task)))
    )
    folder = paper_student(name, tmp_path / "student")
    # All settings are the recipe's but for sizes.
    sets = [
        f"student.model={folder}", "student.max_new_tokens=6", "training.epochs=2", "augmented.epochs=1",
        "evaluation.bootstrap=20", "evaluation.methods=['std_cot', 'nesycd']", "evaluation.splits=['test']", "task.limit=9",
    ]  # fmt: skip
    recipe = load_recipe(RECIPES / f"{name}.toml", sets)
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    arms = load_results(tmp_path / "r/results.json").to_json()["methods"]
    assert set(arms) == {"std_cot", "nesycd"} and arms["nesycd"]["test"]["knowledge_tokens"] > 0
    adapters = [load_file(path) for path in sorted((tmp_path / "r").rglob("adapter_model.safetensors"))]
    assert len(adapters) == 3, "general, augmented, and Std-CoT for the tokens of both"
    for adapter in adapters:
        ranks = {tensor.shape[0] for key, tensor in adapter.items() if ".lora_A." in key}
        assert ranks == {32} and len(adapter) == 2 * 7 * 2
        assert all(tensor.abs().sum() > 0 for tensor in adapter.values()), "every module has learned"


@pytest.mark.parametrize("name", ["paper-llama3-8b", "bbh-replay"])
def test_a_check_says_what_would_be_asked(
    name: str, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NESYCD_DATA", str(published))
    monkeypatch.setenv("NESYCD_LEDGER", str(tmp_path / "ledger.sqlite"))
    write_jsonl(tmp_path / "r.jsonl", [{"question": "Sort: b0 a0", "rationale": "So. The answer is a0 b0."}])
    sets = (
        []
        if name.startswith("paper")
        else [f"teacher.paths=['{tmp_path}/r.jsonl']", "teacher.diagnose=api", "teacher.api.model=gpt-4o-mini"]
    )
    sets += ["student.model=table"]
    options = [word for one in sets for word in ("--set", one)]
    monkeypatch.setattr(preflight, "reach", lambda endpoint: Reached())
    done = CliRunner().invoke(app, ["check", str(RECIPES / f"{name}.toml"), *options])
    assert done.exit_code == 0, done.output
    [rationales] = [line.split() for line in done.output.splitlines() if line.startswith("rationales")]
    [diagnoses] = [line.split() for line in done.output.splitlines() if line.startswith("diagnoses")]
    questions = int(done.output.split(" training questions")[0].split()[-1])
    # Without hints three samples at most; where the rationales are recorded none.
    assert int(rationales[1]) == (3 * questions if name.startswith("paper") else 0)
    assert int(diagnoses[1]) == questions > 0


def test_the_documents_lines_for_recipes_can_be_read() -> None:
    text = (RECIPES.parent / "docs/benchmarks.md").read_text(encoding="utf-8")
    lines = [shlex.split(line) for line in re.findall(r"^nesycd run (.+)$", text, re.MULTILINE)]
    sources = []
    for words in lines:
        sets = [word for option, word in pairwise(words) if option == "--set"]
        recipe = load_recipe(RECIPES.parent / words[0], sets)
        assert all((RECIPES.parent / path).is_file() for path in recipe.knowledge.files)
        sources.append((recipe.name, recipe.teacher.diagnose, len(recipe.knowledge.files)))
    assert [one for one in sources if one[0] == "bbh-replay"] == [
        ("bbh-replay", "api", 0), ("bbh-replay", "mine", 0), ("bbh-replay", "own", 1)
    ]  # fmt: skip


# --- knowledge that questions share ---------------------------------------------------------------------------------------

SHARED = {
    "clutrr": {"train": 1000, "valid": 90, "test": 270},
    "helpdesk": {"train": 500, "valid": 75, "test": 62},
    "rulearena": {"train": 200, "valid": 20, "test": 200},
    "legalbench": {"train": 424, "valid": 80, "test": 300},
}


@real
@pytest.mark.parametrize("name", SHARED)
def test_recipes_with_derivations_have_the_sizes_that_they_state(name: str) -> None:
    recipe = load_recipe(RECIPES / f"{name}.toml")
    task = build.task_of(locate_data(recipe, Path(os.environ["NESYCD_DATA"])))
    assert {split: len(task.load(split)) for split in task.splits()} == SHARED[name]
    assert recipe.teacher.name == "expert" and "nesycd_oracle" in recipe.evaluation.methods
    if name == "clutrr":
        assert set(Counter(example.task for example in task.load("test")).values()) == {30}
    if name == "legalbench":
        assert set(Counter(example.task for example in task.load("test")).values()) == {75}


@real
@pytest.mark.parametrize(
    "name", ["helpdesk", *(pytest.param(n, marks=pytest.mark.slow) for n in SHARED if n != "helpdesk")]
)
def test_a_recipe_with_derivations_runs_in_miniature(name: str, tmp_path: Path) -> None:
    sets = ["student.model=table", "evaluation.bootstrap=20", "task.sizes={train=24, valid=6, test=12}"]
    recipe = locate_data(load_recipe(RECIPES / f"{name}.toml", sets), Path(os.environ["NESYCD_DATA"]))
    execute(recipe, tmp_path / "r", Console(file=io.StringIO()))
    results = load_results(tmp_path / "r/results.json").to_json()
    assert set(results["methods"]) == set(recipe.evaluation.methods)
    assert results["method"]["rationales"]["kept"] == 24
    with KnowledgeBase.open(tmp_path / "r/kb.sqlite") as kb:
        kinds = set(kb.stats()["by_kind"])
    assert kinds and ("fact" in kinds) == (name != "clutrr")


@real
def test_the_recipe_for_out_of_domain_questions_has_its_sizes_and_runs_in_miniature(tmp_path: Path) -> None:
    data, path = Path(os.environ["NESYCD_DATA"]), RECIPES / "out-of-domain.toml"
    full = locate_data(load_recipe(path), data)
    task = build.task_of(full)
    out = {"ood_agieval": 180, "ood_arc": 160, "ood_gsm_plus": 160}
    sizes = {split: len(task.load(split)) for split in task.splits()}
    assert sizes == {"train": 400, "valid": 80, "test": 262, **out}
    assert full.compare.primary.split in out
    small = "task.sizes={train=20, valid=6, test=8, ood_agieval=6, ood_arc=4, ood_gsm_plus=4}"
    recipe = load_recipe(path, ["student.model=table", "evaluation.bootstrap=20", small])
    execute(locate_data(recipe, data), tmp_path / "r", Console(file=io.StringIO()))
    found = load_results(tmp_path / "r/results.json").to_json()["methods"]
    assert all(set(found[name]) == {"test", *out} for name in recipe.evaluation.methods)


# --- BBH: the written knowledge -----------------------------------------------------------------------------------------

WRITTEN = RECIPES / "bbh-knowledge.yaml"


def test_the_written_knowledge_says_where_it_comes_from_and_is_sound() -> None:
    entries = [one.entry for one in read_file(WRITTEN)]
    assert 60 <= len(entries) <= 120 and len({entry.item_id for entry in entries}) == len(entries)
    assert {e.source for entry in entries for e in entry.evidence} == {"developer-written (AI)"}
    assert not any(e.example for entry in entries for e in entry.evidence)
    assert not any(ill_formed(entry.item) for entry in entries)
    assert {entry.item.kind for entry in entries} == {"lesson", "fact", "rule"}


@real
def test_the_recorded_recipes_have_the_sizes_that_were_fixed_and_the_written_knowledge_passes_the_leak_filter() -> None:
    sizes = {"train": 300, "valid": 100, "test": 270}
    for name in ("bbh-replay", "gsm8k-replay"):
        task = build.task_of(locate_data(load_recipe(RECIPES / f"{name}.toml"), Path(os.environ["NESYCD_DATA"])))
        loaded = {split: task.load(split) for split in sizes}
        assert {split: len(examples) for split, examples in loaded.items()} == sizes
        if name == "bbh-replay":
            counts = [Counter(e.task for e in examples) for examples in loaded.values()]
            assert all(len(count) == 27 for count in counts) and max(counts[0].values()) == 12
            check = LeakFilter(loaded["train"], [*loaded["valid"], *loaded["test"]])
            assert not [
                one.entry.item.text for one in read_file(WRITTEN) if check.leak(one.entry.item, one.entry.evidence)
            ]
