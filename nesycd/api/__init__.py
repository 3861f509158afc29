"""The Python API: builds the parts of a recipe, runs recipes and comparisons, and opens finished runs.

The names that `import nesycd` offers are defined here; the command line and the harness call this package.
"""
