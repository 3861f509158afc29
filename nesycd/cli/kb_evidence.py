"""What stands behind an item, for `nesycd kb show`: the question, the student's wrong answer, what the teacher said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nesycd.cli.kb_common import plain

_MOST = 1500
"""Characters of an answer; its end, where the result stands, is kept."""

Told = list[tuple[str, str]]


def folder_of(base: str, run: str, root: Path) -> Path | None:
    """The folder of the run that is named, else of the one whose base this is; None of a base that lies elsewhere.

    Raises:
        RunError: there is no such run.
    """
    from nesycd.runs.folders import find_run

    if run:
        return find_run(root, run)
    folder = Path(base).parent
    return folder if (folder / "manifest.json").is_file() else None


def background_of(base: str, run: str = "", root: Path = Path("runs")) -> Any:
    """What counts for the order of review, from the folder of the run (see `folder_of`).

    Raises:
        RunError: there is no such run.
    """
    from nesycd.serving.pages.evidence import RunEvidence

    return RunEvidence(folder_of(base, run, root)).background


def behind(folder: Path) -> Callable[[Any], Told]:
    """Reads a run's folder; gives what it has of a piece of evidence, as pairs of what it is and what it says.

    Raises:
        RunError: a damaged file.
    """
    from nesycd.core.records import Diagnosis, Example
    from nesycd.runs.predictions import FILE, Predictions
    from nesycd.runs.run import read_records

    examples = {one.uid: one for one in read_records(folder, "examples-train", Example)}
    answers = Predictions(folder / FILE).by_id
    diagnoses = {(one.example, one.attempt): one for one in read_records(folder, "diagnoses", Diagnosis)}

    def told(piece: Any) -> Told:
        found: Told = []
        if (example := examples.get(piece.example)) is not None:
            found.append(("question", " ".join([example.question, *_lettered(example.options)])))
            found.append(("right", " or ".join([example.answer, *example.accepted])))
        if (answer := answers.get(piece.attempt)) is not None:
            found.append(("answered", answer.text if len(answer.text) <= _MOST else f"… {answer.text[-_MOST:]}"))
        if (diagnosis := diagnoses.get((piece.example, piece.attempt))) is not None and diagnosis.cause:
            found.append(("cause", diagnosis.cause))
        return [(what, plain(" ".join(said.split()))) for what, said in found]

    return told


def judged(folder: Path, item: str) -> list[str]:
    """What the gate of a run found of an item, by its id; nothing where it was not judged.

    Raises:
        RunError: a damaged file.
    """
    from nesycd.core.judgements import Judgement, LessonJudgement
    from nesycd.runs.run import read_records

    found: list[Judgement | LessonJudgement] = []
    for stage in ("gate-facts", "gate-rules"):
        found += read_records(folder, stage, Judgement)
    found += read_records(folder, "lessons", LessonJudgement)
    return [f"{one.verdict}: {plain(one.told)}" for one in found if one.item == item]


def _lettered(options: Iterable[str]) -> list[str]:
    return [f"({chr(ord('A') + number)}) {option}" for number, option in enumerate(options)]
