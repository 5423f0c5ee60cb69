"""Adapters that learn guidance, and nuclei whose kind is not told."""

import numpy as np
import pytest
import torch
from small import write_recipe

import histosynth as hs
from histosynth.core.errors import BadRecipe, UnknownClasses
from histosynth.core.geometry import Size
from histosynth.core.nuclei import Nuclei
from histosynth.model.adapters import ADAPTER_FILE, adapter_parameters, add_adapter, read_adapter
from histosynth.model.conditioning import structure_maps
from histosynth.pipeline.train import train
from histosynth.testing import tiny_bundle
from histosynth.tissue.layout import draw_layout
from histosynth.training.recipes.adapter_options import GuidedPlan
from histosynth.training.tasks.diffusion.guidance_distillation import (
    guidance_change,
    guided_answer,
    strength_map,
)

TIMES = torch.tensor([0.1, 0.5, 0.5])


@pytest.fixture(scope="module")
def asked():
    """A bundle whose base has an adapter that changes much, and three items; the last has no
    nuclei told."""
    bundle = tiny_bundle()
    add_adapter(
        bundle.unet,
        "global",
        rank=2,
        alpha=2.0,
        targets=["to_q", "conv1"],
    )
    for parameter in adapter_parameters(bundle.unet, "global"):
        torch.nn.init.normal_(parameter)
    for parameter in bundle.structure.parameters():  # what leaves a fresh encoder is zero
        torch.nn.init.normal_(
            parameter,
            std=0.1,
            generator=torch.Generator().manual_seed(0),
        )
    nuclei = [
        draw_layout((128, 128), mpp=0.5, seed=0),
        draw_layout((128, 128), mpp=0.5, seed=1),
        None,
    ]
    maps = structure_maps(
        nuclei,
        [None] * 3,
        [None] * 3,
        classes=3,
        size=Size(128, 128),
    )
    noisy = torch.randn(
        3,
        4,
        16,
        16,
        generator=torch.Generator().manual_seed(1),
    )
    return (
        bundle,
        maps,
        noisy,
        torch.zeros(3, bundle.unet.config.projection_class_embeddings_input_dim),
    )


def answer(asked, plan):
    bundle, maps, noisy, style = asked
    return guided_answer(
        bundle,
        "global",
        maps,
        noisy=noisy,
        times=TIMES,
        style=style,
        plan=plan,
    )


def plain(asked, maps):
    bundle, _, noisy, style = asked
    bundle.unet.disable_adapters()
    with torch.no_grad():
        said = bundle.denoiser.predict(
            noisy,
            TIMES,
            bundle.structure(maps),
            style,
        )
    bundle.unet.enable_adapters()
    return said


def test_the_target_is_the_output_moved_away_from_the_output_under_fewer_conditions(asked):
    maps = asked[1]
    told, undefined, without_class = (
        plain(asked, m) for m in (maps, maps.without_nuclei(), maps.without_classes())
    )
    said = answer(
        asked,
        GuidedPlan(
            nuclei=0.5,
            classes=2.0,
            span=(0.2, 1.0),
        ),
    )
    pushed = told + 0.5 * (told - undefined) + 2.0 * (told - without_class)
    assert (pushed[1] - told[1]).abs().max() > 1e-3
    torch.testing.assert_close(
        said[1],
        pushed[1],
        rtol=1e-4,
        atol=1e-4,
    )
    torch.testing.assert_close(
        said[0],
        told[0],
        rtol=1e-4,
        atol=1e-4,
    )  # its time is outside the span
    torch.testing.assert_close(
        said[2],
        told[2],
        rtol=1e-4,
        atol=1e-4,
    )  # it has no nuclei told


@pytest.mark.parametrize("span", [(0.2, 1.0), (0.9, 1.0)])
def test_the_change_is_what_guidance_adds(asked, span):
    bundle, maps, noisy, style = asked
    plan = GuidedPlan(classes=2.0, span=span)
    change = guidance_change(
        bundle,
        "global",
        maps,
        noisy=noisy,
        times=TIMES,
        style=style,
        plan=plan,
    )
    torch.testing.assert_close(
        change,
        answer(asked, plan) - plain(asked, maps),
        rtol=1e-4,
        atol=1e-4,
    )
    assert change.abs().max() > 0 or span[0] == 0.9


def test_the_adapter_is_active_again_and_still_learns(asked):
    bundle, maps, noisy, style = asked
    answer(asked, GuidedPlan(nuclei=1.0))
    with torch.no_grad():
        worn = bundle.denoiser.predict(
            noisy,
            TIMES,
            bundle.structure(maps),
            style,
        )
    assert (worn - plain(asked, maps)).abs().max() > 1e-2
    assert all(parameter.requires_grad for parameter in adapter_parameters(bundle.unet, "global"))


def guided_recipe(recipe, *, drop=True):
    text = recipe.read_text().replace(
        'targets = ["conv1", "to_q"]', 'targets = ["conv1", "to_q"]\n{}'
    )
    recipe.write_text(text.format("[adapter.guided]\nnuclei = 1.0\nkinds = 1.0\n"))
    if not drop:
        recipe.write_text(recipe.read_text().replace("kinds = 1.0\n", ""))
    return recipe


