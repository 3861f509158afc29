"""Measurements beside a run: edits followed, the effect of each item, pinned knowledge tests. None changes the run."""
