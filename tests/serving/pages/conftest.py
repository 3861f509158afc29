"""A small base with what a run's folder tells of it, and the review pages on it without a server."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from nesycd.core.answers import Prediction
from nesycd.core.records import (
    Annotation,
    CallPlace,
    Diagnosis,
    Evidence,
    Example,
    Fact,
    Lesson,
    Rationale,
    Rule,
    RuleTest,
    Status,
)
from nesycd.core.segments import Segment
from nesycd.core.storage import RecordLog
from nesycd.knowledge import KnowledgeBase
from nesycd.serving.pages.app import review_app
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.sessions import Sessions
from nesycd.serving.safety import Grant, Role, Tokens, loopback_hosts

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet", aliases=("fadom",))
SHACKLE = Fact(text="A shackle is 15 fathoms.", subject="shackle", relation="makes", object="15 fathoms")
OTHER = Fact(text="A fathom makes 5 feet.", subject="fathom", relation="makes", object="5 feet")
COUNT = Lesson(text="Count the apples one by one before adding them.")
GRAND = Rule(
    text="A father's father is a grandfather.",
    clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).",
    tests=(RuleTest(given="father(a, b). father(b, c).", expect="grandfather(a, c)."),),
)
QUESTION = Example(uid="q1", task="units", question="How many feet are 4 fathoms and 3 feet?", answer="27")
_SAID = "4 x 5 = 20. 20 + 3 = 23. The answer is 23."
WRONG = Prediction(key="k", student="s", segments=(Segment(text=_SAID, source="student"),))

TOKENS = {Role.READER: "r" * 30, Role.REVIEWER: "v" * 30, Role.ADMIN: "a" * 30}
PEOPLE = {TOKENS[role]: Grant(name, role) for role, name in zip(Role, ("Ray", "Vera", "Ann"), strict=True)}


class Pages:
    """The pages as one person's browser has them; forms are sent as they stand on a page."""

    def __init__(self, app: Any, role: Role | None = Role.ADMIN) -> None:
        self.client = TestClient(app, base_url="http://localhost:8321", raise_server_exceptions=False)
        if role is not None:
            assert self.client.post("/sign-in", data={"token": TOKENS[role]}).status_code == 200

    def get(self, path: str, status: int = 200) -> str:
        """A page's text."""
        answer = self.client.get(path)
        assert answer.status_code == status, (answer.status_code, answer.text[-800:])
        return answer.text

    @cached_property
    def token(self) -> str:
        """The form token of this session."""
        return re.findall(r'name="form_token" value="([^"]+)"', self.get("/keys"))[0]

    def send(self, path: str, status: int = 200, **fields: Any) -> str:
        """A form's answer, after the page it leads to."""
        answer = self.client.post(path, data={"form_token": self.token, **fields})
        assert answer.status_code == status, (answer.status_code, answer.text[-800:])
        return answer.text

    def state(self, item_id: str) -> str:
        """`id:state` as an item's page has it."""
        return re.findall(r'name="item" value="([0-9a-f]+:[0-9a-f]+)"', self.get(f"/items/{item_id}"))[0]

    def decide(self, action: str, *item_ids: str, status: int = 200, **fields: Any) -> str:
        """Decide on items as they are now."""
        return self.send("/decide", status, action=action, item=[self.state(one) for one in item_ids], **fields)


@pytest.fixture
def folder(waiting_run: Path, tmp_path: Path) -> Path:
    """A copy of a run that waits for review."""
    return Path(shutil.copytree(waiting_run, tmp_path / "secret-place" / "units"))


@pytest.fixture(scope="session")
def waiting_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that waits for review: a base, a question, a wrong answer, a rationale and a diagnosis."""
    folder = tmp_path_factory.mktemp("waiting")
    (folder / "stages").mkdir()

    def write(path: Path, record: Any) -> None:
        log: RecordLog[Any] = RecordLog(path, type(record))
        log.append(record)
        log.close()

    text = "One fathom makes 6 feet. 4 x 6 = 24. 24 + 3 = 27."
    cause = "The response does not state a needed fact: A fathom is 6 feet."
    place = CallPlace(start=0, end=3, name="fathoms", relation="makes", object="6 feet", fact=FATHOM.id)
    for stage, record in {
        "examples-train": QUESTION,
        "rationales": Rationale(example="q1", teacher="expert", text=text, answer="27", correct=True),
        "diagnoses": Diagnosis(example="q1", attempt=WRONG.id, teacher="expert", items=(FATHOM,), cause=cause),
        "annotate": Annotation(example="q1", places=(place,)),
    }.items():
        write(folder / "stages" / f"{stage}.jsonl", record)
    write(folder / "predictions.jsonl", WRONG)
    with KnowledgeBase.open(folder / "kb.sqlite") as kb:
        kb.add([(FATHOM, Evidence(example="q1", attempt=WRONG.id, source="expert"))])
        kb.add([(SHACKLE, Evidence(example="", source="Ann"))], status=Status.APPROVED, reviewer="Ann")
        kb.add([(COUNT, Evidence(example="q2", source="expert")), (GRAND, Evidence(example="q3", source="expert"))])
    return folder


@pytest.fixture
def review(folder: Path) -> Iterator[Review]:
    """The base under review."""
    shown = Review(folder)
    yield shown
    shown.close()


@pytest.fixture
def app(review: Review) -> Any:
    """The pages, with a person of each role."""
    return review_app(review, Sessions(Tokens(PEOPLE)), loopback_hosts())


@pytest.fixture
def pages(app: Any) -> Pages:
    """The pages as an admin's browser has them."""
    return Pages(app)


@pytest.fixture
def pages_of(app: Any) -> Callable[[Role | None], Pages]:
    """The pages as somebody else's browser has them."""
    return lambda role: Pages(app, role)
