"""Judges against answers known beforehand."""

import numpy as np
import pytest

from histosynth.core.nuclei import Nuclei
from histosynth.metrics.distances import frechet_distance, kernel_distance
from histosynth.metrics.ring_classifier import RingClassifier, find_blobs, found_share

CLASSES = ("large", "small")


def test_frechet_distance_of_gaussians_is_the_closed_form():
    random = np.random.default_rng(0)
    first = random.normal(0, 1.0, (20_000, 4))
    second = random.normal(0.5, 2.0, (20_000, 4))
    # per dimension: (m1 - m2)^2 + (s1 - s2)^2
    assert frechet_distance(first, second) == pytest.approx(4 * (0.25 + 1.0), rel=0.03)


def test_frechet_distance_equals_the_matrix_root_definition():
    from scipy.linalg import sqrtm

    random = np.random.default_rng(1)
    first = random.normal(0, 1, (60, 8))
    second = random.normal(0.3, 1.5, (50, 8)) @ random.normal(0, 1, (8, 8))
    c1 = np.cov(first.T)
    c2 = np.cov(second.T)
    apart = first.mean(0) - second.mean(0)
    expected = apart @ apart + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_a_set_is_no_distance_from_itself_even_with_fewer_samples_than_dimensions():
    first = np.random.default_rng(0).normal(size=(16, 64))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-8)


def test_kernel_distance_is_unbiased_and_sees_a_shift():
    random = np.random.default_rng(0)
    same = [
        kernel_distance(random.normal(size=(40, 8)), random.normal(size=(40, 8)))
        for _ in range(200)
    ]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(200)
    assert kernel_distance(random.normal(size=(40, 8)), random.normal(1, 1, (40, 8))) > 10 * np.std(
        same
    )


def blobs(seed=0, sizes=(7.0, 3.5)):
    """Violet discs of two sizes on pink, far apart from each other."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(24, 240, 32), np.arange(24, 240, 32)), -1).reshape(-1, 2)
    xy = grid + random.integers(-4, 5, grid.shape)
    kind = random.integers(0, 2, len(xy))
    picture = np.full((256, 256, 3), (225.0, 170.0, 205.0)) + random.normal(0, 4, (256, 256, 1))
    rows, columns = np.mgrid[:256, :256]
    for (x, y), k in zip(xy, kind, strict=True):
        inside = np.hypot(rows - y, columns - x) < sizes[k]
        picture[inside] = (95, 65, 140)
    nuclei = Nuclei.of(
        xy,
        [CLASSES[k] for k in kind],
        size=(256, 256),
        mpp=0.5,
        classes=CLASSES,
    )
    return picture.clip(0, 255).astype(np.uint8), nuclei


def test_discs_are_found_where_they_are_and_not_elsewhere():
    picture, nuclei = blobs()
    found, asked = found_share(picture, nuclei)
    assert asked == len(nuclei) and found >= 0.95 * asked
    assert len(find_blobs(picture)) <= 1.1 * asked
    moved = Nuclei(
        nuclei.xy + 14,
        nuclei.class_ids.copy(),
        nuclei.classes,
        nuclei.size,
        nuclei.mpp,
    )
    assert found_share(picture, moved)[0] <= 0.05 * asked


def test_kinds_are_told_apart_on_unseen_tiles():
    judge = RingClassifier.fit([blobs(seed) for seed in range(3)])
    picture, nuclei = blobs(9)
    assert (judge(picture, nuclei) == nuclei.class_ids).mean() > 0.95
