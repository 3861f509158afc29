"""The context of a run: its folder, the recipe, the parts built from it, and the results of the steps done so far."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nesycd import grading
from nesycd.calls import BaseRules, Calls, GoldFacts, GoldRules, LookUp, Sums, as_read, question_of
from nesycd.calls.programs import Programs
from nesycd.core.answers import Answer, Attempt, Prediction, Verdict, verdict_on
from nesycd.core.config import Recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.paths import without_paths
from nesycd.core.protocols import TRAINING, Decoding, Student, Task, Teacher, Tools, TrainSettings
from nesycd.core.records import Entry, Evidence, Example, Item, Status, TrainingText
from nesycd.core.segments import text_of
from nesycd.methods.knowledge import Knowledge
from nesycd.methods.method import CallSource, Method, Source
from nesycd.methods.predict import (
    Adapter,
    Ask,
    Predictor,
    Turn,
    Way,
    about,
    asks_rules,
    offering,
    reading,
    statements_of,
)
from nesycd.prompts import BaselinePrompts, Prompts, Shown
from nesycd.retrieval import PassageIndex
from nesycd.rules import Engine
from nesycd.runs.predictions import VERDICTS
from nesycd.runs.run import Run
from nesycd.runs.shards import Work
from nesycd.runs.stage import Artifact, StageRecords
from nesycd.stages import augment
from nesycd.stages.shuffle import shuffled

if TYPE_CHECKING:
    from nesycd.methods.distil import Distilled


KNOWLEDGE = "knowledge"
"""Key in a checkpoint's metadata: the version of the knowledge base that it was trained with."""
_COUNTS = ("steps", "tokens", "completion_tokens", "loss", "dropped")


def checked_training(made: Artifact, run: Path) -> Artifact:
    """An adapter of a run's student, once its metadata are found to be those of a training.

    Raises:
        RunError: they are not: the stage's file was changed.
    """
    version = made.metadata.get(KNOWLEDGE, {"version": ""})
    counted = all(isinstance(made.metadata.get(key), int | float) for key in _COUNTS)
    if not counted or not isinstance(version, dict) or not isinstance(version.get("version"), str):
        state = run / "stages" / f"{made.path.name}.json"
        raise RunError(f"{state}: lacks what the training counted; delete the file to have its stage done again")
    return made


def no_progress(stage: str, state: dict[str, Any]) -> None:
    """Ignore the training progress."""


def no_writing(stage: str, total: int, rows: int, tokens: int, limit: int) -> None:
    """Ignore the progress of a batch of answers."""


def no_plan(plan: Mapping[str, float]) -> None:
    """Ignore how long the stages will take."""


def nothing_to_check() -> None:
    """Find all parts ready."""


READ_TOGETHER = 64
"""Questions whose units are read in one go."""


