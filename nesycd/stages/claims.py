"""What a working says of a proposed fact: whether it states it, or another value, and whether its answer rests on it.

Amounts are compared as numbers (`two gallons`, `2 gallons`, `5 pecks = 10 gallons`), names in any inflection. What cannot be read
for sure counts as not said. Reads texts only: no question's truth, no knowledge base.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from nesycd.core.records import Fact
from nesycd.core.text import sentences
from nesycd.grading.arithmetic import replayed, rests_on
from nesycd.grading.computed import number_of, plain, read_tokens
from nesycd.retrieval.words import STOPWORDS, fold, forms, stem

_WINDOW = 14
"""Words after a subject among which its value is sought."""
_BESIDE = 6
"""Words between a subject and its object where the relation is not named."""
_NEAR = 8
"""Words after a subject within which another value counts as its value."""
_LEFT_OUT = 400
"""Words of a sentence that are still read."""
_NUMBERS = {
    word: Fraction(number)
    for number, words in enumerate(
        (
            "zero", "one first", "two second", "three third", "four fourth", "five fifth", "six sixth", "seven seventh",
            "eight eighth", "nine ninth", "ten tenth", "eleven eleventh", "twelve twelfth", "thirteen thirteenth",
            "fourteen fourteenth", "fifteen fifteenth", "sixteen sixteenth", "seventeen seventeenth", "eighteen eighteenth",
            "nineteen nineteenth", "twenty twentieth",
        )
    )
    for word in words.split()
}  # fmt: skip
_EACH = re.compile(r"(?<=[^\W\d_])(?:\}? ?/ ?(?:\\text\{)? ?| per )[^\W\d_]+")
"""`gallons/peck`, `gallons per peck`: what a sum is read without."""
_ORDINAL = frozenset({"st", "nd", "rd", "th"})
_ARTICLES = frozenset({"a", "an", "the", "each", "every", "per", "one"})
_ABOUT = frozenset({"about", "approximately", "exactly", "roughly", "around", "also", "only", "number"})
_LINKS = frozenset(
    """= : is are was were be equal equals makes make made has have had contains contain holds hold worth weighs measures consists
    comprises means spans covers comes counts falls fall lasts takes stands rises
    goes as""".split()  # noqa: SIM905 - a list of words is read more easily as a text
)
_JOINS = frozenset({"and", "plus", "minus", "or", "+", "-", "*", "/", "times", "with", "then", "by"})
_REST = frozenset({"added", "add", "adding", "more", "combined", "together", "multiplied", "divided", "subtracted"})
"""Words after which an amount is what something is done with, not what a subject is worth."""
_WITHIN = frozenset({"in", "per", "to", "of", "make", "makes", "equal", "equals", "=", "is", "are", "for"})
_GENERIC = frozenset(
    stem(word)
    for word in """type kind sort class category form member example value equal called known name part mean consist number
    amount total""".split()  # noqa: SIM905 - a list of words is read more easily as a text
)
"""Stems of relations that a sentence need not repeat: `is a type of` is said by `is a`."""


@dataclass(frozen=True)
class Said:
    """What a working says of a fact.

    Attributes:
        states: whether it states it.
        rests: whether its answer follows from what it states there, so that with another value it would be another one.
        alone: whether that is all that it follows from besides the question, so that the right answer leaves no other value.
        other: the value that it gives in its place; "" where it gives none.
        replayed: what its sums would come to with the fact's value in the place of that one; None where they do not rest on it.
    """

    states: bool = False
    rests: bool = False
    alone: bool = False
    other: str = ""
    replayed: Fraction | None = None


def said_of(
    fact: Fact,
    working: Sequence[Sentence],
    answer: str,
    asked: Sequence[Sentence] = (),
    others: frozenset[str] = frozenset(),
) -> Said:
    """What a working says of a fact.

    Args:
        fact: the subject, relation and object that are sought.
        working: its sentences (`read`).
        answer: that it comes to.
        asked: the sentences of its question.
        others: stems of other relations (`relation_stems`): a sentence that speaks of one of them does not state this one.

    >>> fact = Fact(text="A peck is 2 gallons.", subject="peck", relation="is", object="2 gallons")
    >>> asked = read("How many gallons are 5 pecks and 3 gallons?")
    >>> said_of(fact, read("One peck makes two gallons. 5 x 2 = 10. 10 + 3 = 13."), "13", asked)
    Said(states=True, rests=True, alone=True, other='', replayed=None)
    >>> said_of(fact, read("A peck is 4 gallons, so 3 pecks are 12 gallons."), "12")
    Said(states=False, rests=False, alone=False, other='4 gallons', replayed=None)
    """
    names = _called(fact)
    amount = _amount(fact.object)
    denied: _Amount | None = None
    for place, sentence in enumerate(working):
        mentions = [span for name in names for span in _mentions(name, sentence)]
        if not mentions:
            continue
        if amount is None:
            if _names(fact, mentions, sentence, others):
                return Said(True, _recurs(fact, [*working[:place], *working[place + 1 :], *asked, *read(answer)]))
            continue
        found = list(_amounts(fact, amount, mentions, sentence))
        if reached := {value.value for value, is_same in found if is_same}:
            sources, mine = rests_on(sums_of(working), answer), {amount.value, *reached}
            rests = not sources.isdisjoint(mine)
            return Said(True, rests, rests and sources <= mine | _given(asked))
        denied = denied or next((value for value, is_same in found if not is_same), None)
    if amount is None or denied is None:
        return Said()
    given, sums = _given(asked), sums_of(working)
    if denied.value in given:
        return Said(other=str(denied))  # which of the equal numbers is which cannot be told
    sources = rests_on(sums, answer)
    alone = denied.value in sources and sources <= {denied.value} | given
    return Said(False, False, alone, str(denied), replayed(sums, denied.value, amount.value, answer))


def sums_of(working: Iterable[Sentence]) -> str:
    """A working as its sums are read (`grading.arithmetic`): a sentence a line, without what a unit is counted by."""
    return _EACH.sub("", "\n".join(one.text for one in working))


def _given(asked: Sequence[Sentence]) -> set[Fraction]:
    """The numbers of a question, and 1."""
    return {*numbers_in(asked), Fraction(1)}


def numbers_in(text: Iterable[Sentence]) -> tuple[Fraction, ...]:
    """The numbers of a text, in order."""
    return tuple(word.value for sentence in text for word in sentence.words if word.value is not None)


def amount_of(fact: Fact) -> Fraction | None:
    """The number that a fact's object is; None where it is none."""
    amount = _amount(fact.object)
    return None if amount is None else amount.value


