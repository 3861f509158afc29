"""The symbolic knowledge base: typed items with evidence, review, history and versions, and their exchange."""

from nesycd.knowledge.changes import Difference
from nesycd.knowledge.deriving import Derived, Deriver
from nesycd.knowledge.entities import (
    Entities,
    EntityMerge,
    Relation,
    declare_relations,
    entities_at,
    merge_entities,
    read_entities,
    read_relations,
    relations_text,
    unmerge_entities,
)
from nesycd.knowledge.exchange import FORMATS, export_file, export_text, import_file, read_file
from nesycd.knowledge.filters import LeakFilter
from nesycd.knowledge.goals import Answers, Premises, derive
from nesycd.knowledge.graph import KnowledgeGraph, Misfit, Step
from nesycd.knowledge.merge import AUTO, item_key, normal_triple, unite
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.store import KnowledgeBase, knowledge_version
from nesycd.knowledge.versions import HistoryLine, Revision

__all__ = [
    "AUTO",
    "FORMATS",
    "AddCounts",
    "Answers",
    "Derived",
    "Deriver",
    "Difference",
    "Entities",
    "EntityMerge",
    "HistoryLine",
    "KnowledgeBase",
    "KnowledgeGraph",
    "LeakFilter",
    "Misfit",
    "Premises",
    "Relation",
    "Revision",
    "Step",
    "declare_relations",
    "derive",
    "entities_at",
    "export_file",
    "export_text",
    "import_file",
    "item_key",
    "knowledge_version",
    "merge_entities",
    "normal_triple",
    "read_entities",
    "read_file",
    "read_relations",
    "relations_text",
    "unite",
    "unmerge_entities",
]
