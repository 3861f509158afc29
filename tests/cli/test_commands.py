"""The commands of the README and the knowledge-base commands, called as a user would."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nesycd.api.running import _stored_results
from nesycd.cli.main import COMMANDS, app, load
from nesycd.core.config import load_recipe
from nesycd.core.records import Example
from nesycd.knowledge import KnowledgeBase
from nesycd.runs.run import read_records

ROOT = Path(__file__).parents[2]


def invoke(*words: str, ok: bool = True) -> str:
    result = CliRunner().invoke(app, list(words))
    assert (result.exit_code == 0) == ok, result.output + str(result.exception)
    return result.output


def readme_commands() -> list[str]:
    text = "\n".join((ROOT / name).read_text() for name in ("README.md", "docs/start.md"))
    blocks = re.findall(r"```\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith(("nesycd ", "make "))]


@pytest.mark.parametrize("command", readme_commands())
def test_readme_commands_parse(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    assert words[1] in COMMANDS
    loaded = load(words[1])
    rest = words[2:]
    if hasattr(loaded, "commands") and rest:
        loaded, rest = loaded.commands[rest[0]], rest[1:]
    loaded.make_context(words[1], rest, resilient_parsing=False)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.name)
def test_every_recipe_parses(path: Path) -> None:
    assert load_recipe(path).name


def test_kb_commands(tmp_path: Path) -> None:
    base = str(tmp_path / "kb.sqlite")
    KnowledgeBase.open(base).close()
    add = ["--kind", "fact", "--subject", "fathom", "--relation", "makes", "--object", "6 feet", "--alias", "fathoms"]
    said = invoke("kb", "add", "A fathom is 6 feet.", *add, "--kb", base, "--by", "ann")
    item = said.split()[1]
    invoke("kb", "add", "Check the [bold]sum[/bold].\x1b[31m", "--kb", base, "--by", "ann")
    listed = invoke("kb", "list", "--kb", base)
    assert "A fathom is 6 feet." in listed and "\x1b[31m" not in listed and "[bold]sum" in listed
    assert "6 feet" in invoke("kb", "show", item, "--kb", base)
    assert "7 feet" in invoke("kb", "edit", item, "--text", "A fathom is 7 feet.", "--object", "7 feet", "--kb", base)
    assert "7 feet" in invoke("kb", "search", "fathom", "--kb", base)
    assert "rejected" in invoke("kb", "reject", item, "--kb", base, "--by", "ben")
    assert "rejected 1" in invoke("kb", "stats", "--kb", base).replace(":", " ").replace("  ", " ")
    out = str(tmp_path / "kb.yaml")
    invoke("kb", "export", out, "--kb", base)
    other = str(tmp_path / "other.sqlite")
    KnowledgeBase.open(other).close()
    invoke("kb", "import", out, "--kb", other)
    assert "7 feet" in invoke("kb", "list", "--kb", other)


def test_kb_mistakes(tmp_path: Path) -> None:
    assert "error:" in invoke("kb", "list", "--kb", str(tmp_path / "none.sqlite"), ok=False)
    base = str(tmp_path / "kb.sqlite")
    KnowledgeBase.open(base).close()
    assert "error:" in invoke("kb", "show", "ffff", "--kb", base, ok=False)
    assert "--status" in invoke("kb", "list", "--status", "good", "--kb", base, ok=False)
    assert "needs --subject" in invoke("kb", "add", "x", "--kind", "fact", "--kb", base, ok=False)


def test_results_that_are_missing_or_damaged_are_to_be_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert _stored_results(path) is None
    for damaged in ("{", "{}"):
        path.write_text(damaged)
        assert _stored_results(path) is None


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ('evaluation.splits=["dev"]', "task 'longtail' has no split 'dev'"),
        ('evaluation.methods=["nesicd"]', "no method 'nesicd' (did you mean 'nesycd'?)"),
        ('evaluation.methods=["no_rules"]', "no_rules is NesyCD with other settings, a run of its own"),
    ],
)
def test_what_cannot_be_scored_is_told_before_anything_is_done(setting: str, problem: str, tmp_path: Path) -> None:
    recipe = str(ROOT / "recipes" / "longtail.toml")
    given = ["--set", "student.model=table", "--set", setting, "--name", "r", "--root", str(tmp_path)]
    said = invoke("run", recipe, *given, ok=False)
    assert f"error: --set {setting}: {setting.partition('=')[0]}: {problem}" in said
    assert not [*(tmp_path / "r" / "stages").glob("*")]


def asked_for(run: Path) -> None:
    """Ask for a fact of the run's base: the answer tells each call on a line of its own."""
    with KnowledgeBase.open(run / "kb.sqlite") as kb:
        known = {entry.item_id: entry.item.text for entry in kb.entries(kind="fact")}
    texts = known.values()
    examples = [one for one in read_records(run, "examples-train", Example) if one.task == "units" and one.truth]
    question, fact = next(
        (one.question, fact) for one in examples if one.truth for fact in one.truth.facts if fact.id in known
    )
    words = ["ask", question, "--run", str(run)]
    said = invoke(*words, "--method", "nesycd")
    assert "why       nesycd reads what it does not look up for every question, and looks facts up\n" in said
    # Facts were retrieved, but are looked up rather than read.
    read = [line for line in said.splitlines() if line.startswith("knowledge ")]
    assert read == ["knowledge no lesson or rule fits"] or not any(text in " ".join(read) for text in texts)
    calls = [line.removeprefix("call").strip() for line in said.splitlines() if line.startswith("call ")]
    [found] = [call for call in calls if f"({fact.id}" in call]
    asked, _, result = found.partition(" -> ")
    assert asked.startswith("[") and asked.endswith(" | makes]") and result.startswith(f"{fact.object}  ({fact.id}")
    assert [call for call in calls if re.fullmatch(r"[^\[]*= -> \d+", call)], "sums are told too"
    response = " ".join(said.partition("response")[2].partition("\ncall")[0].split())
    places = [response.index(call.partition(" -> ")[0]) for call in calls]
    assert places == sorted(places), "in the order in which they were made"
    nothing = invoke(*words, "--method", "nesycd_no_kb")
    assert f"{asked} -> (not found)  (no name {asked[1:].partition(' |')[0]!r})" in nothing
    reading = invoke(*words, "--method", "nesycd_context")
    assert "nesycd_context reads knowledge for every question\n" in reading and f"knowledge {fact.text}" in reading
    assert "call      [" not in reading


