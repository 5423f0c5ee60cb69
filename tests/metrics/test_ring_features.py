"""Ring features against sums pixel by pixel, and the classifier against Gaussian densities."""

import numpy as np
import pytest
from scipy import ndimage

from histosynth.core.nuclei import ANY_CLASS, Nuclei
from histosynth.metrics.ring_classifier import RingClassifier, ring_features
from histosynth.tissue.appearance import fit_stain_frame
from histosynth.tissue.density import optical_density

CLASSES = ("large", "small")


def picture(seed=0, width=60, height=44):
    """A tile with smooth structure in three channels."""
    random = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(random.standard_normal((height, width, 3)), (2, 2, 0))
    return (150 + 300 * noise).clip(20, 235).astype(np.uint8)


def nuclei(xy, class_ids=None, size=(60, 44)):
    ids = np.zeros(len(xy), np.uint8) if class_ids is None else np.array(class_ids, np.uint8)
    return Nuclei(np.array(xy, np.float32).reshape(-1, 2), ids, CLASSES, size, 0.5)


def mirrored(index, length):
    """Index of a pixel outside of a picture that is mirrored at its border pixels."""
    if index < 0:
        return -index
    if index >= length:
        return 2 * (length - 1) - index
    return index


def direct(pixels, x, y):
    """Features of one nucleus, pixel by pixel."""
    density = optical_density(fit_stain_frame(pixels).to_canonical(pixels)).astype(float)
    red = density[..., 0]
    gradient = ndimage.gaussian_gradient_magnitude(red, 1.0)
    layers = [density[..., 0], density[..., 1], density[..., 2], gradient, red**2]
    height, width = red.shape
    rings = [[[] for _ in layers] for _ in range(7)]
    weights = []
    offsets = []
    for row in range(-14, 15):
        for column in range(-14, 15):
            at = (mirrored(y + row, height), mirrored(x + column, width))
            ring = int(np.hypot(row, column) // 2)
            if ring < 7:
                for place, layer in enumerate(layers):
                    rings[ring][place].append(layer[at])
            weights.append((red[at] if ring < 5 else 0) + 1e-6)
            offsets.append((row, column))
    means = [np.mean(values) for ring in rings for values in ring]
    weights = np.array(weights)
    offsets = np.array(offsets, float)
    share = weights / weights.sum()
    apart = offsets - share @ offsets
    # reliability weights: unbiased by 1 - sum of squared shares
    moments = (apart * share[:, None]).T @ apart / (1 - (share**2).sum())
    short, long = np.sqrt(np.sort(np.linalg.eigvals(moments)))
    return [*means, long, short, long / short]


def test_features_are_means_over_rings_and_axes_of_the_nucleus():
    pixels = picture()
    # in the middle, in corners, and between pixels
    places = [(30, 20), (0, 0), (59, 43), (3.4, 40.6), (57.5, 1.5)]
    found = ring_features(pixels, nuclei(places))
    assert found.shape == (5, 38)
    for features, (x, y) in zip(found, places, strict=True):
        expected = direct(pixels, int(np.round(x)), int(np.round(y)))
        np.testing.assert_allclose(features, expected, rtol=1e-6)


def test_no_nuclei_have_no_features():
    assert ring_features(picture(), nuclei([])).shape == (0, 38)


def grid(seed):
    random = np.random.default_rng(seed)
    xy = [(x, y) for x in range(3, 60, 9) for y in range(3, 44, 9)]
    return picture(seed), nuclei(xy, random.integers(0, 2, len(xy)))


def test_the_classifier_takes_the_class_of_the_higher_gaussian_density():
    tiles = [grid(seed) for seed in range(4)]
    classifier = RingClassifier.fit(tiles)
    features = np.concatenate([ring_features(*tile) for tile in tiles])
    class_ids = np.concatenate([each.class_ids for _, each in tiles])
    np.testing.assert_allclose(classifier.mean, features.mean(0), rtol=1e-9)
    np.testing.assert_allclose(classifier.std, features.std(0) + 1e-6, rtol=1e-9)
    scaled = (features - classifier.mean) / classifier.std
    centres = np.array([scaled[class_ids == each].mean(0) for each in (0, 1)])
    apart = scaled - centres[class_ids]
    apart -= apart.mean(0)
    covariance = apart.T @ apart / (len(apart) - 1) + 0.05 * np.eye(38)
    pixels, places = grid(9)
    found = (ring_features(pixels, places) - classifier.mean) / classifier.std
    # squared Mahalanobis distance to each centre
    gaps = [
        np.einsum("nf,fg,ng->n", found - centre, np.linalg.inv(covariance), found - centre)
        for centre in centres
    ]
    scores = found @ classifier.weights + classifier.offsets
    np.testing.assert_allclose(scores[:, 1] - scores[:, 0], (gaps[0] - gaps[1]) / 2, rtol=1e-6)
    classified = classifier(pixels, places)
    assert np.array_equal(classified, np.argmin(gaps, axis=0))
    assert 0 < classified.mean() < 1
    assert classifier.weights.shape == (38, 2)
    assert classifier.offsets.shape == (2,)


def test_nuclei_without_a_class_are_left_out_of_the_fit():
    pixels, places = grid(0)
    with_any = np.where(np.arange(len(places)) % 3 == 0, ANY_CLASS, places.class_ids)
    kept = places.where(with_any != ANY_CLASS)
    fitted = RingClassifier.fit([(pixels, nuclei(places.xy, with_any)), grid(1)])
    expected = RingClassifier.fit([(pixels, kept), grid(1)])
    for name in ("mean", "std", "weights", "offsets"):
        assert getattr(fitted, name) == pytest.approx(getattr(expected, name))
