"""Exporting a finished run: its student as files that other programs load, its knowledge beside it, and the loop around both.

The folder appears whole or not at all, and has nothing of this machine in it. The run's folder is only read.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd import __version__
from nesycd.api.build import commit_of
from nesycd.api.compiled_base import compiled
from nesycd.api.model_card import Told, card_text, licence_of
from nesycd.api.packing import secrets_of
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, ModelError, RunError
from nesycd.core.records import Entry, Fact, Item
from nesycd.core.storage import disk_errors, sync_tree, write_atomic, write_json_atomic
from nesycd.knowledge import knowledge_version, read_entities
from nesycd.knowledge.formats import yaml_file
from nesycd.knowledge.graph_exchange import as_mappings
from nesycd.knowledge.merge import entry_order
from nesycd.methods import table
from nesycd.methods.context import KNOWLEDGE
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.method import BASE, Method
from nesycd.prompts import BaselinePrompts, Prompts
from nesycd.runs.manifest import read_manifest
from nesycd.runs.stage import read_states
from nesycd.students.origin import origin_of
from nesycd.students.registry import TABLE

if TYPE_CHECKING:
    from nesycd.api.finished import OpenRun
    from nesycd.students.exporting import ExportedStudent, Frame

SCHEMA = "export/1"
MANIFEST, LOOP, COMPILED, ITEMS, PROMPTS = "nesycd.json", "loop.py", "base.json", "knowledge.yaml", "prompts"
CONVERTER = "convert_hf_to_gguf.py"
CONVERTER_VARIABLE = "NESYCD_GGUF_CONVERTER"
GGUF_TYPES = {"f32": 2.0, "f16": 1.0, "bf16": 1.0, "q8_0": 0.55, "auto": 1.0}
"""What the converter writes, each with its size beside 16-bit weights."""
Watch = Callable[[str], None]
"""Told what is being done."""


@dataclass(frozen=True)
class Exported:
    """A folder that was written: its files with their sizes in bytes, and what the user should know, a sentence each."""

    folder: Path
    files: dict[str, int]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Where, and how much."""
        return f"<exported {self.folder}: {len(self.files)} files, {sum(self.files.values()):,} bytes>"


def export(
    run: OpenRun,
    out: Path,
    method: str = table.MAIN,
    *,
    adapter_only: bool = False,
    gguf: str = "",
    converter: str = "",
    force: bool = False,
    watch: Watch = lambda doing: None,
) -> Exported:
    """Write a run's student, with its knowledge, as a folder that transformers, vLLM and llama.cpp load.

    Args:
        run: a finished one.
        out: the folder to be made.
        method: whose student it is.
        adapter_only: write the adapter in place of whole weights.
        gguf: also write a GGUF file of this type (`GGUF_TYPES`) and a `Modelfile`; "": none.
        converter: llama.cpp's `convert_hf_to_gguf.py`; "": see `find_converter`.
        force: replace an earlier export.
        watch: told what is being done.

    Raises:
        ConfigError: no such method, or options that do not go together.
        RunError: the student was not trained or its files are gone; `out` is taken, or has too little space.
        ModelError: the student has no weights, or cannot be loaded or converted.
    """
    if gguf and adapter_only:
        raise ConfigError("give --gguf or --adapter-only, not both: a GGUF file has whole weights")
    if gguf and gguf not in GGUF_TYPES:
        raise ConfigError(f"--gguf: {gguf!r} is none of {', '.join(GGUF_TYPES)}; llama-quantize makes others of f16")
    if out.resolve().is_relative_to(run.folder.resolve()):
        raise RunError(f"{out}: lies in the run's own folder; give another one")
    program = find_converter(converter) if gguf else None
    [asked] = table.named([method], run.recipe, "--method")
    adapter = _adapter_of(run, asked)
    with _appearing(out, force) as part:
        writer = _Writer(run, asked, part, watch)
        notes = writer.write(adapter, adapter_only, GGUF_TYPES.get(gguf, 0.0))
        if program is not None:
            watch("converting to GGUF")
            _convert(program, part, gguf, writer.name)
            write_atomic(part / "Modelfile", modelfile(f"{writer.name}.gguf", writer.frame, writer.limit))
        files = writer.finish(adapter_only, notes)
    return Exported(out, files, tuple(notes))


