"""The model card of an exported student (`README.md` with the front matter of the Hugging Face hub)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd.core.config import Recipe
from nesycd.methods import table
from nesycd.methods.method import Method
from nesycd.reports.figures import percent
from nesycd.reports.results import MethodScore, Results, kinds_in_order, score_of
from nesycd.students import embedded
from nesycd.tasks import registry

if TYPE_CHECKING:
    from nesycd.students.exporting import Frame

_TEACHERS = {
    "expert": "a program that derives the benchmark's answers",
    "scripted": "the questions' own rationales",
    "replay": "recorded rationales",
}


@dataclass(frozen=True)
class Told:
    """What a card tells of an export.

    Attributes:
        name: of the model.
        student: `base` (a Hugging Face id or a folder's name), `revision`, `adapters`, and the licence of the base.
        knowledge: `version`, `items`, `trained_with`; None: the student uses none.
        prompts: the texts of its prompts by name.
        has_loop: whether the reference loop stands beside it.
        gguf: name of the GGUF file, or "".
        notes: what the user should know, a sentence each.
    """

    name: str
    method: Method
    recipe: Recipe
    results: Results
    student: Mapping[str, Any]
    knowledge: Mapping[str, Any] | None
    prompts: Mapping[str, str]
    frame: Frame
    has_loop: bool
    adapter_only: bool
    gguf: str
    notes: Sequence[str]


def card_text(told: Told) -> str:
    """The card."""
    parts = [
        _front_matter(told),
        f"# {told.name}\n\n{_about(told)}",
        f"## Scores\n\n{_scores(told)}",
        f"## How to ask it\n\n{_asking(told)}",
        f"## Running it\n\n{_running(told)}",
        f"## What it is made of\n\n{_made(told)}",
        f"## What it is not\n\n{_not_tried(told)}",
    ]
    return "\n\n".join(parts) + "\n"


def licence_of(readme: Path) -> str:
    """The licence that a model's own card names in its front matter; "" where it has none."""
    try:
        lines = readme.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    if lines[:1] != ["---"]:
        return ""
    head = lines[1 : lines.index("---", 1)] if "---" in lines[1:] else []
    return next((line.partition(":")[2].strip(" '\"") for line in head if line.startswith("license:")), "")


def _front_matter(told: Told) -> str:
    base, licence = told.student["base"], told.student["licence"]
    lines = [
        "---",
        *([f"license: {licence}"] if licence else []),
        *(
            [f"base_model: {base}", f"base_model_relation: {'adapter' if told.adapter_only else 'finetune'}"]
            * ("/" in base)
        ),
        f"language: {told.recipe.knowledge.language}",
        f"library_name: {'peft' if told.adapter_only else 'transformers'}",
        "pipeline_tag: text-generation",
        "tags:",
        "- nesycd",
        "- distillation",
        "- knowledge-base",
        "---",
    ]
    return "\n".join(lines)


def _about(told: Told) -> str:
    what = "LoRA adapter of" if told.adapter_only else "model fine-tuned from"
    text = (
        f"A {what} `{told.student['base']}`, for questions of one kind, made by nesycd (Neural-Symbolic Collaborative "
        f"Distillation). It is the student of the method `{told.method.name}`: {told.method.about}."
    )
    if told.method.calls == "kb":
        text += (
            "\n\n**It writes calls.** While it answers it asks its knowledge base for facts, as in `[fathoms | makes]`, and is "
            "to be given the result before it goes on. Without the loop that does this (`loop.py`, or `nesycd serve`) it makes "
            "facts up."
        )
    return text


def _scores(told: Told) -> str:
    results, lines = told.results, []
    for split in results.splits():
        scored = {name: by_split[split] for name, by_split in results.methods.items() if split in by_split}
        kinds = kinds_in_order({"all", *(kind for score in scored.values() for kind in score.by_kind)})
        kinds = ["all", *(kind for kind in kinds if kind != "all")]
        names = sorted(scored, key=lambda name: name != told.method.name)
        head = [f"{split}: method", "questions", *(f"{kind}, % (95 % interval)" for kind in kinds)]
        lines += [_row(head), _row(["---"] * len(head))]
        for name in names:
            score = scored[name]
            shown = f"**{name}**" if name == told.method.name else name
            lines.append(_row([shown, str(score.n), *(_share(score, kind) for kind in kinds)]))
        lines.append("")
    if not lines:
        return "The run has measured nothing."
    about = [f"- `{name}`: {table.METHODS[name].about}" for name in results.methods if name in table.METHODS]
    if told.method.name not in results.methods:
        lines.append(f"The run has not measured `{told.method.name}` itself.\n")
    mismatch = [results.knowledge.mismatch] if told.knowledge is not None and results.knowledge.mismatch else []
    given = told.knowledge
    if given is not None and given["version"] not in set(results.knowledge.used.values()):
        mismatch.append(
            f"The knowledge base was edited since these were measured: it is {given['version']} here. nesycd run measures anew"
        )
    return "\n".join([*lines, *about, *(f"\n{text}." for text in mismatch)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _share(score: MethodScore, kind: str) -> str:
    found = score_of(score, kind)
    if found is None or found.accuracy is None or found.low is None or found.high is None:
        return "–"
    return f"{percent(found.accuracy).removesuffix(' %')} ({100 * found.low:.0f}-{100 * found.high:.0f})"


def _asking(told: Told) -> str:
    main = {"question": "question", "two_stage": "question", "answer_only": "answer_only"}.get(
        told.method.prompt, "question"
    )
    text = (
        "A question goes into one user message, in this text, its options on lines of their own, lettered (A), (B), ...:\n\n"
        f"{_fenced(told.prompts.get(main, '{question}'))}\n\n"
        "The chat template gives such a message, with no system message, the very tokens that it was trained on. Decode "
        "greedily."
    )
    others = [(name, prompt) for name, prompt in told.prompts.items() if name != main]
    if others:
        listed = "\n".join(f"- `{name}`: `{json.dumps(prompt)}`" for name, prompt in others)
        text += f" Further prompts, in `prompts/`:\n\n{listed}"
    most = told.recipe.student.max_new_tokens
    text += f"\n\nIt ends an answer by `Therefore, the answer is X.` and needs {most} new tokens at most."
    return text


def _running(told: Told) -> str:
    return "\n\n".join(_ways(told))


def _ways(told: Told) -> Iterator[str]:
    asked = told.prompts.get("question", "{question}").replace("{question}", "Your question")
    name = shlex.quote(told.name)  # a run's folder may have been renamed to anything
    if told.adapter_only:
        yield "With transformers and peft:\n\n" + _fenced(
            "from peft import AutoPeftModelForCausalLM\nfrom transformers import AutoTokenizer\n\n"
            'model = AutoPeftModelForCausalLM.from_pretrained(".")\ntokenizer = AutoTokenizer.from_pretrained(".")',
            "python",
        )
        command = f"vllm serve {shlex.quote(told.student['base'])} --enable-lora --lora-modules {name}=."
        command += f" --max-lora-rank {told.recipe.training.rank} --chat-template chat_template.jinja"
        yield f"With vLLM:\n\n{_fenced(command)}"
        yield from _with_base(told)
        return
    yield "With transformers, the model alone:\n\n" + _fenced(
        "from transformers import pipeline\n\n"
        'ask = pipeline("text-generation", model=".")\n'
        f'print(ask([{{"role": "user", "content": {json.dumps(asked)}}}], return_full_text=False)[0]["generated_text"])',
        "python",
    )
    yield f"With vLLM:\n\n{_fenced(f'vllm serve . --served-model-name {name}')}"
    if told.gguf:
        yield "With llama.cpp, or Ollama:\n\n" + _fenced(
            f"llama-server -m {shlex.quote(told.gguf)} --jinja --port 8000\nollama create {name} -f Modelfile"
        )
    else:
        yield "With llama.cpp: export with `--gguf f16`, or `python convert_hf_to_gguf.py . --outtype f16`."
    yield from _with_base(told)


def _with_base(told: Told) -> Iterator[str]:
    if told.has_loop:
        command = f'python loop.py "Your question" --server http://localhost:8000/v1 --model {shlex.quote(told.name)}'
        what = (
            "With its knowledge base"
            if told.method.calls == "kb"
            else "With its sums computed, as they were in training"
        )
        yield f"**{what}**, over any server of `/v1/completions` (vLLM, llama.cpp):\n\n{_fenced(command)}"
        yield (
            "`loop.py` needs Python's standard library and `base.json` only, and says in its head what it leaves out. "
            "`nesycd serve` has all of it behind an OpenAI-compatible API."
        )
    elif told.knowledge is not None:
        yield "With its knowledge base: `nesycd serve`, with the run."


def _made(told: Told) -> str:
    return "\n".join(f"- {line}" for line in _made_of(told))


def _made_of(told: Told) -> Iterator[str]:
    recipe, student = told.recipe, told.student
    base = f"Base model: `{student['base']}`"
    base += f" at revision `{student['revision']}`" if student["revision"] else ""
    base += (
        f", licence {student['licence']}"
        if student["licence"]
        else ", whose licence is not known here: ask its publisher"
    )
    yield f"{base}."
    if recipe.student.model == embedded.NAME:
        yield "Its weights were those of a 4-bit (Q4_1) copy, dequantised: a little worse than the published ones."
    if student["adapters"]:
        yield f"Adapters merged into it before: {', '.join(student['adapters'])}."
    yield from map("Data: {}.".format, _data(recipe))
    yield f"Teacher: {_teacher(recipe)}."
    training = recipe.training
    yield f"Training: LoRA of rank {training.rank} (alpha {training.alpha}), seed {recipe.seed}."
    if told.knowledge is not None:
        given = told.knowledge
        then = given["trained_with"]
        trained = "" if then == given["version"] else f"; the student was trained with version {then}" if then else ""
        yield f"Knowledge base: {given['items']:,} approved items, version `{given['version']}`{trained}; in `knowledge.yaml`."


def _teacher(recipe: Recipe) -> str:
    model = f"the language model {recipe.teacher.api.model}, whose terms of use may bind what is trained on its texts"
    named = _TEACHERS.get(recipe.teacher.name, model)
    return f"{named}; diagnoses by {model}" if recipe.teacher.diagnose == "api" and named != model else named


def _data(recipe: Recipe) -> Iterator[str]:
    parts = recipe.task.settings.get("parts", [])
    named = [str(part["name"]) for part in parts if isinstance(part, Mapping) and "name" in part]
    for name in dict.fromkeys(named or [recipe.task.name]):
        card = registry.card(name)
        if card is not None:
            caution = registry.caution(name)
            yield f"{name}, of {card.source}, licence {card.licence}" + (f"; {caution}" if caution else "")
        elif name == "jsonl":
            yield "questions of whoever trained it"
        else:
            yield registry.summary(name).rstrip(".")


def _not_tried(told: Told) -> str:
    results = told.results
    lines = [
        "no assistant: it was trained on single questions of one kind, not on conversations, and not for safety",
        f"measured on {', '.join(results.splits()) or 'nothing'}, with one seed; not tried with other data, languages or prompts",
        "scored by nesycd's own decoding, where sums are computed and look-ups held to names and relations that there are; "
        "other servers were not scored",
        *(["the GGUF file was not scored; a quantised one answers otherwise at times"] if told.gguf else []),
        *told.notes,
    ]
    return "\n".join(f"- {line}." for line in lines)


def _fenced(text: str, language: str = "") -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{text}\n{marks}"
