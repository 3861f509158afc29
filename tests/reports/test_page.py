"""The page: what it means first, all the rest folded; self-contained, escaped, and used in a real browser."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from nesycd.cli.main import load
from nesycd.core.errors import RunError
from nesycd.core.markup import tag
from nesycd.core.records import Evidence, Fact, Lesson
from nesycd.knowledge import KnowledgeBase
from nesycd.reports import write_report
from nesycd.reports.page import MENU
from nesycd.reports.sources import duration, without_places

FACT = Fact(text="A fathom is 6 feet.", subject="fathom", relation="feet", object="6")
VOID = {"meta", "link", "input", "br"}


class Page(HTMLParser):
    """Collects elements and text, and checks that every element is closed in its place."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open.pop() == name

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text += data


@pytest.fixture
def html(run_folder: Path) -> str:
    path = write_report(run_folder)
    assert path == run_folder / "report.html"
    return path.read_text(encoding="utf-8")


def test_all_parts_are_there_and_in_the_menu(html: str) -> None:
    elements = Page(html).elements
    assert [attributes.get("id") for name, attributes in elements if name == "section"] == [
        "meaning",
        "next",
        "details",
    ]
    parts = [attributes.get("id") for _, attributes in elements if attributes.get("class") == "part"]
    assert ["meaning", "next", *parts] == list(MENU)
    menu = [
        attributes["href"] for name, attributes in elements if name == "a" and "item-" not in str(attributes["href"])
    ]
    assert menu == [f"#{name}" for name in MENU]
    assert not any("open" in attributes for name, attributes in elements if name == "details"), "all the rest is folded"
    # Bars, differences, frequency and margins are drawn.
    drawn = " ".join(attributes.get("class") or "" for name, attributes in elements if name == "svg")
    assert {"bar", "difference", "plot", "histogram", "share"} <= set(drawn.split())
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_an_item_leads_to_its_row_and_the_row_to_its_review(html: str) -> None:
    page = Page(html)
    [row] = {attributes["href"] for name, attributes in page.elements if "item-" in str(attributes.get("href"))}
    assert row == f"#item-{FACT.id}" and f'id="item-{FACT.id}"' in html
    assert f"nesycd review 'a <b>run' --item {FACT.id[:8]}" in page.text
    assert "[fathoms | feet] → 6" in page.text


def test_the_commands_of_the_page_are_commands_with_their_options(html: str, run_folder: Path) -> None:
    with KnowledgeBase.open(run_folder / "kb.sqlite") as base:
        base.add([(Lesson(text="Count twice."), Evidence(example="train-1", source="m"))])
    waiting = write_report(run_folder).read_text(encoding="utf-8")
    shown = {unescape(code) for code in re.findall(r"<code>(nesycd .*?)</code>", waiting)}
    assert {"nesycd review", "nesycd kb"} <= {" ".join(command.split()[:2]) for command in shown}
    for command in shown:
        _, name, *words = shlex.split(command)
        known = load(name)
        if name == "kb":
            known = known.commands[words[0]]
        options = {option for one in known.params for option in one.opts}
        assert {word for word in words if word.startswith("--")} <= options, command


def test_no_folder_of_the_machine_is_named(html: str, run_folder: Path, tmp_path: Path) -> None:
    assert str(tmp_path) not in html and "runs/a &lt;b&gt;run/kb.sqlite" in html
    (run_folder / "config.json").write_text(
        json.dumps(
            {"task": {"settings": {"path": "/home/ann/data/units.jsonl"}}, "student": {"model": "/m/x"}, "seed": 3}
        )
    )
    text = Page(write_report(run_folder).read_text(encoding="utf-8")).text
    assert "/home/ann" not in text and '"path": "…/units.jsonl"' in text and "…/x, seed 3" in text


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ('"/home/ann/my data/a.jsonl"', '"…/a.jsonl"'),
        ('"~/models/m", "C:\\\\Users\\\\ann\\\\m"', '"…/m", "…/m"'),
        ('"org/name", "http://localhost:8000/v1"', '"org/name", "http://localhost:8000/v1"'),
        ('"models/m", "a / b / c", "1/2"', '"models/m", "a / b / c", "1/2"'),
        ('"sqlite:////srv/kb/kb.sqlite"', '"…/kb.sqlite"'),
    ],
)
def test_paths_lose_their_folders(told: str, shown: str) -> None:
    assert without_places(told) == shown