def test_run_and_ask_with_the_table_student(tmp_path: Path) -> None:
    recipe = str(ROOT / "recipes" / "longtail.toml")
    mix = [
        "augmented.calls=1",
        "augmented.context=0.25",
        "augmented.calls_and_context=0.25",
        "augmented.empty_calls=0.1",
    ]
    sets = [word for one in ("student.model=table", *mix) for word in ("--set", one)]
    table = [*sets, "--limit", "40", "--name", "smoke", "--root", str(tmp_path)]
    assert "nesycd_oracle" in invoke("run", recipe, *table)
    routed = invoke("ask", "How many feet are 3 fathoms and 2 feet?", "--root", str(tmp_path))
    assert "draft" in routed and "margin" in routed and "threshold" in routed and "answer" in routed
    said = invoke("ask", "How many feet are 3 fathoms and 2 feet?", "--root", str(tmp_path), "--always")
    assert "nesycd reads what it does not look up for every question, and looks facts up" in said and "answer" in said
    question = ["ask", "How many feet are 3 fathoms and 2 feet?", "--root", str(tmp_path), "--always"]
    assert invoke(*question, "--run", "smoke") == said == invoke(*question, "--run", str(tmp_path / "smoke"))
    assert said == invoke(*question[:-1], "--method", "nesycd")
    assert "nesycd_no_kb reads none, and looks facts up" in invoke(*question[:-1], "--method", "nesycd_no_kb")
    asked_for(tmp_path / "smoke")
    assert "no method 'nesicd' (did you mean 'nesycd'?)" in invoke(*question[:-1], "--method", "nesicd", ok=False)
    assert "trained with knowledge" not in said
    invoke("kb", "add", "Think twice.", "--kb", str(tmp_path / "smoke" / "kb.sqlite"), "--by", "ann")
    assert "trained with knowledge" in invoke(*question, "--run", "smoke")
    chosen = [*question[:2], "--root", str(tmp_path), "--option", "20", "--option", "12", "--task", "units"]
    assert "answer" in invoke(*chosen)
    assert "look-ups in 'gold' can be made in a run only" in invoke(
        *question[:-1], "--method", "nesycd_oracle", ok=False
    )
    assert "no finished run" in invoke("ask", "Why?", "--root", str(tmp_path / "none"), ok=False)
    assert "not a step" in invoke("run", recipe, "--until", "later", ok=False)
    # What answers is what was trained, or nothing does: S_P must not stand in for an S_E that is gone.
    invoke("run", recipe, *table)  # with the item that was added
    adapter = tmp_path / "smoke" / "checkpoints" / "augmented" / "adapter.json"
    content = adapter.read_text()
    adapter.write_text(content.replace("the", "teh"))
    for command in (question, ["run", recipe, *table]):
        assert "adapter.json: not what stage augmented wrote" in invoke(*command, ok=False)
    shutil.rmtree(adapter.parent)
    assert "augmented: gone (nesycd clean --checkpoints?); run the recipe again" in invoke(*question, ok=False)
    assert "augmented: made again, because" in re.sub(r"\s+", " ", invoke("run", recipe, *table))
    assert json.loads(adapter.read_text())["table"] == json.loads(content)["table"]
