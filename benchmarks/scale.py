"""What a base of 10^3 to 10^6 items costs, in SQLite and PostgreSQL, and a file of as many questions: time, memory, a plot.

    OMP_NUM_THREADS=1 python benchmarks/scale.py FOLDER [--sizes 1000,10000] [--server URL] [--only import,lint]

Each measurement runs in a process of its own, whose wall time, CPU time and peak memory (of all of the process, with Python and
the libraries) go to `scale.json` in the folder. `scale.md` and the plots there give CPU time, which other work on the machine
lengthens least; a server's own is not in it. What was measured already is not measured again, so sizes can be added later.
`--server` is the URL of a PostgreSQL database in which databases may be made: `postgresql+psycopg://me:secret@localhost/postgres`.

The base is made up: facts of `retrieval.py` with one lesson in 20 items and one rule in 40; the same for the same size.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from retrieval import clocked, made_up_facts, made_up_questions, words  # the script beside this one

from nesycd.core.markup import Markup, tag
from nesycd.core.records import Evidence, Fact, Item, Lesson, Rule, Status
from nesycd.knowledge import KnowledgeBase
from nesycd.knowledge.entities import Relation, declare_relations, read_entities

SIZES = (1_000, 10_000, 100_000, 1_000_000)
ASKED = 300
"""Questions, look-ups and edits of which percentiles are taken (edits: a tenth)."""
_STEPS = [
    "read the units",
    "write down each number",
    "name what is sought",
    "convert first",
    "check the sign",
    "count twice",
]
_THINGS = [
    "legacy",
    "voyage",
    "harvest",
    "ledger",
    "procession",
    "toll",
    "dowry",
    "feast",
    "charter",
    "loan",
    "siege",
    "fair",
]


def made_up_items(count: int) -> Iterator[Item]:
    """`count` items: 37 facts, 2 lessons and a rule in 40.

    Of 500 facts one gives a second object, of 50 lessons one says what the one before says.
    """
    rng = random.Random(count)
    facts = made_up_facts(count)
    lesson: Lesson | None = None
    for number, fact in enumerate(facts):
        if number % 20 == 7:
            lesson = _told_anew(lesson) if lesson and number % 1000 == 7 else _lesson(fact.subject, rng)
            yield lesson
        elif number % 40 == 19:
            thing, other = rng.sample(_THINGS, 2)
            yield Rule(
                text=f"If the {thing} of {fact.subject} came before the {other}, its {fact.relation} is the {other}'s too."
            )
        elif number % 500 == 3:
            before = facts[number - 1]
            yield before.model_copy(update={"object": fact.object, "text": f"{before.text} Others say {fact.object}."})
        else:
            yield fact


def _lesson(name: str, rng: random.Random) -> Lesson:
    first, second, third = rng.sample(_STEPS, 3)
    thing, other = rng.sample(_THINGS, 2)
    return Lesson(
        text=f"Where the {thing} of {name} is asked for, {first}, then {second}, then {third}, and look at the {other}."
    )


def _told_anew(lesson: Lesson) -> Lesson:
    before, _, after = lesson.text.removesuffix(".").partition(", then ")
    return Lesson(text=f"Then {after}: {before}.")


def write_items(path: Path, count: int) -> None:
    """The items as people hand them in: a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["kind", "text", "subject", "relation", "object", "aliases"])
        for item in made_up_items(count):
            rest = [*item.triple, "; ".join(item.aliases)] if isinstance(item, Fact) else ["", "", "", ""]
            writer.writerow([item.kind, item.text, *rest])


def write_asked(path: Path, count: int) -> None:
    """What the base is asked, so that processes that ask need not make all of its items."""
    facts = [item for item in made_up_items(count) if isinstance(item, Fact) and "Others say" not in item.text]
    chosen = random.Random(count).sample(facts, min(ASKED, len(facts)))
    rows = [fact.model_dump(mode="json") for fact in chosen]
    path.write_text(json.dumps({"questions": made_up_questions(facts, ASKED), "facts": rows}))


def write_questions(path: Path, count: int) -> None:
    """Questions of one's own, with rationales: a JSONL file."""
    rng = random.Random(count)
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            a, b = rng.randrange(2, 99), rng.randrange(2, 999)
            thing = rng.choice(_THINGS)
            row = {
                "question": f"Question {number}: the {thing} of Ann costs {a} florins and is paid {b} times. How much is that?",
                "answer": str(a * b),
                "rationale": f"The {thing} costs {a} florins each time. It is paid {b} times. {a} x {b} = {a * b}.",
            }
            file.write(json.dumps(row) + "\n")


