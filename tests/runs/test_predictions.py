"""Predictions on disk: of a file only places are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from nesycd.core.answers import Call, Prediction
from nesycd.core.errors import RunError
from nesycd.core.segments import Segment
from nesycd.core.storage import RecordLog
from nesycd.runs.predictions import FILE, Predictions


def made(key: str, text: str, student: str = "s", found: str = "") -> Prediction:
    trace = (Call(name="look_up", asked="a | b", found=found),) if found else ()
    return Prediction(key=key, student=student, segments=(Segment(text=text),), trace=trace)


def told(text: str) -> None:
    raise AssertionError(text)


def test_what_was_added_is_read_back_by_place_in_any_order(tmp_path: Path) -> None:
    long = "long é " * 5000
    first, other, second = made("k", "one", found="1"), made("other", long), made("k", "two", found="2")
    written = Predictions(tmp_path / FILE, told)
    written.add([first, other, second, made("k", "three", found="2")])
    for predictions in (written, Predictions(tmp_path / FILE)):
        assert predictions.variants("k") == [first, second] and predictions.variants("none") == []
        assert predictions.variants("other") == [other] == [predictions.by_id[other.id]]
        assert {*predictions.by_id} == {first.id, other.id, second.id} and len(predictions.by_id) == 3
        assert first.id in predictions.by_id and "x" not in predictions.by_id
    written.close()


def test_no_record_of_a_file_is_kept_in_memory(tmp_path: Path) -> None:
    written = Predictions(tmp_path / FILE, told)
    written.add(made(str(number), "text") for number in range(5))
    kept = [one for places in written._places.by_key.values() for one in places]
    assert kept == sorted(kept) and {type(one) for one in kept} == {int}
    written.close()


def test_a_reader_keeps_to_the_file_it_read_while_a_writer_replaces_it(tmp_path: Path) -> None:
    written = Predictions(tmp_path / FILE, told)
    old, new = made("a", "of old", student="old"), made("b", "of new", student="new")
    written.add([old, new])
    reader = Predictions(tmp_path / FILE)
    assert reader.by_id[old.id] == old
    written.keep_only(["new"])
    assert reader.by_id[old.id] == old and reader.by_id[new.id] == new
    assert [*written.by_id.values()] == [new] == [*Predictions(tmp_path / FILE).by_id.values()]
    later = made("c", "later")
    written.add([later])
    assert written.by_id[later.id] == later
    written.close()


def test_what_is_added_to_a_file_that_is_only_read_stays_in_memory(tmp_path: Path) -> None:
    Predictions(tmp_path / FILE, told).add([made("a", "stored")])
    before = (tmp_path / FILE).read_bytes()
    reader = Predictions(tmp_path / FILE)
    reader.add([made("b", "mine", student="t")])
    reader.keep_only(["t"])
    assert [one.text for one in reader.by_id.values()] == ["mine"] and (tmp_path / FILE).read_bytes() == before


def test_damage_is_told_with_its_line_when_the_file_is_read(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / FILE, Prediction)
    log.append(made("a", "one"))
    log.append(made("b", "two"))
    log.close()
    (tmp_path / FILE).write_text((tmp_path / FILE).read_text().replace("two", "too"))
    with pytest.raises(RunError, match=r"predictions\.jsonl:2: id .* does not match"):
        Predictions(tmp_path / FILE).variants("a")
