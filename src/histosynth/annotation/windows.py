"""Nuclei of a part of a file: how far its objects reach, and those inside of one window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..core.arrays import Float64Array
from ..core.errors import BadNuclei
from ..core.geometry import Box, Size
from ..core.nuclei import Nuclei, map_classes
from .chosen_nuclei import ChosenNuclei, on_picture, read_chosen
from .reading_files import read_annotation
from .scale import factor_of


def extent_of(path: Path, mpp: float) -> Size:
    """The smallest picture that holds all objects of a file, regions and outlines too.

    Args:
        path: of any form that is read.
        mpp: of the picture, micrometres per pixel.

    Raises:
        BadNuclei: the file cannot be used, holds no object, or objects left of or above (0, 0).
    """
    file = read_annotation(path)
    if file.bounds is None:
        raise BadNuclei(
            f"{path} holds no objects, so that it has no size of its own.",
            "State --size in pixels.",
        )
    factor = factor_of(
        file.scale,
        mpp,
        str(path),
    )
    corners = file.bounds.reshape(2, 2)
    (left, top), (right, bottom) = (
        on_picture(
            corners,
            file,
            factor,
        )
        + 0.5
    )
    # a corner of an outline may lie on the border itself
    if min(left, top) < 0:
        raise BadNuclei(
            f"{path} has objects at x={left:g}, y={top:g} px, left of or above its picture.",
            "State --size in pixels, and where the tile begins with --crop X,Y.",
        )
    is_point = not len(file.polygons)
    sides = np.array([right, bottom])
    # a centroid on a border belongs to the pixel behind it
    whole = np.floor(sides) + 1 if is_point else np.ceil(sides)
    width, height = whole.astype(int).tolist()
    return Size(max(width, 1), max(height, 1))


class FileNuclei:
    """The nuclei of a file, from which windows are cut.

    Args:
        path: of any form that is read.
        mpp: of the picture, micrometres per pixel.
        classes: names of the bundle's classes.
        mapping: class names of the file to those of the bundle.

    Raises:
        BadNuclei: the file cannot be used.
    """

    def __init__(
        self,
        path: Path,
        mpp: float,
        classes: Sequence[str],
        mapping: Mapping[str, str],
    ) -> None:
        self.path = path
        self.mpp = mpp
        self.classes = classes
        self.found: ChosenNuclei = read_chosen(path, mpp)
        self._names = map_classes(self.found.names, mapping)

    def inside(self, box: Box) -> Nuclei:
        """The nuclei of a window, in its frame.

        A nucleus on the border of two windows that touch is inside the right or lower one only.

        Raises:
            BadNuclei, UnknownClasses: those inside cannot be used.
        """
        shifted = self.found.xy - [box.x, box.y]
        limits = np.array(box.size) - 0.5
        # as float32, in which nuclei are kept
        rounded = shifted.astype(np.float32)
        is_inside = ((rounded >= -0.5) & (rounded < limits)).all(axis=1)
        shapes = self.found.shapes_on(box.width * box.height * self.mpp**2)
        names = [self._names[index] for index in np.flatnonzero(is_inside)]
        return Nuclei.of(
            shifted[is_inside],
            names,
            size=box.size,
            mpp=self.mpp,
            classes=self.classes,
            shapes=None if shapes is None else shapes[is_inside],
        )

    def __len__(self) -> int:
        return len(self.found.xy)

    def reach(self) -> Float64Array:
        """(4) least x, least y, largest x and largest y of the nuclei, px."""
        xy = self.found.xy
        return np.concatenate([xy.min(axis=0), xy.max(axis=0)])
