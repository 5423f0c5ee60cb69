"""Losses of tiles: the same twice, and lower on what a base was fitted to."""

import numpy as np
import pytest

from histosynth.metrics.membership import conclude_membership
from histosynth.testing import tiny_bundle
from histosynth.tissue.layout import draw_layout
from histosynth.training.membership import tile_losses


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


def pictures(count):
    random = np.random.default_rng(0)
    return [random.integers(100, 240, (136, 128, 3)).astype(np.uint8) for _ in range(count)]


def test_a_tile_s_loss_depends_on_nothing_but_the_tile(bundle):
    nuclei = draw_layout((128, 136), mpp=0.5, seed=0)
    tiles = [(each, nuclei) for each in pictures(3)]
    together = tile_losses(bundle, tiles)
    alone = tile_losses(bundle, tiles[2:])
    assert together.shape == (3, 5) and (together > 0).all()
    np.testing.assert_allclose(together[2], alone[0], rtol=1e-6)
    bare = tile_losses(bundle, [(tiles[0][0], None)])
    assert not np.allclose(bare, together[:1])


def test_nuclei_of_other_classes_are_no_nuclei_of_the_bundle(bundle):
    nuclei = draw_layout((128, 136), mpp=0.5, seed=0)
    other = type(nuclei)(
        nuclei.xy,
        nuclei.class_ids,
        ("a", "b", "c"),
        nuclei.size,
        nuclei.mpp,
    )
    with pytest.raises(ValueError, match="bundle has"):
        tile_losses(bundle, [(pictures(1)[0], other)])


def test_the_metric_separates_memorised_tiles_from_others():
    random = np.random.default_rng(0)
    patients = ([f"t{i}" for i in range(30)], [f"u{i}" for i in range(30)])
    unseen = random.normal(1.0, 0.1, (30, 5))
    known = conclude_membership(unseen - 0.3, unseen, patients=patients).findings[0].value
    strange = (
        conclude_membership(random.normal(1.0, 0.1, (30, 5)), unseen, patients=patients)
        .findings[0]
        .value
    )
    assert known.low > 0.8
    assert strange.low < 0.5 < strange.high
    few = conclude_membership(unseen[:1], unseen[:1], patients=(["a"], ["b"])).findings[0].value
    assert not few.is_defined and "2 patients" in few.reason
