"""From a recipe to the parts of a run: the one place where tasks, teachers and students are built."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nesycd.core.config import ApiSection, Recipe, locate_data
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Student, Task, Teacher
from nesycd.llm import ledger
from nesycd.llm.anthropic_chat import ANTHROPIC, AnthropicEndpoint
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.chat import Chat
from nesycd.llm.openai_chat import OPENAI, OpenAIEndpoint
from nesycd.llm.paid_chat import PaidChat
from nesycd.llm.prices import find_price, pico
from nesycd.llm.sending import Limits
from nesycd.prompts import Prompts, TeacherPrompts, completion_text
from nesycd.students.hub import name_revision
from nesycd.students.registry import build_student
from nesycd.tasks.registry import build_task, limited
from nesycd.teachers.llm import LLMTeacher


def data_root() -> Path | None:
    """The folder that `NESYCD_DATA` names, where relative data paths are looked for too."""
    return Path(os.environ["NESYCD_DATA"]) if os.environ.get("NESYCD_DATA") else None


def task_of(recipe: Recipe) -> Task:
    """The recipe's benchmark, cut to size. A recipe's seed is the benchmark's too, unless its settings give one.

    Raises:
        ConfigError: a wrong name or setting, or few-shot answers wanted of a benchmark without such prompts.
        DataError: from the benchmark's files.
    """
    settings = dict(recipe.task.settings)
    settings.setdefault("seed", recipe.seed)
    task = build_task(recipe.task.name, settings)
    if "few_shot" in recipe.evaluation.arms and not hasattr(task, "few_shot"):
        raise ConfigError(f"evaluation.arms: task {task.name!r} has no few-shot prompts; leave few_shot out")
    if recipe.task.limit is None and not recipe.task.sizes:
        return task
    return limited(task, recipe.task.limit, recipe.seed, recipe.task.sizes)


def teacher_of(recipe: Recipe, task: Task) -> Teacher:
    """The recipe's teacher, with who diagnoses in its place where that is another (`teacher.diagnose`).

    Raises:
        ConfigError: the expert is asked for on a benchmark that is not `longtail`.
        TeacherError: recordings that cannot be used.
    """
    teacher = writer_of(recipe, task)
    if recipe.teacher.diagnose == "mine":
        from nesycd.teachers.mining import MiningTeacher

        return MiningTeacher(teacher)
    if recipe.teacher.diagnose == "api" and recipe.teacher.name != "api":
        from nesycd.teachers.divided import DividedTeacher

        return DividedTeacher(teacher, asking_teacher(recipe, task, chat_of(recipe)))
    return teacher


def asks_api(recipe: Recipe) -> bool:
    """Whether the language model of `teacher.api` is asked for anything."""
    return "api" in (recipe.teacher.name, recipe.teacher.diagnose)


def writer_of(recipe: Recipe, task: Task) -> Teacher:
    """Who writes the rationales.

    Raises:
        ConfigError, TeacherError: see `teacher_of`.
    """
    section = recipe.teacher
    if section.name == "replay":
        from nesycd.teachers.replay import ReplayTeacher

        return ReplayTeacher(section.paths, require_agreement=section.require_agreement, diagnoses=section.diagnoses)
    if section.name == "scripted":
        from nesycd.teachers.scripted import ScriptedTeacher

        own = {e.uid: completion_text(e.rationale, e.answer) for e in task.load("train") if e.rationale}
        return ScriptedTeacher(own)
    if section.name == "api":
        return asking_teacher(recipe, task, chat_of(recipe))
    derive = getattr(task, "derive", None)
    if derive is None:
        raise ConfigError(
            f"teacher.name: the expert knows the embedded benchmark only, not {task.name!r}; use replay or scripted"
        )
    from nesycd.teachers.expert import ExpertTeacher

    return ExpertTeacher(derive, source=str(getattr(task, "fingerprint", "")))


def asking_teacher(recipe: Recipe, task: Task, chat: Chat) -> LLMTeacher:
    """A teacher that asks `chat`, as the recipe's `teacher.ask` and `prompts` say.

    Raises:
        ConfigError: a prompt file that cannot be used.
    """
    return LLMTeacher(chat, TeacherPrompts.load(recipe.prompts), task, recipe.teacher.ask)


def chat_of(recipe: Recipe) -> PaidChat:
    """The language model that `teacher.api` names. Nothing is sent, and no key is read, before it is asked.

    Raises:
        ConfigError: no model given, a base URL or a price table that cannot be used.
        TeacherError: a cap on USD for a model whose price is unknown.
    """
    api = recipe.teacher.api
    if not api.model:
        raise ConfigError("teacher.api.model is missing: name the model as its server calls it")
    endpoint = endpoint_of(api)
    max_usd = None if api.max_usd is None else pico(api.max_usd)
    budget = ledger.Budget(api.budget or recipe.name, max_usd, api.max_calls)
    price = find_price(endpoint.origin, api.model, api.prices)
    place, limits = api.ledger or ledger.default_path(), Limits(api.concurrency, api.retries, budget)
    if api.batch:
        return BatchChat(endpoint, place, price, limits, api.poll, tell)
    return PaidChat(endpoint, place, price, limits)


def tell(text: str) -> None:
    """A sentence for whoever waits; a progress bar on the terminal makes room for it."""
    print(text, file=sys.stderr, flush=True)


def endpoint_of(api: ApiSection) -> OpenAIEndpoint | AnthropicEndpoint:
    """The model at its server, in the form that the provider's section names.

    Raises:
        ConfigError: a base URL or parameters that cannot be used.
    """
    form, home = (AnthropicEndpoint, ANTHROPIC) if api.provider == "anthropic" else (OpenAIEndpoint, f"{OPENAI}/v1")
    return form(api.model, api.base_url or home, api.key_env, api.timeout, api.parameters)


def student_of(recipe: Recipe, commit: str = "") -> Student:
    """The recipe's student; nothing heavy is loaded yet.

    Args:
        recipe: a whole one.
        commit: of a Hugging Face id, to be used in place of the recipe's revision (`commit_of`).

    Raises:
        ConfigError: a revision of a student that has none.
    """
    section = recipe.student
    return build_student(
        section.model,
        revision=commit or section.revision,
        template=section.template,
        device=section.device,
        calculator=section.calculator,
        stop_repetition=section.stop_repetition,
        compile=section.compile,
        delay=section.delay,
    )


def commit_of(recipe: Recipe, manifest: Mapping[str, Any] | None) -> str:
    """The commit that a run began with of the recipe's Hugging Face student; "" where it has none yet, or another student."""
    asked = name_revision(recipe.student.model, recipe.student.revision)
    return str(manifest["hashes"].get(asked, "")) if manifest is not None else ""


def parts_of(recipe: Recipe, commit: str = "") -> tuple[Recipe, Task, Teacher, Student, Prompts]:
    """The recipe with its data found, and its parts; for `commit` see `student_of`."""
    found = locate_data(recipe, data_root())
    if found.router.mode == "classifier" and find_spec("sklearn") is None:
        # Said at once, not after hours of training.
        raise ConfigError(
            "router.mode: a classifier is fitted by scikit-learn; get it by: pip install 'nesycd[router]'"
        )
    task = task_of(found)
    return found, task, teacher_of(found, task), student_of(found, commit), Prompts.load(found.prompts)
