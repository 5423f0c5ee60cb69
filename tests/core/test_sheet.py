"""Contact sheets: where pictures and captions are put, and the colours of nuclei."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from histosynth.core.dots import ANY_CLASS_COLOUR, CLASS_COLOURS
from histosynth.core.nuclei import ANY, Nuclei
from histosynth.core.sheet import (
    PAPER_COLOUR,
    TEXT_COLOUR,
    colour_legend,
    contact_sheet,
    draw_nuclei,
    fill_mask,
)

LINE = 22


def plain(value, height=40, width=40):
    return np.full((height, width, 3), value, np.uint8)


@pytest.mark.parametrize(("title", "extra"), [("", 0), ("A title", LINE + 5)])
def test_pictures_are_in_rows_under_their_captions(title, extra):
    rows = [("one", [plain(10), plain(20)]), ("two", [plain(30), plain(40), plain(50)])]
    sheet = contact_sheet(rows, cell=40, gap=5, title=title)
    row_height = LINE + 40 + 5
    assert sheet.dtype == np.uint8
    assert sheet.shape == (extra + 2 * row_height + 5, 5 + 3 * 45, 3)
    top = 5 + extra
    for row, values in enumerate(((10, 20), (30, 40, 50))):
        for column, value in enumerate(values):
            y = top + row * row_height + LINE
            x = 5 + column * 45
            assert (sheet[y : y + 40, x : x + 40] == value).all()
            assert (sheet[y : y + 40, x - 1] == PAPER_COLOUR).all()
            assert (sheet[y + 40, x : x + 40] == PAPER_COLOUR).all()
        caption = sheet[top + row * row_height : top + row * row_height + LINE]
        assert (caption != PAPER_COLOUR).any()
    assert (sheet[: 5 + extra] != PAPER_COLOUR).any() == bool(title)


def test_larger_pictures_are_reduced_with_their_aspect_and_smaller_ones_kept():
    sheet = contact_sheet([("", [plain(10, 40, 80), plain(20, 8, 8)])], cell=40, gap=2)
    first = sheet[2 + LINE :, 2:42]
    assert (first[:20] == 10).all() and (first[20:40] == PAPER_COLOUR).all()
    second = sheet[2 + LINE :, 44:84]
    assert (second[:8, :8] == 20).all() and (second[8:40] == PAPER_COLOUR).all()


def test_a_sheet_without_rows_is_paper():
    sheet = contact_sheet([], cell=40, gap=2)
    assert sheet.shape == (2, 2 + 42, 3) and (sheet == PAPER_COLOUR).all()
    assert contact_sheet([("", [])], cell=40, gap=2).shape == (2 + LINE + 42, 2, 3)


def test_cells_have_256_px_and_gaps_6_unless_stated_otherwise():
    sheet = contact_sheet([("", [plain(10, 300, 300)])])
    assert sheet.shape == (6 + LINE + 256 + 6, 6 + 256 + 6, 3)
    assert (sheet[6 + LINE : -6, 6:-6] == 10).all() and (sheet[: 6 + LINE] == PAPER_COLOUR).all()


def text_at(x, y, text, size, shape):
    """A line of text on paper, drawn by Pillow."""
    image = Image.new("RGB", (shape[1], shape[0]), PAPER_COLOUR)
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(image).text((x, y), text, fill=TEXT_COLOUR, font=font)
    return np.array(image)


def test_the_title_has_16_px_and_captions_14():
    sheet = contact_sheet([("Caption", [plain(255)])], cell=90, gap=7, title="Title")
    assert (sheet[: LINE + 7] == text_at(7, 7, "Title", 16, (LINE + 7, 104))).all()
    caption = sheet[LINE + 14 : 2 * LINE + 14]
    assert (caption == text_at(7, 0, "Caption", 14, (LINE, 104))).all()


def test_pictures_are_reduced_by_lanczos():
    picture = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    sheet = contact_sheet([("", [picture])], cell=40, gap=2)
    reduced = Image.fromarray(picture).resize((40, 40), Image.Resampling.LANCZOS)
    assert (sheet[2 + LINE : -2, 2:-2] == np.array(reduced)).all()


def test_captions_are_in_the_colour_of_text():
    sheet = contact_sheet([("IIIIII", [plain(10)])], cell=40, gap=2)
    assert (sheet == TEXT_COLOUR).all(axis=2).any()


def four_nuclei():
    return Nuclei.of(
        [[10, 12], [40, 12], [10, 35], [40, 35]],
        ["a", "b", ANY, "a"],
        size=(60, 50),
        mpp=0.5,
        classes=("a", "b"),
    )


def test_nuclei_are_dots_of_their_class_s_colour_around_their_centroid():
    picture = draw_nuclei(four_nuclei(), radius_px=4.0)
    assert picture.shape == (50, 60, 3)
    assert tuple(picture[12, 10]) == CLASS_COLOURS[0]
    assert tuple(picture[12, 40]) == CLASS_COLOURS[1]
    assert tuple(picture[35, 10]) == ANY_CLASS_COLOUR
    assert tuple(picture[35, 40]) == CLASS_COLOURS[0]
    dot = (picture != 250).any(axis=2)
    rows, columns = np.nonzero(dot[:24, :24])
    assert rows.mean() == pytest.approx(12, abs=0.3)
    assert columns.mean() == pytest.approx(10, abs=0.3)
    assert len(rows) == pytest.approx(np.pi * 4**2, rel=0.35)


def test_dots_have_a_radius_of_4_px_unless_stated_otherwise_and_mixed_edges():
    picture = draw_nuclei(four_nuclei())
    assert picture.dtype == np.uint8
    assert (picture == draw_nuclei(four_nuclei(), radius_px=4)).all()
    assert not (picture == draw_nuclei(four_nuclei(), radius_px=5)).all()
    colour = np.array(CLASS_COLOURS[0])
    mixes = np.stack([250 + share * (colour - 250.0) for share in np.linspace(0, 1, 5)])
    dot = picture[:24, :24].reshape(-1, 1, 3)
    nearest = np.abs(dot - mixes).max(axis=2)  # a pixel is four drawn ones
    assert nearest.min(axis=1).max() <= 1
    assert set(nearest.argmin(axis=1)) == set(range(5))


def test_the_colours_of_more_than_six_classes_repeat():
    names = tuple(f"c{index}" for index in range(7))
    nuclei = Nuclei.of([[10, 12], [40, 12]], ["c0", "c6"], size=(60, 50), mpp=0.5, classes=names)
    picture = draw_nuclei(nuclei)
    assert tuple(picture[12, 10]) == tuple(picture[12, 40]) == CLASS_COLOURS[0]


def test_nuclei_are_drawn_over_a_tile():
    tile = plain(77, 50, 60)
    picture = draw_nuclei(four_nuclei(), over=tile, radius_px=2.0)
    assert (picture[20:28] == 77).all()
    assert tuple(picture[12, 10]) == CLASS_COLOURS[0]
    assert (tile == 77).all()


def test_the_legend_names_the_colours_in_the_order_of_classes_and_repeats_them():
    names = [f"c{index}" for index in range(7)]
    assert colour_legend(names) == (
        "c0 orange, c1 blue, c2 green, c3 pink, c4 yellow, c5 sky blue, c6 orange"
    )
    assert len(set(CLASS_COLOURS)) == len(CLASS_COLOURS) == 6


def test_a_filled_mask_has_one_colour_and_the_tile_stays():
    tile = plain(10)
    mask = np.zeros((40, 40), bool)
    mask[3:9, 4:8] = True
    out = fill_mask(tile, mask)
    assert (out[mask] == PAPER_COLOUR).all() and (out[~mask] == 10).all()
    assert (tile == 10).all()
    assert (fill_mask(tile, mask, (1, 2, 3))[mask] == (1, 2, 3)).all()
