"""Synthetic tissue: pixels with the recipe of their creation, marked as synthetic in every file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image, TiffImagePlugin

from .condition import Condition
from .errors import BadOption, NotWritable
from .line_of_facts import line_of_facts
from .marked_image import marked_image
from .marking import DESCRIPTION_TAG, NAMESPACE, RECIPE_KEY, XMP_TAG, save_options
from .number_format import counted
from .own_files import OwnFiles
from .plain_files import open_plain
from .store import atomic_write
from .temporary import temporary_file
from .tile import Pixels, Tile, array_of, check_rgb, read_only

if TYPE_CHECKING:
    import torch

UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    ArithmeticError,
    RecursionError,
    Image.DecompressionBombError,
)
"""What reading a file raises that is no picture, or a damaged one."""


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Synthetic:
    """Tissue that was generated, whole or in part; notebooks show it as a picture.

    `numpy.asarray(tile)` are its pixels.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        condition: the model's input.
        recipe: plain values that generate it again: bundle, seed, index, settings, digests of
            inputs.
    """

    pixels: Pixels
    condition: Condition
    recipe: dict[str, Any]

    def __post_init__(self) -> None:
        check_rgb(self.pixels, "synthetic tile")
        object.__setattr__(self, "pixels", read_only(self.pixels))

    def __repr__(self) -> str:
        size = self.condition.size
        facts = [f"{size.width} x {size.height} px", f"{self.mpp:g} um/px"]
        if self.recipe.get("verb"):
            facts.append(str(self.recipe["verb"]))
        if self.condition.nuclei is not None:
            facts.append(counted(len(self.condition.nuclei), "nucleus", "nuclei"))
        if self.condition.label:
            facts.append(f"label {self.condition.label!r}")
        if "seed" in self.recipe:
            facts.append(f"seed {self.recipe['seed']}")
        _, *variant = self.recipe.get("place") or [""]
        facts += [f"variant {number}" for number in variant]
        return line_of_facts("Synthetic", facts)

    @property
    def mpp(self) -> float:
        """Scale, micrometres per pixel."""
        return float(self.recipe.get("mpp", 0.5))

    @property
    def pil(self) -> Image.Image:
        """An image of Pillow, RGB. Its `save` keeps the mark; what is derived from it does not."""
        return marked_image(self.pixels, self.recipe)

    def tensor(self) -> torch.Tensor:
        """(3, H, W) float32 in [0, 1], a copy: as torchvision's transforms take it."""
        from .torch_tensors import tensor_of

        return tensor_of(self.pixels)

    def __array__(
        self,
        dtype: DTypeLike | None = None,
        copy: bool | None = None,
    ) -> NDArray[Any]:
        """The pixels (H, W, 3); uint8 in [0, 255] unless another type is wanted.

        Args:
            dtype: number type; values stay from 0 to 255.
            copy: True: an array of its own; False: no copy; None: only where the type differs.

        Raises:
            ValueError: another type without a copy.
        """
        return array_of(self.pixels, dtype, copy)

    def _repr_png_(self) -> bytes:
        """A marked PNG, for notebooks."""
        return png_bytes(self.pixels, self.recipe)

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write a PNG or TIFF, marked synthetic, with the recipe inside; atomic.

        Args:
            path: `.png`, `.tif` or `.tiff`. A picture that histosynth wrote, and that nobody
                changed since, is replaced.
            overwrite: replace any file that is there.

        Raises:
            BadOption: another suffix. JPEG would change pixels.
            NotWritable: the path cannot be written, or holds a file that histosynth did not write,
                or that was changed since.
        """
        path = Path(path)
        if not overwrite and os.path.lexists(path) and not is_own_picture(path):
            raise NotWritable(
                path,
                "something that histosynth did not make is there, or it was changed since "
                "(overwrite=True replaces it)",
            )
        write_synthetic(path, self.pixels, self.recipe)


def stated_mpp(picture: object) -> float | None:
    """The scale that a picture states, micrometres per pixel: a `Tile` or `Synthetic`, no other."""
    if isinstance(picture, Tile):
        return picture.ref.mpp
    if isinstance(picture, Synthetic):
        return picture.mpp
    return None


def write_synthetic(
    path: Path,
    pixels: Pixels,
    recipe: dict[str, Any],
    own: OwnFiles | None = None,
    *,
    png: bytes | None = None,
) -> None:
    """Write pixels with XMP (`DigitalSourceType` = trainedAlgorithmicMedia) and their recipe.

    Args:
        path: `.png`, `.tif` or `.tiff`.
        pixels: (H, W, 3) uint8 RGB.
        recipe: plain values; `mpp` becomes the file's resolution, `extent` is "tile" or "mask".
        own: records it, and refuses to replace a file of the user; None: any file is replaced.
        png: bytes of a `.png` that `png_bytes` has given already.

    Raises:
        BadOption: another suffix. JPEG would change pixels.
        NotWritable: the path cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".tif", ".tiff"):
        raise BadOption(
            "the output file's ending",
            path.suffix or "missing",
            ".png, .tif or .tiff",
        )
    writing = own.writing(own.name_of(path)) if own else atomic_write(path)
    with writing as temporary:
        if png is not None and suffix == ".png":
            temporary.write_bytes(png)
        else:
            _save(Image.fromarray(pixels), temporary, recipe)


