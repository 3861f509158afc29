"""Every format is equal to the KB on the fields it documents, read back by us or by others; hostile content is harmless."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Entry, Evidence, Fact, Lesson, Rule, RuleTest, Status
from nesycd.knowledge import KnowledgeBase, export_file, export_text, import_file, read_file
from nesycd.knowledge.formats import csv_file, lp, markdown, rdf
from nesycd.knowledge.formats.mapping import short
from nesycd.knowledge.journal import MAX_ITEM

HOSTILE = [
    "=HYPERLINK(\"http://x\",\"y\")", "+1", "-1", "@SUM(A1)", "\t=1", "'=1", "'tis", "'", "＝1", "a|b\\|c\\", "x\ny\r\nz",
    "'; DROP TABLE entries; --", "<script>alert(1)</script>", "[x](javascript:y) ![z](q) `c` *b* _i_ ~s~ | p |",
    "\x1b[2J\x07", "\u202eback", '"""', "{{x}}", "&amp; &lt;", "!!python/object:x", "#script (python) #end.", "é\x85\u2028\ufeff",
]  # fmt: skip
texts = st.text(min_size=1, max_size=30) | st.sampled_from(HOSTILE)
seen = texts.filter(str.strip)
items = st.one_of(
    st.builds(Lesson, text=seen),
    st.builds(Rule, text=seen, clause=st.none() | texts),
    st.builds(
        Rule,
        text=seen,
        clause=texts,
        says=texts,
        scope=st.lists(texts, max_size=2).map(tuple),
        exceptions=st.lists(texts, max_size=2).map(tuple),
        tests=st.lists(st.builds(RuleTest, given=texts, expect=texts | st.just("")), max_size=2).map(tuple),
    ),
    st.builds(
        Fact, text=seen, subject=texts, relation=texts, object=texts, aliases=st.lists(texts, max_size=3).map(tuple)
    ),
)
entries = st.builds(
    Entry,
    item=items,
    status=st.sampled_from(Status),
    reviewer=st.text(max_size=8),
    evidence=st.lists(st.builds(Evidence, example=texts | st.just(""), source=texts), max_size=2).map(tuple),
)
some_entries = st.lists(entries, max_size=5)
FATHOM = Fact(
    text="A fathom is 6 feet.", subject="fathom", relation="length", object="6 feet", aliases=("fadom", "f|m")
)
FOOT = Fact(text="A foot is 12 inches.", subject="foot", relation="length", object="12 inches")
SHIP = Rule(text="A ship is measured in fathoms.", clause="unit(X, fathom) :- ship(X).")
COUNT = Lesson(text="Count the apples.")
ALL = [item.id for item in (FATHOM, FOOT, SHIP, COUNT)]


def a_base(*items: Any, status: Status = Status.APPROVED) -> KnowledgeBase:
    kb = KnowledgeBase.open(":memory:")
    kb.add([(item, Evidence(example="q1", source="expert")) for item in items or (FATHOM, FOOT, SHIP, COUNT)],
           status=status, reviewer="Ann")  # fmt: skip
    return kb


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def shorts(found: Iterable[Entry]) -> list[dict[str, Any]]:
    return sorted(map(short, found), key=lambda body: body["id"])


@pytest.mark.parametrize("form", ["turtle", "jsonld"])
@settings(max_examples=30, deadline=None)
@given(some_entries)
def test_rdf_is_lossless(tmp_path_factory: pytest.TempPathFactory, form: str, some: list[Entry]) -> None:
    file = tmp_path_factory.mktemp("formats") / "kb.any"
    with KnowledgeBase.open(":memory:") as first, KnowledgeBase.open(":memory:") as second:
        first.add_entries(some)
        export_file(first, file, form)
        assert import_file(second, file, form=form).counts.added == len(first.entries())
        assert second.entries() == first.entries()
        assert export_text(second, form) == file.read_text(encoding="utf-8")
        assert import_file(second, file, form=form, dry_run=True).differences == []


