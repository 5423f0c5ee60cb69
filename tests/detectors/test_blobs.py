"""The detector without training: round spots of haematoxylin, and nothing else."""

import numpy as np
import pytest

from histosynth.detectors.blobs import BlobDetector

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29])
EOSIN = np.array([0.07, 0.99, 0.11])


def spot(dye, *, amount=1.0, sigma=4.0, background=0.0):
    """A round spot of one dye at (60, 50) on a picture of 120 x 100 px."""
    y, x = np.mgrid[:100, :120]
    dose = amount * np.exp(-((x - 60) ** 2 + (y - 50) ** 2) / (2 * sigma**2)) + background
    return (255 * np.exp(-dose[..., None] * dye)).round().astype(np.uint8)


@pytest.mark.parametrize("sigma", [4.0, 5.0, 6.0])
def test_a_spot_of_haematoxylin_is_found_at_its_centre(sigma):
    found = BlobDetector()(spot(HAEMATOXYLIN, sigma=sigma))
    assert found.xy.tolist() == [[60, 50]]
    assert found.class_ids.tolist() == [0] and 0 < float(found.score[0]) < 1


def test_a_spot_of_eosin_is_no_nucleus():
    assert len(BlobDetector()(spot(EOSIN, amount=5.0))) == 0


def test_a_pale_spot_is_found_with_a_lower_limit_only():
    pale = spot(HAEMATOXYLIN, amount=0.3)
    assert len(BlobDetector()(pale)) == 0
    assert len(BlobDetector(min_response=0.05)(pale)) == 1


def test_a_darker_spot_has_the_higher_score():
    dark = BlobDetector()(spot(HAEMATOXYLIN, amount=1.2))
    light = BlobDetector()(spot(HAEMATOXYLIN, amount=0.8))
    assert float(dark.score[0]) > float(light.score[0])