def test_durations_are_told_in_a_unit_that_fits() -> None:
    assert [duration(value) for value in (0.4, 119, 600, 9000)] == ["0 s", "119 s", "10 min", "2.5 h"]


def test_nothing_is_loaded_from_elsewhere(html: str) -> None:
    page = Page(html)
    for name, attributes in page.elements:
        assert name not in {"img", "iframe", "object", "embed", "base", "form"}
        for key in ("src", "href", "srcset", "action", "xlink:href"):
            value = attributes.get(key)
            assert value is None or value.startswith("#") or value == "data:,"
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", html)
    policy = [attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes]
    assert policy and policy[0] is not None and policy[0].startswith("default-src 'none'")
    assert "unsafe" not in policy[0] and len(re.findall(r"'sha256-[\w+/]{43}='", policy[0])) == 2
    assert not any("style" in attributes for _, attributes in page.elements), "the policy would not apply it"


def test_hostile_text_stays_text(html: str) -> None:
    page = Page(html)
    assert [name for name, _ in page.elements].count("script") == 1
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)
    assert "<script>alert('x')</script>" in page.text
    assert "a <b>run" in page.text and "<u>quick</u>" in page.text
    assert "<b>Mind</b> the units." in page.text
    assert "\x00" not in html and "\ufffd" in html


def test_it_tells_what_the_run_found(html: str) -> None:
    text = Page(html).text
    assert (
        "On the 40 test questions the student with its knowledge base (nesycd, 67.5\u00a0% right) is better than"
        in text
    )
    assert "better on only 20 that need special knowledge (+40.0) and not told apart on only 20 that need none" in text
    assert "Gain of nesycd over std_cot in points, by frequency" in text
    assert "nesycd says so. Therefore, the answer is" in text
    assert "A fathom is 6 feet. names fathom" in text
    assert "std_cot 12 right, " not in text and "std_cot 19 right, 21 wrong" in text
    assert "threshold 0.700" in text
    assert "unknownspecial16before" in text
    assert "62.5 % out of fold, 60.0 % on valid" in text
    assert "12.5" in text and "two cores" in text


def test_margins_are_of_the_answers_that_the_router_reads(run_folder: Path) -> None:
    def told() -> str:
        return Page(write_report(run_folder).read_text(encoding="utf-8")).text

    results = run_folder / "results.json"
    content = json.loads(results.read_text())
    content["router"]["closed_book"] = "augmented"
    results.write_text(json.dumps(content))
    # S_E drafts: it looks facts up where it has learned to; else nesycd reads, and its drafts are those of nesycd_no_kb.
    assert "nesycd 27 right, 13 wrong" in told()
    content["method"]["calls"] = None
    results.write_text(json.dumps(content))
    assert "nesycd_no_kb 19 right, 21 wrong" in told()


def test_it_needs_no_more_than_results(run_folder: Path) -> None:
    shutil.rmtree(run_folder / "stages")
    for name in ("kb.sqlite", "config.json", "manifest.json"):
        (run_folder / name).unlink()
    html = write_report(run_folder).read_text(encoding="utf-8")
    parts = [attributes.get("id") for _, attributes in Page(html).elements if attributes.get("class") == "part"]
    assert parts == ["differences", "splits", "tasks", "frequency", "known", "knowledge", "retrieval", "steps", "costs"]
    assert html.count("#samples") == html.count("#run") == html.count("#next") == 0


