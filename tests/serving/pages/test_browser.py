"""The review pages in a real browser, served by a real process, with the real small student: by mouse, by keyboard, by axe."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nesycd.api.demo import demo_folder
from nesycd.core.records import Status
from nesycd.knowledge import KnowledgeBase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUESTION = "How many feet are 4 fathoms and 3 feet?"
DESK, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@dataclass
class Site:
    """The pages of a copy of the demo, and a browser; `signed_in` is the state of one that used the link."""

    address: str
    base: Path
    browser: Any
    signed_in: Any

    def page(self, size: dict[str, int] = DESK, scheme: str = "light", **options: Any) -> Any:
        """A page whose faults are kept in `page.faults`: errors of scripts, and what the policy refuses."""
        context = self.browser.new_context(
            viewport=size, color_scheme=scheme, storage_state=self.signed_in, base_url=self.address, **options
        )
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda told: page.faults.append(told.text) if told.type in ("error", "warning") else None)
        return page

    def entry(self, search: str) -> Any:
        """The one item with these words, as the base has it."""
        with KnowledgeBase.open(self.base, create=False) as kb:
            [entry] = [one for one in kb.entries(search=search, kind="fact") if one.status is Status.APPROVED]
            return entry


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if CHROMIUM is None:
        pytest.skip("no chromium or chrome on this machine")
    folder = demo_folder(tmp_path_factory.mktemp("runs"))
    command = [sys.executable, "-m", "nesycd", "review", str(folder), "--port", "0", "--reviewer", "Ann"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    server.stdout.readline()
    link = server.stdout.readline().split()[-1]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        page.get_by_role("heading", name="Queue").wait_for()
        yield Site(link.partition("/enter")[0], folder / "kb.sqlite", browser, context.storage_state())
        browser.close()
    server.kill()
    server.communicate()


def answer(page: Any, question: str = "") -> str:
    """The answer that a page shows when it is there."""
    page.locator(".final").wait_for(timeout=120_000)
    return str(page.locator(".final").inner_text())


def test_an_expert_reviews_by_mouse_edits_sees_what_would_change_asks_and_reverts(site: Site) -> None:
    page = site.page()
    page.goto("/")
    clicks = 0
    for _ in range(30):
        page.get_by_role("button", name=re.compile("Keep|Approve")).click()
        clicks += 1
    page.get_by_text("30 decided by you now").wait_for()
    with KnowledgeBase.open(site.base, create=False) as kb:
        assert sum(entry.reviewer == "Ann" for entry in kb.entries()) == 30 == clicks  # one action an item
    page.goto("/ask")
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_label("Answer").select_option("nesycd")
    page.get_by_role("button", name="Ask", exact=True).click()
    assert answer(page) == "27" and page.get_by_text("6 feet").count() > 0
    page.get_by_role("link", name="Edit A fathom is 6 feet.").click()
    page.locator("html.scripted form.edit").wait_for()
    page.get_by_label("Object").fill("7 feet")
    page.get_by_label("Object").blur()
    assert page.get_by_label("Text what the student reads").input_value() == "A fathom is 7 feet."  # changed together
    page.get_by_role("button", name="What would change?").click()
    page.locator(".what-if .lead").wait_for(timeout=240_000)
    told = page.locator(".what-if").inner_text()
    assert "1 of 96 held-out questions" in told and "6 feet → 7 feet" in told and "1 become wrong" in told
    assert site.entry("fathom feet").item.object == "6 feet"  # not saved yet
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_text("The base has changed since it was asked").wait_for()
    page.get_by_role("button", name="Ask again").click()
    page.get_by_text("The base has changed").wait_for(state="detached", timeout=120_000)
    assert answer(page) == "31"
    page.get_by_role("link", name="Versions").click()
    page.get_by_role("button", name=re.compile("^Revert")).first.click()
    page.get_by_text("is taken back").wait_for()
    assert site.entry("fathom feet").item.text == "A fathom is 6 feet."
    assert page.faults == []


def test_all_of_it_by_keyboard_alone(site: Site) -> None:
    page = site.page()
    page.goto("/?search=fathom+feet")

    def press(key: str) -> None:
        page.wait_for_load_state()
        page.keyboard.press(key)

    press("?")
    page.get_by_role("dialog", name="Keyboard and help").wait_for()
    press("Escape")
    press("e")
    page.get_by_role("heading", name="Edit").wait_for()
    for _ in range(40):
        press("Tab")
        if page.evaluate("document.activeElement.dataset.part") == "object":
            break
    press("Control+a")
    page.keyboard.type("8 feet")
    press("Tab")
    press("Control+b")
    page.locator(".what-if .lead").wait_for(timeout=240_000)
    press("Control+Enter")
    page.get_by_text("Saved").first.wait_for()
    press("g")
    press("a")
    page.get_by_role("heading", name="Ask the student").wait_for()
    press("/")
    page.keyboard.type(QUESTION)
    press("Tab")
    press("Tab")
    page.keyboard.type("with look")  # chooses in the list
    press("Control+Enter")
    assert answer(page) == "35"
    press("x")
    page.get_by_text("in the queue now").wait_for()
    press("z")
    page.get_by_text("Back at what you called wrong").first.wait_for()
    press("z")  # the edit
    page.get_by_text("Undone").first.wait_for()
    assert site.entry("fathom feet").item.object == "6 feet"
    press("g")
    press("q")
    page.get_by_role("heading", name="Queue").wait_for()
    for key, told in (("a", "Approved"), ("z", "Undone"), ("u", "Left to others"), ("r", "Rejected"), ("z", "Undone")):
        press(key)
        page.get_by_text(told).first.wait_for()
    first = page.url
    press("j")
    page.wait_for_url(lambda url: url != first)
    press("l")
    page.get_by_role("link", name="One by one").wait_for()
    assert page.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_no_fault_and_nothing_is_wider_than_the_screen(site: Site, size: dict[str, int], scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    fact, faults = site.entry("fathom feet").item_id, []
    with KnowledgeBase.open(site.base, create=False) as kb:
        rule = kb.entries(kind="rule")[0].item_id
    page = site.page(size, scheme, bypass_csp=True)  # axe is put into the page as a script
    items = [f"/items/{one}{part}" for one in (fact, rule) for part in ("", "/edit", "/merge", "/split", "/uses")]
    others = [
        "/",
        "/?view=list",
        "/?search=nothing+like+this",
        "/items",
        "/items/new",
        "/items/new?kind=rule",
        "/keys",
        "/nowhere",
    ]
    for path in [
        *others,
        *items,
        "/graph",
        "/graph?entity=fathom",
        "/rules",
        "/versions",
        "/versions/diff?before=1",
        "/ask",
    ]:
        page.goto(path)
        page.wait_for_timeout(150)
        found = axe.run(page).response["violations"]
        faults += [(path, one["id"], one["impact"], one["nodes"][0]["html"][:200]) for one in found]
        if page.evaluate("document.documentElement.scrollWidth") > size["width"]:
            faults.append((path, "wider than the screen", "", ""))
    assert not faults


def test_without_its_script_everything_is_reached(site: Site) -> None:
    page = site.page(java_script_enabled=False)
    page.goto("/?view=list")
    for number in (0, 1):
        page.locator("input[name=item]").nth(number).check()
    page.get_by_role("button", name="Not sure").click()
    page.get_by_text("Left to others: 2 items").wait_for()
    page.goto("/")
    page.get_by_role("button", name="Not sure").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("the remark stays in its history").wait_for()
    page.goto(f"/items/{site.entry('fathom feet').item_id}/uses")
    page.get_by_role("heading", name="Which answers used it").wait_for()
    page.goto("/graph?entity=fathom")
    assert page.get_by_role("row").count() >= 2
    page.goto("/ask")
    page.get_by_label("Question").fill(QUESTION)
    with page.expect_navigation():
        page.get_by_role("button", name="Ask", exact=True).click()
    for _ in range(60):
        if page.locator(".final").count():
            break
        page.wait_for_timeout(1000)
        with page.expect_navigation():
            page.get_by_role("link", name="Show the answer").click()
    assert answer(page) == "27"


def test_a_triple_is_edited_from_the_drawing_of_the_graph(site: Site) -> None:
    page = site.page()
    page.goto("/graph?entity=fathom")
    page.wait_for_timeout(800)
    box = page.locator("#graph").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)  # the line between the two
    page.get_by_role("heading", name="Edit").wait_for()
    assert page.get_by_label("Relation").input_value() == "makes" and page.faults == []
