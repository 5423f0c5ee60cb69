"""The mark of synthetic pictures: XMP and the recipe, as each format of files holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from PIL import PngImagePlugin, TiffImagePlugin

from .errors import BadOption
from .store import digest

_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SOURCE_TYPE = f"{_SOURCES}trainedAlgorithmicMedia"
COMPOSITE_TYPE = f"{_SOURCES}compositeWithTrainedAlgorithmicMedia"
"""A captured picture of which regions are generated."""
_REGIONS = "regions"
RECIPE_KEY = "histosynth:recipe"
_NOTICE = "Synthetic. For research use; not for diagnosis."
XMP_TAG = 700
_XMP_TYPE = 1
"""BYTE, as Adobe's XMP specification requires."""
DESCRIPTION_TAG = 270
NAMESPACE = "urn:histosynth:1"
_UM_PER_INCH = 25_400
_XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:histosynth={namespace}
 Iptc4xmpExt:DigitalSourceType={source} xmp:CreatorTool={tool}
 histosynth:extent={extent} histosynth:recipeSha256={digest} histosynth:notice={notice}/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def source_type(recipe: Mapping[str, Any]) -> str:
    """IPTC's term for a picture: generated, or captured with generated regions.

    Args:
        recipe: of the picture; its `extent` says which.
    """
    return COMPOSITE_TYPE if recipe.get("extent") == _REGIONS else SOURCE_TYPE


def save_options(form: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """Options of Pillow's `save` that put the mark into a file.

    Args:
        form: Pillow's name of the format.
        recipe: plain values; `mpp` becomes the file's resolution.

    Raises:
        BadOption: the format has no place for a mark.
    """
    if form == "PNG":
        metadata = PngImagePlugin.PngInfo()
        metadata.add_itxt("XML:com.adobe.xmp", xmp_packet(recipe))
        metadata.add_itxt(RECIPE_KEY, recipe_text(recipe))
        return {"pnginfo": metadata, "dpi": _resolution(recipe)}
    if form == "TIFF":
        tags = TiffImagePlugin.ImageFileDirectory_v2()
        tags[XMP_TAG] = xmp_packet(recipe).encode()
        tags.tagtype[XMP_TAG] = _XMP_TYPE
        tags[DESCRIPTION_TAG] = recipe_text(recipe)
        return {
            "tiffinfo": tags,
            "compression": "tiff_deflate",
            "dpi": _resolution(recipe),
        }
    if form in ("JPEG", "WEBP"):
        return {"xmp": xmp_packet(recipe).encode()}
    wanted = "PNG, TIFF, JPEG or WebP, which hold the mark of synthetic tissue"
    raise BadOption("the format", form, wanted)


def recipe_text(recipe: dict[str, Any]) -> str:
    """A recipe as it stands in files."""
    return json.dumps(recipe, sort_keys=True)


def synthetic_patient(recipe: dict[str, Any]) -> str:
    """A patient of its own for a synthetic slide: one for each layout, however it was painted.

    Slides of one layout share the places of their nuclei, so they belong into one split; so do
    those of a layout that was stored or edited.
    """
    layout = recipe.get("layout")
    source = recipe
    if isinstance(layout, dict) and layout:
        source = {"sha256": layout.get("origin", layout.get("sha256"))}
    return f"synthetic-{digest(source)[:12]}"


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
        namespace=quoteattr(NAMESPACE),
        source=quoteattr(source_type(recipe)),
        tool=quoteattr(tool),
        extent=quoteattr(extent),
        digest=quoteattr(digest(recipe)),
        notice=quoteattr(_NOTICE),
    )
