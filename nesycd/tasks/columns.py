"""From a user's row to the parts of a question: which of its columns (keys) hold what.

Columns are known by their own names (`KEYS`, in upper or lower case), or by what the user says (`columns`); rows without a
`question` may have one of the shapes in which instructions are published: Alpaca, ShareGPT, messages. All other columns are
kept as metadata. Which rule holds is decided by a file's first row and said (`str`), never by each row anew.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean

KEYS = ("question", "answer", "id", "options", "rationale", "task", "split")
METADATA = "metadata"
SEVERAL = ("question", "answer", "options", "rationale", METADATA)
"""What may be in several columns: texts are joined by an empty line, answers are all accepted, options are in this order."""
_NEAR = 0.85
"""Likeness from which an unknown column is taken for a misspelt key (`qestion`: 0.93; `question_id`: 0.84)."""
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "model": "assistant", "assistant": "assistant"}
_ASIDE = ("system", "developer")


@dataclass(frozen=True)
class Shape:
    """A shape of rows that others publish.

    Attributes:
        name: as users call it.
        needs: the keys by which it is known.
        columns: all keys that it reads.
        read: a question's parts from a row; the second argument names it in errors.
    """

    name: str
    needs: tuple[str, ...]
    columns: tuple[str, ...]
    read: Callable[[Mapping[str, Any], str], dict[str, Any]]


class Columns:
    """The columns of one file.

    Args:
        names: which columns hold a key of `KEYS`, or are kept as `metadata`; without it, by the columns' own names.
    """

    def __init__(self, names: Mapping[str, str | Sequence[str]]) -> None:
        self._names = {key: (one,) if isinstance(one, str) else tuple(one) for key, one in names.items()}
        self._shape: Shape | None = None
        self._used: dict[str, tuple[str, ...]] = {}
        self._seen: dict[str, None] = {}
        self._kept: dict[str, None] = {}

    def __str__(self) -> str:
        """Which columns were taken for what."""
        used = [f"{key} = {' and '.join(names)}" for key, names in self._used.items() if names != (key,)]
        said = [f"rows of {self._shape.name}"] if self._shape else []
        kept = [f"kept as metadata: {', '.join(self._kept)}"] if self._kept else []
        return "; ".join([*said, *([", ".join(used)] if used else []), *kept])

    def read(self, row: Mapping[str, Any], where: str) -> dict[str, Any]:
        """What a row says, by `KEYS`, and its `metadata`; a column that is there and empty is None.

        Raises:
            DataError: an unknown key that looks like a misspelt one, or not the shape of the file's first row.
        """
        if not self._seen:
            self._shape = self._shape_of(row)
        columns = self._find(row)
        self._seen.update(dict.fromkeys(row))
        self._used.update(columns)
        found = {key: self._value(row, key, names) for key, names in columns.items()}
        taken = {name for names in columns.values() for name in names}
        if (shape := self._shape) is not None:
            if missing := next((key for key in shape.needs if row.get(key) is None), ""):
                raise DataError(f"{where}: not a row of {shape.name} as the first: key {missing!r} is missing")
            shaped = shape.read(row, where)
            if found.get("answer") is not None:
                shaped.setdefault("rationale", shaped["answer"])
            found = {**shaped, **found}
            taken |= {*shape.columns}
        elif len(text := self._names.get("answer", ())) == 1 and text == self._names.get("rationale"):
            found = {**found, "rationale": None, **worked(row.get(text[0]))}
        return {**found, METADATA: {**found.get(METADATA, {}), **self._rest(row, taken, where)}}

    def check(self, path: Path) -> None:
        """To be called when all rows were read.

        Raises:
            DataError: a column that was named stands in no row.
        """
        for key, names in self._names.items():
            for name in names:
                if self._seen and name not in self._seen:
                    raise DataError(f"{path}: columns.{key}: no row has {name!r}{did_you_mean(name, self._seen)}")

    def _shape_of(self, row: Mapping[str, Any]) -> Shape | None:
        if "question" in self._find(row) or "answer" in self._names:
            return None
        return next((shape for shape in SHAPES if all(key in row for key in shape.needs)), None)

    def _find(self, row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """The row's columns by the key that they hold."""
        metadata = self._names.get(METADATA, ())
        own = {name.strip().lower(): name for name in reversed([*row]) if name not in metadata}
        own |= {name: name for name in row if name not in metadata}
        found = {key: (own[key],) for key in KEYS if key in own and key not in self._names}
        named = {key: tuple(name for name in self._names[key] if name in row) for key in KEYS if key in self._names}
        return found | {key: names for key, names in named.items() if names}

    def _value(self, row: Mapping[str, Any], key: str, names: tuple[str, ...]) -> Any:
        if len(self._names.get(key, ())) < 2:
            return row[names[0]]
        there = [row[name] for name in names if row[name] not in (None, "")]
        if key in ("answer", "options"):
            return there or None
        return "\n\n".join(str(one).strip() for one in there) or None

    def _rest(self, row: Mapping[str, Any], taken: set[str], where: str) -> dict[str, Any]:
        """The columns that hold none of `KEYS`, where they have a value."""
        if METADATA in self._names:
            rest = [name for name in self._names[METADATA] if name in row]
        else:
            rest = [name for name in row if name not in taken]
            open_keys = [key for key in KEYS if key not in self._names]
            for name in rest:
                if difflib.get_close_matches(name.strip().lower(), open_keys, n=1, cutoff=_NEAR):
                    raise DataError(f"{where}: unknown key {name!r}{did_you_mean(name, KEYS)}")
        self._kept.update(dict.fromkeys(name for name in rest if row[name] is not None))
        return {name: row[name] for name in rest if row[name] is not None}


