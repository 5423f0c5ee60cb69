"""Appearance, masks, layouts and blending."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histosynth.tissue.appearance import StainFrame, fit_stain_frame, measure_appearance
from histosynth.tissue.blend import paste
from histosynth.tissue.layout import LAYOUT_CLASSES, MIN_DISTANCE_UM, draw_layout
from histosynth.tissue.masks import SHAPES, draw_mask

scales = st.floats(0.25, 4.0)


@given(scale=st.tuples(scales, scales, scales))
def test_a_stain_frame_is_undone_to_within_a_grey_level(scale):
    grey = np.repeat(np.arange(8, 256, dtype=np.uint8)[:, None], 3, axis=1)
    frame = StainFrame(scale)
    canonical = frame.to_canonical(grey)
    clear = (canonical > 0.5).all(axis=1)  # what the canonical stain shows as black is lost
    np.testing.assert_allclose(
        frame.from_canonical(canonical)[clear],
        grey[clear],
        atol=0.5,
    )


def test_glass_stays_glass_in_every_stain():
    glass = np.full((4, 4, 3), 255, np.uint8)
    np.testing.assert_allclose(StainFrame((0.4, 2.0, 1.3)).to_canonical(glass), 255)


@pytest.mark.parametrize("scale", [(0.1, 1, 1), (1, 1, 9), (1, float("nan"), 1)])
def test_impossible_frames_are_refused(scale):
    with pytest.raises(ValueError, match=r"0\.2 to 5"):
        StainFrame(scale)


def test_a_darker_copy_of_a_tile_has_the_same_canonical_picture(tile):
    density = -np.log((tile + 1.0) / 256)
    dark = (256 * np.exp(-1.6 * density) - 1).clip(0, 255).round().astype(np.uint8)
    first = fit_stain_frame(tile)
    second = fit_stain_frame(dark)
    np.testing.assert_allclose(
        np.array(first.scale) / np.array(second.scale),
        1.6,
        rtol=0.08,
    )
    apart = np.abs(first.to_canonical(tile) - second.to_canonical(dark)).mean()
    assert apart < 4


def test_appearance_is_measured_outside_the_mask_only(tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:100, 30:90] = True
    spoiled = tile.copy()
    spoiled[mask] = (0, 255, 0)
    one = measure_appearance(tile, mask)
    other = measure_appearance(spoiled, mask)
    assert one.frame == other.frame
    assert (one.style == other.style).all()


def test_a_tile_without_tissue_gets_the_canonical_frame():
    assert fit_stain_frame(np.full((64, 64, 3), 250, np.uint8)) == StainFrame()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(128, 128), (96, 160), (160, 96)])
def test_masks_have_the_tile_s_shape(shape, size):
    mask = SHAPES[shape](np.random.default_rng(1), size[1], size[0])
    assert mask.shape == (size[1], size[0]) and mask.dtype == bool


def test_drawn_masks_leave_tissue_unless_they_may_be_full():
    random = np.random.default_rng(0)
    shares = [draw_mask(random, (128, 128)).mean() for _ in range(100)]
    assert min(shares) > 0.01 and max(shares) < 0.85
    full = [draw_mask(random, (64, 64), full=0.25).all() for _ in range(400)]
    assert 0.18 < np.mean(full) < 0.32


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_known_pixels_are_equal_bit_for_bit(seed):
    random = np.random.default_rng(seed)
    known = random.integers(0, 256, (40, 56, 3), dtype=np.uint8)
    painted = random.uniform(-20, 280, (40, 56, 3)).astype(np.float32)
    mask = random.random((40, 56)) < random.uniform(0.05, 0.95)
    out = paste(known, painted, mask)
    assert (out[~mask] == known[~mask]).all()
    assert out.dtype == np.uint8


def test_a_colour_offset_is_removed_at_the_edge_and_not_in_the_middle(tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[34:102, 32:96] = True
    out, right = (paste(tile, tile.astype(np.float32) - off, mask).astype(float) for off in (20, 0))
    error = np.abs(out - right).mean(axis=2)
    assert error[34:36, 40:88].mean() < 2
    assert error[60:76, 58:70].mean() > 15


def test_layouts_keep_their_distance_and_are_the_same_for_the_same_seed():
    nuclei = draw_layout((512, 384), mpp=0.5, seed=3)
    again = draw_layout((512, 384), mpp=0.5, seed=3)
    np.testing.assert_array_equal(nuclei.xy, again.xy)
    assert nuclei.classes == LAYOUT_CLASSES and min(nuclei.counts().values()) > 10
    gaps = np.linalg.norm(nuclei.xy[:, None] - nuclei.xy[None], axis=2) + 1e9 * np.eye(len(nuclei))
    assert gaps.min() * 0.5 >= min(MIN_DISTANCE_UM.values()) * 0.99
    per_mm2 = len(nuclei) / (512 * 384 * 0.25e-6)
    assert 1500 < per_mm2 < 9000


def test_size_and_format_are_read_from_the_header(tmp_path):
    from PIL import Image

    from histosynth.core.images import read_picture_info, read_rgb

    pixels = np.zeros((20, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, how in (
        ("a.png", {}),
        ("b.png", {"exif": exif}),
        ("c.jpg", {"exif": exif}),
        ("d.tif", {}),
    ):
        Image.fromarray(pixels).save(tmp_path / name, **how)
        size, kind = read_picture_info(tmp_path / name)
        height, width = read_rgb(tmp_path / name).shape[:2]
        assert size == (width, height)
        assert kind == {"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[name[2:]]
    assert read_picture_info("x", (tmp_path / "a.png").read_bytes()) == ((30, 20), "PNG")
