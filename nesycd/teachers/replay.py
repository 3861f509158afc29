"""The replay teacher: rationales (and diagnoses) recorded earlier, served from files of rows (`core.row_files`).

Two kinds of row are read. Recorded rows, as in published sets of teacher answers, have the keys `RECORDED`: there
`answer` is the gold one and `teacher_answer` the teacher's. A user's own rows are `{"id" or "question", "rationale"}`
with optional `answer` (the teacher's), `options`, `task` and `teacher`.

What a rationale is matched by: BIG-Bench Hard rows by task and the publisher's index in their `id`, since hyperbaton
and snarks have one question text each; other rows by `id` where that is the example's uid, else by task, question and
options with white space squeezed. Nothing is graded here: wrong rationales are served, and the stage counts them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from nesycd import grading
from nesycd.core.errors import DataError, TeacherError
from nesycd.core.files import did_you_mean, question_key, squeeze
from nesycd.core.protocols import ErrorCase
from nesycd.core.records import Diagnosis, Example, Item, Rationale, content_hash
from nesycd.core.row_files import Faults, RowFile, rows_hash

OWN = ("id", "question", "rationale", "answer", "teacher", "options", "task")
RECORDED = (*OWN, "benchmark", "teacher_answer", "teacher_correct", "split", "rationale_agrees")
DIAGNOSIS = ("id", "question", "options", "task", "items", "cause")

_BBH_ROW = re.compile(r"^bbh-(?P<task>.+?)-(?P<index>\d+)(?:-\w+)?$")
_BBH_UID = re.compile(r"^bbh-(?P<task>.+)-(?P<index>\d+)$")
_ITEMS: TypeAdapter[tuple[Item, ...]] = TypeAdapter(tuple[Item, ...])

Row = dict[str, Any]


class ReplayTeacher:
    """Serves recorded rationales; of several for one question, the first in the order of `paths`.

    Args:
        paths: files of rows.
        name: the teacher's name in records; a row's own `teacher` goes before it.
        require_agreement: serve only rows with `teacher_correct` and `rationale_agrees` (recordings made with the gold
            answer in sight, such as GSM8K's, need it). BBH rows and rows without these keys are served all the same.
        diagnoses: an optional file of diagnoses: `{"id" or "question", "items", "cause"}`, or what a run wrote.

    Raises:
        TeacherError: no paths given.
        DataError: a file or line that cannot be used.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        name: str = "replay",
        require_agreement: bool = False,
        diagnoses: Path | None = None,
    ) -> None:
        if not paths:
            raise TeacherError("replay: no recordings were given; name at least one JSONL file")
        self.name = name
        # Hashed before they are read: a file that is edited meanwhile counts as edited at the next run.
        hashes = [rows_hash(path) for path in paths], rows_hash(diagnoses) if diagnoses else ""
        self.fingerprint = content_hash(["replay/2", name, require_agreement, *hashes])
        self._rows = _Index()
        self._disagreeing = _Index()
        faults = Faults()
        for path in paths:
            for where, row in RowFile(path, faults):
                with faults.of_row():
                    _check_row(row, where)
                    usable = not require_agreement or _agrees(row)
                    (self._rows if usable else self._disagreeing).add(row)
        faults.tell()
        self._diagnoses = _read_diagnoses(diagnoses) if diagnoses else None

    def rationales(self, examples: Sequence[Example]) -> Iterator[Rationale]:
        """The recorded rationale of each question, without its closing sentence, whose answer goes into `answer`."""
        for example in examples:
            row, note = self._rows.find(example)
            if row is not None:
                yield self._rationale(example, row)
            else:
                agreed, _ = self._disagreeing.find(example)
                failure = note or ("no recording whose working agrees with the answer" if agreed else "no recording")
                yield Rationale(example=example.uid, teacher=self.name, failure=failure)

    def diagnoses(self, cases: Sequence[ErrorCase]) -> Iterator[Diagnosis]:
        """The recorded diagnosis of each question, whatever the response was; a failure where there is none."""
        for case in cases:
            row: Row | None = None
            failure = "replay has no diagnoses"
            if self._diagnoses is not None:
                row, note = self._diagnoses.find(case.example)
                failure = note or "no recorded diagnosis"
            yield Diagnosis(
                example=case.example.uid,
                attempt=case.attempt.prediction,
                teacher=self.name,
                items=row["items"] if row else (),
                cause=row.get("cause") or "" if row else "",
                failure="" if row else failure,
            )

    def _rationale(self, example: Example, row: Row) -> Rationale:
        teacher = row.get("teacher") or self.name
        recorded = row.get("teacher_answer") if _is_recorded(row) else row.get("answer")
        answer = "" if recorded is None else str(recorded)
        working, closed_with = grading.split_closing(row["rationale"])
        if closed_with and answer and not grading.same_answer(closed_with, answer):
            working, closed_with = row["rationale"].strip(), ""  # it says something else there: part of the rationale
        if not working:
            return Rationale(example=example.uid, teacher=teacher, failure="the recorded rationale has no working")
        answer = answer or closed_with or grading.extract(row["rationale"], example)
        return Rationale(example=example.uid, teacher=teacher, text=working, answer=answer)


