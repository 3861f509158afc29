"""A finished run, opened: its student with the present knowledge base. No run folder is written to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nesycd.api.build import commit_of, corpus_of, server_of, student_of, task_of
from nesycd.api.near import NearMiss, near_misses
from nesycd.api.reply import Reply as Reply
from nesycd.api.stored import StoredRun
from nesycd.calls import BaseRules, Calls, LookUp, Sums
from nesycd.calls.programs import Programs
from nesycd.core.answers import Trace
from nesycd.core.errors import ConfigError, DataError, RunError
from nesycd.core.protocols import Router, Student, Task, Tools
from nesycd.core.records import Entry, Example, Hit, Rationale, Status, content_hash
from nesycd.core.segments import text_of
from nesycd.knowledge import Entities, KnowledgeBase, knowledge_version, read_entities
from nesycd.methods import table
from nesycd.methods.context import KNOWLEDGE, checked_training
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.method import BASE, CallSource, Method, Source
from nesycd.methods.predict import Predictor, Resources, Responded, Way, respond, way_of
from nesycd.prompts import BaselinePrompts, Prompts
from nesycd.retrieval import PassageIndex
from nesycd.routing import margin_of, router_of
from nesycd.rules import Engine, RuleGate
from nesycd.runs.artifacts import open_artifact
from nesycd.runs.folders import find_run, newest_run
from nesycd.runs.manifest import read_manifest
from nesycd.runs.predictions import FILE, Predictions
from nesycd.runs.run import read_records
from nesycd.runs.stage import Artifact, read_states
from nesycd.stages import baselines
from nesycd.stages.rationalise import kept

if TYPE_CHECKING:
    from nesycd.api.exporting import Exported
    from nesycd.api.whatif import Edit, Use, WhatIf


class OpenRun(StoredRun):
    """A finished run, whose student can be asked.

    The student is loaded by the first question and stays loaded. The knowledge base is read at each question, so an edit takes
    effect from the next question on. Close the run when it is no longer needed, or use it in `with`.

    Example:
        >>> import nesycd
        >>> run = nesycd.open_run("runs/quickstart")                        # doctest: +SKIP
        >>> run.ask("How many feet are 4 fathoms and 3 feet?").answer       # doctest: +SKIP
        '27'
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release the knowledge base, and end the process that runs rules, if any. Both are opened again on demand."""
        for name in ("kb", "_engine"):
            if (held := self.__dict__.pop(name, None)) is not None:
                held.close()
        getattr(self.__dict__.get("student"), "close", lambda: None)()  # lets go of its server
        self.__dict__.pop("_knowledge", None)

    @cached_property
    def kb(self) -> KnowledgeBase:
        """The run's knowledge base, opened; `close` releases it. Rules must pass their tests before they are approved.

        Raises:
            KnowledgeError: it is gone.
        """
        return KnowledgeBase.open(self.folder / "kb.sqlite", create=False, gate=RuleGate(self._engine))

    def export(
        self,
        out: str | Path,
        method: str = table.MAIN,
        *,
        adapter_only: bool = False,
        gguf: str = "",
        converter: str = "",
        force: bool = False,
    ) -> Exported:
        """Write a method's student with its knowledge as a folder for transformers, vLLM and llama.cpp; see `docs/export.md`.

        Raises:
            ConfigError, RunError, ModelError: see `api.exporting.export`.
        """
        from nesycd.api.exporting import export

        return export(self, Path(out), method, adapter_only=adapter_only, gguf=gguf, converter=converter, force=force)

    # --- asking ---------------------------------------------------------------------------------------------------------

    @cached_property
    def student(self) -> Student:
        """The run's student; its weights are loaded at the first question."""
        manifest = read_manifest(self.folder)
        return student_of(self.recipe, commit_of(self.recipe, manifest), server_of(manifest))

    @cached_property
    def task(self) -> Task:
        """The run's benchmark."""
        return task_of(self.recipe)

    @cached_property
    def predictor(self) -> Predictor:
        """The student with the run's predictions, and those made since it was opened; these are kept in memory only."""
        return Predictor(self.student, self.predictions)

    @cached_property
    def predictions(self) -> Predictions:
        """The run's predictions, read at first use, and those made since it was opened."""
        return Predictions(self.folder / FILE)

    @cached_property
    def _engine(self) -> Engine:
        return Engine()

    @cached_property
    def _prompts(self) -> tuple[Prompts, BaselinePrompts]:
        return Prompts.load(self.recipe.prompts), BaselinePrompts.load(self.recipe.prompts)

    @cached_property
    def _states(self) -> Mapping[str, Mapping[str, Any]]:
        return read_states(self.folder)

    @cached_property
    def _corpus(self) -> PassageIndex | None:
        return corpus_of(self.recipe, self.task)

    @cached_property
    def _train(self) -> list[Example]:
        return [*self.examples("train").values()]

    @cached_property
    def _rationales(self) -> dict[str, Rationale]:
        return kept(read_records(self.folder, "rationales", Rationale))

    @cached_property
    def router(self) -> Router:
        """The router, as calibrated in the run."""
        said = self.summary.router
        return router_of(str(said["mode"]), float(said["threshold"]), self.recipe.router.signal)

    def knowledge(self) -> Knowledge:
        """The present knowledge base; indexed again only where it has changed."""
        now = self.kb.revision
        if (kept := self.__dict__.get("_knowledge")) is not None and kept[0] == now:
            return kept[1]  # type: ignore[no-any-return]
        entries, entities = tuple(self.kb.entries(status=Status.APPROVED)), read_entities(self.kb)
        made = self._knowledge_of(entries, entities)
        if kept is not None:
            made = replace(made, names=kept[1].look_up.names)
        self.__dict__["_knowledge"] = (now, made)
        return made

    def _knowledge_of(self, entries: tuple[Entry, ...], entities: Entities) -> Knowledge:
        recipe = self.recipe
        tasks = {example.uid: example.task for example in self._train} if recipe.retrieval.by_task else {}
        engine = self._engine if recipe.knowledge.derive else None
        goals = self._engine if recipe.calls.derive else None
        held, index = recipe.calls.hold_names, self.folder / "index"
        return Knowledge(recipe.retrieval, self.student, entries, entities, tasks, index, engine, held, goals)

    def adapter(self, student: str) -> Artifact:
        """The adapter of a method's student, by that method's name.

        Raises:
            RunError: it was not trained in this run, or files of it are gone or have other content.
        """
        stage = table.checkpoint_of(student, self._states)
        if stage not in self._states:
            raise RunError(
                f"{self.folder}: {student} was not trained in this run; name it in the recipe's evaluation.methods"
            )
        return checked_training(open_artifact(self.folder, stage), self.folder)

    def adapters(self, method: str) -> list[Artifact | None]:
        """The adapters that a method asks, the drafts' first; None: the untrained student.

        Raises:
            ConfigError, RunError: see `way`.
        """
        asked = self._method(method)
        found = None if asked.student == BASE else self.adapter(asked.student)
        return [self._drafts(), found] if asked.router else [found]

    def resources(self, knowledge: Knowledge, limit: int | None = None) -> Resources:
        """What methods need to answer questions.

        Args:
            knowledge: see `knowledge`.
            limit: most tokens of an answer; None: the recipe's.
        """
        prompts, baseline_prompts = self._prompts
        found: dict[Source, Any] = {
            "kb": lambda example: [hit.item for hit in find(knowledge, example)],
            "read": lambda example: [hit.item for hit in find(knowledge, example) if hit.is_read],
            "all": lambda example: table.most_evident(knowledge.entries),
        }
        if (corpus := self._corpus) is not None:
            found["corpus"] = lambda example: corpus.find(knowledge.query(example), table.most_passages())
        cached: dict[CallSource, Tools | None] = {}
        sums = Sums() if self.recipe.calls.sums else None

        def tools(source: CallSource) -> Tools | None:
            if source in ("gold", "rationales", "shuffled"):
                raise ConfigError(f"look-ups in {source!r} can be made in a run only, not afterwards")
            if source == "programs":
                return self._programs
            if source and source not in cached:
                nothing = BaseRules([], self._engine) if self.recipe.calls.derive else None
                cached[source] = (
                    Calls(knowledge.look_up, sums, knowledge.rules)
                    if source == "kb"
                    else Calls(LookUp([]), sums, nothing)
                )
            return cached[source] if source else sums

        return Resources(
            task=self.task,
            prompts=prompts,
            baseline_prompts=baseline_prompts,
            limit=limit or self.recipe.student.max_new_tokens,
            adapter=self.adapter,
            knowledge=found,
            tools=tools,
            router=self.router,
            drafts=self._drafts,
            by=self.recipe.calls.read,
            shots=self._shots,
        )

    @cached_property
    def _programs(self) -> Programs:
        return Programs()

    def _drafts(self) -> Artifact:
        """The adapter that writes the closed-book answers which the router reads."""
        closed_book = "augmented" if self.summary.router["closed_book"] == "augmented" else "general"
        return open_artifact(self.folder, closed_book if closed_book in self._states else "general")

    def _shots(self, example: Example) -> str:
        """A few-shot prompt from the run's training questions and rationales."""
        extra, seed = self._prompts[1], self.recipe.seed
        return baselines.worked_examples(example, self._train, self._rationales, extra, baselines.SHOTS, seed)

    def way(self, method: str = table.ROUTED, limit: int | None = None, knowledge: Knowledge | None = None) -> Way:
        """How a method prompts, with the present knowledge base or with the `knowledge` given.

        Raises:
            ConfigError: no such method, or one that cannot be used with a finished run.
            RunError: its student was not trained in this run.
        """
        return way_of(self._method(method), self.resources(knowledge or self.knowledge(), limit))

    def _method(self, name: str) -> Method:
        [method] = table.named([name], self.recipe, "method")
        if method.beside:
            raise ConfigError(f"method: {name} is a run of its own; open that run's folder")
        return method

    def identity(self, method: str = table.ROUTED) -> str:
        """Hash of a method's students, prompts, decoding and tools; it does not depend on the knowledge base."""
        asked = self._method(method)
        adapters = [] if asked.student == BASE else [self.adapter(asked.student).fingerprint]
        prompts = [one.texts for one in self._prompts]
        told = [self.student.fingerprint, self.student.decoding, adapters, prompts, self.recipe.student.max_new_tokens]
        calls = self.recipe.calls
        sums = Sums() if calls.sums else None
        tools: Tools | None = Calls(LookUp([], hold_names=calls.hold_names), sums) if asked.calls else sums
        tools = self._programs if asked.calls == "programs" else tools
        called = [*tools.names, tools.state] if tools else []
        called += [calls.read] if asked.calls and calls.derive else []
        return content_hash([*told, method, dict(self.summary.router) if asked.router else {}, called])

    def ask(self, question: str, options: Sequence[str] = (), task: str = "", method: str = table.ROUTED) -> Reply:
        """Answer one question.

        Args:
            question: the text.
            options: the choices, if any; they are lettered (A), (B), ... in the order given.
            task: the benchmark's name for it (`Example.task`); without one no rule that is limited to certain tasks runs, and
                items of all tasks are retrieved.
            method: see `nesycd compare --list`; by default with knowledge where the router asks for it.

        Raises:
            DataError: no question, or options that cannot be lettered.
            ConfigError, RunError: see `way`.
        """
        example = self.example(question, options, task)
        knowledge = self.knowledge()
        [made] = self.respond([example], method)
        return self.reply(made, knowledge)

    def example(self, question: str, options: Sequence[str] = (), task: str = "") -> Example:
        """A question as an example without a gold answer; arguments as of `ask`.

        Raises:
            DataError: see `ask`.
        """
        return _asked(question, options, task or self.recipe.task.name)

    def reply(self, made: Responded, knowledge: Knowledge) -> Reply:
        """What a method responded to a question, with what was retrieved and why; `knowledge` is what it was asked with."""
        asked, example = self._method(made.answer.method), made.example
        hits = find(knowledge, example) if asked.source in ("kb", "read") else ()
        draft = made.predictions[0] if asked.router else None
        return Reply(
            question=example.question,
            method=asked.name,
            text=text_of(made.segments),
            answer=self.task.extract(made.response, example),
            items=made.asks[-1].items,
            hits=tuple(hits),
            routed=made.answer.routed,
            reason=self._reason(asked, made, any(asked.source == "kb" or hit.is_read for hit in hits)),
            segments=made.segments,
            trace=Trace(call for one in made.predictions for call in one.trace),
            draft=draft,
            note=self.note(asked.name, knowledge)
            if made.answer.routed or (asked.calls == "kb" and made.looked_up)
            else "",
        )

    def near_misses(self, question: str, options: Sequence[str] = (), task: str = "") -> list[NearMiss]:
        """The nearest items that are not retrieved for a question, with what kept each out; arguments as of `ask`.

        Raises:
            DataError: see `ask`.
        """
        example = self.example(question, options, task)
        return near_misses(self.knowledge(), self.kb.entries(), example)

    def respond(
        self, examples: Sequence[Example], method: str = table.ROUTED, limit: int | None = None
    ) -> Iterator[Responded]:
        """Answer many questions in planned batches, yielding each when done; see `ask`."""
        return respond(self.predictor, self.way(method, limit), examples)

    # --- before and after an edit ---------------------------------------------------------------------------------------

    def what_if(
        self, edits: Edit | Sequence[Edit], method: str = table.MAIN, split: str = "valid", **options: Any
    ) -> WhatIf:
        """Which answers to held-out questions a change of the base would change, before it is made; nothing is written.

        Args:
            edits: the change as a function of the base, such as `lambda kb: kb.approve(item_id, reviewer="me")`; or several.
            method, split, options: see `nesycd.api.whatif.what_if`.

        Raises:
            KnowledgeError: the change would be refused.
            ConfigError, RunError: see `way`; or the run has no held-out questions.
        """
        from nesycd.api.whatif import what_if

        return what_if(self, edits, method=method, split=split, **options)

    def questions_using(self, item_id: str) -> list[Use]:
        """The run's stored answers that looked an item up or read it (see `nesycd.api.whatif.questions_using`).

        Raises:
            KnowledgeError: the base has no such item.
        """
        from nesycd.api.whatif import questions_using

        return questions_using(self, item_id)

    def _reason(self, method: Method, made: Responded, found: bool) -> str:
        if not method.router:
            what = "what it does not look up" if method.source == "read" else "knowledge"
            reads = f"reads {what} for every question" if method.shows_knowledge else "reads none"
            does = ", and its program is run" if method.calls == "programs" else ", and looks facts up"
            return f"{method.name} {reads}" + (does if method.calls else "")
        mode, signal = self.recipe.router.mode, self.recipe.router.signal
        if mode != "margin":
            return f"router.mode = {mode!r}"
        margin, threshold = margin_of(made.predictions[0], signal), float(self.summary.router["threshold"])
        if made.answer.routed:
            why = "asks for knowledge"
        elif margin < threshold and not found:
            why = "asks for knowledge, but nothing in the knowledge base fits, so the draft stands"
        else:
            why = "lets the student answer alone"
        return f"margin {margin:.3f}, threshold {threshold:.3f}: {why}"

    def note(self, method: str, knowledge: Knowledge) -> str:
        """What is to be said of a knowledge base that is not the one a method's student was trained with; "" where it is."""
        asked = self._method(method)
        if not asked.reads_base:
            return ""
        then = self.adapter(asked.student).metadata.get(KNOWLEDGE)
        now = knowledge_version(entry.item_id for entry in knowledge.entries)
        if then is None or then["version"] == now:
            return ""
        return f"the student was trained with knowledge {then['version']}, and the base is {now} now"


