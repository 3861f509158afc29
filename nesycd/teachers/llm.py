"""A language model as teacher: it writes rationales, and turns a student's errors into lessons, facts and rules.

The model is called through a `Chat`, with prompts from files. Unreadable output never becomes an item, and answers are
checked: rationales are graded by the task, and their sums computed again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nesycd import grading
from nesycd.core.errors import Unanswered
from nesycd.core.protocols import ErrorCase, ErrorCluster, Task
from nesycd.core.records import Diagnosis, Example, Induction, Rationale, Sample, content_hash
from nesycd.core.sections import AskSection
from nesycd.grading.arithmetic import comes_to, false_equation
from nesycd.llm.chat import CUT, Chat, Completion, Message, Request
from nesycd.prompts import TeacherPrompts, question_text
from nesycd.rules.statements import By, units
from nesycd.teachers import induction_reply
from nesycd.teachers.diagnosis_reply import CLUSTERED_SCHEMA, SCHEMA, Reading, read_clustered, read_diagnosis
from nesycd.teachers.statements_reply import Read, numbered, read_statements

_VERSION = 1
_RESPONSE_WORDS = 256
"""The student's response is cut to this number of words, as in the paper."""
_CLUSTER_WORDS = 64
"""The same where several errors are shown for what they have in common."""
_NO_WORKING = "(none: work it out yourself)"
_NO_RESPONSE = "(empty: the student did not know how to begin)"
_TELLS = re.compile(
    r"\b(?:given|provided|stated|expected) answer\b|\bmatch\w* the (?:right|correct) answer\b"
    r"|\banswer (?:is|was) (?:given|provided|told)\b|\bhint\b",
    re.IGNORECASE,
)


