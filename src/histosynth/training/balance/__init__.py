"""Rare labels: how their tiles are sampled, and the data sheet that counts patients and tiles."""
