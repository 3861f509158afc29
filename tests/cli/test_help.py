"""The help: commands in groups that teach an order, and one vocabulary of options for `nesycd kb`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from nesycd.cli.kb import GROUPS as KB_GROUPS
from nesycd.cli.main import GROUPS, app, load

RECIPE_COMMANDS = {"effect"}
"""Commands of `kb` that take a recipe: they share `nesycd run`'s vocabulary."""


def groups_shown(*words: str) -> dict[str, list[str]]:
    """Title of each box of commands in a help text -> the commands in it, in order."""
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80", "TERM": "dumb"}).output
    found: dict[str, list[str]] = {}
    for line in shown.splitlines():
        if title := re.match(r"╭─ (.+?) ─+╮", line):
            found[title[1]] = []
        elif found and (name := re.match(r"│ ([a-z-]+)  +\S", line)):
            found[[*found][-1]].append(name[1])
    found.pop("Options")
    return found


def test_commands_are_shown_in_five_groups_in_the_order_of_their_use() -> None:
    assert groups_shown() == {
        "Start": ["demo", "init", "check", "run", "results", "ask", "runs", "doctor"],
        "Knowledge": ["kb", "review"],
        "Use": ["serve", "export", "mcp"],
        "Measure": ["tasks", "compare", "edits", "router", "grade", "harness"],
        "Advanced": [
            *("settings", "rationalise", "distil", "collect", "diagnose", "augment", "evaluate"),
            *("stage", "pack", "unpack", "ledger", "clean"),
        ],
    }
    assert groups_shown() == {title: [*commands] for title, commands in GROUPS.items()}


def test_the_commands_of_kb_are_shown_in_groups() -> None:
    shown = groups_shown("kb")
    assert shown == {title: [*commands] for title, commands in KB_GROUPS.items()}
    assert sorted(load("kb").commands) == sorted(name for names in shown.values() for name in names)
    assert [*shown][:3] == ["Read", "Review", "Begin and change"]


def options(command: Any) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each option of a command: its long name, and all its names, help text and whether it is a flag."""
    for one in command.params:
        if one.param_type_name == "option" and one.name != "help":
            long = next(name for name in one.opts if name.startswith("--"))
            yield long, (tuple(sorted(one.opts)), one.help, bool(one.is_flag))


def test_an_option_of_kb_is_spelt_and_explained_alike_everywhere() -> None:
    found: defaultdict[str, dict[tuple[Any, ...], list[str]]] = defaultdict(dict)
    for name, command in load("kb").commands.items():
        for option, told in options(command):
            assert told[1], f"kb {name} {option}: no help"
            if name not in RECIPE_COMMANDS:
                found[option].setdefault(told, []).append(name)
    assert {option: told for option, told in found.items() if len(told) > 1} == {}
    run = dict(options(load("run")))
    for name in RECIPE_COMMANDS:
        shared = {option: told for option, told in options(load("kb").commands[name]) if option in run}
        assert shared == {option: run[option] for option in shared}
        assert {"--set", "--limit", "--name", "--root", "--yes"} <= shared.keys()


@pytest.mark.parametrize("name", sorted({*load("kb").commands} - RECIPE_COMMANDS))
def test_a_command_of_kb_has_its_own_options_first(name: str) -> None:
    shared = ["limit", "kb", "by", "why", "run", "root"]
    names = [one.name for one in load("kb").commands[name].params if one.name != "help"]
    first = next((place for place, one in enumerate(names) if one in shared), len(names))
    assert names[first:] == [one for one in shared if one in names]
    assert all(one.help for one in load("kb").commands[name].params if one.name != "help")


def test_search_narrows_down_by_kind_and_status_as_list_does() -> None:
    def narrowing(name: str) -> set[str]:
        return {option for option, _ in options(load("kb").commands[name])} & {"--kind", "--status", "--limit", "--kb"}

    assert narrowing("search") == narrowing("list") == {"--kind", "--status", "--limit", "--kb"}


@pytest.mark.parametrize("words", [["review"], ["kb", "review-file"]])
def test_paragraphs_flow_as_wide_as_the_terminal_and_examples_keep_their_lines(words: list[str]) -> None:
    command = load(words[0])
    for word in words[1:]:
        command = command.commands[word]
    prose, examples = command.help.split("Examples:")
    assert all("\n" not in paragraph for paragraph in prose.strip().split("\n\n"))
    assert re.findall(r"^    nesycd .+$", examples, re.MULTILINE)