def _asked(question: str, options: Sequence[str], task: str) -> Example:
    """A question as an example without a gold answer.

    Raises:
        DataError: see `OpenRun.ask`.
    """
    if not isinstance(question, str) or not question.strip():
        raise DataError(f"question: must be a text that is not empty, but is {question!r}")
    if isinstance(options, str) or not all(isinstance(one, str) and one.strip() for one in options):
        raise DataError(f"options: must be a list of texts, but is {options!r}")
    if len(options) == 1 or len(options) > 26:
        raise DataError(f"options: 2 to 26 are possible, or none for an open question, but there are {len(options)}")
    return Example(uid="question", task=task, question=question, answer="", options=tuple(options))


def find(knowledge: Knowledge, example: Example) -> tuple[Hit, ...]:
    """What is retrieved from the knowledge base for a question, best first."""
    return tuple(knowledge.retriever.retrieve(knowledge.query(example), task=example.task))


def open_run(run: str | Path = "", root: str | Path = "runs") -> OpenRun:
    """Open a finished run.

    Args:
        run: its name, or its folder; the newest finished one if not given.
        root: the folder with the runs.

    Raises:
        RunError: there is no such run, or it is not finished.
    """
    place = Path(root)
    return OpenRun(find_run(place, str(run)) if str(run) else newest_run(place, "results.json", finished=True))
