"""What is refused before anything is measured: sides that differ, metrics without their input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.errors import BadOption, SizeMismatch
from ...core.place import ComputePlace
from ...core.units import same_scale
from ...detectors.opening import DETECTORS, open_detector
from ...encoders.opening import open_perceptual
from ...metrics import METRICS, OLD_METRIC_NAMES, with_dependencies
from ...metrics.metric import Need, Tool
from ...metrics.nima import open_nima
from ..config import EvaluationConfig, MeasureSettings
from .collections import Collection

MIN_TILES = 2
"""Tiles that each side must have."""
MAX_SIZES_SHOWN = 4


def check_same_size(real: Collection, synthetic: Collection) -> None:
    """Refuse sides of too few tiles, and tiles of different sizes within or between the sides.

    Raises:
        BadOption, SizeMismatch: naming the sides.
    """
    for side in (real, synthetic):
        if len(side.items) < MIN_TILES:
            found = f"a set of {len(side.items)} tile"
            raise BadOption(str(side.path), found, f"at least {MIN_TILES} tiles")
    sizes = sorted({*real.sizes, *synthetic.sizes})
    if len(sizes) > 1:
        raise _different_sizes(real, synthetic, sizes)


def check_same_scale(*sides: Collection) -> None:
    """Refuse tiles of different scales.

    Raises:
        BadOption: naming the sides with their scales.
    """
    scales = sorted({item.mpp for side in sides for item in side.items})
    if same_scale(scales[-1], scales[0]):
        return
    names = []
    for side in sides:
        names.append(f"{side.path.name} {min(item.mpp for item in side.items):g}")
    found = f"{scales[0]:g} and {scales[-1]:g} um/px ({', '.join(names)})"
    raise BadOption(
        "the scale of the tiles",
        found,
        "one scale for all sets",
    )


def metrics_for(
    config: EvaluationConfig,
    reference: Collection | None,
    classes: Sequence[str],
) -> tuple[str, ...]:
    """The metrics that were requested, or all that the inputs allow, in the order of `METRICS`.

    Args:
        config: with the requested names; empty: all possible ones.
        reference: the training set, if there is one.
        classes: classes of the nuclei of the inputs; empty: there are no nuclei.

    Raises:
        BadOption: an unknown metric, or one whose input is missing.
    """
    missing = _missing_inputs(config, reference, classes)
    requested = {OLD_METRIC_NAMES.get(name, name) for name in config.metrics}
    for name in sorted(requested):
        _check_metric(name, missing)
    if not requested:
        requested = {name for name in METRICS if not missing[name]}
    return tuple(name for name in METRICS if name in requested)


def _missing_inputs(
    config: EvaluationConfig,
    reference: Collection | None,
    classes: Sequence[str],
) -> dict[str, frozenset[Need]]:
    """Inputs that each metric needs and that were not given."""
    given = set()
    if classes:
        given.add(Need.NUCLEI)
    if reference is not None:
        given.add(Need.REFERENCE)
    if config.masks is not None:
        given.add(Need.MASKS)
    return {name: metric.needs - given for name, metric in METRICS.items()}


def _check_metric(name: str, missing: Mapping[str, frozenset[Need]]) -> None:
    if name not in METRICS:
        raise BadOption("--metrics", name, ", ".join(METRICS))
    if missing[name]:
        options = sorted(need.value for need in missing[name])
        needed = f"given together with {' and '.join(options)}"
        raise BadOption("--metrics", name, needed)


def tools_of(metrics: Sequence[str]) -> frozenset[Tool]:
    """The tools of these metrics and of those whose measurements they read."""
    tools: set[Tool] = set()
    for name in with_dependencies(metrics):
        tools |= METRICS[name].tools
    return frozenset(tools)


def open_tools(settings: MeasureSettings, metrics: Sequence[str]) -> tuple[str, ...]:
    """Open every tool once, so that a wrong name is refused before anything is measured.

    Returns:
        Digests of the weights of encoder and perceptual distance.

    Raises:
        BadOption, BadWeights, NeedsExtra: a tool that cannot be opened.
    """
    tools = tools_of(metrics)
    _check_detectors(settings, needed=Tool.DETECTORS in tools)
    if Tool.NIMA in tools and settings.nima is not None:
        open_nima(settings.nima)
    digests = []
    if Tool.ENCODER in tools:
        digests.append(settings.open_encoder().about.get("weights_sha256", ""))
    if Tool.PERCEPTUAL in tools:
        perceptual = open_perceptual(
            settings.perceptual,
            weights=settings.perceptual_weights,
            device=settings.device,
        )
        digests.append(perceptual.about.get("weights_sha256", ""))
    return tuple(digests)


def _check_detectors(settings: MeasureSettings, *, needed: bool) -> None:
    names = settings.detectors
    for name in names:
        if name not in DETECTORS:
            raise BadOption("--detectors", name, f"of {', '.join(DETECTORS)}")
    if not needed:
        return
    if not names:
        raise BadOption("--detectors", "empty", f"one or more of {', '.join(DETECTORS)}")
    for name in names:
        open_detector(name, ComputePlace(settings.device))


def _different_sizes(
    real: Collection,
    synthetic: Collection,
    sizes: Sequence[tuple[int, int]],
) -> SizeMismatch:
    other = next(size for size in sizes if size != real.size)
    name = "synthetic set" if other in synthetic.sizes else "real set"
    error = SizeMismatch(name, other, real.size)
    error.problem = (
        f"Tiles of {len(sizes)} sizes cannot be compared: {real.path.name} holds "
        f"{_in_words(real)} px, {synthetic.path.name} {_in_words(synthetic)} px."
    )
    error.remedy = f"Cut both to one size with --crop {min(min(size) for size in sizes)}."
    error.args = (f"{error.problem} {error.remedy}",)
    return error


def _in_words(side: Collection) -> str:
    shown = sorted(side.sizes)[:MAX_SIZES_SHOWN]
    return " and ".join(f"{width} x {height}" for width, height in shown)