def worked(text: Any) -> dict[str, Any]:
    """Rationale and answer of a text that ends in its answer ("So the answer is X.", `#### X`, a box); else all is the answer."""
    if not isinstance(text, str):
        return {"answer": text}
    working, answer = grading.split_closing(text)
    if not answer and (found := grading.find_answer(text)).source in ("hashes", "boxed"):
        working, answer = text.rpartition("####")[0].strip() or text.strip(), found.text
    return {"answer": answer, **({"rationale": working} if working else {})} if answer else {"answer": text}


def _alpaca(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    question = "\n\n".join(str(row[key]).strip() for key in ("instruction", "input") if row.get(key))
    return {"question": question, **worked(row["output"])}


def _conversation(key: str) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
    def read(row: Mapping[str, Any], where: str) -> dict[str, Any]:
        turns = row[key]
        if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
            raise DataError(f"{where}: {key} must be a list of turns")
        roles = [str(turn.get("role", turn.get("from"))) for turn in turns]
        texts = [_text_of(turn.get("content", turn.get("value")), where) for turn in turns]
        said = [(role, text) for role, text in zip(roles, texts, strict=True) if role not in _ASIDE]
        if [_ROLES.get(role) for role, _ in said] != ["user", "assistant"]:
            raise DataError(
                f"{where}: a question is one turn of the user and one answer, but here are {', '.join(roles)}"
            )
        aside = [text for role, text in zip(roles, texts, strict=True) if role in _ASIDE]
        system = {METADATA: {"system": "\n\n".join(aside)}} if aside else {}
        return {"question": said[0][1], **worked(said[1][1]), **system}

    return read


def _text_of(content: Any, where: str) -> str:
    """A turn's text; contents that are lists of parts have texts only."""
    if isinstance(content, list):
        content = "\n".join(
            part["text"] if isinstance(part, dict) and isinstance(part.get("text"), str) else _no_text(part, where)
            for part in content
        )
    return content if isinstance(content, str) else _no_text(content, where)


def _no_text(content: Any, where: str) -> str:
    raise DataError(f"{where}: a turn must be text, but is {content!r:.60}")


SHAPES = (
    Shape("Alpaca", ("instruction", "output"), ("instruction", "input", "output"), _alpaca),
    Shape("ShareGPT (conversations)", ("conversations",), ("conversations",), _conversation("conversations")),
    Shape("messages", ("messages",), ("messages",), _conversation("messages")),
)
