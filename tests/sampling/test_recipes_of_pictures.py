"""The recipe of a picture, whole: its keys and digests are a file format."""

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from histosynth.core.condition import Condition, Context
from histosynth.core.errors import HistosynthError, UnknownLabel
from histosynth.core.nuclei import Nuclei
from histosynth.core.version import __version__
from histosynth.model.adapters import add_adapter, set_active_adapter
from histosynth.sampling.batches import SampleItem
from histosynth.sampling.complete import complete
from histosynth.sampling.exemplar_start import exemplar_start
from histosynth.sampling.painter import SamplingSettings
from histosynth.sampling.provenance import appearance_facts, condition_key, describe, rounded
from histosynth.sampling.solvers import item_generator
from histosynth.sampling.synthesize import synthesize
from histosynth.testing import tiny_bundle
from histosynth.tissue.appearance import Appearance, StainFrame, measure_appearance
from histosynth.tissue.hue import HueCurve

SETTINGS = SamplingSettings(
    steps=2,
    guidance=1.5,
    solver="euler",
    shift=2.0,
    guidance_span=(0.25, 0.75),
)
ONE_STEP = SamplingSettings(steps=1)
STATED_SETTINGS = {
    "steps": 2,
    "guidance": 1.5,
    "guidance_span": [0.25, 0.75],
    "solver": "euler",
    "shift": 2.0,
    "grain": False,
}
HUE = HueCurve(0.71234567, np.arange(6, dtype=np.float32).reshape(2, 3) / 8, np.float32([1.5, 2]))
APPEARANCE = Appearance(
    StainFrame((1.0, 1.12345678, 0.5)),
    np.float32([0.25] * 12 + [1 / 3]),
)


@pytest.fixture(scope="module")
def bundle():
    return tiny_bundle()


def two_nuclei(size, mpp=0.5):
    xy = np.float32([[70.5, 9.0], [20.0, 30.25]])
    class_ids = np.array([2, 0], np.uint8)
    return Nuclei(xy, class_ids, ("epithelial", "lymphocyte", "stromal"), size, mpp)


def sorted_bytes():
    """Positions by x, y and class, then classes, of `two_nuclei`."""
    return np.float32([[20.0, 30.25], [70.5, 9.0]]).tobytes() + bytes([0, 2])


