"""What all tests share: property tests that no machine's speed changes, no colours, ledgers of their own, and full disks."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores; with torch's default each would take all of them, which makes tests of students take twice as long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The libraries' many objects stay anyway: looking for garbage among them took a sixth of the tests' time.
gc.set_threshold(50_000, 50, 100)

settings.register_profile("nesycd", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("nesycd")


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output that does not depend on the terminal the tests run in."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


_NUMBERS = count()


@pytest.fixture(autouse=True)
def no_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A ledger of its own for each test, which is not there yet: nobody's paid answers are read, added to or pruned."""
    place = tmp_path_factory.getbasetemp() / f"ledger-{next(_NUMBERS)}.sqlite"
    monkeypatch.setenv("NESYCD_LEDGER", str(place))


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
