"""Nuclei of tiles: found by detectors, or read from what other tools found."""
