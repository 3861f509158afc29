"""What the passages of a text state, by their form and without a language model.

- Facts: `Term: value`; values set apart (`The limit is 90 EUR for G1, 110 EUR for G2`); `The R of S is O`; `S costs O`; what
  `teachers.mining` reads in a sentence (`is a`, `part of`).
- Rules, as text: conditions, limits, duties and permissions (`If`, `up to`, `must`, `never`).
- Lessons: numbered and bulleted lists, each as one procedure.

Other passages state nothing that is understood here. A heading goes before a text that does not say what it says.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from nesycd.core.records import Fact, Item, Lesson, Rule
from nesycd.core.text import normal
from nesycd.documents.passages import LONGEST, Passage
from nesycd.documents.table_facts import is_or_are
from nesycd.teachers.mining import capital, stated_in, uncapital

NOT_UNDERSTOOD = "sentences of no known form"
LEANING = "sentences that need the one before them"
QUESTIONS = "questions"
TOO_LONG = "too long"

_SUBJECT = r"[^,;:()\"“”]{2,60}?"
_MONEY = r"(?:[€$£]\s?)?\d"
_AMOUNT = re.compile(rf"(?:about |around |roughly |approximately |exactly )?{_MONEY}")
_SEPARATOR = re.compile(rf",\s+(?:and\s+|or\s+)?|\s+and\s+(?={_MONEY})")
_APART = re.compile(rf"(?:The |the )?(?P<relation>{_SUBJECT}) (?P<verb>is|are|costs?) (?P<rest>{_MONEY}.*)")
_PART = re.compile(rf"(?P<value>{_MONEY}[^;]*?) (?P<joint>for|in|at|from|to|on|with) (?P<names>[^;]+)")
_NAMES = re.compile(r"\s+(?:and|or)\s+")
_OF = re.compile(
    rf"(?:The |the )?(?P<relation>{_SUBJECT}) (?:of|for) (?P<subject>{_SUBJECT}) (?:is|are) (?P<object>[^;:]+)"
)
_POSSESSIVE = re.compile(rf"(?P<subject>{_SUBJECT})['’]s (?P<relation>{_SUBJECT}) (?:is|are) (?P<object>[^;:]+)")
_VERBS = {
    "costs": "cost",
    "cost": "cost",
    "weighs": "weight",
    "weigh": "weight",
    "lasts": "duration",
    "last": "duration",
}
_MEASURED = re.compile(rf"(?P<subject>{_SUBJECT}) (?P<verb>{'|'.join(_VERBS)}) (?P<object>{_MONEY}[^;:]*)")
_IS_A = re.compile(rf"(?P<subject>{_SUBJECT}) (?:is|are) (?P<article>an?|the) (?P<object>[^;:]+)")
_IS_AMOUNT = re.compile(rf"(?P<article>An? )?(?:The )?(?P<relation>{_SUBJECT}) (?:is|are) (?P<object>{_MONEY}[^;:]*)")
_ARTICLE = re.compile(r"^(?:an?|the) ", re.IGNORECASE)
_NAME = re.compile(r"(?:[A-Z][^\s,;]*|of|de|van|von|the|and|&)(?: (?:[A-Z0-9][^\s,;]*|of|de|van|von|the|and|&)){0,6}")
_QUANTIFIED = re.compile(
    r"(?:all|each|every|any|no|both|some|most|many|few|neither|either|other|such|another|nothing|nobody|everybody|everyone|anyone"
    r"|only|what|who|whoever|whatever|which)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(
    r"\b(?:if|unless|except|only|when|where|provided|but|otherwise|until|plus|which|whose|that|because|while|not|than)\b",
    re.IGNORECASE,
)
_NO_NOUN = re.compile(
    r"^(?:to|in|on|at|by|for|from|with|without|as|after|before|of|this|that|these|those|its?|his|her|their|here|there|such|see)\b"
    r"|\b(?:it|he|she|they|we|you|i|is|are|was|were|has|have|had|can|may|must|will|shall|should|does|do|who|which|that|if|when|because)\b",
    re.IGNORECASE,
)
_LEANING = re.compile(
    r"(?:this|that|these|those|it|its|he|she|his|her|they|their|them|here|there|such|so|likewise"
    r"|the (?:same|former|latter|above|following)"
    r"|as (?:above|below)|see)\b",
    re.IGNORECASE,
)
_ELLIPTIC = re.compile(
    r"(?:above|below|over|under|beyond|up to|otherwise|else|until then|after that|before that|in that case|then|in such cases?"
    r"|exceptions?|the (?:rest|remainder|others?)|(?:if|when|unless|once|until) (?:it|they|he|she|this|that|these|so|not)\b)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:(?:please|note that|note|nb|important|remember that|in general|generally|however|therefore|thus|hence|moreover"
    r"|furthermore|in addition|also)\b[:,]? +)+",
    re.IGNORECASE,
)
_RULE = re.compile(
    r"^(?:if|when|whenever|where|in case|unless|once|as long as|provided|for|in the case|before|after|during|without|with)\b.*,"
    r"|\b(?:if|unless|except|otherwise|must|may|shall|should|can|cannot|need|needs|needed|never|always|only|every|each|any|all"
    r"|at most|at least|at the latest|no later|up to|more than|less than|fewer than|above|below|within|until|not|no|nobody"
    r"|requires?|required|allowed|permitted|forbidden|prohibited|entitled|due|refunded|reimbursed|paid|counts?|applies|apply"
    r"|approves?|approved|decides?|expires?|ends?|starts?|has to|have to)\b|n't\b",
    re.IGNORECASE,
)
_NUMBERING = re.compile(r"^\(?\d+(?:\.\d+)*[.)]?\s+")
_CONDITIONAL = re.compile(
    r"(?:if|when|whenever|where|in case|unless|once|as long as|provided) [^,]+,? .+", re.IGNORECASE
)
_GLOSSARY = frozenset(
    (
        "glossary",
        "definitions",
        "definition",
        "terms",
        "terminology",
        "abbreviations",
        "acronyms",
        "vocabulary",
        "key terms",
    )
)
"""Headings that say nothing of the terms below them but that they are explained."""
_WORD = re.compile(r"[^\W_]+")
_LONGEST_LIST = 1_500
_LONGEST_VALUE = 12
"""Words of a value; more are an explanation."""


def items_of(passages: Sequence[Passage], title: str = "") -> Iterator[tuple[Passage, list[Item], str]]:
    """What each passage states: with its items, or why it has none.

    Args:
        passages: of one document.
        title: of the document, which is no heading that tells what a sentence is about.
    """
    shared = _shared_terms(passages)
    contexts = _contexts(passages, title)
    topic, last = "", ""
    for passage in _joined(passages):
        heading = contexts[passage.headings]
        found, why = _items(passage, heading, shared)
        if topic and passage.before and passage.before == last and all(isinstance(item, Rule) for item in found):
            # What follows several values in one paragraph is about them: "One day is added for each five years."
            found, why = _items(replace(passage, text=_about(topic, passage.text)), heading, shared)
        topic, last = _topic(found) or (topic if passage.before else ""), passage.text
        yield passage, found, why


def _topic(items: Sequence[Item]) -> str:
    """What several values are told of."""
    relations = {item.relation for item in items if isinstance(item, Fact)}
    return capital(relations.pop()) if len(items) > 1 and len(relations) == 1 else ""


def _joined(passages: Iterable[Passage]) -> Iterator[Passage]:
    """The passages; a sentence that leaves out what the one before says (`Above that, ...`) is made one with that."""
    last: Passage | None = None
    for passage in chain.from_iterable(map(_parts, passages)):
        leans = passage.form == "sentence" and passage.before and _ELLIPTIC.match(passage.text)
        follows = last is not None and last.form == "sentence" and last.text.endswith(passage.before)
        if leans and follows and last is not None and len(last.text) <= LONGEST:
            last = replace(last, text=f"{last.text} {passage.text}", is_joined=True)
            continue
        if last is not None:
            yield last
        last = passage
    if last is not None:
        yield last


def _parts(passage: Passage) -> list[Passage]:
    """A list of conditions, each with what follows from it, is as many sentences; so is one that is too long."""
    if passage.form != "points":
        return [passage]
    conditions = all(_CONDITIONAL.match(entry) and len(entry) <= LONGEST for entry in passage.entries)
    if not conditions and sum(map(len, passage.entries)) + len(passage.text) <= _LONGEST_LIST:
        return [passage]
    lead = "" if conditions else passage.text
    lead = f"{lead} " if lead.endswith(":") else ""
    return [
        replace(
            passage,
            form="sentence",
            text=f"{lead}{entry}",
            line=line,
            sentence=1,
            entries=(),
            lines=(),
            is_joined=bool(lead),
        )
        for entry, line in zip(passage.entries, passage.lines, strict=True)
    ]


def _contexts(passages: Iterable[Passage], title: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Of each path of headings those that tell its part from all others: the last one, with as many above it as that needs."""
    named = {
        path: tuple(_NUMBERING.sub("", one).rstrip(" :.") for one in path if one != title)
        for path in {passage.headings for passage in passages}
    }
    ends = Counter(path[start:] for path in set(named.values()) for start in range(len(path)))
    return {
        path: next((own[start:] for start in range(len(own) - 1, -1, -1) if ends[own[start:]] == 1), own)
        for path, own in named.items()
    }


