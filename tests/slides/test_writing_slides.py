"""Slides that are written: every reader sees every level; what was stopped goes on."""

import shutil
from collections import namedtuple

import numpy as np
import openslide
import pytest
import tifffile
from slides_to_write import levels_of, noisy, parts_of, smooth

from histosynth.core.errors import BadOption, MissingParts, NotWritable, SizeMismatch
from histosynth.core.geometry import Box, Size
from histosynth.slides import open_slide
from histosynth.slides.writing import (
    Encoding,
    PartPlace,
    Pyramid,
    SlideDescription,
    SlideParts,
    check_space,
    finish_slide,
    finishing,
    has_block,
    missing_blocks,
    needed_bytes,
    ome_tiff,
    read_slide_recipe,
    write_block,
)
from histosynth.slides.writing.block_pictures import half_picture

RECIPE = {"verb": "paint", "seed": 3, "note": 'a < b & "c" \u00b5'}
DESCRIPTION = SlideDescription(0.5, RECIPE, "a & b")
SIZES = [(1100, 700), (257, 256), (100, 30), (3, 5000), (513, 129), (256, 256)]


def three_readers(path):
    """Pixels of all levels as OpenSlide, tifffile and this package read them."""
    with openslide.OpenSlide(path) as slide:
        sizes = enumerate(slide.level_dimensions)
        regions = [slide.read_region((0, 0), level, size) for level, size in sizes]
        theirs = [np.asarray(region.convert("RGB")) for region in regions]
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert len(tiff.series) == 1
        series = [level.asarray() for level in tiff.series[0].levels]
    ours = open_slide(path)
    own = [
        ours.read(number, Box(0, 0, level.width, level.height))
        for number, level in enumerate(ours.levels)
    ]
    ours.close()
    return theirs, series, own


@pytest.mark.parametrize("codec", ["zstd", "deflate"])
@pytest.mark.parametrize("size", SIZES)
def test_every_reader_sees_every_level_without_loss(tmp_path, size, codec):
    pixels = noisy(*size)
    parts = parts_of(tmp_path / "parts", pixels, codec)
    out = tmp_path / "slide.ome.tiff"
    finish_slide(out, parts, DESCRIPTION)
    wanted = levels_of(pixels, len(parts.pyramid.levels))
    for found in three_readers(out):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_jpeg_is_near_on_every_level_and_the_same_in_every_reader(tmp_path):
    pixels = smooth(700, 500)
    parts = parts_of(tmp_path / "parts", pixels, "jpeg")
    out = tmp_path / "slide.ome.tiff"
    finish_slide(out, parts, DESCRIPTION)
    theirs, series, own = three_readers(out)
    wanted = levels_of(pixels, len(parts.pyramid.levels))
    assert len(theirs) == len(series) == len(own) == len(wanted) == 4
    for one, other, third, true in zip(theirs, series, own, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)
        assert np.abs(one.astype(int) - true).mean() < 2


def test_scale_and_mark_are_stated_where_each_reader_looks(tmp_path):
    description = SlideDescription(0.2527, RECIPE, "a & b")
    out = tmp_path / "slide.ome.tiff"
    finish_slide(out, parts_of(tmp_path / "parts", smooth(300, 200)), description)
    with openslide.OpenSlide(out) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.2527, rel=1e-6)
        assert slide.level_downsamples[1] == pytest.approx(2, abs=0.01)
    assert open_slide(out).mpp == pytest.approx(0.2527, rel=1e-6)
    with tifffile.TiffFile(out) as tiff:
        assert tiff.is_bigtiff
        page = tiff.pages.first
        assert 'PhysicalSizeX="0.2527"' in page.description
        assert "Synthetic tissue" in page.description
        assert b"trainedAlgorithmicMedia" in page.tags.valueof("XMP")
        assert page.software.startswith("histosynth ")
        assert [bool(each.is_reduced) for each in tiff.pages] == [False, True, True]
    assert read_slide_recipe(out) == {**RECIPE, "extent": "slide", "mpp": 0.2527}


