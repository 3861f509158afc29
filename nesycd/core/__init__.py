"""The base of the package: records, errors, recipes, files, storage, protocols. Imports no other part of it."""
