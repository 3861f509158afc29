"""Dense retrieval: texts as vectors of a small language model, compared exactly. The only module outside of students that may
load one, and only when an embedder is made.

Vectors are of unit length, so that a dot product is a cosine. They are cached on disk by model and text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nesycd.core.errors import ModelError
from nesycd.core.records import content_hash
from nesycd.retrieval.arrays import load_arrays, save_arrays
from nesycd.retrieval.live import best

Vectors = NDArray[np.float32]
WORDLLAMA = "wordllama"
"""The model that lies inside the package of that name: static, 256 numbers a text, no network and no torch."""
_DIGEST = 16


class Embedder(Protocol):
    """Turns texts into vectors of unit length (zero vectors for texts without content)."""

    fingerprint: str
    """Hash of all that the vectors depend on."""
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (number of texts, dimensions)."""
        ...


class WordLlamaEmbedder:
    """The static model inside the package `wordllama`."""

    dimensions = 256

    def __init__(self) -> None:
        """Load it; takes about half a second."""
        from importlib.metadata import version

        import wordllama

        # A cache folder must be named, and is never looked into: the package's own files are found first.
        self._model: Any = wordllama.WordLlama.load(
            cache_dir=Path(wordllama.__file__).parent, dim=self.dimensions, disable_download=True
        )
        self.fingerprint = content_hash([WORDLLAMA, version("wordllama"), self.dimensions])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        return _unit(np.asarray(self._model.embed(list(texts), norm=False), dtype=np.float32))


class SentenceEmbedder:
    """Any model that sentence-transformers can load."""

    def __init__(self, model: str, device: str | None = None) -> None:
        """Load a model by Hugging Face id or folder.

        Raises:
            ModelError: it cannot be loaded.
        """
        from sentence_transformers import SentenceTransformer

        try:
            self._model: Any = SentenceTransformer(model, device=device, trust_remote_code=False)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(f"retrieval.model {model}: cannot be loaded for dense retrieval: {reason}") from None
        probe = self.embed(["What is the length of a fathom?"])
        self.dimensions = int(probe.shape[1])
        # A folder may be overwritten and an id may be updated: what the model says tells it from others.
        self.fingerprint = content_hash([model, self.dimensions, np.round(probe, 4).tolist()])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        if not texts:
            return np.zeros((0, self.dimensions), dtype=np.float32)
        made = self._model.encode(list(texts), batch_size=64, show_progress_bar=False, convert_to_numpy=True)
        return _unit(np.asarray(made, dtype=np.float32))


def embedder_of(model: str) -> Embedder:
    """The embedder that a recipe names: `wordllama`, or a model of sentence-transformers."""
    return WordLlamaEmbedder() if model == WORDLLAMA else SentenceEmbedder(model)


class CachedEmbedder:
    """An embedder that keeps what it made in a file, by hash of the text; another model's file is another one."""

    def __init__(self, embedder: Embedder, folder: Path) -> None:
        """Read what was kept in `folder`."""
        self._embedder = embedder
        self.fingerprint, self.dimensions = embedder.fingerprint, embedder.dimensions
        self._path = folder / f"embeddings-{embedder.fingerprint}"
        self._vectors: dict[bytes, Vectors] = self._read()
        self._kept = len(self._vectors)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`."""
        keys = [_digest(text) for text in texts]
        lacking = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors}
        made = self._embedder.embed([*lacking.values()])
        self._vectors.update(zip(lacking, made, strict=True))
        return np.stack([self._vectors[key] for key in keys]) if keys else made

    def save(self) -> None:
        """Write what is kept, together with what other processes have kept meanwhile.

        Raises:
            RunError: the disk is full, or the place cannot be written.
        """
        if len(self._vectors) == self._kept:
            return
        together = self._read() | self._vectors
        keys = np.frombuffer(b"".join(together), dtype=np.uint8).reshape(-1, _DIGEST)
        vectors = np.stack([*together.values()]) if together else np.zeros((0, self.dimensions), dtype=np.float32)
        save_arrays(self._path, self.fingerprint, {"keys": keys, "vectors": vectors})
        self._kept = len(self._vectors)

    def _read(self) -> dict[bytes, Vectors]:
        stored = load_arrays(self._path, self.fingerprint)
        if stored is None:
            return {}
        return {bytes(key): vector for key, vector in zip(stored["keys"], stored["vectors"], strict=True)}


class VectorIndex:
    """Exact search for the nearest of vectors that come and go, under numbers of the caller's."""

    def __init__(self, dimensions: int) -> None:
        """Start empty."""
        self._matrix: Vectors = np.zeros((0, dimensions), dtype=np.float32)
        self._numbers = np.zeros(0, dtype=np.int64)
        self._keys = np.zeros(0, dtype=np.uint64)
        self._places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, texts: Mapping[int, int], vectors: Vectors) -> None:
        """Take in vectors of shape (n, dimensions): `texts` has number and key (see `live`) of each."""
        here, end = len(self._places), len(self._places) + len(texts)
        if end > len(self._matrix):
            # Grown by doubling, so that one text more does not copy all of them each time.
            size = max(end, 2 * here if here else end)
            for name in ("_matrix", "_numbers", "_keys"):
                old = getattr(self, name)
                new = np.zeros((size, *old.shape[1:]), dtype=old.dtype)
                new[:here] = old[:here]
                setattr(self, name, new)
        self._matrix[here:end] = vectors
        self._numbers[here:end], self._keys[here:end] = list(texts), list(texts.values())
        self._places.update((number, here + n) for n, number in enumerate(texts))

    def remove(self, numbers: Iterable[int]) -> None:
        """Forget vectors; the last one takes the place of each."""
        for number in numbers:
            place, last = self._places.pop(number), len(self._places)
            if place != last:
                self._matrix[place], self._keys[place] = self._matrix[last], self._keys[last]
                self._numbers[place] = self._numbers[last]
                self._places[int(self._numbers[place])] = place

    def top(self, vector: Vectors, most: int, allowed: NDArray[np.bool_] | None = None) -> list[tuple[int, float]]:
        """Numbers and cosines of the nearest, nearest first; equal ones in the order of their keys.

        Args:
            vector: of shape (dimensions,), of unit length.
            most: how many at most.
            allowed: by number, which may be found; all where None.
        """
        cosines = np.round(self._matrix[: len(self)] @ vector, 4)
        places = np.arange(len(self))
        if allowed is not None:
            places = places[allowed[self._numbers[places]]]
        chosen = best(places, cosines[places], self._keys, most)
        found = zip(
            (-cosines[chosen]).tolist(), self._keys[chosen].tolist(), self._numbers[chosen].tolist(), strict=True
        )
        return [(number, round(-loss, 4)) for loss, _, number in sorted(found)]


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:_DIGEST]
