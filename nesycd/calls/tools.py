"""The tools that students call: sums, computed after `7 x 11 =`, and look-ups in a knowledge base, after `[fathoms | makes]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, Protocol

from nesycd.calls import notation
from nesycd.calls.deriving import Rules
from nesycd.calls.lookup import LookedUp, LookUp
from nesycd.calls.programs import PROGRAM
from nesycd.core.answers import Call
from nesycd.core.errors import NesycdError
from nesycd.core.protocols import Supply
from nesycd.core.records import Example, Fact, content_hash
from nesycd.core.text import normal
from nesycd.grading import closing
from nesycd.grading.arithmetic import next_result
from nesycd.rules.statements import OPEN, parts_of

SUM = "sum"
"""Name of sums in traces."""
LOOK_UP = "look_up"
"""Name of look-ups in traces."""
DERIVE = "derive"
"""Name of goals that rules were asked for in traces."""
_VERSIONS = {SUM: 2, LOOK_UP: 2, DERIVE: 1}
"""Raised when results would be supplied otherwise."""


@dataclass(frozen=True)
class Sums:
    """Sums alone: what every method is lent where the recipe says so (`calls.sums`)."""

    @property
    def names(self) -> tuple[str, ...]:
        """See `Tools`."""
        return (_versioned(SUM),)

    @property
    def state(self) -> str:
        """See `Tools`."""
        return ""

    @property
    def ends(self) -> tuple[str, ...]:
        """See `Tools`."""
        return ("=", "$")

    def offers(self, question: str) -> Sequence[str]:
        """See `Tools`: none, sums are written as they come."""
        return ()

    def supply(self, text: str, question: str, trace: Sequence[Call]) -> Supply | None:
        """See `Tools`."""
        found = next_result(text)
        if not found:
            return None
        asked = text[max(text.rfind("\n"), text.rfind(". ")) + 1 :].strip()
        return Supply(found, Call(name=SUM, asked=asked, found=found.strip()))

    def allowed(self, text: str, question: str, trace: Sequence[Call]) -> Callable[[str], bool] | None:
        """See `Tools`: any sum may be written."""
        return None

    def agrees(self, question: str, trace: Sequence[Call]) -> bool:
        """See `Tools`: arithmetic does not change."""
        return True


class Base(Protocol):
    """What look-ups are answered from."""

    hold_names: bool
    """See `LookUp`."""

    @property
    def fingerprint(self) -> str:
        """Hash of all that results depend on."""
        ...

    @property
    def relations(self) -> Collection[str]:
        """The relations that can be asked for; none: any."""
        ...

    def offers(self, question: str) -> Sequence[tuple[str, str]]:
        """See `LookUp.offers`."""
        ...

    def find(self, name: str, relation: str, question: str = "", before: Sequence[str] = ()) -> LookedUp:
        """See `LookUp.find`."""
        ...


@dataclass(frozen=True, eq=False)
class Calls:
    """Look-ups in a knowledge base, goals for its rules, and sums.

    Attributes:
        base: what is looked up in.
        sums: whether sums are computed too.
        rules: what goals are asked of; None: none can be asked.
        stated: what the student said that the question states.
        task: of the question, for rules with a scope.
    """

    base: Base
    sums: Sums | None = None
    rules: Rules | None = None
    stated: tuple[str, ...] = ()
    task: str = ""

    def about(self, stated: Sequence[str], task: str) -> Calls:
        """The same for one question: with what the student said that it states."""
        return replace(self, stated=tuple(stated), task=task)

    @property
    def names(self) -> tuple[str, ...]:
        """See `Tools`."""
        derive = () if self.rules is None else (_versioned(DERIVE),)
        return (*(self.sums.names if self.sums else ()), _versioned(LOOK_UP), *derive)

    @property
    def state(self) -> str:
        """See `Tools`."""
        if self.rules is None:
            return self.base.fingerprint
        return content_hash([self.base.fingerprint, self.rules.fingerprint])

    @property
    def ends(self) -> tuple[str, ...]:
        """See `Tools`."""
        return (notation.END, *(self.sums.ends if self.sums else ()))

    def offers(self, question: str) -> Sequence[str]:
        """See `Tools`."""
        return [notation.write(name, relation) for name, relation in self.base.offers(question)]

    def supply(self, text: str, question: str, trace: Sequence[Call]) -> Supply | None:
        """See `Tools`."""
        request = notation.last_request(text)
        if request is None:
            return self.sums.supply(text, question, trace) if self.sums else None
        call = self._called(text[request.start :], request, question, trace)
        return Supply(f" {call.found}", call)

    def allowed(self, text: str, question: str, trace: Sequence[Call]) -> Callable[[str], bool] | None:
        """See `Tools`: a name must be a span of the question or of what was found before, a relation one that the base has, and
        the parts of a goal such names, relations or `?`."""
        part = notation.open_part(text)
        if part is None:
            return None
        kind, begun = part
        if kind == "goal":
            return self._goal_held(begun, question) if self.base.hold_names and question else None
        if kind == "relation":
            return _held(begun, self.base.relations, (notation.END,), whole=True) if self.base.relations else None
        before = [call.found for call in trace if call.name == LOOK_UP]
        if not self.base.hold_names or not question or any(map(notation.is_note, before)):
            return None
        asking = [notation.DERIVE] if self.rules is not None else []
        return _held(begun, [*asking, *_spans(question, *before)], (" |",), whole=False)

    def agrees(self, question: str, trace: Sequence[Call]) -> bool:
        """See `Tools`."""
        for place, call in enumerate(trace):
            if call.name != SUM:
                request = notation.last_request(call.asked)
                assert request is not None, call.asked
                now = replace(self, stated=call.given)._called(call.asked, request, question, trace[:place])
                if now.found != call.found:
                    return False
        return True

    def _called(self, asked: str, request: notation.Request, question: str, trace: Sequence[Call]) -> Call:
        before = [call for call in trace if call.name != SUM]
        if len(before) >= notation.MOST_CALLS:
            result = LookedUp(notation.NO_MORE, how=f"more than {notation.MOST_CALLS} in one answer")
        else:
            result = self._asked(request, question, [call.found for call in before])
        kind: Literal["value", "note"] = "note" if notation.is_note(result.found) else "value"
        name, given = (DERIVE, self.stated) if request.goal else (LOOK_UP, ())
        return Call(
            name=name, asked=asked, found=result.found, items=result.items, how=result.how, kind=kind, given=given
        )

    def _goal_held(self, begun: str, question: str) -> Callable[[str], bool] | None:
        parts = [
            OPEN,
            *(self.rules.relations if self.rules else ()),
            *(p for one in self.stated for p in parts_of(one)),
        ]
        return _held(begun, [*parts, *_spans(question)], (" |", notation.END), whole=False)

    def _asked(self, request: notation.Request, question: str, before: Sequence[str]) -> LookedUp:
        """What the base says; an error of it is told to the student, which goes on, and stands in the trace."""
        try:
            if request.goal:
                if self.rules is None:
                    return LookedUp(notation.NOTHING_FOLLOWS, how="no rules are asked here (calls.derive)")
                return self.rules.derive(request.goal, self.stated, question, self.task)
            return self.base.find(request.name, request.relation, question, before)
        except NesycdError as error:
            return LookedUp(notation.failed(str(error)), how=type(error).__name__)


class GoldFacts:
    """The needed facts of one question in the place of a base: a ceiling for calls (`gold calls`).

    A call gets the needed fact that it names; where it names none, the next one that no call has had.
    """

    hold_names = True

    def __init__(self, questions: Iterable[tuple[str, Sequence[Fact]]]) -> None:
        """`questions`: the text of each question with its needed facts, in the order of need."""
        self._facts = {question: tuple(facts) for question, facts in questions}
        self._bases: dict[str, LookUp] = {}

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the questions and their facts."""
        return content_hash([[question, [fact.id for fact in facts]] for question, facts in self._facts.items()])

    @cached_property
    def relations(self) -> Collection[str]:
        """The relations of all these facts."""
        return sorted({fact.relation for facts in self._facts.values() for fact in facts})

    def _base(self, question: str) -> LookUp:
        if question not in self._bases:
            self._bases[question] = LookUp.of_facts(self._facts.get(question, ()))
        return self._bases[question]

    def offers(self, question: str) -> Sequence[tuple[str, str]]:
        """See `LookUp.offers`."""
        return self._base(question).offers(question)

    def find(self, name: str, relation: str, question: str = "", before: Sequence[str] = ()) -> LookedUp:
        """See `LookUp.find`."""
        facts = self._facts.get(question, ())
        found = self._base(question).find(name, relation, question, before)
        if not notation.is_note(found.found):
            return found
        told = [normal(one) for one in before]
        for fact in facts:
            if (one := normal(notation.one_line(fact.object))) in told:
                told.remove(one)
            else:
                return LookedUp(notation.one_line(fact.object), (fact.id,), "the next needed fact")
        return found


