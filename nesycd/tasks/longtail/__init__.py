"""`longtail`: questions made by a seeded generator about real long-tail facts, with their derivations."""

from nesycd.tasks.longtail.task import LongTail, LongTailSettings, World, grade_answer

IS_GENERATED = True
"""Training questions are made by a generator; said beside every figure."""

__all__ = ["LongTail", "LongTailSettings", "World", "grade_answer"]
