"""Morphology: outlines of nuclei, what is measured of each, and how unlike real ones synthetic
ones are.
"""

from .conclude import conclude_morphology
from .features import FEATURES, measure_morphology

__all__ = ["FEATURES", "conclude_morphology", "measure_morphology"]
