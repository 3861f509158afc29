"""Builds the parts of a run from a recipe: tasks, teachers and students are built only here."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, DataError, NesycdError
from nesycd.core.paths import locate_data
from nesycd.core.protocols import Inducer, Student, Task, Teacher
from nesycd.core.records import Passage, content_hash
from nesycd.core.row_files import Faults, RowFile
from nesycd.core.sections import ApiSection
from nesycd.documents import documents_hash
from nesycd.knowledge.exchange import fingerprint
from nesycd.knowledge.reviewed import Reviewed, read_reviewed
from nesycd.llm import ledger
from nesycd.llm.anthropic_api import ANTHROPIC, AnthropicEndpoint
from nesycd.llm.batch_chat import BatchChat
from nesycd.llm.chat import Chat
from nesycd.llm.openai_api import OPENAI, OpenAIEndpoint
from nesycd.llm.paid_chat import PaidChat
from nesycd.llm.prices import find_price, pico
from nesycd.llm.sending import Limits
from nesycd.prompts import BaselinePrompts, Prompts, TeacherPrompts, completion_text
from nesycd.retrieval import PassageIndex, passages_of
from nesycd.students.hub import name_revision
from nesycd.students.registry import build_student
from nesycd.students.served import ServedStudent
from nesycd.tasks.registry import build_task, limited
from nesycd.teachers.llm import LLMTeacher


def data_root() -> Path | None:
    """The folder that `NESYCD_DATA` names: a second base for relative data paths."""
    return Path(os.environ["NESYCD_DATA"]) if os.environ.get("NESYCD_DATA") else None


def task_of(recipe: Recipe) -> Task:
    """The recipe's benchmark, limited to the recipe's sizes, with the recipe's seed unless its settings give one.

    Raises:
        ConfigError: a wrong name or setting.
        DataError: from the benchmark's files.
    """
    settings = dict(recipe.task.settings)
    settings.setdefault("seed", recipe.seed)
    task = build_task(recipe.task.name, settings)
    if recipe.task.limit is None and not recipe.task.sizes:
        return task
    return limited(task, recipe.task.limit, recipe.seed, recipe.task.sizes)


def teacher_of(recipe: Recipe, task: Task) -> Teacher:
    """The recipe's teacher; another one makes the diagnoses where `teacher.diagnose` says so.

    Raises:
        ConfigError: the expert is asked for on a benchmark that derives no answers, or the recipe wants induction from a teacher
            that cannot be asked about clusters of errors.
        TeacherError: recordings that cannot be used.
    """
    teacher = _teacher_of(recipe, task)
    if recipe.knowledge.induction and not isinstance(teacher, Inducer):
        raise ConfigError(
            f"{recipe.where('knowledge.induction')}: the teacher (teacher.name = {recipe.teacher.name}, teacher.diagnose = "
            f"{recipe.teacher.diagnose}) cannot be asked about clusters of errors; set teacher.diagnose=api and name a model in "
            "teacher.api, or leave knowledge.induction out"
        )
    return teacher


def _teacher_of(recipe: Recipe, task: Task) -> Teacher:
    teacher = writer_of(recipe, task)
    if recipe.teacher.diagnose == "mine":
        from nesycd.teachers.mining import MiningTeacher

        return MiningTeacher(teacher)
    if recipe.teacher.diagnose == "api" and recipe.teacher.name != "api":
        from nesycd.teachers.mixed import MixedTeacher

        return MixedTeacher(teacher, asking_teacher(recipe, task, chat_of(recipe)))
    return teacher


def asks_api(recipe: Recipe) -> bool:
    """Whether the recipe uses the language model of `teacher.api`."""
    return "api" in (recipe.teacher.name, recipe.teacher.diagnose)


def writer_of(recipe: Recipe, task: Task) -> Teacher:
    """The teacher that writes the rationales.

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
            f"teacher.name: no program derives the answers of {task.name!r}, so it has no expert; use replay or scripted"
        )
    from nesycd.teachers.expert import ExpertTeacher

    return ExpertTeacher(derive, source=task.fingerprint)


def asking_teacher(recipe: Recipe, task: Task, chat: Chat) -> LLMTeacher:
    """A teacher that asks `chat`, as the recipe's `teacher.ask` and `prompts` say.

    Raises:
        ConfigError: a prompt file that cannot be used.
    """
    by = recipe.calls.read if recipe.calls.derive else None
    return LLMTeacher(chat, TeacherPrompts.load(recipe.prompts), task, recipe.teacher.ask, by)


def chat_of(recipe: Recipe) -> PaidChat:
    """The language model that `teacher.api` names. Nothing is sent, and no key is read, before its first request.

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
    return PaidChat(endpoint, place, price, limits, tell)


def payments(recipe: Recipe) -> Callable[[], float | None]:
    """Tells what was paid under the recipe's budget since this call, in USD; None where the ledger or a price does not say."""
    api = recipe.teacher.api
    place, name = api.ledger or ledger.default_path(), api.budget or recipe.name

    def counted() -> float | None:
        if not place.exists():
            return 0.0
        try:
            with ledger.Ledger.open(place, create=False) as opened:
                usd = {row["budget"]: row["usd"] for row in opened.totals("budget")}.get(name, 0)
        except NesycdError:
            return None
        return None if usd is None else usd / ledger.PICO

    before = counted()

    def since() -> float | None:
        now = counted()
        return None if now is None or before is None else now - before

    return since