@settings(max_examples=20)
@given(some_entries)
def test_csv_gives_its_fields_back(tmp_path_factory: pytest.TempPathFactory, some: list[Entry]) -> None:
    file = tmp_path_factory.mktemp("formats") / "kb.csv"
    with KnowledgeBase.open(":memory:") as kb:
        kb.add_entries(some)
        export_file(kb, file)
        expected = shorts(kb.entries())
        read = read_file(file)
        # An empty cell says nothing, so an empty clause is none.
        for body in expected:
            if body.get("clause") == "":
                del body["clause"]
        found = [dict(short(one.entry), id=one.id) for one in read]
        assert sorted(found, key=lambda body: body["id"]) == expected
        if all(body.get("clause") != "" for body in shorts(kb.entries())):
            assert import_file(kb, file, dry_run=True).differences == []


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")
def test_jsonld_and_turtle_are_the_same_graph() -> None:
    rdflib = pytest.importorskip("rdflib")
    from rdflib.compare import isomorphic

    with a_base() as kb:
        one = rdflib.Graph().parse(data=export_text(kb, "turtle"), format="turtle")
        other = rdflib.Graph().parse(data=export_text(kb, "jsonld"), format="json-ld")
    assert len(one) > 40 and isomorphic(one, other)


@pytest.mark.parametrize("form", ["turtle", "json-ld"])
def test_rdf_is_the_same_text_whatever_the_hash_seed(form: str) -> None:
    pytest.importorskip("rdflib")
    program = (
        "from nesycd.core.records import *; from nesycd.knowledge.formats import rdf\n"
        "names = [f'n{i}' for i in range(9)]\n"
        "item = Fact(text='t', subject='s', relation='r', object='o', aliases=tuple(names))\n"
        "proof = tuple(Evidence(example=name, source='x') for name in names)\n"
        "entries = [Entry(item=item, evidence=proof, status=Status.APPROVED), Entry(item=Lesson(text='l'))]\n"
        "parts = {'relations': [{'name': 'r', 'is': ['symmetric', 'functional']}], 'merges': [{'entity': 'a', 'into': 'b'}]}\n"
        f"print(rdf.write_{form.replace('-', '')}(entries, parts))"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "123"
    }
    assert len(made) == 1


def test_an_ill_typed_literal_is_its_text_and_logs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rdflib")
    ttl = (
        "@prefix : <http://x/> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n"
        ':cable :born "long ago"^^xsd:date ; :at <http://x/a%zz> .'
    )
    told = {one.entry.item.text for one in read_file(write(tmp_path, "mine.ttl", ttl))}
    assert told == {"cable: born long ago.", "cable: at a%zz."} and not caplog.records
    assert capfd.readouterr() == ("", "")


def test_turtle_holds_the_graph_of_approved_facts() -> None:
    rdflib = pytest.importorskip("rdflib")
    chain = Fact(text="A cable is 100 fathoms.", subject="cable", relation="made of", object="Fathom")
    with a_base(FATHOM, chain) as kb:
        kb.add([(FOOT, Evidence(example="", source="x"))])
        graph = rdflib.Graph().parse(data=export_text(kb, "turtle"), format="turtle")
    node = rdflib.URIRef(rdf.ENTITY + "fathom")
    assert graph.value(node, rdflib.URIRef(rdf.RELATION + "length")) == rdflib.Literal("6 feet")
    assert (rdflib.URIRef(rdf.ENTITY + "cable"), rdflib.URIRef(rdf.RELATION + "made%20of"), node) in graph
    assert {str(o) for o in graph.objects(node, rdflib.SKOS.altLabel)} == {"fadom", "f|m"}
    assert rdflib.URIRef(rdf.ENTITY + "foot") not in set(graph.subjects()), "only approved facts"


@given(some_entries)
def test_markdown_shows_texts_as_they_are(some: list[Entry]) -> None:
    clean = [entry for entry in some if entry.item.text.isprintable()]
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown.write(clean))
    assert not [t for t in tokens if t.type == "html_block"]
    inline = [token for token in tokens if token.type == "inline"]
    assert {c.type for t in inline for c in t.children or ()} <= {"text", "text_special", "html_inline", "softbreak"}
    shown = ["".join(c.content for c in token.children or ()).strip() for token in inline]
    for entry in clean:
        assert entry.item.id in shown and entry.item.text.strip() in shown


STRING = r'"((?:[^"\\\n]|\\["\\n])*)"'


def unquoted(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], text)