def _adapter_of(run: OpenRun, method: Method) -> Path:
    """The adapter of a method's student.

    Raises:
        ConfigError, ModelError, RunError: see `export`.
    """
    if method.beside:
        raise ConfigError(f"--method {method.name}: a run of its own; export that run")
    if method.student == BASE:
        raise ConfigError(
            f"--method {method.name}: answers with the untrained student, {run.recipe.student.model}, which you have already; "
            f"trained are: {', '.join(_trained(run))}"
        )
    if run.recipe.student.model == TABLE:
        raise ModelError(
            f"{run.folder}: the table student is a fake without weights; run the recipe with a real one (student.model)"
        )
    try:
        made = run.adapter(method.student)
    except RunError as error:
        if table.checkpoint_of(method.student, _states(run)) in _states(run):
            raise
        raise RunError(f"{error}; trained are: {', '.join(_trained(run))}") from None
    if method.router:
        drafts = run.resources(run.knowledge()).drafts
        if drafts is not None and drafts().path != made.path:
            raise ConfigError(
                f"--method {method.name}: answers with two students, one of which drafts; export {method.student}, and "
                f"{table.BASELINE} apart, or serve the run: nesycd serve"
            )
    return made.path


def _states(run: OpenRun) -> Mapping[str, Mapping[str, Any]]:
    return read_states(run.folder)


def _trained(run: OpenRun) -> list[str]:
    """The methods whose student the run has trained."""
    own = [one for one in table.METHODS.values() if one.student == one.name and not one.beside]
    return [one.name for one in own if table.checkpoint_of(one.name, _states(run)) in _states(run)]


@contextmanager
def _appearing(out: Path, force: bool) -> Iterator[Path]:
    """A temporary folder beside `out`, which at the end of the context becomes it.

    Raises:
        RunError: something is there already that may not be replaced, or the place cannot be written.
    """
    _look_at(out, force)
    with disk_errors(out.parent):
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".exporting-", dir=out.absolute().parent))
    part, old = beside / out.absolute().name, beside / "replaced"
    try:
        with disk_errors(out):
            part.mkdir()
        yield part
        with disk_errors(out):
            sync_tree(part)
        _look_at(out, force)  # it may have been made meanwhile
        with disk_errors(out):
            if out.exists():
                os.replace(out, old)
            os.replace(part, out)
    finally:
        if old.exists() and not out.exists():
            os.replace(old, out)
        shutil.rmtree(beside, ignore_errors=True)


def _look_at(out: Path, force: bool) -> None:
    if not out.exists() and not out.is_symlink():
        return
    if out.is_dir() and not out.is_symlink():
        if not any(out.iterdir()):
            return
        if (out / MANIFEST).is_file():
            if force:
                return
            raise RunError(f"{out}: is an export already; --force replaces it")
    raise RunError(f"{out}: exists, and is no earlier export; give another folder")


