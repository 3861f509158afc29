"""Measurements on a run: the effect of edits, the effect of each item, pinned knowledge tests. None changes the run."""
