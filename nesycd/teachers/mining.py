"""Mines knowledge from existing rationales: sentences that hold beyond their question, as lessons, rules and facts.

A recorded rationale of a question mixes what holds for that question ("Mia has 3 yams") with what holds everywhere ("adjectives
stand in this order", "a slant pass is part of American football"). `mine` keeps the latter, by patterns, without a
language model; it adds only the words that say to which questions a lesson applies. It cannot see whether a sentence is true.
The filters (`knowledge.filters`) are applied to its items as to those of a language model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nesycd.core.protocols import ErrorCase, Teacher
from nesycd.core.records import Diagnosis, Example, Fact, Item, Lesson, Rationale, Rule, content_hash
from nesycd.prompts import question_text

ALGORITHM = 1
"""Part of the fingerprint: raised when other items would be mined."""
LONGEST = 500
"""Characters of a sentence that is still read: what is longer repeats itself, or is no sentence."""
NAME = "mined"
"""The source of the items' evidence."""


class MiningTeacher:
    """Rationales by another teacher; diagnoses by `mine` from the accepted rationales of the very questions.

    Args:
        teacher: writes the rationales.
    """

    def __init__(self, teacher: Teacher) -> None:
        self.name = teacher.name
        self.fingerprint = content_hash(["mined", ALGORITHM, teacher.fingerprint])
        self._teacher = teacher

    def rationales(self, examples: Sequence[Example]) -> Iterable[Rationale]:
        """The other teacher's."""
        return self._teacher.rationales(examples)

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterator[Diagnosis]:
        """See `mine`."""
        return map(mine, cases)

    def forget(self, rationales: Sequence[str], diagnoses: Sequence[str], inductions: Sequence[str] = ()) -> None:
        """See `LLMTeacher`, where the other teacher is one; what is mined is the same again."""
        if forget := getattr(self._teacher, "forget", None):
            forget(rationales, ())


def mine(case: ErrorCase) -> Diagnosis:
    """The general knowledge in the accepted rationale of a question; a failure where there is no rationale.

    >>> from nesycd.core.answers import Attempt
    >>> asked = Example(uid="q", task="sports", question='Is this plausible? "Ann Lee threw a slant pass."', answer="no")
    >>> wrong = Attempt(example="q", solver="fold-0", response="yes")
    >>> said = "Ann Lee is an American soccer player. Slant pass is part of American football."
    >>> [item.text for item in mine(ErrorCase(asked, said, wrong)).items]
    ['Ann Lee is an American soccer player.', 'Slant pass is part of American football.']
    """
    return Diagnosis(
        example=case.example.uid,
        attempt=case.attempt.prediction,
        teacher=NAME,
        items=tuple(items_of(case.rationale, case.example)) if case.rationale else (),
        failure="" if case.rationale else "no accepted working to mine",
    )


def items_of(working: str, example: Example) -> list[Item]:
    """The items of a rationale, each once, in its order: facts of a line, else the lesson or rule that a sentence states."""
    asked = Asked.of(example)
    found: list[Item] = list(_listed(working))
    previous = ""
    for sentence in sentences(working):
        if len(sentence) > LONGEST:
            continue
        facts = list(_facts(sentence, previous, asked))
        found += facts or _advice(sentence, asked)
        previous = sentence
    return list({item.id: item for item in found}.values())


def stated_in(sentence: str, kind: str) -> list[Item]:
    """The items of a sentence that stands outside any question, such as one of a handbook.

    >>> [item.text for item in stated_in("Red card is part of football.", "Sports")]
    ['Red card is part of football.']

    Args:
        sentence: without bullets and line ends.
        kind: what its lessons are about.
    """
    general = Asked(kind, frozenset(), frozenset(), frozenset(), "")
    return [*_facts(sentence, "", general)] or _advice(sentence, general)


# --- sentences --------------------------------------------------------------------------------------------------------

_BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s+")
_END = re.compile(r"(?<=[.!?])[\"”)]?\s+(?=[\"“(]?[A-Z])")


