"""Finding knowledge for a question: linked entities, BM25, and what of the needed facts arrived."""

from nesycd.retrieval.lexical import LexicalIndex
from nesycd.retrieval.linker import Candidate, Linker, Mention
from nesycd.retrieval.recall import Recall, arrived, count_recall, recall
from nesycd.retrieval.retriever import ALGORITHM, KnowledgeRetriever

__all__ = [
    "ALGORITHM",
    "Candidate",
    "KnowledgeRetriever",
    "LexicalIndex",
    "Linker",
    "Mention",
    "Recall",
    "arrived",
    "count_recall",
    "recall",
]
