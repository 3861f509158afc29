"""Paid language models: clients of their APIs, the cache and budget of calls, batches and prices."""
