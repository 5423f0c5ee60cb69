"""What an OME-XML states: its pictures, their planes, channels and scale.

Read by expat, with document types refused: no entity is declared, so none can expand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from .length_units import number_of, um_per_unit
from .scale import ScaleStatement

MAX_XML_CHARACTERS = 20_000_000
MAX_OME_PICTURES = 10_000
_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_AROUND_XML = "\ufeff \r\n\t\0"
_START_CHARACTERS = 4000


class BadXML(ValueError):
    """Text that is no well-formed OME-XML; its message is a reason."""


@dataclass
class OmePicture:
    """One `Image` of an OME-XML.

    Attributes:
        name: of the picture, or its ID.
        pixels: attributes of `Pixels`.
        channels: attributes of each `Channel`.
        places: attributes of each `TiffData`.
        files: names of the files that hold planes; empty: this one.
    """

    name: str
    pixels: Mapping[str, str] = field(default_factory=dict)
    channels: list[Mapping[str, str]] = field(default_factory=list)
    places: list[Mapping[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    def count(self, name: str, default: int = 1) -> int:
        """A whole number of `Pixels`, e.g. SizeX.

        Raises:
            BadXML: another value stands there.
        """
        return whole_number(self.pixels, name, default)

    @property
    def scale(self) -> ScaleStatement:
        """PhysicalSizeX and PhysicalSizeY."""
        x, problem_x = _physical_size(self.pixels, "X")
        y, problem_y = _physical_size(self.pixels, "Y")
        return ScaleStatement(
            "its OME-XML",
            x,
            y,
            problem_x or problem_y,
        )


@dataclass
class OmeText:
    """A whole OME-XML.

    Attributes:
        pictures: its `Image` elements.
        metadata_file: name of the file that holds the XML, where this one only refers to it.
    """

    pictures: list[OmePicture] = field(default_factory=list)
    metadata_file: str = ""


def is_ome_xml(text: str) -> bool:
    """Whether a description is an OME-XML, also a damaged one."""
    start = text[:_START_CHARACTERS].lstrip(_AROUND_XML)
    return start.startswith("<") and bool(re.search("[<:]OME", start))


def whole_number(
    attributes: Mapping[str, str],
    name: str,
    default: int,
) -> int:
    """A whole number of an element's attributes.

    Raises:
        BadXML: another value stands there.
    """
    text = attributes.get(name, str(default)).strip()
    if not _WHOLE_NUMBER.fullmatch(text):
        raise BadXML(f"{name} is {text[:40]!r}, not a whole number")
    return int(text)


def parse_ome(text: str) -> OmeText:
    """Read an OME-XML.

    Raises:
        BadXML: it is not well-formed, too long, or declares a document type.
    """
    if len(text) > MAX_XML_CHARACTERS:
        raise BadXML(f"its OME-XML is {len(text):,} characters long")
    builder = _Builder()
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.StartDoctypeDeclHandler = builder.refuse
    try:
        data = text.strip(_AROUND_XML).encode("utf-8", "replace")
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadXML(f"its OME-XML is damaged ({error})") from error
    return builder.found


class _Builder:
    """Collects elements while expat reads."""

    def __init__(self) -> None:
        self.found = OmeText()
        self._picture: OmePicture | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        local = name.rpartition(" ")[2]
        if local == "BinaryOnly":
            self.found.metadata_file = attributes.get("MetadataFile", "another file")
        if local == "Image":
            self._begin_picture(attributes)
        elif self._picture is not None:
            _add(self._picture, local, attributes)

    def _begin_picture(self, attributes: dict[str, str]) -> None:
        if len(self.found.pictures) >= MAX_OME_PICTURES:
            raise BadXML(f"its OME-XML holds more than {MAX_OME_PICTURES:,} pictures")
        name = attributes.get("Name") or attributes.get("ID")
        self._picture = OmePicture(name or "without a name")
        self.found.pictures.append(self._picture)

    def end(self, name: str) -> None:
        """An element ends."""
        if name.rpartition(" ")[2] == "Image":
            self._picture = None

    def refuse(self, *_: Any) -> None:
        """A document type could declare entities."""
        raise BadXML("its OME-XML declares a document type, which is not read")


def _add(
    picture: OmePicture,
    local: str,
    attributes: dict[str, str],
) -> None:
    """Keep an element of a picture."""
    if local == "Pixels":
        picture.pixels = attributes
    elif local == "Channel":
        picture.channels.append(attributes)
    elif local == "TiffData":
        picture.places.append(attributes)
    elif local == "UUID" and attributes.get("FileName"):
        picture.files.append(attributes["FileName"])


def _physical_size(pixels: Mapping[str, str], axis: str) -> tuple[float | None, str]:
    """Um/px of an axis, and what stands there that is not understood."""
    text = pixels.get(f"PhysicalSize{axis}")
    if text is None:
        return None, ""
    unit = pixels.get(f"PhysicalSize{axis}Unit", "um")
    value = number_of(text)
    factor = um_per_unit(unit)
    if value is not None and factor is not None:
        return value * factor, ""
    shown = f"{text[:40]} {unit[:40]}"
    return None, f"PhysicalSize{axis} = {shown}"
