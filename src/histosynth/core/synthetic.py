"""Made tissue: pixels that know how they were made, and that say so in every file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from PIL import Image, PngImagePlugin, TiffImagePlugin

from .condition import Condition
from .errors import BadOption, NotWritable
from .store import atomic_write, digest
from .tile import Pixels, check_rgb, read_only

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
RECIPE_KEY = "histosynth:recipe"
WARNING = "Synthetic. For research use; not for diagnosis."
_XMP_TAG = 700
_NAMESPACE = "urn:histosynth:1"

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
    """Tissue that was made, whole or in part.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        condition: what the model was told.
        recipe: plain values that make it again: bundle, seed, place, settings, digests of inputs.
    """

    pixels: Pixels
    condition: Condition
    recipe: dict[str, Any]

    def __post_init__(self) -> None:
        check_rgb(self.pixels, "synthetic tile")
        object.__setattr__(self, "pixels", read_only(self.pixels))

    def save(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Write a PNG or TIFF, marked synthetic, with the recipe inside; whole or not at all.

        Args:
            path: `.png`, `.tif` or `.tiff`. A picture that histosynth made is replaced.
            overwrite: replace whatever file is there.

        Raises:
            BadOption: another suffix. JPEG would change pixels.
            NotWritable: the place cannot be written, or holds a file that histosynth did not make.
        """
        if not overwrite:
            refuse_foreign_files(
                Path(path),
                "something that histosynth did not make is there (overwrite=True replaces it)",
            )
        write_synthetic(Path(path), self.pixels, self.recipe)


def write_synthetic(path: Path, pixels: Pixels, recipe: dict[str, Any]) -> None:
    """Write made pixels with XMP (`DigitalSourceType` = trainedAlgorithmicMedia) and their recipe.

    Args:
        path: `.png`, `.tif` or `.tiff`.
        pixels: (H, W, 3) uint8 RGB.
        recipe: plain values; `mpp` becomes the file's resolution, `extent` says "tile" or "hole".

    Raises:
        BadOption: another suffix. JPEG would change pixels.
        NotWritable: the place cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in (".png", ".tif", ".tiff"):
        raise BadOption(
            "the output file's ending",
            path.suffix or "missing",
            ".png, .tif or .tiff",
        )
    xmp = xmp_packet(recipe)
    text = json.dumps(recipe, sort_keys=True)
    dots_per_inch = 25_400 / float(recipe.get("mpp", 0.5))
    with atomic_write(path) as temporary:
        image = Image.fromarray(pixels)
        if suffix == ".png":
            facts = PngImagePlugin.PngInfo()
            facts.add_itxt("XML:com.adobe.xmp", xmp)
            facts.add_itxt(RECIPE_KEY, text)
            image.save(temporary, pnginfo=facts, dpi=(dots_per_inch, dots_per_inch))
        else:
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[_XMP_TAG] = xmp.encode()
            tags.tagtype[_XMP_TAG] = 1  # BYTE, as Adobe's XMP specification asks
            tags[270] = text
            image.save(
                temporary,
                tiffinfo=tags,
                compression="tiff_deflate",
                dpi=(dots_per_inch, dots_per_inch),
            )


def xmp_packet(recipe: dict[str, Any]) -> str:
    """The XMP packet of a recipe."""
    return _XMP.format(
        namespace=quoteattr(_NAMESPACE),
        source=quoteattr(SOURCE_TYPE),
        tool=quoteattr(f"histosynth {recipe.get('histosynth', '')}".strip()),
        extent=quoteattr(str(recipe.get("extent", "tile"))),
        digest=quoteattr(digest(recipe)),
        notice=quoteattr(WARNING),
    )


def read_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe inside a file that histosynth wrote, or None.

    Others write JSON into a TIFF's description too: without our XMP it is not taken for a recipe.
    """
    with Image.open(path) as image:
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            ours = _NAMESPACE.encode() in bytes(image.tag_v2.get(_XMP_TAG, b""))
            text = image.tag_v2.get(270) if ours else None
        else:
            image.load()
            text = getattr(image, "text", {}).get(RECIPE_KEY)
    try:
        found = json.loads(text) if text else None
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def is_synthetic(path: Path) -> bool:
    """Whether a file is a picture that histosynth wrote."""
    try:
        return read_recipe(path) is not None
    except (OSError, ValueError, SyntaxError, LookupError, TypeError):
        return False


def refuse_foreign_files(
    path: Path, reason: str = "something that histosynth did not make is there already"
) -> None:
    """Refuse to write where anything stands but a picture that histosynth wrote.

    Raises:
        NotWritable: with the reason.
    """
    if os.path.lexists(path) and not (os.path.isfile(path) and is_synthetic(path)):
        raise NotWritable(path, reason)
