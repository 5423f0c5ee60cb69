"""What the findings on realism mean, in words."""

from __future__ import annotations

from ...core.number_format import counted
from ..finding import Finding, Section
from ..verdict import Wording, finding_of, ratio_verdict, share_verdict

MAX_RATIO_OF_COUNTS = 1.1
"""Recall rises with the number of tiles: it is compared only where both numbers are this near."""
_DISTANCE = Wording(
    "the synthetic tiles as a set are as near to the held-out real tiles as other real tissue is",
    "As a set, the synthetic tiles are as near to the held-out real tiles as real tiles of other "
    "patients are",
    "As a set, the synthetic tiles are farther from the held-out real tiles than real tiles of "
    "other patients are",
    "As a set, the synthetic tiles are nearer to the held-out real tiles than real tiles of other "
    "patients are",
)
_SECOND = Wording(
    "they are as near by a second distance, the kernel distance",
    "By a second distance, the kernel distance, they are as near",
    "By a second distance, the kernel distance, they are farther",
    "By a second distance, the kernel distance, they are nearer",
)
_VARIETY = Wording(
    "the synthetic tiles are as varied as real tissue",
    "They are as varied as real tiles of other patients",
    "They cover less of the variety of real tissue than real tiles of other patients do",
    "They cover more of the variety of real tissue than real tiles of other patients do",
)


def group_words(patients: int, tiles: int) -> str:
    """A group of patients of equally many tiles, in words."""
    return f"{counted(patients, 'patient')} with {counted(tiles, 'tile')} each"


def realism_titles(encoder: str) -> list[tuple[str, str]]:
    """Plain names of the findings."""
    titles = {
        "FD": "Distance between the sets of tiles (Fréchet)",
        "KID": "Distance between the sets of tiles (kernel)",
        "FD_infinity": "Fréchet distance, extrapolated to any number of tiles",
        "spatial_FD": "Distance position by position (spatial Fréchet)",
        "precision": "Synthetic tiles that lie among real ones",
        "recall": "Real tiles that lie among synthetic ones: variety",
        "density": "How densely real tiles surround synthetic ones",
        "coverage": "Real tiles with a synthetic tile near them",
    }
    return [(f"{name}_{encoder}", title) for name, title in titles.items()]


def realism_verdict(section: Section) -> str:
    """How near the sets are, and whether the synthetic one is as varied.

    Where variety cannot be compared, a second distance takes its place.
    """
    encoder = section.facts.get("encoder", "")
    distance = ratio_verdict(
        finding_of(section, f"FD_{encoder}"),
        _DISTANCE,
        "times as far",
    )
    recall = finding_of(section, f"recall_{encoder}")
    if _is_comparable(recall):
        return f"{distance} {share_verdict(recall, _VARIETY)}"
    second = ratio_verdict(
        finding_of(section, f"KID_{encoder}"),
        _SECOND,
        "times as far",
    )
    return f"{distance} {second}"


def _is_comparable(recall: Finding | None) -> bool:
    """Whether there are about as many synthetic tiles as real ones in the baseline."""
    if recall is None or recall.real is None:
        return False
    counts = (recall.value.n, recall.real.n)
    return max(counts) <= MAX_RATIO_OF_COUNTS * min(counts)
