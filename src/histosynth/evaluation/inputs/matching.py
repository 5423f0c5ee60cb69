"""Items matched by file name: variants with the tile they were generated for, tiles with nuclei."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...annotation.nuclei_files import NUCLEI_SUFFIXES
from ...core.errors import BadPairing
from ...core.pairing import list_files
from ...preparation.patients import patient_of_synthetic, read_table
from ..config import InputOptions
from .collections import Collection
from .items import Item

_VARIANT = re.compile(r"_\d+$")
"""How `synthesize` names the variants of a nuclei file."""
_VARIANT_OF_ROW = re.compile(r"_\d+_0_0$")
"""The same in a tile set, whose ids end in the corner of the tile."""


def match_variants(
    synthetic: Collection,
    real: Collection,
    nuclei_folder: Path | None,
    inputs: InputOptions,
) -> Collection:
    """Synthetic tiles with the stem, patient and label of the tile that they were generated for.

    `a_0.png` and `a_1.png` belong to `a` where a real tile or a nuclei file is named `a` and none
    is named `a_0`. A tile's own label is kept.
    """
    real_items = {item.stem: item for item in real.items}
    names = set(real_items)
    if nuclei_folder is not None:
        names.update(file.stem for file in list_files(nuclei_folder, NUCLEI_SUFFIXES))
    table = read_table(inputs.table) if inputs.table else {}
    items = []
    for item in synthetic.items:
        stem = _stem_in(names, item.stem)
        twin = real_items.get(stem)
        if twin is not None:
            label = item.label or twin.label
            items.append(
                replace(
                    item,
                    stem=stem,
                    patient=twin.patient,
                    label=label,
                )
            )
        elif stem != item.stem:
            items.append(_from_table(item, stem, table, inputs))
        else:
            items.append(item)
    return replace(synthetic, items=tuple(items))


def assign_nuclei_files(
    collection: Collection,
    folder: Path | None,
    *,
    needed: bool = True,
) -> Collection:
    """The same with each item's nuclei file, by stem.

    Raises:
        NoFiles: the folder holds none.
        BadPairing: no item has one, and they are needed.
    """
    if folder is None:
        return collection
    files = {file.stem: file for file in list_files(folder, NUCLEI_SUFFIXES)}
    items = tuple(replace(item, points=files.get(item.stem)) for item in collection.items)
    if needed and not any(item.points for item in items):
        raise BadPairing(
            "nuclei file",
            [item.stem for item in items],
            sorted(files),
        )
    return replace(collection, items=items)


def _stem_in(names: set[str], stem: str) -> str:
    """The stem without its number of the variant, where only that is a known name."""
    if stem in names:
        return stem
    for pattern in (_VARIANT, _VARIANT_OF_ROW):
        shorter = pattern.sub("", stem)
        if shorter in names:
            return shorter
    return stem


def _from_table(
    item: Item,
    stem: str,
    table: Mapping[str, Mapping[str, str]],
    inputs: InputOptions,
) -> Item:
    row = table.get(stem, {})
    patient = row.get("patient") or patient_of_synthetic(stem, inputs.patient)
    label = item.label or row.get("label", "")
    return replace(
        item,
        stem=stem,
        patient=patient,
        label=label,
    )
