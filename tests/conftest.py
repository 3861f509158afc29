"""What all tests share: property tests that do not depend on the machine's speed, and no colours in output."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("nesycd", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("nesycd")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that does not depend on the terminal the tests run in."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
