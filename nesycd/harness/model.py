"""The model `nesycd` of the harness. Importing this module makes the harness know it by that name.

Texts go in and come out by way of the very `OpenRun` that `nesycd ask` opens; what a request means is `questions`' part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from tqdm import tqdm

from nesycd import __version__
from nesycd.api.finished import open_run
from nesycd.core.errors import ConfigError
from nesycd.core.records import Example, content_hash
from nesycd.harness.questions import Request
from nesycd.methods.table import ROUTED

CACHE_KEY = "nesycd"
"""Where a response cache of the harness says whose answers it holds."""


@register_model("nesycd")
class RunModel(LM):  # type: ignore[misc]
    """A finished run, with its knowledge base as it is now.

    Args:
        run: its name, or its folder; the newest finished one if not given.
        method: by which the run answers (`nesycd compare --list`); not given: `nesycd_routed`.
        root: the folder with the runs.
        batch_size, max_batch_size, device: not read, since the harness always gives them: batches are planned as in the run,
            and the device is the recipe's.
        others: none is known; they are taken to be refused by name.

    Raises:
        ConfigError: no such method, or another argument.
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
        method: str = ROUTED,
        root: str | Path = "runs",
        batch_size: Any = None,
        max_batch_size: Any = None,
        device: Any = None,
        **others: Any,
    ) -> None:
        super().__init__()
        if others:
            raise ConfigError(f"model_args: {next(iter(others))} is not known (known: run, method, root)")
        self.run = open_run(run, root)
        self.method = method
        self.knowledge = self.run.knowledge()
        self.run.way(method)  # a method that cannot be asked is told at once
        self.identity = content_hash([self.run.identity(method), self.knowledge.fingerprint])
        """Of all that decides an answer but the request: changes with every edit of the knowledge base."""

    # --- what the harness asks ----------------------------------------------------------------------------------------

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The answers to these requests, in their order; each goes into the harness's cache once it is known.

        Raises:
            ConfigError, DataError: see `Request.read`.
        """
        task, most = self.run.task.name, self.run.recipe.student.max_new_tokens
        asked = [
            Request.read(number, one.args[0], one.args[1], one.doc, task, most) for number, one in enumerate(requests)
        ]
        by_limit: dict[int, list[Example]] = defaultdict(list)
        for request in asked:
            by_limit[request.limit].append(request.example)
        texts: dict[int, str] = {}
        with tqdm(total=len(requests), desc=f"{self.run.folder.name} {self.method}", disable=disable_tqdm) as bar:
            for limit, examples in by_limit.items():
                for one in self.run.respond(examples, self.method, limit):
                    number = int(one.example.uid)
                    # Greedy text before a stop string does not hang on what follows: the router read the whole draft.
                    texts[number] = asked[number].cut(one.response)
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
            ConfigError: it holds answers of another run, method or state of the knowledge base, or of another model.
        """
        kept = cache_hook.dbdict
        if kept is not None:
            if len(kept) and kept.get(CACHE_KEY) != self.identity:
                raise ConfigError(
                    f"use_cache {kept.filename}: it holds answers of another run, method, knowledge or model; delete it, or name "
                    "another"
                )
            kept[CACHE_KEY] = self.identity
        super().set_cache_hook(cache_hook)

    def get_model_info(self) -> dict[str, Any]:
        """What the harness's results say of the model."""
        return {
            "nesycd_run": str(self.run.folder),
            "nesycd_method": self.method,
            "nesycd_items": len(self.knowledge.entries),
            "nesycd_identity": self.identity,
            "nesycd_version": __version__,
        }


def _name(requests: Sequence[Any]) -> str:
    return str(getattr(requests[0], "task_name", None) or "?") if requests else "?"
