"""How fast retrieval is at 100,000 items, beside rank-bm25 and plain numpy, and whether they find the same.

    OMP_NUM_THREADS=1 python benchmarks/retrieval.py [--items 100000]

Prints one JSON object. Times are given by the clock and in CPU time: other work on the machine lengthens the former. The
facts are made up but laid out like real ones: entities of very different fame, ten relations, aliases, a few ambiguous names.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nesycd.core.records import Entry, Evidence, Fact, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.retrieval import FusedRetriever, Fusion
from nesycd.retrieval.dense import VectorIndex
from nesycd.retrieval.live import LiveIndex
from nesycd.retrieval.words import content_stems

_ONSETS = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "tr", "st", "gr", "kl"]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ou"]
_TRADES = [
    "weaver",
    "smith",
    "poet",
    "queen",
    "miller",
    "painter",
    "bishop",
    "baker",
    "merchant",
    "potter",
    "glazier",
    "cooper",
]
_TEXTS = {
    "father": "The father of {s} was {o}.",
    "mother": "{s}'s mother was called {o}.",
    "spouse": "{s} was married to {o}.",
    "birthplace": "{s} came into the world in the town of {o}.",
    "year of birth": "{s} was born in the year {o}.",
    "occupation": "{s} earned a living as a {o}.",
    "founder": "{o} founded the house of {s}.",
    "population": "At the last count {s} had {o} inhabitants.",
    "length in feet": "The {s} measures {o} feet.",
    "feast day": "The feast of {s} is kept on day {o} of the year.",
}
_NAMED = ("father", "mother", "spouse", "birthplace", "founder")


def made_up_facts(count: int, seed: int = 0) -> list[Fact]:
    """`count` different facts about some `count / 3` entities; the same for the same seed."""
    rng = random.Random(seed)

    def word() -> str:
        return "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) for _ in range(rng.choice((2, 2, 3)))).capitalize()

    names = [*dict.fromkeys(word() if rng.random() < 0.3 else f"{word()} {word()}" for _ in range(count // 3))]
    facts: dict[tuple[str, str], Fact] = {}
    while len(facts) < count:
        # Fame falls off: a few names stand in many facts, most in a few.
        subject = names[int(len(names) * rng.random() ** 1.5)]
        relation = rng.choice([*_TEXTS])
        number = str(rng.randrange(1, 9999))
        value = rng.choice(names) if relation in _NAMED else rng.choice(_TRADES) if relation == "occupation" else number
        aliases = (f"{subject.split()[0]} the Elder",) if len(subject) % 5 == 0 else ()
        text = _TEXTS[relation].format(s=subject, o=value)
        facts[subject, relation] = Fact(text=text, subject=subject, relation=relation, object=value, aliases=aliases)
    return [*facts.values()]


def made_up_questions(facts: Sequence[Fact], count: int, seed: int = 1) -> list[str]:
    """Questions about the facts: one relation, two relations along a chain, two entities, an alias."""
    rng = random.Random(seed)
    questions = []
    for _ in range(count):
        one, other = rng.choice(facts), rng.choice(facts)
        forms = [
            f"What is the {one.relation} of {one.subject}?",
            f"Who was {one.subject}'s father's mother?",
            f"Is the {one.relation} of {one.subject} the same as that of {other.subject}?",
            f"How do {(one.aliases or (one.subject,))[0]} and {other.subject} differ in {other.relation}?",
        ]
        questions.append(rng.choice(forms))
    return questions


class Clock:
    """Seconds by the clock and of CPU time."""

    wall = cpu = 0.0

    def told(self) -> dict[str, float]:
        """Both, rounded."""
        return {"seconds": round(self.wall, 3), "cpu_seconds": round(self.cpu, 3)}


@contextmanager
def clocked() -> Iterator[Clock]:
    """Measures what happens within."""
    clock, wall, cpu = Clock(), time.perf_counter(), time.process_time()
    yield clock
    clock.wall, clock.cpu = time.perf_counter() - wall, time.process_time() - cpu


def milliseconds(call: Callable[[str], Any], questions: Sequence[str]) -> dict[str, float]:
    """Median and 95th percentile of the time for one question."""
    clocks = []
    for question in questions:
        with clocked() as clock:
            call(question)
        clocks.append(clock)
    wall, cpu = sorted(1e3 * c.wall for c in clocks), sorted(1e3 * c.cpu for c in clocks)
    last = len(clocks) * 95 // 100
    told = {"p50_ms": statistics.median(wall), "p95_ms": wall[last]}
    told |= {"cpu_p50_ms": statistics.median(cpu), "cpu_p95_ms": cpu[last]}
    return {key: round(value, 3) for key, value in told.items()}


def words(texts: Sequence[str]) -> list[int]:
    """Stands for a student's tokeniser."""
    return [len(text.split()) for text in texts]


