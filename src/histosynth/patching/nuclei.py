"""Nuclei of a region to paint: they go on as those around it.

Those of the known tissue are detected. Their densities are carried into the region, and the model
of layouts draws nuclei of these densities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.arrays import Float64Array
from ..core.geometry import Box
from ..core.nuclei import ANY_CLASS, Nuclei
from ..core.tile import Mask, Pixels
from ..detectors.opening import open_detector
from ..tissue.layouts.drawn_layout import DrawnLayout
from ..tissue.layouts.given_fields import GivenDensities
from ..tissue.layouts.model import LayoutModel, read_layouts

_DETECTOR = "centroids"
_FILL_PX = 12.0
_CELL_UM = 20.0
_REACHES_UM = (
    (25.0, 1.0),
    (60.0, 1e-2),
    (150.0, 1e-4),
    (500.0, 1e-6),
)
"""Standard deviations and weights of the kernels that carry densities on: the nearest decides."""
_LEAST_DISTANCE_UM = 4.0
"""Drawn nuclei keep this far from detected ones."""


def nuclei_around(
    pixels: Pixels,
    mask: Mask,
    *,
    mpp: float,
    classes: Sequence[str],
    seed: int,
) -> Nuclei | None:
    """Nuclei of a canvas: detected where it is known, drawn where it is not.

    Args:
        pixels: (H, W, 3) uint8; values inside the mask are not used.
        mask: (H, W) bool, what is to be painted.
        mpp: micrometres per pixel.
        classes: of the bundle.
        seed: of what is drawn.

    Returns:
        None where the bundle's classes are not those of the detector and the layouts.
    """
    model = read_layouts()
    detector = open_detector(_DETECTOR)
    is_same = set(model.classes) == set(classes)
    if detector is None or not is_same or set(detector.classes) != set(classes):
        return None
    height, width = mask.shape
    found = detector(filled_smoothly(pixels, mask))
    rows = found.xy[:, 1].round().astype(int).clip(0, height - 1)
    columns = found.xy[:, 0].round().astype(int).clip(0, width - 1)
    found = found.where(~mask[rows, columns])
    known = Nuclei(
        found.xy,
        _class_ids(
            found.class_ids,
            detector.classes,
            classes,
        ),
        tuple(classes),
        (width, height),  # type: ignore[arg-type]  # a plain pair is taken too
        mpp,
    )
    drawn = _drawn(
        _densities(
            known,
            mask,
            model,
        ),
        known,
        model,
        seed,
    )
    return _joined(
        known,
        drawn,
        mask,
    )


def filled_smoothly(pixels: Pixels, mask: Mask) -> Pixels:
    """The same with the colour around in place of what the mask covers."""
    known = (~mask).astype(np.float32)
    sums = np.zeros(pixels.shape, np.float32)
    weights = np.zeros(mask.shape, np.float32)
    for sigma, share in (
        (_FILL_PX, 1.0),
        (8 * _FILL_PX, 1e-3),
        (40 * _FILL_PX, 1e-6),
    ):
        for channel in range(3):
            values = pixels[..., channel] * known
            sums[..., channel] += share * _blurred(values, sigma)
        weights += share * _blurred(known, sigma)
    out = pixels.copy()
    means = sums / np.maximum(weights, 1e-12)[..., None]
    out[mask] = means[mask].round().clip(0, 255).astype(np.uint8)
    return out


def _blurred(values: np.ndarray, sigma: float) -> np.ndarray:
    """A wide blur, on a coarse grid."""
    step = max(int(sigma // 4), 1)
    height, width = values.shape
    spare = ((0, -height % step), (0, -width % step))
    padded = np.pad(values, spare)
    cells = padded.reshape(
        padded.shape[0] // step,
        step,
        -1,
        step,
    ).mean(axis=(1, 3))
    smooth = ndimage.gaussian_filter(
        cells,
        sigma / step,
        mode="constant",
    )
    wide = ndimage.zoom(
        smooth,
        step,
        order=1,
        grid_mode=True,
        mode="nearest",
    )
    return np.asarray(wide[:height, :width])


def _class_ids(
    found: np.ndarray,
    from_classes: Sequence[str],
    classes: Sequence[str],
) -> np.ndarray:
    new = np.full(
        ANY_CLASS + 1,
        ANY_CLASS,
        np.uint8,
    )
    for index, name in enumerate(from_classes):
        new[index] = list(classes).index(name)
    return np.asarray(new[found])


def _densities(known: Nuclei, mask: Mask, model: LayoutModel) -> Float64Array:
    """(K, R, C) nuclei per mm2, in the order of the model's classes, everywhere."""
    step = max(round(_CELL_UM / known.mpp), 1)
    height, width = mask.shape
    rows, columns = -(-height // step), -(-width // step)
    spare = ((0, rows * step - height), (0, columns * step - width))
    area = np.pad((~mask).astype(np.float64), spare)
    area = (
        area.reshape(
            rows,
            step,
            columns,
            step,
        ).sum(axis=(1, 3))
        * (known.mpp / 1000) ** 2
    )
    maps = []
    for name in model.classes:
        chosen = known.xy[known.class_ids == known.classes.index(name)]
        counts = np.zeros((rows, columns))
        places = (chosen.clip(0) // step).astype(int)
        np.add.at(
            counts,
            (places[:, 1], places[:, 0]),
            1,
        )
        above = np.zeros_like(counts)
        below = np.full_like(counts, 1e-12)
        for reach_um, share in _REACHES_UM:
            sigma = reach_um / (step * known.mpp)
            above += share * ndimage.gaussian_filter(
                counts,
                sigma,
                mode="constant",
            )
            below += share * ndimage.gaussian_filter(
                area,
                sigma,
                mode="constant",
            )
        maps.append(above / below)
    return np.stack(maps)


def _drawn(
    maps: Float64Array,
    known: Nuclei,
    model: LayoutModel,
    seed: int,
) -> Nuclei:
    """Nuclei of these densities on the whole canvas."""
    step = max(round(_CELL_UM / known.mpp), 1)
    size_um = (maps.shape[2] * step * known.mpp, maps.shape[1] * step * known.mpp)
    layout = DrawnLayout(
        model,
        known.size,
        mpp=known.mpp,
        seed=seed,
        densities=GivenDensities(maps, size_um),
        densities_digest="of the tissue around",
    )
    drawn = layout.window(
        Box(
            0,
            0,
            *known.size,
        )
    )
    return replace(
        drawn,
        class_ids=_class_ids(
            drawn.class_ids,
            drawn.classes,
            known.classes,
        ),
        classes=known.classes,
    )


def _joined(
    known: Nuclei,
    drawn: Nuclei,
    mask: Mask,
) -> Nuclei:
    """Known nuclei, and drawn ones where the mask is and none is near."""
    height, width = mask.shape
    rows = drawn.xy[:, 1].round().astype(int).clip(0, height - 1)
    columns = drawn.xy[:, 0].round().astype(int).clip(0, width - 1)
    keep = mask[rows, columns]
    if len(known) and len(drawn):
        distance, _ = cKDTree(known.xy).query(drawn.xy)
        keep &= distance > _LEAST_DISTANCE_UM / known.mpp
    return known.concat(drawn.where(keep))
