"""Dense search: exact, as plain numpy does it; embeddings kept on disk; models that lie in a package or a folder."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nesycd.core.errors import ModelError
from nesycd.core.records import content_hash
from nesycd.retrieval import CachedEmbedder, embedder_of
from nesycd.retrieval.dense import VectorIndex, Vectors

VALUES = st.lists(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), min_size=3, max_size=3), max_size=12)


def unit(rows: Sequence[Sequence[float]]) -> Vectors:
    vectors = np.array(rows, dtype=np.float32).reshape(len(rows), 3)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@given(VALUES, VALUES, st.sets(st.integers(0, 23)), st.integers(1, 5))
def test_it_finds_what_plain_numpy_finds(
    first: list[list[float]], second: list[list[float]], gone: set[int], most: int
) -> None:
    vectors = unit([*first, *second])
    index = VectorIndex(3)
    index.add({n: (n * 7) % 24 for n in range(len(first))}, vectors[: len(first)])
    for n in range(len(first), len(vectors)):
        index.add({n: (n * 7) % 24}, vectors[n : n + 1])
    index.remove([n for n in sorted(gone) if n < len(vectors)])
    kept = [n for n in range(len(vectors)) if n not in gone]
    assert len(index) == len(kept)
    asked = unit([[0.3, -0.2, 0.9]])[0]
    cosines = np.round(vectors @ asked, 4)
    expected = sorted(kept, key=lambda n: (-cosines[n], (n * 7) % 24))
    assert [n for n, _ in index.top(asked, most)] == expected[:most]
    assert [cosine for _, cosine in index.top(asked, most)] == pytest.approx([cosines[n] for n in expected[:most]])
    allowed = np.array([n % 2 == 0 for n in range(24)])
    assert [n for n, _ in index.top(asked, most, allowed)] == [n for n in expected if n % 2 == 0][:most]


class Counting:
    """Counts what it is asked for."""

    def __init__(self, name: str) -> None:
        self.fingerprint, self.dimensions = name, 2
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32).reshape(len(texts), 2)


def test_embeddings_are_made_once_for_each_model_and_text(tmp_path: Path) -> None:
    first = CachedEmbedder(Counting("a"), tmp_path)
    assert first.embed(["x", "yy", "x"]).tolist() == [[1, 1], [2, 1], [1, 1]]
    assert first.embed([]).shape == (0, 2)
    other = CachedEmbedder(Counting("a"), tmp_path)
    other.embed(["zzz"])
    first.save()
    other.save()
    [path] = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    model = Counting("a")
    again = CachedEmbedder(model, tmp_path)
    assert again.embed(["zzz", "x", "yy"]).tolist() == [[3, 1], [1, 1], [2, 1]] and model.asked == []
    again.save()
    assert path.stat().st_mtime_ns == stamp, "nothing new"
    another = Counting("b")
    CachedEmbedder(another, tmp_path).embed(["x"])
    assert another.asked == ["x"]
    path.write_bytes(path.read_bytes()[:-1])
    CachedEmbedder(model, tmp_path).embed(["x"])
    assert model.asked == ["x"]


def test_the_model_inside_a_package_needs_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wordllama")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    embedder = embedder_of("wordllama")
    texts = ["How many feet are in a fathom?", "A fathom is 6 feet.", "The cat sat on the mat."]
    vectors = embedder.embed(texts)
    assert vectors.shape == (3, embedder.dimensions) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.7 > 0.3 > vectors[0] @ vectors[2]
    assert embedder.embed([]).shape == (0, 256)
    assert embedder.fingerprint == embedder_of("wordllama").fingerprint


@pytest.mark.slow
def test_any_model_folder_of_sentence_transformers(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = ["[UNK]", "fathom", "feet", "cat", "mat"]
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.array([[random.Random(content_hash([w, d])).gauss(0, 1) for d in range(8)] for w in words])
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, weights)], device="cpu").save(str(tmp_path / "model"))
    embedder = embedder_of(str(tmp_path / "model"))
    vectors = embedder.embed(["fathom feet", "feet fathom", "cat"])
    assert vectors.shape == (3, 8) and vectors[0] @ vectors[1] == pytest.approx(1, abs=1e-5)
    assert vectors[0] @ vectors[2] < 0.99
    assert embedder.fingerprint == embedder_of(str(tmp_path / "model")).fingerprint


@pytest.mark.slow
def test_a_model_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"retrieval\.model .*empty: cannot be loaded"):
        embedder_of(str(tmp_path / "empty"))
