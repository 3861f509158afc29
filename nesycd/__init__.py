"""nesycd: distil a teacher LLM's reasoning into a small student, and its sparse knowledge into a symbolic base.

Importing this package imports neither torch nor transformers; those live in `nesycd.students`.
"""

__version__ = "0.1.0"