class _Writer:
    """Writes the parts of one export."""

    def __init__(self, run: OpenRun, method: Method, folder: Path, watch: Watch) -> None:
        self.run, self.method, self.folder, self.watch = run, method, folder, watch
        self.recipe: Recipe = run.recipe
        self.name = f"{run.folder.resolve().name}-{method.name}"
        self.limit = self.recipe.student.max_new_tokens
        self.prompts = Prompts.load(self.recipe.prompts)
        calls = method.calls == "kb" or self.recipe.calls.sums
        self.runs_programs = method.calls == "programs"
        self.asks_rules = bool(method.calls) and not self.runs_programs and self.recipe.calls.derive
        told = method.prompt == "question" and method.source in ("", "read")
        self.has_loop = told and calls and not self.asks_rules and not self.runs_programs
        self.student: ExportedStudent
        self.frame: Frame

    @cached_property
    def knowledge(self) -> Knowledge:
        """The base as it is when it is first looked at."""
        return self.run.knowledge()

    def write(self, adapter: Path, adapter_only: bool, gguf: float) -> list[str]:
        """Write student and knowledge; gives what the user should know."""
        from nesycd.students.exporting import ExportedStudent, published_name

        model, section = self.recipe.student.model, self.recipe.student
        origin = origin_of(model, section.revision)
        if adapter_only and origin.adapters:
            raise ConfigError(
                f"--adapter-only: the run's adapter stands on another one ({Path(model).name}), which is merged into the model "
                "first, so alone it is of no use; leave the option out"
            )
        commit = commit_of(self.recipe, read_manifest(self.run.folder))
        self.watch("loading the tokenizer")
        self.student = ExportedStudent(model, revision=commit or section.revision, template=section.template)
        self.base = published_name(origin.base)
        if adapter_only:
            self.student.write_adapter(adapter, self.folder, self.base, self.watch)
        else:
            self.student.write_whole(adapter, self.folder, self.limit, self.watch, gguf)
        self.frame = self.student.frame
        self.watch("writing knowledge and prompts")
        self._write_prompts()
        notes = self._write_items() if self.method.uses_base else []
        if self.has_loop:
            return [*notes, *self._write_loop()]
        if self.asks_rules:
            notes.append(f"{self.method.name} reads each question and asks rules, which takes: nesycd serve")
        elif self.runs_programs:
            notes.append(
                f"{self.method.name} writes programs, which must be run in a sandbox, which takes: nesycd serve"
            )
        elif self.method.source:
            notes.append(f"{self.method.name} reads what is retrieved for a question, which takes: nesycd serve")
        return notes

    def _write_items(self) -> list[str]:
        """Write the base to be read by people; gives what the user should know."""
        entries = self.knowledge.entries
        told = yaml_file.write(map(_without_paths, entries), as_mappings(read_entities(self.run.kb)))
        write_atomic(self.folder / ITEMS, told)
        reviewers = sorted({one.reviewer for one in entries if one.reviewer} - {"auto"})
        return [f"{ITEMS} names its reviewers: {', '.join(reviewers)}"] if reviewers else []

    def _write_loop(self) -> list[str]:
        """Write the loop and the base that it reads; gives what it leaves out."""
        method, recipe = self.method, self.recipe
        notes, look, advice = [], None, list[Item]()
        if method.calls == "kb":
            look = self.knowledge.look_up
        if method.source == "read":
            ordered = sorted(self.knowledge.entries, key=entry_order)
            advice = [one.item for one in ordered if not isinstance(one.item, Fact)]
            if advice and recipe.retrieval.kind != "linked":
                notes.append(f"{LOOP} finds lessons and rules by BM25 alone, where the run's retriever is 'fused'")
            if recipe.knowledge.derive:
                notes.append(f"{LOOP} derives no facts by rules; nesycd serve does")
        if method.router:
            notes.append(f"{LOOP} reads lessons and rules for every question; nesycd serve has the run's router")
        base = compiled(
            look,
            advice,
            self.prompts,
            version=self.version if look is not None else "",
            before=self.frame.before,
            after=self.frame.after,
            marks=list(self.frame.marks),
            stop=["]"] * (look is not None) + ["="] * recipe.calls.sums,
            max_new_tokens=self.limit,
            looks_up=look is not None,
            hold_names=recipe.calls.hold_names,
            sums=recipe.calls.sums,
        )
        write_json_atomic(self.folder / COMPILED, base, indent=None)
        shutil.copyfile(Path(__file__).with_name("reference_loop.py"), self.folder / LOOP)
        return notes

    def _write_prompts(self) -> None:
        own, extra = self.prompts, BaselinePrompts.load(self.recipe.prompts)
        with disk_errors(self.folder):
            (self.folder / PROMPTS).mkdir()
        left_out = {*["knowledge"] * (not self.method.source), *["calls"] * (self.method.calls != "kb")}
        left_out |= {"read", "stated"} if not self.asks_rules else set()
        for name, text in {**own.texts, **extra.texts}.items():
            if name in _PROMPTS[self.method.prompt] and left_out.isdisjoint(name.split("_")):
                write_atomic(self.folder / PROMPTS / f"{name}.txt", f"{text}\n")

    def licence(self) -> str:
        """The licence of the base model, as its own card names it; "" where that is not known."""
        from nesycd.students import embedded
        from nesycd.students.hub import card_of

        base = origin_of(self.recipe.student.model).base
        if base == embedded.NAME:
            return embedded.LICENCE
        card = Path(base) / "README.md" if Path(base).is_dir() else card_of(base, self.student.commit)
        return "" if card is None else licence_of(card)

    @property
    def version(self) -> str:
        """Of the base."""
        return knowledge_version(entry.item_id for entry in self.knowledge.entries)

    def finish(self, adapter_only: bool, notes: list[str]) -> dict[str, int]:
        """Write the card and the manifest; gives the sizes of all files."""
        run, method = self.run, self.method
        trained = run.adapter(method.student)
        origin = origin_of(self.recipe.student.model)
        told: dict[str, Any] = {
            "schema": SCHEMA,
            "nesycd": __version__,
            "run": run.folder.resolve().name,
            "method": method.name,
            "adapter_only": adapter_only,
            "student": {
                "base": self.base,
                "revision": self.student.commit,
                "licence": self.licence(),
                "adapters": [path.name for path in origin.adapters],
                "trained_as": trained.fingerprint,
            },
            "knowledge": None,
            "max_new_tokens": self.limit,
            "notes": notes,
        }
        if method.uses_base:
            told["knowledge"] = {
                "version": self.version,
                "items": len(self.knowledge.entries),
                "trained_with": trained.metadata.get(KNOWLEDGE, {}).get("version", ""),
            }
        prompts = {path.stem: path.read_text(encoding="utf-8").rstrip("\n") for path in self._prompt_files()}
        write_atomic(
            self.folder / "README.md",
            card_text(
                Told(
                    name=self.name,
                    method=method,
                    recipe=self.recipe,
                    results=run.summary,
                    student=told["student"],
                    knowledge=told["knowledge"],
                    prompts=prompts,
                    frame=self.frame,
                    has_loop=self.has_loop,
                    adapter_only=adapter_only,
                    gguf=next((path.name for path in self.folder.glob("*.gguf")), ""),
                    notes=tuple(notes),
                )
            ),
        )
        files = {
            path.relative_to(self.folder).as_posix(): path for path in sorted(self.folder.rglob("*")) if path.is_file()
        }
        _refuse_secrets(files, self.recipe.key_variables)
        told["files"] = {name: {"size": path.stat().st_size, "sha256": _sha256(path)} for name, path in files.items()}
        write_json_atomic(self.folder / MANIFEST, told)
        return {
            **{name: path.stat().st_size for name, path in files.items()},
            MANIFEST: (self.folder / MANIFEST).stat().st_size,
        }

    def _prompt_files(self) -> list[Path]:
        return sorted((self.folder / PROMPTS).iterdir())


