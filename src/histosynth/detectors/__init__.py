"""Floor 2: neural detectors of nuclei."""
