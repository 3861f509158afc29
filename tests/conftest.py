"""What all tests share: property tests that do not depend on the machine's speed, no colours, and full disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

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


@pytest.fixture
def file_limit() -> Callable[[int], AbstractContextManager[None]]:
    """Within `file_limit(size)` the system refuses to let a file grow over so many bytes, as a full disk would."""
    resource = pytest.importorskip("resource", reason="the system has no limits")

    @contextmanager
    def limited(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
