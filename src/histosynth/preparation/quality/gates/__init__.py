"""Every gate by its name, in the order in which they are applied. A new one is a file and a line.

Gates measure coarse pixels of known size in micrometres, so that a limit means the same at any
scale. How the limits were set, and what they let through, is in docs/log.md.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..gate import Gate
from .air import AIR
from .blur import BLUR
from .fold import FOLD
from .pen import PEN
from .saturation import SATURATION

QUALITY_GATES: Mapping[str, Gate] = {
    "blur": BLUR,
    "pen": PEN,
    "fold": FOLD,
    "air": AIR,
    "saturation": SATURATION,
}