def png_bytes(pixels: Pixels, recipe: dict[str, Any]) -> bytes:
    """The bytes that `write_synthetic` writes as a PNG: marked as synthetic, with the recipe."""
    buffer = BytesIO()
    marked_image(pixels, recipe).save(buffer, "PNG")
    return buffer.getvalue()


def _save(
    image: Image.Image,
    path: Path,
    recipe: dict[str, Any],
) -> None:
    form = "PNG" if path.suffix.lower() == ".png" else "TIFF"
    image.save(path, **save_options(form, recipe))


def read_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe inside a file that histosynth wrote, or None.

    Other programs write JSON into a TIFF's description too: it counts only next to our XMP.
    """
    with open_plain(path) as file, Image.open(file) as image:
        text = _recipe_text(image)
    if not text:
        return None
    try:
        recipe = json.loads(text)
    except json.JSONDecodeError:
        return None
    if not isinstance(recipe, dict):
        return None
    return recipe


def _recipe_text(image: Image.Image) -> Any:
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        xmp = bytes(image.tag_v2.get(XMP_TAG, b""))
        if NAMESPACE.encode() not in xmp:
            return None
        return image.tag_v2.get(DESCRIPTION_TAG)
    image.load()
    texts = getattr(image, "text", {})
    return texts.get(RECIPE_KEY)


def is_synthetic(path: Path) -> bool:
    """Whether a file is a picture that histosynth wrote."""
    try:
        return read_recipe(path) is not None
    except UNREADABLE:
        return False


def is_as_written(path: Path, recipe: dict[str, Any]) -> bool:
    """Whether a picture is, byte for byte, what `write_synthetic` writes with a recipe.

    Its pixels are written once more and compared: one that was cut off or changed, or that another
    version of the library compressed, is not the same.

    Args:
        path: of the picture.
        recipe: that it holds.
    """
    try:
        with (
            open_plain(path) as file,
            Image.open(file) as image,
            temporary_file(path.parent, path.suffix) as again,
        ):
            image.load()
            _save(Image.fromarray(np.asarray(image)), again, recipe)
            file.seek(0)
            return again.read_bytes() == file.read()
    except UNREADABLE:
        return False


def is_own_picture(path: Path) -> bool:
    """Whether a file is a picture that histosynth wrote, and that nobody changed since."""
    if not os.path.isfile(path):
        return False
    try:
        recipe = read_recipe(path)
    except UNREADABLE:
        return False
    return recipe is not None and is_as_written(path, recipe)


def open_own_pictures(folder: Path) -> OwnFiles:
    """A folder in which pictures are replaced that are recorded; or, where an earlier release kept
    no record of them, that are byte for byte what it wrote.
    """
    return OwnFiles(folder, earlier=is_own_picture)