def stems_of(text: Iterable[Sentence]) -> frozenset[str]:
    """The stems of the words of a text that mean something."""
    return frozenset(stem for sentence in text for stem in _stems(sentence.words))


def place_of(fact: Fact, text: Sequence[Sentence]) -> int | None:
    """Where a text first names a fact's subject, in words from its beginning; None where it does not."""
    before = 0
    for sentence in text:
        found = [start for name in _called(fact) for start, _ in _mentions(name, sentence)]
        if found:
            return before + min(found)
        before += len(sentence.words)
    return None


# --- words ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A word, sign or number of a sentence; `value` of a number, `stem` of a word that means something."""

    text: str
    value: Fraction | None = None
    stem: str = ""


@dataclass(frozen=True)
class Sentence:
    """A sentence as written and as read."""

    text: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class _Amount:
    value: Fraction
    unit: frozenset[str]
    shown: str = ""

    def __str__(self) -> str:
        return self.shown


def read(working: str) -> list[Sentence]:
    """The sentences of a working."""
    return [Sentence(one, words[:_LEFT_OUT]) for one in sentences(working) if (words := _words(one))]


@lru_cache(maxsize=16384)
def _words(text: str) -> tuple[Word, ...]:
    found: list[Word] = []
    tokens = read_tokens(plain(text.replace("**", "")))
    for kind, token in tokens:
        if kind == "number":
            found.append(Word(token, number_of(token)))
            continue
        word = fold(token)
        if word in _ORDINAL and found and found[-1].value is not None:
            continue
        counted = bool(found) and found[-1].value is not None  # 60 second
        if kind == "word" and word in _NUMBERS and not counted:
            found.append(Word(word, _NUMBERS[word]))
        else:
            means = kind == "word" and (word not in STOPWORDS or token == "May")
            found.append(Word(word, None, stem(word) if means else ""))
    return tuple(found)