def measure_retriever(facts: Sequence[Fact], questions: Sequence[str], folder: Path) -> dict[str, Any]:
    """Cold build from a KB, build with the index on disk, queries, and edits until they are seen."""
    told: dict[str, Any] = {}
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        evidence = (Evidence(example="", source="benchmark"),)
        kb.add_entries(Entry(item=fact, status=Status.APPROVED, evidence=evidence) for fact in facts)
        with clocked() as clock:
            entries = kb.entries(status=Status.APPROVED)
        told["read_kb"] = clock.told()
        with clocked() as clock:
            FusedRetriever(entries, words, Fusion(), cache=folder / "index")
        told["cold_build"] = clock.told()
        with clocked() as clock:
            retriever = FusedRetriever.following(kb, words, Fusion(), cache=folder / "index")
        told["read_and_build_from_disk"] = clock.told()
        told["query"] = milliseconds(retriever.retrieve, questions)
        told["found"] = sum(bool(retriever.retrieve(question)) for question in questions) / len(questions)
        told["edit_until_found"] = _edits(kb, retriever, facts)
        told["query_after_edits"] = milliseconds(retriever.retrieve, questions)
    return told


def _edits(kb: KnowledgeBase, retriever: FusedRetriever, facts: Sequence[Fact], count: int = 20) -> dict[str, float]:
    """Edit a fact in the KB and ask for it: the edit itself, `refresh` and one query."""

    def edit_and_ask(key: str) -> None:
        fact = facts[int(key)]
        text = f"{fact.text} It was told anew."
        kb.edit(fact.id, {"text": text}, "benchmark")
        retriever.refresh(kb)
        hits = retriever.retrieve(f"What is the {fact.relation} of {fact.subject}?")
        assert text in [hit.item.text for hit in hits], f"not found: {text}"

    return milliseconds(edit_and_ask, [str(number * (len(facts) // count)) for number in range(count)])


def beside_rank_bm25(texts: Sequence[Sequence[str]], questions: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The same variant over the same tokens: rank-bm25's Okapi with Lucene's rarity in place of its own.

    Its scores are (k1 + 1) times those of `LiveIndex`, a factor that changes no order.
    """
    from rank_bm25 import BM25Okapi

    class Lucene(BM25Okapi):
        def _calc_idf(self, nd: dict[str, int]) -> None:
            self.idf = {w: float(np.log(1 + (self.corpus_size - n + 0.5) / (n + 0.5))) for w, n in nd.items()}

    with clocked() as theirs:
        rival = Lucene([list(text) for text in texts])
    with clocked() as ours:
        index = LiveIndex({number: (number, text) for number, text in enumerate(texts)})
    told: dict[str, Any] = {"build": ours.told(), "rank_bm25_build": theirs.told()}
    asked = {" ".join(question): [*dict.fromkeys(question)] for question in questions}
    told["top_50"] = milliseconds(lambda key: index.top(asked[key], 50), [*asked])
    # Its answer to "the best 50" is a sort of all scores, as in its `get_top_n`.
    told["rank_bm25_top_50"] = milliseconds(lambda key: np.argsort(rival.get_scores(asked[key]))[::-1][:50], [*asked])
    worst = 0.0
    for question in asked.values():
        scores = rival.get_scores(question) / (rival.k1 + 1)
        found = index.top(question, 50)
        best = np.sort(scores)[::-1][: len(found)]
        worst = max(worst, *(abs(one.score - scores[one.number]) for one in found), 0.0)
        worst = max([worst, *(abs(one.score - score) for one, score in zip(found, best, strict=True))])
    told["largest_difference"] = round(worst, 6)
    told["ratio"] = round(told["rank_bm25_top_50"]["cpu_p50_ms"] / max(told["top_50"]["cpu_p50_ms"], 1e-3), 1)
    return told


def beside_numpy(count: int, dimensions: int = 256, queries: int = 50, seed: int = 0) -> dict[str, Any]:
    """Exact search among random unit vectors, and the same by plain numpy (a product and a full sort)."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, dimensions), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = {str(n): vectors[n] + 0.3 * rng.standard_normal(dimensions, dtype=np.float32) for n in range(queries)}
    asked = {key: vector / np.linalg.norm(vector) for key, vector in asked.items()}
    index = VectorIndex(dimensions)
    index.add({number: number for number in range(count)}, vectors)

    def plain(key: str) -> list[int]:
        cosines = np.round(vectors @ asked[key], 4)
        return np.lexsort((np.arange(count), -cosines))[:50].tolist()

    def ours(key: str) -> list[int]:
        return [number for number, _ in index.top(asked[key], 50)]

    told: dict[str, Any] = {"equal": all(ours(key) == plain(key) for key in asked)}
    told |= {"top_50": milliseconds(ours, [*asked]), "numpy_top_50": milliseconds(plain, [*asked])}
    told["ratio"] = round(told["numpy_top_50"]["cpu_p50_ms"] / max(told["top_50"]["cpu_p50_ms"], 1e-3), 1)
    return told


def measure(items: int, questions: int, rival_questions: int = 30) -> dict[str, Any]:
    """All of it."""
    facts = made_up_facts(items)
    asked = made_up_questions(facts, questions)
    with tempfile.TemporaryDirectory() as folder:
        told = {"items": items, "questions": questions, "retriever": measure_retriever(facts, asked, Path(folder))}
    texts = [content_stems(fact.text) for fact in facts]
    told["beside_rank_bm25"] = beside_rank_bm25(texts, [content_stems(q) for q in asked[:rival_questions]])
    told["beside_numpy"] = beside_numpy(items)
    return told


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=300)
    given = parser.parse_args()
    print(json.dumps(measure(given.items, given.questions), indent=2))
