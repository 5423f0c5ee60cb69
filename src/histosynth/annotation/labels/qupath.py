"""QuPath's labels: GeoJSON of point detections, with names and colours of their classes."""

from __future__ import annotations

import json
from typing import Any

from ...core.nuclei import ANY, Nuclei
from ...core.sheet import class_colour
from ..nuclei_files import tile_coordinates
from .boxes import LABEL_NOTICE

_CORNER_SHIFT_PX = 0.5
"""QuPath counts from the corner of the first pixel."""


def qupath_text(nuclei: Nuclei) -> str:
    """GeoJSON of one picture; a nucleus of the class `any` has no classification there."""
    features = []
    for point, class_id, name in zip(
        nuclei.xy,
        nuclei.class_ids,
        nuclei.names(),
        strict=True,
    ):
        properties: dict[str, Any] = {"objectType": "detection"}
        if name != ANY:
            colour = list(class_colour(int(class_id)))
            properties["classification"] = {"name": name, "color": colour}
        coordinates = tile_coordinates(point, nuclei.size, shift=_CORNER_SHIFT_PX)
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": coordinates},
                "properties": properties,
            }
        )
    collection = {
        "type": "FeatureCollection",
        "notice": LABEL_NOTICE,
        "features": features,
    }
    return json.dumps(collection) + "\n"
