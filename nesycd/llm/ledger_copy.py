"""A part of a ledger as a ledger of its own, so that a run that moves elsewhere pays for nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from nesycd.core.errors import TeacherError
from nesycd.llm.ledger import Ledger

_CALL = "hash, key, budget, model, origin, owner, state, reason, usd, bound, prompt_tokens, completion_tokens, started, seconds"
_HASH, _KEY, _BUDGET = 1, 2, 3
_ANSWER = "request, text, failure, snapshot"


def copy_ledger(
    source: Path, target: Path, model: str, origin: str, budget: str, is_about: Callable[[str], bool]
) -> int:
    """Copy the answers of a model to calls of a budget, or about certain questions, and what the budget has cost.

    Args:
        source: the ledger.
        target: the new one; it must not exist.
        model: whose answers.
        origin: of the model's server.
        budget: whose caps are to go on counting.
        is_about: whether a call's key belongs to the run.

    Returns:
        The number of answers.

    Raises:
        TeacherError: no ledger, or calls of the budget wait in a batch: only the ledger that submitted it can collect it.
    """
    call, answer = f"c.{_CALL.replace(', ', ', c.')}", f"a.{_ANSWER.replace(', ', ', a.')}"
    query = (
        f"SELECT c.id, {call}, {answer} FROM answers a JOIN calls c ON c.id = a.call WHERE c.model = ? AND c.origin = ?"
    )
    columns = len(_CALL.split(", "))
    with Ledger.open(source, create=False) as old, closing(Ledger.open(target)) as new, old.reading() as connection:
        waiting = connection.execute("SELECT COUNT(*) FROM calls WHERE state = 'batched' AND budget = ?", (budget,))
        if count := waiting.fetchone()[0]:
            raise TeacherError(
                f"{source}: {count} calls of budget {budget!r} wait in a batch at their provider; run the recipe here to "
                "collect them first (nesycd ledger show), or give the batch up (nesycd ledger prune --batch)"
            )
        rows = [
            row for row in connection.execute(query, (model, origin)) if row[_BUDGET] == budget or is_about(row[_KEY])
        ]
        spent = connection.execute("SELECT name, calls, usd FROM budgets WHERE name = ?", (budget,)).fetchall()
        with new.writing() as writing:
            for row in rows:
                called, answered = row[: columns + 1], row[columns + 1 :]
                writing.execute(f"INSERT INTO calls (id, {_CALL}) VALUES (?{', ?' * columns})", called)
                stored = (row[_HASH], row[0], *answered)
                writing.execute(f"INSERT INTO answers (hash, call, {_ANSWER}) VALUES (?, ?, ?, ?, ?, ?)", stored)
            # After the calls, which the ledger's triggers count otherwise.
            writing.executemany("INSERT INTO budgets (name, calls, usd) VALUES (?, ?, ?)", spent)
    shutil.rmtree(target.with_name(f"{target.name}-users"), ignore_errors=True)
    return len(rows)
