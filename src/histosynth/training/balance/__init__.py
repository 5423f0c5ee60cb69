"""Rare labels and patients: weights, refusals, and the data sheet of a training set."""