def tell(text: str) -> None:
    """Print a sentence to standard error, above a progress bar on the terminal."""
    print(text, file=sys.stderr, flush=True)


def endpoint_of(api: ApiSection) -> OpenAIEndpoint | AnthropicEndpoint:
    """The model at its server, with the API of `teacher.api.provider`.

    Raises:
        ConfigError: a base URL or parameters that cannot be used.
    """
    form, home = (AnthropicEndpoint, ANTHROPIC) if api.provider == "anthropic" else (OpenAIEndpoint, f"{OPENAI}/v1")
    return form(api.model, api.base_url or home, api.key_env, api.timeout, api.parameters)


def student_of(recipe: Recipe, commit: str = "", served_by: str = "") -> Student:
    """The recipe's student; its weights are not loaded yet.

    Args:
        recipe: the recipe.
        commit: of a Hugging Face model, used in place of the recipe's revision (`commit_of`).
        served_by: see `server_of`.

    Raises:
        ConfigError: a revision is given for a student that has no revisions, or a server for one that none can hold.
    """
    section = recipe.student
    return build_student(
        section.model,
        revision=commit or section.revision,
        template=section.template,
        device=section.device,
        stop_repetition=section.stop_repetition,
        compile=section.compile,
        batch_rows=section.batch_rows,
        delay=section.delay,
        checkpointing=recipe.training.checkpointing,
        quantise=section.quantise,
        shard=recipe.training.shard,
        processes=recipe.training.processes,
        server=section.server,
        served_by=served_by,
        tell=tell,
    )


@dataclass(frozen=True)
class Parts:
    """What is built from a recipe; no weights are loaded yet.

    Attributes:
        recipe: with the paths of its data files resolved.
        corpus: passages for methods that retrieve passages: of `compare.corpus`, else the benchmark's own; None: there are none.
        reviewed: the base of `knowledge.base`; None: the run builds one.
    """

    recipe: Recipe
    task: Task
    teacher: Teacher
    student: Student
    prompts: Prompts
    baseline_prompts: BaselinePrompts
    corpus: PassageIndex | None
    reviewed: Reviewed | None

    @property
    def warnings(self) -> list[str]:
        """The benchmark's warnings about its data."""
        return list(getattr(self.task, "warnings", list)())

    @property
    def hashes(self) -> dict[str, str]:
        """The hashes of a run's data, models and prompts, for its manifest.

        Raises:
            DataError, KnowledgeError: a file of `knowledge.files` or `knowledge.documents` cannot be read.
            ModelError: the student's server does not answer, and what answered there before is not known.
        """
        return {
            "data": self.task.fingerprint,
            "teacher": self.teacher.fingerprint,
            "student": self.student.fingerprint,
            "prompts": self.prompts.fingerprint,
            "knowledge_files": content_hash([fingerprint(path) for path in self.recipe.knowledge.files]),
            **({"documents": documents_hash(documents)} if (documents := self.recipe.knowledge.documents) else {}),
            **({} if self.reviewed is None else {"base": self.reviewed.fingerprint}),
            **({"served_by": self.student.served_by} if isinstance(self.student, ServedStudent) else {}),
        }


def commit_of(recipe: Recipe, manifest: Mapping[str, Any] | None) -> str:
    """The commit of the recipe's Hugging Face student that a run started with; "" where there is none, or another student."""
    asked = name_revision(recipe.student.model, recipe.student.revision)
    return str(manifest["hashes"].get(asked, "")) if manifest is not None else ""


def server_of(manifest: Mapping[str, Any] | None) -> str:
    """What wrote a run's answers on a server so far, such as `vllm 0.32.0`; "" where none did."""
    return str(manifest["hashes"].get("served_by", "")) if manifest is not None else ""


def build_parts(recipe: Recipe, commit: str = "", served_by: str = "") -> Parts:
    """A recipe's parts; for `commit` and `served_by` see `student_of`.

    Raises:
        ConfigError, DataError, KnowledgeError, TeacherError: one of them cannot be built.
    """
    found = locate_data(recipe, data_root())
    reviewed = None if found.knowledge.base is None else read_reviewed(found.knowledge.base)
    task = task_of(found)
    teacher, student = teacher_of(found, task), student_of(found, commit, served_by)
    prompts, others = Prompts.load(found.prompts), BaselinePrompts.load(found.prompts)
    return Parts(found, task, teacher, student, prompts, others, corpus_of(found, task), reviewed)


def corpus_of(recipe: Recipe, task: Task) -> PassageIndex | None:
    """See `Parts.corpus`; it is indexed at the first search.

    Raises:
        DataError: a row of the file without a text, or a file without rows.
    """
    own = getattr(task, "passages", None)
    if recipe.compare.corpus is not None:
        passages = read_passages(recipe.compare.corpus)
    elif own is not None:
        passages = passages_of(own())
    else:
        return None
    return PassageIndex(passages)


def read_passages(path: Path) -> list[Passage]:
    """The passages of a file (`core.row_files`) with a `text`, and optionally a `title`, in each row.

    Raises:
        DataError: a row without a text, or a file without rows.
    """
    texts, faults = [], Faults()
    for where, row in RowFile(path, faults):
        with faults.of_row():
            text, title = row.get("text"), row.get("title")
            if not isinstance(text, str) or not text.strip():
                raise DataError(f"{where}: a passage needs a text that is not empty")
            texts.append(f"{title}. {text}" if isinstance(title, str) and title.strip() else text)
    faults.tell()
    if not texts:
        raise DataError(f"{path}: no passages")
    return passages_of(texts)
