"""Floor 2: neural detectors of nuclei. They are handed to `prepare` as arguments."""
