"""A summary of a step's outputs in its run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from nesycd.api.progress import STAGES
from nesycd.core.judgements import Refusal
from nesycd.core.records import Diagnosis, Induction, Rationale, Retrieval
from nesycd.knowledge import KnowledgeBase
from nesycd.runs.predictions import VERDICTS, read_attempts
from nesycd.runs.run import Run, read_records
from nesycd.runs.stage import read_states
from nesycd.stages import collect, rationalise


def print_made(step: str, run: Run, console: Console) -> None:
    """Print counts and files of a step that is done; `evaluate` has its table of results instead."""
    stages = [name for name in run.asked if name.startswith(STAGES[step])]
    console.print(f"{step}: {COUNTED[step](run.folder, stages)}", markup=False, highlight=False, soft_wrap=True)
    for path in _files(run, stages):
        console.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)


def _files(run: Run, stages: Sequence[str]) -> list[Path]:
    places = [
        place
        for name in stages
        for place in (run.folder / "stages" / f"{name}.jsonl", run.folder / "checkpoints" / name)
        if place.exists()
    ]
    return [*places, run.kb_path] if "knowledge" in stages else places


def _rationalised(folder: Path, stages: Sequence[str]) -> str:
    counts = rationalise.counts(read_records(folder, "rationales", Rationale))
    told = "{asked} questions asked; {kept} rationales kept, {wrong} wrong, {failed} failed".format(**counts)
    return f"{told}; {counts['hinted']} of the kept with a hint" if counts["hinted"] else told


def _trained(folder: Path, name: str) -> str:
    report = read_states(folder)[name]["metadata"]
    dropped = f"; {report['dropped']} texts were too long" if report["dropped"] else ""
    return (
        f"trained for {report['steps']} steps on {report['completion_tokens']} completion tokens, "
        f"loss {report['loss']:.3f} at the end{dropped}"
    )


def _collected(folder: Path, stages: Sequence[str]) -> str:
    attempts = [attempt for name in stages if not name.endswith(VERDICTS) for attempt in read_attempts(folder, name)]
    return f"{len(attempts)} answers, {100 * collect.error_rate(attempts):.1f} % of them wrong"


def _diagnosed(folder: Path, stages: Sequence[str]) -> str:
    diagnoses = read_records(folder, "diagnoses", Diagnosis)
    failed = sum(bool(diagnosis.failure) for diagnosis in diagnoses)
    with KnowledgeBase.open(folder / "kb.sqlite", create=False) as kb:
        stats = kb.stats()
    counts = [", ".join(f"{number} {name}" for name, number in stats[by].items()) for by in ("by_kind", "by_status")]
    listed = "".join(f"; {text}" for text in counts if text)
    refused = len(read_records(folder, "refused", Refusal))
    leaks = f"; {refused} refused (leaks, ill-formed or instance-specific)" if refused else ""
    clusters = read_records(folder, "inductions", Induction)
    asked = f"; {len(clusters)} clusters of errors asked about" if clusters else ""
    return f"{len(diagnoses)} answers diagnosed, {failed} failed{asked}; {stats['items']} items{listed}{leaks}"


def _augmented(folder: Path, stages: Sequence[str]) -> str:
    retrievals = read_records(folder, "retrieve-train", Retrieval)
    found = sum(bool(retrieval.hits) for retrieval in retrievals)
    return f"knowledge found for {found} of {len(retrievals)} questions; {_trained(folder, 'augmented')}"


COUNTED: dict[str, Callable[[Path, Sequence[str]], str]] = {
    "rationalise": _rationalised,
    "distil": lambda folder, stages: _trained(folder, "general"),
    "collect": _collected,
    "diagnose": _diagnosed,
    "augment": _augmented,
}
"""A step's counts, from the run folder and the step's stages."""
