"""Tiles that a person sorted into folders, opened and split by patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....core.errors import BadRecipe
from ....core.paths import real_path
from ....core.roc import MIN_GROUPS_PER_CLASS
from ....detectors.artefact import MAX_SCALE_RATIO
from ....detectors.artefact_info import GOOD_CLASS
from ....preparation.split import split_patients
from ...data.sources import Example, open_source, refuse_leaks
from ...recipes.artefact import ArtefactData
from ...recipes.tiles import TileSource

MIN_TRAIN_PATIENTS = 1
"""Patients with tiles of a class that training needs."""


@dataclass(frozen=True)
class LabelledTiles:
    """Tiles that a person sorted, split by patient."""

    train: list[Example]
    held_out: list[Example]
    classes: tuple[str, ...]
    """Names of their folders, `good` first."""


def is_artefact(example: Example) -> bool:
    """Whether a labelled tile shows an artefact."""
    return example.label != GOOD_CLASS


def open_labelled_tiles(data: ArtefactData, base_folder: Path) -> LabelledTiles:
    """Open the tiles that a recipe names, and refuse what cannot be trained or measured.

    Raises:
        BadRecipe: there is no `good` folder or no other, a name has no patient, or too few patients
            have tiles of a class.
        HistosynthError: a picture cannot be read.
    """
    root = real_path(base_folder / data.root)
    if not root.is_dir():
        raise BadRecipe("data.root", [f"there is no folder {base_folder / data.root}"])
    tiles: list[Example] = []
    for name in _subfolders(root):
        tiles += _open_folder(root, name, data)
    artefacts = sorted({example.label for example in tiles} - {GOOD_CLASS})
    if not artefacts or all(is_artefact(example) for example in tiles):
        needed = (
            f"pictures in the folder {GOOD_CLASS}, and in one or more others that show artefacts"
        )
        raise BadRecipe(str(root), [f"it must hold {needed}"])
    split = _split_by_patient(tiles, data.held_out)
    train = [example for example in tiles if split[example.patient] == "train"]
    held_out = [example for example in tiles if split[example.patient] == "held_out"]
    refuse_leaks(train, held_out)
    _refuse_few_patients(train, held_out, len(split))
    return LabelledTiles(train, held_out, (GOOD_CLASS, *artefacts))


def _subfolders(root: Path) -> list[str]:
    return sorted(
        entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _open_folder(root: Path, name: str, data: ArtefactData) -> list[Example]:
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


def _split_by_patient(tiles: Sequence[Example], held_out_share: float) -> dict[str, str]:
    """The side, `train` or `held_out`, of each patient."""
    patients = sorted({example.patient for example in tiles})
    with_artefacts = {example.patient for example in tiles if is_artefact(example)}
    label_of_patient = {
        patient: "artefact" if patient in with_artefacts else GOOD_CLASS for patient in patients
    }
    return split_patients(
        label_of_patient,
        {"train": 1 - held_out_share, "held_out": held_out_share},
    )


def _refuse_few_patients(
    train: Sequence[Example],
    held_out: Sequence[Example],
    patients: int,
) -> None:
    """Refuse a split that leaves a class without enough patients to learn from or to measure on."""
    problems = []
    for words, side, required in (
        ("train", train, MIN_TRAIN_PATIENTS),
        ("are held out", held_out, MIN_GROUPS_PER_CLASS),
    ):
        for name, wanted in (("good tiles", False), ("artefacts", True)):
            present = len({each.patient for each in side if is_artefact(each) == wanted})
            if present < required:
                counted = f"of {patients} patients, {present} with {name} {words}"
                problems.append(f"{counted}; at least {required} must be")
    if problems:
        problems.append("label tiles of more patients, or change data.held_out")
        raise BadRecipe("the labelled folder", problems)
