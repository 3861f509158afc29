"""Tables as spreadsheets, editors and other programs write them: separators, encodings, empty rows and columns, comments."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact
from nesycd.knowledge import KnowledgeBase, export_file, import_file, read_file
from nesycd.knowledge.entities import read_relations
from nesycd.knowledge.formats import csv_file

FURLONG = ("furlong", "length", "10 chains")
ACRE = ("acre", "area", "4 roods")


def write(folder: Path, content: str | bytes, name: str = "mine.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def triples(path: Path) -> list[tuple[str, str, str]]:
    items = [one.entry.item for one in read_file(path)]
    assert all(isinstance(item, Fact) for item in items)
    return [item.triple for item in items if isinstance(item, Fact)]


READ = {
    "semicolons": "subject;relation;object\nfurlong;length;10 chains\nacre;area;4 roods\n",
    "tabs": "subject\trelation\tobject\nfurlong\tlength\t10 chains\nacre\tarea\t4 roods\n",
    "bars": "subject|relation|object\nfurlong|length|10 chains\nacre|area|4 roods\n",
    "quoted, with a mark and lines of Windows": (
        '\ufeff"subject";"relation";"object"\r\n"furlong";"length";"10 chains"\r\n"acre";"area";"4 roods"\r\n'
    ),
    "Excel's line about the separator": "sep=;\nsubject;relation;object\nfurlong;length;10 chains\nacre;area;4 roods",
    "blanks after separators": 'subject,  relation, object\n"furlong", "length", "10 chains"\nacre,  area, 4 roods\n',
    "blanks after semicolons": 'subject; relation; object\n"furlong"; "length"; "10 chains"\n"acre"; area; 4 roods\n',
    "blanks at both ends": "Subject , Relation , Object\n furlong , length , 10 chains \nacre , area , 4 roods \n",
    "empty rows": ",,\n\nsubject,relation,object\n,,\nfurlong,length,10 chains\n \n , ,\xa0\nacre,area,4 roods\n,,\n\n",
    "empty columns": (
        "subject,,relation,object,,\nfurlong,,length,10 chains,,\nacre,,area,4 roods,,\n,,,,,\n"
    ),
    "more empty cells than columns": "subject,relation,object\nfurlong,length,10 chains,,,\nacre,area,4 roods,\n",
    "comments": (
        "# Measures, from the old book, page 3\n\n#\nsubject,relation,object\n# of length\nfurlong,length,10 chains\n"
        "   # of area, of course\nacre,area,4 roods\n# the end,,\n"
    ),
    "old line ends": "subject,relation,object\rfurlong,length,10 chains\racre,area,4 roods\r",
    "only triples under all columns": (
        "id,kind,text,subject,relation,object\n,,,furlong,length,10 chains\n,FACT ,An acre: 4 roods.,acre,area,4 roods\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_table_is_read_however_it_was_written(tmp_path: Path, name: str) -> None:
    assert triples(write(tmp_path, READ[name])) == [FURLONG, ACRE]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (b"", "utf-16-le"),
        (b"", "utf-16-be"),
    ],
)
def test_the_encoding_is_read_off_the_bytes(tmp_path: Path, mark: bytes, encoding: str) -> None:
    text = "subject\trelation\tobject\r\nRöße\tlength\t10 Fuß – ≈ 3 m\r\n"
    assert triples(write(tmp_path, mark + text.encode(encoding))) == [("Röße", "length", "10 Fuß – ≈ 3 m")]
    yaml = "- {kind: lesson, text: Zähle „genau“.}\n"
    [lesson] = read_file(write(tmp_path, mark + yaml.encode(encoding), "mine.yaml"))
    assert lesson.entry.item.text == "Zähle „genau“."
    relations = write(tmp_path, mark + "relations: [{name: größer}]".encode(encoding), "relations.yaml")
    assert [one.name for one in read_relations(relations)] == ["größer"]


def test_windows_1252_is_named_and_read_where_that_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, "subject;relation;object\nElle;Länge;1½ Fuß – etwa\n".encode("cp1252"))
    with KnowledgeBase.open(":memory:") as kb:
        with pytest.raises(KnowledgeError) as caught:
            import_file(kb, path)
        assert str(caught.value) == (
            f"{path}: line 2: is not UTF-8 text (byte 30); save it as UTF-8, or import it with --encoding windows-1252 "
            "where this line should read: Elle;Länge;1½ Fuß – etwa"
        )
        assert import_file(kb, path, encoding="windows-1252").counts.added == 1
        [entry] = kb.entries()
        assert isinstance(entry.item, Fact) and entry.item.triple == ("Elle", "Länge", "1½ Fuß – etwa")
        for encoding in ("klingon", "hex", "a\0b"):
            with pytest.raises(KnowledgeError, match="is not known, such as windows-1252"):
                import_file(kb, path, encoding=encoding)
        with pytest.raises(KnowledgeError, match="line 2: is not ASCII text"):
            import_file(kb, path, encoding="ascii")
        with pytest.raises(KnowledgeError, match="is not UTF-16-LE text"):
            import_file(kb, write(tmp_path, b"\xff\xfea"))


REFUSED = {
    "a comment that could be a fact": (
        "subject,relation,object\n#1,is,the winner\n",
        "line 2: begins with #: take it out where it is a comment",
    ),
    "a value without a column": ("subject,,relation,object\na,x,b,c\n", "line 2: column 2 has a value, but no name"),
    "too many cells": ("subject;relation;object\na;b;c;d\n", "line 2: has 4 cells under 3 columns"),
    "another separator than in the header": ("subject;relation;object\na,b,c\n", "line 2: has 1 cells under 3 columns"),
    "a separator that is none": ("subject/relation/object\na/b/c\n", "line 1: the columns must be"),
    "a header further down": ("\n\nsubject;colour;object\n", "line 3: the columns must be"),
    "a wrong column among right ones": ("subject;colour;object\n", "not 'colour'"),
    "an id that a spreadsheet has rounded": (
        "id;subject;relation;object\n1,23E+15;a;b;c\n",
        "line 2: id: 1,23e+15 is an id that a spreadsheet has rounded",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_surely_is_named(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(KnowledgeError) as caught:
        read_file(write(tmp_path, text))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_quoted_sign_of_comments_is_text(tmp_path: Path) -> None:
    text = 'subject,relation,object\n"#1",is,the winner\n"#2 ","is","\n# second\n"\n'
    assert triples(write(tmp_path, text)) == [("#1", "is", "the winner"), ("#2", "is", "# second")]


cells = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.builds(Fact, text=cells, subject=cells, relation=cells, object=cells), max_size=4),
    st.sampled_from([".csv", ".tsv"]),
)
def test_exported_tables_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, facts: list[Fact], ending: str
) -> None:
    path = tmp_path_factory.mktemp("tables") / f"kb{ending}"
    with KnowledgeBase.open(":memory:") as kb:
        kb.add_entries(Entry(item=fact) for fact in facts)
        export_file(kb, path)
        assert {one.entry.item.id for one in read_file(path)} == {entry.item_id for entry in kb.entries()}
        assert ("\t" in path.read_text().partition("\n")[0]) == (ending == ".tsv")


def test_ids_of_digits_stay_text_in_a_spreadsheet(tmp_path: Path) -> None:
    item = Fact(text="x", subject="s", relation="r", object="o")
    item.__dict__["id"] = "1234567890123456"  # as one in two thousand hashes looks
    entry = Entry(item=item)
    text = csv_file.write([entry])
    assert '"\'1234567890123456"' in text
    [read] = read_file(write(tmp_path, text))
    assert read.id == "1234567890123456"
