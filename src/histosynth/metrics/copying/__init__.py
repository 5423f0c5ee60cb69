"""Copies: is a made tile nearer to the training tissue than real tissue of unseen patients ever is?

Twice over: by registration (`register.py`: the same pixels, however turned, moved or restained) and
by features (nearer than real tiles are, as a set). Both are calibrated on real patients who are not
in the training set, and on training patients each held against all others.
"""

from .conclude import Pair, conclude_copying, nearest_pairs
from .register import Library, Match, texture
from .search import find_matches

__all__ = [
    "Library",
    "Match",
    "Pair",
    "find_matches",
    "conclude_copying",
    "nearest_pairs",
    "texture",
]
