"""The chosen items: by their chances, derived ones always; and what is read from `effect.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Retriever
from nesycd.core.records import Fact, Hit
from nesycd.retrieval.choosing import Choice, ChoosingRetriever, read_choice

MODEL = Choice({"score": 2.0}, {"score": 3.0}, {"score": 1.0}, 0.0, 0.4, {"abc": (0.5, 2)}, 0.0)


def hit(score: float, why: str = "names x") -> Hit:
    return Hit(item=Fact(text=f"x is {score}.", subject="x", relation="is", object=str(score)), score=score, why=why)


class Fixed:
    """Finds always the same."""

    fingerprint = "fixed"

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        return [one for one in (hit(5.0), hit(3.0), hit(1.0), hit(1.5, "derived by rule")) if one.item.id not in hide]


def test_only_what_is_likely_to_help_is_shown() -> None:
    assert MODEL.chances("x?", [hit(3.0)]) == [0.5]
    retriever = ChoosingRetriever(Fixed(), MODEL)
    assert isinstance(retriever, Retriever) and retriever.stopped == []
    assert [one.score for one in retriever.retrieve("x?")] == [5.0, 3.0, 1.5]
    assert [one.score for one in retriever.retrieve("x?", hide=frozenset({hit(5.0).item.id}))] == [3.0, 1.5]
    other = ChoosingRetriever(Fixed(), Choice(**{**vars(MODEL), "threshold": 0.5}))
    assert retriever.fingerprint != other.fingerprint != Fixed.fingerprint


def test_a_choice_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "effect.json"
    path.write_text(json.dumps({"choice": {"model": MODEL.to_json()}}))
    assert read_choice(path) == MODEL and read_choice(path).fingerprint == MODEL.fingerprint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, r"effect.json: measure it by nesycd kb effect RECIPE, without retrieval.choose"),
        ("{", "is not JSON"),
        ('{"schema": "effect/1"}', "holds no choice"),
        ('{"choice": {"model": null}}', "none was better than chance"),
        ('{"choice": {"model": {"effects": 3}}}', "cannot be read"),
        ('{"choice": {"model": {"effects": {}, "odd": 1}}}', "cannot be read"),
    ],
)
def test_without_a_usable_choice_the_error_says_what_to_do(tmp_path: Path, text: str | None, problem: str) -> None:
    path = tmp_path / "effect.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_choice(path)
