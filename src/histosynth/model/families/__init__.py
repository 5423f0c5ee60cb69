"""Families of base networks. To add one, write a file with its object and name it here."""

from __future__ import annotations

from .compact import COMPACT_FAMILY
from .family import Family
from .pixart import PIXART
from .stable_diffusion import STABLE_DIFFUSION
from .text_family import TextFamily

TEXT_FAMILIES: dict[str, TextFamily] = {
    "stable-diffusion": STABLE_DIFFUSION,
    "pixart": PIXART,
}
"""Families with a text encoder. Their bases are named by a bundle and not part of it."""
FAMILIES: dict[str, Family] = {
    "compact": COMPACT_FAMILY,
    **TEXT_FAMILIES,
}
"""All families, by the name in `bundle.json`."""