@given(some_entries)
def test_lp_gives_its_fields_back_and_runs_nothing(some: list[Entry]) -> None:
    clean = [e for e in some if e.item.text.isprintable() and not (isinstance(e.item, Rule) and e.item.clause)]
    lines = lp.write(clean).splitlines()
    assert all(re.fullmatch(rf"%.*|\w+\({STRING}(?:,(?:{STRING}|\w+))*\)\.", line) for line in lines)
    texts = {m[1]: unquoted(m[2]) for line in lines if (m := re.fullmatch(rf"text\({STRING},{STRING}\)\.", line))}
    assert texts == {entry.item_id: entry.item.text for entry in clean}


@pytest.mark.parametrize(
    "clause",
    [
        "p(X) :- q(X). #script (python) import os #end.", "#show.", "p.\nq.", "p :- @os().", "{p}.", "% p.", 'p("a\\"").', "p",
        "p :- q, &sum{x} > 1.", "p(X) :- q(Y), X is Y + 1.", "p(X) :- q(Y), X = Y / 2.", "p(2.5).",
        "p(X) :- not q(X).", "p(a b).", "p(N) :- N = count(X : q(X)).", "otherwise p(1).", "p :- q(X), unless r(X).",
        "p(X) :- q(X), X in T, r(T).", "p(2026-11-30).", "p(X) :- q(Y), X = Y + 3 days.", "p(X) :- q(Y), X = abs(Y).",
    ],
)  # fmt: skip
def test_clauses_that_could_do_more_stay_strings_in_lp(clause: str) -> None:
    made = lp.write([Entry(item=Rule(text="x", clause=clause), status=Status.APPROVED)]).splitlines()
    assert made[-1].startswith('clause("') and len(made) == 5


def test_rules_with_exceptions_stay_strings_in_lp() -> None:
    held = Rule(text="x", clause="p(X) :- q(X).", exceptions=("X = a",))
    assert "\np(X)" not in lp.write([Entry(item=held, status=Status.APPROVED)])
    assert "\np(X)" in lp.write([Entry(item=held.model_copy(update={"exceptions": ()}), status=Status.APPROVED)])


def test_lp_is_understood_by_clingo() -> None:
    clingo = pytest.importorskip("clingo")
    with a_base(FATHOM, SHIP, Lesson(text='Say "x\\y"\nz.')) as kb:
        program = export_text(kb, "lp")
    control = clingo.Control(["--warn=none"])
    control.add("base", [], program + "ship(argo).")
    control.ground([("base", [])])
    with control.solve(yield_=True) as models:
        [model] = [[str(atom) for atom in model.symbols(atoms=True)] for model in models]
    assert "unit(argo,fathom)" in model
    assert f'triple("{FATHOM.id}","fathom","length","6 feet")' in model
    assert any(atom.startswith("text(") and 'Say \\"x\\\\y\\"\\nz.' in atom for atom in model)


def test_cells_that_spreadsheets_would_run_are_guarded() -> None:
    for text in HOSTILE[:8]:
        [line] = csv_file.write([Entry(item=Lesson(text=text + "x"))]).splitlines()[1:2]
        assert not re.search(r',"[=+@\t＝-]', line)


def test_short_formats_change_only_what_they_hold(tmp_path: Path) -> None:
    with a_base() as kb:
        file = tmp_path / "kb.csv"
        export_file(kb, file)
        before = kb.entries()
        assert import_file(kb, file, reviewer="Bob").counts.unchanged == 4 and kb.entries() == before
        assert kb.revision == 1, "nothing changed, so there is no revision"
        edited = file.read_text().replace("12 inches", "0.3 m").replace('"approved"', '"retired"', 1)
        done = import_file(kb, write(tmp_path, "kb.csv", edited), reviewer="Bob", dry_run=True)
        assert sorted(len(one.changes) for one in done.differences) == [1, 2] and kb.entries() == before
        assert import_file(kb, file, reviewer="Bob").counts.merged == 2
        foot = kb.get(FOOT.id)
        assert isinstance(foot.item, Fact) and foot.item.object == "0.3 m"
        assert foot.evidence == (Evidence(example="q1", source="expert"),), "evidence is not in the file, and stays"
        newest = kb.revisions(1)[0]
        assert (newest.actor, newest.action, newest.why) == ("Bob", "import", "from kb.csv")


