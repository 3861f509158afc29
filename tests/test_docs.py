"""What the documents say of settings, files and code is so."""

from __future__ import annotations

import re
import shlex
import tomllib
import types
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import nesycd
from nesycd.cli.main import app
from nesycd.core.errors import KnowledgeError
from nesycd.core.records import Fact
from nesycd.core.sections import AskSection, RetrievalSection, RouterSection
from nesycd.grading import Source
from nesycd.knowledge import Deriver, KnowledgeBase, read_relations
from nesycd.knowledge.deriving import MAX_PROOF
from nesycd.prompts import PLACEHOLDERS, TEACHER_PLACEHOLDERS
from nesycd.retrieval.reasoning import MAX_DERIVED, MAX_FACTS
from nesycd.routing import ROUTERS
from nesycd.rules import Engine, Limits
from nesycd.rules.checks import check_safe, check_stratified
from nesycd.rules.parser import ClauseError, parse_clauses, parse_facts
from nesycd.runs.stage import read_states
from nesycd.tasks.registry import card, task_names

DOCS = Path(__file__).parents[1] / "docs"
TEACHERS = (DOCS / "teachers.md").read_text(encoding="utf-8")
RETRIEVAL = (DOCS / "retrieval.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = TEACHERS) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_teachers_document_gives_the_settings_and_their_defaults() -> None:
    [recipe] = map(tomllib.loads, blocks("toml"))
    assert AskSection.model_validate(recipe["teacher"]["ask"]) == AskSection()
    assert set(recipe["teacher"]["ask"]) == set(AskSection.model_fields)


def test_the_teachers_document_names_every_prompt_and_its_placeholders() -> None:
    rows = [line for line in TEACHERS.splitlines() if line.startswith("| `")]
    for name, placeholders in {**PLACEHOLDERS, **TEACHER_PLACEHOLDERS}.items():
        [row] = [row for row in rows if f"`{name}.txt`" in row.split("|")[1]]
        assert set(re.findall(r"`\{(\w+)\}`", row)) == placeholders


def test_the_teachers_documents_code_runs() -> None:
    codes = blocks("python")
    assert codes and all("assert" in code for code in codes), "each example says what comes of it"
    for code in codes:
        exec(code, {})


def test_the_knowledge_base_document_names_commands_formats_and_fields_that_there_are() -> None:
    from nesycd.cli.kb import kb_app
    from nesycd.knowledge import FORMATS
    from nesycd.knowledge.formats.mapping import SHORT_KEYS
    from nesycd.knowledge.journal import MAX_ITEM

    text = (Path(__file__).parents[1] / "docs" / "knowledge-base.md").read_text(encoding="utf-8")
    commands = set(get_command(kb_app).commands)  # type: ignore[attr-defined]
    assert set(re.findall(r"nesycd kb (\w[\w-]*)", text)) <= commands
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert set(rows) == set(FORMATS)
    assert all(form.suffixes[0] in rows[name] for name, form in FORMATS.items())
    assert set(re.findall(r"`(\w+)`", rows["csv"])) == {"csv", *SHORT_KEYS}
    assert f"above {MAX_ITEM:,} bytes" in text


def test_the_document_of_own_questions_names_all_keys_and_its_settings_are_some() -> None:
    from nesycd.tasks.columns import KEYS, SHAPES
    from nesycd.tasks.jsonl import SPLITS, JsonlSettings

    text = (DOCS / "questions.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert rows == set(KEYS)
    assert all(
        f"| {shape.name.split()[0]} |" in text and all(f"`{key}`" in text for key in shape.columns) for shape in SHAPES
    )
    assert all(f"`{split}`" in text for split in SPLITS)
    for block in blocks("toml", text):
        JsonlSettings.model_validate({"path": "x", **tomllib.loads(block)["task"]["settings"]})


def test_the_retrieval_document_gives_the_settings_and_their_defaults() -> None:
    [recipe] = map(tomllib.loads, blocks("toml", RETRIEVAL))
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in recipe["retrieval"].items()}
    assert RetrievalSection.model_validate(given) == RetrievalSection()
    assert set(given) == set(RetrievalSection.model_fields)


def test_the_retrieval_documents_code_and_declarations_are_right(tmp_path: Path) -> None:
    for code in blocks("python", RETRIEVAL):
        exec(code, {})
    for number, text in enumerate(blocks("yaml", RETRIEVAL)):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text)
        assert [relation.name for relation in read_relations(path)] == ["father", "spouse", "height"]


