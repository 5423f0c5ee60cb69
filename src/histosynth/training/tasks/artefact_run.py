"""From a folder of sorted tiles to a run of the artefact classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ...core.errors import BadRecipe
from ...core.roc import MIN_GROUPS_PER_CLASS
from ...core.store import ensure_folder
from ...detectors.artefact import (
    GOOD_CLASS,
    MAX_SCALE_RATIO,
    ArtefactInfo,
    build_artefact_network,
    load_published_weights,
)
from ...model.device import DTYPES, convert
from ...prepare.split import split_patients
from ..data.sources import Example, TileSource, open_source, refuse_leaks
from ..loop.fit import StepCallback, fit
from ..loop.state import TrainState
from ..resume import remember
from .artefact import ArtefactTask, is_spoilt
from .artefact_recipe import ArtefactData, ArtefactRecipe


@dataclass(frozen=True)
class Labelled:
    """Tiles that a person sorted, split by patient."""

    train: list[Example]
    held_out: list[Example]
    classes: tuple[str, ...]
    """Names of their folders, `good` first."""


def open_labelled(recipe: ArtefactRecipe, here: Path) -> Labelled:
    """Open the tiles that a recipe names, and refuse what cannot be trained or measured.

    Raises:
        BadRecipe: there is no `good` folder or no other, a name has no patient, or too few patients
            have tiles of a class.
        HistosynError: whatever reading a picture refuses.
    """
    data = recipe.data
    root = (here / data.root).resolve()
    if not root.is_dir():
        raise BadRecipe("data.root", [f"there is no folder {here / data.root}"])
    tiles = [example for name in _folders(root) for example in _open(root, name, data)]
    names = sorted({example.label for example in tiles} - {GOOD_CLASS})
    if not names or all(is_spoilt(example) for example in tiles):
        wanted = (
            f"pictures in the folder {GOOD_CLASS}, and in one or more others that show artefacts"
        )
        raise BadRecipe(str(root), [f"it must hold {wanted}"])
    spoilt = {example.tile.ref.patient for example in tiles if is_spoilt(example)}
    patients = sorted({example.tile.ref.patient for example in tiles})
    split = split_patients(
        {patient: "artefact" if patient in spoilt else GOOD_CLASS for patient in patients},
        {"train": 1 - data.held_out, "held_out": data.held_out},
    )
    train, held_out = (
        [example for example in tiles if split[example.tile.ref.patient] == side]
        for side in ("train", "held_out")
    )
    refuse_leaks(train, held_out)
    _refuse_few(train, held_out, len(patients))
    return Labelled(train, held_out, (GOOD_CLASS, *names))


def open_artefact(recipe: ArtefactRecipe, here: Path) -> tuple[nn.Module, Labelled]:
    """The network as training begins it, and the tiles; refuses what `train_artefact` refuses.

    Raises:
        BadRecipe: as `open_labelled`.
        NeedsExtra: transformers is not installed.
        BadWeights: the start is of another layout.
    """
    torch.manual_seed(recipe.seed)
    network = build_artefact_network(recipe.model.widths, recipe.model.depths)
    if recipe.start:
        load_published_weights(network, here / recipe.start)
    return network, open_labelled(recipe, here)


def train_artefact(
    recipe: ArtefactRecipe,
    run: Path,
    *,
    here: Path,
    report: StepCallback | None = None,
    device: str = "cpu",
) -> TrainState:
    """Train an artefact classifier; its weights and card are in `run/weights` after each look.

    Args:
        recipe: on what, how long.
        run: folder for state, log, pictures and weights; a run that was begun there goes on.
        here: folder that the recipe's paths start from.
        report: called after each step with its numbers.
        device: where to compute.

    Raises:
        BadRecipe: as `open_labelled`.
        NeedsExtra: transformers is not installed.
        BadWeights: the start is of another layout.
    """
    loop = recipe.loop
    plan = recipe.model
    data = recipe.data
    network, tiles = open_artefact(recipe, here)
    ensure_folder(run)
    remember(recipe, run)
    convert(network, device=device, dtype=DTYPES[loop.precision])
    info = ArtefactInfo(
        recipe.name,
        data.mpp,
        data.crop,
        plan.widths,
        plan.depths,
        tiles.classes,
    )
    task = ArtefactTask(
        network,
        tiles.train,
        tiles.held_out,
        batch=loop.batch,
        data=data,
        info=info,
    )
    return fit(task, loop, run, seed=recipe.seed, on_step=report)


def _folders(root: Path) -> list[str]:
    return sorted(
        each.name for each in root.iterdir() if each.is_dir() and not each.name.startswith(".")
    )


def _open(root: Path, name: str, data: ArtefactData) -> list[Example]:
    """The tiles of one folder, at the classifier's scale."""
    mpp = data.tile_mpp or data.mpp
    if mpp > MAX_SCALE_RATIO * data.mpp:
        limit = f"at most {MAX_SCALE_RATIO:g} times data.mpp: enlarged tiles look blurred"
        raise BadRecipe(name, [f"data.tile_mpp is {mpp:g}, but must be {limit}"])
    source = TileSource(
        images=name,
        patient=data.patient,
        mpp=mpp,
        label=name,
    )
    return open_source(
        source,
        root=root,
        mpp=data.mpp,
        classes=(),
    )


def _refuse_few(train: Sequence[Example], held_out: Sequence[Example], patients: int) -> None:
    """Refuse a split that leaves a class without enough patients to learn from or to measure on."""
    problems = []
    for words, side, least in (
        ("train", train, 1),
        ("are held out", held_out, MIN_GROUPS_PER_CLASS),
    ):
        for name, spoilt in (("good tiles", False), ("artefacts", True)):
            has = len({each.tile.ref.patient for each in side if is_spoilt(each) == spoilt})
            if has < least:
                problems.append(
                    f"of {patients} patients, {has} with {name} {words}; at least {least} must be"
                )
    if problems:
        problems.append("label tiles of more patients, or change data.held_out")
        raise BadRecipe("the labelled folder", problems)
