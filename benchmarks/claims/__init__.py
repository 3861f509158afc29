"""Measurements of what the knowledge base is claimed to do, one a file; `knowledge_claims.py` beside this folder runs them."""