def test_a_graph_that_people_made_comes_in_beside(tmp_path: Path) -> None:
    pytest.importorskip("rdflib")
    csv = write(
        tmp_path, "mine.csv", "Subject,relation,object,aliases\r\nfathom,length,6 feet,fm\r\nell,length,45 inches,\r\n"
    )
    ttl = write(tmp_path, "mine.ttl", """
        @prefix : <http://example.org/units#> . @prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
        @prefix owl: <http://www.w3.org/2002/07/owl#> . @prefix skos: <http://www.w3.org/2004/02/skos/core#> .
        :made_of a owl:ObjectProperty ; rdfs:label "is made of" .
        :cable rdfs:label "cable", "cable length" ; skos:altLabel "cbl" ; :made_of :fathom ; a :Unit ; :inFeet 608 .
        [] rdfs:label "nameless knot" ; :made_of :rope_end .
    """)  # fmt: skip
    with a_base() as kb:
        assert import_file(kb, csv, reviewer="Bob").counts.added == 1
        fathom = kb.get(FATHOM.id)
        assert {e.source for e in fathom.evidence} == {"expert", "human"} and fathom.status is Status.APPROVED
        assert isinstance(fathom.item, Fact) and "fm" in fathom.item.aliases
        assert import_file(kb, ttl, status=Status.APPROVED, reviewer="Bob").counts.added == 4
        human = [e for e in kb.entries() if "human" in {piece.source for piece in e.evidence}]
        told = {e.item.text for e in human}
        assert told >= {"ell: length 45 inches.", "cable: is made of fathom.", "cable: is a Unit.", "cable: inFeet 608.",
                        "nameless knot: is made of rope end."}  # fmt: skip
        cable = next(e.item for e in human if e.item.text.startswith("cable: is made"))
        assert isinstance(cable, Fact) and cable.aliases == ("cable length", "cbl")
        assert kb.stats()["sources"] == {"expert": 4, "human": 6}


def test_a_rule_of_a_spreadsheet_says_all_that_rules_say(tmp_path: Path) -> None:
    rows = (
        "kind,text,clause,scope,tests\nrule,Good.,p(X) :- q(X).,"
        '"[""units""]","[{""given"": ""q(a)."", ""expect"": ""p(a).""}]"\n'
    )
    [read] = read_file(write(tmp_path, "kb.csv", rows))
    tests = (RuleTest(given="q(a).", expect="p(a)."),)
    assert read.entry.item == Rule(text="Good.", clause="p(X) :- q(X).", scope=("units",), tests=tests)


