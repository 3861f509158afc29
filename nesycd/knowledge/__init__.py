"""The symbolic knowledge base: typed items with evidence, review status and history, and their exchange as YAML."""

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
from nesycd.knowledge.exchange import export_text, export_yaml, import_yaml, read_yaml
from nesycd.knowledge.graph import KnowledgeGraph, Misfit, Step
from nesycd.knowledge.leak import LeakCheck
from nesycd.knowledge.merge import AUTO, item_key, normal_triple, unite
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.store import KnowledgeBase, Revision, knowledge_version
from nesycd.knowledge.text import normal, printable

__all__ = [
    "AUTO",
    "AddCounts",
    "Entities",
    "EntityMerge",
    "KnowledgeBase",
    "KnowledgeGraph",
    "LeakCheck",
    "Misfit",
    "Relation",
    "Revision",
    "Step",
    "declare_relations",
    "entities_at",
    "export_text",
    "export_yaml",
    "import_yaml",
    "item_key",
    "knowledge_version",
    "merge_entities",
    "normal",
    "normal_triple",
    "printable",
    "read_entities",
    "read_relations",
    "read_yaml",
    "relations_text",
    "unite",
    "unmerge_entities",
]
