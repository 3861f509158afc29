"""The definition of a method as a value. `methods.table` lists all methods; `methods.predict` prompts their students."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nesycd.core.config import Recipe
    from nesycd.methods.context import Context
    from nesycd.runs.stage import Artifact

Role = Literal["method", "baseline", "ceiling", "diagnostic", "rival", "ablation"]
"""A method's part in reports: `method` (NesyCD itself), `baseline` (answered in the same run), `ceiling` (given exactly the
needed facts), `diagnostic` (helps to explain another method), `rival` (published method), `ablation` (NesyCD with one change)."""
PromptForm = Literal["question", "zero_shot", "few_shot", "answer_only", "two_stage"]
"""`question`: the question, after the retrieved context where there is some; `zero_shot`: the same with instructions, for the
untrained student; `few_shot`: after worked examples; `answer_only`: asks for the answer without a rationale; `two_stage`: first
for the rationale, then, after it, for the answer (CasCoD)."""
Source = Literal["", "kb", "read", "corpus", "oracle", "distracting", "all", "shuffled", "rules", "parsed", "stated"]
"""Where the knowledge in a prompt comes from: `kb` (retrieved from the knowledge base), `read` (what stays to be read of
these, where facts are looked up), `corpus` (passages retrieved from a corpus), `oracle` (exactly the facts that the question
needs), `distracting` (what the retriever finds when these are hidden), `all` (the whole knowledge base), `shuffled` (as `read`,
of a base whose items have exchanged their contents). With the others there is no prompt, and the rules answer without a student:
on the entities that the question names (`rules`), on what the benchmark's own parser reads in it (`parsed`), on what it states by
its gold derivation (`stated`)."""
BY_RULES: frozenset[Source] = frozenset({"rules", "parsed", "stated"})
"""The sources with which no student answers."""
CallSource = Literal["", "kb", "nothing", "gold", "rationales", "shuffled", "programs"]
"""Where a method's look-ups are answered from: "" (it makes none), `kb` (the knowledge base), `nothing` (all come back empty),
`gold` (the facts that the question needs, whatever the student asks for), `rationales` (the facts that the kept rationales state,
errors or not), `shuffled` (the knowledge base, whose items have exchanged their contents). `programs`: it looks nothing up, but
writes a program, which is run."""
Train = Callable[["Context", "Method"], "Artifact"]
Changes = Callable[["Recipe"], Sequence[str]]
BASE = ""
"""As `Method.student`: the untrained student."""


@dataclass(frozen=True, repr=False)
class Method:
    """One row of the table.

    Attributes:
        name: in recipes, on the command line, in results.
        about: description for users, without a full stop.
        role: see `Role`.
        student: name of the method whose student answers (its own name where it trains one); `BASE`: the untrained student.
        train: called with the run's context and this method; fine-tunes the student, or finds it trained, and returns its
            adapter; None where the student is another method's.
        trained_on: what a student of its own learns from: the teacher's rationales, or gold answers alone.
        like: the method whose training texts and prompts it shares, where its student also learns from answers that were sampled
            to the training questions; "": it learns from no such answers.
        rounds: whether these are its own student's, in rounds, and what a teacher would have written in them is learned; else the
            right ones of the other method's student are.
        prompt: see `PromptForm`.
        source: see `Source`.
        passages: most passages of a corpus in a prompt; RAFT trains with this number of documents, of either source.
        calls: see `CallSource`. Sums are computed for every method alike, where the recipe says so.
        router: whether the student first answers closed-book, and gets knowledge only where the run's router asks for it.
        reads_base: whether its student is trained on the content of the knowledge base (or its answers are the base's rules').
        changes: given a recipe, the settings of a run of its own in which it is answered; None: it is answered in the recipe's.
        answered_by: with `changes`: the method of that run whose answers are taken.
        against: methods that a run's report compares it with.
        plotted: whether it is drawn in plots with room for few methods.
        default: whether it is evaluated where a recipe names no methods.
        version: raised when the same inputs would give other training texts or prompts.
    """

    name: str
    about: str
    role: Role
    student: str = BASE
    train: Train | None = None
    trained_on: Literal["rationales", "answers"] = "rationales"
    like: str = ""
    rounds: bool = False
    prompt: PromptForm = "question"
    source: Source = ""
    passages: int = 3
    calls: CallSource = ""
    router: bool = False
    reads_base: bool = False
    changes: Changes | None = None
    answered_by: str = "nesycd"
    against: tuple[str, ...] = ()
    plotted: bool = False
    default: bool = False
    version: int = 1

    def __repr__(self) -> str:
        """Name and description."""
        return f"<method {self.name}: {self.about}>"

    @property
    def beside(self) -> bool:
        """Whether it needs a run of its own with other settings, as ablations do, and is not answered in an existing one."""
        return self.changes is not None

    @property
    def uses_base(self) -> bool:
        """Whether its student is trained on, reads or looks up what the run's knowledge base holds."""
        return self.reads_base or self.calls == "kb" or self.source in ("kb", "read", "all")

    @property
    def shows_knowledge(self) -> bool:
        """Whether its prompts may contain knowledge."""
        return self.source not in ("", *BY_RULES)
