"""Small Aperio slides of JPEG 2000: YCbCr (33003), RGB (33005), and 34712."""

import io
from dataclasses import dataclass

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from histosynth.slides.carrying.jpeg2000_stream import _joined

TILE = 128
_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)


@dataclass(frozen=True)
class Coding:
    """How tiles are coded: tag 259, px in a sample of chroma, and with or without loss."""

    compression: int
    step: tuple[int, int] = (1, 1)
    is_lossy: bool = False
    transforms: bool = False
    by_pillow: bool = False


def components_of(pixels, coding):
    """What a stream of these pixels holds: (H, W, 3) uint8."""
    if coding.compression != 33003:
        return pixels
    return (pixels @ _TO_YCBCR.T + [0, 128, 128]).clip(0, 255).round().astype(np.uint8)


def encode(components, coding):
    """A stream of components (H, W, 3)."""
    if coding.by_pillow:
        return _by_pillow(components)
    lossy = {"level": 34, "reversible": False} if coding.is_lossy else {"reversible": True}
    words = {"codecformat": "j2k", "resolutions": 4, **lossy}
    if coding.step == (1, 1):
        return imagecodecs.jpeg2k_encode(components, mct=coding.transforms, **words)
    across, down = coding.step
    steps = [(1, 1), coding.step, coding.step]
    planes = [components[..., 0], *(components[::down, ::across, index] for index in (1, 2))]
    streams = [
        bytes(imagecodecs.jpeg2k_encode(np.ascontiguousarray(plane), mct=False, **words))
        for plane in planes
    ]
    return _joined(streams, steps, components.shape[1::-1])


def _by_pillow(components):
    """Tiles inside the tile, layers, and another order of packets."""
    out = io.BytesIO()
    Image.fromarray(components).save(
        out,
        "JPEG2000",
        no_jp2=True,
        mct=0,
        irreversible=True,
        tile_size=(64, 64),
        progression="RPCL",
        quality_mode="dB",
        quality_layers=[30, 42],
    )
    return out.getvalue()


def write_jpeg2000_slide(path, pixels, coding, *, reductions=(4,), mpp=0.5):
    """A slide as Aperio has it: level 0, thumbnail, lower levels."""
    height, width = pixels.shape[:2]
    text = f"Aperio Image Library v12\r\n{width}x{height} J2K|AppMag = 20|MPP = {mpp}|User = Eve"
    levels = [pixels, *(np.asarray(Image.fromarray(pixels).reduce(by)) for by in reductions)]
    with tifffile.TiffWriter(path) as file:
        for number, level in enumerate(levels):
            if number == 1:
                file.write(levels[-1], photometric="rgb", metadata=None)
            file.write(
                iter(_tiles(components_of(level, coding), coding)),
                shape=level.shape,
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="rgb",
                compression=coding.compression,
                description=text if not number else None,
                metadata=None,
            )
    return path


def _tiles(components, coding):
    height, width = components.shape[:2]
    spare = ((0, -height % TILE), (0, -width % TILE), (0, 0))
    padded = np.pad(components, spare, mode="edge")
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            tile = np.ascontiguousarray(padded[y : y + TILE, x : x + TILE])
            yield bytes(encode(tile, coding))
