"""What everything else stands on: records, errors, recipes, files, storage, contracts. Imports no other part."""
