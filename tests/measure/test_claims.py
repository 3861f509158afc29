"""The measurements of `benchmarks/knowledge_claims.py`: their parts, and all of them on a run of the table student."""

from __future__ import annotations

import io
import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from nesycd.api.comparing import run_comparison
from nesycd.cli.run import execute
from nesycd.core.config import Recipe, load_recipe
from nesycd.core.errors import ConfigError, RunError
from nesycd.core.protocols import Generation, Prompt
from nesycd.core.records import Annotation, Derivation, Entry, Evidence, Example, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import KnowledgeBase, knowledge_version, normal_triple
from nesycd.knowledge.lint import lint
from nesycd.retrieval import KnowledgeRetriever
from nesycd.runs.manifest import read_manifest
from nesycd.runs.predictions import read_attempts
from nesycd.runs.run import read_records
from nesycd.students.table import TableStudent

ROOT = Path(__file__).parents[2]
TINY = ("student.model=table", "evaluation.bootstrap=50", 'evaluation.methods=["std_cot"]', 'evaluation.splits=["test"]',
        "task.sizes={train = 150, valid = 24, test = 40, ood_composed = 8}")  # fmt: skip


@pytest.fixture(scope="module")
def claims() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        import knowledge_claims

        yield knowledge_claims


def fact(subject: str, value: str, relation: str = "makes") -> Fact:
    return Fact(
        text=f"A {subject} is {value}.", subject=subject, relation=relation, object=value, aliases=(f"{subject}s",)
    )


def entries(*items: Item, evidence: int = 1) -> list[Entry]:
    proof = tuple(Evidence(example=f"q{n}", source="t") for n in range(evidence))
    return [Entry(item=item, status=Status.APPROVED, evidence=proof) for item in items]


BASE = entries(
    *(fact(name, f"{n} feet") for n, name in enumerate(("fathom", "ell", "rod", "span", "as"), 2)),
    Fact(text="The father of Edward III was Edward II.", subject="Edward III", relation="father", object="Edward II"),
)


def test_no_invented_entity_is_called_by_a_word_of_the_questions(claims: ModuleType) -> None:
    make = claims.distractors.made_up
    true = {one.item.subject for one in BASE if isinstance(one.item, Fact)}
    name = next(one.subject for one in make(BASE, 400, 0, 0) if one.subject not in true and one.subject.islower())
    assert name not in {one.subject for one in make(BASE, 400, 0, 0, [f"What are 4 {name}s?"])}


def test_made_up_facts_are_like_the_base_and_say_nothing_about_what_it_says(claims: ModuleType) -> None:
    make = claims.distractors.made_up
    made = make(BASE, 400, 0, 1)
    assert made == make(BASE, 400, 0, 1) != make(BASE, 400, 1, 1)
    true = {(one.item.subject, one.item.relation) for one in BASE if isinstance(one.item, Fact)}
    assert len({normal_triple(one) for one in made}) == 400
    assert not true & {(one.subject, one.relation) for one in made}
    subjects = {subject for subject, _ in true}
    assert all(one.subject in one.text and one.object in one.text for one in made)
    other = [one for one in made if one.subject in subjects]
    namesakes = [
        one
        for one in made
        if any(one.subject.endswith(f" {s}") or one.subject.startswith(f"{s} of ") for s in subjects)
    ]
    assert len(other) == len(namesakes) == 100
    # One namesake of each entity bears its plain name.
    shared = [one for one in made if one.aliases]
    assert len(shared) == 6 and {one.aliases[0] for one in shared} == subjects
    assert {alias for one in make(BASE, 100, 0, 0) for alias in one.aliases} == set()
    assert {one.text.split()[0] for one in made if one.relation == "makes"} == {"A"}
    # They compete: the context of a question about a fathom is not what it was.
    asked = "How many feet are 4 fathoms?"
    found = [
        [hit.item for hit in KnowledgeRetriever(some, lambda texts: [len(t.split()) for t in texts]).retrieve(asked)]
        for some in (BASE, claims.distractors.with_distractors(BASE, made))
    ]
    assert found[0] == [BASE[0].item] and set(map(str, found[1])) & set(map(str, made))


