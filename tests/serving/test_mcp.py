"""The MCP server, as a client of that protocol uses it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp")

from mcp import Client
from mcp.client.stdio import StdioServerParameters

from nesycd.core.records import Evidence, Fact, Lesson, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.queue import waiting
from nesycd.serving.mcp_server import mcp_server

FATHOM = Fact(text="A fathom is 6 feet.", subject="fathom", relation="makes", object="6 feet")
CUBIT = Fact(text="A cubit is 18 inches.", subject="cubit", relation="makes", object="18 inches")
LESSON = Lesson(text="Convert all lengths to one unit before you add them.")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A base with two approved items and a proposed one."""
    with KnowledgeBase.open(tmp_path / "kb.sqlite") as kb:
        kb.add([(FATHOM, Evidence(example="q1", source="expert")), (LESSON, Evidence(example="q2", source="expert"))])
        kb.approve_all("Ann")
        kb.propose(CUBIT, Evidence(example="q3", source="expert"))
    return tmp_path / "kb.sqlite"


def asked(server: Any, work: Callable[[Client], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with Client(server) as client:
            return await work(client)

    return asyncio.run(main())


def call(kb: KnowledgeBase, tool: str, **given: Any) -> Any:
    return asked(mcp_server(kb), lambda client: client.call_tool(tool, given))


def test_approved_items_are_found_with_reasons(place: Path) -> None:
    with KnowledgeBase.open(place) as kb:
        found = call(kb, "search", query="How many feet is a fathom?").structured_content["result"]
        assert (
            found[0]["id"] == FATHOM.id
            and "names fathom" in found[0]["why"]
            and found[0]["triple"] == list(FATHOM.triple)
        )
        assert call(kb, "search", query="How long is a cubit?").structured_content["result"] == [], "it is not approved"
        lessons = call(kb, "search", query="convert lengths to one unit and add", kind="lesson").structured_content[
            "result"
        ]
        assert [one["id"] for one in lessons] == [LESSON.id]


def test_look_ups_give_the_object_or_a_remark(place: Path) -> None:
    with KnowledgeBase.open(place) as kb:
        made = call(kb, "look_up", entity="fathoms", relation="makes").structured_content
        assert made["found"] == "6 feet" and [one["id"] for one in made["items"]] == [FATHOM.id]
        assert call(kb, "look_up", entity="cubit", relation="makes").structured_content["found"] == "(not found)"
        wrong = call(kb, "look_up", entity="fathoms", relation="colour").structured_content
        assert wrong["found"] == "(not found)" and wrong["how"].endswith("; it has: makes") and not wrong["items"]
        told = call(kb, "look_up", entity="fathom").structured_content
        assert told["found"] == "(no relation)" and [one["id"] for one in told["items"]] == [FATHOM.id]
        assert call(kb, "look_up", entity="ell").structured_content["found"] == "(not found)"


def test_each_tool_and_each_of_its_arguments_says_what_it_is(place: Path) -> None:
    with KnowledgeBase.open(place) as kb:
        tools = asked(mcp_server(kb), lambda client: client.list_tools()).tools
        assert all(tool.description and "\n  " not in tool.description for tool in tools)
        given = [(name, one) for tool in tools for name, one in tool.input_schema["properties"].items()]
        assert [name for name, one in given if "description" not in one] == ["kind", "limit", "kind"]


def test_an_item_is_explained_whatever_its_status(place: Path) -> None:
    with KnowledgeBase.open(place) as kb:
        made = call(kb, "explain", item_id=FATHOM.id[:6]).structured_content
        assert made["item"]["status"] == "approved" and made["evidence"] == [{"question": "q1", "source": "expert"}]
        assert any("Ann approve" in line for line in made["history"])
        assert call(kb, "explain", item_id=CUBIT.id).structured_content["item"]["status"] == "proposed"
        wrong = call(kb, "explain", item_id="zzzzzzzz")
        assert wrong.is_error and "no item has the id" in wrong.content[0].text


def test_a_proposal_waits_in_the_queue_and_changes_nothing_approved(place: Path) -> None:
    with KnowledgeBase.open(place) as kb:
        before = kb.version
        given = {
            "kind": "fact",
            "text": "A smoot is 67 inches.",
            "subject": "smoot",
            "relation": "makes",
            "object": "67 inches",
        }
        made = call(kb, "propose", why="a user asked for it; MIT", **given).structured_content
        assert made["status"] == "proposed" and kb.version == before
        [entry] = [one for one in waiting(kb) if one.entry.item_id == made["id"]]
        assert entry.reasons == ("proposed by mcp: mcp: a user asked for it; MIT",)
        assert entry.entry.evidence[0].source == "mcp: mcp"
        # The same again, and what was decided before, stay as they are.
        assert call(kb, "propose", why="again", **given).structured_content["id"] == made["id"]
        kb.reject(made["id"], "Ann")
        again = call(kb, "propose", why="again", **given).structured_content
        assert again["status"] == "rejected" and kb.get(made["id"]).status is Status.REJECTED


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "lesson", "text": "x", "subject": "y", "why": "z"}, "subject: a lesson has none"),
        ({"kind": "fact", "text": "x", "why": "z"}, "subject: a fact needs it"),
        (
            {"kind": "fact", "text": " ", "subject": "a", "relation": "b", "object": "c", "why": "z"},
            "text: a fact needs it",
        ),
        ({"kind": "lesson", "text": "x", "why": " "}, "why: must not be empty"),
        ({"kind": "poem", "text": "x", "why": "z"}, "kind"),
        ({"kind": "lesson", "text": "x" * 5000, "why": "z"}, "text"),
    ],
)
def test_a_wrong_proposal_is_told_and_nothing_is_written(place: Path, given: dict[str, Any], told: str) -> None:
    with KnowledgeBase.open(place) as kb:
        before = kb.revision
        made = call(kb, "propose", **given)
        assert made.is_error and told in made.content[0].text
        assert kb.revision == before


def test_what_nobody_sees_is_not_proposed_and_no_place_is_told(place: Path) -> None:
    with KnowledgeBase.open(place) as kb:
        fact = {"kind": "fact", "text": "x", "subject": "\u200b", "relation": "b", "object": "c", "why": "z"}
        assert "subject: a fact needs it" in call(kb, "propose", **fact).content[0].text
        place.unlink()
        told = call(kb, "explain", item_id="abcd").content[0].text
        assert "was replaced or removed" in told and str(place.parent) not in told


def test_edits_are_seen_at_once(place: Path) -> None:
    with KnowledgeBase.open(place) as kb:

        async def work(client: Client) -> list[str]:
            found = []
            for _ in range(2):
                made = await client.call_tool("look_up", {"entity": "fathom", "relation": "makes"})
                found.append(made.structured_content["found"])
                kb.edit(FATHOM.id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, "Ann") if len(
                    found
                ) == 1 else None
            return found

        assert asked(mcp_server(kb), work) == ["6 feet", "7 feet"]


@pytest.mark.slow
def test_a_client_starts_the_command_itself(place: Path) -> None:
    async def work(client: Client) -> tuple[list[str], str]:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        made = await client.call_tool("look_up", {"entity": "fathoms", "relation": "makes"})
        return tools, made.structured_content["found"]

    command = StdioServerParameters(command=sys.executable, args=["-m", "nesycd", "mcp", "--kb", str(place)])
    assert asked(command, work) == (["search", "look_up", "explain", "propose"], "6 feet")