def test_a_part_with_nothing_to_say_is_not_there_nor_in_the_menu(run_folder: Path) -> None:
    path = run_folder / "results.json"
    none = {"methods": {}, "differences": {}, "gap_closed": {}, "gain_by_frequency": {}, "known_unknown": {}}
    none |= {"retrieval": {}, "router": {}, "seconds": {}, "tasks": {}}
    none["knowledge"] = {"items": 0, "by_kind": {}, "by_status": {}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **none, "method": None, "total_seconds": 0}))
    for name in ("kb.sqlite", "config.json", "manifest.json"):
        (run_folder / name).unlink()
    page = Page(write_report(run_folder).read_text(encoding="utf-8"))
    assert [attributes["href"] for name, attributes in page.elements if name == "a"] == ["#meaning"]
    assert [attributes.get("id") for name, attributes in page.elements if name == "section"] == ["meaning"]
    assert "No answers were scored, so there is nothing to say of accuracy." in page.text


def test_what_is_missing_or_damaged_is_named(run_folder: Path) -> None:
    (run_folder / "stages" / "eval-test-nesycd.jsonl").write_text('{"schema": "attempt/1"}\n{"schema": "attempt/1"}\n')
    with pytest.raises(RunError, match=r"eval-test-nesycd\.jsonl"):
        write_report(run_folder)
    (run_folder / "predictions.jsonl").unlink()
    with pytest.raises(RunError, match="predictions of eval-test-std_cot are gone; run the recipe again"):
        write_report(run_folder)
    (run_folder / "results.json").unlink()
    with pytest.raises(RunError, match=r"results\.json: cannot be read"):
        write_report(run_folder)
    assert not (run_folder / "report.html").exists()


def test_markup_escapes_attributes_and_text() -> None:
    assert tag("p", "a < b & c", title='"quoted" <i>') == (
        '<p title="&quot;quoted&quot; &lt;i&gt;">a &lt; b &amp; c</p>'
    )
    assert (
        tag("rect", x=1.5, y=2.0, stroke_width=0.126, hidden=False) == '<rect x="1.5" y="2" stroke-width="0.13"></rect>'
    )
    assert tag("p", "a\x00b\ud800") == "<p>a\ufffdb\ufffd</p>"
    assert tag("ul", [tag("li", 1), tag("li", None)]) == "<ul><li>1</li><li></li></ul>"


TABLET = {"viewport": {"width": 800, "height": 1000}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{}, TABLET, PHONE], ids=["desktop", "tablet", "phone"])
def test_axe_finds_no_fault_and_nothing_is_wider_than_the_window(
    run_folder: Path, shown: Callable[..., Any], faults: Callable[[Any], list[str]], size: dict[str, Any], scheme: str
) -> None:
    page = shown(write_report(run_folder), color_scheme=scheme, **size)
    assert faults(page) == []
    page.get_by_role("button", name="open all", exact=True).click()
    page.get_by_role("button", name="open all answers").click()
    assert page.locator("#samples").is_visible() and page.locator(".sample[open]").count() > 10
    assert faults(page) == []


@pytest.mark.slow
def test_the_page_is_used_by_keyboard_and_its_controls_work(run_folder: Path, shown: Callable[..., Any]) -> None:
    path = write_report(run_folder)
    disagreeing = path.read_text(encoding="utf-8").count('data-disagree="yes"')
    page = shown(path, permissions=["clipboard-read", "clipboard-write"])
    summary = page.locator(".fold summary", has_text="Sample answers")
    assert not page.locator("#samples").is_visible()
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("#samples").is_visible()
    samples = page.locator(".sample:visible")
    assert samples.count() > disagreeing > 0
    page.get_by_label("only where trained methods disagree").press("Space")
    assert samples.count() == disagreeing
    page.get_by_role("button", name="copy").first.press("Enter")
    page.get_by_role("button", name="copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith("nesycd kb add TEXT --kind fact")


@pytest.mark.slow
def test_without_its_script_the_page_has_all_of_it(run_folder: Path, shown: Callable[..., Any]) -> None:
    page = shown(write_report(run_folder), java_script_enabled=False)
    assert "is better than" in page.locator(".lead").inner_text()
    costs = page.locator("#costs")
    assert not costs.is_visible() and not page.locator(".controls").is_visible()
    page.locator("nav a", has_text="costs").click()
    assert costs.is_visible(), "a link unfolds what it leads to"
    page.emulate_media(media="print")
    assert page.locator("#run").is_visible() and page.locator("#samples pre").first.is_visible()
    page.emulate_media(media="screen")
    assert not page.locator("#run").is_visible()
