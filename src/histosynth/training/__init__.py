"""Floor 3: one loop, four tasks. Knows nothing of sampling."""
