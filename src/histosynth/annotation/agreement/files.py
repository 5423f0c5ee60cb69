"""Two annotators' files or folders: paired, read and compared."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import BadOption, BadTable
from ...core.estimate import undefined
from ...core.pairing import list_files, pair_by_stem
from ..reading_files import ANNOTATION_SUFFIXES
from .kappa import Counts
from .nuclei import ClassPairs, NucleiAgreement, compare_nuclei, summarise_nuclei
from .reading import Annotation, read_two
from .regions import RegionAgreement, compare_regions, region_classes, summarise_regions


@dataclass(frozen=True, eq=False)
class Pair:
    """Both annotators of one picture.

    Attributes:
        name: the first annotator's file without its suffix.
        first: of one annotator.
        second: of the other.
    """

    name: str
    first: Annotation
    second: Annotation


@dataclass(frozen=True)
class Agreement:
    """Two annotators compared over all files.

    Attributes:
        files: names of the pictures.
        mpp: micrometres per pixel.
        reach_um: largest distance of two marks that are one nucleus.
        cell_um: side of the cells that regions were compared by.
        nuclei: of nuclei; None where neither marked any but regions were drawn.
        regions: of regions; None where neither drew any.
        notes: sentences on what was left out of the files, and on changes of scale.
    """

    files: tuple[str, ...]
    mpp: float
    reach_um: float
    cell_um: float
    nuclei: NucleiAgreement | None
    regions: RegionAgreement | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are nan become None."""
        notes = {"notes": list(self.notes)} if self.notes else {}
        return notes | {
            "files": list(self.files),
            "mpp": self.mpp,
            "reach_um": self.reach_um,
            "cell_um": self.cell_um,
            "nuclei": self.nuclei.as_dict() if self.nuclei else None,
            "regions": self.regions.as_dict() if self.regions else None,
        }


def agreement_of_files(
    first: Path,
    second: Path,
    *,
    mpp: float,
    reach_um: float = 6.0,
    cell_um: float = 4.0,
    mapping: Mapping[str, str],
    order: Sequence[str] = (),
    sizes: Mapping[str, tuple[int, int]] | None = None,
    patients: Mapping[str, str] | None = None,
) -> Agreement:
    """Agreement of two annotators' files or folders.

    Args:
        first: a file or a folder of `.csv`, `.geojson` or `.json`; px of the picture.
        second: the other annotator's; folders are paired by stem.
        mpp: micrometres per pixel, > 0, the same for all.
        reach_um: two marks no farther apart are one nucleus, um; > 0.
        cell_um: side of the cells that regions are compared by, um; > 0.
        mapping: class names of the files to yours; empty: as they are.
        order: region classes from lowest to topmost where they overlap; see `region_agreement`.
        sizes: (width, height) px of each picture by stem; without them regions have no kappa over
            the whole picture, only one inside.
        patients: patient by stem. Files of one patient are not independent: with it the bootstrap
            resamples patients, else files.

    Raises:
        BadPairing: files of two folders that do not pair.
        NoFiles: a path holds none.
        BadOption: a number out of its range.
        BadTable: `patients` lacks a file.
        InputError: a file cannot be used; see `read_two`.
    """
    pairs = read_pairs(
        first,
        second,
        mpp=mpp,
        mapping=mapping,
    )
    return agreement_of_pairs(
        pairs,
        mpp=mpp,
        reach_um=reach_um,
        cell_um=cell_um,
        order=order,
        sizes=sizes,
        patients=patients,
    )


def read_pairs(
    first: Path,
    second: Path,
    *,
    mpp: float,
    mapping: Mapping[str, str],
) -> list[Pair]:
    """Both annotators of each picture, by name; see `agreement_of_files`."""
    if not (math.isfinite(mpp) and mpp > 0):
        raise BadOption("--mpp", mpp, "a number above 0")
    pairs = []
    for first_path, second_path in _pair_files(first, second):
        annotations = read_two(
            first_path,
            second_path,
            mpp=mpp,
            mapping=mapping,
        )
        pairs.append(Pair(first_path.stem, *annotations))
    return pairs


