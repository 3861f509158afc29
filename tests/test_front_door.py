"""The front door, as a user of `import nesycd` meets it: what is offered, what it costs, and what it says of mistakes."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import nesycd
from nesycd import Call, Entry, Evidence, Fact, KnowledgeBase, Lesson, NesycdError, Rule, RuleTest, Segment, Status
from nesycd.api import finished, stored
from nesycd.api.whatif import AnswerChange, CallChange, Given, Use, WhatIf
from nesycd.core.answers import Trace
from nesycd.core.notebook import Listing
from nesycd.knowledge import Difference
from nesycd.reports.plots import Plot, Point
from nesycd.students import table as table_student

ROOT = Path(__file__).parent.parent
LONGTAIL = ROOT / "recipes" / "longtail.toml"
FATHOMS = "How many feet are 4 fathoms and 3 feet?"
HOSTILE = "<script>alert('x')</script> & \"quoted\""

OFFERED = {
    "Answer",
    "Attempt",
    "Call",
    "Comparison",
    "Diagnosis",
    "Entry",
    "Evidence",
    "Example",
    "Fact",
    "Hit",
    "KnowledgeBase",
    "Lesson",
    "Method",
    "NesycdError",
    "OpenRun",
    "Passage",
    "Prediction",
    "Rationale",
    "Recipe",
    "Reply",
    "Retrieval",
    "Rule",
    "RuleTest",
    "Segment",
    "Status",
    "TrainingText",
    "Verdict",
    "__version__",
    "compare",
    "distil",
    "list_methods",
    "load_task",
    "open_run",
    "register_method",
    "run",
}


# --- names and costs ----------------------------------------------------------------------------------------------------


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=ROOT)


def cpu_seconds(*arguments: str) -> float:
    """Seconds of computing of a child process, the median of three: waiting for a busy machine does not count."""
    resource = pytest.importorskip("resource", reason="the system does not count a process's seconds")

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python(*arguments)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return statistics.median(once() for _ in range(3))


def test_what_is_offered_is_this_and_can_be_imported() -> None:
    assert set(nesycd.__all__) == OFFERED and len(nesycd.__all__) == len(OFFERED)
    assert sorted(dir(nesycd)) == sorted(OFFERED)
    for name in OFFERED:
        assert getattr(nesycd, name) is not None
        assert name.startswith("__") or getattr(nesycd, name).__doc__


def test_no_name_is_also_that_of_a_module_which_would_take_its_place_when_it_is_imported() -> None:
    modules = {path.stem for path in (ROOT / "nesycd").iterdir() if path.is_dir() or path.suffix == ".py"}
    assert not OFFERED & (modules - {"__init__", "__main__"})


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="module 'nesycd' has no attribute 'ruun'"):
        _ = nesycd.ruun
    with pytest.raises(ImportError):
        exec("from nesycd import ruun")


def test_importing_imports_nothing_else_and_costs_nothing() -> None:
    program = "import sys, nesycd; dir(nesycd); print(sorted(m for m in sys.modules if m.startswith('nesycd')), "
    program += "sorted({'torch', 'numpy', 'pydantic', 'rich', 'typer', 'sqlalchemy'} & set(sys.modules)))"
    assert python("-c", program).stdout.strip() == "['nesycd'] []"
    assert cpu_seconds("-c", "import nesycd") - cpu_seconds("-c", "pass") < 0.1


@pytest.mark.parametrize("arguments", [("--help",), ("compare", "--list")], ids=" ".join)
def test_help_comes_at_once_and_without_torch(arguments: tuple[str, ...]) -> None:
    assert cpu_seconds("-m", "nesycd", *arguments) < 0.4 + cpu_seconds("-c", "pass")
    done = python("-X", "importtime", "-m", "nesycd", *arguments)
    assert done.stdout and not [line for line in done.stderr.splitlines() if line.split("|")[-1].strip() == "torch"]


def test_a_users_script_passes_strict_type_checks(tmp_path: Path) -> None:
    assert (ROOT / "nesycd" / "py.typed").is_file()
    script = tmp_path / "mine.py"
    script.write_text(
        """from typing import Any

