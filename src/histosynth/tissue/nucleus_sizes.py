"""Typical sizes of nuclei by class, and sizes drawn from them for nuclei that have none.

Asked for nothing, a network paints the mean nucleus; tissue is made of nuclei that differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.arrays import BoolArray, Float32Array, Float64Array
from ..core.nuclei import ANY_CLASS, Nuclei
from ..core.nucleus_shapes import (
    MAX_AREA_UM2,
    MAX_ELONGATION,
    known_shapes,
)
from ..core.orientation import FibreOrientation
from .alignment import ClassAlignment
from .position_hash import hashed_places

LEVELS = tuple(round(level, 3) for level in np.linspace(0.01, 0.99, 15))
"""Levels of the quantiles that are kept."""
MIN_MEASURED = 50
"""Nuclei of a class below which its sizes are not kept."""
_LEAST_AREA_UM2 = 0.01
_LEAST_LOG = 1e-3
"""Of an elongation, the smallest that is divided by."""
_PLACES_PER_PX = 8
_WORD = 2.0**64


@dataclass(frozen=True)
class ClassSizes:
    """Quantiles of one class at `LEVELS`; none: too few nuclei were measured.

    Attributes:
        area_um2: ascending.
        elongation: ascending, 1 is round.
    """

    area_um2: tuple[float, ...] = ()
    elongation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check("area_um2", self.area_um2, _LEAST_AREA_UM2, MAX_AREA_UM2)
        _check("elongation", self.elongation, 1.0, MAX_ELONGATION)
        if len(self.area_um2) != len(self.elongation):
            raise ValueError("area_um2 and elongation must be known of the same classes")

    def drawn(self, area_level: Float64Array, elongation_level: Float64Array) -> Float64Array:
        """(N, 2) area and elongation at levels in [0, 1], between the quantiles."""
        return np.stack(
            [
                np.interp(area_level, LEVELS, self.area_um2),
                np.interp(elongation_level, LEVELS, self.elongation),
            ],
            axis=1,
        )


def _check(
    name: str,
    quantiles: tuple[float, ...],
    least: float,
    most: float,
) -> None:
    if not quantiles:
        return
    if len(quantiles) != len(LEVELS):
        raise ValueError(f"{name} has {len(quantiles)} quantiles in place of {len(LEVELS)}")
    if not all(least <= value <= most for value in quantiles):
        raise ValueError(f"quantiles of {name} must lie within {least:g}..{most:g}")
    if list(quantiles) != sorted(quantiles):
        raise ValueError(f"quantiles of {name} must ascend")


def measure_sizes(
    tiles: Iterable[Nuclei],
    classes: Sequence[str],
) -> tuple[ClassSizes, ...]:
    """Sizes of each class over tiles whose nuclei have shapes, in the order of the classes.

    Args:
        tiles: the nuclei of each; those without a shape are left out.
        classes: of all tiles.
    """
    found: list[list[Float32Array]] = [[] for _ in classes]
    for nuclei in tiles:
        shapes = nuclei.shapes_or_unknown()
        known = known_shapes(shapes)
        for class_id, of_class in enumerate(found):
            of_class.append(shapes[known & (nuclei.class_ids == class_id)])
    return tuple(
        _sizes_of(np.concatenate(of_class)) if of_class else ClassSizes() for of_class in found
    )


def _sizes_of(shapes: Float32Array) -> ClassSizes:
    if len(shapes) < MIN_MEASURED:
        return ClassSizes()
    area, elongation, _ = np.quantile(shapes, LEVELS, axis=0).T.round(3)
    return ClassSizes(tuple(area.tolist()), tuple(elongation.tolist()))


def corrected_sizes(
    drawn: Sequence[ClassSizes],
    *,
    real: Sequence[ClassSizes],
    synthetic: Sequence[ClassSizes],
    class_ids: Sequence[int],
) -> tuple[ClassSizes, ...]:
    """Sizes to draw from now on, so that what is made has those of real tissue: one step.

    A network does not follow sizes exactly: nuclei that were drawn small may come out larger. Each
    quantile is changed by what came of it, areas in proportion, elongations in that of their
    logarithms.

    Args:
        drawn: what was drawn, by class.
        real: measured of nuclei of real tiles, by class.
        synthetic: measured of the same nuclei in pictures.
        class_ids: those to correct; other classes stay, and those of too few nuclei.
    """
    corrected = list(drawn)
    for class_id in class_ids:
        each = (drawn[class_id], real[class_id], synthetic[class_id])
        if all(sizes.area_um2 for sizes in each):
            corrected[class_id] = _corrected(*each)
    return tuple(corrected)


def _corrected(
    drawn: ClassSizes,
    real: ClassSizes,
    synthetic: ClassSizes,
) -> ClassSizes:
    area = np.multiply(drawn.area_um2, np.divide(real.area_um2, synthetic.area_um2))
    logs = [np.log(sizes.elongation) for sizes in (drawn, real, synthetic)]
    of_drawn, of_real, of_synthetic = (each.clip(min=_LEAST_LOG) for each in logs)
    log_elongation = (of_drawn * of_real / of_synthetic).clip(max=np.log(MAX_ELONGATION))
    elongation = np.exp(log_elongation)
    return ClassSizes(
        _ascending(area, _LEAST_AREA_UM2, MAX_AREA_UM2),
        _ascending(elongation, 1.0, MAX_ELONGATION),
    )


def _ascending(
    values: Float64Array,
    least: float,
    most: float,
) -> tuple[float, ...]:
    rounded = values.clip(least, most).round(3)
    return tuple(np.maximum.accumulate(rounded).tolist())


def gets_size(nuclei: Nuclei, sizes: Sequence[ClassSizes]) -> BoolArray:
    """(N,) which nuclei have no shape, and one is drawn for: their class has known sizes."""
    is_measured = np.zeros(ANY_CLASS + 1, bool)
    for class_id, of_class in enumerate(sizes):
        is_measured[class_id] = bool(of_class.area_um2)
    return is_measured[nuclei.class_ids] & ~known_shapes(nuclei.shapes_or_unknown())


def draw_shapes(
    nuclei: Nuclei,
    sizes: Sequence[ClassSizes],
    *,
    seed: int,
    fibres: FibreOrientation | None = None,
    alignment: Sequence[ClassAlignment] = (),
    corner: tuple[int, int] = (0, 0),
) -> Nuclei:
    """The nuclei with a shape each, where their class has known sizes; given shapes stay.

    Area, elongation and angle of a nucleus depend on the seed, its own position and the fibres
    there alone: others may come and go.

    Args:
        nuclei: of one tile.
        sizes: by class, in the order of the nuclei's; none: nothing is drawn.
        seed: any whole number.
        fibres: how they run; None: nuclei lie in any direction.
        alignment: of each class with fibres; none: nuclei lie in any direction.
        corner: of the tile on its slide, px: a nucleus has one place in all windows of a slide,
            and one shape.
    """
    shapes = nuclei.shapes_or_unknown()
    without = gets_size(nuclei, sizes)
    on_slide = nuclei.xy.astype(np.float64) + corner
    places = np.rint(on_slide * _PLACES_PER_PX).astype(np.int64)
    x, y = places.T
    words = hashed_places(
        seed,
        np.ascontiguousarray(x),
        np.ascontiguousarray(y),
        count=3,
    )
    levels = words / _WORD
    drawn = shapes.astype(np.float64)
    axes = np.zeros((len(nuclei), 2))
    if fibres is not None:
        axes = fibres.at(nuclei.xy).astype(np.float64)
    for class_id, of_class in enumerate(sizes):
        own = without & (nuclei.class_ids == class_id)
        if own.any():
            along = alignment[class_id] if alignment else ClassAlignment()
            drawn[own] = _drawn(
                of_class,
                along,
                levels[:, own],
                axes[own],
            )
    return replace(nuclei, shapes=drawn.astype(np.float32))


def _drawn(
    sizes: ClassSizes,
    along: ClassAlignment,
    levels: Float64Array,
    axes: Float64Array,
) -> Float64Array:
    """Shapes (N, 3) of nuclei of one class.

    Args:
        sizes: of the class.
        along: how they lie along fibres.
        levels: (3, N) in [0, 1] of area, elongation and angle.
        axes: (N, 2) of the fibres around each; zeros: they run in no direction.
    """
    area_level, elongation_level, angle_level = levels
    if axes.any():
        strength = np.hypot(*axes.T)
        elongation_level = along.elongation_level(strength, elongation_level)
    shapes = sizes.drawn(area_level, elongation_level)
    angle = along.angle(
        axes,
        shapes[:, 1],
        angle_level,
    )
    return np.concatenate([shapes, angle[:, None]], axis=1)
