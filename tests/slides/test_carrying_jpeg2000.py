"""JPEG 2000 tiles carried over: what is not replaced is equal for tifffile and OpenSlide."""

import struct
from types import SimpleNamespace

import imagecodecs
import numpy as np
import openslide
import pytest
import tifffile
from jpeg2000_slides import Coding, encode, write_jpeg2000_slide
from spoilt_slides import tissue

from histosynth.core.errors import UnreadableImage
from histosynth.core.geometry import Box
from histosynth.core.marking import COMPOSITE_TYPE
from histosynth.slides import open_slide
from histosynth.slides.carrying import grown_on_grid, open_carried, write_carried
from histosynth.slides.carrying.codecs import codec_grid, decode_jpeg2000, encode_jpeg2000
from histosynth.slides.carrying.jpeg2000_stream import (
    decode_components,
    encode_components,
    read_jpeg2000_head,
)
from histosynth.slides.writing import SlideDescription, read_slide_recipe

RECIPE = {
    "extent": "regions",
    "synthetic_share": 0.1,
    "regions": ["pen | a = b", "fold"],
}
DESCRIPTION = SlideDescription(0.5, RECIPE, "a slide")
CODINGS = [
    Coding(33003),
    Coding(33003, (2, 1)),
    Coding(33003, (2, 2)),
    Coding(33003, is_lossy=True),
    Coding(33003, (2, 1), is_lossy=True),
    Coding(33003, by_pillow=True),
    Coding(33005),
    Coding(33005, is_lossy=True),
    Coding(33005, is_lossy=True, transforms=True),
    Coding(33005, by_pillow=True),
]


def name_of(coding):
    return f"{coding.compression}-{coding.step}-{coding.is_lossy}-{coding.transforms}"


def noise(width, height):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("step", [(1, 1), (2, 1), (2, 2), (4, 1), (1, 2)])
def test_components_are_coded_without_loss(step):
    components = noise(240, 64)
    across, down = step
    for index in (1, 2):
        chosen = components[::down, ::across, index]
        components[..., index] = chosen.repeat(down, axis=0).repeat(across, axis=1)
    steps = [(1, 1), step, step]
    data = encode_components(components, steps, transforms=False)
    head = read_jpeg2000_head(data)
    assert head.size == (240, 64) and list(head.steps) == steps and not head.transforms
    assert (decode_components(data) == components).all()


@pytest.mark.parametrize("transforms", [False, True])
def test_a_stream_that_transforms_colour_does_so_again(transforms):
    pixels = noise(128, 128)
    data = encode_components(pixels, [(1, 1)] * 3, transforms=transforms)
    assert read_jpeg2000_head(data).transforms is transforms
    assert (imagecodecs.jpeg2k_decode(data) == pixels).all()


def test_all_colours_are_those_of_openslide(tmp_path):
    """Each pair of Cb and Cr at three levels of Y, on one slide of 4:4:4."""
    blue, red = np.meshgrid(np.arange(256), np.arange(256))
    parts = [np.dstack([np.full_like(blue, luma), blue, red]) for luma in (16, 128, 240)]
    components = np.concatenate(parts, axis=1).astype(np.uint8)
    path = tmp_path / "a.svs"
    blocks = [
        components[y : y + 128, x : x + 128] for y in range(0, 256, 128) for x in range(0, 768, 128)
    ]
    tiles = [encode(np.ascontiguousarray(block), Coding(33003)) for block in blocks]
    tifffile.imwrite(
        path,
        iter(tiles),
        shape=(256, 768, 3),
        dtype=np.uint8,
        tile=(128, 128),
        photometric="rgb",
        compression=33003,
        description="Aperio Image Library v12|AppMag = 20|MPP = 0.5",
        metadata=None,
    )
    slide = open_slide(path)
    assert slide.reader.startswith("openslide")
    box = Box(0, 0, 768, 256)
    own = open_carried(slide).slide.read(0, box)
    assert (own == slide.read(0, box)).all()
    assert len(np.unique(own.reshape(-1, 3), axis=0)) > 60_000


