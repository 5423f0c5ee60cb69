"""Floor 3: from noise to tissue. Knows nothing of training."""
