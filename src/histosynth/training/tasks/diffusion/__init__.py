"""What the base and both adapter tasks share: batches, losses, checks and cost."""
