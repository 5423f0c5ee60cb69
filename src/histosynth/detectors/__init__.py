"""Detectors of nuclei, and the classifier of artefacts. `prepare` gets them as arguments."""