def test_the_benchmarks_document_has_every_benchmark_with_what_its_card_says() -> None:
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    rows = {line.split("`")[1]: line for line in text.splitlines() if line.startswith("| `")}
    assert set(rows) == set(task_names())
    for name, row in rows.items():
        said = card(name)
        if said is not None:
            assert f"| {said.source} | {said.licence} |" in row
            assert row.endswith(f"`{said.hub}` |" if said.hub else "| (none) |")
            # BBH's equal sizes are given once.
            assert all(f"{size:,}" in row for size in said.sizes.values())


def test_the_grading_document_names_every_way_to_find_an_answer() -> None:
    text = (DOCS / "grading.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)[1:] == [*get_args(Source)]


def test_the_routing_document_names_settings_and_routers() -> None:
    text = (DOCS / "routing.md").read_text(encoding="utf-8")
    [recipe] = map(tomllib.loads, blocks("toml", text))
    assert RouterSection.model_validate(recipe["router"]) == RouterSection()
    assert set(recipe["router"]) == set(RouterSection.model_fields)
    modes = get_args(RouterSection.model_fields["mode"].annotation)
    assert [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")][: len(modes)] == sorted(
        modes, key=["margin", "always", "never"].index
    )
    named = set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))
    assert {"least_margin", *ROUTERS} <= named


# --- docs/rules.md ----------------------------------------------------------------------------------------------------

RULES = (Path(__file__).parents[1] / "docs" / "rules.md").read_text(encoding="utf-8")


def test_the_rules_documents_clauses_are_read_and_safe() -> None:
    code = re.findall(r"```prolog\n(.*?)```", RULES, re.DOTALL)
    assert len(code) == 7
    for clause in parse_clauses("\n".join(code)):
        check_safe(clause)


def test_the_rules_document_refuses_what_it_says_is_refused() -> None:
    [unsafe, circle] = re.findall(r"`([^`]+)` is refused", RULES)
    with pytest.raises(KnowledgeError, match="the variable X"):
        check_safe(*parse_clauses(unsafe))
    with pytest.raises(KnowledgeError, match="p/1 needs not r/1, r/1 needs p/1"):
        check_stratified(parse_clauses(circle))
    [shown] = re.findall(r"```text\n(.*?)```", RULES, re.DOTALL)
    with pytest.raises(ClauseError) as caught:
        parse_clauses(shown.split("\n")[1].strip())
    assert str(caught.value) == shown.rstrip("\n")


def test_the_rules_documents_facts_read_as_it_says() -> None:
    rows = re.findall(r"^\| subject `(.+?)`, relation `(.+?)`, object `(.+?)` \| (.+) \|$", RULES, re.MULTILINE)
    assert len(rows) == 6
    with Engine() as engine:
        deriver = Deriver([], engine)
        for subject, relation, value, reads in rows:
            fact = Fact(text="A fact.", subject=subject, relation=relation, object=value)
            assert [str(atom) for atom in deriver.atoms_of(fact)] == re.findall(r"`(.+?)`", reads)


def test_the_rules_documents_ranges_hold_what_it_says() -> None:
    rows = re.findall(r"^\| (`.+`) \| (?:([0-9]+) (<=?) )?W(?: ([<>=]+) ([0-9]+))? \|$", RULES, re.MULTILINE)
    assert len(rows) == 8
    numbers = parse_facts(" ".join(f"n({number})." for number in range(80)))
    with Engine() as engine:
        for texts, low, sign, other, high in rows:
            conditions = ([f"{low} {sign} W"] if low else []) + ([f"W {other} {high}"] if high else [])
            for text in re.findall(r"`(.+?)`", texts):
                if "202" not in text:
                    clauses = parse_clauses(
                        f'in_it(W) :- n(W), W in "{text}". meant(W) :- n(W), {", ".join(conditions)}.'
                    )
                    heads = [firing.head for firing in engine.run(clauses, numbers)]
                    found = [{atom.terms for atom in heads if atom.predicate == name} for name in ("in_it", "meant")]
                    assert found[0] == found[1] != set(), text


