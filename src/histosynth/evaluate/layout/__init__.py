"""Do nuclei stand as they were asked to, and as they do in real tissue? Statistics of their
layout.
"""

from .judge import judge_layout
from .measure import measure_layout

__all__ = ["judge_layout", "measure_layout"]
