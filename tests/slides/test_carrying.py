"""Compressed tiles carried over, some with other pixels: equal everywhere else after decoding."""

import io
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image
from spoilt_slides import tissue, write_jpeg_slide
from tiff_files import picture, write_aperio, write_pages

from histosynth.core.errors import UnreadableImage
from histosynth.core.geometry import Box
from histosynth.slides import open_slide
from histosynth.slides.carrying import grown_on_grid, open_carried, write_carried
from histosynth.slides.carrying.codecs import encode_jpeg, jpeg_grid
from histosynth.slides.carrying.huffman import HuffmanTable
from histosynth.slides.carrying.jpeg_stream import read_jpeg
from histosynth.slides.writing import SlideDescription

REAL = Path(__file__).parents[3] / "shared" / "data" / "slides" / "cmu-1-small-region.svs"
DESCRIPTION = SlideDescription(0.5, {"extent": "regions", "synthetic_share": 0.1}, "a slide")


def jpeg(pixels, chroma="444", quality=80, optimize=True):
    return imagecodecs.jpeg8_encode(
        pixels,
        level=quality,
        colorspace="RGB",
        outcolorspace="YCBCR",
        subsampling=chroma,
        optimize=optimize,
    )


@pytest.mark.parametrize("chroma", ["444", "422", "420"])
@pytest.mark.parametrize("quality", [20, 100])
@pytest.mark.parametrize("optimize", [True, False])
def test_a_stream_is_written_again_with_the_same_coefficients(chroma, quality, optimize):
    data = jpeg(tissue(101, 75), chroma, quality, optimize)
    stream = read_jpeg(data)
    again = stream.encoded()
    assert (read_jpeg(again).blocks == stream.blocks).all()
    assert (imagecodecs.jpeg8_decode(again) == imagecodecs.jpeg8_decode(data)).all()


def test_coefficients_are_those_of_a_decoder_that_adds_nothing():
    """Blocks of one colour: the mean level is the first coefficient, and no other is there."""
    pixels = np.full((16, 16, 3), 90, np.uint8)
    stream = read_jpeg(jpeg(pixels, quality=100))
    luma, blue, red = stream.planes()
    assert (luma[..., 0] == (90 - 128) * 8).all()
    assert not luma[..., 1:].any() and not blue.any() and not red.any()


def test_a_stream_with_restarts_is_read():
    pixels = tissue(96, 64)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85, restart_marker_blocks=3)
    data = out.getvalue()
    assert b"\xff\xd1" in data
    again = read_jpeg(data).encoded()
    assert (imagecodecs.jpeg8_decode(again) == imagecodecs.jpeg8_decode(data)).all()


@pytest.mark.parametrize("chroma", ["444", "422", "420"])
def test_replaced_blocks_change_nothing_outside_of_them(chroma):
    before = tissue(128, 96)
    data = jpeg(before, chroma)
    stream = read_jpeg(data)
    where = np.zeros((96, 128), bool)
    where[32:64, 48:96] = True
    new = np.zeros((96, 128, 3))
    new[...] = (120.0, 140.0, 90.0)  # luma and chroma
    decoded = imagecodecs.jpeg8_decode(stream.with_samples(new, where).encoded())
    differs = (decoded != imagecodecs.jpeg8_decode(data)).any(axis=2)
    across, down = (int(side > 8) for side in stream.mcu_px)
    allowed = np.zeros_like(where)
    allowed[32 - down : 64 + down, 48 - across : 96 + across] = True
    assert not differs[~allowed].any()
    assert differs[where].mean() > 0.95
    assert np.ptp(decoded[40:56, 56:88].reshape(-1, 3), axis=0).max() <= 2


def test_own_pixels_put_back_are_the_same_coefficients():
    data = jpeg(tissue(64, 64), quality=90)
    stream = read_jpeg(data)
    ycbcr = imagecodecs.jpeg8_decode(data, outcolorspace="YCBCR").astype(float)
    again = stream.with_samples(ycbcr, np.ones((64, 64), bool))
    assert (again.blocks != stream.blocks).mean() < 0.01


def test_values_that_no_table_holds_get_the_standard_one():
    data = jpeg(np.full((32, 32, 3), 200, np.uint8), quality=100)
    stream = read_jpeg(data)
    noise = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))
    where = np.ones((32, 32), bool)
    again = stream.with_samples(noise, where)
    assert (read_jpeg(again.encoded()).blocks == again.blocks).all()


