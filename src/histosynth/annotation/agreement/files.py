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
from ...core.estimate import Estimate
from ...core.pairing import list_files, pair_by_stem
from .kappa import Counts
from .nuclei import NucleiAgreement, Table, compare_nuclei, summarise_nuclei
from .reading import SUFFIXES, Annotation, read_two
from .regions import RegionAgreement, classes_of, compare_regions, summarise_regions


@dataclass(frozen=True, eq=False)
class Pair:
    """Both annotators of one picture; `name` is the first's file without its ending."""

    name: str
    first: Annotation
    second: Annotation


@dataclass(frozen=True)
class Agreement:
    """Two annotators compared over all files. `nuclei` or `regions` is None where neither drew
    any.
    """

    files: tuple[str, ...]
    mpp: float
    reach_um: float
    cell_um: float
    nuclei: NucleiAgreement | None
    regions: RegionAgreement | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are nan become None."""
        plain = {name: getattr(self, name) for name in ("mpp", "reach_um", "cell_um")}
        parts = {"nuclei": self.nuclei, "regions": self.regions}
        compared = {name: part.as_dict() if part else None for name, part in parts.items()}
        return {"files": list(self.files), **plain, **compared}


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
        mapping: their class names to yours; empty: as they are.
        order: region classes from lowest to topmost where they overlap; see `region_agreement`.
        sizes: (width, height) px of each picture by stem; without them regions have no kappa over
            the whole picture, only one inside.
        patients: patient by stem. Files of one patient are not independent: with it the bootstrap
            draws patients, else files.

    Raises:
        BadPairing: files of two folders that do not pair.
        NoFiles: a path holds none.
        BadOption: a number out of its range.
        BadTable: `patients` lacks a file.
        InputError: a file cannot be used; see `read_two`.
    """
    pairs = read_pairs(first, second, mpp=mpp, mapping=mapping)
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
    ones = list_files(first, SUFFIXES)
    if first.is_file() and second.is_file():
        twos = [second]
    elif second.is_file():
        # a folder and a file pair only if the folder holds just that file
        ones = pair_by_stem([second], first, SUFFIXES, "first annotation")
        twos = [second]
    else:
        twos = pair_by_stem(ones, second, SUFFIXES, "second annotation")
    both = zip(ones, twos, strict=True)
    return [Pair(one.stem, *read_two(one, two, mpp=mpp, mapping=mapping)) for one, two in both]


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
    if patients and (absent := [each.name for each in pairs if each.name not in patients]):
        problem = (
            f"The table of patients lacks {len(absent)} of {len(pairs)} files, first {absent[0]}."
        )
        raise BadTable(problem, "Add them, with their patient.")
    owners = [patients[each.name] if patients else each.name for each in pairs]
    unit = "patient" if patients else "file"
    tables: dict[str, Table] = {owner: Counter() for owner in owners}
    for owner, each in zip(owners, pairs, strict=True):
        tables[owner] += compare_nuclei(
            each.first.marks,
            each.second.marks,
            reach_um=reach_um,
            mpp=mpp,
        )
    regions = _regions(
        pairs,
        owners,
        unit,
        cell=cell_um / mpp,
        sizes=sizes or {},
        order=order,
    )
    told = any(tables.values()) or regions is None
    nuclei = summarise_nuclei(list(tables.values()), unit=unit) if told else None
    return Agreement(
        tuple(each.name for each in pairs),
        mpp,
        reach_um,
        cell_um,
        nuclei,
        regions,
    )


def extent(pair: Pair) -> tuple[int, int]:
    """(width, height) that holds all that both drew, px."""
    far = [each.marks.xy.max(axis=0) + 1 for each in (pair.first, pair.second) if len(each.marks)]
    shapes = (*pair.first.regions, *pair.second.regions)
    far += [np.asarray(region.outline).max(axis=0) for region in shapes]
    width, height = np.ceil(np.max(far, axis=0)) if far else (1, 1)
    return max(int(width), 1), max(int(height), 1)


def _regions(
    pairs: Sequence[Pair],
    owners: Sequence[str],
    unit: str,
    *,
    cell: float,
    sizes: Mapping[str, tuple[int, int]],
    order: Sequence[str],
) -> RegionAgreement | None:
    classes = classes_of(*(side.regions for each in pairs for side in (each.first, each.second)))
    if not classes:
        return None
    groups: dict[str, list[Counts]] = {owner: [] for owner in owners}
    for owner, each in zip(owners, pairs, strict=True):
        size = sizes.get(each.name) or extent(each)
        groups[owner] += compare_regions(
            each.first.regions,
            each.second.regions,
            classes,
            size=size,
            cell=cell,
            order=order,
        )
    if len(groups) == 1:
        one = f" of one {unit}"
        found = summarise_regions(
            next(iter(groups.values())),
            classes,
            unit="block",
            of=one,
        )
    else:
        sums = [np.sum(blocks, axis=0) for blocks in groups.values()]
        found = summarise_regions(sums, classes, unit=unit)
    if all(each.name in sizes for each in pairs):
        return found
    reason = "the pictures' sizes were not given"
    return replace(found, whole=Estimate(math.nan, math.nan, math.nan, 0, "none", reason))
