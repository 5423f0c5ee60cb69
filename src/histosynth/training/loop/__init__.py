"""The one training loop: steps, parts of a batch, processes, state, and the records of a run."""
