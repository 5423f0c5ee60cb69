"""Which picture of an OME-TIFF is the scan, and which of its channels is red, green and blue."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.errors import NotRGB, UnreadableImage
from ..core.errors.base import listed
from .ome_xml import BadXML, OmePicture, whole_number

_MINOR_WORDS = {
    "label",
    "macro",
    "thumb",
    "thumbnail",
    "overview",
    "barcode",
    "preview",
    "associated",
}
_WORD = re.compile(r"[^\W_]+")
_MIN_REDUCTION = 1.5
_MIN_GLASS_COARSER = 8
"""A picture so many times coarser than the scan, and of at least its area, is one of the whole
glass."""
_SAME_SHAPE = 0.02
_MAX_DIFFERENCE = 0.03
_ROUNDING_PX = 1
_COLOUR_OF_NAME = {
    "red": 0,
    "r": 0,
    "green": 1,
    "g": 1,
    "blue": 2,
    "b": 2,
}
_COLOUR_OF_CODE = {
    0xFF0000FF: 0,
    0x00FF00FF: 1,
    0x0000FFFF: 2,
    0xFF000000: 0,
    0x00FF0000: 1,
    0x0000FF00: 2,
}
"""RGBA of a channel's Color, as written with full opacity and with none."""
_WHITE_CODES = (0xFFFFFFFF, 0xFFFFFF00)
_NUMBERED = re.compile(r"(channel|ch|c|band|plane)?[\s_:#-]*[\d\s_:-]*", re.IGNORECASE)
_FLUORESCENCE_ATTRIBUTES = ("Fluor", "EmissionWavelength", "ExcitationWavelength")
_EXPORT_RGB = "H&E needs colour: export the brightfield scan as 8-bit RGB."


def choose_scan(path: Path, pictures: Sequence[OmePicture]) -> OmePicture:
    """The picture that is the scan.

    The only picture is the scan, whatever its name. Of several, those are left out that are
    named as label, macro picture and the like, pictures of the whole glass, and reduced versions
    of the largest, as their stated scales tell.

    Raises:
        UnreadableImage: none, or several pictures are left.
        BadXML: a size that is no number.
    """
    named = _without_named_minor(path, pictures)
    main = max(named, key=_area)
    others = [each for each in named if each is not main and not _is_minor(each, main)]
    if others:
        sizes = [f"{each.name} ({_size_and_scale(each)})" for each in (main, *others)]
        raise UnreadableImage(
            path,
            f"it holds {len(sizes):,} pictures that may be the slide: {listed(sizes)}",
            "Export the one you need to a file of its own.",
        )
    return main


def _without_named_minor(path: Path, pictures: Sequence[OmePicture]) -> Sequence[OmePicture]:
    """The pictures whose names do not rule them out; the only picture stays."""
    if len(pictures) == 1:
        return pictures
    named = [each for each in pictures if not _is_named_minor(each)]
    if not named:
        names = listed(each.name for each in pictures) or "none"
        raise UnreadableImage(
            path,
            f"its OME-XML names no scan, only: {names}",
            "Export the scan of the slide to a file of its own.",
        )
    return named


def _area(picture: OmePicture) -> int:
    return picture.count("SizeX", 0) * picture.count("SizeY", 0)


def _is_named_minor(picture: OmePicture) -> bool:
    """Whether a whole word of the name says so: `macrophages` and `unlabelled` do not."""
    return not _MINOR_WORDS.isdisjoint(_WORD.findall(picture.name.lower()))


def _size_and_scale(picture: OmePicture) -> str:
    size = f"{picture.count('SizeX', 0):,} x {picture.count('SizeY', 0):,} px"
    scale = picture.scale
    if scale.problem or not scale.mpp:
        return f"{size}, {scale.problem or 'no scale'}"
    return f"{size}, {scale.mpp:.6g} um/px"


def _is_minor(picture: OmePicture, main: OmePicture) -> bool:
    """Whether a picture shows the whole glass, or is a reduced version of the main one."""
    if not _area(picture):
        return True
    mpp = picture.scale.mpp
    main_mpp = main.scale.mpp
    if not main_mpp:
        return False
    if picture.scale.is_silent:
        return _is_small_copy(picture, main)
    coarser = (mpp or 0) / main_mpp
    if coarser >= _MIN_GLASS_COARSER and _area(picture) * coarser * coarser >= _area(main):
        return True
    return coarser >= _MIN_REDUCTION and all(
        _is_reduced_by(coarser, picture.count(axis), main.count(axis))
        for axis in ("SizeX", "SizeY")
    )


def _is_small_copy(picture: OmePicture, main: OmePicture) -> bool:
    """Whether a picture without a scale has the shape of the main one, which has a scale."""
    across = main.count("SizeX") / picture.count("SizeX")
    down = main.count("SizeY") / picture.count("SizeY")
    return across >= _MIN_REDUCTION and abs(across / down - 1) <= _SAME_SHAPE


