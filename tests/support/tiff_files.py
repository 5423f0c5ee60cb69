"""TIFF slides that tests write with tifffile: Aperio SVS, generic pyramids, OME-TIFF."""

from pathlib import Path

import numpy as np
import tifffile

APERIO = (
    "Aperio Image Library v12.0.15 \r\n{w}x{h} [0,0 {w}x{h}] (128x128) JPEG/RGB Q=70"
    "|AppMag = 20|MPP = {mpp}"
)
OME = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">{images}</OME>'
)
SCALE = 'PhysicalSizeX="0.5" PhysicalSizeXUnit="um" PhysicalSizeY="0.5" PhysicalSizeYUnit="um"'
TOGETHER = '<Channel ID="Channel:0:0" SamplesPerPixel="3"/>'


def picture(width: int = 320, height: int = 256) -> np.ndarray:
    """Colours that differ everywhere, and in each channel otherwise: (H, W, 3) uint8."""
    x = np.arange(width)[None, :]
    y = np.arange(height)[:, None]
    red = 200 + 40 * np.sin(x / 9) * np.cos(y / 7)
    green = 90 + 70 * x / width + 0 * y
    blue = 190 - 60 * y / height + 0 * x
    noise = np.random.default_rng(0).normal(0, 3, (height, width, 3))
    stacked = np.stack([red, green, blue], axis=2) + noise
    return stacked.clip(0, 255).round().astype(np.uint8)


def planes(pixels: np.ndarray) -> np.ndarray:
    """(3, H, W) of (H, W, 3)."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def write_pages(path: Path, *pages: np.ndarray, description: str = "", tile=(128, 128), **options):
    """A TIFF of pages as they are given; those smaller than the first are marked as reduced."""
    facts = {"photometric": "rgb", "compression": "deflate", "metadata": None, **options}
    with tifffile.TiffWriter(path) as writer:
        for index, page in enumerate(pages):
            is_grey = page.ndim == 2
            writer.write(
                page,
                tile=tile,
                subfiletype=int(page.shape[-2:] < pages[0].shape[-2:] and index > 0)
                if is_grey
                else int(page.shape[0] < pages[0].shape[0]),
                description=description.encode() if index == 0 and description else None,
                **(facts | ({"photometric": "minisblack"} if is_grey else {})),
            )
    return path


def write_aperio(path: Path, pixels: np.ndarray | None = None, mpp: str = "0.5", **options):
    """An SVS of one level with such a text after `MPP = `."""
    pixels = picture() if pixels is None else pixels
    height, width = pixels.shape[:2]
    text = APERIO.format(w=width, h=height, mpp=mpp)
    return write_pages(path, pixels, description=text, **options)


def write_generic(path: Path, pixels: np.ndarray | None = None, mpp: float = 0.5, **options):
    """A generic tiled TIFF with its scale in the resolution tags."""
    pixels = picture() if pixels is None else pixels
    resolution = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": 3}
    return write_pages(path, pixels, **(resolution | options))


def ome_image(
    name: str = "scan",
    *,
    size=(320, 256),
    scale: str = SCALE,
    inside: str = TOGETHER,
    attributes: str = 'SizeC="3" Type="uint8"',
    ifd: int | None = 0,
) -> str:
    """One `Image` of an OME-XML; `inside` holds its channels."""
    place = "" if ifd is None else f'<TiffData IFD="{ifd}" PlaneCount="1"/>'
    return (
        f'<Image ID="Image:{name}" Name="{name}"><Pixels ID="Pixels:{name}" '
        f'DimensionOrder="XYCZT" SizeX="{size[0]}" SizeY="{size[1]}" {attributes} {scale}>'
        f"{inside}{place}</Pixels></Image>"
    )


def write_ome(path: Path, *pages: np.ndarray, images: str | None = None, **options):
    """An OME-TIFF with that XML; None: one RGB scan of 0.5 um/px."""
    text = OME.format(images=ome_image() if images is None else images)
    return write_pages(path, *(pages or (picture(),)), description=text, **options)