def _shared_terms(passages: Iterable[Passage]) -> frozenset[str]:
    """The terms that stand under several headings: there they say what is told of what the heading names."""
    under: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for passage in passages:
        if passage.form == "term":
            under[normal(passage.term)].add(passage.headings)
    return frozenset(term for term, places in under.items() if len(places) > 1)


def _items(passage: Passage, context: tuple[str, ...], shared: frozenset[str]) -> tuple[list[Item], str]:
    heading, subject = ": ".join(context), context[0] if context else ""
    if passage.form in ("steps", "points"):
        return _list(passage, heading)
    if len(passage.text) > LONGEST:
        return [], TOO_LONG
    if passage.form == "term":
        return _term(passage, heading, subject, shared)
    return _sentence(passage, heading, subject)


# --- sentences --------------------------------------------------------------------------------------------------------


def _sentence(passage: Passage, heading: str, about: str) -> tuple[list[Item], str]:
    said = passage.text.strip()
    if said.endswith("?"):
        return [], QUESTIONS
    said = capital(_OPENING.sub("", said))
    bare = said.rstrip(" .!;:")
    if _LEANING.match(bare):
        return [], LEANING
    if passage.is_joined:
        return [Rule(text=_about(heading, said))], ""
    if _ELLIPTIC.match(bare):
        return [], LEANING
    if len(bare.split()) < 3 or said.endswith(":"):
        return [], NOT_UNDERSTOOD
    if facts := list(_facts(bare, heading, about)):
        return list(facts), ""
    if mined := stated_in(said, heading or "In general"):
        return [one for one in mined if isinstance(one, Fact)] or [Rule(text=_about(heading, _ended(said)))], ""
    if _RULE.search(bare):
        return [Rule(text=_about(heading, _ended(said)))], ""
    return [], NOT_UNDERSTOOD


