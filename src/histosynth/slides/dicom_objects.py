"""What a DICOM file is, by the class that its first bytes name."""

from __future__ import annotations

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
NOT_SLIDES = {
    "1.2.840.10008.1.3.10": "directory (DICOMDIR)",
    "1.2.840.10008.5.1.4.1.1.1": "radiograph",
    "1.2.840.10008.5.1.4.1.1.2": "CT image",
    "1.2.840.10008.5.1.4.1.1.4": "MR image",
    "1.2.840.10008.5.1.4.1.1.6.1": "ultrasound image",
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture image",
    "1.2.840.10008.5.1.4.1.1.7.2": "secondary capture image",
    "1.2.840.10008.5.1.4.1.1.7.4": "secondary capture image",
    "1.2.840.10008.5.1.4.1.1.11.1": "presentation state",
    "1.2.840.10008.5.1.4.1.1.11.2": "presentation state",
    "1.2.840.10008.5.1.4.1.1.11.8": "presentation state",
    "1.2.840.10008.5.1.4.1.1.11.12": "presentation state",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
    "1.2.840.10008.5.1.4.1.1.66": "raw data object",
    "1.2.840.10008.5.1.4.1.1.66.1": "registration",
    "1.2.840.10008.5.1.4.1.1.66.3": "registration",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.5": "surface segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "label map segmentation",
    "1.2.840.10008.5.1.4.1.1.77.1.1": "endoscopic image",
    "1.2.840.10008.5.1.4.1.1.77.1.2": "photograph through a microscope",
    "1.2.840.10008.5.1.4.1.1.77.1.3": "photograph through a microscope",
    "1.2.840.10008.5.1.4.1.1.77.1.4": "photograph",
    "1.2.840.10008.5.1.4.1.1.77.1.7": "photograph of skin",
    "1.2.840.10008.5.1.4.1.1.77.1.8": "confocal microscopy image",
    "1.2.840.10008.5.1.4.1.1.77.1.9": "tiled confocal microscopy image",
    "1.2.840.10008.5.1.4.1.1.88.11": "structured report",
    "1.2.840.10008.5.1.4.1.1.88.22": "structured report",
    "1.2.840.10008.5.1.4.1.1.88.33": "structured report",
    "1.2.840.10008.5.1.4.1.1.88.34": "structured report",
    "1.2.840.10008.5.1.4.1.1.88.59": "key object selection",
    "1.2.840.10008.5.1.4.1.1.91.1": "set of annotations (microscopy bulk simple annotations)",
    "1.2.840.10008.5.1.4.1.1.104.1": "document (encapsulated PDF)",
}
"""Other classes of objects that lie next to slides, and what they are."""
TRANSFER_SYNTAXES = {
    "1.2.840.10008.1.2": "none",
    "1.2.840.10008.1.2.1": "none",
    "1.2.840.10008.1.2.4.50": "JPEG",
    "1.2.840.10008.1.2.4.51": "JPEG of 12 bits",
    "1.2.840.10008.1.2.4.70": "lossless JPEG",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.110": "JPEG XL",
    "1.2.840.10008.1.2.4.201": "HTJ2K",
    "1.2.840.10008.1.2.5": "RLE",
}
"""Names of the compressions of DICOM that slides have."""
_CLASS_TAG = b"\x02\x00\x02\x00UI"
"""(0002,0002), in the header that is little-endian in every file."""


def object_of(start: bytes) -> str:
    """The class that a file's first kilobytes name; "" where they name none."""
    at = start.find(_CLASS_TAG, 132)
    if at < 0:
        return ""
    value = at + len(_CLASS_TAG) + 2
    length = int.from_bytes(start[value - 2 : value], "little")
    return start[value : value + length].decode("ascii", "replace").strip("\0 ")
