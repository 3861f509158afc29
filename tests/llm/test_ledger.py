"""The ledger: a call is claimed, then answered, released or lost; sums are exact, and the dead are noticed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import NesycdError, TeacherError
from nesycd.llm import ledger as ledger_module
from nesycd.llm.ledger import PICO, Answer, Budget, Call, Claim, Ledger, default_path, dollars

ROOT = Path(__file__).parent.parent.parent
FREE = Budget("b")


def call(name: str, usd: int | None = 100) -> Call:
    return Call(hash=name, key=f"rationale:{name}", model="m", origin="http://h", request='{"a":1}', usd=usd)


def totals(ledger: Ledger, *by: str) -> dict[str, Any]:
    [row] = ledger.totals(*by)
    return row


def test_a_call_is_claimed_once_and_its_answer_kept(ledger_path: Path) -> None:
    with Ledger.open(ledger_path) as ledger:
        granted = ledger.claim(call("a"), FREE)
        assert granted.call and ledger.claim(call("a"), FREE) == Claim(wait=True)
        answer = Answer("yes", "", "m-1", 10, 5, 70, 1.5)
        ledger.settle(granted.call, call("a"), answer)
        assert ledger.claim(call("a"), FREE) == Claim(answer=answer)
    with Ledger.open(ledger_path, create=False) as ledger:
        assert ledger.answer("a") == answer and ledger.answer("b") is None
        [row] = ledger.export()
        assert (row["key"], row["request"], row["text"], row["usd"]) == ("rationale:a", {"a": 1}, "yes", 70 / PICO)
        assert totals(ledger)["usd"] == 70


def test_what_was_not_served_costs_nothing_and_what_may_have_been_costs_the_most(ledger_path: Path) -> None:
    with Ledger.open(ledger_path) as ledger:
        ledger.release(ledger.claim(call("a"), FREE).call, "HTTP 500")
        ledger.lose(ledger.claim(call("b"), FREE).call, "timeout")
        row = totals(ledger)
        assert (row["unpaid"], row["possibly_paid"], row["answered"], row["usd"]) == (1, 1, 0, 100)
        assert ledger.claim(call("a"), FREE).call and ledger.claim(call("b"), FREE).call


def test_caps_count_all_that_was_reserved_or_spent_under_a_budget(ledger_path: Path) -> None:
    capped = Budget("b", max_usd=250, max_calls=3)
    with Ledger.open(ledger_path) as ledger:
        first, second = ledger.claim(call("a"), capped), ledger.claim(call("b"), capped)
        assert ledger.claim(call("c"), capped) == Claim(wait=True), "what is in flight may leave room"
        ledger.settle(first.call, call("a"), Answer("x", usd=40))
        third = ledger.claim(call("c"), capped)
        assert third.call
        ledger.settle(second.call, call("b"), Answer("x", usd=100))
        ledger.lose(third.call, "timeout")
        assert ledger.claim(call("d"), capped).cap.startswith("max_calls reached (3 of 3 under budget 'b')")
        assert ledger.claim(call("d"), Budget("b", max_usd=250)).cap.startswith("max_usd reached (0 of 0 USD")
        assert ledger.claim(call("d"), Budget("other", max_usd=250)).call
        assert ledger.claim(call("a"), capped).answer, "what is answered needs no room"


def test_without_a_price_no_cap_on_usd_can_be_kept(ledger_path: Path) -> None:
    with Ledger.open(ledger_path) as ledger:
        with pytest.raises(TeacherError, match="price of 'm' is unknown"):
            ledger.claim(call("a", usd=None), Budget("b", max_usd=1))
        ledger.settle(ledger.claim(call("a", usd=None), FREE).call, call("a"), Answer("x"))
        row = totals(ledger, "model", "origin")
        assert row["usd"] is None and row["unpriced"] == 1


def test_what_a_closed_or_killed_user_left_in_flight_is_possibly_paid(ledger_path: Path) -> None:
    ledger = Ledger.open(ledger_path)
    assert ledger.claim(call("a"), FREE).call
    ledger.close()
    program = (
        "import os, sys; from pathlib import Path; from nesycd.llm.ledger import *\n"
        f"ledger = Ledger.open(Path({str(ledger_path)!r}))\n"
        "ledger.claim(Call('b', 'k', 'm', 'o', '{}', 100), Budget('b')); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 9
    with Ledger.open(ledger_path) as again:
        assert totals(again)["possibly_paid"] == 2 and totals(again)["in_flight"] == 0
        assert again.claim(call("b"), FREE).call
        assert len([*ledger_path.with_name("ledger.sqlite-users").iterdir()]) == 1


def test_a_living_users_calls_are_waited_for_and_noticed_when_it_dies(ledger_path: Path) -> None:
    other = Ledger.open(ledger_path)
    with Ledger.open(ledger_path) as ledger:
        assert other.claim(call("a"), Budget("b", max_calls=1)).call
        assert ledger.claim(call("a"), FREE) == Claim(wait=True)
        assert ledger.claim(call("b"), Budget("b", max_calls=1)) == Claim(wait=True)
        other._lock.release()  # as the system does with a process that ends
        assert ledger.claim(call("b"), Budget("b", max_calls=1)).cap.startswith("max_calls reached")
        assert ledger.claim(call("a"), FREE).call


def test_many_threads_share_one_ledger_and_break_no_cap(ledger_path: Path) -> None:
    granted: list[int] = []

    def work(ledger: Ledger, name: str) -> None:
        for number in range(20):
            claim = ledger.claim(call(f"{name}{number}", usd=7), Budget("b", max_usd=350))
            if claim.call:
                granted.append(claim.call)
                ledger.lose(claim.call, "lost")

    with Ledger.open(ledger_path) as one, Ledger.open(ledger_path) as two:
        threads = [threading.Thread(target=work, args=(one if n % 2 else two, f"t{n}-")) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(granted) == 50 and totals(one)["usd"] == 350


def test_pruning_forgets_answers_but_not_what_they_cost(ledger_path: Path) -> None:
    with Ledger.open(ledger_path) as ledger:
        for name, failure in (("a", ""), ("b", "length"), ("c", "empty")):
            ledger.settle(ledger.claim(call(name), FREE).call, call(name), Answer("x", failure, usd=10))
        assert ledger.prune(failed=True, model="other") == ledger.prune(before=0.0) == 0
        assert ledger.prune(failed=True, model="m") == 2
        assert ledger.answer("a") and ledger.answer("b") is None
        assert totals(ledger)["usd"] == 30 and ledger.claim(call("b"), FREE).call


def test_the_ledger_can_be_changed_while_it_is_exported(ledger_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_PAGE", 2)
    with Ledger.open(ledger_path) as ledger:
        for name in "abcde":
            ledger.settle(ledger.claim(call(name), FREE).call, call(name), Answer("x", "empty" if name == "e" else ""))
        exported = ledger.export()
        seen = [next(exported)["hash"]]
        ledger.settle(ledger.claim(call("f"), FREE).call, call("f"), Answer("x"))
        assert ledger.prune(failed=True) == 1
        seen += [row["hash"] for row in exported]
    assert seen == ["a", "b", "c", "d", "f"]


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="there is no ledger at"):
        Ledger.open(tmp_path / "none.sqlite", create=False)
    (tmp_path / "text").write_text("not a database at all, but long enough to be read as one")
    with pytest.raises(TeacherError, match=r"ledger .*text: file is not a database"):
        Ledger.open(tmp_path / "text")
    with sqlite3.connect(tmp_path / "other.sqlite") as raw:
        raw.execute("CREATE TABLE t (x)")
    raw.close()
    with pytest.raises(TeacherError, match="a database but not a ledger"):
        Ledger.open(tmp_path / "other.sqlite")
    Ledger.open(tmp_path / "new.sqlite").close()
    for version in ("1", "99"):
        with sqlite3.connect(tmp_path / "new.sqlite") as raw:
            raw.execute("UPDATE meta SET value = ?", (version,))
        raw.close()
        with pytest.raises(TeacherError, match=f"has schema {version}, but 2 is read here: name another file"):
            Ledger.open(tmp_path / "new.sqlite")
    (tmp_path / "file").write_text("")
    with pytest.raises(NesycdError, match="cannot be written"):
        Ledger.open(tmp_path / "file" / "ledger.sqlite")


def test_where_the_ledger_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NESYCD_LEDGER", str(tmp_path / "mine.sqlite"))
    assert default_path() == tmp_path / "mine.sqlite"
    monkeypatch.delenv("NESYCD_LEDGER")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_path() == tmp_path / "nesycd" / "ledger.sqlite"


def test_dollars_are_shown_without_noise() -> None:
    assert [dollars(value) for value in (0, PICO, 150 * 10**6, 25 * PICO // 2)] == ["0", "1", "0.00015", "12.5"]
