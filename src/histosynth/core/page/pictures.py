"""Pictures inside a page: PNG as data URIs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..tile import Pixels


@dataclass(frozen=True)
class Picture:
    """One picture, ready for `src`."""

    uri: str
    width: int
    height: int


def encode_picture(pixels: Pixels, side: int) -> Picture:
    """(H, W, 3) uint8 as a PNG, fitted into a square of `side` px."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return png_picture(buffer.getvalue(), image.width, image.height)


def png_picture(
    data: bytes,
    width: int,
    height: int,
) -> Picture:
    """The bytes of a PNG file, as they are: what is written in it goes with the page."""
    text = base64.b64encode(data).decode()
    return Picture(f"data:image/png;base64,{text}", width, height)