def _called(fact: Fact) -> list[tuple[Word, ...]]:
    """The names of a fact's subject."""
    return [name for one in (fact.subject, *fact.aliases) if (name := _name(one))]


def _name(text: str) -> tuple[Word, ...]:
    """A name without the articles before it."""
    words = _words(text)
    while words and words[0].text in _ARTICLES:
        words = words[1:]
    return words


def _mentions(name: Sequence[Word], sentence: Sentence) -> Iterator[tuple[int, int]]:
    words = sentence.words
    for start in range(len(words) - len(name) + 1):
        if all(_same(a, b) for a, b in zip(name, words[start : start + len(name)], strict=True)):
            yield start, start + len(name)


def _same(one: Word, other: Word) -> bool:
    if one.value is not None and other.value is not None:
        return one.value == other.value
    return not forms(one.text).isdisjoint(forms(other.text))


def _stems(words: Sequence[Word]) -> frozenset[str]:
    return frozenset(word.stem for word in words if word.stem)


@lru_cache(maxsize=16384)
def relation_stems(relation: str) -> frozenset[str]:
    """The stems of a relation of which a sentence must have one to state it; none of `is` or `is a type of`."""
    return _stems(_words(relation.replace("_", " "))) - _GENERIC


# --- amounts ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16384)
def _amount(text: str) -> _Amount | None:
    """A number with its unit: `2 gallons`, `the 10th letter`; None where a text is more, or none."""
    words = list(_words(text))
    while words and words[0].text in _ABOUT | _ARTICLES - {"one"}:
        words.pop(0)
    if not words or (value := words[0].value) is None or len(words) > 5:
        return None
    if any(word.value is not None or not word.text.isalpha() for word in words[1:]):
        return None
    return _Amount(value, _stems(words[1:]), text)


def _amounts(
    fact: Fact, amount: _Amount, mentions: Sequence[tuple[int, int]], sentence: Sentence
) -> Iterator[tuple[_Amount, bool]]:
    """The amounts that a sentence gives a subject, each with whether it is the fact's."""
    words, asked = sentence.words, relation_stems(fact.relation)
    is_told = not asked or not asked.isdisjoint(_stems(words))
    if not (amount.unit or is_told):
        return
    for start, end in mentions:
        times = _times(words, start)
        for at in range(end, min(end + _WINDOW, len(words))):
            if (value := _at(words, at, amount, asked)) is None or not _is_linked(words[end:at], asked):
                continue
            if value == times * amount.value and (times == 1 or words[at - 1].text not in _JOINS):
                yield _Amount(value, amount.unit), True
            elif at - end <= _NEAR and _is_whole(words, start, end, at, plain_links=times != 1):
                yield _told(words, at, value / times), False
                break
        for at in range(max(0, start - 6), start):
            if (
                times == 1
                and (value := _at(words, at, amount, asked)) is not None
                and _is_within(words[at + 1 : start])
            ):
                yield (_told(words, at, value), value == amount.value)


def _times(words: Sequence[Word], start: int) -> Fraction:
    """How many of the subject are spoken of: 5 in `5 pecks`."""
    before = words[start - 1].value if start else None
    return before if before else Fraction(1)


