"""The command `nesycd`: finds the command asked for, imports only that, and tells a user's mistake in one line.

To add a command, write a file with a `typer.Typer` named `app` and name it in `COMMANDS`.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from nesycd import __version__
from nesycd.core.errors import NesycdError
from nesycd.core.text import printable

STEPS = {
    "rationalise": "Step 1a: have the teacher write a rationale for each training question.",
    "distil": "Step 1b: fine-tune the student on these rationales (general distillation).",
    "collect": "Step 2: let the student answer the training questions, to see what it lacks.",
    "diagnose": "Step 3: turn its errors into a knowledge base (symbolic distillation).",
    "augment": "Step 4: fine-tune the student to reason with and without that knowledge (augmented distillation).",
    "evaluate": "Measure: answer the test questions by every method, and write the report.",
}
"""The steps of the method in their order, each with its summary: commands, and what `nesycd run --until` knows."""

STEPS_PANEL = "The method step by step"

COMMANDS = {
    "init": ("nesycd.cli.init", "Write a commented recipe for your own questions."),
    "check": ("nesycd.cli.check", "Look at all that a recipe needs, before anything is computed or paid."),
    "run": ("nesycd.cli.run", "Run a recipe, or resume its run."),
    **{step: (f"nesycd.cli.steps:{step}", summary) for step, summary in STEPS.items()},
    "compare": ("nesycd.cli.compare", "Compare methods, baselines and ablations over seeds."),
    "edits": ("nesycd.cli.edits", "Measure how well answers follow edits of the knowledge base."),
    "ask": ("nesycd.cli.ask", "Answer a question with a run's student and its knowledge base."),
    "router": ("nesycd.cli.router:router_app", "Compare routers, which decide when knowledge is used."),
    "kb": ("nesycd.cli.kb:kb_app", "Read, edit, review and exchange a knowledge base."),
    "runs": ("nesycd.cli.runs", "List the runs."),
    "results": ("nesycd.cli.results", "Show the results of a run again, or those of several (seeds) together."),
    "pack": ("nesycd.cli.pack", "Pack a run or a comparison with all that it reads into one archive."),
    "unpack": ("nesycd.cli.unpack", "Unpack what `nesycd pack` wrote, so that it goes on here."),
    "clean": ("nesycd.cli.clean", "Remove runs, or only their checkpoints."),
    "ledger": ("nesycd.cli.ledger:ledger_app", "Show, export and prune the ledger of paid calls."),
    "settings": ("nesycd.cli.settings", "Explain every key of a recipe."),
    "tasks": ("nesycd.cli.tasks", "List the benchmarks, and show their questions."),
    "grade": ("nesycd.cli.grade", "Grade stored answers to a benchmark: those of any model, or a run's again."),
    "harness": ("nesycd.cli.harness", "Evaluate a run by lm-evaluation-harness, knowledge base and router included."),
    "doctor": ("nesycd.cli.doctor", "Say what is installed, which devices there are, and what is missing."),
}
"""Module (`:attribute` where it is not `app`) and summary of each command, in the order of `--help`.

A test compares the summaries with what the modules say."""

EXTRAS = {
    "student": ("torch", "transformers", "tokenizers", "peft", "safetensors", "gguf", "accelerate"),
    "api": ("openai",),
    "anthropic": ("anthropic",),
    "postgres": ("psycopg",),
    "rdf": ("rdflib",),
    "xlsx": ("openpyxl",),
    "dense": ("sentence_transformers", "wordllama"),
    "hub": ("datasets", "pyarrow", "huggingface_hub"),
    "math": ("math_verify", "latex2sympy2_extended", "sympy"),
    "rules": ("clingo",),
    "harness": ("lm_eval",),
}
"""What the extras bring."""


def load(name: str) -> Any:
    """The command behind a name of `COMMANDS`; imports its module."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = typer.main.get_command(getattr(import_module(module), attribute or "app"))
    command.name = name
    return command


class LazyGroup(TyperGroup):
    """A group that knows its commands' summaries without importing them, and turns errors into one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of `COMMANDS`."""
        return [*COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command if it is loaded, else one that only has a summary: enough for `--help`."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            panel = STEPS_PANEL if cmd_name in STEPS else None
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1], rich_help_panel=panel)
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an argument that is not UTF-8: nothing could store or print it."""
        if odd := next((arg for arg in args if re.search("[\ud800-\udfff]", arg)), ""):
            raise typer.BadParameter(f"{printable(odd)} is not valid UTF-8 text", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load what is about to be called."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Call the command; a mistake of the user's ends with 2, Ctrl-C with 130."""
        try:
            return super().invoke(ctx)
        except NesycdError as error:
            _tell_error(str(error))
            raise typer.Exit(2) from None
        except OSError as error:
            # A file that is not there, or may not be read or written; others (a closed pipe) name no file.
            if error.filename is None:
                raise
            _tell_error(f"{error.filename}: {error.strerror or error}")
            raise typer.Exit(2) from None
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            extra = next((extra for extra, libraries in EXTRAS.items() if missing in libraries), "")
            if not extra:
                raise
            _tell_error(f"{error.name} is not installed; get it by: pip install 'nesycd[{extra}]'")
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            typer.echo("\ninterrupted; run the same command again to go on", err=True)
            raise typer.Exit(130) from None


def _tell_error(text: str) -> None:
    """One line on standard error, which a terminal shows and does not obey."""
    typer.echo(f"error: {printable(' '.join(text.split()))}", err=True)


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nesycd {__version__} (Python {sys.version.partition(' ')[0]})")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Distil a large model's reasoning into a small one, and its sparse knowledge into a base people can edit."""
