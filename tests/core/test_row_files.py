"""Rows of users' files: every format, what is said of it, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from nesycd.core.errors import DataError
from nesycd.core.row_files import MOST_TOLD, Dialect, Faults, RowFile, rows_hash


def read(path: Path, content: str | bytes, **dialect: str) -> tuple[list[tuple[str, dict[str, Any]]], str]:
    """The rows with their places after the path, and what is said."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    file = RowFile(path, dialect=Dialect(**dialect))
    rows = [(place.removeprefix(f"{path}:").strip(), row) for place, row in file]
    return rows, str(file)


def refused(path: Path, content: str | bytes, **dialect: str) -> str:
    with pytest.raises(DataError) as caught:
        read(path, content, **dialect)
    told = str(caught.value)
    assert told.startswith(str(path)) and "\n" not in told
    return told.removeprefix(str(path))


ONE, TWO = {"q": "a, b", "n": 1}, {"q": 'say "x"', "n": None}
LIST = json.dumps([ONE, TWO])
INDENTED = json.dumps([ONE, TWO], indent=2)
CSV = 'q,n\n"a, b",1\n"say ""x""",\n'


@pytest.mark.parametrize(
    ("name", "content", "places", "said"),
    [
        ("x.jsonl", f"{json.dumps(ONE)}\n\n# a comment\n{json.dumps(TWO)}", "1 4", "JSONL, UTF-8, 1 comment(s) passed over"),
        ("x.json", f"{json.dumps(ONE)}\n{json.dumps(TWO)}\n", "1 2", "JSONL, UTF-8"),
        ("x.ndjson", f"// a\n{json.dumps(ONE)}\n{json.dumps(TWO)}", "2 3", "JSONL, UTF-8, 1 comment(s) passed over"),
        ("x.json", LIST, "1 1", "JSON list, UTF-8"),
        ("x.json", f"\n{INDENTED}\n", "3 7", "JSON list, UTF-8"),
        ("x.jsonl", INDENTED, "2 6", "JSON list, UTF-8"),
        ("x.json", f"{json.dumps(ONE, indent=1)}\n{json.dumps(TWO, indent=1)}", "1 5", "JSON objects, UTF-8"),
        ("x.txt", LIST, "1 1", "JSON list, UTF-8"),
        ("x.jsonl.gz", gzip.compress(f"{json.dumps(ONE)}\n{json.dumps(TWO)}".encode(), mtime=0), "1 2", "JSONL, UTF-8"),
    ],
)  # fmt: skip
def test_json_is_read_however_it_is_laid_out(
    tmp_path: Path, name: str, content: str | bytes, places: str, said: str
) -> None:
    rows, told = read(tmp_path / name, content)
    assert (rows, told) == (list(zip(places.split(), (ONE, TWO), strict=True)), said)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", CSV, "CSV, UTF-8, separator ','"),
        ("x.csv", CSV.replace("\n", "\r\n").encode("utf-8-sig"), "CSV, UTF-8 with a byte order mark, separator ','"),
        ("x.csv", CSV.encode("utf-16"), "CSV, UTF-16, separator ','"),
        ("x.csv", 'q;n\na, b;1\n"say ""x""";\n', "CSV, UTF-8, separator ';'"),
        ("x.csv", 'q|n\na, b|1\nsay "x"|\n', "CSV, UTF-8, separator '|'"),
        ("x.tsv", 'q\tn\na, b\t1\nsay "x"\t\n', "CSV, UTF-8, separator a tab"),
        ("x.csv", 'q\tn\na, b\t1\nsay "x"\t\n', "CSV, UTF-8, separator a tab"),
        ("x.csv", 'sep=;\nq;n\na, b;1\n"say ""x""";\n', "CSV, UTF-8, separator ';'"),
        ("x.csv", 'q, n\n"a, b", 1\n"say ""x""", \n', "CSV, UTF-8, separator ','"),
        ("x.csv", '# by hand\nq,n\n\n"a, b",1\n,\n# more\n"say ""x""",\n', "CSV, UTF-8, separator ',', 2 comment(s) passed over"),
        ("x.csv", 'q,n,,\n"a, b",1,,\n"say ""x""",,,\n', "CSV, UTF-8, separator ','"),
        ("x.txt.gz", gzip.compress(CSV.encode(), mtime=0), "CSV, UTF-8, separator ','"),
    ],
)  # fmt: skip
def test_csv_is_read_as_programs_write_it(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    rows, told = read(tmp_path / name, content)
    assert ([row for _, row in rows], told) == ([{"q": "a, b", "n": "1"}, {"q": 'say "x"', "n": None}], said)


def test_a_row_is_named_by_its_first_line(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "x.csv", '# c\nq,n\n"two\nlines",1\n\nlast,2\n')
    assert rows == [("3", {"q": "two\nlines", "n": "1"}), ("6", {"q": "last", "n": "2"})]


def test_columns_without_a_name_are_counted(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "x.csv", ",q,,n\n7,Why?,,1\n")
    assert rows == [("2", {"column 1": "7", "q": "Why?", "column 3": None, "n": "1"})]


def test_what_the_header_leaves_open_is_asked_for(tmp_path: Path) -> None:
    path, content = tmp_path / "x.csv", "question;answer (yes, no)\nWhy?;yes\n"
    assert refused(path, content) == (
        ":1: the header may be separated by ',' or ';': use one of them, or say which by separator"
    )
    rows, _ = read(path, content, separator=";")
    assert rows == [("2", {"question": "Why?", "answer (yes, no)": "yes"})]
    with pytest.raises(DataError, match="put names that contain one in quotation marks"):
        list(RowFile(path))


def test_an_encoding_is_never_guessed(tmp_path: Path) -> None:
    path, content = tmp_path / "x.csv", "q,n\nbar,1\ncafé – 5 €,2\n".encode("windows-1252")
    told = refused(path, content)
    assert told.startswith(":3: not valid UTF-8 text: byte 0xe9 (in Windows-1252 it is 'café – 5")
    assert told.endswith("; save it as UTF-8, or say which by encoding")
    rows, said = read(path, content, encoding="windows-1252")
    assert rows[1] == ("3", {"q": "café – 5 €", "n": "2"}) and said == "CSV, cp1252, separator ','"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.csv", "q,q\n1,2\n", ":1: two columns are called 'q'"),
        (
            "x.csv",
            "q,n\n1,2,3\n",
            ":2: 3 cells, but the header has 2 (separator ','; a text that contains it stands in",
        ),
        ("x.csv", "q,n\n1\n", ":2: 1 cells, but the header has 2"),
        ("x.csv", 'q,n\n1,"2\n3,4\n', ":2: not a row of CSV: a quotation mark is opened and not closed"),
        ("x.csv", 'q,n\n"1"2,3\n', ":2: not a row of CSV: ',' expected after '\"'"),
        ("x.json", '{"q": 1, "q": 2}', ":1: cannot be read: the key 'q' stands twice"),
        ("x.json", "[{}, 3]", ":1: a JSON object is needed, but this is a int"),
        ("x.json", "[{},\n{}\n{}]", ":3: not valid JSON: a comma or ] is missing in the list"),
        ("x.json", "[{},\n{}", ":2: not valid JSON: a comma or ] is missing in the list"),
        ("x.json", '[{},\n{"a":\noops}]', ":3: not valid JSON: Expecting value; what follows was not read"),
        ("x.json", '[{"a": "\\ud83d"}]', ":1: cannot be read: \\ud83d is half a character"),
        ("x.json", "[{}]\n[{}]", ":1: text after the end of the list: '[{}]'"),
        ("x.jsonl", "oops\n", ":1: not valid JSON: Expecting value at column 1"),
        ("x.jsonl", '{"a": 1}{"a": 2}', ":1: not valid JSON: Extra data"),
        ("x.csv", b"PK\x03\x04....", ": a workbook or archive; save its table as CSV (UTF-8)"),
        ("x.jsonl.gz", "{}", ": cannot be read: Not a gzipped file"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: str | bytes, told: str) -> None:
    assert refused(tmp_path / name, content).startswith(told)


def test_missing_values_are_none_in_every_format(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "x.jsonl", '{"a": NaN, "b": [NaN, 1]}\n{"a": null, "b": Infinity}')
    assert [row for _, row in rows] == [{"a": None, "b": [None, 1]}, {"a": None, "b": float("inf")}]
    assert read(tmp_path / "x.csv", "a,b\n,1\n")[0] == [("2", {"a": None, "b": "1"})]


def test_all_bad_rows_are_told_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"a": 1}\noops\n[]\n{"a": 2}\n')

    def told(faults: Faults) -> str:
        for _, row in RowFile(path, faults):
            with faults.of_row():
                if row["a"] > 1:
                    raise DataError("too large")
        with pytest.raises(DataError) as caught:
            faults.tell()
        return str(caught.value)

    assert told(Faults()) == (
        f"3 of 4 rows cannot be used: {path}:2: not valid JSON: Expecting value at column 1; "
        f"{path}:3: a JSON object is needed, but this is a list; too large"
    )
    path.write_text("oops\n" * (MOST_TOLD + 5))
    assert told(Faults()).endswith("; and 5 more")
    path.write_text('{"a": 1}\n')
    Faults().tell()