@dataclass
class _Cost:
    """Tokens, money and seconds that one record cost; `usd` is None as soon as one price is unknown."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    usd: float | None = 0.0
    seconds: float = 0.0

    def add(self, completion: Completion, share: int = 1) -> None:
        self.usd = None if self.usd is None or completion.usd is None else self.usd + completion.usd / share
        self.prompt_tokens += completion.prompt_tokens // share
        self.completion_tokens += completion.completion_tokens // share
        self.seconds += completion.seconds / share


class LLMTeacher:
    """Asks a language model through a `Chat`. See `docs/teachers.md` for the choice of rationales and the form of diagnoses.

    Args:
        chat: sends the requests.
        prompts: templates of the requests.
        task: finds the answer in a response and grades it.
        settings: `teacher.ask` of the recipe.
        by: the units of a question for each of which it says what is stated there, before its working; None: it is not asked to.

    Example:
        >>> from nesycd.tasks.base import StoredTask
        >>> from nesycd.llm.scripted_chat import ScriptedChat
        >>> example = Example(uid="q", task="sums", question="What is 2 + 2?", answer="4")
        >>> chat = ScriptedChat({"rationale:q:0": "2 + 2 = 5. The answer is 4.", "rationale:q:1": "2 + 2 = 4. The answer is 4."})
        >>> teacher = LLMTeacher(chat, TeacherPrompts.load(), StoredTask("sums", {"train": [example]}))
        >>> [rationale] = teacher.rationales([example])
        >>> rationale.text, [(other.text, other.flaw) for other in rationale.others]
        ('2 + 2 = 4.', [('2 + 2 = 5.', 'false: 2 + 2 = 5')])
    """

    def __init__(
        self,
        chat: Chat,
        prompts: TeacherPrompts,
        task: Task,
        settings: AskSection | None = None,
        by: By | None = None,
    ) -> None:
        self.name = chat.name
        self._chat = chat
        self._prompts = prompts
        self._task = task
        self._settings = settings or AskSection()
        self._by = by
        told = [chat.fingerprint, prompts.fingerprint, self._settings.model_dump(mode="json")]
        self.fingerprint = content_hash(["llm", _VERSION, *told, *([by] if by else [])])

    # --- rationales ---------------------------------------------------------------------------------------------------

    def plan_rationales(self, examples: Sequence[Example]) -> list[Request]:
        """All requests that `rationales` may send at most."""
        return [request for number, _ in enumerate(self._rounds()) for request in self._round(examples, number)]

    def rationales(self, examples: Sequence[Example]) -> Iterator[Rationale]:
        """The first right and sound answer to each question, else the first answer; the others are stored with it.

        Raises:
            Unanswered: calls of some questions were not answered; all other questions are yielded before.
        """
        said: dict[str, list[Sample]] = {example.uid: [] for example in examples}
        unanswered: dict[str, str] = {}
        costs = {example.uid: _Cost() for example in examples}
        waiting = list(examples)
        for number, (_, samples) in enumerate(self._rounds()):
            unsolved = []
            answers = self._chat.complete(self._round(waiting, number)) if waiting else iter(())
            for example in waiting:
                for _ in samples:
                    completion = next(answers)
                    if completion.unanswered:
                        unanswered.setdefault(example.uid, completion.failure)
                    costs[example.uid].add(completion)
                    said[example.uid].append(self._sample(example, completion, number))
                if example.uid in unanswered:
                    continue  # another sample may be right, but which one is kept shall not depend on the server's day
                if any(sample.correct for sample in said[example.uid]):
                    yield self._rationale(example, said.pop(example.uid), costs.pop(example.uid))
                else:
                    unsolved.append(example)
            waiting = unsolved
        for example in waiting:
            yield self._rationale(example, said[example.uid], costs[example.uid])
        _tell_of(unanswered)

    def _rounds(self) -> list[tuple[bool, Sequence[int]]]:
        """(whether the gold answer is shown, indices of the samples asked for) of each round."""
        given = self._settings
        samples = range(given.samples)
        asked: list[Sequence[int]] = [samples] if given.all_samples else [[index] for index in samples]
        return [(False, one) for one in asked] + ([(True, [0])] if given.hints else [])

    def _round(self, examples: Sequence[Example], number: int) -> list[Request]:
        hinted, samples = self._rounds()[number]
        return [self._ask(example, index, hinted) for example in examples for index in samples]

    def _ask(self, example: Example, index: int, hinted: bool) -> Request:
        question = question_text(example)
        if hinted:
            text = self._prompts.fill("rationale_hinted", question=question, answer=_gold(example))
        else:
            text = self._prompts.fill("rationale", question=question)
        if self._by is not None:
            text = f"{text}\n\n{self._prompts.fill('statements', units=numbered(units(example.question, self._by)))}"
        return Request(
            f"{'hinted' if hinted else 'rationale'}:{example.uid}:{index}",
            (Message("user", text),),
            max_tokens=self._settings.max_tokens,
            temperature=self._settings.temperature,
            sample=index,
        )

    def _sample(self, example: Example, completion: Completion, number: int) -> Sample:
        hinted = self._rounds()[number][0]
        if completion.failure:
            return Sample(hinted=hinted, failure=completion.failure)
        read = Read((), "", completion.text)
        if self._by is not None:
            read = read_statements(completion.text, units(example.question, self._by))
        text, _ = grading.split_closing(read.rest)
        answer = self._task.extract(read.rest, example)
        right = self._task.grade(answer, example)
        flaw = _flaw(text, answer, example, hinted)
        # One without the other is of no use.
        stated, goal = (read.stated, read.goal) if read.stated and read.goal else ((), "")
        return Sample(
            text=text,
            answer=answer,
            correct=right and not flaw,
            flaw=flaw,
            hinted=hinted,
            stated=stated,
            goal=goal,
        )

    def _rationale(self, example: Example, said: Sequence[Sample], cost: _Cost) -> Rationale:
        best = min(range(len(said)), key=lambda place: (not said[place].correct, bool(said[place].failure), place))
        return Rationale(
            example=example.uid,
            teacher=self.name,
            **{
                **said[best].model_dump(exclude={"correct", "stated", "goal"}),
                "stated": said[best].stated,
                "goal": said[best].goal,
            },
            others=tuple(sample for place, sample in enumerate(said) if place != best),
            **vars(cost),
        )

    # --- diagnoses ----------------------------------------------------------------------------------------------------

    def plan_diagnoses(self, cases: Sequence[ErrorCase]) -> list[Request]:
        """The requests that `diagnoses` sends first; for each of them a repair may follow."""
        return [self._ask_about(cluster) for cluster in self._clusters(cases)]

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterator[Diagnosis]:
        """The diagnosis of each error; a failure where the answer is unreadable, also after one repair.

        Raises:
            Unanswered: calls about some errors were not answered; all other errors are yielded before.
        """
        unanswered: dict[str, str] = {}
        clusters = self._clusters(cases)
        again: list[tuple[ErrorCase, Request, _Cost]] = []
        answers = self._chat.complete([self._ask_about(cluster) for cluster in clusters])
        for cluster, completion in zip(clusters, answers, strict=True):
            if completion.unanswered:
                unanswered |= {case.example.uid: completion.failure for case in cluster}
                continue
            readings = self._read(cluster, completion)
            for number, case in enumerate(cluster, 1):
                cost = _Cost()
                cost.add(completion, share=len(cluster))
                reading = readings.get(number, Reading(problem="the error was left out"))
                if reading.problem and self._settings.repair and not (completion.failure and len(cluster) == 1):
                    again.append((case, self._repair(case, completion, reading, len(cluster)), cost))
                else:
                    yield self._diagnosis(case, reading, completion, cost)
        repaired = self._chat.complete([request for _, request, _ in again])
        for (case, _, cost), completion in zip(again, repaired, strict=True):
            if completion.unanswered:
                unanswered[case.example.uid] = completion.failure
                continue
            cost.add(completion)
            yield self._diagnosis(case, self._read([case], completion)[1], completion, cost)
        _tell_of(unanswered)

    def _clusters(self, cases: Sequence[ErrorCase]) -> list[list[ErrorCase]]:
        """Cases of one task together, in groups of about `cluster`.

        Group boundaries depend on the examples' hashes, so that a resumed run makes the same requests for the remaining groups.
        """
        size = self._settings.cluster
        open_: dict[str, list[ErrorCase]] = {}
        done: list[list[ErrorCase]] = []
        for case in cases:
            group = open_.setdefault(case.example.task, [])
            group.append(case)
            if len(group) == 2 * size or int(content_hash(case.example.uid), 16) % size == 0:
                done.append(open_.pop(case.example.task))
        return [*done, *open_.values()]

    def _ask_about(self, cluster: Sequence[ErrorCase]) -> Request:
        if len(cluster) == 1:
            text = self._prompts.fill("diagnosis", error=self._error(cluster[0]))
        else:
            text = self._prompts.fill("diagnosis_clustered", errors=self._errors(cluster))
        return self._diagnosis_request(
            f"diagnosis:{cluster[0].example.uid}{f'+{len(cluster) - 1}' if len(cluster) > 1 else ''}",
            (Message("user", text),),
            clustered=len(cluster) > 1,
        )

    def _error(self, case: ErrorCase, most: int = _RESPONSE_WORDS) -> str:
        words = case.attempt.response.split()
        return self._prompts.fill(
            "error",
            question=question_text(case.example),
            answer=_gold(case.example),
            rationale=case.rationale or _NO_WORKING,
            response=" ".join(words[:most]) or _NO_RESPONSE,
        )

    def _errors(self, cases: Sequence[ErrorCase], most: int = _RESPONSE_WORDS) -> str:
        return "\n\n".join(f"Error {number}\n{self._error(case, most)}" for number, case in enumerate(cases, 1))

    def _repair(self, case: ErrorCase, completion: Completion, reading: Reading, errors: int) -> Request:
        """The same again with what was wrong; an error left out of a shared answer is asked about alone."""
        asked = self._ask_about([case])
        if errors > 1:
            return asked
        problem = self._prompts.fill("diagnosis_repair", problem=reading.problem)
        turns = (*asked.messages, Message("assistant", completion.text), Message("user", problem))
        return self._diagnosis_request(f"repair:{case.example.uid}", turns, clustered=False)

    def _diagnosis_request(self, key: str, messages: tuple[Message, ...], clustered: bool) -> Request:
        schema = CLUSTERED_SCHEMA if clustered else SCHEMA
        return Request(key, messages, max_tokens=self._settings.max_tokens, schema=schema)

    def _read(self, cluster: Sequence[ErrorCase], completion: Completion) -> dict[int, Reading]:
        if completion.failure and not (completion.failure == CUT and len(cluster) > 1):
            return {number: Reading(problem=completion.failure) for number in range(1, len(cluster) + 1)}
        if len(cluster) == 1:
            return {1: read_diagnosis(completion.text, self._prompts.texts["diagnosis"])}
        found = read_clustered(completion.text, len(cluster), self._prompts.texts["diagnosis_clustered"])
        # What was paid for before a cut is kept, but for the last one, which may miss a part.
        return dict(list(found.items())[:-1]) if completion.failure else found

    def _diagnosis(self, case: ErrorCase, reading: Reading, completion: Completion, cost: _Cost) -> Diagnosis:
        failure = ""
        if reading.problem:
            failure = completion.failure or f"the answer cannot be read: {reading.problem}"
        return Diagnosis(
            example=case.example.uid,
            attempt=case.attempt.prediction,
            teacher=self.name,
            items=() if failure else tuple(reading.items),
            cause="" if failure else reading.cause,
            failure=failure,
            **vars(cost),
        )

    # --- inductions ---------------------------------------------------------------------------------------------------

    def plan_inductions(self, clusters: Sequence[ErrorCluster]) -> list[Request]:
        """The requests that `inductions` sends first; for each of them a repair may follow."""
        return [self._ask_of_all(cluster) for cluster in clusters]

    def inductions(self, clusters: Sequence[ErrorCluster]) -> Iterator[Induction]:
        """A procedure or rules for each cluster; a failure where the answer is unreadable, also after one repair.

        Raises:
            Unanswered: calls about some clusters were not answered; all others are yielded before.
        """
        unanswered: dict[str, str] = {}
        again: list[tuple[ErrorCluster, Request, _Cost]] = []
        shown = self._prompts.texts["induction"]
        for cluster, completion in zip(clusters, self._chat.complete(self.plan_inductions(clusters)), strict=True):
            if completion.unanswered:
                unanswered[cluster.key] = completion.failure
                continue
            cost = _Cost()
            cost.add(completion)
            reading = induction_reply.read_induction(completion.text, shown)
            if reading.problem and self._settings.repair and not completion.failure:
                asked = self._ask_of_all(cluster).messages
                problem = self._prompts.fill("induction_repair", problem=reading.problem)
                turns = (*asked, Message("assistant", completion.text), Message("user", problem))
                again.append((cluster, self._induction_request(f"induction-repair:{cluster.key}", turns), cost))
            else:
                yield self._induction(cluster, reading, completion, cost)
        repaired = self._chat.complete([request for _, request, _ in again])
        for (cluster, _, cost), completion in zip(again, repaired, strict=True):
            if completion.unanswered:
                unanswered[cluster.key] = completion.failure
                continue
            cost.add(completion)
            reading = induction_reply.read_induction(completion.text, shown)
            yield self._induction(cluster, reading, completion, cost)
        _tell_of(unanswered)

    def _ask_of_all(self, cluster: ErrorCluster) -> Request:
        text = self._prompts.fill("induction", errors=self._errors(cluster.cases, _CLUSTER_WORDS))
        return self._induction_request(f"induction:{cluster.key}", (Message("user", text),))

    def _induction_request(self, key: str, messages: tuple[Message, ...]) -> Request:
        return Request(key, messages, max_tokens=self._settings.max_tokens, schema=induction_reply.SCHEMA)

    def _induction(self, cluster: ErrorCluster, reading: Reading, completion: Completion, cost: _Cost) -> Induction:
        failure = completion.failure or (f"the answer cannot be read: {reading.problem}" if reading.problem else "")
        return cluster.induction(self.name, () if failure else reading.items, failure, **vars(cost))

    # --- asking anew ---------------------------------------------------------------------------------------------------

    def forget(self, rationales: Sequence[str], diagnoses: Sequence[str], inductions: Sequence[str] = ()) -> None:
        """Drop stored answers about these questions (`Example.uid`) and clusters (`ErrorCluster.key`), to ask for them again."""
        samples, shared = range(self._settings.samples), range(1, 2 * self._settings.cluster)
        keys = [f"rationale:{uid}:{index}" for uid in rationales for index in samples]
        keys += [f"hinted:{uid}:0" for uid in rationales]
        keys += [f"{kind}:{uid}" for uid in diagnoses for kind in ("diagnosis", "repair")]
        keys += [f"diagnosis:{uid}+{others}" for uid in diagnoses for others in shared]
        keys += [f"{kind}:{key}" for key in inductions for kind in ("induction", "induction-repair")]
        self._chat.forget(keys)


def asked_about(key: str) -> tuple[str, ...]:
    """The question (`Example.uid`) that a call's key names, as far as the key shows where its name ends."""
    named = key.partition(":")[2]
    return (named, named.rpartition(":")[0], named.rpartition("+")[0])


def _tell_of(unanswered: Mapping[str, str]) -> None:
    """End with the questions that are still open, each with its reason."""
    if unanswered:
        raise Unanswered(len(unanswered), next(iter(unanswered.values())))


def _gold(example: Example) -> str:
    """The right answer; of a choice with the text of its option."""
    letter = grading.option_letter(example.answer, example.options) if example.options else ""
    return f"{letter} {example.options[ord(letter[1]) - ord('A')]}" if letter else example.answer


def _flaw(text: str, answer: str, example: Example, hinted: bool) -> str:
    """The flaw of a chain of thought, apart from its answer; "" where nothing was found."""
    if not text:
        return "no working"
    if equation := false_equation(text):
        return f"false: {equation}"
    if not example.options and not comes_to(text, answer):
        return f"the working never comes to {answer}"
    if hinted and (told := _TELLS.search(text)):
        return f"speaks of the hint: {told.group()!r}"
    return ""
