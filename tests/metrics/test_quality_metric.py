"""Picture quality: each measure moves with what it is named after, and with nothing else."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from histosynth.core.errors import BadWeights, NeedsExtra
from histosynth.metrics.nima import open_nima
from histosynth.metrics.quality.conclude import QUALITY_QUANTITIES, conclude_quality
from histosynth.metrics.quality.measure import measure_quality
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.stain.measure import measure_stain
from histosynth.tissue.density import from_density, optical_density


def scene(
    seed=0,
    *,
    blur=0.0,
    noise=2.0,
    dye=(1.0, 1.0, 1.0),
    side=256,
):
    """Dark discs with fine chromatin on paler ground; blurred before the camera adds its noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    density = np.zeros((side, side, 3)) + np.array([0.25, 0.55, 0.3])
    for _ in range(60):
        y, x = random.uniform(0, side, 2)
        density[np.hypot(rows - y, columns - x) < random.uniform(4, 8)] = (0.9, 1.1, 0.6)
    fine = ndimage.gaussian_filter(random.standard_normal((side, side)), 1.0)
    density *= 1 + np.where(density[..., :1] > 0.5, 0.5, 0.1) * fine[..., None]
    density = ndimage.gaussian_filter(density, (0.8, 0.8, 0))
    density = ndimage.gaussian_filter(density, (blur, blur, 0)) if blur else density
    pixels = from_density((density * dye).astype(np.float32)) + noise * random.standard_normal(
        (side, side, 3)
    )
    return pixels.round().clip(0, 255).astype(np.uint8)


def measured(**how):
    pixels = scene(**how)
    values = {**measure_quality(pixels, 0.5), **measure_stain(pixels, 0.5)}
    return {key: float(np.ravel(value)[0]) for key, value in values.items()} | {
        "slope": float(values["quality/spectrum"][1])
    }


def test_blur_moves_focus_and_neither_noise_nor_stain():
    sharp = measured()
    blurred = measured(blur=1.5)
    assert blurred["quality/focus"] < sharp["quality/focus"] - 0.2
    assert blurred["quality/spectrum"] < 0.7 * sharp["quality/spectrum"]
    assert blurred["slope"] < sharp["slope"] - 0.3
    assert blurred["quality/noise"] == pytest.approx(sharp["quality/noise"], rel=0.05)
    assert blurred["stain/od_mean"] == pytest.approx(sharp["stain/od_mean"], rel=0.02)


def test_noise_is_measured_in_grey_levels_and_moves_no_stain():
    for sigma in (2.0, 4.0, 8.0):
        noisy = measured(noise=sigma)
        assert noisy["quality/noise"] == pytest.approx(sigma, rel=0.15)
        assert noisy["stain/od_mean"] == pytest.approx(measured()["stain/od_mean"], rel=0.03)


def test_texture_is_not_taken_for_noise():
    pixels = scene()
    textured = pixels.copy()
    fine = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal((128, 256)), 0.8)
    textured[:128] = (textured[:128] + 25 * fine[..., None] / fine.std()).clip(10, 245)
    one, two = (measure_quality(each, 0.5)["quality/noise"][0] for each in (pixels, textured))
    assert two == pytest.approx(one, rel=0.1)  # 3.5 instead of 2 if all pixels counted


def test_another_colour_moves_stain_and_neither_focus_nor_noise():
    usual = measured()
    other = measured(dye=(1.25, 0.9, 1.1))
    blurred = measured(blur=1.5)
    assert other["stain/od_mean"] == pytest.approx(1.25 * usual["stain/od_mean"], rel=0.05)
    assert other["quality/noise"] == pytest.approx(usual["quality/noise"], rel=0.05)
    for key in ("quality/focus", "quality/spectrum", "slope"):
        assert abs(other[key] - usual[key]) < 0.15 * abs(blurred[key] - usual[key]), key


def test_an_offset_of_colour_moves_neither_focus_nor_noise():
    pixels = scene()
    shifted = (pixels.astype(int) + np.array([-8, 6, 10])).astype(
        np.uint8
    )  # nothing is clipped by so little
    assert pixels.min() > 8
    assert pixels.max() < 245
    one = measure_quality(pixels, 0.5)
    two = measure_quality(shifted, 0.5)
    assert two["quality/noise"][0] == pytest.approx(one["quality/noise"][0], rel=1e-3)
    assert two["quality/focus"][0] == pytest.approx(one["quality/focus"][0], abs=0.03)
    assert two["quality/blocks"][0] == pytest.approx(one["quality/blocks"][0], rel=1e-3)


def test_strength_of_stain_is_no_focus():
    pixels = scene(noise=0)
    strong = from_density(1.3 * optical_density(pixels)).round().astype(np.uint8)
    one = measure_quality(pixels, 0.5)
    two = measure_quality(strong, 0.5)
    assert two["quality/focus"][0] == pytest.approx(one["quality/focus"][0], abs=0.02)


@pytest.mark.parametrize("offset", [0, 3])
def test_jpeg_blocks_are_detected_wherever_their_grid_lies(offset):
    pixels = scene(noise=1)

    def packed(quality):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        return measure_quality(np.asarray(Image.open(buffer))[offset:, offset:], 0.5)[
            "quality/blocks"
        ][0]

    plain = measure_quality(pixels, 0.5)["quality/blocks"][0]
    assert 1 <= plain < 1.06
    assert packed(98) < 1.1
    assert packed(15) > 1.3
    assert packed(40) > packed(98) + 0.05