def sentences(text: str) -> list[str]:
    """The sentences of a text, without bullets and the blanks around them; a line ends a sentence."""
    lines = (_BULLET.sub("", line).strip() for line in text.replace("’", "'").splitlines())
    return [" ".join(part.split()) for line in lines for part in _END.split(line) if part.strip()]


# --- what is particular to a question -----------------------------------------------------------------------------------

_COMMON = frozenset(
    """about after also because been before both could does each from have here into just more most only other over same should
    some such than that their them then there they this were what when where which will with would your""".split()  # noqa: SIM905 - a list of words is read more easily as a text
)
_WORD = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_QUOTED = re.compile(r"[\"“]([^\"“”]+)[\"”]")
_BRACKETED = re.compile(r"\[\d\. ([^\]]+)\]")
_ENUMERATOR = re.compile(r"\((?:\d|[ivx]+)\)(?=\s)")
_LETTERED = re.compile(r"\([A-Z]\)")
_KIND_WORDS = 7
"""Fewer than the leak filter takes for a quotation of the question."""
_MARKUP = re.compile(r"<[^<>]*/?>")


@dataclass(frozen=True)
class Asked:
    """A question in the form in which sentences of its rationale are compared with it."""

    kind: str
    """The words that all questions of its kind share ("Which statement is sarcastic"), else its task's name."""
    own: frozenset[str]
    """Stems of its words, those of `kind` aside."""
    names: frozenset[str]
    """Capitalised words within its sentences."""
    numbers: frozenset[str]
    text: str

    @classmethod
    def of(cls, example: Example) -> Asked:
        """Read a question, its options included."""
        text = question_text(example).replace("’", "'")
        names = frozenset(re.findall(r"(?<=[^.!?:\n\"] )[A-Z][\w'-]+", text))
        kind = _kind(example.question.replace("’", "'"), names) or _task_words(example.task)
        return cls(kind, _stems(text) - _stems(kind), names, frozenset(_NUMBER.findall(text)), text.casefold())

    def is_own(self, sentence: str) -> bool:
        """Whether a sentence speaks of this question's own matter: its names, numbers, quotes, options, or two own words."""
        if _LETTERED.search(sentence) or "=" in sentence or self.numbers & set(_NUMBER.findall(sentence)):
            return True
        if any(_stems(quote) & self.own or not _WORD.search(quote) for quote in _QUOTED.findall(sentence)):
            return True
        if self.names & set(_WORD.findall(sentence)) - set(_WORD.findall(self.kind)):
            return True
        return len(_stems(sentence) & self.own) > 1


def _unnumbered(sentence: str) -> str:
    """Without the numbers of a list within it: "[1. opinion] [2. size] noun" -> "opinion, size, noun"."""
    return " ".join(_ENUMERATOR.sub(" ", _BRACKETED.sub(r"\1,", sentence)).split())


def _stems(text: str) -> frozenset[str]:
    """Words of more than three letters, without the ends that number and tense put on them."""
    words = (word.casefold() for word in _WORD.findall(text))
    return frozenset(
        re.sub(r"(?:'s|ing|ed|es|s)$", "", word) for word in words if len(word) > 3 and word not in _COMMON
    )


def _kind(question: str, names: frozenset[str]) -> str:
    """The last question in a text that names nothing, else its first such sentence, or a part of it; "" without one."""
    plain = _MARKUP.sub("", question.split("\nOptions:")[0])
    parts = sentences(plain)
    asking = [part for part in parts if part.endswith("?")]
    for part in [*reversed(asking), *parts[:1]]:
        whole = re.split(r"[:(\"“]", re.sub(r"^\w+: ", "", part))[0].rstrip(" ?.")
        fitting = [p for p in [whole, *reversed(whole.split(", "))] if 4 <= len(p.split()) <= _KIND_WORDS]
        said = fitting[0] if fitting else ""
        # Abbreviations (SVG) and "I" name nothing.
        named = names & {word for word in said.split() if not word.isupper()} or _NUMBER.search(said)
        if len(_stems(said)) > 1 and not named:
            return capital(said)
    return ""