@pytest.mark.parametrize(("chroma", "is_stated"), [("444", False), ("420", True)])
def test_nothing_is_written_that_bio_formats_reads_otherwise(tmp_path, chroma, is_stated):
    pixels = smooth(300, 200)
    parts = parts_of(tmp_path / "parts", pixels, "jpeg", chroma=chroma)
    out = tmp_path / "slide.ome.tiff"
    finish_slide(out, parts, SlideDescription(0.5, RECIPE, "Gew\u00e4\u00df"))
    with tifffile.TiffFile(out) as tiff:
        description = tiff.pages.first.tags[270].value
        assert [530 in page.tags for page in tiff.pages] == [is_stated] * 3
    assert "&#" not in description  # 7.3.1 takes these out of OME-XML, and sees one level then
    assert "\u00b5m" in description and "Gew\u00e4\u00df" in description
    theirs, series, own = three_readers(out)
    for one, other, third in zip(theirs, series, own, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, third)


def test_a_slide_of_others_has_no_recipe(tmp_path):
    path = tmp_path / "other.tiff"
    tifffile.imwrite(path, smooth(64, 64), description='{"seed": 1}', metadata=None)
    assert read_slide_recipe(path) is None


@pytest.mark.parametrize("stop_after", [0, 3, 9, 14, 18])
def test_a_stopped_run_goes_on_to_the_same_bytes(tmp_path, stop_after):
    pixels = noisy(700, 500)
    whole = tmp_path / "whole.ome.tiff"
    finish_slide(whole, parts_of(tmp_path / "one", pixels), DESCRIPTION)
    parts = parts_of(tmp_path / "two", pixels)
    out = tmp_path / "again.ome.tiff"

    def stop(done, total):
        if done > stop_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finish_slide(out, parts, DESCRIPTION, on_progress=stop)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["one", "two", "whole.ome.tiff"]
    finish_slide(out, parts, DESCRIPTION)
    assert out.read_bytes() == whole.read_bytes()


def test_nothing_appears_where_the_chain_of_levels_was_not_written(tmp_path, monkeypatch):
    parts = parts_of(tmp_path / "parts", noisy(300, 200))
    monkeypatch.setattr(ome_tiff, "_chain_levels", lambda path, encoding: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        finish_slide(tmp_path / "slide.ome.tiff", parts, DESCRIPTION)
    assert [each.name for each in tmp_path.iterdir()] == ["parts"]


def test_order_of_blocks_and_of_results_changes_no_byte(tmp_path):
    pixels = noisy(700, 500)
    one = parts_of(tmp_path / "one", pixels)
    two = parts_of(tmp_path / "two", pixels, only=[])
    for column, row in reversed(list(two.pyramid.block_places())):
        rows, columns = two.pyramid.block_box(column, row).slices
        write_block(two, column, row, pixels[rows, columns])

    def backwards(work, items):
        for index in reversed(range(len(items))):
            yield index, work(items[index])

    finish_slide(tmp_path / "one.tiff", one, DESCRIPTION)
    finish_slide(tmp_path / "two.tiff", two, DESCRIPTION, run=backwards)
    assert (tmp_path / "one.tiff").read_bytes() == (tmp_path / "two.tiff").read_bytes()


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip_last(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def flip_header(path):
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(bytes(data))


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [cut, flip_last, flip_header, empty, remove])
def test_a_damaged_part_counts_as_missing(tmp_path, damage):
    pixels = noisy(700, 500)
    parts = parts_of(tmp_path / "parts", pixels)
    assert missing_blocks(parts) == []
    damage(PartPlace(parts, 1, 1).path)
    assert not has_block(parts, 1, 1)
    assert missing_blocks(parts) == [(1, 1)]
    out = tmp_path / "slide.ome.tiff"
    with pytest.raises(MissingParts, match=r"1 block of .* first at column 1, row 1"):
        finish_slide(out, parts, DESCRIPTION)
    assert not out.exists()
    rows, columns = parts.pyramid.block_box(1, 1).slices
    write_block(parts, 1, 1, pixels[rows, columns])
    finish_slide(out, parts, DESCRIPTION)
    np.testing.assert_array_equal(three_readers(out)[0][0], pixels)


@pytest.mark.parametrize(
    "other",
    [
        {"key": "another"},
        {"encoding": Encoding("deflate")},
        {"pyramid": Pyramid(Size(700, 501), 128)},
    ],
)
def test_parts_of_another_slide_count_as_missing(tmp_path, other):
    parts = parts_of(tmp_path / "parts", noisy(700, 500))
    facts = {"pyramid": parts.pyramid, "encoding": parts.encoding, "key": parts.key}
    assert len(missing_blocks(SlideParts(parts.folder, **(facts | other)))) == 6


def test_a_part_in_the_place_of_another_counts_as_missing(tmp_path):
    parts = parts_of(tmp_path / "parts", noisy(700, 500))
    shutil.copyfile(PartPlace(parts, 0, 0).path, PartPlace(parts, 1, 0).path)
    assert not has_block(parts, 1, 0)


def test_too_little_room_is_refused_with_the_numbers(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 5, 1000))
    out = tmp_path / "slide.ome.tiff"
    needed = needed_bytes(Pyramid(Size(100_000, 100_000)), Encoding("jpeg"))
    with pytest.raises(NotWritable, match=r"needs about [\d.]+ GB .* 0\.0 MB are free"):
        check_space(out, tmp_path / "parts", needed)
    parts = parts_of(tmp_path / "parts", noisy(300, 200))
    with pytest.raises(NotWritable, match="are free on the disk"):
        finish_slide(out, parts, DESCRIPTION)
    assert not out.exists()


