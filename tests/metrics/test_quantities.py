"""Each quantity of stain and of quality reads the number after which it is named."""

import numpy as np

from histosynth.metrics.quality.conclude import QUALITY_QUANTITIES
from histosynth.metrics.quality.measure import measure_quality
from histosynth.metrics.sample import Sample, TileMeasurements
from histosynth.metrics.stain.conclude import STAIN_QUANTITIES


def read(quantities, values):
    tile = TileMeasurements("t", "p", "", {name: np.array(each) for name, each in values.items()})
    return {each.name: each.of(Sample((tile,))).item() for each in quantities}


def test_quantities_of_stain():
    values = {
        "stain/od_mean": [1.0, 2.0, 3.0],
        "stain/angles": [10.0, 20.0, 30.0, 40.0, 50.0],
        "stain/doses": [0.1, 0.2],
        "stain/tissue": [0.7],
    }
    assert read(STAIN_QUANTITIES, values) == {
        "stain_od_red": 1.0,
        "stain_od_green": 2.0,
        "stain_od_blue": 3.0,
        "stain_haematoxylin_azimuth": 10.0,
        "stain_haematoxylin_elevation": 20.0,
        "stain_eosin_azimuth": 30.0,
        "stain_eosin_elevation": 40.0,
        "stain_angle": 50.0,
        "stain_haematoxylin_dose": 0.1,
        "stain_eosin_dose": 0.2,
        "stain_tissue": 0.7,
    }


def test_quantities_of_quality():
    values = {
        "quality/focus": [1.0],
        "quality/spectrum": [0.2, -3.0],
        "quality/noise": [4.0],
        "quality/blocks": [1.5],
        "quality/clipped": [0.01, 0.02],
    }
    assert read(QUALITY_QUANTITIES, values) == {
        "quality_focus": 1.0,
        "quality_fine_power": 0.2,
        "quality_slope": -3.0,
        "quality_noise": 4.0,
        "quality_blocks": 1.5,
        "quality_burnt": 0.01,
        "quality_black": 0.02,
    }


def test_burnt_is_from_254_in_all_channels_and_black_up_to_3_in_one():
    pixels = np.full((40, 40, 3), 128, np.uint8)
    pixels[0, :8] = 254
    pixels[1, :8] = (254, 254, 253)
    pixels[2, :4, 1] = 3
    pixels[3, :4, 1] = 4
    burnt, black = measure_quality(pixels, 0.5)["quality/clipped"]
    assert burnt == 8 / 1600
    assert black == 4 / 1600
