"""How fibres run, measured of stripes whose angle is known."""

import numpy as np
import pytest

from histosynth.tissue.orientation import find_orientation


def stripes(angle, *, size=(160, 128), period_px=12.0):
    """Lines at an angle in degrees, from the x axis towards the y axis, which points down."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    turned = np.deg2rad(angle)
    across = np.cos(turned) * y - np.sin(turned) * x
    grey = 180 + 40 * np.sin(2 * np.pi * across / period_px)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


def angles_of(orientation):
    cosine, sine = np.moveaxis(orientation.axes, 2, 0)
    return np.rad2deg(np.arctan2(sine, cosine)) / 2 % 180


@pytest.mark.parametrize("angle", [10, 60, 90, 135, 170])
def test_the_angle_of_stripes_is_found(angle):
    found = find_orientation(stripes(angle))
    assert found.axes.shape == (16, 20, 2)
    inner = angles_of(found)[4:-4, 4:-4]
    np.testing.assert_allclose(inner, angle, atol=0.5)
    assert np.hypot(*np.moveaxis(found.axes, 2, 0))[4:-4, 4:-4].min() > 0.98


def test_glass_and_noise_have_none():
    glass = np.full((128, 128, 3), 243, np.uint8)
    assert not find_orientation(glass).axes.any()
    noise = np.random.default_rng(0).integers(100, 200, (256, 256, 3), dtype=np.uint8)
    assert np.hypot(*np.moveaxis(find_orientation(noise).axes, 2, 0)).mean() < 0.1


def test_it_is_measured_over_micrometres():
    """A seam between two directions is as wide in um at each scale."""
    wide = []
    for mpp, period in ((0.5, 12), (0.25, 24)):
        side = int(160 / mpp)
        left = stripes(0, size=(side // 2, side), period_px=period)
        right = stripes(90, size=(side // 2, side), period_px=period)
        found = find_orientation(np.concatenate([left, right], axis=1), mpp=mpp)
        cosine = found.axes[found.axes.shape[0] // 2, :, 0]
        wide.append((np.abs(cosine) < 0.6).sum() * 8 * mpp)
    assert wide[1] == pytest.approx(wide[0], abs=4)
    with pytest.raises(ValueError, match="mpp"):
        find_orientation(stripes(0), mpp=0.0)
