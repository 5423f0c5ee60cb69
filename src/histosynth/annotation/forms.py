"""The forms of annotation files: a new one is a file of its own and one line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .cells_json import (
    CELLVIT,
    HOVERNET,
    TIATOOLBOX,
    is_cellvit,
    is_hovernet,
    is_tiatoolbox,
    read_cellvit,
    read_hovernet,
    read_tiatoolbox,
)
from .collecting import ObjectCollector
from .csv_points import FORM_CSV
from .geojson import FORM, is_geojson, read_geojson
from .objects import AnnotationFile


@dataclass(frozen=True)
class JsonForm:
    """A form of JSON.

    Attributes:
        matches: whether values have this form.
        read: values as objects, through a collector; raises `AnnotationFault`.
    """

    matches: Callable[[Any], bool]
    read: Callable[[Any, ObjectCollector], AnnotationFile]


JSON_FORMS = {
    HOVERNET: JsonForm(is_hovernet, read_hovernet),
    CELLVIT: JsonForm(is_cellvit, read_cellvit),
    TIATOOLBOX: JsonForm(is_tiatoolbox, read_tiatoolbox),
    FORM: JsonForm(is_geojson, read_geojson),
}
"""The first that matches is read."""


@dataclass(frozen=True)
class FormFacts:
    """A row of the table of forms in the documentation.

    Attributes:
        writers: tools that write it.
        read: what is read of it.
        name_from: where the class stands.
    """

    writers: str
    read: str
    name_from: str


FORM_FACTS = {
    FORM_CSV: FormFacts(
        "histosynth, tables",
        "points, `x,y,class`, if wanted `area_um2,elongation,angle`, px from the first pixel's "
        "centre",
        "`class`",
    ),
    FORM: FormFacts(
        "QuPath 0.2 to 0.6, CellViT, TIAToolbox, StarDist, geopandas",
        "points, polygons, `nucleusGeometry`, `childObjects`, px from the first pixel's corner",
        "`classification` (`name`, `names`, text), `class`, `type`",
    ),
    HOVERNET: FormFacts(
        "HoVer-Net",
        "`nuc` by number: `centroid`; `mag`",
        "`type`, named by `type_map`",
    ),
    CELLVIT: FormFacts(
        "CellViT, CellViT++",
        "`cells`: `centroid`; `wsi_metadata`",
        "`type`, named by `type_map`",
    ),
    TIATOOLBOX: FormFacts(
        "TIAToolbox, older HoVer-Net",
        "objects by number, or a list of them: `centroid`; `resolution`",
        "`type`",
    ),
}
"""What users are shown of each form; `docs/annotations.md` holds the same table."""
