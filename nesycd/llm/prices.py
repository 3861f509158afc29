"""What a model costs: the price table (`prices.toml`), with a user's own file before it. An unknown price stays unknown."""

from __future__ import annotations

import math
import os
import re
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from nesycd.core.errors import ConfigError
from nesycd.core.files import did_you_mean, read_text
from nesycd.llm.ledger import PICO

_KEYS = ("input", "output", "cached_input", "batch")
_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


@dataclass(frozen=True)
class Price:
    """Pico-dollars for a token: whole numbers, so that sums are exact (a dollar for a million tokens is 10**6)."""

    input: int
    output: int
    cached_input: int
    batch: Decimal | None = None
    """What a token costs in a batch, as a share of these; None: unknown."""

    def in_batches(self) -> Price | None:
        """The price of what is sent in batches; None where it is unknown. Rounded up, so that caps hold."""
        if self.batch is None:
            return None
        read, written, cached = (math.ceil(n * self.batch) for n in (self.input, self.output, self.cached_input))
        return Price(read, written, cached, Decimal(1))

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
        """Pico-dollars of a call; `cached_tokens` are those of the prompt that the server had in its cache."""
        cached = min(cached_tokens, prompt_tokens)
        return (prompt_tokens - cached) * self.input + cached * self.cached_input + completion_tokens * self.output


def pico(usd: float) -> int:
    """Pico-dollars of an amount as it was written down."""
    return int(Decimal(str(usd)) * PICO)


def find_price(origin: str, model: str, own: Path | None = None) -> Price | None:
    """The price of a model at a server (`https://host[:port]`), or None where no table has it.

    Args:
        origin: scheme, host and port of the base URL.
        model: as it is asked for.
        own: a table of the user's; that of `NESYCD_PRICES` if not given.

    Raises:
        ConfigError: a table that cannot be used.
    """
    if own is None and os.environ.get("NESYCD_PRICES"):
        own = Path(os.environ["NESYCD_PRICES"])
    tables = [] if own is None else [read_prices(read_text(own, ConfigError), str(own))]
    for table in (*tables, read_prices(packaged_table(), "prices.toml")):
        models = table.get(origin, {})
        if found := models.get(model) or models.get(_SNAPSHOT.sub("", model)):
            return found
    return None


def packaged_table() -> str:
    """The package's price table as text: the form that a user's own has too."""
    return resources.files(__package__).joinpath("prices.toml").read_text(encoding="utf-8")


def read_prices(text: str, where: str) -> dict[str, dict[str, Price]]:
    """A price table by server and model.

    Raises:
        ConfigError: not TOML, or not of this form.
    """
    try:
        data = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from None
    return {
        origin.rstrip("/"): {model: _price(row, f"{where}: {origin} {model}") for model, row in models.items()}
        for origin, models in _tables(data, where).items()
    }


def _tables(data: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    for origin, models in data.items():
        if "://" not in origin or not isinstance(models, dict):
            raise ConfigError(f'{where}: {origin}: prices stand below their server, as in ["https://api.openai.com"]')
    return data


def _price(row: Any, where: str) -> Price:
    if not isinstance(row, dict) or "input" not in row or "output" not in row:
        raise ConfigError(f"{where}: a price is written {{ input = 0.15, output = 0.60 }}, in USD for a million tokens")
    for key in row:
        if key not in _KEYS:
            raise ConfigError(f"{where}: unknown key {key}{did_you_mean(key, _KEYS)}")
    amounts = {key: _per_token(value, f"{where}: {key}") for key, value in row.items() if key != "batch"}
    batch = _share(row["batch"], f"{where}: batch") if "batch" in row else None
    return Price(amounts["input"], amounts["output"], amounts.get("cached_input", amounts["input"]), batch)


def _share(value: Any, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not _is_share(Decimal(value)):
        raise ConfigError(f"{where} must be a share of the price, such as 0.5, but it is {value}")
    return Decimal(value)


def _per_token(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not _is_amount(Decimal(value)):
        raise ConfigError(f"{where} must be a number of USD for a million tokens, but it is {value}")
    amount = Decimal(value) * 10**6
    if amount != int(amount):
        raise ConfigError(f"{where}: {value} has more than six decimals")
    return int(amount)


def _is_amount(value: Decimal) -> bool:
    return value.is_finite() and 0 <= value < 10**6


def _is_share(value: Decimal) -> bool:
    return value.is_finite() and 0 <= value <= 1
