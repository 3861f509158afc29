"""`longtail`: questions made by a seeded generator about real long-tail facts, with their derivations."""

from nesycd.tasks.longtail.task import LongTail, LongTailSettings, World, grade_answer

__all__ = ["LongTail", "LongTailSettings", "World", "grade_answer"]