def _facts(bare: str, heading: str, about: str) -> Iterator[Fact]:
    """The facts of a sentence, by the first form that fits; `about` is what its heading names."""
    if apart := list(_set_apart(bare, heading)):
        yield from apart
    elif _CONDITION.search(bare) or _QUANTIFIED.match(bare):
        return
    elif found := _OF.fullmatch(bare) or _POSSESSIVE.fullmatch(bare):
        if _is_value(found["object"]) and _is_noun(found["relation"], 5) and _is_noun(found["subject"]):
            yield _fact(bare, heading, found["subject"], found["relation"], found["object"])
    elif found := _MEASURED.fullmatch(bare):
        if _is_noun(found["subject"]) and len(found["object"].split()) <= _LONGEST_VALUE:
            yield _fact(bare, heading, found["subject"], _VERBS[found["verb"]], found["object"])
    elif found := _IS_AMOUNT.fullmatch(bare):
        if _is_noun(found["relation"]) and len(found["object"].split()) <= _LONGEST_VALUE:
            # "The fee is 5 EUR" is said of what the heading names, "a fathom is 6 feet" of fathoms.
            is_told_of = _names_something(about) and not found["article"]
            subject, relation = (about, found["relation"]) if is_told_of else (found["relation"], "is")
            yield _fact(bare, heading, subject, relation, found["object"])
    elif (found := _IS_A.fullmatch(bare)) and _is_noun(found["subject"], 5):
        relation = "is" if found["article"] == "the" else "is a"
        yield _fact(bare, heading, found["subject"], relation, found["object"])


