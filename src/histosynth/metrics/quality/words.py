"""What the findings on picture quality mean, in words."""

from __future__ import annotations

from ..directions import Direction, directed_verdict
from ..finding import Section
from ..verdict import Wording

_SUMMARY = Wording(
    "the picture quality is that of real tissue",
    "The picture quality is as near to real tissue as other patients are",
    "The picture quality differs from real tissue more than other patients do",
    "The picture quality is nearer to real tissue than other patients are",
)
_DIRECTIONS = {
    "quality_focus": Direction("the focus is softer", "the focus is sharper"),
    "quality_fine_power": Direction("there is less fine detail", "there is more fine detail"),
    "quality_slope": Direction("the texture is smoother", "the texture is rougher"),
    "quality_noise": Direction("there is less noise", "there is more noise"),
    "quality_blocks": Direction(
        "blocks of 8 pixels show less",
        "blocks of 8 pixels show more",
    ),
    "quality_burnt": Direction(
        "fewer pixels are burnt out",
        "more pixels are burnt out",
    ),
    "quality_black": Direction(
        "fewer pixels are black in a channel",
        "more pixels are black in a channel",
    ),
    "quality_nima": Direction("people would rate it lower", "people would rate it higher"),
}


def quality_verdict(section: Section) -> str:
    """How far the quality is from that of real tissue, and in which direction."""
    return directed_verdict(section, "quality_W1", _SUMMARY, _DIRECTIONS)
