"""How well are holes mended: inside, at the seam, and is all known tissue left as it was?"""

from .conclude import judge_mending
from .measure import measure_mending

__all__ = ["judge_mending", "measure_mending"]
