"""What the classifier router looks at: numbers of the draft, of what was found, and of the question."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from nesycd.core.protocols import Draft
from nesycd.core.records import Fact, Hit, Item
from nesycd.core.text import normal

ALGORITHM = 1
"""Grows when a feature would be counted otherwise."""
DRAFT = ("least_margin", "margin", "largest_entropy", "entropy")
HITS = ("hits", "top_score", "sum_scores", "covered")
QUESTION = ("words", "digits")
WORD = "word:"
"""Begins the name of a feature that says whether a word stands in the question."""
MAX_WORDS = 24
"""Words that get a feature: there are few held-out questions."""
_MIN_SHARE = 0.05
_LONG = 4
"""Letters of a word that may name something; most shorter ones are grammar."""
_TOKEN = re.compile(r"[^\W\d_]+")


def values(names: Sequence[str], draft: Draft, question: str, hits: Sequence[Hit]) -> list[float | None]:
    """The features of these names, in order; None where the draft's entropy was not measured.

    `hits`: how many items were found; `top_score`, `sum_scores`: by retrieval's own scores; `covered`: share of the
    question's longer words that the items hold; `words`, `digits`: of the question.
    """
    asked = _TOKEN.findall(normal(question))
    scores = [hit.score for hit in hits]
    held = {word for hit in hits for word in _TOKEN.findall(normal(_text(hit.item)))}
    telling = {word for word in asked if len(word) >= _LONG}
    known: dict[str, float | None] = {
        **{name: getattr(draft, name) for name in DRAFT},
        "hits": float(len(hits)),
        "top_score": max(scores, default=0.0),
        "sum_scores": float(sum(scores)),
        "covered": len(telling & held) / len(telling) if telling else 0.0,
        "words": float(len(asked)),
        "digits": float(sum(character.isdigit() for character in question)),
    }
    words = {*asked}
    return [float(name[len(WORD) :] in words) if name.startswith(WORD) else known[name] for name in names]


def word_names(questions: Sequence[str]) -> tuple[str, ...]:
    """Names of the word features: the commonest words of these questions that neither nearly all nor hardly any have."""
    counts = Counter(word for question in questions for word in {*_TOKEN.findall(normal(question))})
    least = max(2.0, _MIN_SHARE * len(questions))
    telling = [(word, count) for word, count in counts.items() if least <= count <= len(questions) - least]
    # What half of the questions have tells most; ties go by the word.
    telling.sort(key=lambda pair: (abs(pair[1] - len(questions) / 2), pair[0]))
    return tuple(WORD + word for word, _ in telling[:MAX_WORDS])


def _text(item: Item) -> str:
    return " ".join((item.text, item.subject, *item.aliases)) if isinstance(item, Fact) else item.text
