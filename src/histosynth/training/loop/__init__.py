"""The one loop: steps, parts of a batch, processes, state, and what is kept and said of a run."""
