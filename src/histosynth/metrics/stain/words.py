"""What the findings on stain mean, in words."""

from __future__ import annotations

from ..directions import Direction, directed_verdict
from ..finding import Section
from ..verdict import Wording

_SUMMARY = Wording(
    "the stain is that of real tissue",
    "The stain is as near to real tissue as other patients are",
    "The stain differs from real tissue more than other patients do",
    "The stain is nearer to real tissue than other patients are",
)
_DIRECTIONS = {
    "stain_od_red": Direction("red light is absorbed less", "red light is absorbed more"),
    "stain_od_green": Direction("green light is absorbed less", "green light is absorbed more"),
    "stain_od_blue": Direction("blue light is absorbed less", "blue light is absorbed more"),
    "stain_haematoxylin_azimuth": Direction.same("the hue of haematoxylin differs"),
    "stain_haematoxylin_elevation": Direction.same("the hue of haematoxylin differs"),
    "stain_eosin_azimuth": Direction.same("the hue of eosin differs"),
    "stain_eosin_elevation": Direction.same("the hue of eosin differs"),
    "stain_angle": Direction(
        "the hues of both dyes are more alike",
        "the hues of both dyes are less alike",
    ),
    "stain_haematoxylin_dose": Direction("haematoxylin is paler", "haematoxylin is darker"),
    "stain_eosin_dose": Direction("eosin is paler", "eosin is darker"),
    "stain_tissue": Direction(
        "tissue covers less of the tiles",
        "tissue covers more of the tiles",
    ),
}


def stain_verdict(section: Section) -> str:
    """How far the stain is from that of real tissue, and in which direction."""
    return directed_verdict(section, "stain_W1", _SUMMARY, _DIRECTIONS)
