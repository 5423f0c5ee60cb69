"""Do nuclei stand as they were asked to, and as they do in real tissue? Statistics of their
layout.
"""

from .conclude import judge_layout
from .measure import measure_layout

__all__ = ["judge_layout", "measure_layout"]
