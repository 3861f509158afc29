"""Whether a server has the model or the adapter that it names: what would come next at places of a fixed text, there and here.

The next token is asked for as in answering, so that what a server's cache holds of the text is used too: a name that once
stood for other weights is found out. Places lie behind a whole block of any cache (128 tokens on CPUs).

Measured with vLLM 0.32 in bfloat16 against this process, embedded student: distance 0.014 to 0.027 for the same weights, 0.11
to 0.40 between adapters, or adapter and base, that were trained for eleven steps or more. After one step it is 0.02, as that of
equal weights: there only a server that answers by the very model without adapter is found out.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Protocol

from nesycd.core.errors import ModelError
from nesycd.core.records import Targets
from nesycd.core.segments import Segment, own
from nesycd.students.embedded import cache_root
from nesycd.students.remote_api import RemoteServer, margin
from nesycd.students.rendering import Renderer

QUESTION = "What did the crew of the ship do, and how much did the captain pay for it?"
TEXT = (
    "One cable is 100 fathoms, and one fathom is 6 feet, so a cable is 100 x 6 = 600 feet. The ship lies 2 cables "
    "from the shore: 2 x 600 = 1200 feet. On Monday the crew rowed half of the way, on Tuesday the other half. "
    "Every sailor who rowed was paid three shillings; there were eight of them, so the captain paid 8 x 3 = 24 "
    "shillings. Because no one is paid on a feast day, Saint Martin's day, 11 November, cost him nothing. A pound "
    "is 20 shillings, a shilling is 12 pence, and a guinea is 21 shillings, so he had 1 pound and 4 shillings less "
    "than before. The song of the crew was about the sea, the wind and a girl from Portsmouth. Therefore, the "
    "answer is 24."
)
PLACES = 24
"""How many places of the text are looked at."""
EVERY = 3
"""Tokens from one to the next; the last is the text's end."""
FARTHEST = 0.06
"""Mean distance of margins from which on other weights are served; see above."""


class Scores(Protocol):
    """The part of a local student that is needed; see `ScoringStudent`."""

    @property
    def renderer(self) -> Renderer: ...

    def likeliest(
        self, prompts: Sequence[str], completions: Sequence[Sequence[Segment]], *, adapter: Path | None, count: int
    ) -> list[Targets]: ...


@dataclass(frozen=True)
class Seen:
    """The next token at each place, as text, and how far it is ahead of the second (p1 - p2)."""

    tokens: tuple[str, ...]
    margins: tuple[float, ...]

    def distance(self, other: Seen) -> float:
        """Mean difference of the margins; that of a place with another token is their sum. In [0, 2]."""
        pairs = zip(self.tokens, other.tokens, self.margins, other.margins, strict=True)
        return sum(abs(a - b) if one == two else a + b for one, two, a, b in pairs) / len(self.tokens)


def seen_here(student: Scores, adapter: Path | None, name: str) -> Seen:
    """By a local student, which is loaded for it; kept in the cache folder by `name`, which stands for base and adapter."""
    place = cache_root() / "canaries" / f"{name}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        kept = json.loads(place.read_text(encoding="utf-8"))
        if kept["text"] == [QUESTION, TEXT] and len(kept["tokens"]) == len(kept["margins"]) == PLACES:
            return Seen(tuple(kept["tokens"]), tuple(map(float, kept["margins"])))
    # Of three, since the token that stands in the text takes the last place.
    [ranked] = student.likeliest([QUESTION], [own(TEXT)], adapter=adapter, count=3)
    decode = student.renderer.tokenizer.decode
    chosen = [ranked[at] for at in _places(len(ranked))]
    tokens = tuple(str(decode([one[0][0]], skip_special_tokens=True)).strip() for one in chosen)
    made = Seen(tokens, tuple(math.exp(one[0][1]) - math.exp(one[1][1]) for one in chosen))
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        # Others may write the same at the same time.
        with NamedTemporaryFile("w", dir=place.parent, delete=False, encoding="utf-8") as file:
            json.dump({"text": [QUESTION, TEXT], "tokens": tokens, "margins": made.margins}, file)
        os.replace(file.name, place)
    return made


async def seen_there(server: RemoteServer, renderer: Renderer, model: str, extra: dict[str, Any]) -> Seen:
    """By a server. `extra`: what its requests need besides.

    Raises:
        ModelError: it cannot be asked, or tells no log-probabilities of the two likeliest tokens.
    """
    before, written = renderer.prompt_ids(QUESTION), renderer.completion_ids(TEXT)
    prefixes = [[*before, *written[:at]] for at in _places(len(written))]
    body = {"model": model, "max_tokens": 1, "temperature": 0.0, "logprobs": 2, "extra_body": extra}
    # The longest alone first: of the others the server's cache then holds nearly all.
    last = await server.complete(prompt=[prefixes[-1]], **body)
    made = [*(await server.complete(prompt=prefixes[:-1], **body)), *last]
    if len(made) != len(prefixes):
        made = [(await server.complete(prompt=one, **body))[0] for one in prefixes]
    told = min(len(one.ranked[0]) if one.ranked else 0 for one in made)
    if told < 2:
        raise ModelError(
            f"{server.origin}: tells the log-probabilities of {told} tokens where two are asked for, and margins need both: "
            "serve the student by vLLM, with --max-logprobs 2 or more"
        )
    return Seen(tuple(one.text.strip() for one in made), tuple(margin(one.ranked[0]) for one in made))


def _places(length: int) -> list[int]:
    """The places of `length` tokens that are looked at."""
    return list(range(length - 1, -1, -EVERY))[:PLACES][::-1]
