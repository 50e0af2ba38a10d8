"""Markets: what moves the prices of a sandbox, and the makers and takers who do what a market says."""
