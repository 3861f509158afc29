"""Do many facts that nobody asks for get in the way? Made-up ones are added to a run's base, and the test is taken again."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from claims.common import (
    ALL,
    SPECIAL,
    after_steps,
    answers,
    changes,
    contexts_of,
    copied,
    not_worse,
    read_of,
    recipe_of,
    scores,
    table_of,
    write,
)
from nesycd.core.errors import DataError
from nesycd.core.records import Entry, Evidence, Fact, Status
from nesycd.core.text import normal
from nesycd.knowledge import item_key
from nesycd.prompts import question_text
from nesycd.retrieval import count_recall
from nesycd.retrieval.words import content_stems

TARGET = 0.03
"""What the distractors may cost, as a fraction."""
_ONSETS = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "tr", "st", "gr", "kl"]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ou"]
_PEOPLES = ("Dutch", "Flemish", "Saxon", "Lombard", "Gascon", "Frisian", "Danish", "Catalan", "Silesian", "Breton")
# Their words are those of the questions too: numbers of feet, pence and days, fathers, classes, places.
_MADE_UP = {
    "rope": "In {p} the rope for the {s} was {n} feet long.",
    "toll": "In {p} the toll on the {s} was {n} pence.",
    "fair": "In {p} the fair named after the {s} opened {n} days after the harvest.",
    "class of register": "In {p} the {s} stood in class {n} of the old register.",
    "place on the board": "In {p} the {s} took place number {n} on the painted board.",
    "chronicler": "In {p} the chronicler of the {s} had a father called {w}.",
    "seal": "In {p} the seal of the {s} was kept by the mother of {w}.",
    "group of songs": "In {p} the {s} was sung of in group {n} of the songs.",
}


def made_up(
    entries: Sequence[Entry], count: int, seed: int, shared_names: int, questions: Iterable[str] = ()
) -> list[Fact]:
    """`count` different facts in the style of the base, none about what the base says; the same for the same arguments.

    Half are about invented entities, with the relations, wordings and values of the base. A quarter are about entities of the
    base, of relations that it does not have; a quarter about near-namesakes (`Dutch fathom`) with the base's relations.

    Args:
        entries: of the base; its approved facts are the models.
        count: how many facts.
        seed: of what is drawn.
        shared_names: how many namesakes of an entity bear its plain name as an alias, so that whoever asks for the entity
            by name is given them too.
        questions: no invented entity is called by a word of these, of which a question would speak ("times" of a coin "time").
    """
    facts = [e.item for e in entries if e.status is Status.APPROVED and isinstance(e.item, Fact)]
    models = [fact for fact in facts if not re.match(r"1\b", fact.object)]  # "1 semitone" is no model for "2 semitones"
    if not models:
        raise DataError("no approved facts in the base, so none to make others like")
    values: dict[str, list[str]] = {}
    for fact in models:
        values.setdefault(fact.relation, []).append(fact.object)
    rng = random.Random(f"distractors-{seed}")
    spoken = {stem for question in questions for stem in content_stems(question)}
    known = {normal(name) for fact in facts for name in (fact.subject, *fact.aliases)}
    found: dict[str, Fact] = {}
    namesakes: dict[str, int] = {}
    sorts = (_invented, _invented, _other_relation, _namesake)
    while len(found) < count:
        make, model = sorts[len(found) % len(sorts)], rng.choice(models)
        fact = make(model, values[model.relation], rng)
        if make is not _other_relation and normal(fact.subject) in known:
            continue
        if make is _invented and not spoken.isdisjoint(content_stems(fact.subject)):
            continue
        if make is _namesake:
            number = namesakes[model.subject] = namesakes.get(model.subject, 0) + 1
            if number <= shared_names:
                fact = fact.model_copy(update={"aliases": (model.subject, *model.aliases)})
        found.setdefault(item_key(fact), fact)
    return [*found.values()]


def _word(rng: random.Random) -> str:
    return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((2, 3, 3))))


def _like(model: Fact, subject: str, value: str) -> Fact:
    """The model's sentence about another subject and with another value."""
    text = re.sub(rf"(?<!\w){re.escape(model.subject)}(?!\w)", "\0", model.text, count=1, flags=re.IGNORECASE)
    if "\0" not in text or model.object not in text:
        text = f"The {model.relation} of \0 is {model.object}."
    head, _, tail = text.rpartition(model.object)
    text = head + "\1" + tail
    for mark, words in (("\0", subject), ("\1", value)):
        article = r"\1n " if words[0].lower() in "aeiou" else r"\1 "
        text = re.sub(rf"\b([Aa])n? (?={mark})", article, text).replace(mark, words)
    return Fact(text=text[0].upper() + text[1:], subject=subject, relation=model.relation, object=value)


