"""What a written slide states of itself: scale, and that it is synthetic, with its recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from ...core.errors import BadOption
from ...core.geometry import Size
from ...core.marking import NAMESPACE, RECIPE_KEY, recipe_text, source_type, xmp_packet
from ...core.units import check_mpp_option
from ...core.version import __version__
from ..ome_xml import MAX_XML_CHARACTERS, is_ome_xml
from ..tiff_pages import opened_tiff

SOFTWARE = f"histosynth {__version__}"
_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_XML = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="{schema}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="{schema} {schema}/ome.xsd" Creator={creator}>
<Image ID="Image:0" Name={name}>
<Description>{text}</Description>
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SignificantBits="8" Interleaved="true"
 BigEndian="false" SizeX="{width}" SizeY="{height}" SizeC="3" SizeZ="1" SizeT="1"
 PhysicalSizeX="{mpp!r}" PhysicalSizeXUnit="µm"
 PhysicalSizeY="{mpp!r}" PhysicalSizeYUnit="µm">
<Channel ID="Channel:0:0" SamplesPerPixel="3"/>
<TiffData IFD="0" PlaneCount="1"/>
</Pixels>
<AnnotationRef ID="Annotation:0"/>
</Image>
<StructuredAnnotations>
<MapAnnotation ID="Annotation:0" Namespace={namespace}>
<Description>{text}</Description>
<Value>
<M K="synthetic">{synthetic}</M>
<M K="DigitalSourceType">{source}</M>
<M K="{recipe_key}">{recipe}</M>
</Value>
</MapAnnotation>
</StructuredAnnotations>
</OME>"""


@dataclass(frozen=True)
class SlideDescription:
    """What is stated of a slide.

    Attributes:
        mpp: micrometres per pixel of level 0.
        recipe: plain values that generate it again; `extent` is "slide", or "regions" where only
            `synthetic_share` of the area is synthetic.
        name: for people; viewers show it.
        icc: ICC profile of the pixels, for OME-TIFF; empty: none is stated.
    """

    mpp: float
    recipe: Mapping[str, Any] = field(default_factory=dict)
    name: str = "synthetic slide"
    icc: bytes = b""

    def __post_init__(self) -> None:
        check_mpp_option(self.mpp)
        recipe = {"extent": "slide", **self.recipe, "mpp": float(self.mpp)}
        object.__setattr__(self, "recipe", recipe)

    @property
    def text(self) -> str:
        """One sentence for people."""
        if self.recipe["extent"] == "slide":
            return f"Synthetic tissue by {SOFTWARE}. For research use; not for diagnosis."
        share = float(self.recipe.get("synthetic_share", 0.0))
        return (
            f"Contains synthetic tissue by {SOFTWARE} in {share:.4%} of the area. "
            "For research use; not for diagnosis."
        )

    def ome_xml(self, size: Size) -> str:
        """OME-XML of the slide, to be written as UTF-8.

        It holds no character references: Bio-Formats 7.3.1 takes "&#" out of OME-XML, and then
        reads the file as a TIFF of one level.

        Raises:
            BadOption: a recipe that is too long for readers.
        """
        text = _XML.format(
            schema=_SCHEMA,
            creator=quoteattr(SOFTWARE),
            name=quoteattr(self.name),
            text=escape(self.text),
            width=size.width,
            height=size.height,
            mpp=float(self.mpp),
            namespace=quoteattr(NAMESPACE),
            synthetic=escape(str(self.recipe["extent"])),
            source=escape(source_type(self.recipe)),
            recipe_key=RECIPE_KEY,
            recipe=escape(recipe_text(dict(self.recipe))),
        )
        check_length(text)
        return text

    def xmp(self) -> bytes:
        """The XMP packet that marks it, as in other pictures."""
        return xmp_packet(dict(self.recipe)).encode()


def check_length(text: str) -> None:
    """Refuse a description that is too long for readers.

    Raises:
        BadOption: naming the limit.
    """
    if len(text) > MAX_XML_CHARACTERS:
        allowed = f"at most {MAX_XML_CHARACTERS:,} characters of XML"
        raise BadOption("the recipe of a slide", f"{len(text):,} characters long", allowed)


def read_ome_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe in an OME-TIFF that histosynth wrote, or None.

    Raises:
        NotThisReader: no TIFF.
    """
    with opened_tiff(path) as tiff:
        description = tiff.pages.first.description
    if not is_ome_xml(description) or len(description) > MAX_XML_CHARACTERS:
        return None
    try:
        recipe = json.loads(_annotation_of(description))
    except (ValueError, expat.ExpatError, RecursionError):
        return None
    return recipe if isinstance(recipe, dict) else None


def _annotation_of(text: str) -> str:
    """The recipe's text in the annotation of our namespace; "" where there is none."""
    found: list[str] = []
    inside = {"annotation": False, "recipe": False}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name.endswith("MapAnnotation"):
            inside["annotation"] = attributes.get("Namespace") == NAMESPACE
        elif name.endswith("M"):
            inside["recipe"] = inside["annotation"] and attributes.get("K") == RECIPE_KEY

    def end(name: str) -> None:
        inside["recipe"] = False

    def add(data: str) -> None:
        if inside["recipe"]:
            found.append(data)

    def refuse(*_: Any) -> None:
        raise ValueError("a document type")  # it could declare entities

    parser = expat.ParserCreate(encoding="utf-8")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = add
    parser.StartDoctypeDeclHandler = refuse
    parser.Parse(text.encode("utf-8", "replace"), True)
    return "".join(found)
