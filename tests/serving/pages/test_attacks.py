"""Attacks on the review pages: other people's scripts and sites, forged sessions, and requests that no page sends."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from nesycd.core.records import Evidence, Fact, Lesson, Rule, RuleTest, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.queue import enqueue
from nesycd.serving.pages import sessions as sessions_module
from nesycd.serving.pages.app import review_app
from nesycd.serving.pages.review import Review
from nesycd.serving.pages.sessions import Sessions
from nesycd.serving.pages.web import local
from nesycd.serving.safety import Grant, Role, Tokens, loopback_hosts
from tests.serving.pages.conftest import COUNT, FATHOM, GRAND, PEOPLE, TOKENS, Pages

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onmouseover='alert(1)' {{7*7}} javascript:alert(1) \u202egnp"
PATHS = ("/", "/?view=list", "/items", "/graph", "/rules", "/versions", "/ask", "/keys", "/items/new")
GETS = (
    *PATHS,
    f"/items/{FATHOM.id}",
    f"/items/{FATHOM.id}/edit",
    f"/items/{FATHOM.id}/uses",
    "/versions/diff?before=0",
)
POSTS = (
    *(
        "/decide",
        "/undo",
        "/items/new",
        f"/items/{FATHOM.id}/edit",
        f"/items/{FATHOM.id}/merge",
        f"/items/{FATHOM.id}/split",
    ),
    *(f"/items/{FATHOM.id}/what-if", "/graph/merge", "/graph/unmerge", "/rules/try", "/versions/revert", "/sign-out"),
    *("/versions/revert-to", "/versions/tag", "/ask", "/jobs/x/wrong", "/jobs/x/cancel", "/check"),
)


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def is_clean(page: str) -> bool:
    """Whether no text of a page became an element, an attribute or a script."""
    for tag, attributes in Elements(page).found:
        if tag == "img" or any(name.startswith("on") or name == "style" for name in attributes):
            return False
        if tag == "script" and not (attributes.get("src") or "").startswith("/static/"):
            return False
        if any(
            (attributes.get(name) or "").strip().lower().startswith("javascript:") for name in ("href", "action", "src")
        ):
            return False
    return (
        "\u202e" not in re.sub(r"(?s)<(textarea|option).*?</\1>|<input[^>]*>", "", page) and "49 javascript" not in page
    )


@pytest.fixture
def hostile(pages: Pages, review: Review) -> Pages:
    """A base every text of which is hostile."""
    fact = Fact(text=HOSTILE, subject=HOSTILE, relation=HOSTILE, object=HOSTILE, aliases=(f"{HOSTILE} 2",))
    test = RuleTest(given="p(a).", expect="q(a).")
    rule = Rule(text=HOSTILE, clause="q(X) :- p(X).", says=f"{{X}} | {HOSTILE} | x", scope=(HOSTILE,), tests=(test,))
    evidence = Evidence(example=HOSTILE, attempt=HOSTILE, source=HOSTILE)
    review.kb.add([(fact, evidence), (rule, evidence), (Lesson(text=HOSTILE), evidence)], why=HOSTILE)
    review.kb.edit(fact.id, {"text": f"{HOSTILE} more"}, HOSTILE, HOSTILE)
    enqueue(review.kb, {fact.id: [f"{HOSTILE}: {HOSTILE}"], rule.id: [f"wrong answer: {HOSTILE}"]}, HOSTILE, HOSTILE)
    return pages


def test_hostile_texts_are_shown_on_every_page_and_do_nothing(hostile: Pages, review: Review) -> None:
    entries = [entry for entry in review.kb.entries() if HOSTILE in entry.item.text]
    assert len(entries) == 3
    paths = [
        *GETS,
        "/?view=list",
        "/items?size=200",
        "/?search=alert",
        "/?kind=rule",
        "/?kind=lesson",
        "/?kind=fact&search=alert",
    ]
    for entry in entries:
        paths += [
            f"/items/{entry.item_id}{more}"
            for more in ("", "/edit", "/merge", "/split", "/uses", "/merge?with=" + FATHOM.id)
        ]
    for path in paths:
        page = hostile.client.get(path)
        assert page.status_code == 200 and is_clean(page.text), path
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in hostile.get("/items?size=200")
    assert "\\u202egnp" in hostile.get("/items?size=200")
    query = {
        "entity": HOSTILE,
        "search": HOSTILE,
        "text": HOSTILE,
        "back": HOSTILE,
        "question": HOSTILE,
        "before": HOSTILE,
        "at": HOSTILE,
    }
    for path in (
        "/",
        "/items",
        "/graph",
        "/items/new",
        f"/items/{FATHOM.id}/edit",
        f"/items/{FATHOM.id}/merge",
        "/ask",
        "/versions/diff",
    ):
        answer = hostile.client.get(path, params=query)
        assert answer.status_code in (200, 422) and is_clean(answer.text), path


def test_hostile_fields_of_forms_come_back_as_text(pages: Pages, review: Review) -> None:
    fields = dict.fromkeys(
        ("text", "subject", "relation", "object", "aliases", "clause", "says", "why", "question", "options"), HOSTILE
    )
    for kind in ("fact", "rule", "lesson", HOSTILE):
        answer = pages.client.post(
            "/items/new", data={"form_token": pages.token, "kind": kind, "action": "kind", **fields}
        )
        assert answer.status_code == 200 and is_clean(answer.text)
    for path in (
        f"/items/{FATHOM.id}/edit",
        f"/items/{GRAND.id}/edit",
        f"/items/{COUNT.id}/split",
        "/ask",
        "/graph/merge",
        "/decide",
    ):
        answer = pages.client.post(path, data={"form_token": pages.token, "entity": HOSTILE, "into": HOSTILE, **fields})
        assert 400 <= answer.status_code < 500 and is_clean(answer.text), path
    pages.send("/items/new", kind="lesson", action="approve", text=HOSTILE)
    assert review.kb.entries(search="onmouseover")[0].item.text == HOSTILE  # kept as it was written


def test_what_a_form_shows_again_is_what_was_typed(pages: Pages) -> None:
    page = pages.send("/items/new", kind="lesson", action="kind", text='a\n<b> & "c" \u202e')
    assert "a\n&lt;b&gt; &amp; &#34;c&#34; \u202e</textarea>" in page


# --- who may what -------------------------------------------------------------------------------------------------------


def test_nobody_reads_who_is_not_signed_in(app: Any) -> None:
    asked = TestClient(app, base_url="http://localhost", follow_redirects=False)
    for path in GETS:
        answer = asked.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in"), path


def test_nothing_is_done_without_a_session_or_without_its_form_token(app: Any, review: Review) -> None:
    before, nobody = review.kb.revision, TestClient(app, base_url="http://localhost")
    pages, other = Pages(app), Pages(app)
    for path in POSTS:
        assert nobody.post(path, data={"form_token": "x"}).status_code == 401, path
        for token in ("", "x", other.token):
            assert pages.client.post(path, data={"form_token": token}).status_code == 403, (path, token)
        assert pages.client.post(path).status_code in (403, 415)
    assert review.kb.revision == before


def test_a_form_from_another_site_is_refused_whatever_it_carries(pages: Pages, review: Review) -> None:
    fields = {"form_token": pages.token, "action": "approve", "item": pages.state(FATHOM.id)}
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:9"},
    ):
        assert pages.client.post("/decide", data=fields, headers=headers).status_code == 403
    assert review.kb.get(FATHOM.id).status is Status.PROPOSED
    assert (
        pages.client.post(
            "/sign-in", data={"token": TOKENS[Role.ADMIN]}, headers={"origin": "http://evil.example"}
        ).status_code
        == 403
    )
    assert pages.client.post("/decide", data=fields, headers={"origin": "http://localhost:8321"}).status_code == 200


def test_readers_change_nothing(pages_of: Callable[[Role], Pages]) -> None:
    ray = pages_of(Role.READER)
    for path in set(POSTS) - {"/ask", "/sign-out"}:
        assert "you are signed in as reader" in ray.send(path, 403), path


def test_reviewers_do_not_do_what_admins_do(pages_of: Callable[[Role], Pages]) -> None:
    for path in ("/versions/revert-to", "/versions/tag"):
        assert "this needs the role admin" in pages_of(Role.REVIEWER).send(path, 403, version="0", name="v1")


def test_readers_see_no_buttons_that_they_may_not_press(pages_of: Callable[[Role], Pages]) -> None:
    ray = pages_of(Role.READER)
    for path in ("/", "/?view=list", f"/items/{FATHOM.id}", "/versions", "/graph?entity=fathom"):
        page = ray.get(path)
        assert 'value="approve"' not in page and "/versions/revert" not in page and "/graph/merge" not in page
    assert "/versions/revert-to" not in pages_of(Role.REVIEWER).get("/versions")


def test_the_reviewers_name_stands_in_every_revision(pages_of: Callable[[Role], Pages], review: Review) -> None:
    vera = pages_of(Role.REVIEWER)
    vera.decide("approve", FATHOM.id, name="Ann", reviewer="Ann", actor="Ann")
    vera.decide("unsure", COUNT.id)
    vera.send("/undo"), vera.send("/undo")
    assert [one.actor for one in review.kb.revisions(3)] == ["Vera"] * 3


# --- sessions -----------------------------------------------------------------------------------------------------------


def test_the_cookie_cannot_be_read_by_scripts_sent_from_elsewhere_or_guessed(app: Any) -> None:
    answer = TestClient(app, base_url="http://localhost:8321", follow_redirects=False).post(
        "/sign-in", data={"token": TOKENS[Role.READER]}
    )
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "Path=/" in cookie
    [value] = re.findall(r"nesycd_review_8321=([^;]+)", cookie)
    assert len(value) >= 43 and TOKENS[Role.READER] not in cookie


def test_forged_cookies_are_nobodys(app: Any) -> None:
    asked = TestClient(app, base_url="http://localhost:8321", follow_redirects=False)
    for cookie in ["", "x", "a" * 43, "../../etc/passwd", "a" * 5000, "%00", "null"]:
        assert asked.get("/", headers={"cookie": f"nesycd_review_8321={cookie}"}).status_code == 303, cookie


def test_wrong_tokens_sign_nobody_in_and_are_slowed_down(app: Any) -> None:
    asked = TestClient(app, base_url="http://localhost:8321")
    for token in ["", "x", "r" * 29, "r" * 31, "R" * 30, "' or 1=1 --", "r" * 100_000, "\x00"]:
        assert asked.post("/sign-in", data={"token": token}).status_code == 403, token
    codes = [asked.post("/sign-in", data={"token": "x"}).status_code for _ in range(5)]
    assert codes[-1] == 429 and asked.post("/sign-in", data={"token": TOKENS[Role.ADMIN]}).status_code == 429


def test_the_link_works_once_and_the_next_one_is_told(review: Review) -> None:
    keys: list[str] = []
    sessions = Sessions(Tokens(), Grant("Ann", Role.ADMIN))
    app = review_app(review, sessions, loopback_hosts(), lambda: keys.append(sessions.new_key()))
    first = sessions.new_key()
    asked = TestClient(app, base_url="http://localhost")
    assert asked.get("/enter", params={"key": "x"}).status_code == 403
    assert "Signed in" in asked.get("/enter", params={"key": first}).text
    assert asked.get("/").status_code == 200 and len(keys) == 1
    other = TestClient(app, base_url="http://localhost")
    assert other.get("/enter", params={"key": first}).status_code == 403 and other.get("/enter").status_code == 403
    assert other.get("/enter", params={"key": keys[0]}).status_code == 200
    # It may lead to an item, and nowhere else.
    for item, to in (("3fa9c0de", "/items/3fa9c0de"), ("//evil.example", "/"), ("../x", "/"), ('"><script>', "/")):
        page = other.get("/enter", params={"key": keys[-1], "item": item}).text
        assert f'content="0;url={to}"' in page and "evil" not in page and "<script>" not in page
    assert first not in asked.get("/").text


def test_sessions_end_by_time_and_by_signing_out(review: Review) -> None:
    now = [0.0]
    sessions = Sessions(Tokens(PEOPLE), clock=lambda: now[0])
    app = review_app(review, sessions, loopback_hosts())
    pages = Pages(app)
    now[0] = sessions_module.IDLE - 1
    assert pages.get("/")
    now[0] += sessions_module.IDLE + 1
    assert "Sign in" in pages.get("/") and pages.client.post("/undo").status_code == 401
    pages = Pages(app)
    cookies = dict(pages.client.cookies)
    pages.send("/sign-out")
    pages.client.cookies.update(cookies)
    assert "Sign in" in pages.get("/")
    for _ in range(1100):
        sessions.by_token(TOKENS[Role.READER])
    assert len(sessions._open) == 1000


# --- odd requests -------------------------------------------------------------------------------------------------------


def test_every_answer_has_the_headers(pages: Pages, app: Any) -> None:
    for path in (*GETS, "/nowhere", "/static/review.css", "/sign-in", "/items/zzzz"):
        headers = pages.client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy, path
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
    assert TestClient(app, base_url="http://evil.example").get("/").status_code == 421


def test_static_files_are_those_of_the_folder(pages: Pages) -> None:
    for page in ("/", "/graph?entity=fathom"):
        for name in re.findall(r'(?:src|href)="(/static/[^"]+)"', pages.get(page)):
            assert pages.client.get(name).status_code == 200, name
    for name in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "..%5capp.py", "%00", ""):
        answer = pages.client.get(f"/static/{name}")
        assert answer.status_code in (400, 404, 405) and "import" not in answer.text, name


def test_unknown_items_are_not_found(pages: Pages) -> None:
    odd = ["x", "zzzz", "0" * 16, "%00%00%00%00", "a" * 3000, "..%2f..%2f..", "' or 1=1", "%ff%fe%fd%fc", FATHOM.id[:3]]
    for item_id in odd:
        for more in ("", "/edit", "/merge", "/split", "/uses"):
            assert pages.client.get(f"/items/{item_id}{more}").status_code == 404, item_id
    assert pages.client.post(f"/items/{'0' * 16}/edit", data={"form_token": pages.token}).status_code == 404


def test_malformed_and_oversized_bodies_are_clean_errors(pages: Pages, review: Review) -> None:
    before, token = review.kb.revision, pages.token
    form = "application/x-www-form-urlencoded"
    bodies: list[tuple[bytes, str, set[int]]] = [
        (b"{}", "application/json", {415}),
        (b"%%%=&&&=%zz", form, {403}),
        (b"\xff\xfe\x00" * 50, form, {403}),
        (b"--x\r\nbroken", "multipart/form-data; boundary=x", {400, 403}),
        (b"nothing", "multipart/form-data", {400}),
        (
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nx\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            {400},
        ),
        (b"a=b&" * 4000, form, {400}),
        (b"form_token=" + b"x" * 4_000_001, form, {413}),
        (b"", form, {403}),
    ]
    for body, kind, expected in bodies:
        answer = pages.client.post("/decide", content=body, headers={"content-type": kind})
        assert answer.status_code in expected, (body[:40], answer.status_code, answer.text[-300:])
    for item in (":", "x", "x:y", f"{FATHOM.id}:", f"{FATHOM.id}:{'0' * 16}", "a:b:c", "\ufffd:\x00"):
        answer = pages.client.post("/decide", data={"form_token": token, "action": "approve", "item": item})
        assert 400 <= answer.status_code < 500, item
    assert (
        pages.client.post(
            "/decide", data={"form_token": token, "action": "drop", "item": pages.state(FATHOM.id)}
        ).status_code
        == 400
    )
    assert pages.client.put("/decide").status_code == 405 and pages.client.get("/decide").status_code == 405
    assert review.kb.revision == before


def test_an_item_that_is_too_large_is_told(pages: Pages, review: Review) -> None:
    told = pages.send("/items/new", 422, kind="lesson", action="approve", text="x" * 1_000_001)
    assert "at most 1,000,000 are kept" in told
    assert review.kb.stats()["items"] == 4


@pytest.mark.parametrize(
    "path", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "", "/\t/evil", "x"]
)
def test_pages_lead_to_no_other_site(path: str) -> None:
    assert local(path) == "/"


def test_pages_lead_to_pages() -> None:
    assert local("/items/12?back=/&x=y") == "/items/12?back=/&x=y"


def test_no_answer_names_a_path_of_this_machine(
    pages: Pages, review: Review, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [pages.get(path) for path in GETS]
    texts.append(pages.client.get("/versions/diff?before=v9").text)
    (folder / "kb.sqlite").rename(folder / "gone.sqlite")
    for name in ("-wal", "-shm"):
        (folder / f"kb.sqlite{name}").unlink(missing_ok=True)
    (folder / "kb.sqlite").mkdir()
    review.kb._engine.dispose()
    for path in ("/", "/items", f"/items/{FATHOM.id}", "/versions"):
        answer = pages.client.get(path)
        assert 400 <= answer.status_code < 600
        texts.append(answer.text)
    assert not [
        text for text in texts if "secret-place" in text or str(Path.home()) + "/" in text or "site-packages" in text
    ]


@pytest.mark.parametrize(
    "origin", ["http://[::1", "null", "", "http://localhost:8321.evil.example", "http://localhost:8321@evil.example"]
)
def test_an_origin_of_any_form_is_another_site(pages: Pages, origin: str) -> None:
    answer = pages.client.post("/undo", data={"form_token": pages.token}, headers={"origin": origin})
    assert answer.status_code == 403 and "another site" in answer.text
    own = pages.client.post("/undo", data={"form_token": pages.token}, headers={"origin": "http://localhost:8321"})
    assert own.status_code == 200


@pytest.mark.parametrize("text", ["\0", "\u200b\u2060", "\u202e \x1b"])
def test_an_item_that_nobody_sees_is_refused(pages: Pages, review: Review, text: str) -> None:
    before = review.kb.revision
    assert "no character that can be seen" in pages.send("/items/new", 422, kind="lesson", action="approve", text=text)
    fact = {"text": "A cable is 120 fathoms.", "subject": "cable", "relation": "makes", "object": text}
    assert "object: has no character" in pages.send("/items/new", 422, kind="fact", action="approve", **fact)
    assert review.kb.revision == before


def test_a_name_longer_than_databases_search_for_is_told(pages: Pages) -> None:
    assert "at most 1,000 characters" in pages.send("/graph/merge", 422, entity="a" * 60_000, into="fathom")


def test_nothing_is_written_to_a_base_that_was_replaced(
    pages: Pages, review: Review, folder: Path, tmp_path: Path
) -> None:
    form = {"form_token": pages.token, "action": "approve", "item": pages.state(FATHOM.id)}
    with KnowledgeBase.open(tmp_path / "new.sqlite") as other:
        other.add([(FATHOM, Evidence(example="", source="expert"))])
    os.replace(tmp_path / "new.sqlite", folder / "kb.sqlite")
    for _ in range(2):
        answer = pages.client.post("/decide", data=form)
        assert answer.status_code == 422 and "replaced or removed since it was opened" in answer.text
        assert str(tmp_path) not in answer.text
    with KnowledgeBase.open(folder / "kb.sqlite") as now:
        assert now.get(FATHOM.id).status is Status.PROPOSED