def _invented(model: Fact, values: Sequence[str], rng: random.Random) -> Fact:
    name = _word(rng)
    return _like(model, name.capitalize() if model.subject[0].isupper() else name, rng.choice(values))


def _namesake(model: Fact, values: Sequence[str], rng: random.Random) -> Fact:
    if model.subject[0].isupper():
        return _like(model, f"{model.subject} of {_word(rng).capitalize()}", rng.choice(values))
    people = rng.choice(_PEOPLES) if rng.random() < 0.5 else f"{_word(rng).capitalize()}an"
    return _like(model, f"{people} {model.subject}", rng.choice(values))


def _other_relation(model: Fact, values: Sequence[str], rng: random.Random) -> Fact:
    relation, place = rng.choice([*_MADE_UP]), _word(rng).capitalize()
    number, name = str(rng.randint(2, 12)), _word(rng).capitalize()
    text = _MADE_UP[relation].format(p=place, s=model.subject, n=number, w=name)
    if model.subject[0].isupper():
        text = text.replace(f"the {model.subject}", model.subject)
    value = number if number in text else name
    return Fact(text=text, subject=model.subject, relation=f"{relation} in {place}", object=value)


def with_distractors(entries: Sequence[Entry], facts: Sequence[Fact]) -> tuple[Entry, ...]:
    """The entries and, approved, the made-up facts."""
    return (*entries, *_entries(facts))


def _entries(facts: Sequence[Fact]) -> Iterator[Entry]:
    evidence = (Evidence(example="", source="distractor"),)
    for fact in facts:
        yield Entry(item=fact, status=Status.APPROVED, reviewer="measurement", evidence=evidence)


def measure(
    source: Path, work: Path, overrides: Sequence[str], console: Console, count: int, shared_names: int
) -> dict[str, Any]:
    """Take the test with the run's knowledge, and with `count` made-up facts among it, by the same S_E."""
    with copied(source, work, recipe_of(source, overrides), console) as begun:
        context = after_steps(begun)
        examples = context.examples("test")
        facts = made_up(
            context.distilled.entries, count, context.recipe.seed, shared_names, map(question_text, examples)
        )
        among = with_distractors(context.distilled.entries, facts)
        contexts = {
            "without": contexts_of(context, "claims-retrieve-without", context.distilled.entries, examples),
            "with": contexts_of(context, "claims-retrieve-with", among, examples),
        }
        read = {
            "without": read_of(context, "claims-retrieve-without", context.distilled.entries, examples),
            "with": read_of(context, "claims-retrieve-with", among, examples),
        }
        bases = {"without": context.distilled.entries, "with": among}
        made = answers(context, "claims-distractors", examples, read, bases)
        recalls = {name: count_recall(examples, [b[e.uid] for e in examples]).share for name, b in contexts.items()}
        told = {name: scores(context, examples, attempts) for name, attempts in made.items()}
        change = changes(context, examples, made["with"], made["without"])
        ids = {fact.id for fact in facts}
        shown = sum(any(item.id in ids for item in contexts["with"][e.uid]) for e in examples)
        content = {
            "schema": "claim-distractors/1",
            "run": source.name,
            "items": len(context.distilled.entries),
            "distractors": len(facts),
            "shared_names": shared_names,
            "questions": len(examples),
            "contexts_with_distractor": shown,
            "contexts_changed": sum(contexts["with"][e.uid] != contexts["without"][e.uid] for e in examples),
            "recall": recalls,
            "accuracy": told,
            "difference": change,
            "target": TARGET,
            "within_target": {name: one["value"] >= -TARGET for name, one in change.items()},
            "surely_within_target": {name: not_worse(one, TARGET) for name, one in change.items()},
        }
    title = (
        f"{len(facts):,} made-up facts among {content['items']} items; test, accuracy % and paired difference in points"
    )
    rows = {"without": (told["without"], None), "with distractors": (told["with"], change)}
    console.print(table_of(title, rows, [name for name in (SPECIAL, ALL) if name in change]))
    console.print(
        f"recall of needed facts {100 * recalls['without']:.1f} % without, {100 * recalls['with']:.1f} % with; "
        f"{shown} of {len(examples)} contexts hold a made-up fact"
    )
    for name, one in change.items():
        sure = "surely" if not_worse(one, TARGET) else "not surely"
        console.print(f"{name}: {100 * one['value']:+.1f} points; {sure} a cost of less than {100 * TARGET:.0f}")
    write(work / "distractors.json", content, console)
    return content
