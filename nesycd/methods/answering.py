"""A finished run's student, knowledge and router as one: what a user gets who asks it. No run folder is written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nesycd.core.protocols import Generation, Prompt, Router, Student, Task
from nesycd.core.records import Example, Hit, content_hash
from nesycd.methods.knowledge import Knowledge
from nesycd.prompts import Prompts


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        prompt: hash of all that the student read for it: two replies of one student that agree in it are equal.
        routed: whether it was given with knowledge.
        hits: what was found for the question, shown to the student or not.
        response: what the student wrote; `answer`: what was extracted from it, "" where none was found.
    """

    prompt: str
    routed: bool
    hits: tuple[Hit, ...]
    response: str
    answer: str


@dataclass(frozen=True)
class Asked:
    """A question on its way: its draft, what was found, and what the student is to read."""

    example: Example
    draft: Generation
    hits: tuple[Hit, ...]
    routed: bool
    prompt: str


@dataclass(frozen=True)
class Answerer:
    """Answers as the run's routed arm does.

    Attributes:
        adapters: `general` (S_P) and `augmented` (S_E).
        closed_book: which of them writes the drafts.
        max_new_tokens: limit of an answer.
    """

    student: Student
    prompts: Prompts
    task: Task
    knowledge: Knowledge
    adapters: Mapping[str, Path]
    closed_book: str
    router: Router
    max_new_tokens: int

    def draft(self, examples: Sequence[Example]) -> list[Generation]:
        """Answers without knowledge: they hang on nothing in the knowledge base."""
        texts = [self.prompts.closed_book(example) for example in examples]
        return self._generate(self.closed_book, texts)

    def ask(self, examples: Sequence[Example], drafts: Sequence[Generation]) -> list[Asked]:
        """Look for knowledge and route. Milliseconds a question: nothing is generated."""
        asked = []
        for example, draft in zip(examples, drafts, strict=True):
            hits = tuple(self.knowledge.retriever.retrieve(self.knowledge.query(example), task=example.task))
            routed = self.router.route(draft, bool(hits))
            items = [hit.item for hit in hits] if routed else []
            asked.append(Asked(example, draft, hits, routed, self.prompts.with_knowledge(example, items)))
        return asked

    def answer(self, asked: Sequence[Asked]) -> list[Reply]:
        """Answers to what was asked: the draft where it stands, else a second answer with what was found."""
        routed = [one for one in asked if one.routed]
        made = dict(
            zip(
                [one.example.uid for one in routed],
                self._generate("augmented", [one.prompt for one in routed]),
                strict=True,
            )
        )
        replies = []
        for one in asked:
            response = made[one.example.uid].text if one.routed else one.draft.text
            answer = self.task.extract(response, one.example)
            replies.append(Reply(prompt_hash(one), one.routed, one.hits, response, answer))
        return replies

    def _generate(self, adapter: str, texts: Sequence[str]) -> list[Generation]:
        prompts = [Prompt(str(number), text) for number, text in enumerate(texts)]
        made: dict[int, Generation] = {}
        for batch in self.student.plan(prompts) if prompts else ():
            generations = self.student.generate(
                [prompts[index] for index in batch],
                adapter=self.adapters[adapter],
                max_new_tokens=self.max_new_tokens,
            )
            made.update(zip(batch, generations, strict=True))
        return [made[index] for index in range(len(prompts))]


def prompt_hash(asked: Asked) -> str:
    """Hash of the prompt and of which student reads it."""
    return content_hash([asked.routed, asked.prompt])
