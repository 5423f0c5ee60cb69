"""What a model of layouts holds, and its file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...core.arrays import Float64Array
from ...core.errors import BadLayouts
from ...core.plain_files import read_plain_text
from ...core.store import digest

SHIPPED_LAYOUTS = Path(__file__).parent / "breast.json"
"""Fitted to the training patients of the compact bundle."""
CELL_UM = 10.0
"""Side of a cell of a density field."""
STEP_UM = 2.0
"""Width of a distance bin of the forces."""
_FORMAT = 1
_MAX_BYTES = 1 << 20
_MAX_CLASSES = 20
_MAX_ROWS = 200
_MAX_VALUE = 1e6


@dataclass(frozen=True, eq=False)
class LayoutModel:
    """Layouts of K classes.

    Attributes:
        classes: K names.
        densities: (K, Q) nuclei per mm2 at Q evenly spaced probabilities from 0 to 1, ascending.
        scales_um: (S) standard deviations of the kernels that smooth white noise to fields.
        mixing: (S, K, K) covariances of the classes' fields at each scale; over all scales each
            class has a variance of 1.
        forces: (K, K, R) energies of a pair of nuclei in bins of `STEP_UM`, in units of the
            temperature: exp(-energy) is how much rarer the pair is.
        about: what the model was fitted to.
    """

    classes: tuple[str, ...]
    densities: Float64Array
    scales_um: Float64Array
    mixing: Float64Array
    forces: Float64Array
    about: str = ""

    @property
    def reach_um(self) -> float:
        """Distance from which nuclei no longer act on each other."""
        return float(self.forces.shape[2]) * STEP_UM

    @property
    def sha256(self) -> str:
        """Hex digest of the model's numbers."""
        return digest(self.as_dict())

    def of_classes(self, classes: Sequence[str]) -> LayoutModel:
        """The same model with its classes in this order."""
        order = [self.classes.index(name) for name in classes]
        pairs = np.ix_(order, order)
        return replace(
            self,
            classes=tuple(classes),
            densities=self.densities[order],
            mixing=np.stack([each[pairs] for each in self.mixing]),
            forces=self.forces[pairs],
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "format": _FORMAT,
            "about": self.about,
            "classes": list(self.classes),
            "densities": self.densities.tolist(),
            "scales_um": self.scales_um.tolist(),
            "mixing": self.mixing.tolist(),
            "forces": self.forces.tolist(),
        }


def read_layouts(path: Path = SHIPPED_LAYOUTS) -> LayoutModel:
    """The model of a file.

    Raises:
        BadLayouts: it is no such file, or its numbers cannot be used.
    """
    try:
        values = json.loads(read_plain_text(path, _MAX_BYTES))
        model = _model_of(values)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadLayouts(path, str(error).splitlines()[0] if str(error) else "damaged") from error
    return model


def _model_of(values: Mapping[str, Any]) -> LayoutModel:
    """A model of checked values.

    Raises:
        ValueError: naming what is wrong.
    """
    if values["format"] != _FORMAT:
        raise ValueError(f"its format is {values['format']!r:.80}, not {_FORMAT}")
    names = values["classes"]
    classes = tuple(str(name) for name in names)
    if not 1 <= len(classes) <= _MAX_CLASSES or len(set(classes)) < len(classes):
        raise ValueError(f"it names {len(classes)} classes, not 1 to {_MAX_CLASSES} different ones")
    count = len(classes)
    scales = _numbers(
        values["scales_um"],
        "scales_um",
        (),
    )
    model = LayoutModel(
        classes,
        _numbers(
            values["densities"],
            "densities",
            (count,),
        ),
        scales,
        _numbers(
            values["mixing"],
            "mixing",
            (len(scales), count),
        ),
        _numbers(
            values["forces"],
            "forces",
            (count, count),
        ),
        str(values["about"]),
    )
    _check_numbers(model)
    return model


def _numbers(
    values: Any,
    name: str,
    leading: tuple[int, ...],
) -> Float64Array:
    """An array of finite numbers whose first axes have these lengths, with one more axis."""
    array = np.array(values, np.float64)
    has_shape = array.ndim == len(leading) + 1 and array.shape[:-1] == leading
    if not has_shape or not 1 <= array.shape[-1] <= _MAX_ROWS:
        raise ValueError(f"{name} has the shape {array.shape}")
    if not (np.abs(array) <= _MAX_VALUE).all():
        raise ValueError(f"{name} holds values beyond {_MAX_VALUE:,.0f}, or no numbers")
    return array


def _check_numbers(model: LayoutModel) -> None:
    steps = np.diff(model.densities, axis=1)
    if (model.densities < 0).any() or (steps < 0).any():
        raise ValueError("densities must not be negative, and must ascend")
    if (model.scales_um <= 0).any() or (model.scales_um > _MAX_ROWS * CELL_UM).any():
        raise ValueError(f"scales_um must lie in (0, {_MAX_ROWS * CELL_UM:g}]")
    turned = model.forces.transpose(
        1,
        0,
        2,
    )
    if not (model.forces == turned).all():
        raise ValueError("forces differ between a pair of classes and the same pair turned")
    for covariance in model.mixing:
        smallest = np.linalg.eigvalsh(covariance).min()
        if not np.allclose(covariance, covariance.T) or smallest < -1e-6:
            raise ValueError("mixing holds a matrix that is no covariance")