def _at(words: Sequence[Word], at: int, amount: _Amount, asked: frozenset[str]) -> Fraction | None:
    """The number at a place where it has the amount's unit, or both have none.

    The relation may be the unit: `minor ninth | semitones | 13`.
    """
    value = words[at].value
    if value is None:
        return None
    after = []
    for word in words[at + 1 : at + 4]:
        if not word.text.isalpha() or word.value is not None:
            break
        after.append(word)
    if amount.unit:
        near = [*after, *words[max(0, at - 1) : at]]  # 11 November, November 11
        return value if not amount.unit.isdisjoint(_stems(near)) else None
    # `13 isotopes` is no bare 13.
    return value if not after or not after[0].stem or after[0].stem in asked else None


def _is_linked(between: Sequence[Word], asked: frozenset[str]) -> bool:
    """Whether words say that what stands after them is what stands before them."""
    said = [word.text for word in between if word.text not in _ABOUT]
    if said and (said[-1] in {"and", "plus", "+", "or", "-", "minus"} or not _REST.isdisjoint(said)):
        return False
    return any(word in _LINKS for word in said) or not asked.isdisjoint(_stems(between))


def _is_whole(words: Sequence[Word], start: int, end: int, at: int, plain_links: bool) -> bool:
    """Whether an amount is the subject's by itself, no part of a sum and of no list, and the subject no part of a longer name."""
    if start and words[start - 1].stem:
        return False
    between = words[end:at]
    if any(word.value is not None or word.text in _JOINS for word in between):
        return False
    if plain_links and any(word.text not in _LINKS | _ABOUT | {"to"} for word in between):
        return False
    after = next((word.text for word in words[at + 1 :] if not word.text.isalpha()), "")
    return after not in {"*", "/", "+", "-", "="}


def _is_within(between: Sequence[Word]) -> bool:
    """`2 gallons in a peck`, `2 gallons make one peck`."""
    said = [word.text for word in between]
    return bool(said) and said[-1] in _ARTICLES | {"1"} and any(word in _WITHIN for word in said) and not (
        set(said) & (_JOINS - {"/"})
    )  # fmt: skip


def _told(words: Sequence[Word], at: int, value: Fraction) -> _Amount:
    unit = next((word.text for word in words[at + 1 : at + 2] if word.text.isalpha()), "")
    number = str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
    return _Amount(value, frozenset(), f"{number} {unit}".strip())


# --- names ------------------------------------------------------------------------------------------------------------


def _names(fact: Fact, mentions: Sequence[tuple[int, int]], sentence: Sentence, others: frozenset[str]) -> bool:
    """Whether a sentence says that the subject's relation is the object: by the relation's own word, or where the object stands
    right after the subject and no word tells of another relation."""
    words, asked = sentence.words, relation_stems(fact.relation)
    sought = _name(fact.object)
    for start, end in _mentions(sought, sentence) if sought else ():
        for first, last in mentions:
            if start < last and first < end:
                continue
            rest = [word for at, word in enumerate(words) if not (first <= at < last or start <= at < end)]
            if not asked.isdisjoint(_stems(rest)):
                return True
            between = words[last:start]
            is_near = last <= start <= last + _BESIDE and not any(
                word.value is not None or word.text in _JOINS | {",", ";"} for word in between
            )
            if is_near and _stems(rest).isdisjoint(others - asked) and not {"not", "no"} & {w.text for w in between}:
                return True
    return False


def _recurs(fact: Fact, elsewhere: Sequence[Sentence]) -> bool:
    """Whether anything besides a statement speaks of its object."""
    sought = _name(fact.object)
    return any(True for sentence in elsewhere for _ in _mentions(sought, sentence))


def words_of(fact: Fact) -> list[list[str]]:
    """The words of each name of a fact's subject, as `read` has them: a working that has none of these says nothing of it."""
    return [[word.text for word in name] for name in _called(fact)]
