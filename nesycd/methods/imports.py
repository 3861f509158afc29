"""Knowledge that a recipe brings along in files: proposals like a teacher's, but of no error."""

from __future__ import annotations

from collections.abc import Sequence

from nesycd.core.records import Evidence, Item, Status
from nesycd.knowledge import read_file
from nesycd.methods.context import Parts

_PASSED_OVER = {Status.REJECTED, Status.RETIRED}


def imported(parts: Parts) -> list[tuple[Item, Evidence]]:
    """The items of `knowledge.files` with their sources; what a file itself says is rejected or retired is left out.

    A file's evidence may name questions of another run, so only its sources are taken.

    Raises:
        KnowledgeError: a file cannot be read, or entries in it cannot be used: each is named.
    """
    found: Sequence[tuple[Item, Evidence]] = [
        (one.entry.item, Evidence(example="", source=source))
        for path in parts.recipe.knowledge.files
        for one in read_file(path)
        if one.entry.status not in _PASSED_OVER
        for source in sorted({evidence.source for evidence in one.entry.evidence} or {path.name})
    ]
    return list(found)
