"""Morphology: outlines of nuclei, what is measured of each, and how unlike real ones synthetic
ones are.
"""

from .conclude import judge_morphology
from .features import FEATURES, measure_morphology

__all__ = ["FEATURES", "judge_morphology", "measure_morphology"]
