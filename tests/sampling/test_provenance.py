"""The digests in recipes: each follows what it stands for, and nothing else."""

import hashlib

import numpy as np
import pytest

import histosynth as hs
from histosynth.core.condition import Condition
from histosynth.core.errors import BadOption
from histosynth.core.geometry import Size
from histosynth.core.nuclei import Nuclei
from histosynth.sampling.provenance import condition_key


@pytest.fixture(scope="module")
def bundle(bundle_folder):
    return hs.open_bundle(bundle_folder, device="cpu", dtype="fp32")


def test_the_digest_of_nuclei_follows_places_and_kinds_and_not_their_order(bundle):
    nuclei = hs.draw_layout((128, 128), mpp=0.5, seed=0)

    def told(xy, kind):
        made = hs.synthesize(
            Nuclei(xy, kind, nuclei.classes, nuclei.size, nuclei.mpp),
            bundle=bundle,
            steps=1,
        )
        return made[0].recipe["nuclei"]["sha256"]

    plain = told(nuclei.xy, nuclei.class_ids)
    assert told(nuclei.xy[::-1], nuclei.class_ids[::-1]) == plain
    moved = nuclei.xy.copy()
    other = nuclei.class_ids.copy()
    moved[0, 0] += 0.25 if moved[0, 0] < 100 else -0.25
    other[0] = (other[0] + 1) % 3
    assert len({plain, told(moved, nuclei.class_ids), told(nuclei.xy, other)}) == 3


def test_the_digests_of_image_and_hole_are_those_of_their_values(bundle, tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:80, 40:80] = True
    context = hs.complete(tile, mask, bundle=bundle, steps=1).recipe["context"]
    assert context["image_sha256"] == hashlib.sha256(tile.tobytes()).hexdigest()
    assert context["hole_sha256"] == hashlib.sha256(mask.tobytes()).hexdigest()


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 + 3])
def test_seeds_that_would_mean_another_are_refused(bundle, seed):
    with pytest.raises(BadOption, match="seed"):
        hs.synthesize(
            hs.draw_layout((128, 128), mpp=0.5, seed=0),
            seed=seed,
            bundle=bundle,
        )


def test_the_key_of_a_condition_is_fixed_and_a_size_counts_as_two_plain_numbers():
    digest = hashlib.sha256(b"(128, 136)").digest()
    expected = int.from_bytes(digest[:8], "big")
    assert condition_key(Condition(None, (128, 136))) == expected
    assert condition_key(Condition(None, Size(128, 136))) == expected
    nuclei = Nuclei.of(
        np.array([[5.0, 6.0]], np.float32),
        ["stromal"],
        size=(128, 136),
        mpp=0.5,
        classes=("epithelial", "lymphocyte", "stromal"),
    )
    assert condition_key(Condition(nuclei, (128, 136))) == 0xD2DA36D23D6457B3
