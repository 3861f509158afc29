"""`nesycd export`: a run's student and its knowledge, for transformers, vLLM, llama.cpp and Ollama."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nesycd.cli.runs import Root, size_text

app = typer.Typer()


@app.command()
def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a finished run, or its folder.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to be made.")],
    method: Annotated[str, typer.Option("--method", help="The method whose student is exported.")] = "nesycd",
    adapter_only: Annotated[
        bool, typer.Option("--adapter-only", help="Write the LoRA adapter alone in place of whole weights.")
    ] = False,
    gguf: Annotated[
        str,
        typer.Option(
            "--gguf",
            metavar="TYPE",
            help="Also write a GGUF file (f32, f16, bf16, q8_0 or auto) and a Modelfile, by llama.cpp's converter.",
        ),
    ] = "",
    converter: Annotated[
        str,
        typer.Option(
            "--converter",
            help="llama.cpp's convert_hf_to_gguf.py, or a command that ends in it; not given: $NESYCD_GGUF_CONVERTER, else "
            "the one on PATH.",
        ),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    root: Root = Path("runs"),
) -> None:
    """Write a run's student, with its knowledge, as a folder that other programs load.

    The folder holds whole weights (safetensors), tokenizer, chat template and generation settings; the knowledge base to be
    read (knowledge.yaml) and compiled (base.json); the loop around a student that looks facts up (loop.py); the prompts, a model
    card (README.md) and a manifest (nesycd.json). It appears whole or not at all; the run is only read.

    Examples:

        nesycd export quickstart out/quickstart

        nesycd export quickstart out/quickstart --gguf f16 --converter llama.cpp/convert_hf_to_gguf.py

        nesycd export quickstart out/std-cot --method std_cot --adapter-only

        vllm serve out/quickstart
    """
    from nesycd.api import exporting
    from nesycd.api.finished import open_run

    with open_run(run, root) as opened, Console().status("looking at the run") as status:
        made = exporting.export(
            opened,
            out,
            method,
            adapter_only=adapter_only,
            gguf=gguf,
            converter=converter,
            force=force,
            watch=status.update,
        )
    for name, size in made.files.items():
        typer.echo(f"  {name}  {size_text(size)}")
    for note in made.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"wrote {out}, {size_text(sum(made.files.values()))}; how to run it: {out / 'README.md'}")
