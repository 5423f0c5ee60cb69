"""Synthetic tissue: pixels with the recipe of their creation, marked as synthetic in every file."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from .condition import Condition
from .errors import BadOption, NotWritable
from .own_files import OwnFiles
from .plain_files import open_plain
from .store import atomic_write, digest
from .temporary import temporary_file
from .tile import Pixels, check_rgb, read_only

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
RECIPE_KEY = "histosynth:recipe"
_NOTICE = "Synthetic. For research use; not for diagnosis."
_XMP_TAG = 700
_XMP_TYPE = 1
"""BYTE, as Adobe's XMP specification requires."""
_DESCRIPTION_TAG = 270
_NAMESPACE = "urn:histosynth:1"
_UM_PER_INCH = 25_400
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

_XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:histosynth={namespace}
 Iptc4xmpExt:DigitalSourceType={source} xmp:CreatorTool={tool}
 histosynth:extent={extent} histosynth:recipeSha256={digest} histosynth:notice={notice}/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Synthetic:
    """Tissue that was generated, whole or in part.

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


def write_synthetic(
    path: Path,
    pixels: Pixels,
    recipe: dict[str, Any],
    own: OwnFiles | None = None,
) -> None:
    """Write pixels with XMP (`DigitalSourceType` = trainedAlgorithmicMedia) and their recipe.

    Args:
        path: `.png`, `.tif` or `.tiff`.
        pixels: (H, W, 3) uint8 RGB.
        recipe: plain values; `mpp` becomes the file's resolution, `extent` is "tile" or "mask".
        own: records it, and refuses to replace a file of the user; None: any file is replaced.

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
        _save(Image.fromarray(pixels), temporary, recipe)


def png_bytes(pixels: Pixels, recipe: dict[str, Any]) -> bytes:
    """The bytes that `write_synthetic` writes as a PNG: marked as synthetic, with the recipe."""
    buffer = io.BytesIO()
    _save_png(Image.fromarray(pixels), buffer, recipe)
    return buffer.getvalue()


def _save(
    image: Image.Image,
    path: Path,
    recipe: dict[str, Any],
) -> None:
    if path.suffix.lower() == ".png":
        _save_png(image, path, recipe)
    else:
        _save_tiff(image, path, recipe)


def _save_png(
    image: Image.Image,
    target: Path | io.BytesIO,
    recipe: dict[str, Any],
) -> None:
    metadata = PngImagePlugin.PngInfo()
    metadata.add_itxt("XML:com.adobe.xmp", xmp_packet(recipe))
    metadata.add_itxt(RECIPE_KEY, recipe_text(recipe))
    image.save(
        target,
        "PNG",
        pnginfo=metadata,
        dpi=_resolution(recipe),
    )


def _save_tiff(
    image: Image.Image,
    path: Path,
    recipe: dict[str, Any],
) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[_XMP_TAG] = xmp_packet(recipe).encode()
    tags.tagtype[_XMP_TAG] = _XMP_TYPE
    tags[_DESCRIPTION_TAG] = recipe_text(recipe)
    image.save(
        path,
        tiffinfo=tags,
        compression="tiff_deflate",
        dpi=_resolution(recipe),
    )


def recipe_text(recipe: dict[str, Any]) -> str:
    """A recipe as it stands in files."""
    return json.dumps(recipe, sort_keys=True)


def _resolution(recipe: dict[str, Any]) -> tuple[float, float]:
    """Dots per inch, horizontal and vertical."""
    dots_per_inch = _UM_PER_INCH / float(recipe.get("mpp", 0.5))
    return dots_per_inch, dots_per_inch


def xmp_packet(recipe: dict[str, Any]) -> str:
    """The XMP packet of a recipe."""
    version = recipe.get("histosynth", "")
    tool = f"histosynth {version}".strip()
    extent = str(recipe.get("extent", "tile"))
    return _XMP.format(
        namespace=quoteattr(_NAMESPACE),
        source=quoteattr(SOURCE_TYPE),
        tool=quoteattr(tool),
        extent=quoteattr(extent),
        digest=quoteattr(digest(recipe)),
        notice=quoteattr(_NOTICE),
    )


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
        xmp = bytes(image.tag_v2.get(_XMP_TAG, b""))
        if _NAMESPACE.encode() not in xmp:
            return None
        return image.tag_v2.get(_DESCRIPTION_TAG)
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
