"""The paper's steps, one file each: records in, records out. Parts are handed in; nothing here opens a file.

In order: rationalise, distil (general), collect, diagnose (symbolic distillation), augment, route, solve (evaluation).
"""
