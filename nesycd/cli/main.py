"""The command `nesycd`: finds the command asked for, imports only that, and tells a user's mistake in one line.

To add a command, write a file with a `typer.Typer` named `app` and name it in `GROUPS`.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from nesycd import __version__
from nesycd.core.errors import NesycdError, ShardsWait
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

GROUPS = {
    "Start": {
        "demo": ("nesycd.cli.demo", "Show in less than a minute what a base does; nothing is trained."),
        "init": ("nesycd.cli.init", "Write a commented recipe for your own questions."),
        "check": ("nesycd.cli.check", "Look at all that a recipe needs, before anything is computed or paid."),
        "run": ("nesycd.cli.run", "Run a recipe, or resume its run."),
        "results": ("nesycd.cli.results", "Show the results of a run again, or those of several (seeds) together."),
        "ask": ("nesycd.cli.ask", "Answer a question with a run's student and its knowledge base."),
        "runs": ("nesycd.cli.runs", "List the runs."),
        "doctor": ("nesycd.cli.doctor", "Say what is installed, which devices there are, and what is missing."),
    },
    "Knowledge": {
        "kb": ("nesycd.cli.kb:kb_app", "Read, edit, review and exchange a knowledge base."),
        "review": ("nesycd.cli.review", "Review a knowledge base in the browser, and ask the student."),
    },
    "Use": {
        "serve": ("nesycd.cli.serve", "Serve a finished run behind OpenAI's API."),
        "export": (
            "nesycd.cli.export",
            "Write a run's student, with its knowledge, as a folder that other programs load.",
        ),
        "mcp": ("nesycd.cli.mcp", "Serve a knowledge base to agents by the Model Context Protocol."),
    },
    "Measure": {
        "tasks": ("nesycd.cli.tasks", "List the benchmarks, and show their questions."),
        "compare": ("nesycd.cli.compare", "Compare methods, baselines and ablations over seeds."),
        "edits": ("nesycd.cli.edits", "Measure how well answers follow edits of the knowledge base."),
        "router": ("nesycd.cli.router:router_app", "Compare routers, which decide when knowledge is used."),
        "grade": ("nesycd.cli.grade", "Grade stored answers to a benchmark: those of any model, or a run's again."),
        "harness": (
            "nesycd.cli.harness",
            "Evaluate a run by lm-evaluation-harness, knowledge base and router included.",
        ),
    },
    "Advanced": {
        "settings": ("nesycd.cli.settings", "Explain every key of a recipe."),
        **{step: (f"nesycd.cli.steps:{step}", summary) for step, summary in STEPS.items()},
        "stage": ("nesycd.cli.stage", "Do a part of the work that a run has dealt out to many machines."),
        "pack": ("nesycd.cli.pack", "Pack a run or a comparison with all that it reads into one archive."),
        "unpack": ("nesycd.cli.unpack", "Unpack what `nesycd pack` wrote, so that it goes on here."),
        "ledger": ("nesycd.cli.ledger:ledger_app", "Show, export and prune the ledger of paid calls."),
        "clean": ("nesycd.cli.clean", "Remove runs, or only their checkpoints."),
    },
}
"""The commands in the groups of `--help`, in their order: module (`:attribute` where it is not `app`) and summary of each.

A test compares the summaries with what the modules say."""

COMMANDS = {name: told for commands in GROUPS.values() for name, told in commands.items()}
_GROUP_OF = {name: group for group, commands in GROUPS.items() for name in commands}

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
    "programs": ("pydantic_monty",),
    "harness": ("lm_eval",),
    "serve": ("fastapi", "uvicorn", "jinja2", "multipart", "python_multipart", "prometheus_client"),
    "mcp": ("mcp",),
    "scale": ("bitsandbytes",),
    "ray": ("ray",),
}
"""What the extras bring."""


def load(name: str) -> Any:
    """The command behind a name of `COMMANDS`; imports its module."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command = typer.main.get_command(getattr(import_module(module), attribute or "app"))
    command.name = name
    _unwrap(command)
    return command


def _unwrap(command: Any) -> None:
    """Let the paragraphs of a command's help flow as wide as the terminal; examples and lists keep their lines."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(
        text if re.search(r"^[ -]", text, re.MULTILINE) else text.replace("\n", " ") for text in paragraphs
    )
    for one in getattr(command, "commands", {}).values():
        _unwrap(one)


class LazyGroup(TyperGroup):
    """A group that knows its commands' summaries without importing them, and turns errors into one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of `COMMANDS`."""
        return [*COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command if it is loaded, else one that only has a summary: enough for `--help`."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name][1], rich_help_panel=_GROUP_OF[cmd_name])
        return super().get_command(ctx, cmd_name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an argument that is not UTF-8: nothing could store or print it."""
        if odd := next((arg for arg in args if re.search("[\ud800-\udfff]", arg)), ""):
            _tell_error(f"{odd}: not valid UTF-8 text")
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load what is about to be called."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Call the command; a mistake of the user's ends with 2, work that is dealt out with 3, Ctrl-C with 130."""
        try:
            return super().invoke(ctx)
        except ShardsWait as waits:
            typer.echo(printable(str(waits), keep_lines=True))
            raise typer.Exit(3) from None
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
    """On standard error, in a form that a terminal shows and does not obey."""
    typer.echo(f"error: {printable(text, keep_lines=True)}", err=True)


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
    """Distil a large model's reasoning into a small one, and its sparse knowledge into a base people can edit.

    Begin with the embedded benchmark, or with questions of your own:

        nesycd run recipes/quickstart.toml

        nesycd init helpdesk --questions questions.jsonl

        nesycd check helpdesk.toml

        nesycd run helpdesk.toml

    Then read what it learned (nesycd kb list), change it (nesycd kb edit), ask (nesycd ask), and run the recipe again.
    """