def test_clipped_pixels_are_counted():
    pixels = scene()
    pixels[:64] = 255
    pixels[64:96, :, 1] = 0
    assert measure_quality(pixels, 0.5)["quality/clipped"] == pytest.approx([0.25, 0.125], abs=1e-3)


def test_focus_does_not_depend_on_how_much_glass_there_is():
    pixels = scene(noise=0)
    half = pixels.copy()
    half[:, 128:] = 245
    one = measure_quality(pixels, 0.5)
    two = measure_quality(half, 0.5)
    blurred = measure_quality(scene(noise=0, blur=1.5), 0.5)
    moved = abs(two["quality/focus"][0] - one["quality/focus"][0])
    assert moved < 0.3 * abs(blurred["quality/focus"][0] - one["quality/focus"][0])


@pytest.mark.parametrize("side", [1, 2, 5, 31, 64])
@pytest.mark.parametrize("level", [0, 120, 255])
def test_even_and_tiny_tiles_are_nan_and_break_nothing(side, level):
    seen = measure_quality(np.full((side, side, 3), level, np.uint8), 0.5)
    assert np.isnan(seen["quality/focus"]).all()
    assert np.isnan(seen["quality/spectrum"]).all()
    assert np.isnan(seen["quality/blocks"]).all()
    assert seen["quality/clipped"].tolist() == [level == 255, level == 0]
    if side < 16 or level != 120:
        assert np.isnan(seen["quality/noise"]).all()


def test_coarse_scales_have_no_fine_detail():
    seen = measure_quality(scene(), 2.0)
    assert np.isnan(seen["quality/spectrum"]).all()
    assert np.isfinite(seen["quality/focus"]).all()


def test_the_section_reports_blur_and_nothing_else():
    def tiles(prefix, **how):
        seeds = range(len(prefix) * 100, len(prefix) * 100 + 10)
        return Sample(
            tuple(
                TileMeasurements(
                    f"{prefix}{i}",
                    f"{prefix}{i // 2}",
                    "",
                    measure_quality(scene(i, side=96, **how), 0.5),
                )
                for i in seeds
            )
        )

    real = tiles("r")
    blurred = tiles("ss", blur=1.5)
    other = tiles("ooo")
    section = conclude_quality(real, blurred, other)
    found = {finding.name: finding for finding in section.findings}
    assert len(found) == 1 + 2 * len(QUALITY_QUANTITIES)
    assert found["quality_focus_difference"].value.high < -0.15
    assert found["quality_focus_W1"].ratio.low > 2
    assert abs(found["quality_noise_difference"].value.value) < 0.15
    assert found["quality_W1"].ratio.value > 2
    assert len(section.plots) == len(QUALITY_QUANTITIES)
    untouched = conclude_quality(real, real, other).findings
    assert all(finding.value.value == 0 for finding in untouched)


def test_nima_is_compared_where_all_sides_were_rated():
    def tiles(prefix, score):
        base = measure_quality(scene(side=64), 0.5)
        values = [base | {"quality/nima": np.array([score + i / 10])} for i in range(10)]
        return Sample(
            tuple(
                TileMeasurements(f"{prefix}{i}", f"{prefix}{i}", "", each)
                for i, each in enumerate(values)
            )
        )

    def unrated(sample):
        kept = [{k: v for k, v in t.values.items() if k != "quality/nima"} for t in sample.tiles]
        return Sample(
            tuple(
                TileMeasurements(t.name, t.patient, "", v)
                for t, v in zip(sample.tiles, kept, strict=True)
            )
        )

    real = tiles("r", 5.0)
    synthetic = tiles("s", 4.0)
    found = {finding.name: finding for finding in conclude_quality(real, synthetic).findings}
    assert found["quality_nima_difference"].value.value == pytest.approx(-1)
    found = {
        finding.name: finding for finding in conclude_quality(unrated(real), synthetic).findings
    }
    assert "quality_nima_difference" not in found
    assert "quality_noise_difference" in found


def test_nima_needs_its_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(NeedsExtra, match=r"histosynth\[nima\]"):
        open_nima(tmp_path / "weights.pth")


def test_nima_reads_local_weights_and_is_shown_values_from_0_to_1(monkeypatch, tmp_path):
    created_with = {}

    def create_metric(name, **how):
        created_with.update(name=name, **how)

        def rate(batch):
            created_with["batch"] = batch
            return torch.tensor([[5.25]])

        return rate

    monkeypatch.setitem(
        sys.modules,
        "pyiqa",
        SimpleNamespace(create_metric=create_metric),
    )
    path = tmp_path / "weights.pth"
    with pytest.raises(BadWeights, match="no such file"):
        open_nima(path)
    path.write_bytes(b"0")
    pixels = scene(side=32)
    assert open_nima(path)(pixels) == 5.25
    assert created_with["name"] == "nima"
    assert created_with["pretrained_model_path"] == str(path)
    assert created_with["batch"].shape == (1, 3, 32, 32)
    np.testing.assert_allclose(
        created_with["batch"][0].permute(1, 2, 0) * 255,
        pixels,
        atol=1e-4,
    )


def test_weights_that_cannot_be_read_are_refused(monkeypatch, tmp_path):
    def create_metric(name, **how):
        raise RuntimeError("Invalid magic number\nand more")

    monkeypatch.setitem(
        sys.modules,
        "pyiqa",
        SimpleNamespace(create_metric=create_metric),
    )
    path = tmp_path / "weights.pth"
    path.write_bytes(b"0")
    with pytest.raises(BadWeights, match="Invalid magic number"):
        open_nima(path)