def test_only_what_is_empty_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", "") == ([], "empty")
    assert read(tmp_path / "x.json", "[]") == ([], "JSON list, UTF-8")
    assert read(tmp_path / "x.csv", "a,b\n") == ([], "CSV, UTF-8, separator ','")
    with pytest.raises(DataError, match="no such file"):
        list(RowFile(tmp_path / "none.csv"))


def test_parquet_and_saved_datasets_are_read(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import ipc, parquet

    table = pyarrow.table(
        {"q": ["a", "b", "c"], "n": [1.5, float("nan"), None], "o": [["x", "y"], [], None], "i": [b"1", b"2", b"3"]}
    )
    wanted = [{"q": "a", "n": 1.5, "o": ["x", "y"], "i": None}, {"q": "b", "n": None, "o": [], "i": None},
              {"q": "c", "n": None, "o": None, "i": None}]  # fmt: skip
    parquet.write_table(table, tmp_path / "x.parquet")
    file = RowFile(tmp_path / "x.parquet")
    assert ([row for _, row in file], str(file)) == (wanted, "Parquet")
    assert next(iter(file))[0] == f"{tmp_path / 'x.parquet'}: row 1"
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"bad\.parquet: cannot be read as Parquet"):
        list(RowFile(tmp_path / "bad.parquet"))

    for split in ("test", "train"):
        folder = tmp_path / "saved" / split
        folder.mkdir(parents=True)
        for name in ("data-0.arrow", "data-1.arrow"):
            with ipc.new_stream(folder / name, table.schema) as out:
                out.write_table(table)
        (folder / "state.json").write_text(
            '{"_data_files": [{"filename": "data-1.arrow"}, {"filename": "data-0.arrow"}]}'
        )
    file = RowFile(tmp_path / "saved" / "train")
    assert ([row for _, row in file], str(file)) == (wanted * 2, "folder of `datasets`")
    assert rows_hash(tmp_path / "saved" / "train") == rows_hash(tmp_path / "saved" / "test")
    with pytest.raises(DataError, match=r"no state\.json"):
        list(RowFile(tmp_path / "saved"))
    (tmp_path / "saved" / "dataset_dict.json").write_text("{}")
    with pytest.raises(DataError, match="holds the splits test, train: name the folder of each"):
        list(RowFile(tmp_path / "saved"))
