"""Do nuclei stand as they were asked to, and as they do in real tissue? Statistics of their
layout.
"""

from .conclude import conclude_layout
from .measure import measure_layout

__all__ = ["conclude_layout", "measure_layout"]
