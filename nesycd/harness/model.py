"""The model `nesycd` of the harness. Importing this module makes the harness know it by that name.

Texts go in and come out by way of the very `Answerer` that `nesycd kb test` asks; what a request means is `questions`' part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from tqdm import tqdm

from nesycd import __version__
from nesycd.cli.answering import ARMS, open_answerer
from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Generation, Prompt
from nesycd.core.records import Example, content_hash
from nesycd.harness.questions import Request
from nesycd.methods.answering import Answerer, Asked
from nesycd.routing import AlwaysRouter
from nesycd.runs.folders import find_run, newest_run

CACHE_KEY = "nesycd"
"""Where a response cache of the harness says whose answers it holds."""

_NO_DRAFT = Generation("", 0.0, 0.0, 0, 0, "stop")
"""What a router reads that needs no draft."""


@register_model("nesycd")
class RunModel(LM):  # type: ignore[misc]
    """A finished run, with its knowledge base as it is now.

    Args:
        run: its name, or its folder; the newest finished one if not given.
        arm: `nesycd_routed`, `nesycd` (always with what is found), `nesycd_no_kb` or `std_cot`.
        root: the folder with the runs.
        batch_size, max_batch_size, device: not read, since the harness always gives them: batches are planned as in the run,
            and the device is the recipe's.
        others: none is known; they are taken to be refused by name.

    Raises:
        ConfigError: no such arm, or another argument.
        RunError: the run is not finished, or its adapters are gone.

    Example:
        ```
        from lm_eval import simple_evaluate
        from nesycd.harness.model import RunModel

        results = simple_evaluate(model=RunModel("runs/quickstart", "nesycd"), tasks=["gsm8k"])
        ```
    """

    def __init__(
        self,
        run: str | Path = "",
        arm: str = ARMS[0],
        root: str | Path = "runs",
        batch_size: Any = None,
        max_batch_size: Any = None,
        device: Any = None,
        **others: Any,
    ) -> None:
        super().__init__()
        if others:
            raise ConfigError(f"model_args: {next(iter(others))} is not known (known: run, arm, root)")
        root = Path(root)
        self.folder = find_run(root, str(run)) if str(run) else newest_run(root, "results.json", finished=True)
        self.arm = arm
        self.answerer, students = open_answerer(self.folder, arm)
        self.identity = content_hash([students, self.answerer.knowledge.fingerprint])
        """Of all that decides an answer but the request: changes with every edit of the knowledge base."""

    # --- what the harness asks ----------------------------------------------------------------------------------------

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The answers to these requests, in their order; each goes into the harness's cache once it is known.

        Raises:
            ConfigError, DataError: see `Request.read`.
        """
        task, most = self.answerer.task.name, self.answerer.max_new_tokens
        asked = [
            Request.read(number, one.args[0], one.args[1], one.doc, task, most) for number, one in enumerate(requests)
        ]
        by_limit: dict[int, list[Example]] = defaultdict(list)
        for request in asked:
            by_limit[request.limit].append(request.example)
        texts: dict[int, str] = {}
        with tqdm(total=len(requests), desc=f"{self.folder.name} {self.arm}", disable=disable_tqdm) as bar:
            for limit, examples in by_limit.items():
                for uid, response in responses(replace(self.answerer, max_new_tokens=limit), examples):
                    number = int(uid)
                    # Greedy text before a stop string does not hang on what follows: the router read the whole draft.
                    texts[number] = asked[number].cut(response)
                    self.cache_hook.add_partial("generate_until", requests[number].args, texts[number])
                    bar.update()
        return [texts[number] for number in range(len(requests))]

    def loglikelihood(self, requests: list[Any]) -> NoReturn:
        """Refused.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(
            f"task {_name(requests)}: it compares likelihoods of given texts (output_type loglikelihood or multiple_choice), but "
            "a finished run writes answers; take a task with output_type: generate_until"
        )

    def loglikelihood_rolling(self, requests: list[Any]) -> NoReturn:
        """Refused, as `loglikelihood`."""
        self.loglikelihood(requests)

    # --- chat templates, cache, report --------------------------------------------------------------------------------

    tokenizer_name = "nesycd"

    def chat_template(self, chat_template: bool | str = False) -> str:
        """None of the harness's.

        Raises:
            ConfigError: one is asked for.
        """
        if chat_template:
            raise ConfigError("apply_chat_template: leave it out; the run builds its prompts and turns itself")
        return ""

    def apply_chat_template(self, chat_history: Any, add_generation_prompt: bool = True) -> str:
        """Refused, see `chat_template`."""
        return self.chat_template(True)

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Take the harness's response cache, which knows requests but not who answered them.

        Raises:
            ConfigError: it holds answers of another run, arm or state of the knowledge base, or of another model.
        """
        kept = cache_hook.dbdict
        if kept is not None:
            if len(kept) and kept.get(CACHE_KEY) != self.identity:
                raise ConfigError(
                    f"use_cache {kept.filename}: it holds answers of another run, arm, knowledge or model; delete it, or name "
                    "another"
                )
            kept[CACHE_KEY] = self.identity
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict[str, Any]:
        """What the harness's results say of the model."""
        knowledge = self.answerer.knowledge
        return {
            "nesycd_run": str(self.folder),
            "nesycd_arm": self.arm,
            "nesycd_items": len(knowledge.entries),
            "nesycd_identity": self.identity,
            "nesycd_version": __version__,
        }


def responses(answerer: Answerer, examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
    """`Example.uid` and response of each question, as they come: drafts that stand first, then answers with knowledge.

    Each adapter answers all that it has to in planned batches, as in the run's own evaluation.
    """
    routed: list[Asked] = []
    if isinstance(answerer.router, AlwaysRouter):
        routed = answerer.ask(examples, [_NO_DRAFT] * len(examples))
    else:
        for batch in _batches(answerer, [answerer.prompts.closed_book(example) for example in examples]):
            members = [examples[index] for index in batch]
            for one in answerer.ask(members, answerer.draft(members)):
                if one.routed:
                    routed.append(one)
                else:
                    yield one.example.uid, one.draft.text
    # In the order of the questions: that is the order in which a run plans them.
    place = {example.uid: index for index, example in enumerate(examples)}
    routed.sort(key=lambda one: place[one.example.uid])
    for batch in _batches(answerer, [one.prompt for one in routed]):
        members_asked = [routed[index] for index in batch]
        for one, reply in zip(members_asked, answerer.answer(members_asked), strict=True):
            yield one.example.uid, reply.response


def _batches(answerer: Answerer, texts: Sequence[str]) -> list[list[int]]:
    return answerer.student.plan([Prompt(str(index), text) for index, text in enumerate(texts)]) if texts else []


def _name(requests: Sequence[Any]) -> str:
    return str(getattr(requests[0], "task_name", None) or "?") if requests else "?"
