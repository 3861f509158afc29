"""A knowledge base compiled for the reference loop (`reference_loop.py`), so that asking it takes dictionaries alone.

What `LookUp` works out for each question is worked out here once: which spellings lead to which entities, what each relation of
an entity gives, and the words by which it is chosen. Nothing is decided twice: names are asked of the linker itself, results of
`LookUp`, scores of the BM25 index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

from nesycd.calls import LookUp
from nesycd.core.records import Item
from nesycd.core.text import normal
from nesycd.prompts import Prompts, item_line
from nesycd.retrieval.lexical import LexicalIndex
from nesycd.retrieval.linker import Linker
from nesycd.retrieval.words import IRREGULAR, STOPWORDS, content_stems, fold, forms, singulars, stem, tokens

SCHEMA = "compiled-base/1"
_MOST_SPELLINGS = 32
"""Spellings of a name beyond which only its last word is inflected."""
_FREE = "0"
"""Stands before a name that is looked at, since what opens a sentence says nothing by its capital."""
_DOUBLED = "bdfgklmnprt"


def compiled(look: LookUp | None, advice: Sequence[Item], prompts: Prompts, **others: Any) -> dict[str, Any]:
    """A compiled base.

    Args:
        look: what is looked up in; None: nothing can be.
        advice: lessons and rules to be read, in the order in which ties are broken.
        prompts: the student's.
        others: what comes from elsewhere: `version`, `before`, `after`, `marks`, `stop`, `max_new_tokens`, `hold_names`,
            `looks_up`, `sums`.
    """
    found, read = compiled_facts(look or LookUp([])), compiled_advice(advice)
    found["stems"] |= stem_table({word for one in read for word in one["words"]})
    texts = {name: text for name, text in prompts.texts.items() if name.startswith("question")}
    return {"schema": SCHEMA, **others, "prompts": texts, "read": read, **found}


def compiled_facts(look: LookUp) -> dict[str, Any]:
    """The parts of a compiled base that come from its facts: `names`, `entities`, `relations`, `stems`, `longest_name`."""
    names = dict(_names(look))
    shared = {entity for entities in names.values() if len(entities) > 1 for entity in entities}
    entities: dict[str, Any] = {}
    relations: dict[str, Any] = {}
    for entity in dict.fromkeys(look.node(fact.subject) for fact in look.facts):
        facts = {}
        for one in look.asked(entity):
            count, common = look.usage(one.relation)
            if one.relation not in relations:
                stems = sorted(set(content_stems(one.relation)))
                said = {"shown": one.shown, "stems": stems, "words": sorted(common), "entities": count}
                relations[one.relation] = said
            result = look.result(entity, one.facts)
            own = sorted(one.words - common)
            facts[one.relation] = {"relation": one.shown, "found": result.found, "words": own}
        about = look.about(entity)
        words = sorted(look.words(about)) if entity in shared else []
        entities[entity] = {"name": about[0].subject, "facts": facts, "words": words}
    known = {stem for kind in relations.values() for stem in (*kind["stems"], *kind["words"])}
    known |= {stem for one in entities.values() for fact in one["facts"].values() for stem in fact["words"]}
    known |= {stem for one in entities.values() for stem in one["words"]}
    return {
        "relations": relations,
        "entities": entities,
        "names": names,
        "longest_name": max((name.count(" ") + 1 for name in names), default=0),
        "stems": stem_table(known, (word for name in names for word in name.lstrip("=~").split())),
    }


def compiled_advice(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Lessons and rules with the BM25 weight that each stem gives them; `whole`: that of all their words."""
    texts = [item.text for item in items]
    index = LexicalIndex(texts)
    made: list[dict[str, Any]] = [{"text": item_line(item), "whole": 0.0, "words": {}} for item in items]
    for word in dict.fromkeys(word for text in texts for word in content_stems(text)):
        scores, covers = index.scores("", [word])
        for place in scores.nonzero()[0]:
            weight = float(scores[place])
            made[place]["words"][word] = round(weight, 6)
            made[place]["whole"] = round(weight / float(covers[place]), 6)
    return made


def stem_table(known: Iterable[str], written: Iterable[str] = ()) -> dict[str, str]:
    """Words with their stems, stop words with "": all inflections of the stems in `known`, and the words of names.

    A word that is its own stem is left out.
    """
    table = dict.fromkeys(sorted(STOPWORDS), "")
    words = {word for one in known for word in _inflected(one)} | {
        form for one in written for form in _forms(fold(one))
    }
    for word in sorted(words - STOPWORDS):
        if (found := stem(word)) != word:
            table[word] = found
    return table


def _inflected(one: str) -> Iterator[str]:
    """Words that may have a stem; the caller stems them."""
    if not one.isalpha():
        return
    ends = [one, f"{one}e", f"{one}y", *([f"{one}al"] if one[-1] in "vsw" else [])]
    ends += [f"{one}{one[-1]}"] if one[-1] in _DOUBLED else []
    for end in ends:
        for suffix in ("", "ing", "ed", "ly"):
            word = f"{end}{suffix}"
            yield from (word, f"{word}s", f"{word[:-1]}ies") if word.endswith("y") else (word, f"{word}s", f"{word}es")
    yield from (plural for plural, single in IRREGULAR.items() if stem(single) == one)


def _names(look: LookUp) -> Iterator[tuple[str, list[str]]]:
    """Each spelling of each name, with the entities that it may mean.

    Names that count only as they are written begin with `=`, names that are linked nowhere but in a call with `~`.
    """
    seen: set[str] = set()
    for fact in look.facts:
        for name in (fact.subject, *fact.aliases):
            if name in seen:
                continue
            seen.add(name)
            linked = False
            for spelled in _spellings(name):
                if entities := _linked(look.linker, spelled):
                    linked = True
                    yield spelled, entities
            if not linked and (entities := _linked(look.linker, name)):
                yield f"={name}", entities
            if not linked:
                yield f"~{normal(name)}", look.called(name)


def _linked(linker: Linker, name: str) -> list[str]:
    """The entities that a whole name links to."""
    size = len(tokens(name))
    for mention in linker.link(f"{_FREE} {name}"):
        if (mention.start, mention.end) == (1, 1 + size):
            return [one.entity for one in mention.candidates]
    return []


def _spellings(name: str) -> dict[str, None]:
    """A name's words, folded, in all inflections; hyphenated ones also as one word."""
    words = tokens(name)
    parts = [[*_forms(token.word)] for token in words]
    if prod(map(len, parts)) > _MOST_SPELLINGS:
        parts = [*([token.word] for token in words[:-1]), parts[-1]]
    found: dict[str, None] = {}
    for spelled in product(*parts):
        found[" ".join(spelled)] = None
        closed_up = (word if token.joined else f" {word}" for word, token in zip(spelled, words, strict=True))
        found["".join(closed_up).strip()] = None
    return found


def _forms(word: str) -> dict[str, None]:
    """A word with what it may be the plural of, and what may be its plural."""
    found = dict.fromkeys((word, *singulars(word)))
    for one in [*found]:
        plurals = [f"{one}s", f"{one}es"]
        plurals += [f"{one[:-1]}ies"] if one.endswith("y") else []
        plurals += [f"{one.removesuffix('e')[:-1]}ves"] if one.removesuffix("e").endswith("f") else []
        plurals += [plural for plural, single in IRREGULAR.items() if single == one]
        found |= dict.fromkeys(plural for plural in plurals if not forms(plural).isdisjoint(forms(word)))
    return found
