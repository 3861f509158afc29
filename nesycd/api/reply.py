"""The answer to one question of a finished run, with all that it rests on."""

from __future__ import annotations

from dataclasses import dataclass

from nesycd.core.answers import Call, Prediction
from nesycd.core.cards import trace_table
from nesycd.core.markup import Child, tag
from nesycd.core.notebook import MOST_SHOWN, cut, shown
from nesycd.core.records import Hit
from nesycd.core.segments import Segment
from nesycd.prompts import Shown
from nesycd.reports.trace import told_of


@dataclass(frozen=True, repr=False)
class Reply:
    """An answer to one question.

    Attributes:
        text: what the student wrote, including text supplied to it (`segments` distinguishes them).
        answer: what was extracted from it; "" where no answer was found.
        items: the knowledge in its prompt, in order.
        hits: what was retrieved from the knowledge base, in the prompt or not, with the reasons.
        routed: whether knowledge was asked for.
        reason: why it was, or was not, in one sentence.
        draft: the closed-book answer, where the method starts with one.
        note: remark on the knowledge base, such as that it was edited since the student was trained; or "".
    """

    question: str
    method: str
    text: str
    answer: str
    items: tuple[Shown, ...]
    hits: tuple[Hit, ...]
    routed: bool
    reason: str
    segments: tuple[Segment, ...]
    trace: tuple[Call, ...]
    draft: Prediction | None = None
    note: str = ""

    def __repr__(self) -> str:
        """Answer, method and number of items."""
        found = repr(cut(self.answer, 60)) if self.answer else "no answer found"
        return f"<reply {found} by {self.method}, with {len(self.items)} items of knowledge>"

    def __str__(self) -> str:
        """The answer with its text and its calls."""
        return "\n".join([self.answer or "no answer found", self.text, *map(told_of, self.trace)])

    def _repr_html_(self) -> str:
        """For notebooks: the answer, the text with what was supplied underlined, the knowledge in the prompt, and the calls."""
        items = [tag("li", cut(item.text)) for item in self.items]
        return shown(
            tag("p", tag("b", cut(self.answer) or "no answer found")),
            tag("p", self._marked()),
            tag("ul", items) if items else None,
            trace_table(self.trace) if self.trace else None,
            tag("small", "; ".join(told for told in (self.reason, self.note) if told)),
        )

    def _marked(self) -> list[Child]:
        left, made = MOST_SHOWN, list[Child]()
        for segment in self.segments:
            if left > 0:
                told = cut(segment.text, left)
                made.append(tag("u", told, title="supplied") if segment.source == "supplied" else told)
            left -= len(segment.text)
        return made
