"""From a recipe to the parts of a run: the one place where tasks, teachers and students are built."""

from __future__ import annotations

import os
from pathlib import Path

from nesycd.config import Recipe, locate_data
from nesycd.errors import ConfigError
from nesycd.prompts import Prompts, TeacherPrompts, completion_text
from nesycd.protocols import Student, Task, Teacher
from nesycd.students.registry import build_student
from nesycd.tasks.registry import build_task, limited
from nesycd.teachers.chat import Chat


def data_root() -> Path | None:
    """The folder that `NESYCD_DATA` names, where relative data paths are looked for too."""
    return Path(os.environ["NESYCD_DATA"]) if os.environ.get("NESYCD_DATA") else None


def task_of(recipe: Recipe) -> Task:
    """The recipe's benchmark, cut to size. A recipe's seed is the benchmark's too, unless its settings give one."""
    settings = dict(recipe.task.settings)
    settings.setdefault("seed", recipe.seed)
    task = build_task(recipe.task.name, settings)
    if recipe.task.limit is None and not recipe.task.sizes:
        return task
    return limited(task, recipe.task.limit, recipe.seed, recipe.task.sizes)


def teacher_of(recipe: Recipe, task: Task) -> Teacher:
    """The recipe's teacher.

    Raises:
        ConfigError: the expert is asked for on a benchmark that is not `longtail`.
        TeacherError: recordings that cannot be used.
    """
    section = recipe.teacher
    if section.name == "replay":
        from nesycd.teachers.replay import ReplayTeacher

        return ReplayTeacher(section.paths, require_agreement=section.require_agreement, diagnoses=section.diagnoses)
    if section.name == "scripted":
        from nesycd.teachers.scripted import ScriptedTeacher

        own = {e.uid: completion_text(e.rationale, e.answer) for e in task.load("train") if e.rationale}
        return ScriptedTeacher(own)
    derive = getattr(task, "derive", None)
    if derive is None:
        raise ConfigError(
            f"teacher.name: the expert knows the embedded benchmark only, not {task.name!r}; use replay or scripted"
        )
    from nesycd.teachers.expert import ExpertTeacher

    return ExpertTeacher(derive, source=str(getattr(task, "fingerprint", "")))


def asking_teacher(recipe: Recipe, task: Task, chat: Chat) -> Teacher:
    """A teacher that asks `chat`, as the recipe's `teacher.ask` and `prompts` say.

    Raises:
        ConfigError: a prompt file that cannot be used.
    """
    from nesycd.teachers.llm import LLMTeacher

    return LLMTeacher(chat, TeacherPrompts.load(recipe.prompts), task, recipe.teacher.ask)


def student_of(recipe: Recipe) -> Student:
    """The recipe's student; nothing heavy is loaded yet."""
    section = recipe.student
    return build_student(section.model, template=section.template, device=section.device, delay=section.delay)


def parts_of(recipe: Recipe) -> tuple[Recipe, Task, Teacher, Student, Prompts]:
    """The recipe with its data found, and its parts."""
    found = locate_data(recipe, data_root())
    task = task_of(found)
    return found, task, teacher_of(found, task), student_of(found), Prompts.load(found.prompts)