def test_streams_that_cannot_be_edited_are_refused():
    out = io.BytesIO()
    Image.fromarray(tissue(64, 64)).save(out, "JPEG", progressive=True)
    grey = io.BytesIO()
    Image.fromarray(tissue(64, 64)[..., 0]).save(grey, "JPEG")
    data = jpeg(tissue(64, 64))
    for bad, sentence in (
        (out.getvalue(), "not baseline"),
        (grey.getvalue(), "1 components"),
        (b"\x89PNG", "no JPEG"),
        (data[:200], "Huffman"),
        (data[: len(data) // 2], "JPEG scan"),
    ):
        with pytest.raises(ValueError, match=sentence):
            read_jpeg(bad)
    with pytest.raises(ValueError, match="Huffman"):
        HuffmanTable(b"\1" * 16, b"")


def test_a_stream_of_another_size_than_its_tile_is_refused():
    page = SimpleNamespace(jpegtables=None, tilewidth=64, tilelength=48, photometric=6)
    pixels = tissue(64, 64)
    with pytest.raises(ValueError, match="64 x 64 px in a tile of 64 x 48 px"):
        encode_jpeg(page, jpeg(pixels), pixels, np.ones((64, 64), bool))
    with pytest.raises(ValueError, match="64 x 64 px in a tile of 64 x 48 px"):
        jpeg_grid(page, jpeg(pixels))


def test_damaged_streams_raise_one_error_or_give_other_blocks():
    data = bytearray(jpeg(tissue(48, 48), "420"))
    random = np.random.default_rng(5)
    for _ in range(150):
        changed = bytearray(data)
        for at in random.integers(2, len(data), 3).tolist():
            changed[at] = int(random.integers(0, 256))
        try:
            read_jpeg(bytes(changed)).encoded()
        except (ValueError, OverflowError):
            continue


def painted(level, index):
    """A tile with a rectangle of one colour, and where it is."""
    pixels = level.decoded(index).copy()
    where = np.zeros(pixels.shape[:2], bool)
    where[21:50, 30:77] = True
    where = grown_on_grid(where, level.grid)
    pixels[where] = (190, 120, 170)
    return pixels, where


def carry(path, out, touched=(1,)):
    slide = open_slide(path)
    carried = open_carried(slide)

    def tile_of(level, index):
        if index not in touched:
            return level.data(index)
        return level.replaced(index, *painted(level, index))

    write_carried(out, carried, DESCRIPTION, tile_of)
    return carried


def check_levels(carried, out, touched=(1,)):
    """Every level by three readers: what was not replaced is equal."""
    new = open_slide(out)
    assert [level[:2] for level in map(astuple, new.levels)] == [
        tuple(level.size) for level in carried.levels
    ]
    other = openslide.OpenSlide(str(out))
    assert len(other.level_dimensions) == len(carried.levels)
    with tifffile.TiffFile(out) as tiff:
        assert len(tiff.series[0].levels) == len(carried.levels)
    for level in carried.levels:
        whole = Box(0, 0, *level.size)
        before = carried.slide.read(level.number, whole)
        after = new.read(level.number, whole)
        allowed = np.zeros(whole.size.shape, bool)
        for index in touched:
            if index < level.count:
                box = level.box(index)
                _, where = painted(level, index)
                inside = box.intersect(whole)
                rows, columns = inside.slices
                allowed[rows, columns] = where[: inside.height, : inside.width]
        across, down = level.reach
        for _ in range(max(across, down)):
            allowed = allowed | np.roll(allowed, 1, 0) | np.roll(allowed, -1, 0)
            allowed = allowed | np.roll(allowed, 1, 1) | np.roll(allowed, -1, 1)
        assert not (before != after).any(axis=2)[~allowed].any()
        if level.count > 1:
            assert (before != after).any()
        patch = other.read_region((0, 0), level.number, (64, 48)).convert("RGB")
        assert (np.asarray(patch) == after[:48, :64]).all()


def astuple(level):
    return level.width, level.height


@pytest.mark.parametrize("chroma", ["444", "422", "420"])
def test_a_jpeg_pyramid_is_carried_over(tmp_path, chroma):
    path = write_jpeg_slide(
        tmp_path / "a.tif", tissue(400, 300), chroma=chroma, iccprofile=b"icc" * 50
    )
    out = tmp_path / "b.ome.tiff"
    carried = carry(path, out)
    check_levels(carried, out)
    with tifffile.TiffFile(out) as tiff:
        assert tiff.pages[0].iccprofile == b"icc" * 50
        assert tiff.is_bigtiff and tiff.is_ome
        assert tiff.pages[0].tags[700].value
    new = open_carried(open_slide(out))
    for level in carried.levels:
        there = new.levels[level.number]
        count = min(level.count, 6)
        same = [level.data(index) == there.data(index) for index in range(count)]
        assert same.count(False) == (count > 1)  # the touched tile


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "zstd"])
@pytest.mark.parametrize("predictor", [False, True])
def test_codecs_without_loss_are_written_again(tmp_path, compression, predictor):
    if compression == "none" and predictor:
        pytest.skip("TIFF has none")
    path = write_pages(
        tmp_path / "a.tif",
        picture(300, 200),
        compression=compression,
        predictor=predictor,
        resolution=(20_000, 20_000),
        resolutionunit=3,
    )
    out = tmp_path / "b.ome.tiff"
    check_levels(carry(path, out), out)
    after = open_slide(out).read(0, Box(128, 0, 128, 128))
    assert (after[25:45, 35:70] == (190, 120, 170)).all()