def test_the_rules_documents_example_runs_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    [example] = re.findall(r"```yaml\n(.*?)```", RULES, re.DOTALL)
    [session] = re.findall(r"```console\n(.*?)```", RULES, re.DOTALL)
    Path("rules.yaml").write_text(example, encoding="utf-8")
    KnowledgeBase.open("kb.sqlite").close()
    for command, shown in re.findall(r"\$ nesycd (.+)\n((?:[^$].*\n)*)", session):
        done = CliRunner().invoke(app, [*shlex.split(command), "--kb", "kb.sqlite"])
        assert re.sub(r"\[(rule|fact) [0-9a-f]{8}", r"[\1 1234abcd", done.output) == shown


def test_the_rules_document_names_the_limits() -> None:
    limits = Limits()
    assert f"compute for {limits.seconds:g} s, make {limits.most:,} facts and firings" in RULES
    assert limits.memory_mb == 1024 and f"at most {MAX_PROOF} steps" in RULES
    assert (MAX_FACTS, MAX_DERIVED) == (400, 3)


def test_the_comparison_document_names_every_method_cause_and_key() -> None:
    from nesycd.methods.method import Role
    from nesycd.methods.table import METHODS, NUMBERED
    from nesycd.reports.causes import CAUSES
    from nesycd.reports.comparison import Comparison
    from nesycd.reports.comparison_costs import Cost

    text = re.sub(r"```.*?```", "", (DOCS / "compare.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    named = set(re.findall(r"`([^`]+)`", text))
    rivals = {name for name, method in METHODS.items() if method.role in ("rival", "ablation")}
    assert {*rivals, *(f"{name}_N" for name in NUMBERED), *CAUSES, *get_args(Role)} <= named
    assert {name for name in Comparison.model_fields if name not in ("schema_", "name")} <= named
    asked = {"prompt_tokens_each", "answer_tokens_each", "seconds_each"}  # told in words
    assert set(Cost.model_fields) - asked <= named
    assert {*METHODS} <= named | set(re.findall(r"`([^`]+)`", (DOCS / "results.md").read_text(encoding="utf-8")))


def test_the_comparison_documents_method_is_added_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nesycd.methods.table import METHODS

    [code] = blocks("python", (DOCS / "compare.md").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    Path("recipes").symlink_to(DOCS.parent / "recipes")
    try:
        exec(code, {})
    finally:
        METHODS.pop("last_sentence", None)
    assert {"texts-last_sentence", "train-last_sentence"} <= {*read_states(Path("runs/with-last-sentence"))}
    assert "fine-tuned on the last sentence" in Path("runs/with-last-sentence/report.html").read_text(encoding="utf-8")


def test_the_results_document_tells_a_finished_runs_files_and_how_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (DOCS / "results.md").read_text(encoding="utf-8").partition("# The run folder")[2]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    patterns = [re.sub(r"[A-Z]{2,}|\bN\b", "*", one) for row in rows for one in re.findall(r"`([^`]+)`", row)]
    monkeypatch.chdir(tmp_path)
    run = nesycd.run(
        DOCS.parent / "recipes" / "longtail.toml",
        name="quickstart",
        limit=24,
        progress=False,
        student={"model": "table"},
        evaluation={"methods": ["std_cot", "nesycd", "nesycd_routed", "cascod"], "splits": ["test"], "bootstrap": 20},
    )
    known = {path for one in patterns for place in ("", "stages/") for path in run.folder.glob(f"{place}{one}")}
    whole = {place for path in known for place in ([path] if path.is_file() else path.rglob("*"))}
    made = {path for path in run.folder.rglob("*") if path.is_file()}
    beside = {"lock", "self-check", "train-recall"}
    assert not {str(path) for path in made - whole if path.stem.partition(".")[0] not in beside}
    [code] = blocks("python", text)
    frame = types.SimpleNamespace(DataFrame=lambda rows: rows)
    said: dict[str, Any] = {"nesycd": nesycd, "pandas": frame}
    exec(code, said)
    assert 0 < len(said["wrong"]) < 24 and {row["method"] for row in said["frame"]} >= {"std_cot", "cascod"}


def test_the_claims_documents_commands_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS.parent / "benchmarks"))
    import knowledge_claims

    text = (DOCS / "knowledge-claims.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python benchmarks/knowledge_claims\.py (.+)$", text, re.MULTILINE)
    understood = [knowledge_claims.parser().parse_args(shlex.split(one)).command for one in commands]
    assert understood == re.findall(r"^## `(\w+)`", text, re.MULTILINE)
