"""BIG-bench tasks as their publisher lays them out (google/BIG-bench, Apache-2.0), or from the hub.

`path` is a folder with a `task.json`, or a folder of such folders (subtasks below them too). Read are `task_prefix` and the
`examples`: `input`, with `target_scores` (choices and their scores) or `target` (a text or a list of accepted ones).
Choices are sorted and shuffled, as the publisher does, since the files often name the right one first; those of the highest
score are right. They are always shown, since a student must name one (`append_choices_to_input` is for models that
score them). Tasks that are programs (`task.py` alone) cannot be read.

BIG-bench has no splits: all is `test`, unless `test_share` is below 1. NesyCD's BB-sub is 61 of these tasks (5,384
questions), at most so many of each (`per_task`).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from nesycd import grading
from nesycd.core.errors import DataError
from nesycd.core.files import did_you_mean, question_key, read_json
from nesycd.core.records import Example
from nesycd.tasks.base import Card, StoredTask, hold_out, in_split, is_missing, train_and_valid
from nesycd.tasks.source import Source, SourceSettings

NAME = "bigbench"
CAUTION = "BIG-bench bears a canary: never publish a model trained on it without saying so"
LETTERS = 26
"""Questions with more choices are open ones: their gold is a choice's text."""

CARD = Card(
    name=NAME,
    source="google/BIG-bench",
    licence="Apache-2.0",
    sizes={},
    splits="no official one: test only; with test_share below 1 each task is split, and valid is a tenth of the rest",
    grading="as an option where there are choices, else as plain text, number or yes/no word, any of the accepted targets",
    hub="tasksource/bigbench",
)


class BigbenchSettings(SourceSettings):
    """BIG-bench: which tasks, and how many questions of each."""

    HUB: ClassVar[str] = CARD.hub
    FILES: ClassVar[str] = "a folder with task.json, or one of such folders"
    tasks: tuple[str, ...] = ()
    """Names of task folders (`TASK`, `TASK/SUBTASK`) or of the hub's parts; empty: all, which the hub does not allow."""
    per_task: int = Field(default=0, ge=0)
    """At most so many questions of each task, a seeded sample; 0: all."""
    test_share: float = Field(default=1.0, gt=0, le=1)
    """Share of each task that is `test`; the rest is the train side, to train on these tasks."""


