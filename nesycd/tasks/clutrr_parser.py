"""CLUTRR read by regular expressions: what a programmer's afternoon gives, written by reading stories of the training pool only.

A name stands in brackets. What is looked for is a relation's word beside two names, or beside one name and `his` or `her`, which
is taken for the nearest name before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nesycd.core.text import sentences

_WORDS = {
    "mom": "mother", "mommy": "mother", "dad": "father", "daddy": "father", "boy": "son", "girl": "daughter", "sis": "sister",
    "bro": "brother", "grandma": "grandmother", "grandmom": "grandmother", "granny": "grandmother", "grandpa": "grandfather",
    "granddad": "grandfather", "grandad": "grandfather", "hubby": "husband",
}  # fmt: skip
_FEMALE = ("mother", "daughter", "sister", "wife", "aunt", "niece", "grandmother", "granddaughter")
_MALE = ("father", "son", "brother", "husband", "uncle", "nephew", "grandfather", "grandson")
_NAME = re.compile(r"\[([^\]]+)\]")
_ANY = "|".join(sorted((*_WORDS, *_FEMALE, *_MALE), key=len, reverse=True))
_KIN = rf"(?P<kin>{_ANY})(?P<law>[- ]in[- ]law)?s?\b(?!'s (?!name))"
_OTHER = r"(?:(?!\band\b)[\w-]+ ){0,3}?"
"""Words between, such as `favorite` or `two year old`."""
_A, _B = r"\[(?P<one>[^\]]+)\]", r"\[(?P<other>[^\]]+)\]"
_CALLED = r"(?:,|'s name)?(?: (?:is|was|who is|named|called))*,?"
_AND = r"(?:[^.\[\]]* \[[^\]]+\],?(?: \[[^\]]+\],)* and (?:other )?)"
"""Between the first and the last of several: `her sons Al and Bob`, `his daughter Ann and son Bob`."""
_PATTERNS = (
    rf"{_A} ?'s? {_OTHER}{_KIN}{_CALLED} {_B}",  # Ann's son Bob, Ann's son is Bob
    rf"{_A} ?'s? {_OTHER}{_KIN}{_AND}{_B}",
    rf"{_A}(?: \w+){{0,4}} (?:has|had|have|with) (?:a|an|one|two|three|only) {_OTHER}{_KIN}{_CALLED} {_B}",
    rf"{_B},?(?: (?:is|was|who|being|the|one|of|as))* {_A} ?'s? {_OTHER}{_KIN}(?!{_CALLED} \[)",  # Bob is Ann's son
    rf"{_B},?(?: (?:is|was|who|became|being))* (?:the|a|an) {_OTHER}{_KIN} (?:of|to) (?:[a-z]+ ){{0,3}}{_A}",
)
_POSSESSIVE = (
    rf"\b(?P<whose>his|her) {_OTHER}{_KIN}{_CALLED} {_B}",  # her son Bob
    rf"\b(?P<whose>his|her) {_OTHER}{_KIN}{_AND}{_B}",
    rf"\b(?P<whose>his|her) [^.]*\] and {_KIN},? {_B}",
    rf"{_B},?(?: (?:is|was|who|to be))*,? (?P<whose>his|her) {_OTHER}{_KIN}(?!{_CALLED} \[)",  # Bob is her son
)
_MARRIED = re.compile(
    rf"{_A}(?: (?:is|was|got|and|her|his|are|has been))* (?:married(?: to)?|marry) {_B}", re.IGNORECASE
)
_NAMED_AFTER = re.compile(rf"({_KIN})([^.\[\]]*)\. (?:His|Her) name is (\[[^\]]+\])", re.IGNORECASE)


def read_story(story: str) -> tuple[list[tuple[str, str, str]], dict[str, str]]:
    """The relations that a story tells, in its order, and each person's sex as far as it tells that.

    >>> read_story("[Ann] took her son [Bob] to the park. [Cid] is [Ann]'s brother.")
    ([('Ann', 'son', 'Bob'), ('Ann', 'brother', 'Cid')], {'Ann': 'female', 'Bob': 'male', 'Cid': 'male'})
    """
    sexes: dict[str, str] = {}
    found: dict[tuple[str, str, str], None] = {}
    before: list[str] = []
    for sentence in sentences(_NAMED_AFTER.sub(r"\1 \5\4", story.replace("] [", "]. ["))):
        found |= dict.fromkeys(kin for kin in _kin(sentence, before, sexes) if kin[0] != kin[2])
        before = _NAME.findall(sentence) or before
    return list(found), sexes


def _kin(sentence: str, before: list[str], sexes: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    for pattern in _PATTERNS:
        for match in re.finditer(pattern, sentence, re.IGNORECASE):
            yield _named(match, match["one"], sexes)
    for pattern in _POSSESSIVE:
        for match in re.finditer(pattern, sentence, re.IGNORECASE):
            sex = "male" if match["whose"].lower() == "his" else "female"
            near = [*before[:1], *_NAME.findall(sentence[: match.start()])]
            whose = next((one for one in reversed(near) if one != match["other"] and sexes.get(one, sex) == sex), "")
            if whose:
                sexes[whose] = sex
                yield _named(match, whose, sexes)
    for match in _MARRIED.finditer(sentence):
        for one, other in ((match["one"], match["other"]), (match["other"], match["one"])):
            sex = sexes.get(other) or {"male": "female", "female": "male"}.get(sexes.get(one, ""), "")
            if sex:
                yield one, "husband" if sex == "male" else "wife", other


def _named(match: re.Match[str], one: str, sexes: dict[str, str]) -> tuple[str, str, str]:
    word = match["kin"].lower()
    relation = _WORDS.get(word, word)
    sexes[match["other"]] = "female" if relation in _FEMALE else "male"
    return one, relation + ("-in-law" if match["law"] else ""), match["other"]
