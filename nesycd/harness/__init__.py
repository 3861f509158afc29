"""A finished run as a model of EleutherAI's lm-evaluation-harness, and what its tasks can use of ours (docs/harness.md).

Only `model` needs the harness itself (extra `harness`): `grading` and `questions` serve tasks for any model.
"""