def _task_words(task: str) -> str:
    return task.rpartition("/")[2].replace("_", " ").capitalize()


# --- facts --------------------------------------------------------------------------------------------------------------

_LIST = re.compile(r"\bidentify the ([a-z ]{1,60}?) on the list\b")
_ENTRY = re.compile(r"^[^\S\n]*+[-*]\s+([a-z][a-z -]*?)\s*\(\d+\)", re.MULTILINE)
_FILM = re.compile(r" \(([a-z][a-z, -]+); ((?:19|20)\d\d)\)")
_TITLE = re.compile(r"(?:^|(?<= ))[A-Z0-9].*")
_FILM_ASIDE = re.compile(r"^.*\b(?:is|be|and|are|to) (?=[A-Z0-9])")
_IS_A = re.compile(
    r"^((?:[A-Z][\w.'-]*|de|van|von|der|la|di)(?: (?:[A-Z][\w.'-]*|de|van|von|der|la|di)){1,4}) (?:is|was) (an? [^.;,]+)\.?$"
)
_PART = re.compile(r"^(.+?) is (?:a )?part of ([^.;,]+)\.?$")
_CATEGORY = re.compile(r"\"([\w-]+)\" falls into the (\w+) category")
_ORIGINAL = re.compile(r"^The original name is \"([^\"]+)\"\.?$")
_NAME_OF = re.compile(r"^This is the name of (an? [^.]+)\.?$")
_GERUND = re.compile(r"^\w+ing (?:(?:on|in|at|to|from|off|out|up|with) )?")
_OCCASION = re.compile(r" (?:in|during|at|for) the [A-Z].*$")
_ARTICLE = re.compile(r"^(?:an?|the|his|her|their) ", re.IGNORECASE)
_VAGUE = frozenset({"it", "this", "that", "he", "she", "they", "which", "there", "one", "x", "y"})


def _listed(working: str) -> Iterator[Fact]:
    """What a list says that its entries are: "we identify the vegetables on the list: yam (1)"."""
    named = _LIST.search(working)
    kind = _singular(named[1]) if named else ""
    if kind and kind not in {"object", "thing", "item"}:
        for name in _ENTRY.findall(working):
            thing = _singular(name)
            if thing and thing != kind:
                text = f"{capital(thing)} is {'an' if kind[0] in 'aeiou' else 'a'} {kind}."
                yield Fact(text=text, subject=thing, relation="is a", object=kind)


def _facts(sentence: str, previous: str, asked: Asked) -> Iterator[Fact]:
    """What a sentence says of something that has a name of its own."""
    for name, category in _CATEGORY.findall(sentence):
        text = f'"{capital(name)}" is an adjective of {category}.'
        yield Fact(text=text, subject=name, relation="category of adjective", object=category)
    for title, genres, year in _films(sentence):
        title = _FILM_ASIDE.sub("", title)
        kinds = " and ".join(", ".join(part.strip() for part in genres.split(",")).rsplit(", ", 1))
        what = f"{kinds} film of {year}"
        yield Fact(text=f"{title}: {what}.", subject=title, relation="film", object=what)
    if (original := _ORIGINAL.match(previous)) and (said := _NAME_OF.match(sentence)):
        text = f'"{original[1]}" is the name of {said[1]}.'
        yield Fact(text=text, subject=original[1], relation="is the name of", object=said[1])
    if (said := _IS_A.match(sentence)) and not _stems(said[2]) & asked.own:
        yield Fact(text=f"{said[1]} is {said[2]}.", subject=said[1], relation="is a", object=_ARTICLE.sub("", said[2]))
    if said := _PART.match(sentence):
        subject = _whole_or_head(said[1])
        if subject.split()[0].casefold() not in _VAGUE:
            text = f"{capital(subject)} is part of {said[2]}."
            yield Fact(text=text, subject=subject, relation="part of", object=_ARTICLE.sub("", said[2]))