_WORD = re.compile(r"\w+")


def _spans(*texts: str) -> list[str]:
    """What texts have from each of their words on, to the end of the line."""
    lines = [line for text in texts for line in text.splitlines()]
    return [line[match.start() :] for line in lines for match in _WORD.finditer(line)]


def _held(begun: str, known: Collection[str], close: tuple[str, ...], whole: bool) -> Callable[[str], bool] | None:
    """Tells whether a continuation leads along one of the known texts, or ends there and begins to close the part.

    None where the part is none that can be held.

    Args:
        begun: what the part has so far.
        known: texts that it may follow.
        close: what may close the part.
        whole: it may be closed at the end of a known text only, not after each of its words.
    """

    def ends(one: str, place: int) -> bool:
        if whole or place == len(one):
            return place == len(one)
        return place > 0 and not one[place - 1].isspace() and not (one[place - 1].isalnum() and one[place].isalnum())

    def leads(said: str) -> bool:
        for one in known:
            shared = next(
                (at for at, (a, b) in enumerate(zip(one, said, strict=False)) if a != b), min(len(one), len(said))
            )
            if shared == len(said):
                return True
            # A blank may be the text's own or the first character of what closes the part.
            for place in (shared, shared - 1):
                rest = said[place:]
                if place >= 0 and ends(one, place) and any(c.startswith(rest) or rest.startswith(c) for c in close):
                    return True
        return False

    # Brackets are not calls only: `[1, 2]`, or a text that did not follow a known one from the start.
    if not leads(begun):
        return None
    if whole:
        return lambda more: leads((begun + more).lstrip())
    return lambda more: leads((begun + more).lstrip()) or not (begun.strip() or more.lstrip()[:1].isalpha())


def as_read(text: str, trace: Iterable[Call]) -> str:
    """A response as people and graders read it: without its calls but sums, if the student made any; their results stay.

    Of a response that is a program only what it printed is read.
    """
    calls = list(trace)
    if program := next((call for call in calls if call.name == PROGRAM), None):
        return closing(program.found) if program.kind == "value" else ""
    return notation.without_calls(text) if any(call.name != SUM for call in calls) else text


def question_of(example: Example) -> str:
    """The part of a prompt that calls may read: the question with its options."""
    return "\n".join((example.question, *example.options))


def _versioned(name: str) -> str:
    return f"{name}/{_VERSIONS[name]}"
