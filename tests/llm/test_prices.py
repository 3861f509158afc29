"""Prices are exact, a user's own go first, and one that is not known is not guessed."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from nesycd.core.errors import ConfigError
from nesycd.llm.prices import Price, find_price, packaged_table, pico, read_prices

OPENAI = "https://api.openai.com"
ANTHROPIC = "https://api.anthropic.com"
HALF = Decimal("0.5")


def test_a_snapshot_costs_what_its_model_costs_unless_it_is_listed() -> None:
    price = find_price(OPENAI, "gpt-4o-mini")
    assert price == Price(150_000, 600_000, 75_000, HALF)
    assert find_price(OPENAI, "gpt-4o-mini-2024-07-18") == price
    assert find_price(OPENAI, "gpt-4o-2024-05-13") == Price(5_000_000, 15_000_000, 5_000_000, HALF)
    assert find_price(ANTHROPIC, "claude-haiku-4-5-20251001") == Price(1_000_000, 5_000_000, 100_000, HALF)


def test_what_is_not_listed_is_unknown() -> None:
    assert find_price(OPENAI, "gpt-4o-mini-audio") is None
    assert find_price("http://localhost:8000", "gpt-4o-mini") is None


def test_costs_are_whole_pico_dollars() -> None:
    price = Price(input=150_000, output=600_000, cached_input=75_000)
    assert price.cost(1000, 10, 400) == 600 * 150_000 + 400 * 75_000 + 10 * 600_000
    assert price.cost(10, 0, 99) == 10 * 75_000
    assert pico(0.1) + pico(0.2) == pico(0.3)


def test_batches_cost_a_share_rounded_up_or_it_is_unknown() -> None:
    assert Price(150_001, 600_000, 75_000, HALF).in_batches() == Price(75_001, 300_000, 37_500, Decimal(1))
    assert Price(150_000, 600_000, 75_000).in_batches() is None


def test_a_users_table_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "prices.toml"
    own.write_text('["http://localhost:8000/"]\n"my/model" = { input = 0, output = 0.000001 }\n')
    assert find_price("http://localhost:8000", "my/model", own) == Price(0, 1, 0)
    assert find_price(OPENAI, "gpt-4o-mini", own) is not None
    monkeypatch.setenv("NESYCD_PRICES", str(own))
    assert find_price("http://localhost:8000", "my/model") == Price(0, 1, 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "not valid TOML"),
        ('"gpt" = { input = 1, output = 2 }', "gpt: prices stand below their server"),
        ('["http://h"]\nm = 3', "http://h m: a price is written"),
        ('["http://h"]\nm = { input = 1 }', "http://h m: a price is written"),
        ('["http://h"]\nm = { input = 1, output = 2, ouput = 2 }', "unknown key ouput (did you mean 'output'?)"),
        ('["http://h"]\nm = { input = -1, output = 2 }', "input must be a number of USD"),
        ('["http://h"]\nm = { input = 1, output = 2, batch = 50 }', "batch must be a share of the price"),
        ('["http://h"]\nm = { input = 1, output = 2, batch = nan }', "batch must be a share of the price"),
        ('["http://h"]\nm = { input = nan, output = 2 }', "input must be a number of USD"),
        ('["http://h"]\nm = { input = "1", output = 2 }', "input must be a number of USD"),
        ('["http://h"]\nm = { input = 0.0000001, output = 2 }', "has more than six decimals"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_prices(text, "own.toml")
    assert str(raised.value).startswith("own.toml: ") and said in str(raised.value)


def test_the_packages_table_is_read_and_a_missing_one_told(tmp_path: Path) -> None:
    assert set(read_prices(packaged_table(), "prices.toml")) == {OPENAI, ANTHROPIC}
    with pytest.raises(ConfigError, match="cannot be read"):
        find_price(OPENAI, "gpt-4o", tmp_path / "none.toml")