def _is_reduced_by(
    times: float,
    side: int,
    main_side: int,
) -> bool:
    """Whether a side is that of the main picture, divided; small levels are rounded to pixels."""
    wanted = main_side / times
    return abs(side - wanted) <= max(_ROUNDING_PX, _MAX_DIFFERENCE * wanted)


def check_is_rgb(path: Path, picture: OmePicture) -> None:
    """Refuse volumes, grey pictures and fluorescence by what they are.

    Raises:
        NotRGB, UnreadableImage, BadXML.
    """
    channels = picture.count("SizeC")
    pixel_type = picture.pixels.get("Type", "uint8")
    if channels == 1:
        raise NotRGB(str(path), "a grayscale picture", _EXPORT_RGB)
    if pixel_type != "uint8" or channels != 3:
        what = "fluorescence or another stack" if channels > 3 else "a picture"
        found = f"{what} of {channels:,} channels of type {pixel_type}"
        raise NotRGB(str(path), found, _EXPORT_RGB)
    for axis, name in (("SizeZ", "focal planes"), ("SizeT", "points in time")):
        count = picture.count(axis)
        if count != 1:
            raise UnreadableImage(
                path,
                f"it holds {count:,} {name}",
                "Export the one that is in focus, or a projection, to a file of its own.",
            )


def order_of_planes(path: Path, channels: Sequence[Mapping[str, str]]) -> tuple[int, int, int]:
    """Of three single channels, the indices of red, green and blue.

    Channels without names or colours of their own are in that order.

    Raises:
        NotRGB: their names, colours or wavelengths are not those of red, green and blue.
    """
    stated = [_colour_of(channel) for channel in channels]
    if len(stated) not in (0, 3) or "" in map(str, stated):
        raise _fluorescence(path, channels)
    if all(colour is None for colour in stated):
        return 0, 1, 2
    if sorted(-1 if colour is None else int(colour) for colour in stated) != [0, 1, 2]:
        raise _fluorescence(path, channels)
    return stated.index(0), stated.index(1), stated.index(2)


def _colour_of(channel: Mapping[str, str]) -> int | str | None:
    """0, 1 or 2 for red, green, blue; None where nothing is stated; "" for anything else."""
    if any(channel.get(attribute) for attribute in _FLUORESCENCE_ATTRIBUTES):
        return ""
    if channel.get("ContrastMethod", "").lower() == "fluorescence":
        return ""
    name = channel.get("Name", "").strip().lower()
    if name in _COLOUR_OF_NAME:
        return _COLOUR_OF_NAME[name]
    if not _NUMBERED.fullmatch(name):
        return ""
    return _colour_of_code(channel.get("Color", ""))


def _colour_of_code(text: str) -> int | str | None:
    """The same of a signed 32-bit number; white is no statement."""
    if not text:
        return None
    try:
        code = int(text) & 0xFFFFFFFF
    except ValueError:
        return ""
    if code in _WHITE_CODES:
        return None
    return _COLOUR_OF_CODE.get(code, "")


def _fluorescence(path: Path, channels: Sequence[Mapping[str, str]]) -> NotRGB:
    names = [channel.get("Name") or channel.get("Color") or "?" for channel in channels]
    found = f"a picture of single channels that are not red, green and blue ({listed(names)})"
    return NotRGB(str(path), found, _EXPORT_RGB)


def plane_pages(
    picture: OmePicture,
    planes: int,
    is_only: bool,
) -> list[int]:
    """The index of each plane's page.

    Args:
        picture: the scan.
        planes: how many it has: its channels, each alone or all together.
        is_only: whether the file holds no other picture, so that pages may be left out.

    Raises:
        BadXML: planes without a place, or a place that is no number.
    """
    places = picture.places
    if not places:
        if not is_only:
            raise BadXML(f"its OME-XML does not state where {picture.name} lies")
        return list(range(planes))
    found: dict[int, int] = {}
    for place in places:
        _place_planes(place, planes, found)
    missing = [plane for plane in range(planes) if plane not in found]
    if missing:
        raise BadXML(f"its OME-XML states the place of {len(found)} of {planes} planes")
    return [found[plane] for plane in range(planes)]


def _place_planes(
    place: Mapping[str, str],
    planes: int,
    found: dict[int, int],
) -> None:
    """Add the planes of one TiffData."""
    page = whole_number(place, "IFD", 0)
    first = whole_number(place, "FirstC", 0)
    count = whole_number(place, "PlaneCount", 1 if "IFD" in place else planes)
    for number in range(min(count, planes)):
        found[first + number] = page + number
