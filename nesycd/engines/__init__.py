"""Where shards are made, if not in this process: pools of workers. Independent of what shards are."""
