"""Benchmarks, one a file: where questions come from, how they are split and graded. No method knows their names."""
