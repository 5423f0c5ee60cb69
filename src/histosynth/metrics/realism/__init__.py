"""Does the set as a whole look like real tissue? Distances beside those of real patients from each
other.

A Frechet distance means nothing alone: it falls with n, and real tissue of other patients is not at
0 either. So every distance stands beside its floor, the distance of as many real tiles of training
patients from the same held-out tiles, and what is read is the ratio.
"""

from .conclude import conclude_realism

__all__ = ["conclude_realism"]