def test_what_lint_makes_needless(claims: ModuleType, tmp_path: Path) -> None:
    long = Lesson(text="Always convert the units before adding!")
    more = Lesson(text="Always convert units before adding, and check the result twice against another way.")
    short = Lesson(text="Always convert units before adding.")
    told = [*entries(long, more), *entries(short, evidence=3)]
    gone = claims.prune.by_lint(told, tmp_path / "none.sqlite")
    assert gone[long.id] == "near-duplicate" and gone[short.id] == "subsumed" and more.id not in gone
    assert [one.item for one in claims.prune.without(told, gone)] == [more]


def test_effects_of_other_knowledge_are_refused(claims: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "effect.json"
    path.write_text(json.dumps({"knowledge": knowledge_version(e.item_id for e in BASE), "proposed": ["x"]}))
    assert claims.prune.by_effect(path, BASE) == ["x"]
    with pytest.raises(RunError, match="measured on other knowledge"):
        claims.prune.by_effect(path, BASE[1:])
    path.write_text("{")
    with pytest.raises(RunError, match=r"effect\.json: cannot be read"):
        claims.prune.by_effect(path, BASE)


def test_lies_are_found_by_contradiction_and_by_whoever_looks_far_enough(claims: ModuleType) -> None:
    lying = claims.lying
    true = [fact(f"unit{n}", f"{n} feet") for n in range(2, 14)]
    lie = fact("unit3", "9 feet")
    told = sorted([*entries(*true, evidence=2), *entries(lie)], key=lambda one: one.item.text)
    world: Any = SimpleNamespace(facts_about=lambda subject: [one for one in true if one.subject == subject])
    assert lying.lies_in(told, world) == {lie.id}
    findings = lint(told)
    named, weaker = lying.contradicted(findings)
    assert named == {lie.id, true[1].id} and weaker == {lie.id}
    assert lying.caught(named, {lie.id}) == {"lies": 1, "others": 1}
    queue = lying.queues(told, findings)
    assert queue["list"] == [one.item_id for one in told] and set(queue["lint first"][:2]) == named
    assert sorted(queue["lint first"]) == sorted(queue["list"])


def test_why_no_rule_can_help_is_told(claims: ModuleType) -> None:
    kin = Rule(text="Kin.", clause="kin(X, Z) :- father(X, Y), father(Y, Z).")
    both = Rule(text="Both.", clause="both(N, W) :- given(N), makes(A, V), W is N * V.")

    def example(task: str, rule: Rule) -> Example:
        truth = Derivation(facts=(), rules=(rule,), steps=("So.",), uses=((),))
        return Example(uid=task, task=task, question="?", answer="1", truth=truth)

    examples = [example("genealogy", kin), example("composed", both)]
    told = claims.rules.lacking(BASE, examples)
    assert told["genealogy"]["in_base"] == 0 and "no rule with a clause was proposed" in told["genealogy"]["lacking"]
    assert "numbers of the question" in told["composed"]["lacking"]
    told = claims.rules.lacking([*BASE, *claims.rules.as_entries([kin])], examples)
    assert told["genealogy"] == {"rules": 1, "in_base": 1, "lacking": ""}


def test_a_run_that_cannot_be_measured_is_told_in_a_sentence(
    claims: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert claims.main(["prune", str(tmp_path / "none")]) == 2
    assert "not a finished run" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"retrieval\.hops and knowledge\.derive are what is compared"):
        claims.rules.measure(tmp_path, tmp_path, ["retrieval.hops=1"], Console(), by_hand=False, retrain=False)


def test_a_difference_is_small_only_where_its_whole_interval_is(claims: ModuleType) -> None:
    not_worse = claims.prune.not_worse
    assert not_worse({"low": -0.009, "high": 0.0}, 0.01)
    assert not not_worse({"low": -0.011, "high": 0.02}, 0.01) and not not_worse({"low": None}, 0.01)


# --- on a run --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    execute(load_recipe(ROOT / "recipes" / "longtail.toml", TINY), folder, Console(file=io.StringIO()))
    return folder


def measure(claims: ModuleType, *words: str) -> tuple[dict[str, Any], str]:
    given: Namespace = claims.parser().parse_args(words)
    out = io.StringIO()
    return claims.execute(given, Console(file=out, width=150)), out.getvalue()


def state(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"
    }


@pytest.mark.slow
def test_distractors_on_a_run_and_again_after_a_kill(
    claims: ModuleType, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(run)

    def stopped(student: TableStudent, prompts: Sequence[Prompt], **options: Any) -> list[Generation]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(TableStudent, "generate", stopped)
        measure(claims, "distractors", str(run), "--count", "3000")
    content, told = measure(claims, "distractors", str(run), "--count", "3000")
    assert content["distractors"] == 3_000 and content["questions"] == 40 and content["contexts_with_distractor"] > 0
    assert content["accuracy"]["with"]["all"]["n"] == 40 and content["difference"]["all"]["n"] == 40
    assert "3,000 made-up facts" in told and content["recall"]["without"] >= content["recall"]["with"]
    assert json.loads((run.with_name("r-distractors-3000") / "distractors.json").read_text()) == content
    with monkeypatch.context() as patch:
        patch.setattr(TableStudent, "generate", stopped)
        assert measure(claims, "distractors", str(run), "--count", "3000")[0] == content
    assert state(run) == before, "the run is only read"


@pytest.mark.slow
def test_deletions_on_a_run(claims: ModuleType, run: Path) -> None:
    content, told = measure(claims, "deletions", str(run), "--count", "6")
    assert content["deleted"] == 6 and 6 <= content["questions"] < 40
    kept = {name: score["special"]["accuracy"] for name, score in content["accuracy"].items()}
    assert kept["before"] > kept["deleted"], "the facts were in use"
    assert content["refusals"]["before"]["not_found"] < content["refusals"]["deleted"]["not_found"]
    assert "6 facts deleted" in told and measure(claims, "deletions", str(run), "--count", "6")[0] == content
    # The student that never saw the facts was trained on no question that needs one.
    deletions, work = claims.deletions, run.with_name("r-deletions")
    examples = {split: read_records(work, f"examples-{split}", Example) for split in ("train", "test")}
    with KnowledgeBase.open(run / "kb.sqlite") as kb:
        facts = deletions.drawn(kb.entries(status=Status.APPROVED), examples["test"], 6, 0)
    places = {one.example for one in read_records(work, "claims-annotate", Annotation)}
    needing = {example.uid for example in examples["train"] if deletions.needs(example, facts)}
    assert places and needing and not places & needing


@pytest.mark.slow
def test_rules_on_a_run(claims: ModuleType, run: Path) -> None:
    content, told = measure(claims, "rules", str(run), "--by-hand", "--retrain")
    assert content["rules"]["genealogy"]["in_base"] == content["rules"]["genealogy"]["rules"] > 0
    assert "given" in content["rules"]["composed"]["lacking"]
    for part in ("same_student", "retrained"):
        assert set(content[part]) == {"test", "ood_composed"}
        variants = content[part]["test"]
        assert set(variants) == {"direct", "hops", "rules", "both"} and variants["direct"]["difference"] is None
        assert variants["both"]["difference"]["genealogy"]["n"] == variants["direct"]["accuracy"]["genealogy"]["n"] > 0
    contexts = content["contexts"]["test"]
    assert contexts["direct"]["derived"] == contexts["hops"]["derived"] == {}
    assert contexts["both"]["recall"] > contexts["direct"]["recall"]
    assert "the same S_E" in told and "an S_E trained for each" in told


@pytest.mark.slow
def test_pruning_on_a_run(claims: ModuleType, run: Path) -> None:
    work = run.with_name("pruned")
    content, told = measure(claims, "prune", str(run), "--work", str(work))
    assert content["by_effect"] is not None and (work / "effect.json").is_file()
    assert content["items"]["all items"] - content["items"]["without lint's and effect's"] == len(content["gone"])
    assert content["difference"]["without lint's"]["all"]["n"] == 40
    assert "not inferior by more than 1 point" in told
    assert measure(claims, "prune", str(run), "--work", str(work))[0] == content


@pytest.mark.slow
def test_lies_on_a_run(claims: ModuleType, run: Path) -> None:
    content, told = measure(claims, "lying", str(run), "--share", "0.3", "--effect")
    assert 0 < content["lies"] < content["facts"]
    caught = content["caught"]
    assert caught["reviewer (simulated), lint first, 100 items"]["others"] == 0
    looked = [caught[f"reviewer (simulated), list, {count} items"]["lies"] for count in (10, 20, 50, 100)]
    assert looked == sorted(looked) and "effect, proposed" in caught
    assert set(content["difference"]) | {"as taught"} == set(content["accuracy"])
    assert "lies among" in told
    work = run.with_name("r-lying-0.3")
    with KnowledgeBase.open(work / "kb.sqlite") as kb:
        assert len(kb.entries()) >= content["items"]
    assert measure(claims, "lying", str(run), "--share", "0.3", "--effect")[0] == content
    manifest = read_manifest(work)
    assert manifest is not None and manifest["hashes"]["teacher"] != (read_manifest(run) or {})["hashes"]["teacher"]


def test_blocks_are_filled_with_the_nearest_other_items(claims: ModuleType) -> None:
    items = [fact(name, f"{n} feet") for n, name in enumerate(("fathom", "ell", "rod", "span", "pace"), 2)]
    real = {"q": items[:2], "none": []}
    near = {"q": items, "none": items[3:]}
    for size in (1, 2, 4, 9):
        made = claims.noise.filled(real, near, size, 0)
        assert {item.id for item in made["q"]} == {item.id for item in items[: max(2, min(size, 5))]}
        assert [item for item in made["q"] if item in items[:2]] == items[:2], "what was found keeps its order"
        assert len(made["none"]) == min(size, 2)
    assert claims.noise.filled(real, near, 4, 0) == claims.noise.filled(real, near, 4, 0)


@pytest.mark.slow
def test_noise_asks_each_student_that_reads_the_base(claims: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "c"

    def recipe(changes: Sequence[str]) -> Recipe:
        return load_recipe(ROOT / "recipes" / "longtail.toml", [*TINY, *changes])

    run_comparison(recipe([]), recipe, folder, None, ["nesycd", "nesycd_both", "kard_kb", "raft_calls"], [0])
    content, told = measure(claims, "noise", str(folder / "seed-0"), "--sizes", "3,6")
    assert list(content["accuracy"]) == ["nesycd", "kard_kb", "raft_calls"]
    assert list(content["nesycd_minus"]) == ["kard_kb", "raft_calls"]
    each = content["items_each"]
    assert each["as found"] < each["3 items"] < each["6 items"] <= 6
    found = {
        # Beside its look-ups NesyCD's student reads all that is retrieved here.
        name: [a.correct for a in read_attempts(folder / "seed-0", f"eval-test-{method}")]
        for name, method in (("nesycd", "nesycd_both"), ("kard_kb", "kard_kb"), ("raft_calls", "raft_calls"))
    }
    for name, right in found.items():
        assert content["accuracy"][name]["as found"]["all"]["correct"] == sum(right), "as in the comparison"
    assert "kard_kb: test, accuracy" in told and "nesycd - kard_kb, points: as found" in told
    with pytest.raises(SystemExit):
        measure(claims, "noise", str(folder / "seed-0"), "--sizes", "4,x")


def test_the_measurements_ask_the_python_front_door() -> None:
    for path in (ROOT / "benchmarks").rglob("*.py"):
        assert "nesycd.cli" not in path.read_text(encoding="utf-8"), f"{path.name}: the command line is for people"
