"""The page: complete, self-contained, escaped, and shown by a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nesycd.core.errors import RunError
from nesycd.reports import write_report
from nesycd.reports.markup import tag
from nesycd.reports.page import SECTIONS

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
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


def test_all_sections_are_there_and_in_the_menu(html: str) -> None:
    elements = Page(html).elements
    assert [attributes.get("id") for name, attributes in elements if name == "section"] == list(SECTIONS)
    assert [attributes["href"] for name, attributes in elements if name == "a"] == [f"#{name}" for name in SECTIONS]
    # Bars, differences, frequency and margins are drawn.
    drawn = " ".join(attributes.get("class") or "" for name, attributes in elements if name == "svg")
    assert {"bar", "difference", "plot", "histogram", "share"} <= set(drawn.split())


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
    assert "On 20 special test questions, nesycd answers 60.0 % right, std_cot 20.0 %" in text
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
    text = Page(write_report(run_folder).read_text(encoding="utf-8")).text
    assert "The run folder holds no questions or no attempts." in text
    assert "No closed-book attempts" in text
    assert "neither config nor manifest" in text


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


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on this machine")
def test_a_browser_shows_it(run_folder: Path, tmp_path: Path) -> None:
    assert BROWSER is not None
    page = write_report(run_folder)
    whole = page.read_text(encoding="utf-8")
    disagreeing = whole.count('data-disagree="yes"')
    assert 0 < disagreeing < whole.count("data-disagree=")
    # Works a control of the page, and tells in the title how many samples its script left in sight.
    probe = (
        "<script>const box = document.getElementById('disagree'); box.checked = true; box.dispatchEvent(new Event('change'));"
        "document.title = 'shown ' + document.querySelectorAll('.sample:not([hidden])').length</script>"
    )
    page.write_text(whole.replace("</body>", probe + "</body>"), encoding="utf-8")
    flags = ("--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    done = subprocess.run([BROWSER, *flags, profile, "--dump-dom", page.as_uri()], capture_output=True, timeout=100)
    dom = done.stdout.decode(errors="replace")
    assert done.returncode == 0
    assert f"<title>shown {disagreeing}</title>" in dom
    for text in ("Accuracy by method", "nesycd answers 60.0 % right", "Knowledge base", "A fathom is 6 feet."):
        assert text in dom
    assert "<img" not in dom
