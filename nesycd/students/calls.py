"""Tool calls of students. None are supported yet; the calculator is a setting of the student."""

from __future__ import annotations

from nesycd.core.errors import ModelError
from nesycd.core.protocols import Decoding


def refuse_calls(student: str, decoding: Decoding) -> None:
    """Refuse tool calls that a student cannot make.

    Raises:
        ModelError: `decoding.calls` is not empty.
    """
    if decoding.calls:
        raise ModelError(f"{student}: cannot make calls while it writes ({', '.join(decoding.calls)})")
