"""`nesycd doctor` says what is there, what is missing, and how to get it."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.cli.main import app
from nesycd.runs import manifest


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Devices are told by a stand-in, so that these tests need no torch."""
    devices = types.ModuleType("nesycd.students.devices")
    row = {"device": "cuda:0", "name": "Toy GPU", "memory": "8", "bf16": "yes"}
    monkeypatch.setattr(devices, "describe", lambda: [row], raising=False)
    monkeypatch.setitem(sys.modules, "nesycd.students.devices", devices)
    monkeypatch.setenv("NESYCD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NESYCD_DATA", raising=False)


def doctor() -> str:
    shown = CliRunner().invoke(app, ["doctor"])
    assert shown.exit_code == 0
    return shown.output


def test_what_is_there_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NESYCD_DATA", str(tmp_path))
    shown = doctor()
    assert manifest.versions()["pydantic"] in shown
    assert "Toy GPU, 8 GiB, bf16: yes" in shown
    assert f"{manifest.machine()['cores']} cores" in shown


def test_what_is_missing_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "versions", lambda names: {"pydantic": "2"})
    monkeypatch.setitem(sys.modules, "nesycd.students.devices", None)
    shown = doctor()
    assert "not installed" in shown
    assert "torch: pip install 'nesycd[student]'" in shown
    assert "devices: install the extra 'student' first" in shown
    assert "smollm2-135m: fetched from PyPI (92 MB) on first use" in shown
    assert "NESYCD_DATA: set it to the folder" in shown


def test_a_data_folder_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NESYCD_DATA", str(tmp_path / "none"))
    assert "is no folder" in doctor()


def test_a_converted_student_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "cache/smollm2-135m"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert "converted, in" in doctor()