# --- what is measured: each gets the folder, the place of the base and the size, and gives figures ----------------------------


def measure_import(folder: Path, place: str, count: int) -> dict[str, Any]:
    """A CSV file into a new base; a few relations are declared."""
    from nesycd.knowledge import import_file

    file = folder / f"items-{count}.csv"
    with KnowledgeBase.open(place) as kb:
        with clocked() as clock:
            done = import_file(kb, file, status=Status.APPROVED, reviewer="benchmark")
        declared = [Relation(name=name, functional=True) for name in ("father", "mother", "birthplace")]
        declare_relations(kb, declared, "benchmark")
    return {**clock.told(), "items": done.counts.added}


def measure_add(folder: Path, place: str, count: int) -> dict[str, Any]:
    """A thousand facts of a run into the full base, some of which it has."""
    facts = [*_asked(folder, count)[1][:ASKED], *made_up_facts(700, seed=1)]
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        kb.add((fact, Evidence(example="", source="benchmark")) for fact in facts)
    return clock.told()


def measure_open(folder: Path, place: str, count: int) -> dict[str, Any]:
    """Open the base, its version, its counts."""
    with clocked() as clock, KnowledgeBase.open(place, create=False) as kb:
        assert len(kb.version) == 16
        kb.stats()
    return clock.told()


def measure_read(folder: Path, place: str, count: int) -> dict[str, Any]:
    """All entries in memory."""
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        kb.entries(status=Status.APPROVED)
    return clock.told()


def measure_retriever(folder: Path, place: str, count: int) -> dict[str, Any]:
    """The fused retriever's first build, which leaves its index on disk."""
    return _retriever(folder, place, count, asked=0)


def measure_retrieval(folder: Path, place: str, count: int) -> dict[str, Any]:
    """The fused retriever opened again with its index on disk, and questions."""
    return _retriever(folder, place, count, asked=ASKED)


def _retriever(folder: Path, place: str, count: int, asked: int) -> dict[str, Any]:
    from nesycd.retrieval import FusedRetriever, Fusion

    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        made = FusedRetriever.following(
            kb, words, Fusion(), entities=read_entities(kb), cache=folder / f"index-{count}"
        )
    questions, _ = _asked(folder, count)
    return {**clock.told(), "one": _percentiles(lambda n: made.retrieve(questions[n]), asked)}


def measure_linked(folder: Path, place: str, count: int) -> dict[str, Any]:
    """The default retriever (`linked`), and questions."""
    from nesycd.retrieval import KnowledgeRetriever

    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        made = KnowledgeRetriever(kb.entries(status=Status.APPROVED), words, entities=read_entities(kb))
    questions, _ = _asked(folder, count)
    return {**clock.told(), "one": _percentiles(lambda n: made.retrieve(questions[n]), ASKED)}


def measure_look_up(folder: Path, place: str, count: int) -> dict[str, Any]:
    """Look-ups by a subject's own name, an alias and a misspelled name."""
    from look_ups import by_alias, misspelled, named

    from nesycd.calls import LookUp

    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        look = LookUp(kb.entries(status=Status.APPROVED), read_entities(kb))
    rng = random.Random(count)
    _, facts = _asked(folder, count)
    names = [rng.choice((named, by_alias, misspelled))(fact, rng) for fact in facts]

    def ask(number: int) -> None:
        fact, other = facts[number], facts[-number]
        question = f"What is the {fact.relation} of {names[number]}, if {other.subject} knew {other.object}?"
        look.offers(question)
        look.find(names[number], fact.relation, question)

    # What is made at the first use of each relation, and of a misspelled name, is made once for a state of the base.
    with clocked() as first:
        for fact in {fact.relation: fact for fact in facts}.values():
            name = misspelled(fact, rng)
            question = f"What is the {fact.relation} of {fact.subject}, or of {name}?"
            look.offers(question)
            look.find(name, fact.relation, question)
    return {**clock.told(), "first": first.told(), "one": _percentiles(ask, ASKED)}


def measure_link(folder: Path, place: str, count: int) -> dict[str, Any]:
    """Names to an automaton, and the names in questions."""
    from nesycd.retrieval import Linker

    with KnowledgeBase.open(place, create=False) as kb:
        facts = [entry.item for entry in kb.entries(kind="fact") if isinstance(entry.item, Fact)]
    questions, _ = _asked(folder, count)
    with clocked() as clock:
        linker = Linker(facts)
        linker.settle()
    return {**clock.told(), "one": _percentiles(lambda n: linker.link(questions[n]), ASKED)}