def painted(level, index):
    pixels = level.decoded(index).copy()
    where = np.zeros(pixels.shape[:2], bool)
    where[21:51, 31:77] = True
    where = grown_on_grid(where, level.grid)
    pixels[where] = (190, 120, 170)
    return pixels, where


def carry(path, out, thumbnail=None):
    """Tile 1 of each level with a rectangle of one colour."""
    carried = open_carried(open_slide(path))

    def tile_of(level, index):
        if index != 1:
            return level.data(index)
        return level.replaced(index, *painted(level, index))

    write_carried(out, carried, DESCRIPTION, tile_of, thumbnail=thumbnail)
    return carried


def small_picture():
    return np.full((40, 60, 3), 200, np.uint8)


def by_openslide(path, level, size):
    slide = openslide.OpenSlide(str(path))
    pixels = np.asarray(slide.read_region((0, 0), level, tuple(size)).convert("RGB"))
    slide.close()
    return pixels


@pytest.mark.parametrize("coding", CODINGS, ids=name_of)
def test_an_aperio_slide_is_equal_outside_of_what_is_replaced(tmp_path, coding):
    path = write_jpeg2000_slide(tmp_path / "a.svs", tissue(600, 380), coding)
    out = tmp_path / "b.svs"
    carried = carry(path, out, small_picture)
    assert carried.levels[0].grid == coding.step
    assert openslide.OpenSlide.detect_format(str(out)) == "aperio"
    for level in carried.levels:
        before = by_openslide(path, level.number, level.size)
        after = by_openslide(out, level.number, level.size)
        allowed = np.zeros(before.shape[:2], bool)
        if level.count > 1:
            part = allowed[:128, 128:256]
            part[...] = painted(level, 1)[1][: part.shape[0], : part.shape[1]]
        differs = (before != after).any(axis=2)
        assert not differs[~allowed].any()
        if level.number == 0:
            assert differs[allowed].mean() > 0.9
        assert np.abs(after[allowed].astype(int) - (190, 120, 170)).max(initial=0) <= 2
    new = open_carried(open_slide(out))
    for level, there in zip(carried.levels, new.levels, strict=True):
        same = [level.data(index) == there.data(index) for index in range(level.count)]
        assert same.count(False) == int(level.count > 1)
    with tifffile.TiffFile(path) as old, tifffile.TiffFile(out) as tiff:
        assert tiff.is_svs and len(tiff.series[0].levels) == 2
        if coding.step == (1, 1):  # tifffile's own decoder gives the components
            differs = (old.series[0].asarray() != tiff.series[0].asarray()).any(axis=2)
            differs[:128, 128:256] &= ~painted(carried.levels[0], 1)[1]
            assert not differs.any()


@pytest.mark.parametrize("compression", [33005, 34712])
def test_rgb_is_carried_over_to_an_ome_tiff(tmp_path, compression):
    coding = Coding(compression, is_lossy=True, transforms=True)
    path = write_jpeg2000_slide(tmp_path / "a.svs", tissue(600, 380), coding)
    out = tmp_path / "b.ome.tiff"
    carried = carry(path, out)
    box = Box(0, 0, 600, 380)
    before, after = carried.slide.read(0, box), open_slide(out).read(0, box)
    differs = (before != after).any(axis=2)
    where = painted(carried.levels[0], 1)[1]
    assert (after[:128, 128:256][where] == (190, 120, 170)).all()
    differs[:128, 128:256] &= ~where
    assert not differs.any()
    with tifffile.TiffFile(out) as tiff:
        assert tiff.is_ome and (tiff.series[0].asarray() == after).all()


