"""What the knowledge base is claimed to do, measured in copies of a finished run (`docs/knowledge-claims.md`).

    OMP_NUM_THREADS=1 python benchmarks/knowledge_claims.py distractors runs/quickstart --count 10000
    OMP_NUM_THREADS=1 python benchmarks/knowledge_claims.py rules runs/quickstart [--by-hand] [--retrain]
    OMP_NUM_THREADS=1 python benchmarks/knowledge_claims.py prune runs/quickstart
    OMP_NUM_THREADS=1 python benchmarks/knowledge_claims.py noise runs/compare-longtail/seed-0 [--sizes 4,8]
    OMP_NUM_THREADS=1 python benchmarks/knowledge_claims.py deletions runs/quickstart --count 40
    OMP_NUM_THREADS=1 python benchmarks/knowledge_claims.py lying runs/quickstart --share 0.1 [--always] [--effect]

Each works in a folder of its own beside the run (`--work` names another), prints a table and writes its figures there as JSON.
Interrupted, the same command goes on where it was. The run itself is only read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claims import deletions, distractors, lying, noise, prune, rules
from rich.console import Console

from nesycd.core.errors import NesycdError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = made.add_subparsers(dest="command", required=True)

    def command(name: str, told: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=told, description=told)
        sub.add_argument("run", type=Path, help="the folder of a finished run")
        sub.add_argument("--work", type=Path, help="the folder to work in; not given: beside the run")
        sub.add_argument(
            "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of the recipe"
        )
        return sub

    sub = command("distractors", distractors.__doc__ or "")
    sub.add_argument("--count", type=int, default=10_000, help="made-up facts")
    sub.add_argument("--shared-names", type=int, default=0, help="namesakes of an entity that bear its plain name too")
    sub = command("deletions", (deletions.__doc__ or "").partition("\n")[0])
    sub.add_argument("--count", type=int, default=40, help="facts to delete")
    sub = command("rules", rules.__doc__ or "")
    sub.add_argument("--by-hand", action="store_true", help="add the benchmark's own rules, as a person would")
    sub.add_argument("--retrain", action="store_true", help="train an S_E for each variant, too")
    sub = command("prune", prune.__doc__ or "")
    sub.add_argument("--no-effect", action="store_true", help="do not measure effects where there is no effect.json")
    sub = command("noise", (noise.__doc__ or "").partition("\n")[0])
    sub.add_argument(
        "--sizes", type=_sizes, default=(4, 8), metavar="N,N", help="items of a context, with commas between"
    )
    sub = command("lying", lying.__doc__ or "")
    sub.add_argument("--share", type=float, default=0.1, help="share of lies, 0 to 1")
    sub.add_argument("--always", action="store_true", help="lie about a fact always or never, not each time anew")
    sub.add_argument("--effect", action="store_true", help="measure effects, too")
    return made


def _sizes(text: str) -> tuple[int, ...]:
    numbers = tuple(int(word) for word in text.split(","))
    if min(numbers) < 1:
        raise ValueError
    return numbers


def execute(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Do what the command line says.

    Raises:
        NesycdError: a run that cannot be measured.
    """
    suffix = given.command
    if given.command == "distractors":
        suffix += f"-{given.count}" + (f"-{given.shared_names}" if given.shared_names else "")
    if given.command == "lying":
        suffix += f"-{given.share:g}" + ("-always" if given.always else "")
    if given.command == "rules" and given.by_hand:
        suffix += "-by-hand"
    run = given.run.resolve()
    work = given.work or run.with_name(f"{run.name}-{suffix}")
    common = (run, work, given.set, console)
    if given.command == "distractors":
        return distractors.measure(*common, count=given.count, shared_names=given.shared_names)
    if given.command == "deletions":
        return deletions.measure(*common, count=given.count)
    if given.command == "rules":
        return rules.measure(*common, by_hand=given.by_hand, retrain=given.retrain)
    if given.command == "prune":
        return prune.measure(*common, effect=not given.no_effect)
    if given.command == "noise":
        return noise.measure(*common, sizes=given.sizes)
    return lying.measure(*common, share=given.share, always=given.always, effect=given.effect)


def main(words: Sequence[str] | None = None) -> int:
    """Run a command; 2 where the user's input is wrong."""
    try:
        execute(parser().parse_args(words), Console())
    except NesycdError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