def _set_apart(bare: str, heading: str) -> Iterator[Fact]:
    """`The limit is 90 EUR for G1 and G2, 110 EUR for G3`: a fact for each name."""
    found = _APART.fullmatch(bare)
    if not found or not _is_noun(found["relation"]):
        return
    parts = [_PART.fullmatch(part) for part in _SEPARATOR.split(found["rest"])]
    if not all(parts) or len({part["joint"] for part in parts if part}) > 1:
        return
    named = [(part["value"], part["joint"], _NAMES.split(part["names"])) for part in parts if part]
    names = [name for _, _, some in named for name in some]
    if any(len(name.split()) > 5 or not re.search(r"[^\W\d_]", name) or _CONDITION.search(name) for name in names):
        return
    if len(names) == 1 and (_QUANTIFIED.match(names[0]) or _ARTICLE.match(names[0])):
        return
    relation = "cost" if found["verb"].startswith("cost") else found["relation"]
    for value, joint, some in named:
        for name in some:
            text = f"{bare[: found.start('rest')]}{value} {joint} {name}"
            yield _fact(text, heading, name, relation, value)


def _fact(text: str, heading: str, subject: str, relation: str, object_: str) -> Fact:
    about = _ARTICLE.sub("", subject.strip())
    said = uncapital(_ARTICLE.sub("", relation.strip()))
    return Fact(text=_about(heading, _ended(text)), subject=about, relation=said, object=object_.strip())


def _is_value(text: str) -> bool:
    """Whether a text is an amount, a name or a thing, and no more."""
    if len(text.split()) > _LONGEST_VALUE:
        return False
    return bool(_AMOUNT.match(text) or _NAME.fullmatch(text) or re.match(r"(?:an?|the) ", text))


def _names_something(heading: str) -> bool:
    """Whether a heading can be what its sentences are about."""
    return bool(heading) and ":" not in heading and _is_noun(heading, 5)


def _is_noun(text: str, most: int = 6) -> bool:
    return len(text.split()) <= most and not _NO_NOUN.search(text)


# --- terms and lists --------------------------------------------------------------------------------------------------


def _term(passage: Passage, heading: str, about: str, shared: frozenset[str]) -> tuple[list[Item], str]:
    term, said = passage.term.strip(), passage.text.strip()
    heading, about = ("", "") if normal(heading) in _GLOSSARY else (heading, about)
    value = said.rstrip(" .;")
    whole = _ended(f"{term}: {said}")
    if not value or not re.search(r"[^\W_]", term) or said.endswith("?"):
        return [], NOT_UNDERSTOOD
    is_amount = bool(_AMOUNT.match(value))
    if not is_amount and _RULE.search(value):
        return [Rule(text=_about(heading, whole))], ""
    if len(value.split()) > _LONGEST_VALUE:
        return [Fact(text=_about(heading, whole), subject=term, relation="means", object=value)], ""
    if _names_something(about) and normal(term) in shared:
        relation = uncapital(term)
        text = f"The {relation} of {about} {is_or_are(relation)} {value}."
        return [Fact(text=text, subject=about, relation=relation, object=value)], ""
    relation = uncapital(about) if _names_something(about) else "is"
    return [Fact(text=_about(heading, whole), subject=term, relation=relation, object=value)], ""


def _list(passage: Passage, heading: str) -> tuple[list[Item], str]:
    """A list as one lesson, or, where what leads to it sets a rule, as one rule."""
    entries = [entry.rstrip(" .;,") for entry in passage.entries]
    lead = passage.text.rstrip(" :")
    about = _about(heading, f"{lead}:") if lead else f"{heading}:" if heading else ""
    if not about:
        return [], "lists without a heading"
    if passage.form == "steps":
        entries = [f"({number}) {entry}" for number, entry in enumerate(entries, 1)]
    text = f"{about} {'; '.join(entries)}."
    if len(text) > _LONGEST_LIST:
        return [], TOO_LONG
    is_rule = passage.form == "points" and lead and _RULE.search(lead)
    return [Rule(text=text) if is_rule else Lesson(text=text)], ""


# --- texts ------------------------------------------------------------------------------------------------------------


def _about(heading: str, text: str) -> str:
    """A text with its heading, unless it says that itself, its words in a row: `first bag` is not said by "first class"."""
    return text if not heading or f" {_stems(heading)} " in f" {_stems(text)} " else f"{heading}: {text}"


def _stems(text: str) -> str:
    """The words of a text, without the ends that number puts on them."""
    words = (word.casefold() for word in _WORD.findall(text))
    return " ".join(re.sub(r"(?:ies|es|s|y)$", "", word) if len(word) > 3 else word for word in words)


def _ended(text: str) -> str:
    return text if text.endswith((".", "!")) else f"{text.rstrip(' ;:,')}."


def counted(found: Mapping[str, int]) -> str:
    """What was left out, as a sentence tells it; "" where nothing was."""
    return ", ".join(f"{why} ({count:,})" for why, count in Counter(found).most_common() if count)