def _films(sentence: str) -> Iterator[tuple[str, str, str]]:
    """Title, genres and year of each film in a sentence: `Alien (horror; 1979)`."""
    start = 0
    for said in _FILM.finditer(sentence):
        if title := _TITLE.search(sentence, start, said.start()):
            yield title.group(), said[1], said[2]
        start = said.end()


def _whole_or_head(phrase: str) -> str:
    """ "Earning a red card in the final" -> "red card"; "Dunking the ball" stays, since a ball is part of many things."""
    head = _ARTICLE.sub("", _GERUND.sub("", uncapital(phrase)))
    if head == phrase or not _GERUND.match(uncapital(phrase)):
        return head
    head = re.split(r" (?:in|at|during|for|from|on|to|with|against) ", head)[0]
    return head if len(head.split()) > 1 else _OCCASION.sub("", uncapital(phrase))


def uncapital(phrase: str) -> str:
    """Without the capital of a sentence's first word, unless more capitals show a name."""
    first, _, rest = phrase.partition(" ")
    is_name = first[1:] != first[1:].lower() or bool(re.match(r"[A-Z]", rest))
    return phrase if is_name else phrase[:1].lower() + phrase[1:]


def capital(text: str) -> str:
    """With a capital at the beginning."""
    return text[:1].upper() + text[1:]


def _singular(noun: str) -> str:
    for end, put in (
        ("mice", "mouse"),
        ("ies", "y"),
        ("oes", "o"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("ss", "ss"),
        ("s", ""),
    ):
        if noun.endswith(end):
            return noun.removesuffix(end) + put
    return noun


# --- lessons and rules --------------------------------------------------------------------------------------------------

_OPENING = re.compile(
    r"^(?:(?:so|now|first|then|however|thus|hence|therefore|in general|note that|remember that|recall that|we know that"
    r"|let us recall that|let's recall that|it is known that)\b,? )+",
    re.IGNORECASE,
)
_SIGNALLED = re.compile(r"\b(?:remember|recall|note|we know) that\b|\bin general\b", re.IGNORECASE)
_GENERAL = re.compile(
    r"\b(?:always|never|usually|typically|generally|by definition|takes (?:one|two|three|four|five|six|seven) parameters)\b"
    r"|^(?:when(?:ever)?|if) (?:there|an?|one|more|several) ",
    re.IGNORECASE,
)
_TO_DO = re.compile(
    r"^we (?:first )?(?:should|need to|must|have to) (?:first )?(?P<do>\w+ .+)$|^remember to (?:always )?(?P<mind>\w+ .+)$"
    r"|^we (?:first )?(?P<way>(?:start|begin|solve|identify|process|compare|check|sort|count|keep|list) .+)$",
    re.IGNORECASE,
)
_IF = re.compile(r"^because (?P<given>[^,]+), we conclude that (?P<then>.+)$", re.IGNORECASE)
_DEICTIC = re.compile(
    r"^(?:this|that|these|those|here|it|its|he|she|his|her|they|option)\b|\b(?:above|this (?:case|sentence|argument|statement)"
    r"|the (?:hypothesis|case|provided)|both cases|in this (?:case|context)|we (?:are told|get|have))\b",
    re.IGNORECASE,
)


def _advice(sentence: str, asked: Asked) -> list[Item]:
    """The lesson or rule that a sentence states, worded for all questions of its kind; none where it speaks of this one."""
    bare = _unnumbered(_OPENING.sub("", sentence).rstrip(" .:;")).replace(" and that ", " and ")
    if asked.is_own(bare) or _DEICTIC.search(bare) or len(bare.split()) < 4:
        return []
    if said := _IF.match(bare):
        return [Rule(text=f"{asked.kind}: if {said['given']}, then {said['then']}.")]
    if said := _TO_DO.match(bare):
        advice = re.sub(r"\bthis question\b", "it", next(filter(None, said.groups())))
        return [Lesson(text=f"{asked.kind}: {advice}.")]
    if _GENERAL.search(bare) or (_SIGNALLED.search(sentence) and not re.match(r"we\b", bare, re.IGNORECASE)):
        return [Lesson(text=f"{asked.kind}: {bare}.")]
    return []
