"""Choice per question: which of the found items are shown, by how likely each is to help with this very question.

The chances come from a logistic model over what is known before anybody answers (`FEATURES`). It is trained and held against
chance by `nesycd kb effect` (`stages.choice`), and lies in the run's `effect.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nesycd.core.errors import ConfigError
from nesycd.core.protocols import Retriever
from nesycd.core.records import Hit, content_hash
from nesycd.retrieval.words import content_stems

ALGORITHM = 1
"""Part of fingerprints: grows when the same model would choose otherwise."""
FEATURES = (
    "score",
    "below_best",
    "rank",
    "named",
    "reached",
    "lexical",
    "asked_of_item",
    "said_of_question",
    "rule",
    "lesson",
    "block",
    "length",
    "effect",
    "seen",
)
"""Of a hit: its score, and less the best one's; place in the block (from 0); found by a name, over another fact, by words;
share of its words that the question has, and of the question's words that it has; its kind; items in the block; logarithm of
the text's length; the item's shrunk effect on other questions (nats), and the logarithm of 1 + how many these are."""
EFFECT = FEATURES.index("effect")
Matrix = NDArray[np.float64]


def features(question: str, hits: Sequence[Hit], effects: Mapping[str, tuple[float, int]], prior: float) -> Matrix:
    """A row for each hit of a block, of shape (hits, features).

    Args:
        question: in English.
        hits: the whole block, in order.
        effects: by item id, shrunk effect and number of questions that it was seen on.
        prior: effect of an item that was never seen.
    """
    asked = set(content_stems(question))
    rows = []
    for rank, hit in enumerate(hits):
        said = set(content_stems(hit.item.text))
        common = len(asked & said)
        effect, seen = effects.get(hit.item.id, (prior, 0))
        ways = [float(hit.why.startswith(word)) for word in ("names", "hop", "bm25")]
        kinds = [float(hit.item.kind == kind) for kind in ("rule", "lesson")]
        shares = [common / max(1, len(said)), common / max(1, len(asked))]
        rest = [len(hits), math.log(len(hit.item.text)), effect, math.log1p(seen)]
        rows.append([hit.score, hit.score - hits[0].score, rank, *ways, *shares, *kinds, *rest])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))


@dataclass(frozen=True)
class Choice:
    """A trained model, and from which chance on an item is shown.

    Attributes:
        weights: by feature, of the standardised values; those left out count for nothing.
        centre, scale: by feature, what standardises.
        bias: the model's constant.
        threshold: items with a lower chance are not shown.
        effects: see `features`; `prior` too.
    """

    weights: Mapping[str, float]
    centre: Mapping[str, float]
    scale: Mapping[str, float]
    bias: float
    threshold: float
    effects: Mapping[str, tuple[float, int]]
    prior: float

    def chances(self, question: str, hits: Sequence[Hit]) -> list[float]:
        """P(helps) of each hit of a block."""
        rows = features(question, hits, self.effects, self.prior)
        total = np.full(len(hits), self.bias)
        for place, name in enumerate(FEATURES):
            if name in self.weights:
                total += self.weights[name] * (rows[:, place] - self.centre[name]) / self.scale[name]
        return [float(value) for value in 1 / (1 + np.exp(-np.clip(total, -50, 50)))]

    def choose(self, question: str, hits: Sequence[Hit]) -> list[Hit]:
        """The hits that are shown. What was derived was never judged, and stays."""
        chances = self.chances(question, hits)
        return [
            hit
            for hit, chance in zip(hits, chances, strict=True)
            if chance >= self.threshold or hit.why.startswith("derived")
        ]

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides."""
        return content_hash([ALGORITHM, self.to_json()])

    def to_json(self) -> dict[str, Any]:
        """As it stands in `effect.json`."""
        return asdict(self) | {"effects": {item: list(seen) for item, seen in self.effects.items()}}


def read_choice(path: Path) -> Choice:
    """The choice that a measurement in a run's folder offers.

    Raises:
        ConfigError: nothing was measured there, or what was measured is not better than chance.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(
            f"retrieval.choose needs {path}: measure it by nesycd kb effect RECIPE, without retrieval.choose"
        ) from None
    except ValueError:
        raise ConfigError(f"retrieval.choose: {path} is not JSON; measure it anew by nesycd kb effect RECIPE") from None
    told = content.get("choice") if isinstance(content, dict) else None
    if not isinstance(told, dict):
        raise ConfigError(f"retrieval.choose: {path} holds no choice; measure it anew by nesycd kb effect RECIPE")
    if told.get("model") is None:
        raise ConfigError(f"retrieval.choose: {path} offers no choice, since none was better than chance when measured")
    try:
        model = dict(told["model"])
        model["effects"] = {item: (float(value), int(seen)) for item, (value, seen) in model["effects"].items()}
        return Choice(**model)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise ConfigError(f"retrieval.choose: the choice in {path} cannot be read; measure it anew") from None


class ChoosingRetriever:
    """A retriever of whose blocks only the items are shown that are likely to help."""

    def __init__(self, inner: Retriever, choice: Choice) -> None:
        """Wrap the retriever whose blocks the choice was trained on."""
        self._inner, self._choice = inner, choice
        self.fingerprint = content_hash(["choosing", inner.fingerprint, choice.fingerprint])

    @property
    def stopped(self) -> list[str]:
        """See `DerivingRetriever.stopped`."""
        return getattr(self._inner, "stopped", [])

    def retrieve(self, question: str, *, hide: frozenset[str] = frozenset(), task: str = "") -> list[Hit]:
        """See `Retriever.retrieve`."""
        return self._choice.choose(question, self._inner.retrieve(question, hide=hide, task=task))