def info_sha256(bundle):
    text = json.dumps(asdict(bundle.info), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def bundle_facts(bundle, adapter=None):
    return {
        "name": "tiny",
        "sha256": info_sha256(bundle),
        "adapter": adapter,
        "dtype": "float32",
        "device": "cpu",
        "torch": torch.__version__,
    }


def first_8_bytes(*parts):
    return hashlib.sha256(b"".join(parts)).digest()[:8]


def holed(tile):
    mask = np.zeros(tile.shape[:2], bool)
    mask[40:80, 30:92] = True
    return Context(tile, mask)


def test_the_recipe_of_a_synthetic_tile(bundle):
    condition = Condition(two_nuclei((136, 128), mpp=0.52), (136, 128), "breast")
    pictures = synthesize(
        bundle,
        [condition],
        [APPEARANCE],
        seed=7,
        variants=2,
        settings=SETTINGS,
        batch=1,
    )
    _, (index, variant, picture) = pictures
    assert (index, variant) == (0, 1)
    assert picture.condition is condition
    found = picture.recipe
    key = first_8_bytes(b"(136, 128)", sorted_bytes())
    assert found == {
        "histosynth": __version__,
        "verb": "synthesize",
        "synthetic": True,
        "extent": "tile",
        "bundle": bundle_facts(bundle),
        "seed": 7,
        "place": [key.hex(), 1],
        "settings": STATED_SETTINGS,
        "size": [136, 128],
        "mpp": 0.52,
        "label": "breast",
        "nuclei": {
            "counts": {"epithelial": 1, "lymphocyte": 0, "stromal": 1},
            "sha256": hashlib.sha256(sorted_bytes()).hexdigest(),
        },
        "appearance": {
            "scale": [1.0, 1.123457, 0.5],
            "style": [0.25] * 12 + [0.333333],
            "hue": None,
            "noise": None,
            "extremes": None,
        },
        "context": None,
    }


def test_the_recipe_of_a_completed_tile(bundle, tile):
    context = holed(tile)
    condition = Condition(two_nuclei((128, 136)), (128, 136), None, context)
    ((index, picture),) = complete(
        bundle,
        [condition],
        seed=3,
        settings=SETTINGS,
        batch=1,
    )
    assert index == 0
    assert picture.condition is condition
    blank = tile.copy()
    blank[context.mask] = 0
    key = first_8_bytes(b"(128, 136)", sorted_bytes(), blank.tobytes(), context.mask.tobytes())
    appearance = measure_appearance(tile, context.mask)
    start = exemplar_start(condition, appearance.frame, 0)  # so few patches are all used
    found = picture.recipe
    assert found == {
        "histosynth": __version__,
        "verb": "complete",
        "synthetic": True,
        "extent": "hole",
        "bundle": bundle_facts(bundle),
        "seed": 3,
        "place": [key.hex()],
        "settings": STATED_SETTINGS | {"exemplar": True},
        "size": [128, 136],
        "mpp": 0.5,
        "label": None,
        "nuclei": {
            "counts": {"epithelial": 1, "lymphocyte": 0, "stromal": 1},
            "sha256": hashlib.sha256(sorted_bytes()).hexdigest(),
        },
        "appearance": {
            "scale": [round(value, 6) for value in appearance.frame.scale],
            "style": [round(float(value), 6) for value in appearance.style],
            "hue": None,
            "noise": None,  # too little of it is tissue
            "extremes": [round(float(value), 6) for value in appearance.extremes],
        },
        "context": {
            "image_sha256": hashlib.sha256(tile.tobytes()).hexdigest(),
            "hole_sha256": hashlib.sha256(context.mask.tobytes()).hexdigest(),
            "hole_px": 2480,
            "copied": round(float(start.ground[context.mask].mean()), 4),
        },
    }
    assert 0 < found["context"]["copied"] < 1


def test_a_completion_that_starts_from_noise_copies_nothing(bundle, tile):
    condition = Condition(None, (128, 136), None, holed(tile))
    settings = replace(SETTINGS, steps=1, exemplar=False)
    ((_, picture),) = complete(bundle, [condition], seed=3, settings=settings, batch=1)
    assert picture.recipe["settings"]["exemplar"] is False
    assert picture.recipe["context"]["copied"] == 0.0


def test_hue_is_stated_in_six_digits():
    facts = appearance_facts(replace(APPEARANCE, hue=HUE))
    assert facts["hue"] == {
        "top": 0.712346,
        "hue": [0.0, 0.125, 0.25, 0.375, 0.5, 0.625],
        "pixels": [1.5, 2.0],
    }
    assert rounded(np.float32([1 / 3, 2])) == [0.333333, 2.0]
    assert all(type(value) is float for value in rounded(np.float32([1 / 3, 2])))


def test_a_short_key_is_written_with_sixteen_digits(bundle):
    item = SampleItem(Condition(None, (128, 128)), APPEARANCE, item_generator(0))
    recipe = describe(bundle, item, verb="synthesize", place=(255, 3), seed=0, settings=SETTINGS)
    assert recipe["place"] == ["00000000000000ff", 3]


def test_the_recipe_names_the_type_of_the_networks_numbers(bundle):
    other = tiny_bundle().to(dtype=torch.bfloat16)
    item = SampleItem(Condition(None, (128, 128)), APPEARANCE, item_generator(0))
    recipe = describe(other, item, verb="synthesize", place=(1,), seed=0, settings=SETTINGS)
    assert recipe["bundle"]["dtype"] == "bfloat16"


def test_the_key_ignores_values_in_the_mask_and_follows_all_others(tile):
    context = holed(tile)

    def key(pixels, mask=context.mask, nuclei=None):
        return condition_key(Condition(nuclei, (128, 136), None, Context(pixels, mask)))

    plain = key(tile)
    inside, outside = tile.copy(), tile.copy()
    inside[50, 50] ^= 1
    outside[0, 0, 2] ^= 1
    other_mask = context.mask.copy()
    other_mask[40, 30] = False
    assert key(inside) == plain
    keys = {plain, key(outside), key(tile, other_mask), key(tile, nuclei=two_nuclei((128, 136)))}
    assert len(keys) == 4


def test_nuclei_that_share_places_are_sorted_by_class():
    xy = np.float32([[5, 9], [5, 9], [5, 8]])
    ids = np.array([2, 1, 2], np.uint8)
    names = ("epithelial", "lymphocyte", "stromal")
    keys = set()
    for order in ([0, 1, 2], [1, 2, 0], [2, 1, 0]):
        nuclei = Nuclei(xy[order], ids[order], names, (128, 128), 0.5)
        keys.add(condition_key(Condition(nuclei, (128, 128))))
    expected = first_8_bytes(
        b"(128, 128)", np.float32([[5, 8], [5, 9], [5, 9]]).tobytes(), bytes([2, 1, 2])
    )
    assert keys == {int.from_bytes(expected, "big")}


@pytest.mark.parametrize("name", ["global", "local"])
def test_each_verb_samples_with_its_own_adapter_and_states_it(tile, name):
    adapted = tiny_bundle()
    add_adapter(adapted.unet, name, rank=2, alpha=8.0, targets=["conv1"])
    with torch.no_grad():
        for key, parameter in adapted.unet.named_parameters():
            if "lora_B" in key:
                parameter.fill_(0.5)
    set_active_adapter(adapted.unet, None)
    masked = [Condition(None, (128, 136), None, holed(tile))]
    whole, completed = [], []
    for bundle in (tiny_bundle(), adapted):
        ((_, _, picture),) = synthesize(
            bundle,
            [Condition(None, (128, 128))],
            [APPEARANCE],
            seed=0,
            variants=1,
            settings=ONE_STEP,
            batch=1,
        )
        whole.append(picture)
        ((_, picture),) = complete(bundle, masked, seed=0, settings=ONE_STEP, batch=1)
        completed.append(picture)
    for verb, pictures in (("global", whole), ("local", completed)):
        names = [picture.recipe["bundle"]["adapter"] for picture in pictures]
        is_changed = (pictures[0].pixels != pictures[1].pixels).any()
        assert names == [None, name if verb == name else None]
        assert is_changed == (verb == name)


def test_the_seed_of_the_item_chooses_the_copied_patches(bundle, tile):
    """Of so many patches only a part is used."""
    pixels = np.concatenate([tile, tile[::-1, ::-1]], axis=1)[:130]
    noise = np.random.default_rng(0).integers(-40, 40, pixels.shape)
    pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    mask = np.zeros(pixels.shape[:2], bool)
    mask[30:46, 220:236] = True
    condition = Condition(
        two_nuclei((256, 130)),
        (256, 130),
        None,
        Context(pixels, mask),
    )
    ((_, picture),) = complete(
        bundle,
        [condition],
        seed=5,
        settings=ONE_STEP,
        batch=1,
    )
    generator = item_generator(5, condition_key(condition))
    frame = measure_appearance(pixels, mask).frame
    start = exemplar_start(condition, frame, generator.initial_seed())
    other = exemplar_start(condition, frame, 1)
    shares = [round(float(each.ground[mask].mean()), 4) for each in (start, other)]
    assert picture.recipe["context"]["copied"] == shares[0] != shares[1]


@pytest.mark.parametrize("wrong", ["size", "classes", "label"])
def test_nothing_is_sampled_where_the_last_condition_is_refused(bundle, tile, wrong):
    good = Condition(None, (128, 136), None, holed(tile))
    changes = {
        "size": Condition(None, (8, 8), None, Context(tile[36:44, 36:44], np.eye(8, dtype=bool))),
        "classes": Condition(
            Nuclei.none((128, 136), 0.5, ("tumour",)), (128, 136), None, holed(tile)
        ),
        "label": Condition(None, (128, 136), "liver", holed(tile)),
    }
    steps = []
    pictures = complete(
        bundle,
        [good, changes[wrong]],
        seed=0,
        settings=SETTINGS,
        batch=1,
        on_progress=lambda *step: steps.append(step),
    )
    with pytest.raises(HistosynthError):
        next(pictures)
    assert steps == []


def test_no_tile_is_sampled_where_the_last_label_is_unknown(bundle):
    steps = []
    pictures = synthesize(
        bundle,
        [Condition(None, (128, 128), label) for label in (None, "breast", "liver")],
        [APPEARANCE] * 3,
        seed=0,
        variants=1,
        settings=ONE_STEP,
        batch=1,
        on_progress=lambda *step: steps.append(step),
    )
    with pytest.raises(UnknownLabel):
        next(pictures)
    assert steps == []


def test_only_conditions_with_a_context_can_be_completed(bundle):
    pictures = complete(
        bundle,
        [Condition(None, (128, 128))],
        seed=0,
        settings=SETTINGS,
        batch=1,
    )
    with pytest.raises(ValueError) as error:
        next(pictures)
    assert str(error.value) == "complete() takes conditions with a context"


def test_completion_reports_each_step(bundle, tile):
    steps = []
    conditions = [Condition(None, (128, 136), label, holed(tile)) for label in (None, "breast")]
    pictures = complete(
        bundle,
        conditions,
        seed=0,
        settings=SETTINGS,
        batch=1,
        on_progress=lambda *step: steps.append(step),
    )
    assert [index for index, _ in pictures] == [0, 1]
    assert steps == [(0, 2), (1, 2), (2, 2)]
