"""How well are holes mended: inside, at the seam, and is all known tissue left as it was?"""

from .conclude import conclude_inpainting
from .measure import measure_inpainting

__all__ = ["conclude_inpainting", "measure_inpainting"]
