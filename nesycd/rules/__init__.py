"""Rules that run: clauses, their parser and checks, the engine, proofs, and rules' own tests. Knows no knowledge base."""

from nesycd.rules.engine import Engine, EngineError, Limits
from nesycd.rules.rule_tests import RuleGate, failures

__all__ = ["Engine", "EngineError", "Limits", "RuleGate", "failures"]
