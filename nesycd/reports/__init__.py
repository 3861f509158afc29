"""What a run is shown as: intervals, `results.json`, a terminal table and one self-contained page.

Reports read run folders and plain records only; they know neither models nor stages.
"""

from nesycd.reports.advice import print_advice
from nesycd.reports.build import Evaluation, build_results
from nesycd.reports.page import write_report
from nesycd.reports.results import load_results
from nesycd.reports.spread import print_spread, spread_of_runs
from nesycd.reports.stats import accuracy_interval, paired_difference
from nesycd.reports.terminal import print_results

__all__ = [
    "Evaluation",
    "accuracy_interval",
    "build_results",
    "load_results",
    "paired_difference",
    "print_advice",
    "print_results",
    "print_spread",
    "spread_of_runs",
    "write_report",
]