import nesycd
from nesycd import Comparison, Fact, KnowledgeBase, Method, OpenRun, Recipe, Reply

run: OpenRun = nesycd.run("recipe.toml", limit=3, student="table", progress=False)
reply: Reply = run.ask("Why?", options=["a", "b"])
text: str = reply.answer
kb: KnowledgeBase = run.kb
rows: list[dict[str, Any]] = run.results
recipe: Recipe = run.recipe
with nesycd.open_run("mine") as again:
    print(again.report.name, [stage.seconds for stage in again.stages])
made: Comparison = nesycd.compare({"name": "x", "task": "longtail"}, ["nesycd"], [0, 1])
for method in nesycd.list_methods():
    about: Method = method
print([item.text for item in reply.items if isinstance(item, Fact)], made.results)
own: OpenRun = nesycd.distil(({"question": q, "answer": "1"} for q in "abcd"), teacher={"name": "api"})
examples = nesycd.load_task("longtail").load("test")
print(examples[0].question.upper())
""",
        encoding="utf-8",
    )
    assert strictly(script) == ""
    wrong = tmp_path / "wrong.py"
    wrong.write_text('import nesycd\n\nrun = nesycd.ruun("recipe.toml")\nrows: int = nesycd.open_run().results\n')
    told = strictly(wrong)
    assert '"ruun"' in told and "Incompatible types in assignment" in told


def strictly(script: Path) -> str:
    """What mypy has to say of a script."""
    options = ["--strict", "--no-error-summary", f"--cache-dir={ROOT / '.mypy_cache'}"]
    words = [sys.executable, "-m", "mypy", *options, str(script)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert not done.stderr
    return done.stdout


# --- a run ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def longtail(root: Path, **settings: Any) -> nesycd.OpenRun:
    student = {"model": "table"}
    mix = {"calls": 1.0, "context": 0.25, "calls_and_context": 0.25, "empty_calls": 0.1}
    return nesycd.run(LONGTAIL, limit=60, student=student, augmented=mix, progress=False, root=root, **settings)


@pytest.fixture(scope="module")
def opened(root: Path) -> Iterator[nesycd.OpenRun]:
    methods = ["zero_shot", "std_cot", "nesycd", "nesycd_context", "nesycd_routed", "raft_kb"]
    with longtail(root, evaluation={"methods": methods, "splits": ["test"], "bootstrap": 20}) as run:
        yield run


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_not_done_twice(opened: nesycd.OpenRun, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: object, **named: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(table_student.TableStudent, "generate", refused)
    monkeypatch.setattr(table_student.TableStudent, "train", refused)
    before = contents(opened.folder)
    with longtail(root, evaluation=opened.recipe.evaluation.model_dump()) as again:
        assert again.results == opened.results
    assert contents(opened.folder) == before


def test_results_are_rows_of_scalars_with_the_same_keys(opened: nesycd.OpenRun) -> None:
    rows = opened.results
    assert {row["method"] for row in rows} == {
        "zero_shot",
        "std_cot",
        "nesycd",
        "nesycd_context",
        "nesycd_routed",
        "raft_kb",
    }
    assert {(row["split"], row["kind"]) for row in rows} == {("test", kind) for kind in ("all", "special", "general")}
    assert len({tuple(row) for row in rows}) == 1
    assert all(isinstance(value, str | int | float | None) for row in rows for value in row.values())
    everything = next(row for row in rows if (row["method"], row["kind"]) == ("nesycd", "all"))
    assert everything["n"] == 60 and everything["accuracy"] == everything["correct"] / 60


def test_answers_are_rows_that_say_what_was_asked_and_answered(opened: nesycd.OpenRun) -> None:
    rows = opened.answers("nesycd")
    score = next(row for row in opened.results if (row["method"], row["kind"]) == ("nesycd", "all"))
    assert len(rows) == 60 and sum(row["correct"] for row in rows) == score["correct"]
    assert list(rows[0])[:4] == ["method", "question", "task", "gold"] and len({tuple(row) for row in rows}) == 1
    assert all(row["method"] == "nesycd" and row["response"].endswith(".") for row in rows)
    known = {entry.item_id: entry.item.kind for entry in opened.kb.entries()}
    reading = opened.answers("nesycd_context")
    # Who looks facts up reads hardly any.
    facts = [sum(known[item] == "fact" for row in made for item in row["knowledge"]) for made in (rows, reading)]
    assert facts[0] < facts[1] / 4
    assert any("[" in row["response"] for row in rows)
    assert any(known[item] == "fact" for row in reading for item in row["knowledge"])


def test_stages_report_and_recipe_can_be_looked_at(opened: nesycd.OpenRun) -> None:
    assert opened.report.is_file()
    assert [stage.name for stage in opened.stages][:3] == ["examples-train", "rationales", "general"]
    assert all(stage.done and stage.seconds >= 0 for stage in opened.stages)
    assert opened.recipe.student.model == "table" and opened.recipe.task.limit == 60


# --- asking ---------------------------------------------------------------------------------------------------------------


def test_a_question_is_answered_with_the_reasons(opened: nesycd.OpenRun) -> None:
    reply = opened.ask(FATHOMS, method="nesycd_context")
    assert [item.text for item in reply.items] == ["A fathom is 6 feet."] and reply.routed
    assert reply.answer in reply.text and reply.hits[0].why.startswith("names fathom")
    assert reply.reason == "nesycd_context reads knowledge for every question"
    looked = opened.ask(FATHOMS, method="nesycd")
    told = "nesycd reads what it does not look up for every question, and looks facts up"
    assert not looked.items and looked.routed and looked.hits == reply.hits and looked.reason == told
    [entry] = opened.kb.entries(search="fathom")
    assert [(call.asked, call.found, call.items) for call in looked.trace if call.items] == [
        ("[fathoms | makes]", "6 feet", (entry.item_id,))
    ]
    assert looked.text.startswith("One [fathoms | makes] 6 feet.") and looked.segments[1].source == "supplied"
    assert f"[fathoms | makes] -> 6 feet  ({entry.item_id}; 'fathoms' is 'fathom')" in str(looked)
    assert not looked.note, "it was trained with this knowledge"
    routed = opened.ask(FATHOMS)
    assert routed.method == "nesycd_routed" and routed.draft is not None and "margin" in routed.reason
    alone = opened.ask(FATHOMS, method="std_cot")
    assert not alone.items and alone.reason == "std_cot reads none" and alone.answer
    assert opened.ask(FATHOMS, method="raft_kb").answer and not opened.ask(FATHOMS, method="zero_shot").answer


def test_options_are_lettered(opened: nesycd.OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    generate = table_student.TableStudent.generate

    def listened(self: Any, prompts: Any, **named: Any) -> Any:
        asked.extend(prompt.text for prompt in prompts)
        return generate(self, prompts, **named)

    monkeypatch.setattr(table_student.TableStudent, "generate", listened)
    opened.ask("Which is longer?", options=["a span", "an ell"], method="nesycd")
    assert len(asked) == 1 and "(A) a span\n(B) an ell" in asked[0]


def test_a_question_that_no_knowledge_fits_is_answered_by_the_student_alone(opened: nesycd.OpenRun) -> None:
    reply = opened.ask("Zzyzx qwrt?", method="nesycd")
    assert (reply.items, reply.hits, reply.note) == ((), (), "")
    unsure = "Zzyzx qwrt blorp frump snarg plimf drosk vnarl ghoop tweff?"
    assert "nothing in the knowledge base fits" in opened.ask(unsure).reason
    # Facts that are retrieved are no reason to write again: they were looked up already.
    asked = opened.ask(f"{unsure[:-1]} fathoms?")
    assert asked.hits and not asked.items and not asked.routed and "nothing in the knowledge base fits" in asked.reason


def test_the_student_is_loaded_once(opened: nesycd.OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Path] = []
    read = table_student._read_adapter

    def counted(folder: Path) -> dict[str, Any]:
        loads.append(folder)
        return read(folder)

    monkeypatch.setattr(table_student, "_read_adapter", counted)
    with nesycd.open_run(opened.folder) as run:
        assert not loads
        run.ask("How many gallons are 2 firkins?", method="nesycd")
        run.ask("How many gallons are 3 firkins?", method="nesycd")
    assert len(loads) == 1


def test_corpus_and_training_questions_are_read_once(opened: nesycd.OpenRun, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    records, corpus = finished.read_records, finished.corpus_of

    def records_read(folder: Path, stage: str, kind: Any) -> Any:
        read.append(stage)
        return records(folder, stage, kind)

    def corpus_read(*given: Any) -> Any:
        read.append("corpus")
        return corpus(*given)

    for module in (finished, stored):
        monkeypatch.setattr(module, "read_records", records_read)
    monkeypatch.setattr(finished, "corpus_of", corpus_read)
    with nesycd.open_run(opened.folder) as run:
        for number in (2, 3):
            run.ask(f"How many gallons are {number} firkins?", method="few_shot")
    assert sorted(read) == ["corpus", "examples-train", "rationales"]


def test_an_edit_counts_from_the_next_question_on(opened: nesycd.OpenRun) -> None:
    [entry] = opened.kb.entries(search="fathom")
    opened.kb.edit(entry.item_id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, reviewer="me", why="a test")
    edited = opened.ask(FATHOMS, method="nesycd_context")
    assert [item.text for item in edited.items] == ["A fathom is 7 feet."]
    looked = opened.ask(FATHOMS, method="nesycd")
    assert looked.trace[0].found == "7 feet" and looked.text.startswith("One [fathoms | makes] 7 feet.")
    for one in (edited, looked):
        assert one.note.startswith("the student was trained with knowledge ")
    # By another hand, such as `nesycd kb edit`, it is the same.
    with KnowledgeBase.open(opened.folder / "kb.sqlite") as other:
        other.revert(other.revision, "me")
    again = opened.ask(FATHOMS, method="nesycd_context")
    assert [item.text for item in again.items] == ["A fathom is 6 feet."] and not again.note
    looked = opened.ask(FATHOMS, method="nesycd")
    assert looked.trace[0].found == "6 feet" and not looked.note


def test_facts_can_be_added_and_taken_back(opened: nesycd.OpenRun) -> None:
    fact = Fact(text="A smoot is 67 inches.", subject="smoot", relation="length", object="67 inches")
    opened.kb.add([(fact, Evidence(example="", source="me"))])
    question = "How many inches are 2 smoots?"

    def found() -> list[str]:
        """What was looked up and found; checks that it is what is also read."""
        calls = [call for call in opened.ask(question, method="nesycd").trace if call.name == "look_up"]
        items = opened.ask(question, method="nesycd_context").items
        assert [item.id for item in items] == [item for call in calls for item in call.items]
        assert items in ((), (fact,)) and all(call.asked.startswith("[smoots | ") for call in calls)
        return [call.found for call in calls]

    assert found() == [], "what is proposed is neither offered nor read yet"
    opened.kb.approve(fact.id, "me")
    assert found() == ["67 inches"]
    opened.kb.retire(fact.id, "me")
    assert found() == []


def test_an_edit_is_kept_and_read_when_the_recipe_runs_again(root: Path) -> None:
    given: dict[str, Any] = {
        "name": "edited",
        "evaluation": {"methods": ["nesycd", "nesycd_context"], "splits": ["test"], "bootstrap": 20},
    }
    with longtail(root, **given) as run:
        asked = next(row for row in run.answers("nesycd_context") if row["knowledge"])
        entry = run.kb.get(asked["knowledge"][0])
        edited = run.kb.edit(entry.item_id, {"text": f"Lately, {entry.item.text}"}, reviewer="me")
        with longtail(root, **given) as again:
            [row] = [row for row in again.answers("nesycd_context") if row["example"] == asked["example"]]
            assert edited.item_id in row["knowledge"] and entry.item_id not in row["knowledge"]
            assert again.kb.version == run.kb.version and not again.ask(FATHOMS, method="nesycd").note
            assert not again.ask(FATHOMS, method="nesycd_context").note
        run.kb.retire(edited.item_id, "me")
        assert again.kb.get(edited.item_id).status == Status.RETIRED


def test_rules_run_and_must_pass_their_tests(root: Path) -> None:
    pytest.importorskip("clingo")
    with longtail(
        root, name="rules", knowledge={"derive": True}, evaluation={"methods": ["nesycd_context"], "splits": ["test"]}
    ) as run:

        def father(child: str, of: str) -> Fact:
            return Fact(text=f"The father of {child} was {of}.", subject=child, relation="father", object=of)

        rule = Rule(
            text="A father's father is a grandfather.",
            clause="grandfather(X, Z) :- father(X, Y), father(Y, Z).",
            says="{X} | grandfather | {Z}",
        )
        items = [father("Pim Tulp", "Ott Tulp"), father("Ott Tulp", "Jan Tulp"), rule]
        run.kb.add([(item, Evidence(example="", source="me")) for item in items], status=Status.APPROVED, reviewer="me")
        reply = run.ask("Who was Pim Tulp's grandfather?", method="nesycd_context")
        assert any("grandfather" in item.text and "Jan Tulp" in item.text for item in reply.items)
        broken = {"tests": ({"given": "father(a, b).", "expect": "grandfather(a, b)."},)}
        with pytest.raises(NesycdError, match="not approved"):
            run.kb.edit(rule.id, broken, reviewer="me")


def test_a_closed_run_opens_what_it_needs_again(opened: nesycd.OpenRun) -> None:
    with nesycd.open_run(opened.folder.name, root=opened.folder.parent) as run:
        before = run.kb
        assert before is run.kb and before.entries()
    assert run.kb is not before and run.ask(FATHOMS, method="nesycd").trace[0].items
    assert run.ask(FATHOMS, method="nesycd_context").items
    run.close()
    run.close()


# --- mistakes -------------------------------------------------------------------------------------------------------------


def says(wrong: Callable[[], object]) -> str:
    with pytest.raises(NesycdError) as caught:
        wrong()
    told = str(caught.value)
    assert "\n" not in told
    return told


def test_mistakes_in_settings_are_named_with_the_nearest_right_name(tmp_path: Path) -> None:
    def wrong(recipe: Any = LONGTAIL, **settings: Any) -> str:
        return says(lambda: nesycd.run(recipe, root=tmp_path, **settings))

    assert wrong(student={"modell": "table"}) == "unknown key student.modell (did you mean student.model?)"
    assert wrong(studnt={"model": "table"}) == "unknown key studnt (did you mean student?)"
    assert wrong(training={"epochs": "two"}).startswith("training.epochs: must be a valid number")
    assert wrong({"name": "x", "tsk": {"name": "longtail"}}) == "unknown key tsk (did you mean task?)"
    assert wrong({"name": "x"}) == "task is missing"
    assert wrong({"name": "x", "task": "longtial"}) == "no benchmark 'longtial' (did you mean 'longtail'?)"
    assert wrong(evaluation={"methods": ["nesicd"]}).startswith("evaluation.methods: no method 'nesicd' (did you mean ")
    assert wrong(tmp_path / "no.toml") == f"{tmp_path}/no.toml: cannot be read: No such file or directory"
    assert wrong(limit=0) == "limit: must be at least 1, but is 0"
    assert not list(tmp_path.iterdir())


def test_settings_of_a_file_keep_their_place_beside_those_given(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text('name = "x"\n[task]\nname = "longtail"\n[training]\nepoch = 2\n')
    told = says(lambda: nesycd.run(recipe, root=tmp_path, student="table", training={"rank": 4}))
    assert told.startswith(f"{recipe}:5: unknown key training.epoch")


def test_a_run_that_is_not_there_or_not_finished_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no run 'nix' below" in says(lambda: nesycd.open_run("nix", root=tmp_path))
    assert "no finished run" in says(lambda: nesycd.open_run(root=tmp_path))

    def killed(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(table_student.TableStudent, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            nesycd.run(LONGTAIL, limit=5, student="table", root=tmp_path, progress=False)
    assert "not a finished run" in says(lambda: nesycd.open_run("longtail", root=tmp_path))


def test_questions_that_cannot_be_asked_are_refused(opened: nesycd.OpenRun) -> None:
    assert "did you mean" in says(lambda: opened.ask(FATHOMS, method="nesycd_rooted"))
    told = says(lambda: opened.ask(FATHOMS, method="kard_kb"))
    assert told.endswith("kard_kb was not trained in this run; name it in the recipe's evaluation.methods")
    assert "run of its own" in says(lambda: opened.ask(FATHOMS, method="no_graph"))
    assert says(lambda: opened.ask(" ")) == "question: must be a text that is not empty, but is ' '"
    assert says(lambda: opened.ask("Which?", options="ab")).startswith("options: must be a list of texts")
    assert "2 to 26" in says(lambda: opened.ask("Which?", options=["one"]))
    assert says(lambda: opened.answers("nesycd", "tset")).endswith("nesycd has no answers to tset")


# --- comparing, benchmarks, methods -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(root: Path) -> nesycd.Comparison:
    return nesycd.compare(
        LONGTAIL, ["nesycd", "std_cot"], [0, 1], limit=8, student="table", progress=False, root=root,
        evaluation={"bootstrap": 20},
    )  # fmt: skip


def test_methods_are_put_side_by_side(compared: nesycd.Comparison, root: Path) -> None:
    assert compared.seeds == [0, 1] and set(compared.methods) == {"nesycd", "std_cot"}
    rows = compared.results
    assert len({tuple(row) for row in rows}) == 1 and {row["method"] for row in rows} == {"nesycd", "std_cot"}
    assert all(isinstance(value, str | int | float | None) for row in rows for value in row.values())
    assert (root / "compare-longtail" / "report.html").is_file()
    assert nesycd.open_run(root / "compare-longtail" / "seed-1").recipe.seed == 1


def test_a_comparison_that_lacks_answers_says_so(root: Path) -> None:
    def compare(methods: list[str], seed: int, limit: int) -> nesycd.Comparison:
        given: Any = {"student": "table", "evaluation": {"bootstrap": 20}, "progress": False, "root": root}
        return nesycd.compare(LONGTAIL, methods, [seed], name="lacking", limit=limit, **given)

    compare(["nesycd", "std_cot", "answer_ft"], 0, 6)
    # Seed 0 was of other questions, and seed 1 is not asked for all methods.
    told = says(lambda: compare(["std_cot"], 1, 7))
    assert told.startswith(f"{root / 'lacking'}: no seed has answers of all methods")


def test_methods_and_seeds_that_there_are_not_are_named(tmp_path: Path) -> None:
    def wrong(*given: Any) -> str:
        return says(lambda: nesycd.compare(LONGTAIL, *given, student="table", root=tmp_path))

    assert wrong("nesycd") == "methods: must be a list of names, but is 'nesycd'"
    assert wrong(["nesycd", "raft_bk"]).startswith("methods: no method 'raft_bk' (did you mean 'raft_kb'?)")
    assert wrong(["nesycd"], [0, -1]) == "seeds: must be at least 0, but there is -1"
    assert not list(tmp_path.iterdir())


def test_a_benchmark_can_be_looked_at_and_graded_with() -> None:
    task = nesycd.load_task("longtail")
    example = task.load("test")[0]
    assert task.grade(task.extract(f"Therefore, the answer is {example.answer}.", example), example)
    assert says(lambda: nesycd.load_task("longtial")) == "no benchmark 'longtial' (did you mean 'longtail'?)"
    assert "did you mean 'seed'" in says(lambda: nesycd.load_task("longtail", sed=1))


def test_all_methods_are_listed() -> None:
    found = nesycd.list_methods()
    assert [one.name for one in found][:2] == ["zero_shot", "std_cot"] and all(one.about for one in found)


# --- what notebooks show ------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)


TABLE = {"table", "thead", "tbody", "tr", "th", "td"}


def tags(html: str) -> set[str]:
    parser = Tags()
    parser.feed(html)
    return parser.found


def test_what_is_shown_is_short(opened: nesycd.OpenRun, compared: nesycd.Comparison) -> None:
    assert repr(opened).startswith(f"<run {opened.folder}: student table; on test nesycd ")
    assert repr(opened.recipe) == str(opened.recipe)
    assert repr(opened.recipe) == "<recipe longtail: task longtail, teacher expert, student table, seed 0>"
    reply = opened.ask(FATHOMS, method="nesycd_context")
    assert repr(reply) == f"<reply {reply.answer!r} by nesycd_context, with 1 items of knowledge>"
    looked = opened.ask(FATHOMS, method="nesycd")
    for one in (reply, looked):
        # A line for each call.
        assert str(one).startswith(f"{one.answer}\n{one.text}") and len(str(one).splitlines()) == 2 + len(one.trace)
    shown = {"div", "style", "b", "p", "u", "small", *TABLE, "code"}
    assert looked.trace[0].name == "look_up" and tags(looked._repr_html_()) == shown
    assert repr(opened.kb).startswith(f"<knowledge base {opened.folder / 'kb.sqlite'}: ")
    assert repr(opened.kb).endswith(" retired)>") or repr(opened.kb).endswith(" approved)>")
    assert repr(compared) == "<comparison compare-longtail: 2 methods, seeds 0, 1>"
    assert repr(opened.summary).startswith("<Results: ") and len(repr(opened.summary)) < 400
    assert repr(nesycd.list_methods()[0]) == "<method zero_shot: the untrained student>"
    assert repr(nesycd.load_task("longtail")) == "<task longtail: train, valid, test, ood_composed, ood_unseen>"
    assert repr(opened.task) == "<task longtail: train, valid, test, ood_composed, ood_unseen, limited>"


def test_a_base_that_is_gone_is_shown_without_its_size(tmp_path: Path) -> None:
    kb = KnowledgeBase.open(tmp_path / "kb.sqlite")
    kb.close()
    (tmp_path / "kb.sqlite").write_bytes(b"no database" * 100)
    assert repr(kb) == f"<knowledge base {tmp_path / 'kb.sqlite'}>"


def test_a_comparison_is_shown_as_the_table_that_the_command_prints(compared: nesycd.Comparison) -> None:
    text, html = str(compared), compared._repr_html_()
    assert "std_cot" in text and "primary endpoint" in text and "\x1b" not in text and len(text.splitlines()) < 30
    assert tags(html) == {"div", "style", *TABLE, "p"}
    assert max(map(len, text.splitlines())) <= 120 and len(html) < 5000


def test_lists_cards_and_plots_show_themselves(opened: nesycd.OpenRun) -> None:
    [entry] = opened.kb.entries(search="fathom")
    card = entry._repr_html_()
    assert all(f">{told}<" in card for told in ("fathom", "makes", "6 feet", entry.item_id, "evidence"))
    assert "A fathom is 6 feet." in card and tags(card) == {"div", "style", "p", "b", "code", *TABLE} - {"thead"}
    entries: Any = opened.kb.entries()
    assert entries == sorted(entries, key=entries.index) and "more</small>" in entries._repr_html_()
    shown: list[Any] = [
        opened.results,
        opened.answers("nesycd"),
        opened.stages,
        opened.kb.revisions(),
        opened.kb.history(entry.item_id),
    ]
    for listed in shown:
        assert tags(listed._repr_html_()) >= {"table", "td"} and len(listed._repr_html_()) < 40_000
    assert "<svg" in opened.plot()._repr_html_() and repr(opened.plot()).startswith(
        "<plot of Accuracy on test, all questions: "
    )
    with pytest.raises(NesycdError, match=r"plot: no method was scored on valid \(all\), only on test \(all\)"):
        opened.plot("valid")
    base = opened.kb._repr_html_()
    assert ">fact<" in base and ">approved<" in base and "revision" in base
    told = opened.what_if(lambda kb: kb.edit(entry.item_id, {"text": "A fathom is 7 feet.", "object": "7 feet"}, "me"))
    assert str(told).replace("&", "&amp;") in told._repr_html_() and repr(told).startswith("<what-if: ")
    assert opened.kb.get(entry.item_id) == entry


def test_a_run_is_shown_as_a_table_of_its_methods(opened: nesycd.OpenRun) -> None:
    html = opened._repr_html_()
    assert tags(html) == {"div", "style", *TABLE, "p"} and len(html) < 6000
    assert all(f">{row['method']}<" in html for row in opened.results) and "test: special" in html


def _hostile_objects() -> list[Any]:
    """What notebooks show, with a hostile text in every field."""
    proof = tuple(Evidence(example=HOSTILE, source=HOSTILE + str(number)) for number in range(99))
    fact = Fact(text=HOSTILE * 99, subject=HOSTILE, relation=HOSTILE, object=HOSTILE, aliases=(HOSTILE,) * 3)
    rule = Rule(text=HOSTILE, clause=HOSTILE, says=HOSTILE, tests=(RuleTest(given=HOSTILE, expect=HOSTILE),))
    entries = [Entry(item=one, status=Status.APPROVED, reviewer=HOSTILE, evidence=proof) for one in (fact, rule)]
    call = Call(name="look_up", asked=HOSTILE, found=HOSTILE, items=(HOSTILE,), how=HOSTILE)
    given = Given(HOSTILE * 99, True, HOSTILE, (call,))
    changed = AnswerChange(HOSTILE, HOSTILE, HOSTILE * 99, HOSTILE, given, given, (CallChange(call, None),), True)
    told = WhatIf(HOSTILE, HOSTILE, HOSTILE, (), ((HOSTILE, HOSTILE),), 1, 1, 1, 0, (changed,) * 99)
    use = Use(HOSTILE, HOSTILE, HOSTILE, HOSTILE * 99, HOSTILE, HOSTILE, True, True, (call,))
    rows = [{HOSTILE: HOSTILE * 99, "list": [HOSTILE]}] * 99
    lists = [Listing(rows), Listing([use] * 99), Listing(entries * 20), Listing([Difference(None, entries[0])])]
    return [
        fact,
        rule,
        Lesson(text=HOSTILE),
        *entries,
        told,
        *lists,
        Plot(HOSTILE, {HOSTILE: Point(0.5, 0.4, 0.6, HOSTILE)}),
    ]


def test_hostile_texts_are_shown_as_texts(opened: nesycd.OpenRun, compared: nesycd.Comparison) -> None:
    from dataclasses import replace

    items = (Lesson(text=HOSTILE),)
    asked = opened.ask(FATHOMS, method="nesycd")
    calls = (Call(name="look_up", asked=f"[{HOSTILE} | {HOSTILE}]", found=HOSTILE, items=(HOSTILE,), how=HOSTILE),)
    reply = replace(asked, text=HOSTILE * 1000, answer=HOSTILE, items=items, reason=HOSTILE, note=HOSTILE, trace=calls)
    assert "script" not in tags(reply._repr_html_()) and len(reply._repr_html_()) < 10_000 and len(repr(reply)) < 200
    named = compared.model_copy(update={"name": HOSTILE, "methods": {HOSTILE: compared.methods["std_cot"]}})
    named = named.model_copy(update={"scores": {HOSTILE: compared.scores["std_cot"]}})
    assert "script" not in tags(named._repr_html_())
    segments = (Segment(text=HOSTILE * 1000, source="supplied"), Segment(text=HOSTILE, source="student"))
    for one in (replace(reply, segments=segments), Trace(calls * 30), *_hostile_objects()):
        assert "&lt;script&gt;" in one._repr_html_() and "script" not in tags(one._repr_html_())
        assert len(one._repr_html_()) < 40_000
    with nesycd.open_run(opened.folder) as run:
        run.summary.methods[HOSTILE] = run.summary.methods["nesycd"]
        run.recipe.student.__dict__["model"] = HOSTILE
        assert "script" not in tags(run._repr_html_())
