"""Chains of relations that a question spells out around a name: `X's father's mother`, `the mother of the father of X`.

A spelled-out chain says which facts are needed, in which order, and so which of an entity's other facts are not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nesycd.retrieval.words import Token, stem

Chain = tuple[frozenset[str], ...]
"""Stems of the relations to follow from the named entity, one step each; a step of several asks for all of them."""

_BETWEEN = frozenset({"of", "the", "a", "an"})
_TOGETHER = frozenset({"and", "or", "the"})
_MAX_STEPS = 8


def relation_chain(words: Sequence[Token], start: int, end: int, relations: Collection[str]) -> Chain:
    """The chain right after the mention in tokens `start` to `end` (exclusive), and on from there the one before it.

    `The mother of X's father` is X's father's mother.

    Args:
        words: of the question.
        start: first token of the mention.
        end: one past its last token.
        relations: stems of the KB's relations.
    """
    after = _steps(words, range(end, len(words)), relations, frozenset[str]())
    before = _steps(words, range(start - 1, -1, -1), relations, _BETWEEN)
    return (after + before)[:_MAX_STEPS]


def _steps(words: Sequence[Token], places: Sequence[int], relations: Collection[str], skipped: frozenset[str]) -> Chain:
    """Relation words read off in the order of `places`, until one comes that neither is a relation nor is skipped."""
    steps: list[set[str]] = []
    joining = stepping = False
    for place in places:
        word = words[place].word
        if stem(word) in relations:
            if joining and not stepping and steps:
                steps[-1].add(stem(word))
            else:
                steps.append({stem(word)})
            joining = stepping = False
        elif steps and word in _TOGETHER - skipped:
            joining = True
        elif word in skipped:
            stepping = stepping or word == "of"
        else:
            break
    return tuple(frozenset(step) for step in steps)
