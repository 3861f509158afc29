"""RDF graphs that people made: names in several languages, nodes without labels, literals of every kind, JSON-LD's type lists."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Fact, Lesson
from nesycd.knowledge import KnowledgeBase, import_file, read_file
from nesycd.knowledge.formats import rdf

pytest.importorskip("rdflib")
PREFIXES = """
@prefix : <http://example.org/> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.ttl"
    path.write_text(PREFIXES + text, encoding="utf-8")
    return path


def facts(path: Path, language: str = "en") -> dict[tuple[str, str, str], tuple[str, ...]]:
    items = [one.entry.item for one in read_file(path, language=language)]
    return {item.triple: item.aliases for item in items if isinstance(item, Fact)}


def test_nodes_without_labels_are_named_by_the_end_of_their_iris(tmp_path: Path) -> None:
    graph = write(tmp_path, """
        :rod :length "5 yards" ; :use "surveying"@en , :surveyors . <http://example.org/units/perch/> :length :rod .
        <http://example.org/> :has <mailto:clerk@example.org> .
    """)  # fmt: skip
    assert list(facts(graph)) == [
        ("example.org", "has", "clerk@example.org"),
        ("rod", "length", "5 yards"),
        ("rod", "use", "surveying"),
        ("rod", "use", "surveyors"),
        ("perch", "length", "rod"),
    ]


LANGUAGES = """
:p1 rdfs:label "Poland"@en , "Polska"@pl , "Polen"@de ; skos:altLabel "Lechia"@pl ; :seat :p2 ; :motto "Honour"@en , "Ehre"@de .
:p2 rdfs:label "Warsaw"@en , "Warschau"@de . :seat rdfs:label "Hauptstadt"@de , "capital"@en .
:p3 skos:prefLabel "Spain"@en ; rdfs:label "Spanien"@de ; :seat "Madrid" , "Madryt"@pl .
:p4 rdfs:label "unmarked" , "marked"@en-GB , "gemarkt"@de . :p4 :seat :p5 . :p5 skos:prefLabel "P" ; rdfs:label "Q" .
"""


def test_names_are_those_of_the_preferred_language_and_the_others_are_aliases(tmp_path: Path) -> None:
    graph = write(tmp_path, LANGUAGES)
    assert facts(graph) == {
        ("Poland", "capital", "Warsaw"): ("Lechia", "Polen", "Polska"),
        ("Poland", "motto", "Honour"): ("Lechia", "Polen", "Polska"),
        ("Spain", "capital", "Madrid"): ("Spanien",),
        ("Spain", "capital", "Madryt"): ("Spanien",),
        ("marked", "capital", "P"): ("gemarkt", "unmarked"),
    }
    german = facts(graph, "de")
    assert german["Polen", "Hauptstadt", "Warschau"] == ("Lechia", "Poland", "Polska")
    assert german["Polen", "motto", "Ehre"] and ("Polen", "motto", "Honour") not in german
    assert german["Spanien", "Hauptstadt", "Madrid"] == ("Spain",)
    # A wider tag goes before none, none before another.
    assert ("marked", "capital", "P") in facts(graph, "en-GB") and ("Poland", "capital", "Warsaw") in facts(
        graph, "en-US"
    )
    assert {("unmarked", "capital", "P"), ("Polska", "motto", "Honour")} < {*facts(graph, "pl")}


def test_the_language_is_a_setting_of_an_import(tmp_path: Path) -> None:
    graph = write(tmp_path, LANGUAGES)
    with KnowledgeBase.open(":memory:") as kb:
        import_file(kb, graph, language="DE")
        assert "Spanien: Hauptstadt Madrid." in [entry.item.text for entry in kb.entries()]
        with pytest.raises(KnowledgeError, match="the language 'German language' is no tag"):
            import_file(kb, graph, language="German language")


def test_literals_of_every_kind_are_read_and_log_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    graph = write(tmp_path, """
        :rod :p 5 , 2.5e0 , true , "INF"^^xsd:double , "NaN"^^xsd:double , 1.0 , "soon"^^xsd:dateTime , "x"^^:mine ,
            "2020-01-01T00:00:00"^^xsd:dateTime , "2020-01-01T00:00:00Z"^^xsd:dateTime , "P1D"^^xsd:duration ,
            "zz"^^xsd:hexBinary ,
            "many"^^xsd:integer , "1" , "1"@en , "<b"^^<http://www.w3.org/1999/02/22-rdf-syntax-ns#HTML> ; rdfs:label 16.5 , " " .
    """)  # fmt: skip
    found = {value for _, _, value in facts(graph)}
    assert {"5", "true", "soon", "x", "zz", "many", "1", "<b"} <= found and len(found) == 15
    assert {subject for subject, _, _ in facts(graph)} == {"16.5"}
    assert not caplog.records and capfd.readouterr() == ("", "")


def test_a_list_is_named_as_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match=r"1 of 1 entries.*is a list: write a triple for each member"):
        read_file(write(tmp_path, ":rod :parts ( :a :b ) ."))


@pytest.mark.parametrize(
    ("node", "found"),
    [
        ({"@type": ["lesson"], "text": "Count."}, ""),
        ({"@type": ["http://example.org/Advice", "lesson"], "text": "Count."}, ""),
        ({"@type": ["lesson", "lesson", None], "text": "Count."}, ""),
        ({"@type": ["rule", "lesson"], "text": "Count."}, "lesson and rule"),
        ({"@type": [], "text": "Count."}, "none"),
        ({"@type": "poem", "text": "Count."}, "none"),
        ({"@type": {"@id": "lesson"}, "text": "Count."}, "none"),
        ({"@type": 5, "text": "Count."}, "none"),
    ],
)  # fmt: skip
def test_types_of_jsonld_may_be_lists(tmp_path: Path, node: dict[str, object], found: str) -> None:
    path = tmp_path / "mine.jsonld"
    right = json.loads(rdf.write_jsonld([Entry(item=Lesson(text="Sum."))]))["@graph"]
    path.write_text(json.dumps({"@context": rdf.CONTEXT, "@graph": [node, *right]}))
    if not found:
        assert {one.entry.item.text for one in read_file(path)} == {"Count.", "Sum."}
        return
    with pytest.raises(KnowledgeError) as caught:
        read_file(path)
    told = f"item Count.: @type: must be one of fact, lesson, rule, and is {found}"
    assert str(caught.value).endswith(f"1 of 2 entries cannot be used, nothing was imported: {told}")
