"""A finished run of the table student, made once for all tests of servers; copies of it may be changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import nesycd

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: longtail, 60 training questions; not to be changed."""
    root = tmp_path_factory.mktemp("served")
    methods = ["std_cot", "nesycd", "nesycd_no_kb", "nesycd_routed"]
    made = nesycd.run(
        ROOT / "recipes" / "longtail.toml",
        limit=60,
        student="table",
        progress=False,
        root=root,
        evaluation={"methods": methods},
    )
    made.close()
    return made.folder


@pytest.fixture
def run_folder(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished_run, tmp_path / "units")
    return tmp_path / "units"
