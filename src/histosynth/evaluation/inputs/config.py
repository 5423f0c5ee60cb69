"""What `evaluate` is asked, opened and checked before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...annotation.class_map import read_class_map
from ...core.errors import BadOption, SizeMismatch, SplitLeak
from ...core.nuclei import ANY
from ...core.progress import ProgressCallback
from ...core.units import same_scale
from ...detectors.opening import open_detector
from ...encoders.opening import open_perceptual
from ...metrics.nima import open_nima
from ...metrics.tile_measures import NEED_NUCLEI, UNCLASSIFIED, WHAT
from ..jobs.measuring import Plan
from .collections import (
    Collection,
    InputOptions,
    as_variants,
    classes_of,
    cropped,
    give_points,
    open_collection,
)

DETECTORS = ("centroids", "blobs", "instanseg")
LEAST = 2
"""Tiles of a side."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What `evaluate` is asked.

    Attributes:
        real, synthetic: held-out real tiles and synthetic ones, folders or tile sets.
        reference: the training set; None: no copies can be looked for, and floors lie between real
            halves.
        conditions: nuclei files by stem: asked for in synthetic tiles, marked in real ones.
        masks: masks by stem: the synthetic tiles are real ones with these holes mended.
        classes: class map, TOML.
        bundle: ask this bundle's loss who it was trained on.
        metrics: of `WHAT`; empty: all that the inputs allow.
    """

    real: Path
    synthetic: Path
    reference: Path | None = None
    conditions: Path | None = None
    masks: Path | None = None
    classes: Path | None = None
    bundle: Path | None = None
    metrics: tuple[str, ...] = ()
    inputs: InputOptions = field(default_factory=InputOptions)
    plan: Plan = field(default_factory=Plan)
    seed: int = 0


@dataclass(frozen=True)
class OpenedInputs:
    """The sides of a question, opened and checked."""

    real: Collection
    synthetic: Collection
    reference: Collection | None
    library: Collection | None
    what: tuple[str, ...]
    plan: Plan


def open_question(
    config: EvaluationConfig, on_progress: ProgressCallback | None = None
) -> OpenedInputs:
    """Open both sides, the reference and whatever judges look with; refuse what cannot be
    compared.
    """
    inputs = config.inputs
    if config.bundle is not None and config.reference is None:
        raise BadOption(
            "--bundle",
            config.bundle,
            "given together with --reference, its training set",
        )
    real, synthetic = (
        open_collection(path, inputs, on_progress) for path in (config.real, config.synthetic)
    )
    synthetic = as_variants(synthetic, real, config.conditions, inputs)
    library = reference = None
    if config.reference is not None:
        library = open_collection(config.reference, replace(inputs, crop=None), on_progress)
        if leak := sorted(real.patients & library.patients):
            raise SplitLeak(leak)
    check_alike(real, synthetic)
    if library is not None:
        _check_scales(real, synthetic, library)
        reference = cropped(library, synthetic.size)
    real, synthetic = (give_points(side, config.conditions) for side in (real, synthetic))
    if reference is not None:
        reference = give_points(reference, config.conditions, needed=False)
    mapping = {"": ANY, **read_class_map(config.classes)}
    sides = [side for side in (real, synthetic, reference) if side is not None]
    classes = classes_of(sides, mapping)
    if classes == UNCLASSIFIED:  # nuclei without classes are all of one
        mapping = {name: UNCLASSIFIED[0] if to == ANY else to for name, to in mapping.items()}
        mapping |= {ANY: UNCLASSIFIED[0], "": UNCLASSIFIED[0]}
    what = metrics_for(config, real, reference, classes)
    seen = _check_tools(config, what)
    pairs = tuple(sorted(mapping.items()))
    plan = replace(
        config.plan,
        classes=classes,
        mapping=pairs,
        seen_with=seen,
    )
    return OpenedInputs(real, synthetic, reference, library, what, plan)


def check_alike(real: Collection, synthetic: Collection) -> None:
    """Refuse tiles of different sizes or scales, within a side or between both.

    Raises:
        SizeMismatch, BadOption: naming both.
    """
    for side in (real, synthetic):
        if len(side.items) < LEAST:
            raise BadOption(
                str(side.path), f"a set of {len(side.items)} tile", f"at least {LEAST} tiles"
            )
    sizes = sorted({*real.sizes, *synthetic.sizes})
    if len(sizes) > 1:
        other = next(size for size in sizes if size != real.size)
        error = SizeMismatch(
            "synthetic set" if other in synthetic.sizes else "real set",
            other,
            real.size,
        )
        error.problem = (
            f"Tiles of {len(sizes)} sizes cannot be compared: {real.path.name} holds "
            f"{_sizes(real)} px, {synthetic.path.name} {_sizes(synthetic)} px."
        )
        error.remedy = f"Cut both to one size with --crop {min(min(size) for size in sizes)}."
        error.args = (f"{error.problem} {error.remedy}",)
        raise error
    _check_scales(real, synthetic)


def _check_scales(*sides: Collection) -> None:
    scales = sorted({item.mpp for side in sides for item in side.items})
    if not same_scale(scales[-1], scales[0]):
        names = ", ".join(
            f"{side.path.name} {min(item.mpp for item in side.items):g}" for side in sides
        )
        found = f"{scales[0]:g} and {scales[-1]:g} um/px ({names})"
        raise BadOption("the scale of the tiles", found, "one scale for all sets")


def _check_tools(config: EvaluationConfig, what: Sequence[str]) -> tuple[str, ...]:
    """Open what the judges will look with, so that a wrong name is told before anything is
    measured.

    Returns:
        Digests of their weights.
    """
    plan = config.plan
    seen = list[str]()
    if wrong := [name for name in plan.detectors if name not in DETECTORS]:
        raise BadOption("--detectors", wrong[0], f"of {', '.join(DETECTORS)}")
    if NEED_NUCLEI & set(what) and not plan.detectors:
        raise BadOption("--detectors", "empty", f"one or more of {', '.join(DETECTORS)}")
    if NEED_NUCLEI & set(what):
        for name in plan.detectors:
            open_detector(name)
    if plan.nima is not None and "quality" in what:
        open_nima(plan.nima)
    if {"realism", "copying"} & set(what):
        seen.append(plan.open_encoder().about.get("weights_sha256", ""))
    if "mending" in what:
        about = open_perceptual(plan.perceptual, weights=plan.perceptual_weights).about
        seen.append(about.get("weights_sha256", ""))
    return tuple(seen)


def metrics_for(
    config: EvaluationConfig,
    real: Collection,
    reference: Collection | None,
    classes: Sequence[str],
) -> tuple[str, ...]:
    """The judges that the inputs allow, or those asked for.

    Raises:
        BadOption: a judge that is none, or whose input is missing.
    """
    possible = {"realism", "stain", "quality", "morphology", "layout"}
    if classes:
        possible.add("structure")
    if reference is not None:
        possible.add("copying")
    if config.masks is not None:
        possible.add("mending")
    wanted = set(config.metrics) or possible
    needs = {
        "structure": "--conditions",
        "copying": "--reference",
        "mending": "--masks",
    }
    for name in sorted(wanted):
        if name not in WHAT:
            raise BadOption("--metrics", name, ", ".join(WHAT))
        if name not in possible:
            raise BadOption("--metrics", name, f"given together with {needs[name]}")
    return tuple(name for name in WHAT if name in wanted)


def _sizes(side: Collection) -> str:
    return " and ".join(f"{w} x {h}" for w, h in sorted(side.sizes)[:4])