def _pair_files(first: Path, second: Path) -> list[tuple[Path, Path]]:
    """Files of two annotators that belong together: two files, or those of folders by stem."""
    first_files = list_files(first, ANNOTATION_SUFFIXES)
    if first.is_file() and second.is_file():
        return [(first_files[0], second)]
    if second.is_file():
        # a folder and a file pair only if the folder holds just that file
        first_files = pair_by_stem(
            [second],
            first,
            ANNOTATION_SUFFIXES,
            "first annotation",
        )
        return [(first_files[0], second)]
    second_files = pair_by_stem(
        first_files,
        second,
        ANNOTATION_SUFFIXES,
        "second annotation",
    )
    return list(zip(first_files, second_files, strict=True))


def agreement_of_pairs(
    pairs: Sequence[Pair],
    *,
    mpp: float,
    reach_um: float = 6.0,
    cell_um: float = 4.0,
    order: Sequence[str] = (),
    sizes: Mapping[str, tuple[int, int]] | None = None,
    patients: Mapping[str, str] | None = None,
) -> Agreement:
    """The same of annotations already read; see `agreement_of_files`."""
    groups = _group_names(pairs, patients)
    unit = "patient" if patients else "file"
    tables: dict[str, ClassPairs] = {name: Counter() for name in groups}
    for name, pair in zip(groups, pairs, strict=True):
        tables[name] += compare_nuclei(
            pair.first.marks,
            pair.second.marks,
            reach_um=reach_um,
            mpp=mpp,
        )
    regions = _compare_all_regions(
        pairs,
        groups,
        unit,
        cell=cell_um / mpp,
        sizes=sizes or {},
        order=order,
    )
    nuclei = None
    if any(tables.values()) or regions is None:
        nuclei = summarise_nuclei(list(tables.values()), unit=unit)
    return Agreement(
        tuple(pair.name for pair in pairs),
        mpp,
        reach_um,
        cell_um,
        nuclei,
        regions,
        _notes(pairs),
    )


def _notes(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """The notes on all files, each once."""
    notes = [note for pair in pairs for side in (pair.first, pair.second) for note in side.notes]
    return tuple(dict.fromkeys(notes))


def _group_names(pairs: Sequence[Pair], patients: Mapping[str, str] | None) -> list[str]:
    """The independent group of each pair: its patient where patients are given, else itself.

    Raises:
        BadTable: `patients` lacks a file.
    """
    if not patients:
        return [pair.name for pair in pairs]
    absent = [pair.name for pair in pairs if pair.name not in patients]
    if absent:
        raise BadTable(
            f"The table of patients lacks {len(absent)} of {len(pairs)} files, first {absent[0]}.",
            "Add them, with their patient.",
        )
    return [patients[pair.name] for pair in pairs]


def extent(pair: Pair) -> tuple[int, int]:
    """(width, height) that holds all that both drew, px; at least 1 x 1."""
    far_corners = []
    for annotation in (pair.first, pair.second):
        if len(annotation.marks):
            far_corners.append(annotation.marks.xy.max(axis=0) + 1)
        for region in annotation.regions:
            far_corners.append(np.asarray(region.outline).max(axis=0))
    if not far_corners:
        return 1, 1
    width, height = np.ceil(np.max(far_corners, axis=0))
    return max(int(width), 1), max(int(height), 1)


def _compare_all_regions(
    pairs: Sequence[Pair],
    groups: Sequence[str],
    unit: str,
    *,
    cell: float,
    sizes: Mapping[str, tuple[int, int]],
    order: Sequence[str],
) -> RegionAgreement | None:
    """Agreement on regions over all pictures; None where neither drew any."""
    sides = [side.regions for pair in pairs for side in (pair.first, pair.second)]
    classes = region_classes(*sides)
    if not classes:
        return None
    blocks: dict[str, list[Counts]] = {name: [] for name in groups}
    for name, pair in zip(groups, pairs, strict=True):
        blocks[name] += compare_regions(
            pair.first.regions,
            pair.second.regions,
            classes,
            size=sizes.get(pair.name) or extent(pair),
            cell=cell,
            order=order,
        )
    found = _summarise_groups(list(blocks.values()), classes, unit)
    if all(pair.name in sizes for pair in pairs):
        return found
    return replace(found, whole=undefined("the pictures' sizes were not given"))


def _summarise_groups(
    groups: Sequence[Sequence[Counts]],
    classes: Sequence[str],
    unit: str,
) -> RegionAgreement:
    """Agreement over groups; a single one is divided into its blocks."""
    if len(groups) == 1:
        return summarise_regions(
            groups[0],
            classes,
            unit="block",
            of=f" of one {unit}",
        )
    sums = [np.sum(blocks, axis=0) for blocks in groups]
    return summarise_regions(sums, classes, unit=unit)
