"""Levels of fractional steps, and bits in reverse order."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from spoilt_slides import tissue

from histosynth.annotation.regions import Region
from histosynth.core.errors import UnreadableImage
from histosynth.core.geometry import Box, Size
from histosynth.patching.level_tiles import tiles_of_levels
from histosynth.patching.patches import Patch, PatchFiles, PatchPlace, write_patch
from histosynth.patching.plan import make_plan
from histosynth.patching.tile_checks import check_touched_tiles
from histosynth.pipeline.mend import MendOptions, mend
from histosynth.sampling.options import SamplingOptions
from histosynth.slides import open_slide
from histosynth.slides.carrying import open_carried

FAST = SamplingOptions(steps=2, exemplar=False, device="cpu", dtype="fp32")
SCALE = {"resolution": (20_000, 20_000), "resolutionunit": 3, "metadata": None}
WIDTHS = (1010, 252, 69)
"""A px of level 2 shows 3.65 of level 1, which show 4.01 of level 0 each."""
REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def region(left, right):
    return Region("fold", ((left, 80), (right, 80), (right, 90), (left, 90), (left, 80)))


def write_levels(path):
    pixels = tissue(WIDTHS[0], 256)
    with tifffile.TiffWriter(path) as file:
        for width in WIDTHS:
            size = (width, round(256 * width / WIDTHS[0]))
            file.write(
                np.asarray(Image.fromarray(pixels).resize(size)),
                tile=(16, 16),
                photometric="rgb",
                compression="deflate",
                subfiletype=int(width < WIDTHS[0]),
                **SCALE,
            )
    return path


def without_tile(path, level, index):
    """The count of a tile's bytes set to 0: it was never scanned."""
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[level].tags[325]
        width = {3: 2, 4: 4, 16: 8}[int(tag.dtype)]
        at = tag.valueoffset + index * width
    data = bytearray(path.read_bytes())
    data[at : at + width] = bytes(width)
    path.write_bytes(data)


def levels_of(path, given, folder, *, everywhere=False):
    carried = open_carried(open_slide(path))
    plan = make_plan([given], Size(WIDTHS[0], 256), grid=(1, 1), mpp=0.5, core_px=2048)
    places = []
    for number, piece in enumerate(plan.pieces):
        pixels = np.full((*piece.mask.shape, 3), 7, np.uint8)
        places.append(PatchPlace(folder / f"{number}", piece.box))
        write_patch(places[-1].path, Patch(piece.box, pixels, piece.mask))
    checked = check_touched_tiles(carried, plan).indices
    chosen = [range(level.count) for level in carried.levels] if everywhere else checked
    found = tiles_of_levels(carried, PatchFiles(places), folder, chosen)
    return checked, [set(tiles.indices) for tiles in found]


def test_a_tile_that_a_mean_of_means_alone_would_touch_stays(tmp_path):
    path = write_levels(tmp_path / "a.tif")
    given = region(224, 233.9)
    _, by_chance = levels_of(path, given, tmp_path / "all", everywhere=True)
    checked, found = levels_of(path, given, tmp_path / "checked")
    assert by_chance[2] == {0, 1} and found[2] == {0}
    assert by_chance[:2] == found[:2]
    assert all(own <= allowed for own, allowed in zip(found, checked, strict=True))


@pytest.mark.parametrize(("right", "is_refused"), [(233.9, False), (236.9, True)])
def test_a_tile_that_was_never_scanned_is_refused_before_painting_or_not_at_all(
    tmp_path, bundle_folder, right, is_refused
):
    path = write_levels(tmp_path / "a.tif")
    without_tile(path, 2, 1)
    out = tmp_path / "b.ome.tiff"
    words = {"artifacts": [region(224, right)], "options": MendOptions(FAST)}
    if is_refused:
        with pytest.raises(UnreadableImage, match="tile 1 of level 2"):
            mend(path, out, bundle=bundle_folder, **words)
        assert not list(tmp_path.glob("b.*"))
        return
    result = mend(path, out, bundle=bundle_folder, **words)
    assert [level.differing_px for level in result.levels] == [0, 0, 0]
    assert result.levels[2].touched == 1
    assert open_carried(open_slide(out)).levels[2].data(1) == b""


def write_reversed(path, pixels, compression):
    """A tiled TIFF whose bytes have their bits in reverse order (FillOrder 2)."""
    tifffile.imwrite(
        path, pixels, tile=(128, 128), photometric="rgb", compression=compression, **SCALE
    )
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        tag = page.tags[284]  # planar configuration, 1 where it is absent
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            data[offset : offset + count] = data[offset : offset + count].translate(REVERSED)
    data[tag.offset : tag.offset + 2] = (266).to_bytes(2, "little")
    data[tag.valueoffset : tag.valueoffset + 2] = (2).to_bytes(2, "little")
    path.write_bytes(data)
    return path


def test_reversed_bits_are_written_anew_rightly(tmp_path, bundle_folder):
    pixels = tissue(384, 256)
    path = write_reversed(tmp_path / "a.tif", pixels, "lzw")
    out = tmp_path / "b.ome.tiff"
    words = {"artifacts": [region(100, 150)], "bundle": bundle_folder}
    with pytest.raises(UnreadableImage, match="FillOrder 2"):
        mend(path, out, options=MendOptions(FAST), **words)
    result = mend(path, out, options=MendOptions(FAST, rewrite="deflate"), **words)
    assert result.levels[0].differing_px == 0
    after = open_slide(out).read(0, Box(0, 0, 384, 256))
    differs = (after != pixels).any(axis=2)
    assert differs[80:90, 100:150].mean() > 0.8
    differs[80:91, 100:151] = False
    assert not differs.any()
