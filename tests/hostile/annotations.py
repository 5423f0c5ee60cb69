"""Annotations: CSV, GeoJSON, and JSON of HoVer-Net, CellViT and TIAToolbox; class maps."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from histosynth.annotation.agreement import read_two
from histosynth.annotation.class_map import read_class_map
from histosynth.annotation.inspecting import inspect_annotations
from histosynth.annotation.nuclei_files import read_nuclei
from histosynth.annotation.regions import find_regions
from histosynth.annotation.slide_nuclei import read_slide_nuclei
from histosynth.core.errors import HistosynthError
from histosynth.core.geometry import Size

from .mutating import JSON_CHANGES, TEXT_CHANGES
from .trial import Format

SIDE = 64
CLASSES = ("Tumor", "Stroma", "epithelial")


def _polygon(left: float, top: float, side: float = 9.0) -> list[Any]:
    right, bottom = left + side, top + side
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    return [ring]


def _feature(geometry: Any, name: str, kind: str) -> dict[str, Any]:
    about = {"objectType": kind, "classification": {"name": name, "color": [1, 2, 3]}}
    return {"type": "Feature", "id": "a", "geometry": geometry, "properties": about}


def _features() -> list[dict[str, Any]]:
    point = {"type": "Point", "coordinates": [3.5, 4.5]}
    cell = _feature({"type": "Polygon", "coordinates": _polygon(10, 10)}, "Tumor", "cell")
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": _polygon(12, 12, 4)}
    several = {"type": "MultiPolygon", "coordinates": [_polygon(30, 30), _polygon(45, 45)]}
    nested = _feature(several, "Stroma", "annotation")
    nested["properties"]["childObjects"] = [_feature(point, "Tumor", "detection")]
    points = {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}
    return [
        _feature(point, "Tumor", "detection"),
        cell,
        nested,
        _feature(
            {"type": "GeometryCollection", "geometries": [point, points]}, "Stroma", "annotation"
        ),
    ]


def _write_geojson(folder: Path) -> None:
    collection = {"type": "FeatureCollection", "features": _features()}
    (folder / "a.geojson").write_text(json.dumps(collection))
    (folder / "b.geojson").write_text(json.dumps(_features(), indent=1))


def _nuclei() -> dict[str, Any]:
    entries = {}
    for number in range(4):
        entries[str(number)] = {
            "bbox": [[0, 0], [4, 4]],
            "centroid": [5.0 + number, 6.5],
            "contour": [[0, 0], [4, 0], [4, 4]],
            "type_prob": 0.9,
            "type": number % 2,
        }
    return entries


def _write_hovernet(folder: Path) -> None:
    values = {"mag": None, "nuc": _nuclei(), "type_map": {"0": "Tumor", "1": ["Stroma", [0, 1, 2]]}}
    (folder / "a.json").write_text(json.dumps(values))


def _write_cells(folder: Path) -> None:
    facts = {"wsi_metadata": {"mpp": 0.5}, "type_map": {"0": "Tumor", "1": "Stroma"}}
    (folder / "cellvit.json").write_text(json.dumps(facts | {"cells": [*_nuclei().values()]}))
    (folder / "by_number.json").write_text(json.dumps(_nuclei()))
    (folder / "listed.json").write_text(json.dumps([*_nuclei().values()]))


def _write_csv(folder: Path) -> None:
    rows = ["x,y,class", "1,2,Tumor", "3.5,4,Stroma", '5,6,"Tumor"', "7,8,any", "9,9,"]
    (folder / "a.csv").write_text("\n".join(rows) + "\n")


def _readers(path: Path) -> list[Callable[[], Any]]:
    size = Size(SIDE, SIDE)
    names = {name: name for name in CLASSES}
    return [
        lambda: inspect_annotations(path),
        lambda: read_two(path, path, mpp=0.5, mapping={}),
        lambda: read_slide_nuclei(path, names, size=size, mpp=0.5),
        lambda: find_regions(path),
        lambda: read_nuclei(path, size=size, mpp=0.5, classes=CLASSES, on_note=lambda note: None),
    ]


def _read(path: Path, out: Path) -> None:
    """Every reader; the refusal of the last one counts."""
    *others, last = _readers(path)
    for read in others:
        with contextlib.suppress(HistosynthError):
            read()
    last()


def _read_any_classes(path: Path, out: Path) -> None:
    """For files of classes by number."""
    *others, _ = _readers(path)
    for read in others:
        with contextlib.suppress(HistosynthError):
            read()
    read_two(path, path, mpp=0.5, mapping={})


def _write_class_map(folder: Path) -> None:
    text = '# names\n"Tumor" = "epithelial"\nStroma = "stromal"\n"Immune cells" = \'lymphocyte\'\n'
    (folder / "map.toml").write_text(text)


def _read_map(path: Path, out: Path) -> None:
    read_class_map(path)


FORMATS = (
    Format("geojson", _write_geojson, _read, JSON_CHANGES),
    Format("hovernet json", _write_hovernet, _read, JSON_CHANGES),
    Format("cells json", _write_cells, _read_any_classes, JSON_CHANGES),
    Format("csv of nuclei", _write_csv, _read, TEXT_CHANGES),
    Format("class map", _write_class_map, _read_map, TEXT_CHANGES),
)
