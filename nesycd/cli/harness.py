"""`nesycd harness`: EleutherAI's lm-evaluation-harness with a finished run as its model."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from nesycd.core.errors import ConfigError

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def harness(
    context: typer.Context,
    run: Annotated[
        str, typer.Option("--run", help="A run's name, or its folder; the newest finished one if not given.")
    ] = "",
    root: Annotated[str, typer.Option("--root", help="The folder with the runs.")] = "",
    method: Annotated[
        str,
        typer.Option("--method", help="Method that answers (nesycd compare --list); nesycd_routed if not given."),
    ] = "",
) -> None:
    """Evaluate a run by lm-evaluation-harness, knowledge base and router included.

    All further options are those of `lm-eval run`, which does the work; the model is `nesycd` where no --model is given, and
    --model_args run=...,method=... says the same as --run and --method. Only tasks that have answers generated
    (output_type: generate_until) can be asked; see docs/harness.md.

    Examples:

        nesycd harness --run quickstart --tasks gsm8k --limit 20

        nesycd harness --run quickstart --method std_cot --include_path my-tasks --tasks my_task
    """
    given = {key: value for key, value in (("run", run), ("root", root), ("method", method)) if value}
    if given and any(word.partition("=")[0] in ("--model_args", "-a") for word in context.args):
        raise ConfigError(f"--{next(iter(given))} and --model_args say which run it is, both: put all into one of them")
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.registry import model_registry

    if "nesycd" not in model_registry:
        # The harness imports it when it is asked for: what opens runs as a command does stands above the commands.
        model_registry.register("nesycd", target="nesycd.harness.model:RunModel")
    words = list(context.args)
    if not any(word in ("--model", "-M") or word.startswith("--model=") for word in words):
        words = ["--model", "nesycd", *words]
    arguments = ["--model_args", json.dumps(given)] if given else []
    before, sys.argv = sys.argv, ["lm-eval", "run", *arguments, *words]
    try:
        cli_evaluate()
    finally:
        sys.argv = before
