"""Run folders: stages fingerprinted by their inputs, resumed after a kill, and listed. Knows nothing of what stages do."""
