"""English text processing for retrieval: tokens with positions, singular forms, stop words, light stems."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

STOPWORDS = frozenset(
    """
    a about above after again all also am an and any are as at be because been before being below between both but
    by can could did do does doing done down during each either else ever every few for from further get gets give
    given gives go goes had has have having he her here hers him his how however i if in into is it its itself just
    let like made make makes many may me might more most much must my no nor not now of off on once one only or
    other our out over own per please put same say says shall she should so some such take than that the their them
    then there these they this those through to too under until up upon us use used uses using very was we were what
    when where whether which while who whom whose why will with without would yes yet you your
    """.split()  # noqa: SIM905 - a list literal is formatted to a line a word
)
"""Stop words; a name made of one is only linked where its case shows it."""

IRREGULAR = {
    "feet": "foot", "men": "man", "women": "woman", "children": "child", "teeth": "tooth", "geese": "goose",
    "mice": "mouse", "oxen": "ox", "people": "person", "pence": "penny", "dice": "die", "halves": "half",
    "data": "datum", "indices": "index", "vertices": "vertex", "axes": "axis", "brethren": "brother",
}  # fmt: skip
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*[#♯♭]*")
_POSSESSIVE = re.compile(r"['’]s?$", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?:\n]\s*$")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text: as compared (`word`), as written, and what stands right before it."""

    word: str
    written: str
    opens_sentence: bool
    joined: bool
    """Whether a hyphen ties it to the token before."""


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """`text` without case and accents, and with straight apostrophes."""
    decomposed = unicodedata.normalize("NFKD", text.casefold().replace("’", "'"))
    return "".join(char for char in decomposed if not unicodedata.combining(char))


@lru_cache(maxsize=8192)
def tokens(text: str) -> tuple[Token, ...]:
    """The words of `text`; possessive endings are dropped, hyphenated words come apart."""
    text = unicodedata.normalize("NFC", text)
    found: list[Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        between = text[end : match.start()]
        written = _POSSESSIVE.sub("", match.group())
        opens = not found or _SENTENCE_END.search(between) is not None
        joined = bool(found) and between in {"-", "‐", "‑", "–"}
        found.append(Token(fold(written), written, opens, joined))
        end = match.end()
    return tuple(found)


def spans(text: str) -> list[tuple[int, int]]:
    """Where each of the `tokens` of a text stands: first character and end (exclusive), without possessive endings.

    Of a text that is not in Unicode's composed form (NFC) the places are those in that form.
    """
    text = unicodedata.normalize("NFC", text)
    return [(match.start(), match.start() + len(_POSSESSIVE.sub("", match.group()))) for match in _TOKEN.finditer(text)]


@lru_cache(maxsize=65536)
def singulars(word: str) -> tuple[str, ...]:
    """What `word` may be the plural of; () where it does not look like one."""
    if word in IRREGULAR:
        return (IRREGULAR[word],)
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return ()
    forms = [word[:-1]]
    if word.endswith("ies") and len(word) > 4:
        forms.append(word[:-3] + "y")
    elif word.endswith("ves"):
        forms += [word[:-3] + "f", word[:-3] + "fe"]
    elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        forms.append(word[:-2])
    return tuple(forms)


@lru_cache(maxsize=65536)
def forms(word: str) -> frozenset[str]:
    """`word` and what it may be the plural of. Two words may be one word's forms where their forms overlap."""
    return frozenset((word, *singulars(word)))


def _trunk(word: str) -> str:
    """What all regular forms of a word have in common, and many other words too."""
    bare = word.rstrip("se") or "s"
    return bare[:-1] + _FINALS.get(bare[-1], bare[-1])


_FINALS = {"i": "y", "v": "f"}
"""Cherries and cherry, leaves and leaf."""
_IRREGULAR_TRUNKS = {_trunk(plural): _trunk(single) for plural, single in IRREGULAR.items()}


@lru_cache(maxsize=65536)
def root(word: str) -> str:
    """A key that words whose `forms` overlap always share, though words that share it may be strangers (`base`, `ba`)."""
    trunk = _trunk(word)
    for _ in _IRREGULAR_TRUNKS:  # a bound: should two irregular words ever lead to each other
        if (onward := _IRREGULAR_TRUNKS.get(trunk, trunk)) == trunk:
            break
        trunk = onward
    return trunk


@lru_cache(maxsize=65536)
def stem(word: str) -> str:
    """`word` without plural, -ing, -ed, -ly, -al after v, s or w, and final e: enough for one word's forms to meet in the index.

    >>> stem("approvals"), stem("approves"), stem("approved")
    ('approv', 'approv', 'approv')
    """
    if not word.isalpha():
        return word
    if word in IRREGULAR:
        word = IRREGULAR[word]
    elif len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    for ending in ("ing", "ed", "ly"):
        if word.endswith(ending) and len(word) >= len(ending) + 4:
            word = word[: -len(ending)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]  # planned -> plan
            break
    if word.endswith(("val", "sal", "wal")) and len(word) >= 7:
        return word[:-2]  # approval -> approv, as approve
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def content_stems(text: str) -> list[str]:
    """Stems of the words of `text` that are no stop words, in order, repetitions kept."""
    found = map(_content_stem, _TOKEN.findall(unicodedata.normalize("NFC", text)))
    return [one for one in found if one is not None]


@lru_cache(maxsize=65536)
def _content_stem(written: str) -> str | None:
    """The stem of a word as written; None for stop words."""
    word = fold(_POSSESSIVE.sub("", written))
    return None if word in STOPWORDS else stem(word)