def test_an_adapter_cannot_learn_classes_from_a_base_that_always_had_them(tmp_path, tissue, base):
    recipe = guided_recipe(write_recipe(tmp_path, tissue, "global", start=base))
    with pytest.raises(BadRecipe, match="drop_classes"):
        train(recipe, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "weights").exists()


def test_an_adapter_that_learns_guidance_trains_and_a_base_cannot(tmp_path, tissue, base):
    recipe = guided_recipe(write_recipe(tmp_path, tissue, "local", start=base), drop=False)
    by_class = "[adapter.guided]\nnuclei_of = { stromal = -0.5 }\n"
    recipe.write_text(recipe.read_text().replace("[adapter.guided]\n", by_class))
    assert train(recipe, tmp_path / "run", device="cpu")["steps"] == 4
    info, _ = read_adapter(tmp_path / "run" / "weights" / ADAPTER_FILE)
    assert (info.guidance, info.guidance_of) == ((1.0, 0.0), (1.0, 1.0, 0.5))
    recipe.write_text(recipe.read_text().replace("{ stromal", "{ stroma"))
    with pytest.raises(BadRecipe, match="nuclei_of names stroma, not in"):
        train(recipe, tmp_path / "third", device="cpu")
    recipe = guided_recipe(write_recipe(tmp_path, tissue, "base", start=base), drop=False)
    with pytest.raises(BadRecipe, match="adapters"):
        train(recipe, tmp_path / "other", device="cpu")


def test_a_base_trained_with_dropped_classes_takes_nuclei_of_any_class_and_others_refuse_them(
    tmp_path,
    tissue,
    autoencoder,
    base,
    monkeypatch,
):
    nuclei = draw_layout((128, 128), mpp=0.5, seed=0)
    undefined = nuclei.without_class(np.ones(len(nuclei), bool))
    with pytest.raises(UnknownClasses, match="any"):
        hs.synthesize(undefined, bundle=hs.open_bundle(base, device="cpu", dtype="fp32"))
    dropped = []
    without_class = Nuclei.without_class

    def watched(nuclei, which):
        dropped.append(which)
        return without_class(nuclei, which)

    monkeypatch.setattr(Nuclei, "without_class", watched)
    recipe = write_recipe(tmp_path, tissue, "base", start=autoencoder)
    recipe.write_text(
        recipe.read_text().replace("[conditions]", "[conditions]\ndrop_classes = 0.5")
    )
    train(recipe, tmp_path / "run", device="cpu")
    assert 0 < len(dropped) < 30 and any(which.all() for which in dropped)
    bundle = hs.open_bundle(tmp_path / "run" / "weights", device="cpu", dtype="fp32")
    told, other = (
        hs.synthesize(each, bundle=bundle, steps=2)[0].pixels for each in (nuclei, undefined)
    )
    assert bundle.info.any_class and (told != other).any()


def maps_of(xy, class_ids):
    nuclei = Nuclei(
        np.array(xy, np.float32),
        np.array(class_ids),
        ("epithelial", "lymphocyte", "stromal"),
        Size(128, 128),
        0.5,
    )
    return structure_maps([nuclei], [None], [None], classes=3, size=Size(128, 128))


def test_strength_is_that_of_the_class_at_its_nuclei_and_the_common_one_elsewhere():
    maps = maps_of([[20, 20], [100, 20], [60, 100], [76, 100]], [0, 1, 0, 1])
    (found,) = strength_map(maps, (0.8, -0.2, 5.0), elsewhere=0.3)
    assert found.shape == (1, 16, 16)
    assert float(found[0, 2, 2]) == pytest.approx(0.8, abs=1e-3)
    assert float(found[0, 2, 12]) == pytest.approx(-0.2, abs=1e-3)
    assert float(found[0, 7, 3]) == pytest.approx(0.3)
    assert float(found[0, 12, 8]) == pytest.approx(0.3, abs=0.02)  # in the middle of both
    assert float(found.min()) >= -0.2001 and float(found.max()) <= 0.8001


def test_guidance_around_nuclei_of_a_class(asked):
    maps = asked[1]
    told, undefined = (plain(asked, m) for m in (maps, maps.without_nuclei()))
    plan = GuidedPlan(nuclei=0.5, nuclei_of={"lymphocyte": -1.0, "stromal": 2.0})
    assert plan.strengths_of(("epithelial", "lymphocyte", "stromal")) == (0.5, -0.5, 2.5)
    strength = strength_map(maps, (0.5, -0.5, 2.5), elsewhere=0.5)
    assert float(strength[:2].max()) > 2 and float(strength[:2].min()) < -0.2
    said = answer(asked, plan)
    pushed = told + strength * (told - undefined)
    torch.testing.assert_close(said[:2], pushed[:2], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(said[2], told[2], rtol=1e-4, atol=1e-4)
    alike = answer(asked, GuidedPlan(nuclei=0.5, nuclei_of={"stromal": 0.0}))
    torch.testing.assert_close(alike, answer(asked, GuidedPlan(nuclei=0.5)))


def test_strengths_by_class_make_a_plan_and_are_limited():
    assert GuidedPlan(nuclei_of={"stromal": -0.1})
    assert not GuidedPlan(nuclei_of={"stromal": 0.0})
    with pytest.raises(ValueError, match=r"nuclei_of.stromal must lie in \[-1, 10\], not -2"):
        GuidedPlan(nuclei_of={"stromal": -2.0})