def test_an_svs_states_its_recipe_and_nothing_of_who_scanned_it(tmp_path):
    path = write_jpeg2000_slide(tmp_path / "a.svs", tissue(300, 200), Coding(33005), mpp=0.499)
    out = tmp_path / "b.svs"
    carry(path, out, small_picture)
    assert read_slide_recipe(out) == {**RECIPE, "mpp": 0.5}
    assert read_slide_recipe(path) is None
    slide = openslide.OpenSlide(str(out))
    assert slide.properties["openslide.mpp-x"] == "0.5"
    assert slide.properties["openslide.objective-power"] == "20"
    assert slide.properties["aperio.DigitalSourceType"] == COMPOSITE_TYPE
    assert slide.associated_images["thumbnail"].size == (60, 40)
    assert b"Eve" not in out.read_bytes()
    with tifffile.TiffFile(out) as tiff:
        facts = tifffile.tifffile.svs_description_metadata(tiff.pages[0].description)
        assert facts["MPP"] == 0.5 and facts["synthetic"] == "regions"
        assert COMPOSITE_TYPE.encode() in tiff.pages[0].tags.valueof("XMP")


def page(**values):
    return SimpleNamespace(tilewidth=128, tilelength=128, **values)


def with_bytes(data, at, new):
    return data[:at] + new + data[at + len(new) :]


STREAM = bytes(encode(noise(128, 128), Coding(33005)))


@pytest.mark.parametrize(
    ("compression", "data", "sentence"),
    [
        (33005, bytes(imagecodecs.jpeg2k_encode(noise(128, 128), codecformat="jp2")), "JP2 files"),
        (33005, bytes(encode(noise(64, 128), Coding(33005))), "64 x 128 px in a tile of 128 x 128"),
        (33003, bytes(encode(noise(128, 128), Coding(33003, transforms=True))), "tag states YCbCr"),
        (33005, encode(noise(128, 128), Coding(33005, (2, 1))), "of several sizes"),
        (33005, with_bytes(STREAM, 42, b"\x0b"), "not 8-bit colour"),
        (33005, with_bytes(STREAM, 16, struct.pack(">I", 1)), "begins at"),
        (33003, with_bytes(STREAM, 43, b"\x02"), "whose components"),
        (33005, STREAM[:30], "damaged"),
        (33005, b"", "no JPEG 2000"),
        (
            33005,
            bytes(imagecodecs.jpeg2k_encode(noise(128, 128)[..., 0], codecformat="j2k")),
            "1 components",
        ),
    ],
)
def test_streams_that_are_not_exact_are_refused(compression, data, sentence):
    with pytest.raises(ValueError, match=sentence):
        codec_grid(page(compression=compression), data)


def test_tiles_may_be_larger_than_the_picture():
    data = bytes(encode(noise(128, 128), Coding(33003, (2, 1))))
    largest = with_bytes(data, 28, b"\xff" * 4)
    assert data[28:32] == (128).to_bytes(4, "big")
    assert (decode_components(largest) == decode_components(data)).all()


def test_damaged_streams_raise_one_error_or_give_other_pixels():
    data = bytes(encode(tissue(128, 128), Coding(33003, (2, 1), is_lossy=True)))
    random = np.random.default_rng(5)
    errors = 0
    for number in range(150):
        changed = bytearray(data)
        for at in random.integers(2, 120 if number % 2 else len(data), 3).tolist():
            changed[at] = int(random.integers(0, 256))
        try:
            decode_jpeg2000(page(compression=33003), bytes(changed))
        except ValueError:
            errors += 1
    assert 20 < errors < 150


def test_a_cut_stream_is_not_decoded():
    pixels = noise(128, 128)
    with pytest.raises(ValueError, match="JPEG 2000"):
        encode_jpeg2000(page(compression=33005), STREAM[:200], pixels, pixels[..., 0] > 9)


def test_a_file_whose_tiles_lie_in_jp2_files_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "a.svs"
    tile = bytes(imagecodecs.jpeg2k_encode(tissue(128, 128), codecformat="jp2", level=0))
    tifffile.imwrite(
        path,
        iter([tile]),
        shape=(128, 128, 3),
        dtype=np.uint8,
        tile=(128, 128),
        photometric="rgb",
        compression=34712,
        description="Aperio Image Library v12|AppMag = 20|MPP = 0.5",
        metadata=None,
    )
    with pytest.raises(UnreadableImage, match="cannot be carried over") as error:
        open_carried(open_slide(path))
    assert "--rewrite deflate" in str(error.value)
