"""The symbolic knowledge base: typed items with evidence, review status and history, and their exchange as YAML."""

from nesycd.knowledge.differences import Difference
from nesycd.knowledge.exchange import export_text, export_yaml, import_yaml, read_yaml
from nesycd.knowledge.leak import LeakCheck
from nesycd.knowledge.merge import AUTO, item_key, normal_triple, unite
from nesycd.knowledge.rows import AddCounts
from nesycd.knowledge.store import KnowledgeBase, knowledge_version
from nesycd.knowledge.text import normal, printable
from nesycd.knowledge.versions import HistoryLine, Revision

__all__ = [
    "AUTO",
    "AddCounts",
    "Difference",
    "HistoryLine",
    "KnowledgeBase",
    "LeakCheck",
    "Revision",
    "export_text",
    "export_yaml",
    "import_yaml",
    "item_key",
    "knowledge_version",
    "normal",
    "normal_triple",
    "printable",
    "read_yaml",
    "unite",
]
