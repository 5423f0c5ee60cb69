"""What the findings on inpainting mean, in words."""

from __future__ import annotations

from collections.abc import Iterator

from ..finding import Section
from ..standing import standing
from ..verdict import Wording, finding_of, no_conclusion, ratio_verdict

_BRIGHTER = Wording(
    "the boundary of the filled regions shows",
    "The boundary of the filled regions does not show in its colours",
    "The boundary of the filled regions shows in its colours",
)
_SMOOTHER = Wording(
    _BRIGHTER.question,
    _BRIGHTER.like,
    "The boundary of the filled regions is smoother in its colours than the original",
)


def inpainting_titles(perceptual: str) -> Iterator[tuple[str, str]]:
    """Plain names of the findings."""
    regions = {"inside": "inside the mask", "boundary": "at the boundary of the mask"}
    for region, where in regions.items():
        yield f"psnr_{region}", f"Likeness to the original, pixel by pixel (PSNR), {where}"
        yield f"ssim_{region}", f"Likeness of structure to the original (SSIM), {where}"
        yield f"{perceptual}_{region}", f"Perceived difference from the original, {where}"
    yield "boundary_step", "Change of colour across the boundary of the mask"
    yield "fibres", "Fibres that keep their direction across the boundary"
    yield "outside_largest", "Largest change of a known pixel"
    yield "outside_changed", "Known pixels that were changed"


def inpainting_verdict(section: Section) -> str:
    """Whether known pixels were changed, and whether the boundary shows."""
    step = finding_of(section, "boundary_step")
    is_below = step is not None and standing(step)[1] == "below real"
    boundary = ratio_verdict(
        step,
        _SMOOTHER if is_below else _BRIGHTER,
        "times the change of the original",
    )
    changed = section.verdict or no_conclusion("known pixels were changed", _why(section))
    return f"{changed} {boundary}"


def _why(section: Section) -> str:
    finding = finding_of(section, "outside_changed")
    return finding.value.reason if finding else ""
