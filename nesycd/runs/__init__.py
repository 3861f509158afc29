"""Run folders: stages fingerprinted by their inputs, resumed after a kill, and listed. Independent of what stages do."""