def measure_lint(folder: Path, place: str, count: int) -> dict[str, Any]:
    """All findings but those of vectors and rules."""
    from nesycd.knowledge.lint import lint

    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        found = lint(kb.entries(), read_entities(kb))
    return {**clock.told(), "findings": len(found)}


def measure_edit(folder: Path, place: str, count: int) -> dict[str, Any]:
    """Edits of one fact each, until the new content is in the base."""
    _, facts = _asked(folder, count)
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        told = _percentiles(lambda n: kb.edit(facts[n].id, {"object": f"nobody, {n}"}, "benchmark"), ASKED // 10)
    return {**clock.told(), "one": told}


def measure_versions(folder: Path, place: str, count: int) -> dict[str, Any]:
    """The last revisions, one item's history, what the last revision changed, and its reversal."""
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        newest = kb.revisions(limit=20)[0].number
        [difference] = kb.diff(str(newest - 1))
        kb.history(difference.entry.item_id)
        kb.revert(newest, "benchmark")
    return clock.told()


def measure_state(folder: Path, place: str, count: int) -> dict[str, Any]:
    """All of an earlier state."""
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        kb.state("1")
    return clock.told()


def measure_check(folder: Path, place: str, count: int) -> dict[str, Any]:
    """The whole history against the tables (`kb check`)."""
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        assert kb.problems() == []
    return clock.told()


def measure_search(folder: Path, place: str, count: int) -> dict[str, Any]:
    """Entries with two words."""
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        kb.entries(search="bishop occupation")
    return clock.told()


def measure_export_csv(folder: Path, place: str, count: int) -> dict[str, Any]:
    """All items to a table."""
    return _export(folder, place, count, "csv")


def measure_export_yaml(folder: Path, place: str, count: int) -> dict[str, Any]:
    """All of the base to YAML."""
    return _export(folder, place, count, "yaml")


def _export(folder: Path, place: str, count: int, form: str) -> dict[str, Any]:
    from nesycd.knowledge import export_file

    path = folder / f"out-{count}.{form}"
    with KnowledgeBase.open(place, create=False) as kb, clocked() as clock:
        export_file(kb, path)
    path.unlink()
    return clock.told()


def measure_questions(folder: Path, place: str, count: int) -> dict[str, Any]:
    """Questions of one's own: all are read and checked, 1,000 are used."""
    import nesycd

    path = folder / f"questions-{count}.jsonl"
    with clocked() as clock:
        nesycd.load_task("jsonl", path=path)
    return clock.told()


def measure_records(folder: Path, place: str, count: int) -> dict[str, Any]:
    """A run's predictions: written one by one, read again, one asked for."""
    from nesycd.core.answers import Prediction
    from nesycd.core.segments import Segment
    from nesycd.runs.predictions import Predictions

    path = folder / f"predictions-{count}.jsonl"
    path.unlink(missing_ok=True)
    with clocked() as writing:
        made = Predictions(path, lambda told: None)
        for start in range(0, count, 1000):
            rows = range(start, min(count, start + 1000))
            made.add(
                Prediction(key=f"{n:016x}", student="s", segments=(Segment(text=_TEXT.format(n=n)),)) for n in rows
            )
        made.close()
    with clocked() as clock:
        again = Predictions(path)
        assert str(count - 1) in again.variants(f"{count - 1:016x}")[0].text
    path.unlink()
    return {**clock.told(), "writing": writing.told()}


_TEXT = "The legacy costs {n} florins each time. It is paid 12 times. 12 x {n} = that. The answer is {n}."


MEASUREMENTS: dict[str, Callable[[Path, str, int], dict[str, Any]]] = {
    name.removeprefix("measure_"): call for name, call in [*globals().items()] if name.startswith("measure_")
}
OF_BASES = [name for name in MEASUREMENTS if name not in ("questions", "records")]


def prepare(folder: Path, place: str, count: int) -> dict[str, Any]:
    """The files that measurements read, which cost no memory of theirs then."""
    made: dict[str, Callable[[Path, int], None]] = {
        f"items-{count}.csv": write_items,
        f"asked-{count}.json": write_asked,
        f"questions-{count}.jsonl": write_questions,
    }
    for file, write in made.items():
        if not (folder / file).exists():
            write(folder / file, count)
    return {}


def _asked(folder: Path, count: int) -> tuple[list[str], list[Fact]]:
    """Questions about the base, and facts of it, as `write_asked` wrote them."""
    found = json.loads((folder / f"asked-{count}.json").read_text())
    return found["questions"], [Fact.model_validate(row) for row in found["facts"]]


def _percentiles(call: Callable[[int], Any], count: int) -> dict[str, float]:
    """Median and 99th percentile in milliseconds of wall and CPU time."""
    if not count:
        return {}
    clocks = []
    for number in range(count):
        with clocked() as clock:
            call(number)
        clocks.append(clock)
    wall, cpu = sorted(1e3 * one.wall for one in clocks), sorted(1e3 * one.cpu for one in clocks)
    last = min(count - 1, count * 99 // 100)
    told = {"p50_ms": wall[count // 2], "p99_ms": wall[last], "cpu_p50_ms": cpu[count // 2], "cpu_p99_ms": cpu[last]}
    return {key: round(value, 3) for key, value in told.items()}


# --- running, telling ---------------------------------------------------------------------------------------------------------


def run(folder: Path, name: str, where: str, place: str, count: int, seconds: int) -> dict[str, Any]:
    """One measurement in a process of its own; what was not measured says why in `failed`."""
    command = [sys.executable, __file__, str(folder), "--one", name, "--place", place, "--sizes", str(count)]
    told: dict[str, Any] = {"what": name, "where": where, "size": count}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return told | {"failed": f"took more than {seconds} s"}
    if done.returncode:
        return told | {"failed": (done.stderr.strip().splitlines() or ["killed: out of memory?"])[-1][:200]}
    return told | json.loads(done.stdout.splitlines()[-1])


def one(folder: Path, name: str, place: str, count: int) -> None:
    """Within the process: measure, and print figures and peak memory."""
    told = (prepare if name == "prepare" else MEASUREMENTS[name])(folder, place, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({**told, "peak_mb": round(peak / 1e6)}))


def new_database(server: str, count: int) -> str:
    """The URL of an empty database on a server, made anew."""
    import psycopg
    from sqlalchemy import make_url

    url, name = make_url(server), f"nesycd_scale_{count}"
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    return url.set(database=name).render_as_string(hide_password=False)


def plot(
    rows: Sequence[dict[str, Any]], names: Sequence[str], unit: str, value: Callable[[dict[str, Any]], float]
) -> Markup:
    """A line a measurement over the size, both axes logarithmic; dashed for PostgreSQL."""
    found = [(row, value(row)) for row in rows if row["what"] in names and "failed" not in row]
    found = [(row, y) for row, y in found if y > 0]
    width, height, left, top, bottom = 760, 440, 70, 16, 44
    xs = [math.log10(row["size"]) for row, _ in found]
    ys = [math.log10(y) for _, y in found]
    x0, x1, y0, y1 = math.floor(min(xs)), math.ceil(max(xs)), math.floor(min(ys)), math.ceil(max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        across = left + (width - left - 190) * (x - x0) / max(1, x1 - x0)
        return across, top + (height - top - bottom) * (y1 - y) / max(1, y1 - y0)

    marks: list[Markup] = [tag("rect", width=width, height=height, fill="white")]
    text = {"font_family": "sans-serif", "font_size": 12, "fill": "#333"}
    for x in range(x0, x1 + 1):
        (across, down), (_, up) = at(x, y0), at(x, y1)
        marks.append(tag("line", x1=across, x2=across, y1=down, y2=up, stroke="#ddd"))
        marks.append(tag("text", f"{10**x:,}", x=across, y=down + 18, text_anchor="middle", **text))
    for y in range(y0, y1 + 1):
        (start, down), (end, _) = at(x0, y), at(x1, y)
        marks.append(tag("line", x1=start, x2=end, y1=down, y2=down, stroke="#ddd"))
        marks.append(tag("text", f"{10.0**y:g} {unit}", x=start - 6, y=down + 4, text_anchor="end", **text))
    ends: list[float] = []
    for name, where in dict.fromkeys((row["what"], row["where"]) for row, _ in found):
        mine = sorted((row["size"], y) for row, y in found if (row["what"], row["where"]) == (name, where))
        places = [at(math.log10(x), math.log10(y)) for x, y in mine]
        colour = f"hsl({names.index(name) * 360 // len(names)},65%,40%)"
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dashes = "5 4" if where == "postgresql" else None
        marks.append(
            tag("polyline", points=line, fill="none", stroke=colour, stroke_width=1.6, stroke_dasharray=dashes)
        )
        marks += [tag("circle", cx=x, cy=y, r=2.5, fill=colour) for x, y in places]
        down = places[-1][1] + 4
        while any(abs(down - other) < 12 for other in ends):
            down += 3
        ends.append(down)
        shown = f"{name.replace('_', ' ')}{' (pg)' if where == 'postgresql' else ''}"
        marks.append(tag("text", shown, x=places[-1][0] + 8, y=down, **{**text, "fill": colour}))
    return tag("svg", *marks, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {width} {height}", role="img")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown, all of CPU time: seconds, then median and 99th percentile in ms where many were asked; and peak memory."""
    sizes = sorted({row["size"] for row in rows})
    lines = [f"| | {' | '.join(f'{size:,}' for size in sizes)} |", f"|---|{'---|' * len(sizes)}"]
    for name, where in dict.fromkeys((row["what"], row["where"]) for row in rows):
        cells = []
        for size in sizes:
            row = next((r for r in rows if (r["what"], r["where"], r["size"]) == (name, where, size)), None)
            cells.append("" if row is None else row["failed"] if "failed" in row else _cell(row))
        lines.append(
            f"| {name.replace('_', ' ')}{', PostgreSQL' if where == 'postgresql' else ''} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any]) -> str:
    one = row.get("one") or {}
    each = f"; {one['cpu_p50_ms']:.2g}, {one['cpu_p99_ms']:.2g} ms" if one else ""
    return f"{row['cpu_seconds']:.3g} s{each}; {row['peak_mb']:,} MB"


def main() -> None:
    """Measure what is missing, then draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where bases, figures and plots are kept")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of items, by commas")
    parser.add_argument("--server", default="", help="of PostgreSQL, see above")
    parser.add_argument("--only", default="", help=f"of {', '.join(MEASUREMENTS)}")
    parser.add_argument("--again", action="store_true", help="measure again what was measured")
    parser.add_argument("--seconds", type=int, default=3600, help="longest time for one measurement")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--place", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = [int(size) for size in given.sizes.split(",")]
    if given.one:
        one(given.folder, given.one, given.place, sizes[0])
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = given.only.split(",") if given.only else [*MEASUREMENTS]
    told = given.folder / "scale.json"
    rows: list[dict[str, Any]] = json.loads(told.read_text())["rows"] if told.exists() else []
    for count in sizes:
        if "failed" in (made := run(given.folder, "prepare", "", "", count, given.seconds)):
            raise SystemExit(made["failed"])
        for where in ("sqlite", "postgresql") if given.server else ("sqlite",):
            for name in chosen:
                key = (name, where, count)
                known = [row for row in rows if (row["what"], row["where"], row["size"]) == key]
                if (where == "postgresql" and name not in OF_BASES) or (known and not given.again):
                    continue
                place = _place(given.folder, name, where, given.server, count)
                row = run(given.folder, name, where, place, count, given.seconds)
                rows = [*(one for one in rows if one not in known), row]
                print(json.dumps(row), flush=True)
                order = [*MEASUREMENTS]
                rows.sort(key=lambda row: (order.index(row["what"]), row["where"] != "sqlite", row["size"]))
                about = {"cpu": os.cpu_count(), "at": time.strftime("%Y-%m-%d"), "python": sys.version.split()[0]}
                told.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    (given.folder / "scale.md").write_text(table(rows))
    plots: dict[str, tuple[str, Callable[[dict[str, Any]], float]]] = {
        "seconds": ("s", lambda row: row["cpu_seconds"]),
        "memory": ("MB", lambda row: row["peak_mb"]),
        "one": ("ms", lambda row: (row.get("one") or {}).get("cpu_p99_ms", 0)),
    }
    for name, (unit, value) in plots.items():
        if drawn := [row for row in rows if "failed" not in row and value(row)]:
            names = [what for what in MEASUREMENTS if any(row["what"] == what for row in drawn)]
            (given.folder / f"{name}.svg").write_text(plot(drawn, names, unit, value))


def _place(folder: Path, name: str, where: str, server: str, count: int) -> str:
    """Where the base lies, or, for an import, will lie."""
    if where == "postgresql":
        from sqlalchemy import make_url

        if name == "import":
            return new_database(server, count)
        return make_url(server).set(database=f"nesycd_scale_{count}").render_as_string(hide_password=False)
    path = folder / f"kb-{count}.sqlite"
    if name == "import":
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
    return str(path)


if __name__ == "__main__":
    main()