def _without_paths(entry: Entry) -> Entry:
    """An entry whose evidence names files, not where they lie."""
    evidence = tuple(
        one.model_copy(update={"source": Path(one.source).name}) if Path(one.source).is_absolute() else one
        for one in entry.evidence
    )
    return entry.model_copy(update={"evidence": evidence})


def _refuse_secrets(files: Mapping[str, Path], named: tuple[str, ...]) -> None:
    """See that no text has the value of a key of the environment.

    Raises:
        RunError: one has.
    """
    for name, path in files.items():
        if path.suffix in (".md", ".json", ".yaml", ".txt", ".jinja") and path.name != "tokenizer.json":
            content = path.read_bytes()
            for variable, secret in secrets_of(named).items():
                if secret in content:
                    raise RunError(
                        f"{name}: has the value of ${variable}; take it out of the knowledge base or the prompts"
                    )


_PROMPTS = {
    "question": (
        "question",
        "question_with_knowledge",
        "question_with_calls",
        "question_with_knowledge_and_calls",
        "read",
        "stated",
    ),
    "answer_only": ("answer_only", "answer_only_with_knowledge"),
    "two_stage": ("question", "answer_after_rationale"),
    "zero_shot": ("zero_shot", "zero_shot_with_knowledge"),
    "few_shot": ("worked_example", "worked_question"),
}
"""The prompts by `Method.prompt`."""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- GGUF -------------------------------------------------------------------------------------------------------------


def find_converter(given: str = "") -> list[str]:
    """The command of llama.cpp's converter: the one given, else that of `NESYCD_GGUF_CONVERTER`, else the one on PATH.

    Args:
        given: the script, or a command that ends in it, such as `OTHER-VENV/bin/python PATH/convert_hf_to_gguf.py`.

    Raises:
        ConfigError: there is none.
    """
    named = given or os.environ.get(CONVERTER_VARIABLE, "")
    words = [named] if Path(named).is_file() else shlex.split(named)
    if not words and (found := shutil.which(CONVERTER)):
        words = [found]
    if not words or not Path(words[-1]).is_file():
        told = f"there is no file {words[-1]}" if words else f"there is no {CONVERTER} on PATH"
        raise ConfigError(
            f"--gguf: {told}; it is llama.cpp's: git clone --depth 1 https://github.com/ggml-org/llama.cpp, "
            f"pip install sentencepiece, then give --converter llama.cpp/{CONVERTER}"
        )
    script = str(Path(words[-1]).resolve())  # it looks for its library beside itself
    return [*(words[:-1] or [sys.executable]), script]


def _convert(converter: Sequence[str], folder: Path, kind: str, name: str) -> None:
    target = folder / f"{name}.gguf"
    options = ["--outfile", str(target), "--outtype", kind, "--model-name", name]
    try:
        done = subprocess.run([*converter, str(folder), *options], capture_output=True, text=True)
    except OSError as error:
        raise ModelError(f"{converter[0]}: cannot be run: {error.strerror or error}") from None
    if done.returncode != 0 or not target.is_file():
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()] or ["no message"]
        raise ModelError(
            f"{converter[-1]}: cannot convert the student: {lines[-1][:300]} (what it needs is in llama.cpp's requirements; "
            "--converter takes a command too: PYTHON SCRIPT)"
        )


def modelfile(gguf: str, frame: Frame, limit: int) -> str:
    """Ollama's description of the model: the same frame around a prompt, greedy decoding, the end token."""
    from nesycd.students.exporting import SYSTEM_PLACE

    before = frame.with_system.replace(SYSTEM_PLACE, "{{ .System }}") or frame.before
    quoted = frame.end.replace('"', '\\"')
    lines = [
        f"FROM ./{gguf}",
        f'TEMPLATE """{before}{{{{ .Prompt }}}}{frame.after}{{{{ .Response }}}}{frame.end}"""',
        'SYSTEM ""',
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_predict {limit}",
        *([f"PARAMETER num_ctx {min(frame.context, 8192)}"] if frame.context else []),
        f'PARAMETER stop "{quoted}"',
    ]
    return "\n".join(lines) + "\n"
