"""Finding knowledge for a question: linked entities, BM25, and what of the needed facts arrived."""

from nesycd.retrieval.lexical import LexicalIndex
from nesycd.retrieval.linker import Candidate, Linker, Mention
from nesycd.retrieval.reasoning import DerivingRetriever, Reasoner
from nesycd.retrieval.recall import Recall, arrived, count_recall, holds_answer, recall
from nesycd.retrieval.retriever import ALGORITHM, KnowledgeRetriever

__all__ = [
    "ALGORITHM",
    "Candidate",
    "DerivingRetriever",
    "KnowledgeRetriever",
    "LexicalIndex",
    "Linker",
    "Mention",
    "Reasoner",
    "Recall",
    "arrived",
    "count_recall",
    "holds_answer",
    "recall",
]