def test_rgb_jpeg_of_aperio_with_tables_in_a_tag(tmp_path):
    path = write_aperio(
        tmp_path / "a.svs",
        tissue(300, 260),
        compression="jpeg",
        compressionargs={"level": 70},
    )
    out = tmp_path / "b.ome.tiff"
    check_levels(carry(path, out), out)


def test_what_cannot_be_carried_over_is_refused_with_the_way_out(tmp_path):
    webp = write_pages(
        tmp_path / "a.tif",
        picture(),
        compression="webp",
        resolution=(20_000, 20_000),
        resolutionunit=3,
    )
    strips = tmp_path / "strips.tif"
    tifffile.imwrite(
        strips,
        picture(),
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit=3,
        metadata=None,
    )
    for path in (webp, strips):
        with pytest.raises(UnreadableImage, match="cannot be carried over") as error:
            open_carried(open_slide(path, mpp=0.5))
        assert "--rewrite deflate" in str(error.value)


def test_reversed_bits_are_refused(tmp_path):
    slide = open_slide(write_jpeg_slide(tmp_path / "a.tif", tissue(300, 200)))
    slide.tiff_levels[1].page.fillorder = 2
    with pytest.raises(UnreadableImage, match="FillOrder 2"):
        open_carried(slide)


@pytest.mark.data
@pytest.mark.skipif(not REAL.is_file(), reason="the shared slides are not beside the checkout")
def test_the_real_slide_is_carried_over(tmp_path):
    out = tmp_path / "b.ome.tiff"
    check_levels(carry(REAL, out, touched=(1, 129)), out, touched=(1, 129))


@pytest.mark.parametrize("change", [16, -16, 30_000])
def test_a_tile_that_states_another_size_is_not_decoded(tmp_path, monkeypatch, change):
    """Neither when the slide is read nor when a tile is carried over."""
    path = write_jpeg_slide(tmp_path / "a.tif", tissue(300, 200), chroma="444", reductions=())
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].dataoffsets[1]
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0", at) + 5
    assert data[frame : frame + 2] == (128).to_bytes(2, "big")
    data[frame : frame + 2] = (128 + change).to_bytes(2, "big")
    slide = open_slide(path)
    carried = open_carried(slide)
    slide._cache.clear()  # tiles that were read before
    path.write_bytes(data)
    assert slide.read(0, Box(0, 0, 128, 128)).any()

    def decode(*given, **words):
        raise AssertionError("it was decoded")

    monkeypatch.setattr(carried.levels[0].page, "decode", decode)
    with pytest.raises(UnreadableImage, match=f"128 x {128 + change:,} px in a segment"):
        slide.read(0, Box(128, 0, 128, 128))
    with pytest.raises(UnreadableImage, match=f"128 x {128 + change:,} px in a segment"):
        carried.levels[0].decoded(1)


@pytest.mark.parametrize("rows", [64, 96, 200, 4096])
def test_strips_whose_last_one_is_shorter_are_read(tmp_path, rows):
    pixels = tissue(300, 200)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        pixels,
        rowsperstrip=rows,
        compression="jpeg",
        photometric="rgb",
        resolution=(20_000, 20_000),
        resolutionunit=3,
        metadata=None,
    )
    read = open_slide(path, mpp=0.5).read(0, Box(0, 0, 300, 200))
    assert np.abs(read.astype(int) - pixels).mean() < 12
