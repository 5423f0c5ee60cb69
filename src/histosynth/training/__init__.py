"""Training: one loop (`loop`), and the tasks that it trains (`tasks`). It does not sample."""
