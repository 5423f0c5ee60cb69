"""The classifier of nuclei by rings of colour, on discs of two sizes."""

import numpy as np

from histosynth.core.nuclei import ANY_CLASS, Nuclei
from histosynth.detectors.blobs import BlobDetector
from histosynth.metrics.ring_classifier import RINGS, RingClassifier, ring_features
from histosynth.metrics.structure.measure import measure_structure

CLASSES = ("large", "small")


def discs(seed=0, sizes=(7.0, 3.5)):
    """Violet discs of two sizes on pink, far apart from each other."""
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(24, 240, 32), np.arange(24, 240, 32)), -1).reshape(-1, 2)
    xy = grid + random.integers(-4, 5, grid.shape)
    class_ids = random.integers(0, 2, len(xy))
    picture = np.full((256, 256, 3), (225.0, 170.0, 205.0)) + random.normal(0, 4, (256, 256, 1))
    rows, columns = np.mgrid[:256, :256]
    for (x, y), class_id in zip(xy, class_ids, strict=True):
        inside = np.hypot(rows - y, columns - x) < sizes[class_id]
        picture[inside] = (95, 65, 140)
    nuclei = Nuclei.of(
        xy,
        [CLASSES[class_id] for class_id in class_ids],
        size=(256, 256),
        mpp=0.5,
        classes=CLASSES,
    )
    return picture.clip(0, 255).astype(np.uint8), nuclei


def test_discs_are_found_where_they_are_and_not_elsewhere():
    picture, nuclei = discs()
    detectors = {"blobs": BlobDetector()}
    counts = measure_structure(picture, nuclei, detectors=detectors)["structure/blobs/counts"]
    matched, found, requested = counts[1, 0]
    assert requested == len(nuclei)
    assert matched >= 0.95 * requested
    assert found <= 1.1 * requested
    moved = Nuclei(
        nuclei.xy + 14,
        nuclei.class_ids.copy(),
        nuclei.classes,
        nuclei.size,
        nuclei.mpp,
    )
    counts = measure_structure(picture, moved, detectors=detectors)["structure/blobs/counts"]
    assert counts[1, 0, 0] <= 0.05 * requested


def test_classes_are_distinguished_on_unseen_tiles():
    classifier = RingClassifier.fit([discs(seed) for seed in range(3)])
    picture, nuclei = discs(9)
    assert (classifier(picture, nuclei) == nuclei.class_ids).mean() > 0.95


def test_nuclei_without_a_class_do_not_count_in_the_fit():
    tiles = [discs(seed) for seed in range(3)]
    fitted = RingClassifier.fit(tiles)
    picture, nuclei = tiles[0]
    unclassified = Nuclei(
        nuclei.xy + 9,
        np.full(len(nuclei), ANY_CLASS, np.uint8),
        nuclei.classes,
        nuclei.size,
        nuclei.mpp,
    )
    again = RingClassifier.fit([(picture, nuclei.concat(unclassified)), *tiles[1:]])
    assert np.array_equal(fitted.weights, again.weights)
    assert np.array_equal(fitted.offsets, again.offsets)


def test_axes_of_a_round_nucleus_are_equal_and_of_a_long_one_are_not():
    rows, columns = np.mgrid[:64, :64]
    pictures = []
    for stretch in (1, 2):
        picture = np.full((64, 64, 3), (225, 170, 205), np.uint8)
        inside = np.hypot((rows - 32) / stretch, columns - 32) < 4
        picture[inside] = (95, 65, 140)
        pictures.append(picture)
    centre = Nuclei.of(np.array([[32, 32]]), ["large"], size=(64, 64), mpp=0.5, classes=CLASSES)
    ratios = [ring_features(picture, centre)[0, -1] for picture in pictures]
    assert 1 <= ratios[0] < 1.05
    assert ratios[1] > 1.3 * ratios[0]
    assert ring_features(pictures[0], centre).shape == (1, RINGS * 5 + 3)
