"""What `evaluate` is asked, opened and checked before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...annotation.class_map import read_kind_map
from ...core.errors import BadOption, SizeMismatch, SplitLeak
from ...core.nuclei import ANY
from ...core.progress import Tick
from ...encoders.opening import open_perceptual
from ...metrics.nima import open_nima
from ...metrics.tile_measures import NEED_NUCLEI, UNTOLD, WHAT
from ...prepare.jobs import open_detector
from ..jobs.measuring import Plan
from .collections import (
    Ask,
    Collection,
    as_variants,
    cropped,
    give_points,
    kinds_of,
    open_collection,
)

DETECTORS = ("centroids", "blobs", "instanseg")
LEAST = 2
"""Tiles of a side."""
SAME_SCALE = 0.03
"""Scales that differ by less are one."""


@dataclass(frozen=True)
class Question:
    """What `evaluate` is asked.

    Attributes:
        real, made: held-out real tiles and synthetic ones, folders or tile sets.
        reference: the training set; None: no copies can be looked for, and floors lie between real
            halves.
        conditions: nuclei files by stem: asked for in synthetic tiles, marked in real ones.
        holes: masks by stem: the synthetic tiles are real ones with these holes mended.
        kinds: class map, TOML.
        bundle: ask this bundle's loss who it was trained on.
        judges: of `WHAT`; empty: all that the inputs allow.
    """

    real: Path
    made: Path
    reference: Path | None = None
    conditions: Path | None = None
    holes: Path | None = None
    kinds: Path | None = None
    bundle: Path | None = None
    judges: tuple[str, ...] = ()
    ask: Ask = field(default_factory=Ask)
    plan: Plan = field(default_factory=Plan)
    seed: int = 0


@dataclass(frozen=True)
class Opened:
    """The sides of a question, opened and checked."""

    real: Collection
    made: Collection
    reference: Collection | None
    library: Collection | None
    what: tuple[str, ...]
    plan: Plan


def open_question(question: Question, tick: Tick | None = None) -> Opened:
    """Open both sides, the reference and whatever judges look with; refuse what cannot be
    compared.
    """
    ask = question.ask
    if question.bundle is not None and question.reference is None:
        raise BadOption(
            "--bundle",
            question.bundle,
            "given together with --reference, its training set",
        )
    real, made = (open_collection(path, ask, tick) for path in (question.real, question.made))
    made = as_variants(made, real, question.conditions, ask)
    library = reference = None
    if question.reference is not None:
        library = open_collection(question.reference, replace(ask, crop=None), tick)
        if leak := sorted(real.patients & library.patients):
            raise SplitLeak(leak)
    check_alike(real, made)
    if library is not None:
        _check_scales(real, made, library)
        reference = cropped(library, made.size)
    real, made = (give_points(side, question.conditions) for side in (real, made))
    if reference is not None:
        reference = give_points(reference, question.conditions, needed=False)
    mapping = {"": ANY, **read_kind_map(question.kinds)}
    sides = [side for side in (real, made, reference) if side is not None]
    kinds = kinds_of(sides, mapping)
    if kinds == UNTOLD:  # nuclei without classes are all of one
        mapping = {name: UNTOLD[0] if to == ANY else to for name, to in mapping.items()}
        mapping |= {ANY: UNTOLD[0], "": UNTOLD[0]}
    what = judges_for(question, real, reference, kinds)
    seen = _check_tools(question, what)
    pairs = tuple(sorted(mapping.items()))
    plan = replace(
        question.plan,
        kinds=kinds,
        mapping=pairs,
        seen_with=seen,
    )
    return Opened(real, made, reference, library, what, plan)


def check_alike(real: Collection, made: Collection) -> None:
    """Refuse tiles of different sizes or scales, within a side or between both.

    Raises:
        SizeMismatch, BadOption: naming both.
    """
    for side in (real, made):
        if len(side.items) < LEAST:
            raise BadOption(
                str(side.path), f"a set of {len(side.items)} tile", f"at least {LEAST} tiles"
            )
    sizes = sorted({*real.sizes, *made.sizes})
    if len(sizes) > 1:
        other = next(size for size in sizes if size != real.size)
        error = SizeMismatch(
            "synthetic set" if other in made.sizes else "real set",
            other,
            real.size,
        )
        error.problem = (
            f"Tiles of {len(sizes)} sizes cannot be compared: {real.path.name} holds "
            f"{_sizes(real)} px, {made.path.name} {_sizes(made)} px."
        )
        error.remedy = f"Cut both to one size with --crop {min(min(size) for size in sizes)}."
        error.args = (f"{error.problem} {error.remedy}",)
        raise error
    _check_scales(real, made)


def _check_scales(*sides: Collection) -> None:
    scales = sorted({item.mpp for side in sides for item in side.items})
    if scales[-1] > scales[0] * (1 + SAME_SCALE):
        names = ", ".join(
            f"{side.path.name} {min(item.mpp for item in side.items):g}" for side in sides
        )
        found = f"{scales[0]:g} and {scales[-1]:g} um/px ({names})"
        raise BadOption("the scale of the tiles", found, "one scale for all sets")


def _check_tools(question: Question, what: Sequence[str]) -> tuple[str, ...]:
    """Open what the judges will look with, so that a wrong name is told before anything is
    measured.

    Returns:
        Digests of their weights.
    """
    plan = question.plan
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


def judges_for(
    question: Question,
    real: Collection,
    reference: Collection | None,
    kinds: Sequence[str],
) -> tuple[str, ...]:
    """The judges that the inputs allow, or those asked for.

    Raises:
        BadOption: a judge that is none, or whose input is missing.
    """
    possible = {"realism", "stain", "quality", "morphology", "layout"}
    if kinds:
        possible.add("structure")
    if reference is not None:
        possible.add("copying")
    if question.holes is not None:
        possible.add("mending")
    wanted = set(question.judges) or possible
    needs = {
        "structure": "--conditions",
        "copying": "--reference",
        "mending": "--holes",
    }
    for name in sorted(wanted):
        if name not in WHAT:
            raise BadOption("--judges", name, ", ".join(WHAT))
        if name not in possible:
            raise BadOption("--judges", name, f"given together with {needs[name]}")
    return tuple(name for name in WHAT if name in wanted)


def _sizes(side: Collection) -> str:
    return " and ".join(f"{w} x {h}" for w, h in sorted(side.sizes)[:4])
