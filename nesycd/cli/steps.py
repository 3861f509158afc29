"""The steps of the method as single commands, with help texts that explain it: each is `nesycd run --until` its own name."""

from __future__ import annotations

from pathlib import Path

import typer

from nesycd.cli.main import STEPS
from nesycd.cli.run import Going, Limit, Name, Overrides, RecipeFile, RetryFailed, Root, Yes, begin

TAUGHT = {
    "rationalise": """
General reasoning is distilled first. The teacher is asked for a rationale (chain of thought) and an answer
to each training question; a rationale is kept where its answer is correct, so the student is trained on checked rationales.
Sections of the recipe: task, teacher.
""",
    "distil": """
The student is fine-tuned (LoRA) on question in, rationale and answer out. The result is called S_P and is also
the Std-CoT baseline. A small model does not retain sparse knowledge (old units, feast days) well:
the next steps put it into a knowledge base. Sections of the recipe: student, training.
""",
    "collect": """
A question that the student was trained on says little about what it lacks. So the training questions are split into
folds, and each is answered by a student that was trained on the other folds only (collection.mode="in_sample" uses S_P
itself, as the paper does). The wrong answers are diagnosed in the next step. Section of the
recipe: collection.
""",
    "diagnose": """
Specialised knowledge is distilled second, into a symbolic form. The teacher is shown the student's error, the gold
answer and its own rationale, and gives what was missing: lessons, facts and rules. Equal items are merged, with their
errors as evidence. People can read and edit the base (nesycd kb --help); with knowledge.review="human" nothing is
retrieved before it is approved. Section of the recipe: knowledge.
""",
    "augment": """
Knowledge is retrieved for each training question (except items that come from that question alone), and
the student is trained on three tasks at once: answer with knowledge in the prompt, reason without it, and give the
answer alone. The result is called S_E. After an edit of the knowledge base this step is redone.
Sections of the recipe: retrieval, augmented.
""",
    "evaluate": """
A router is calibrated on the validation questions: where the margin of the closed-book draft is high enough it stands, else
the student answers again with retrieved knowledge. Then every method (the student untrained, Std-CoT with and without knowledge,
NesyCD with, without, routed, and with perfect retrieval) answers the test questions. Writes results.json and
report.html. Sections of the recipe: router, evaluation.
""",
}
"""What the help of each step says below its summary."""


def _command(step: str) -> typer.Typer:
    app = typer.Typer()
    order = [*STEPS]
    before = ", ".join(order[: order.index(step)])
    earlier = f"The steps before it ({before}) are read back if they are finished, and run otherwise." if before else ""
    example = f"Example:\n\n    nesycd {step} recipes/quickstart.toml --limit 20 --name smoke"

    @app.command(step, help="\n\n".join([STEPS[step], " ".join(TAUGHT[step].split()), earlier, example]))
    def command(
        recipe: RecipeFile,
        overrides: Overrides = None,
        limit: Limit = None,
        name: Name = "",
        root: Root = Path("runs"),
        retry_failed: RetryFailed = False,
        yes: Yes = False,
    ) -> None:
        begin(recipe, overrides, limit, name, root, Going(step, retry_failed, yes))

    return app


rationalise = _command("rationalise")
distil = _command("distil")
collect = _command("collect")
diagnose = _command("diagnose")
augment = _command("augment")
evaluate = _command("evaluate")