@dataclass
class _Read:
    """What was read: examples by task, and cautions."""

    examples: dict[str, list[Example]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


class Bigbench(StoredTask):
    """BIG-bench; `uid` is `bigbench-TASK-007` with the publisher's index, `task` is `bigbench/TASK`.

    Raises:
        DataError: no task files, an unknown task, or a file of another shape.
    """

    def __init__(self, settings: BigbenchSettings) -> None:
        source = Source(settings)
        read = _Read(notes=[CAUTION])
        for name, content, where in (_from_hub if source.is_hub else _from_files)(source, settings.tasks):
            _read_task(name, content, where, settings.seed, read)
        splits: dict[str, list[Example]] = {"train": [], "valid": [], "test": []}
        for examples in read.examples.values():
            if settings.per_task:
                _, examples = hold_out(examples, settings.per_task, settings.seed)
            train, test = hold_out(examples, round(len(examples) * settings.test_share) or 1, settings.seed)
            parts = train_and_valid(train, settings.valid, settings.seed) | {"test": in_split("test", test)}
            for split, part in parts.items():
                splits[split] += part
        kept = {split: examples for split, examples in splits.items() if examples or split == "test"}
        super().__init__(NAME, kept, read.notes, fingerprint=source.fingerprint)


def _from_files(source: Source, tasks: tuple[str, ...]) -> Iterator[tuple[str, Any, str]]:
    """Name, content and place of each task wanted."""
    root = source.folder
    files = {root.resolve().name: "task.json"} if (root / "task.json").is_file() else {}
    for pattern in ("*/task.json", "*/*/task.json"):
        names = [path.relative_to(root).as_posix() for path in sorted(root.glob(pattern))]
        files |= {name.removesuffix("/task.json"): name for name in names}
    if not files:
        why = "; a task that is a program (task.py) cannot be read" if any(root.glob("**/task.py")) else ""
        raise DataError(f"{root}: no task.json in this folder or those in it{why}")
    for task in tasks:
        if task not in files:
            raise DataError(f"{root}: no BIG-bench task {task!r}{did_you_mean(task, files)}")
    for name, file in files.items():
        if not tasks or name in tasks:
            path = source.file(file, label=name)
            yield name, read_json(path), str(path)


def _from_hub(source: Source, tasks: tuple[str, ...]) -> Iterator[tuple[str, Any, str]]:
    if not tasks:
        raise DataError(
            f"{source.name}: name the tasks wanted (tasks = [...]); the hub's parts are not read all at once"
        )
    for task in tasks:
        rows = [row for split in ("train", "validation") for _, row in source.rows(task, split)]
        yield task, {"examples": [_as_published(row) for row in rows]}, f"{source.name}/{task}"


def _as_published(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the hub (`inputs`, `targets`, `multiple_choice_targets`, `multiple_choice_scores`) as one of `task.json`."""
    text = str(row.get("inputs") or "")
    choices = [str(choice) for choice in row.get("multiple_choice_targets") or ()]
    for choice in choices:
        text = text.replace(f"\n  choice: {choice}", "", 1)
    text = re.sub(r"^\s*Q:\s*", "", text)
    text = re.sub(r"\s*\bA:\s*$", "", text)
    if choices:
        return {
            "input": text,
            "target_scores": dict(zip(choices, row.get("multiple_choice_scores") or (), strict=False)),
        }
    return {"input": text, "target": list(row.get("targets") or ())}


def _read_task(name: str, content: Any, where: str, seed: int, read: _Read) -> None:
    rows = content.get("examples") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not rows:
        raise DataError(f'{where}: not a BIG-bench task: "examples" must be a list that is not empty')
    prefix = content.get("task_prefix")
    prefix = prefix.strip() if isinstance(prefix, str) else ""
    examples = read.examples[name] = []
    for index, row in enumerate(rows):
        here = f"{where}: example {index}"
        if not isinstance(row, dict) or not isinstance(row.get("input"), str):
            raise DataError(f"{here}: 'input' must be a text")
        uid = f"{NAME}-{name.replace('/', '-')}-{index:03d}"
        golds, options = _golds(row, here, random.Random(f"{seed}/{uid}"))
        if not golds or not (row["input"].strip() or prefix):
            read.notes.append(f"{uid}: no question, or no choice scores above the others; it is left out")
            continue
        question = "\n".join(part for part in (prefix, row["input"].strip()) if part)
        task = f"{NAME}/{name}"
        examples.append(
            Example(
                uid=uid,
                task=task,
                question=question,
                answer=golds[0],
                options=options,
                accepted=tuple(golds[1:]),
                group=question_key(task, question, sorted(options)),
            )
        )
    if not examples:
        raise DataError(f"{where}: none of the {len(rows)} examples can be used")


def _golds(row: Mapping[str, Any], where: str, rng: random.Random) -> tuple[list[str], tuple[str, ...]]:
    """The accepted answers (letters where there are choices) and the choices."""
    scores = row.get("target_scores")
    if scores is None:
        targets = row.get("target")
        targets = targets if isinstance(targets, list) else [targets]
        usable = (isinstance(one, str | int | float) and not is_missing(one) and str(one).strip() for one in targets)
        if not targets or not all(usable):
            raise DataError(f"{where}: 'target' (a text or a list of texts) or 'target_scores' is needed")
        return [str(target).strip() for target in targets], ()
    if not isinstance(scores, dict) or not all(isinstance(score, int | float) for score in scores.values()):
        raise DataError(f"{where}: 'target_scores' must be choices with their scores")
    choices = sorted(choice for choice in scores if choice.strip())
    rng.shuffle(choices)
    best = max((scores[choice] for choice in choices), default=0)
    right = [choice for choice in choices if scores[choice] == best]
    if len(right) == len(choices) > 1:
        return [], ()
    if not 2 <= len(choices) <= LETTERS:
        return right, ()
    letters = [grading.letter(index) for index, choice in enumerate(choices) if choice in right]
    return letters, tuple(choice.strip() for choice in choices)
