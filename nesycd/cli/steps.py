"""The steps of the method as single commands, whose help teaches it: each is `nesycd run --until` its own name."""

from __future__ import annotations

from pathlib import Path

import typer

from nesycd.cli.main import STEPS
from nesycd.cli.run import Limit, Name, Overrides, RecipeFile, RetryFailed, Root, begin

TAUGHT = {
    "rationalise": """
The first of two things to distil is general reasoning. The teacher is asked for a working (a rationale) and an answer
to each training question; a rationale is kept where its answer is right, so what the student learns from is checked.
Sections of the recipe: task, teacher.
""",
    "distil": """
The student is fine-tuned (LoRA) on question in, rationale and answer out. What comes of it is called S_P; it reasons
in the teacher's form, and is the Std-CoT baseline too. Sparse knowledge (old units, feast days) does not stick in a
small model: the next steps put it elsewhere. Sections of the recipe: student, training.
""",
    "collect": """
A question that the student was trained on says little about what it lacks. So the training questions are dealt into
folds, and each is answered by a student that was trained on the other folds only (collection.mode="in_sample" asks S_P
itself, as the paper does). The wrong answers are what is diagnosed next. Section of the
recipe: collection.
""",
    "diagnose": """
The second thing to distil is specialised knowledge, in symbols. The teacher is shown the student's error, the right
answer and its own rationale, and names what was missing: lessons, facts and rules. Equal items are merged, with their
errors as evidence. People can read and edit the base (nesycd kb --help); with knowledge.review="human" nothing counts
before it is approved. Section of the recipe: knowledge.
""",
    "augment": """
Knowledge is retrieved for each training question (an item is hidden from the question that alone gave rise to it), and
the student is trained on three tasks at once: answer with knowledge in the prompt, reason without it, and give the
answer alone. What comes of it is called S_E. After an edit of the knowledge base this is what is redone.
Sections of the recipe: retrieval, augmented.
""",
    "evaluate": """
A router is calibrated on the validation questions: where the student's first draft is sure enough it stands, else
knowledge is retrieved and it answers again. Then every arm (the student untrained, Std-CoT with and without knowledge,
NesyCD with, without, routed, and with perfect retrieval) answers the test questions. Writes results.json and
report.html. Sections of the recipe: router, evaluation.
""",
}
"""What the help of each step says below its summary."""


def _command(step: str) -> typer.Typer:
    app = typer.Typer()
    order = [*STEPS]
    before = ", ".join(order[: order.index(step)])
    earlier = (
        f"The steps before it ({before}) are read back where they are finished, and run where not." if before else ""
    )
    example = f"Example:\n\n    nesycd {step} recipes/quickstart.toml --limit 20 --name smoke"

    @app.command(step, help="\n\n".join([STEPS[step], " ".join(TAUGHT[step].split()), earlier, example]))
    def command(
        recipe: RecipeFile,
        overrides: Overrides = None,
        limit: Limit = None,
        name: Name = "",
        root: Root = Path("runs"),
        retry_failed: RetryFailed = False,
    ) -> None:
        begin(recipe, overrides, limit, name, root, step, retry_failed)

    return app


rationalise = _command("rationalise")
distil = _command("distil")
collect = _command("collect")
diagnose = _command("diagnose")
augment = _command("augment")
evaluate = _command("evaluate")
