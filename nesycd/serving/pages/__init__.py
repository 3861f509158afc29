"""The review pages: queue, items, graph, rules, versions and the ask page, as HTML made on the server."""
