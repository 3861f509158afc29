"""Made-up stories of kinship, as rows of CLUTRR's files."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

from nesycd.tasks.clutrr import COLUMNS, FILE

KINDS = (("brother", "uncle"), ("sister", "aunt"))
NAMES = ("Anu", "Bou", "Cyu", "Dru", "Eyu", "Flo", "Gil", "Hue")
Meeting = Callable[[int, str, str], str]
"""Of a story's number, a son and his father: how the story says that they are."""


def write_stories(folder: Path, meeting: Meeting) -> None:
    """40 stories for training and 16 for tests, of a father and his brother or sister."""
    for part, numbers in (("validation", range(40)), ("test", range(40, 56))):
        with (folder / FILE.format(part=part)).open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(_story(number, meeting) for number in numbers)


def _story(number: int, meeting: Meeting) -> dict[str, str]:
    kind, result = KINDS[number % 2]
    one, two, three = (NAMES[(number + place) % len(NAMES)] + "abcdefgh"[number // 8 % 8] for place in (0, 1, 2))
    return dict.fromkeys(COLUMNS, "") | {
        "story": f"{meeting(number, one, two)} [{two}] likes his {kind} [{three}].",
        "query": str((one, three)),
        "target_text": result,
        "proof_state": str([{(one, result, three): [(one, "father", two), (two, kind, three)]}]),
        "task_name": "task_1.2",
        "story_edges": "[(0, 1), (1, 2)]",
        "edge_types": str(["father", kind]),
        "genders": f"{one}:male,{two}:male,{three}:{'male' if number % 2 == 0 else 'female'}",
    }
