"""What texts of facts say beyond a name: quantities, dates, ranges; what is ambiguous stays a text."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.rules.values import Range, quantity, written_date, written_range

DAY = date(2026, 11, 30)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6 feet", (6, "feet")), ("100 USD", (100, "USD")), ("$100", (100, "$")), ("-$1,200.50", (Decimal("-1200.5"), "$")),
        ("€ 5", (5, "€")), ("15%", (15, "%")), ("70lb", (70, "lb")), ("2.5 per cent", (Decimal("2.5"), "per cent")),
        ("100", None), ("some feet", None), ("Boeing 747", None), ("1,20 USD", None), ("$", None), ("18x14", None), ("", None),
    ],
)  # fmt: skip
def test_a_number_with_its_unit(text: str, value: tuple[object, str] | None) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize(
    "text",
    ["2026-11-30", "30 November 2026", "Nov 30, 2026", "Nov. 30 2026", "November 30th, 2026", "30th of November 2026",
     "Monday, 30 November 2026", " 30  NOV 2026"],
)  # fmt: skip
def test_a_day_in_usual_forms(text: str) -> None:
    assert written_date(text) == DAY


@pytest.mark.parametrize(
    "text",
    ["05/06/2026", "5-6-2026", "30/11/2026", "Monday 05/06/2026", "2026-02-30", "30 November", "November 2026", "2026",
     "30 Brumaire 2026", "built on 30 November 2026", "x" * 200],
)  # fmt: skip
def test_what_is_no_day_or_may_be_two(text: str) -> None:
    assert written_date(text) is None


@pytest.mark.parametrize(
    ("text", "low", "high", "ends"),
    [
        ("50 to 70 lb", 50, 70, "[]"), ("fee for 50 to 70 lb", 50, 70, "[]"), ("50-70 lb", 50, 70, "[]"),
        ("0–2.5", 0, Decimal("2.5"), "[]"),
        ("between 3 and 5 days", 3, 5, "[]"), ("$1,000 to $2,000", 1000, 2000, "[]"), ("-5 to 5", -5, 5, "[]"),
        ("over 50 to 70 lb", 50, 70, "(]"), ("more than 50 but not more than 70", 50, 70, "(]"),
        ("over 50 lbs (23 kg) up to 70 lbs (32 kg)", 50, 70, "(]"), ("over 50 and under 70", 50, 70, "()"),
        ("50 to under 70", 50, 70, "[)"), ("at least 50 and less than 70 lb", 50, 70, "[)"),
        ("up to 50 lb", None, 50, "[]"), ("50 lb or less", None, 50, "[]"), ("no more than 50", None, 50, "[]"),
        ("not exceeding 50 lb", None, 50, "[]"), ("no less than 50", 50, None, "[]"), ("under 50", None, 50, "[)"),
        ("over 70 lb", 70, None, "(]"), ("70 or more", 70, None, "[]"), ("65 and over", 65, None, "[]"),
        ("at least 70", 70, None, "[]"),
        ("3+", 3, None, "[]"), ("3", 3, 3, "[]"), ("$100", 100, 100, "[]"),
        ("1 January 2026 to 30 November 2026", date(2026, 1, 1), DAY, "[]"), ("before 2026-11-30", None, DAY, "[)"),
        ("on or after November 30, 2026", DAY, None, "[]"), ("after November 30, 2026", DAY, None, "(]"),
        ("30 November 2026", DAY, DAY, "[]"),
    ],
)  # fmt: skip
def test_a_range_as_its_words_say(text: str, low: object, high: object, ends: str) -> None:
    found = written_range(text)
    assert found is not None
    assert (found.low, found.high) == (low, high)
    assert f"{'[' if found.with_low else '('}{']' if found.with_high else ')'}" == ends


@pytest.mark.parametrize(
    "text",
    ["any", "tier 2", "Boeing 737-800", "0 to 1 and 2 to 3", "70 to 50", "12 noon to 3 pm", "over", "2026-01-01 to 5",
     "May 2020", "to 50 of x", "", "18 x 14 x 8 inches", "not 50 to 70", "50 to 70, except 60",
     "not under 50", "non-stop over 50 to 70"],
)  # fmt: skip
def test_what_states_no_range_or_several(text: str) -> None:
    assert written_range(text) is None


@given(st.text(alphabet="0123456789-+$,. toverundmanl%()", max_size=40) | st.text(max_size=40))
def test_any_text_is_read_or_left(text: str) -> None:
    found = written_range(text)
    assert found is None or (isinstance(found, Range) and found.is_one)
    quantity(text)
    written_date(text)
