"""Documents as a source of knowledge: Markdown, plain text and tables, read into items that cite their sentence or row.

`read_documents` needs no language model: it reads what tables, lists of terms and sentences of known forms state, and counts
what it leaves out. Its items are proposals like a teacher's.
"""

from nesycd.documents.files import documents_hash, documents_in
from nesycd.documents.reading import Reading, read_documents, refusals

__all__ = ["Reading", "documents_hash", "documents_in", "read_documents", "refusals"]
