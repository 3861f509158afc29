"""`benchmarks/scale.py` on a small base: everything is measured, told and drawn; what a size costs is not asserted here."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SIZE = 240


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("scale", "retrieval", "look_ups"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import scale

    return scale


def test_the_items_are_the_same_for_a_size_and_of_all_kinds(scale: ModuleType) -> None:
    items = [*scale.made_up_items(2000)]
    assert items == [*scale.made_up_items(2000)] and len(items) == 2000 == len({item.id for item in items})
    kinds = [item.kind for item in items]
    assert (kinds.count("fact"), kinds.count("lesson"), kinds.count("rule")) == (1850, 100, 50)


def test_all_is_measured_and_told(scale: ModuleType, tmp_path: Path) -> None:
    scale.ASKED = 40
    place = str(tmp_path / f"kb-{SIZE}.sqlite")
    scale.prepare(tmp_path, "", SIZE)
    rows = []
    for name, measure in scale.MEASUREMENTS.items():
        told = measure(tmp_path, place, SIZE)
        assert not told.get("one") or told["one"]["p99_ms"] >= told["one"]["p50_ms"] > 0, name
        told["cpu_seconds"] = max(0.001, told["cpu_seconds"])  # of a search in few items nothing is left by rounding
        rows += [{"what": name, "where": "sqlite", "size": size, "peak_mb": 90, **told} for size in (SIZE, 10 * SIZE)]
    by_name = {row["what"]: row for row in rows}
    assert by_name["import"]["items"] == SIZE and {"retrieval", "look_up", "link", "edit"} <= {
        name for name, row in by_name.items() if row.get("one")
    }
    rows.append({"what": "import", "where": "postgresql", "size": SIZE, "failed": "killed"})
    table = scale.table(rows)
    assert "| import, PostgreSQL | killed |  |" in table and len(table.splitlines()) == len(scale.MEASUREMENTS) + 3
    drawn = scale.plot(rows, [*scale.MEASUREMENTS], "s", lambda row: row["cpu_seconds"])
    assert drawn.count("<polyline") == len(scale.MEASUREMENTS) and not re.search("nan|inf", drawn)


def test_each_measurement_has_a_process_and_what_is_known_is_not_measured_again(
    scale: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["scale.py", str(tmp_path), "--sizes", "60", "--only", "search"])
    scale.main()  # there is no base yet
    [told] = json.loads((tmp_path / "scale.json").read_text())["rows"]
    assert told == {"what": "search", "where": "sqlite", "size": 60, "failed": told["failed"]}
    assert "there is no knowledge base" in told["failed"]
    monkeypatch.setattr(sys, "argv", ["scale.py", str(tmp_path), "--sizes", "60", "--only", "import"])
    scale.main()
    found = json.loads((tmp_path / "scale.json").read_text())["rows"]
    assert [(row["what"], row.get("items")) for row in found] == [("import", 60), ("search", None)]
    assert found[0]["peak_mb"] > 20 and {path.name for path in tmp_path.glob("*.svg")} == {"seconds.svg", "memory.svg"}
    monkeypatch.setattr(scale, "run", lambda *given: {} if given[1] == "prepare" else pytest.fail("measured again"))
    scale.main()
