"""The review pages at 50,000 items: no page waits for the size of the base."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nesycd.core.records import Entry, Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.serving.pages.app import review_app
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.sessions import Sessions
from nesycd.serving.safety import Tokens, loopback_hosts
from tests.serving.pages.conftest import PEOPLE, Pages

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(300)]
ITEMS, LESSONS = 50_000, 2_000
MOST = 0.2
"""Seconds that one page in twenty may take longer than."""


def entries() -> list[Entry]:
    made = []
    for number in range(ITEMS):
        proof = (Evidence(example=f"q{number % 900}", source="expert"),)
        thing, relation = f"thing {number // 3}", ("makes", "place", "father")[number % 3]
        text, value = f"The {relation} of {thing} is value {number}.", f"value {number}"
        lesson = Lesson(text=f"Think about case {number} before you add the parts of number {number * 7}.")
        fact = Fact(text=text, subject=thing, relation=relation, object=value, aliases=(f"t{number // 3}",))
        item = lesson if number < LESSONS else fact
        made.append(Entry(item=item, status=Status.APPROVED, reviewer="auto", evidence=proof))
    return made


def test_one_page_in_twenty_takes_longer_than_a_fifth_of_a_second(tmp_path: Path) -> None:
    path, draw = tmp_path / "kb.sqlite", random.Random(0)
    with KnowledgeBase.open(path) as kb:
        kb.add_entries(entries())
    review = Review(None, path)
    app = review_app(review, Sessions(Tokens(PEOPLE)), loopback_hosts(), rate=1e6, burst=1_000_000)
    pages = Pages(app)
    rows = review.listing.now().queue
    lessons = [row.item_id for row in rows if row.kind == "lesson"]

    def late(ask: Callable[[], object], count: int = 40) -> float:
        taken = []
        for _ in range(count):
            start = time.perf_counter()
            ask()
            taken.append(time.perf_counter() - start)
        return sorted(taken)[int(0.95 * count)]

    def decide() -> None:
        item = next(states)
        pages.client.post("/decide", data={"form_token": token, "action": "approve", "item": item, "back": "/"})

    token = pages.token
    states = iter([pages.state(draw.choice(rows).item_id) for _ in range(40)])
    found = {
        "queue": late(lambda: pages.get(f"/?at={draw.choice(rows).item_id}")),
        "list": late(lambda: pages.get(f"/?view=list&page={draw.randrange(1, 900)}")),
        "search": late(lambda: pages.get(f"/items?search=thing+{draw.randrange(9999)}")),
        "search the queue": late(lambda: pages.get(f"/?search=value+{draw.randrange(9999)}&kind=fact")),
        "filter": late(lambda: pages.get("/items?relation=father&status=approved")),
        "fact": late(lambda: pages.get(f"/items/{draw.choice(rows).item_id}")),
        "lesson": late(lambda: pages.get(f"/items/{draw.choice(lessons)}")),
        "graph": late(lambda: pages.get(f"/graph?entity=thing+{draw.randrange(15_000)}&hops=2")),
        "versions": late(lambda: pages.get("/versions")),
        "decide": late(decide),
    }
    review.close()
    print({name: round(1000 * seconds) for name, seconds in found.items()})
    assert {name: seconds for name, seconds in found.items() if seconds > MOST} == {}
    with KnowledgeBase.open(path) as kb:
        assert kb.revision >= 30
