"""Retrieval of knowledge for a question: entity links, BM25, dense vectors and their fusion; and the recall of needed facts."""

from nesycd.retrieval.build import identity, retriever_of
from nesycd.retrieval.dense import CachedEmbedder, embedder_of
from nesycd.retrieval.fused import FusedRetriever, Fusion
from nesycd.retrieval.lexical import LexicalIndex
from nesycd.retrieval.linker import Linker
from nesycd.retrieval.passages import PassageIndex, passages_of
from nesycd.retrieval.reasoning import DerivingRetriever, Reasoner
from nesycd.retrieval.recall import Recall, count_recall, holds_answer, mentions, recall
from nesycd.retrieval.retriever import ALGORITHM, KnowledgeRetriever

__all__ = [
    "ALGORITHM",
    "CachedEmbedder",
    "DerivingRetriever",
    "FusedRetriever",
    "Fusion",
    "KnowledgeRetriever",
    "LexicalIndex",
    "Linker",
    "PassageIndex",
    "Reasoner",
    "Recall",
    "count_recall",
    "embedder_of",
    "holds_answer",
    "identity",
    "mentions",
    "passages_of",
    "recall",
    "retriever_of",
]
