"""Morphology: outlines of nuclei, what is measured of each, and how unlike real ones synthetic
ones are.
"""

from .features import FEATURES, measure_morphology
from .judge import judge_morphology

__all__ = ["FEATURES", "judge_morphology", "measure_morphology"]
