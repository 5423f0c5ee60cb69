"""Pictures and masks as people hold them: paths, Pillow's images, arrays of numpy and torch.

A value is taken where its layout and its range leave no doubt, and refused with its numbers
otherwise. Red comes first: what OpenCV reads (blue first) cannot be distinguished by its numbers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import BadMask, NotRGB, first_line
from .images import mask_of_image, read_mask, read_rgb, rgb_of_image
from .tile import Mask, Pixels

_RGB_AXIS = 3
"""Length of the axis of colours."""
_ROUNDING = 1e-5
"""So far outside [0, 1] a float may lie."""
_LEVELS = 255
_TAKEN = (
    "Hand in a path, a PIL image, or an array: (height, width, 3) or (3, height, width), uint8 or "
    "floats from 0 to 1, red first."
)
_TAKEN_MASK = "Pass (height, width) of bool, or of whole numbers with 0 where tissue is known."


class HasArray(Protocol):
    """Anything that numpy makes an array of: a tensor of torch, a `Tile`, an array of zarr."""

    def __array__(self) -> NDArray[Any]:
        """The values."""


PictureInput: TypeAlias = str | os.PathLike[str] | Image.Image | NDArray[Any] | HasArray
"""A picture, or a mask, in any form that `as_rgb` and `as_mask` take."""


def as_rgb(picture: PictureInput, name: str = "the picture") -> Pixels:
    """One picture as (H, W, 3) uint8 RGB.

    Args:
        picture: a path; a PIL image of mode RGB; or an array, a tensor or anything with
            `__array__`, (H, W, 3) or (3, H, W), of uint8 or of floats in [0, 1]. Floats are rounded
            to the nearest of 256 levels.
        name: for messages.

    Returns:
        The array itself where it is (H, W, 3) uint8 already.

    Raises:
        UnreadableImage: a file is no picture, or an image is turned by its EXIF orientation.
        NotRGB: another layout, number type or range, with the numbers found.
    """
    if isinstance(picture, str | os.PathLike):
        return read_rgb(os.fspath(picture))
    if isinstance(picture, Image.Image):
        return rgb_of_image(picture, name)
    array = _array_or_reason(picture)
    if isinstance(array, str):
        raise NotRGB(name, array, _TAKEN)
    return _rgb_of_array(array, name)


def as_mask(mask: PictureInput, name: str = "the mask") -> Mask:
    """One mask as (H, W) bool, True where tissue is missing.

    Args:
        mask: a path or a PIL image, missing where it shows anything but black; or an array, a
            tensor or anything with `__array__`, (H, W), (1, H, W) or (H, W, 1), of bool, of whole
            numbers that are 0 where tissue is known, or of floats that are 0 or 1.
        name: for messages.

    Raises:
        UnreadableImage: a file is no lossless picture.
        BadMask: another layout or number type, or floats between 0 and 1.
    """
    if isinstance(mask, str | os.PathLike):
        return read_mask(os.fspath(mask))
    if isinstance(mask, Image.Image):
        return mask_of_image(mask, name)
    array = _array_or_reason(mask)
    if isinstance(array, str):
        raise BadMask(f"{_capital(name)} is {array}.", _TAKEN_MASK)
    return _mask_of_array(array, name)


def batch_of(value: Any, axes: int) -> list[Any] | None:
    """The members of a list, a tuple or an array of more than `axes` axes; None: one value."""
    if isinstance(value, list | tuple):
        return list(value)
    shape = getattr(value, "shape", ())
    if isinstance(shape, Sequence) and len(shape) > axes:
        return list(value)
    return None


def _array_or_reason(value: Any) -> NDArray[Any] | str:
    """The values of an array, a tensor or anything with `__array__`; else what it is, in words.

    torch is not imported: where it was not yet, no value is a tensor of it.
    """
    torch = sys.modules.get("torch")
    name = type(value).__name__
    try:
        if torch is not None and isinstance(value, torch.Tensor):
            tensor = value.detach().cpu()
            # numpy has no bfloat16
            return np.asarray(tensor.float() if tensor.is_floating_point() else tensor)
        if hasattr(value, "__array__"):
            return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:
        return f"a {name} that numpy cannot read ({first_line(error)})"
    return f"a {name} and no array"


def _rgb_of_array(array: NDArray[Any], name: str) -> Pixels:
    channels_last = _channels_last(array, name)
    if channels_last.dtype == np.uint8:
        return channels_last
    if channels_last.dtype.kind != "f":
        found = f"{_described(array)}{_range_text(array)}"
        raise NotRGB(name, found, "Convert values of 0 to 255 with .astype('uint8').")
    return _levels(channels_last, name)


def _channels_last(array: NDArray[Any], name: str) -> NDArray[Any]:
    """(H, W, 3), whichever end the colours are at.

    Raises:
        NotRGB: they are at neither end, or the sides leave that open.
    """
    shape = array.shape
    if len(shape) != 3 or not array.size:
        raise NotRGB(name, _described(array), _TAKEN)
    at_end = shape[2] == _RGB_AXIS
    at_begin = shape[0] == _RGB_AXIS
    if at_end and at_begin:
        remedy = "Cut it to another height or width: which axis holds the colours is not known."
        raise NotRGB(name, _described(array), remedy)
    if at_begin:
        return np.moveaxis(array, 0, 2)
    if not at_end:
        raise NotRGB(name, _described(array), _TAKEN)
    return array


def _levels(values: NDArray[Any], name: str) -> Pixels:
    """Floats in [0, 1] as uint8.

    Raises:
        NotRGB: they lie outside, or are no numbers.
    """
    finite = np.isfinite(values)
    if not finite.all():
        count = int((~finite).sum())
        found = f"{_described(values)}, {count:,} of whose {values.size:,} values are not finite"
        raise NotRGB(name, found, "Find where they come from.")
    low = float(values.min())
    high = float(values.max())
    is_outside = low < -_ROUNDING or high > 1 + _ROUNDING
    is_black = high <= 1 / _LEVELS
    if is_outside or is_black:
        found = f"{_described(values)}{_range_text(values)}"
        raise NotRGB(name, found, _range_remedy(low, high))
    scaled = values.astype(np.float64)
    scaled *= _LEVELS
    levels = np.rint(scaled)
    levels = levels.clip(0, _LEVELS)
    return levels.astype(np.uint8)


def _range_remedy(low: float, high: float) -> str:
    if low >= 0 and high <= 1:
        return "It is black from edge to edge: divide by 255 once only, or hand in uint8."
    if low >= 0 and high <= _LEVELS:
        return "Floats are taken from 0 to 1: divide it by 255, or convert it to uint8."
    largest = max(-low, high)
    if largest <= 1 + _ROUNDING:
        return "Floats are taken from 0 to 1: if it is scaled to [-1, 1], hand in (x + 1) / 2."
    return "Floats are taken from 0 to 1: undo the normalization, or clip what overshoots."


def _mask_of_array(array: NDArray[Any], name: str) -> Mask:
    flat = _without_channel(array)
    if flat.ndim != 2 or flat.dtype.kind not in "buif":
        raise BadMask(
            f"{_capital(name)} is {_described(array)}.",
            _TAKEN_MASK,
        )
    if flat.dtype.kind == "f":
        is_whole = np.isin(flat, (0, 1))
        between = int((~is_whole).sum())
        if between:
            raise BadMask(
                f"{_capital(name)} is {_described(array)}: {between:,} of its {flat.size:,} values "
                f"are neither 0 nor 1 ({flat.min():g} to {flat.max():g}).",
                "Choose what counts as missing, e.g. mask > 0.5.",
            )
    return np.asarray(flat != 0)


def _without_channel(array: NDArray[Any]) -> NDArray[Any]:
    """(1, H, W) or (H, W, 1) as (H, W)."""
    if array.ndim != 3:
        return array
    axis = 0 if array.shape[0] == 1 else 2
    return array.squeeze(axis) if array.shape[axis] == 1 else array


def _described(array: NDArray[Any]) -> str:
    return f"an array of shape {array.shape} and type {array.dtype}"


def _range_text(array: NDArray[Any]) -> str:
    if array.dtype.kind not in "uif" or not array.size:
        return ""
    low = array.min()
    high = array.max()
    return f" with values from {low:g} to {high:g}"


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
