"""A trial of a finished run's base: ask, edit the fact that the answer rests on, ask again, put the fact back."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from nesycd.calls import LOOK_UP
from nesycd.core.records import Fact, Status
from nesycd.methods.table import MAIN
from nesycd.reports.folder import RunFiles

TITLE = "Try it: the answer changes with the base, nothing is trained (the last command puts the fact back)"
_WHOLE = re.compile(r"(?<![\w.,])\d+(?![\w.,]\d)\b")


@dataclass(frozen=True)
class Trial:
    """An edit that changes an answer.

    Attributes:
        question: of the test questions, answered rightly by looking up one fact.
        fact: as it is in the base.
        object: what to make of the fact's object: its first whole number, one more.
        text: the fact's text with that object.
    """

    question: str
    fact: Fact
    object: str
    text: str

    def commands(self, run: RunFiles) -> tuple[str, str, str, str]:
        """To ask, to edit, to ask again, and to put the fact back."""
        base = str(run.folder / "kb.sqlite")
        ask = shlex.join(["nesycd", "ask", self.question, "--method", MAIN, "--run", run.called])
        made = self.fact.model_copy(update={"object": self.object, "text": self.text})

        def edit(old: Fact, new: Fact) -> str:
            words = ["nesycd", "kb", "edit", old.id, "--object", new.object, "--text", new.text, "--kb", base]
            return shlex.join(words)

        return ask, edit(self.fact, made), ask, edit(made, self.fact)


def trial_of(run: RunFiles) -> Trial | None:
    """The trial with the shortest question; None where no answer rests on one fact with a number."""
    approved = (entry.item for entry in run.entries if entry.status is Status.APPROVED)
    facts = {item.id: item for item in approved if isinstance(item, Fact)}
    best: Trial | None = None
    for split, examples in run.examples.items():
        for uid, attempt in run.attempts.get((MAIN, split), {}).items():
            asked = [call for call in attempt.calls if call.name == LOOK_UP]
            example = examples.get(uid)
            if example is None or example.options or not attempt.correct or len(asked) != 1:
                continue
            [found, *others] = [facts.get(item) for item in asked[0].items] or [None]
            if found is None or others or not _WHOLE.search(found.object) or found.object not in found.text:
                continue
            if "\n" not in example.question and (best is None or len(example.question) < len(best.question)):
                changed = _WHOLE.sub(lambda number: str(int(number[0]) + 1), found.object, count=1)
                best = Trial(example.question, found, changed, found.text.replace(found.object, changed))
    return best
