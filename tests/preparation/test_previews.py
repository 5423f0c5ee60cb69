"""Pictures of a finished set, whose rows others may have written."""

import numpy as np
import pytest
from glass import write_pixels
from PIL import ImageDraw

from histosynth.core.errors import BadTileSet
from histosynth.core.geometry import Box
from histosynth.core.own_files import OwnFiles
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row
from histosynth.preparation import preview_files
from histosynth.preparation.jobs import opened
from histosynth.preparation.patients import SlideSource
from histosynth.preparation.previews import overview


@pytest.fixture
def slide(tmp_path):
    (tmp_path / "slides").mkdir()
    noise = np.random.default_rng(0).integers(90, 190, (300, 400, 3), np.uint8)
    write_pixels(tmp_path / "slides" / "s.tiff", noise)
    return tmp_path / "slides" / "s.tiff"


def row(x, y, width=128, height=128):
    return Row(TileRef("s", "p", Box(x, y, width, height), 0.5))


def test_frames_end_at_the_edge_of_the_slide(slide, monkeypatch):
    """Drawing far outside of a picture takes time."""
    drawn = []
    draw = ImageDraw.ImageDraw.rectangle
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "rectangle",
        lambda self, xy, *more, **options: (drawn.append(xy), draw(self, xy, *more, **options)),
    )
    with opened(slide, 0.5) as whole:
        padded = overview(whole, [row(300, 200)])
        far = overview(whole, [row(300, 200, 5_000, 5_000)])
    frames = [xy for xy in drawn if xy[:2] == (301.0, 201.0)]
    assert frames == [(301.0, 201.0, 400, 300)] * 2
    assert np.array_equal(padded, far)


@pytest.mark.parametrize(("x", "y"), [(400, 0), (0, 300), (9_000, 9_000), (-1, 0)])
def test_a_tile_outside_of_its_slide_is_refused(slide, tmp_path, x, y):
    with pytest.raises(BadTileSet) as refusal:
        preview_files._write_overview(
            OwnFiles(tmp_path / "out"),
            SlideSource(slide, "s", "p", ""),
            [row(0, 0), row(x, y)],
            0.5,
        )
    assert str(refusal.value) == (
        f"{tmp_path / 'out'} is no whole tile set: its tile at ({x:,}, {y:,}) lies outside of "
        "s.tiff, which is 400 x 300 px. Make it again with histosynth prepare."
    )
    assert not (tmp_path / "out").exists()
