"""Are the nuclei where they were asked for, and of the class? Said by detectors, beside their own
floor.

A detector is no truth: on real tiles it misses some of the nuclei that people marked. So each score
of synthetic tissue stands beside the same detector's score on real tiles, and the ratio is what
counts. Two detectors of different kinds are asked, since a network may like what another network
paints.

Limits: a detector that was trained on tissue the painter saw as well shares its taste, the blobs
know no class, and 6 um are generous where nuclei stand close. What chance gives is measured and
said.
"""

from .conclude import conclude_structure
from .measure import STRICT_UM, measure_structure

__all__ = ["STRICT_UM", "conclude_structure", "measure_structure"]
