"""A teacher on a vLLM server that has the student's vocabulary: it says what it would have written in the student's answers.

It is sent token ids, prompt and answer. That both sides mean the same by them is checked first, since a model with another
vocabulary would answer as readily.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from nesycd.core.errors import ModelError
from nesycd.core.records import Targets
from nesycd.core.sections import OnPolicySection
from nesycd.core.segments import Segment, text_of
from nesycd.llm.address import key_for, origin_of
from nesycd.students.remote_api import RemoteServer
from nesycd.students.rendering import Renderer
from nesycd.students.scoring import candidates
from nesycd.students.served_link import Connection, all_of

SENTENCE = (
    "7 fathoms and 3 feet are 45 feet: [fathoms | makes] 6 feet; 7 x 6 = 42. Ærøskøbing, Łódź, 東京.\n\t- Tschüß!"
)
"""Words, numbers, signs, accents and blanks, which other vocabularies split otherwise."""
AT_ONCE = 8
"""Answers that the server reads at once."""
TIMEOUT = 600.0
"""Seconds after which a request is given up."""


class ServedTeacher:
    """Reads answers on a server, as `ScoringStudent.likeliest` does here.

    Args:
        renderer: of the student, which makes the token ids.
        settings: address, the model's name there, and the environment variable with the server's key.

    Raises:
        ConfigError: an address that cannot be used.
        TeacherError: the key is not set.
    """

    def __init__(self, renderer: Renderer, settings: OnPolicySection) -> None:
        self._renderer, self._settings = renderer, settings
        self._key = key_for(origin_of(settings.server), settings.key_env)

    def check(self) -> None:
        """Look whether it can be asked, and has the student's vocabulary.

        Raises:
            ModelError: it cannot, or has not.
        """
        with self._connected() as (server, run):
            run(_check(server, self._settings.model, self._renderer))

    def likeliest(
        self, prompts: Sequence[str], completions: Sequence[Sequence[Segment]], *, count: int
    ) -> Iterator[Targets]:
        """See `ScoringStudent.likeliest`; in order, each as soon as it is there.

        Raises:
            ModelError: see `check`; or it gives no log-probabilities.
        """
        pairs, model = list(zip(prompts, completions, strict=True)), self._settings.model
        with self._connected() as (server, run):
            run(_check(server, model, self._renderer))
            for start in range(0, len(pairs), AT_ONCE):
                yield from run(_read(server, model, self._renderer, pairs[start : start + AT_ONCE], count))

    @contextmanager
    def _connected(self) -> Iterator[tuple[RemoteServer, Callable[[Coroutine[Any, Any, Any]], Any]]]:
        """The server, and what runs its coroutines."""
        server, link = RemoteServer(self._settings.server, self._key, TIMEOUT, AT_ONCE), Connection()
        try:
            yield server, link.run
        finally:
            link.run(server.close())
            link.close()


async def _check(server: RemoteServer, model: str, renderer: Renderer) -> None:
    """Compare the vocabularies, control tokens of the template included."""
    text = renderer.prompt_text(SENTENCE)
    theirs = await server.tokens(model, text)
    ours = list(renderer.tokenizer(text, add_special_tokens=False).input_ids)
    if theirs != ours:
        raise ModelError(
            f"{server.origin}: {model} has another vocabulary than the student (it splits a sentence into {len(theirs)} tokens, "
            f"the student into {len(ours)}, or gives them other numbers); take a teacher of the student's family"
        )


async def _read(
    server: RemoteServer,
    model: str,
    renderer: Renderer,
    pairs: Sequence[tuple[str, Sequence[Segment]]],
    count: int,
) -> list[Targets]:
    """The targets of some completions, asked for at once."""
    return await all_of([_targets(server, model, renderer, *pair, count) for pair in pairs])


async def _targets(
    server: RemoteServer, model: str, renderer: Renderer, prompt: str, segments: Sequence[Segment], count: int
) -> Targets:
    before = renderer.prompt_ids(prompt)
    written = renderer.completion_ids(text_of(segments))
    supplied = renderer.supplied_places(segments)
    told = await server.prompt_logprobs(model, [*before, *written], count)
    found = []
    for place, token in enumerate(written):
        if place not in supplied:
            values = told[len(before) + place - 1]
            if len(values) < count:
                raise ModelError(
                    f"{server.origin}: tells {len(values)} tokens at a place where {count} were asked for; start vLLM with "
                    f"--max-logprobs {count} or more"
                )
            ranked = sorted(values.items(), key=lambda one: -one[1])[:count]
            found.append(candidates(ranked, token, values[token]))
    return tuple(found)