BAD = {
    "kb.csv": (
        "kind,text,status\nlesson,Good.,\nlesson,,\npoem,Roses.,\nlesson,Two,cells,too many\n"
        'lesson,"a\nb",famous\nlesson,Well.,\n',
        ["4 of 6", "line 3: text", "line 4: kind", "line 5: has 4 cells under 3 columns", "line 6: status"],
    ),
    "mine.csv": ("subject,relation,object\nx,is,\n,is,y\n", ["2 of 2", "line 2: object", "line 3: subject"]),
    "rule.csv": ("kind,text,scope\nrule,A rule.,units\n", ["line 2: scope: "]),
    "head.csv": ("kind,text,colour\n", ["line 1: the columns must be",  "not 'colour'"]),
    "twice.csv": ("kind,text,text\n", ["line 1",  "not 'text'"]),
    "none.csv": ("", ["line 1: the columns must be"]),
    "open.csv": ('kind,text\nlesson,"open\n', ["line 2: is not CSV"]),
    "kb.jsonld": (
        rdf.write_jsonld([Entry(item=COUNT), Entry(item=FATHOM), Entry(item=SHIP), Entry(item=FOOT)])
        .replace('"fathom"', "[5, {}]").replace(rdf.ITEM, "http://x/", 2).replace('"proposed"', '"\\ud800"'),
        ["4 of 4", *(f"item http://x/{name} (line {n}): @id" for n, name in enumerate(sorted(ALL)[:2], 3)),
         *(f"item {name} (line {n}): " for n, name in enumerate(sorted(ALL)[2:], 5)), "status: holds half"],
    ),
    "cut.jsonld": (rdf.write_jsonld([Entry(item=COUNT)])[:-8], ["line 3: is not JSON"]),
    "twice.jsonld": ('{"@graph": [], "@graph": []}', ["line 1: the key '@graph' stands twice"]),
    "key.jsonld": ('{"@context": {}, "@graph": [{"a": 1, "a": 2}]}', ["line 1: the key 'a' stands twice"]),
    "nested.jsonld": (
        rdf.write_jsonld([Entry(item=COUNT)]).replace('"status"', '"@context": "http://evil.example/", "status"'),
        ["its @context is not the one"],
    ),
    "foreign.jsonld": ('{"@context": "http://evil.example/context", "@graph": []}', ["its @context is not the one"]),
    "deep.jsonld": ('{"@context": ' + "[" * 200_000, ["line 1: nested too deeply"]),
    "deep2.jsonld": ('{"@graph": [{"@type": "lesson", "text": ' + "[" * 200_000, ["line 1: nested too deeply"]),
    "list.json": ("[]", ["needs an object of @context and @graph"]),
    "kb.ttl": (
        rdf.write_turtle([Entry(item=COUNT), Entry(item=FATHOM)]).replace('kb:text "Count', 'kb:text "Two." , "Count')
        .replace('kb:relation "length"', 'kb:colour "red"'),
        ["2 of 2", f"item {COUNT.id} (line 13): text: has 2 values", f"item {FATHOM.id} (line 4): colour: is not a key"],
    ),
    "broken.ttl": ("@prefix : <http://x/> .\n:a :b\n:c :d .\n:e", ["is not Turtle"]),
    "deep.ttl": ("@prefix : <http://x/> .\n:a :b " + "[ :b " * 5000, ["nested too deeply"]),
    "blank.ttl": ("@prefix : <http://x/> .\n:a :b [ :c :d ] .", ["a node without a name"]),
    "kb.md": ("# x", ["markdown is only written, not read"]),
    "kb.lp": ("p.", ["lp is only written"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_every_bad_line_is_named_and_nothing_is_imported(tmp_path: Path, name: str) -> None:
    pytest.importorskip("rdflib")
    text, messages = BAD[name]
    file = write(tmp_path, name, text)
    with a_base(COUNT) as kb:
        before = kb.entries()
        with pytest.raises(KnowledgeError) as caught:
            import_file(kb, file)
        assert kb.entries() == before and kb.revision == 1
    told = str(caught.value)
    assert told.startswith(str(file)) and "\n" not in told
    for message in messages:
        assert message in told


def test_of_very_many_bad_lines_all_places_are_named(tmp_path: Path) -> None:
    file = write(tmp_path, "kb.csv", "kind,text\n" + "poem,x\n" * 300)
    with pytest.raises(KnowledgeError) as caught:
        read_file(file)
    assert all(f"line {number}" in str(caught.value) for number in (2, 51, 52, 301))


def test_items_of_many_megabytes_are_refused(tmp_path: Path) -> None:
    giant = Lesson(text="long " * (2 * MAX_ITEM))
    with a_base(COUNT) as kb:
        with pytest.raises(KnowledgeError, match=r"10,000,0\d\d bytes, and at most 1,000,000 are kept"):
            kb.add([(giant, Evidence(example="", source="x"))])
        with pytest.raises(KnowledgeError, match="at most 1,000,000"):
            kb.edit(COUNT.id, {"text": giant.text}, "Ann")
        large = giant.text[: MAX_ITEM + 10]
        for name, text in (
            ("kb.yaml", f"- {{kind: lesson, text: {large}}}"),
            ("kb.csv", f"kind,text\nlesson,{large}"),
            ("kb.jsonld", rdf.write_jsonld([Entry(item=Lesson(text=large))])),
        ):
            with pytest.raises(KnowledgeError, match=r"\(line [13]\): text: has|line 2: text: has"):
                import_file(kb, write(tmp_path, name, text))
        # Further than that CSV is not even read.
        with pytest.raises(KnowledgeError, match="line 2: is not CSV: field larger than field limit"):
            import_file(kb, write(tmp_path, "kb.csv", f"kind,text\nlesson,{giant.text}"))
        assert [entry.item for entry in kb.entries()] == [COUNT]