@pytest.mark.parametrize("codec", ["jpeg", "zstd", "deflate"])
def test_so_much_room_is_enough(tmp_path, codec):
    parts = parts_of(tmp_path / "parts", smooth(700, 500), codec)
    out = tmp_path / "slide.ome.tiff"
    finish_slide(out, parts, DESCRIPTION)
    needed = needed_bytes(parts.pyramid, parts.encoding)
    in_parts = sum(path.stat().st_size for path in parts.folder.rglob("*.part"))
    assert out.stat().st_size < needed.file
    assert in_parts < needed.parts


def test_levels_are_halves_rounded_up_down_to_one_tile():
    pyramid = Pyramid(Size(4097, 1025))
    assert pyramid.levels == ((4097, 1025), (2049, 513), (1025, 257), (513, 129), (257, 65))
    assert pyramid.tiles() == (9, 3)
    assert pyramid.blocks() == (5, 2)
    assert pyramid.block_box(4, 1) == Box(4096, 1024, 1, 1)
    assert Pyramid(Size(3, 5000)).levels == ((3, 5000),)


def test_halves_are_no_brighter_than_their_source():
    pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    assert half_picture(pixels).mean() == pytest.approx(pixels.mean(), abs=0.01)
    assert half_picture(np.uint8([[[1, 2, 255]]])).tolist() == [[[1, 2, 255]]]


def test_impossible_settings_are_refused(tmp_path):
    for build in (
        lambda: Pyramid(Size(0, 5)),
        lambda: Pyramid(Size(5, 1_000_001)),
        lambda: Pyramid(Size(5, 5), 100),
        lambda: Encoding("webp"),
        lambda: Encoding(quality=0),
        lambda: Encoding(chroma="411"),
        lambda: SlideDescription(50.0),
        lambda: Pyramid(Size(5, 5)).block_box(1, 0),
    ):
        with pytest.raises(BadOption):
            build()
    parts = SlideParts(tmp_path / "parts", Pyramid(Size(300, 300)), Encoding())
    with pytest.raises(SizeMismatch):
        write_block(parts, 0, 0, smooth(299, 300))
    assert finishing.missing_blocks(parts) == [(0, 0)]