@dataclass(frozen=True)
class Context:
    """The context of a run: everything that a method works with.

    Attributes:
        baseline_prompts: further prompts, for methods other than NesyCD.
        engine: runs the rules' clauses, where the recipe asks for that; its process starts at the first query.
        corpus: passages, for methods that retrieve from a corpus; None: there are none.
        training: called with (stage, state) while the student is fine-tuned; state is what `Student.train` reports.
        writing: called with (stage, its number of answers, rows, tokens so far, most tokens) while a batch is answered.
        ready: called before the teacher is first asked; raises a `NesycdError` where a part could not be used later.
        expect: called with the seconds that each stage will take, before the first of them.
        steps: the results of NesyCD's steps; None before they are done (see `distilled`).
    """

    run: Run
    recipe: Recipe
    task: Task
    teacher: Teacher
    student: Student
    prompts: Prompts
    baseline_prompts: BaselinePrompts
    engine: Engine
    corpus: PassageIndex | None = None
    training: Callable[[str, dict[str, Any]], None] = no_progress
    writing: Callable[[str, int, int, int, int], None] = no_writing
    ready: Callable[[], None] = nothing_to_check
    expect: Callable[[Mapping[str, float]], None] = no_plan
    steps: Distilled | None = None

    @property
    def distilled(self) -> Distilled:
        """The results of NesyCD's steps; other methods use its rationales, its students and its knowledge base."""
        assert self.steps is not None, "the steps of the method come first"
        return self.steps

    def after(self, steps: Distilled) -> Context:
        """The same context once the steps are done."""
        return replace(self, steps=steps)

    # --- questions and knowledge ----------------------------------------------------------------------------------------

    def examples(self, split: str) -> StageRecords[Example]:
        """A split's questions, written into the run once."""
        if split not in self._examples:
            self._examples[split] = self._load(split)
        return self._examples[split]

    @cached_property
    def _examples(self) -> dict[str, StageRecords[Example]]:
        return {}

    def _load(self, split: str) -> StageRecords[Example]:
        recipe = self.recipe.task
        inputs = {
            "task": recipe.name,
            # Files count by content, which is in the benchmark's fingerprint, not by path.
            "settings": without_paths(recipe.settings),
            "data": self.task.fingerprint,
            "limit": recipe.limit,
            "size": recipe.sizes.get(split),
            # The default seed of the benchmark's splits and samples.
            "seed": self.recipe.seed,
        }
        return self.run.computed(f"examples-{split}", Example, inputs, lambda: self.task.load(split))

    @cached_property
    def train(self) -> StageRecords[Example]:
        """The training questions."""
        return self.examples("train")

    @cached_property
    def knowledge(self) -> Knowledge:
        """The run's knowledge base."""
        return Knowledge.of(self, self.distilled.entries)

    @cached_property
    def _own(self) -> dict[str, list[Entry]]:
        """`Example.uid` -> the entries whose evidence includes this example's error."""
        return augment.own_entries(self.distilled.entries)

    def single_source(self, example: Example) -> frozenset[str]:
        """Ids of the items whose only evidence is this example: hidden from it in training."""
        return augment.single_source_items(self._own, example)

    @property
    def corpus_passages(self) -> Sequence[Shown]:
        """The whole corpus; the caller has checked that there is one."""
        assert self.corpus is not None
        return self.corpus.passages

    def source_fingerprint(self, source: Source) -> str:
        """Hash of a source's content and of how it is retrieved from."""
        if source == "corpus":
            assert self.corpus is not None
            return self.corpus.fingerprint
        return self.knowledge.fingerprint if source in ("kb", "all") else ""

    def find(self, method: Method, example: Example, query: str) -> Sequence[Shown]:
        """What a query retrieves for a training question, from the method's corpus or from the knowledge base.

        From the knowledge base as in NesyCD's training: within its token budget, without single-source items of this question.

        Raises:
            ConfigError: the method's source is neither.
        """
        if method.source == "corpus":
            assert self.corpus is not None
            return self.corpus.find(query, method.passages)
        if method.source not in ("kb", "all"):
            raise ConfigError(f"{method.name}: nothing can be retrieved to train on from the source {method.source!r}")
        hits = self.knowledge.retriever.retrieve(query, hide=self.single_source(example), task=example.task)
        return [hit.item for hit in hits]

    # --- calls ----------------------------------------------------------------------------------------------------------

    @cached_property
    def sums(self) -> Sums | None:
        """What every method calls where the recipe says so."""
        return Sums() if self.recipe.calls.sums else None

    def tools(self, source: CallSource, knowledge: Knowledge, examples: Sequence[Example] = ()) -> Tools | None:
        """What a method with this source of look-ups calls. `examples`: the questions, for the source `gold`."""
        sums = self.sums
        if source == "kb":
            return Calls(knowledge.look_up, sums, knowledge.rules)
        if source == "nothing":
            return Calls(LookUp([]), sums, BaseRules([], self.engine) if self.recipe.calls.derive else None)
        if source == "rationales":
            return Calls(self.rationale_items.look_up, sums, self.rationale_items.rules)
        if source == "shuffled":
            other = self.shuffled(knowledge)
            return Calls(other.look_up, sums, other.rules)
        if source == "programs":
            return self.programs
        if source == "gold":
            facts = [(question_of(one), one.truth.facts if one.truth else ()) for one in examples]
            rules = GoldRules([(question_of(one), one.truth) for one in examples], self.engine)
            return Calls(GoldFacts(facts), sums, rules if self.recipe.calls.derive else None)
        return sums

    @cached_property
    def programs(self) -> Programs:
        """What runs the programs that a student writes in place of a rationale."""
        return Programs()

    def shuffled(self, knowledge: Knowledge) -> Knowledge:
        """The same knowledge with its contents exchanged (`stages.shuffle`)."""
        if self._shuffled.get(knowledge.entries) is None:
            self._shuffled[knowledge.entries] = Knowledge.of(self, shuffled(knowledge.entries, self.recipe.seed))
        return self._shuffled[knowledge.entries]

    @cached_property
    def _shuffled(self) -> dict[tuple[Entry, ...], Knowledge]:
        return {}

    @cached_property
    def rationale_items(self) -> Knowledge:
        """The facts and rules that the kept rationales use, errors or not, at most `knowledge.max_items` of them.

        Known where the benchmark says which ones its questions need; empty elsewhere.
        """
        kept = self.distilled.kept
        needed = [e.truth for e in self.train if e.uid in kept and e.truth]
        found: dict[str, Item] = {}
        for truth in needed:
            found |= {fact.id: fact for fact in truth.facts} | {rule.id: rule for rule in truth.rules}
        most = self.recipe.knowledge.max_items
        chosen = [*found.values()]
        if most is not None and most < len(chosen):
            chosen = random.Random(f"rationales-{self.recipe.seed}").sample(chosen, most)
        note = Evidence(example="", source="rationales")
        return Knowledge.of(self, [Entry(item=one, status=Status.APPROVED, evidence=(note,)) for one in chosen])

    # --- training ---------------------------------------------------------------------------------------------------------

    def settings(self, **changes: Any) -> TrainSettings:
        """The recipe's hyperparameters, with changes."""
        given = self.recipe.training
        names = (
            "learning_rate",
            "epochs",
            "batch_tokens",
            "max_tokens",
            "warmup",
            "rank",
            "alpha",
            "adapted_layers",
            "dropout",
        )
        return TrainSettings(**{**{name: getattr(given, name) for name in names}, **changes})

    def fine_tune(
        self,
        name: str,
        texts: Sequence[TrainingText],
        init: Artifact | None = None,
        remember: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Artifact:
        """Train an adapter as a stage of the run; the artifact's metadata are the training counts and `remember`.

        Args:
            name: of the stage.
            texts: what to train on.
            init: an adapter to start from; None: the base model.
            remember: further metadata.
            changes: to the recipe's hyperparameters.
        """
        settings = self.settings(**changes)

        def make(folder: Path) -> Mapping[str, Any]:
            report = self.student.train(
                texts,
                settings,
                folder,
                seed=self.recipe.seed,
                init=init.path if init is not None else None,
                progress=lambda state: self.training(name, state),
            )
            return {
                "steps": report.steps,
                "tokens": report.tokens,
                "completion_tokens": report.completion_tokens,
                "loss": report.loss,
                "dropped": report.dropped,
                **(remember or {}),
            }

        depends = {
            "texts": list(texts),
            "student": self.student.fingerprint,
            "settings": settings,
            "seed": self.recipe.seed,
            "init": init.fingerprint if init is not None else "",
        }
        return checked_training(self.run.artifact(name, depends, make, TRAINING), self.run.folder)

    # --- answering --------------------------------------------------------------------------------------------------------

    @cached_property
    def predictor(self) -> Predictor:
        """The run's student; its predictions are stored in the run folder."""
        return Predictor(self.student, self.run.predictions)

    def reading(
        self,
        name: str,
        adapter: Adapter,
        knowledge: Callable[[Example], Sequence[Shown]] | None = None,
        tools: Callable[[Example], Tools | None] | None = None,
    ) -> Way:
        """How a step of the method prompts a student: closed-book, or with the items that `knowledge` gives.

        `tools`: what it calls for a question; None: it looks nothing up.
        """
        decoding = Decoding(self.recipe.student.max_new_tokens)
        read = reading(self.prompts, adapter, self.recipe.calls.read, decoding.limit)

        def first(example: Example, made: Sequence[Prediction]) -> Sequence[Ask]:
            return read(example, made) if tools is not None and asks_rules(tools(example)) else ()

        def ask(example: Example, made: Sequence[Prediction]) -> Sequence[Ask]:
            items = tuple(knowledge(example)) if knowledge is not None else ()
            stated = statements_of(made)
            calls = self.sums if tools is None else about(tools(example), example, stated)
            text = offering(self.prompts, calls).with_knowledge(example, items, stated)
            asked = question_of(example)
            shown = knowledge is not None
            return (Ask(text, adapter, decoding, items, shown, tools=calls, question=asked, stated=stated),)

        return Way(name, (first, ask) if tools is not None else (ask,))

    def answered(self, name: str, way: Way, examples: Sequence[Example]) -> StageRecords[Attempt]:
        """Answer all examples in planned batches, as a stage of the run, and grade the answers, as another one.

        The fingerprint is made of the prompts: the same questions with the same prompts are the same stage.
        """
        by_uid = {example.uid: example for example in examples}
        turns = {uid: Turn.begun(example, way) for uid, example in by_uid.items()}
        while any(turn.step < len(way.steps) for turn in turns.values()):
            known = self.run.predictions.by_id
            what = "read" if any(ask.reads for turn in turns.values() for ask in turn.now) else "first"
            for one in self._answers(f"{name}-{what}", way.method, by_uid, turns):
                turn = turns[one.example]
                after = turn.answered([known[uid] for uid in one.predictions[len(turn.made) :]], way)
                # Where nothing comes after, the last prompt stands.
                turns[one.example] = after if after.now else replace(turn, step=after.step)
        return self._graded(name, by_uid, self._answers(name, way.method, by_uid, turns))

    def supplied(
        self,
        name: str,
        method: str,
        examples: Sequence[Example],
        inputs: Mapping[str, Any],
        tell: Callable[[Example], Prediction],
    ) -> StageRecords[Attempt]:
        """Answers that no student wrote, as a stage of the run, graded like all others. `inputs`: what they depend on."""

        def make() -> list[Answer]:
            answers = []
            for example in examples:
                told = tell(example)
                self.run.predictions.add([told])
                known = tuple(item for call in told.trace for item in call.items)
                answers.append(
                    Answer(example=example.uid, method=method, predictions=(told.id,), knowledge=known, routed=True)
                )
            return answers

        answers = self._kept(name, partial(self.run.computed, name, Answer, inputs, make))
        return self._graded(name, {example.uid: example for example in examples}, answers)

    def _kept(self, name: str, ask: Callable[[], StageRecords[Answer]]) -> StageRecords[Answer]:
        """A stage's answers; answered again where some of their predictions are gone."""
        answers, known = ask(), self.run.predictions.by_id
        if not all(one in known for answer in answers for one in answer.predictions):
            self.run.notify(f"{name}: some of its predictions are gone; asked again")
            self.run.clear(name)
            answers = ask()
        if lost := next((one for answer in answers for one in answer.predictions if one not in known), ""):
            raise RunError(
                f"{self.run.folder}: prediction {lost} of {name} is not kept; delete predictions.jsonl and run again"
            )
        return answers

    def _answers(
        self, name: str, method: str, examples: Mapping[str, Example], turns: Mapping[str, Turn]
    ) -> StageRecords[Answer]:
        """A stage of answers: the prompts of each turn are predicted, in planned batches."""
        predictor, uids = self.predictor, [*examples]
        asked = []
        for uid in uids:
            asks = (*turns[uid].asks, *turns[uid].now)
            keys = [[predictor.key(ask), ask.tools.state if ask.tools else ""] for ask in asks]
            asked.append([uid, keys, [item.id for item in asks[-1].items], asks[-1].with_knowledge])
        several = any(len(turn.now) > 1 for turn in turns.values())

        def plan() -> list[list[str]]:
            if several:
                # Units of one question are answered together, as its answer is one record.
                return [uids[start : start + READ_TOGETHER] for start in range(0, len(uids), READ_TOGETHER)]
            return [[uids[place] for place in batch] for batch in predictor.plan([turns[uid].now[0] for uid in uids])]

        def writing(rows: int, tokens: int, limit: int) -> None:
            self.writing(name, len(uids), rows, tokens, limit)

        def predicted(asks: Sequence[Ask]) -> list[Prediction]:
            if not several:
                return predictor.predict(asks, writing)
            made: dict[int, Prediction] = {}
            for batch in predictor.plan(asks):
                made |= zip(batch, predictor.predict([asks[place] for place in batch], writing), strict=True)
            return [made[place] for place in range(len(asks))]

        def produce(batch: list[str]) -> list[Answer]:
            made = iter(predicted([ask for uid in batch for ask in turns[uid].now]))
            return [
                predictor.answer(
                    method,
                    examples[uid],
                    (*turn.asks, *turn.now),
                    [*turn.made, *itertools.islice(made, len(turn.now))],
                )
                for uid, turn in ((uid, turns[uid]) for uid in batch)
            ]

        def lacking(batches: list[list[str]]) -> list[list[str]]:
            return predictor.lacking([[_named(uid, turns[uid].now) for uid in batch] for batch in batches], not several)

        def ahead(names: list[str]) -> list[Prediction]:
            # Nothing that is cached here is part of it, so that batches are as they were planned.
            return Predictor(self.student).predict([_ask_of(one, turns) for one in names], writing)

        inputs = {"asked": asked, "method": method}
        work = Work(Prediction, plan=lacking, make=ahead, take=self.run.predictions.add)
        ask = partial(self.run.batches, name, Answer, inputs, plan=plan, produce=produce, keys=uids, work=work)
        return self._kept(name, ask)

    def _graded(
        self, name: str, examples: Mapping[str, Example], answers: StageRecords[Answer]
    ) -> StageRecords[Attempt]:
        """The answers joined with their verdicts; a new grader version grades again."""
        known = self.run.predictions.by_id

        def grade() -> list[Verdict]:
            made = []
            for answer in answers:
                example = examples[answer.example]
                trace = (call for one in answer.predictions for call in known[one].trace)
                response = as_read(text_of(answer.segments(known)), trace)
                made.append(
                    verdict_on(
                        answer,
                        response,
                        partial(self.task.extract, example=example),
                        partial(self.task.grade, example=example),
                        grading.VERSION,
                    )
                )
            return made

        inputs = {"answers": answers, "examples": list(examples.values()), "grader": grading.VERSION}
        verdicts = self.run.computed(f"{name}{VERDICTS}", Verdict, inputs, grade)
        return StageRecords(
            Attempt.of(answer, known, verdict) for answer, verdict in zip(answers, verdicts, strict=True)
        )


def _named(uid: str, asks: Sequence[Ask]) -> list[tuple[str, Ask]]:
    """A question's prompts with the names by which they are dealt out."""
    return [(f"{number}/{uid}", ask) for number, ask in enumerate(asks)]


def _ask_of(name: str, turns: Mapping[str, Turn]) -> Ask:
    """The prompt with a name that `_named` gave."""
    number, _, uid = name.partition("/")
    return turns[uid].now[int(number)]