class _Index:
    """Rows by every key that an example may match them with; the first row with a key stays."""

    def __init__(self) -> None:
        self.by_bbh: dict[tuple[str, int], Row] = {}
        self.by_id: dict[str, Row] = {}
        self.by_text: dict[str, Row] = {}

    def add(self, row: Row) -> None:
        uid = str(row.get("id") or "")
        bbh = _BBH_ROW.match(uid) if row.get("benchmark") == "bbh" else None
        if bbh:
            # The question text alone would match other questions of the same task.
            self.by_bbh.setdefault((bbh["task"], int(bbh["index"])), row)
            return
        if uid:
            self.by_id.setdefault(uid, row)
        if row.get("question"):
            key = question_key(str(row.get("task") or ""), row["question"], row.get("options") or ())
            self.by_text.setdefault(key, row)

    def find(self, example: Example) -> tuple[Row | None, str]:
        """The row for an example, or None and what went wrong ("" = there is none)."""
        bbh = _BBH_UID.match(example.uid)
        row = self.by_bbh.get((bbh["task"], int(bbh["index"]))) if bbh else None
        if row is not None:
            same_text = squeeze(row.get("question") or "") in squeeze(example.question)
            return (row, "") if same_text else (None, "the recording with this number is of another question")
        if example.uid in self.by_id:
            return self.by_id[example.uid], ""
        for task in (example.task, example.task.rpartition("/")[2], ""):
            key = question_key(task, example.question, example.options)
            if key in self.by_text:
                return self.by_text[key], ""
        return None, ""


def _is_recorded(row: Row) -> bool:
    return "teacher_answer" in row


def _agrees(row: Row) -> bool:
    """Whether a row passes `require_agreement`; the keys mean nothing on BBH."""
    if row.get("benchmark") == "bbh" or not ("teacher_correct" in row or "rationale_agrees" in row):
        return True
    return bool(row.get("teacher_correct")) and bool(row.get("rationale_agrees"))


def _check_row(row: Row, where: str) -> None:
    known = RECORDED if _is_recorded(row) else OWN
    _check_keys(row, known, where)
    if not isinstance(row.get("rationale"), str):
        raise DataError(f"{where}: key 'rationale' is missing or not a text")


def _check_keys(row: Row, known: Sequence[str], where: str) -> None:
    for key in row:
        if key not in known:
            raise DataError(f"{where}: unknown key {key!r}{did_you_mean(key, known)}")
    if not row.get("id") and not row.get("question"):
        raise DataError(f"{where}: 'id' or 'question' is needed to know which question this is for")
    if not isinstance(row.get("question"), str | None):
        raise DataError(f"{where}: question must be a text")
    options = row.get("options")
    if options is not None and not (isinstance(options, list) and all(isinstance(text, str) for text in options)):
        raise DataError(f"{where}: options must be a list of texts")


def _read_diagnoses(path: Path) -> _Index:
    index, faults = _Index(), Faults()
    for where, row in RowFile(path, faults):
        with faults.of_row():
            if (usable := _diagnosis(row, where)) is not None:
                index.add(usable)
    faults.tell()
    return index


def _diagnosis(row: Row, where: str) -> Row | None:
    """A user's diagnosis, or one that a run wrote; None for a failed one."""
    if "schema" in row:
        record = Diagnosis.from_json(row, where)
        return None if record.failure else {"id": record.example, "items": record.items, "cause": record.cause}
    _check_keys(row, DIAGNOSIS, where)
    try:
        items = _ITEMS.validate_python(row.get("items"))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"{where}: items{'.' if place else ''}{place}: {first['msg']}") from None
    return {**row, "items": items}
