"""The paper's steps, one file each, as functions from records to records. Parts are arguments; no file is opened here.

In order: rationalise, distil (general), collect, diagnose (symbolic distillation), augment, route, solve (evaluation).
"""
