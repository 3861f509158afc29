"""Neural-symbolic collaborative distillation: reasoning into a small model, sparse knowledge into an editable knowledge base.

Names are imported at their first use, so `import nesycd` loads no heavy dependency.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nesycd.api.finished import OpenRun, open_run
    from nesycd.api.front import compare, distil, list_methods, load_task, run
    from nesycd.api.reply import Reply
    from nesycd.core.answers import Answer, Attempt, Call, Prediction, Verdict
    from nesycd.core.config import Recipe
    from nesycd.core.errors import NesycdError
    from nesycd.core.records import (
        Diagnosis,
        Entry,
        Evidence,
        Example,
        Fact,
        Hit,
        Lesson,
        Passage,
        Rationale,
        Retrieval,
        Rule,
        RuleTest,
        Status,
        TrainingText,
    )
    from nesycd.core.segments import Segment
    from nesycd.knowledge import KnowledgeBase
    from nesycd.methods.method import Method
    from nesycd.methods.table import register as register_method
    from nesycd.reports.comparison import Comparison

__version__ = "0.1.0"

_PLACES = {
    "nesycd.api.finished": ("OpenRun", "open_run"),
    "nesycd.api.front": ("compare", "distil", "list_methods", "load_task", "run"),
    "nesycd.api.reply": ("Reply",),
    "nesycd.core.answers": ("Answer", "Attempt", "Call", "Prediction", "Verdict"),
    "nesycd.core.config": ("Recipe",),
    "nesycd.core.errors": ("NesycdError",),
    "nesycd.core.records": (
        "Diagnosis",
        "Entry",
        "Evidence",
        "Example",
        "Fact",
        "Hit",
        "Lesson",
        "Passage",
        "Rationale",
        "Retrieval",
        "Rule",
        "RuleTest",
        "Status",
        "TrainingText",
    ),
    "nesycd.core.segments": ("Segment",),
    "nesycd.knowledge": ("KnowledgeBase",),
    "nesycd.methods.method": ("Method",),
    "nesycd.methods.table": ("register_method",),
    "nesycd.reports.comparison": ("Comparison",),
}
"""Module -> its public names."""
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}
_NAMED_ELSE = {"register_method": "register"}
"""Public names that differ from those in their modules."""

__all__ = [
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
]


if not TYPE_CHECKING:  # to a type checker it would offer any name

    def __getattr__(name: str) -> Any:
        """Import a public name.

        Raises:
            AttributeError: there is no such public name.
        """
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_MODULE_OF[name]), _NAMED_ELSE.get(name, name))
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """The public names."""
    return __all__
