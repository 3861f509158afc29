"""The symbolic knowledge base: typed items with evidence, review status and history, and their exchange as YAML."""

from nesycd.knowledge.deriving import Derived, Deriver
from nesycd.knowledge.engine import Engine, EngineError, Limits
from nesycd.knowledge.exchange import export_text, export_yaml, import_yaml, read_yaml
from nesycd.knowledge.leak import LeakCheck
from nesycd.knowledge.merge import AUTO, item_key, normal_triple, unite
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.rule_tests import RuleGate, failures
from nesycd.knowledge.store import KnowledgeBase, Revision, knowledge_version
from nesycd.knowledge.text import normal, printable

__all__ = [
    "AUTO",
    "AddCounts",
    "Derived",
    "Deriver",
    "Engine",
    "EngineError",
    "KnowledgeBase",
    "LeakCheck",
    "Limits",
    "Revision",
    "RuleGate",
    "export_text",
    "export_yaml",
    "failures",
    "import_yaml",
    "item_key",
    "knowledge_version",
    "normal",
    "normal_triple",
    "printable",
    "read_yaml",
    "unite",
]
