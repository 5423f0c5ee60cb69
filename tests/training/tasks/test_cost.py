"""What a run will cost, told before it: parameters are counted exactly, the rest in proportion."""

from dataclasses import replace
from pathlib import Path

import pytest

from histosynth.model.adapters import adapter_parameters, add_adapter
from histosynth.model.bundle import Bundle
from histosynth.model.families.opening import BaseLocation, embed, open_base
from histosynth.model.families.text_family import TextBase
from histosynth.model.structure import StructureEncoder
from histosynth.testing import tiny_bundle
from histosynth.testing_bases import tiny_base
from histosynth.training.recipes.adapter_options import AdapterPlan, FewStepsPlan
from histosynth.training.recipes.loop import LoopPlan
from histosynth.training.tasks.diffusion import cost
from histosynth.training.tasks.diffusion.cost import adapter_size, cost_of

LOOP = LoopPlan(100, 4, 1e-4, precision="fp32")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tiny_base(tmp_path_factory.mktemp("sd15"), "sd15", width=64)
    source = BaseLocation(str(folder), Path())
    opened = open_base(source)
    outputs, strides = opened.family.residual_shapes(opened.network)
    structure = StructureEncoder(
        classes=3,
        fine=0,
        widths=(8,) * 4,
        outputs=outputs,
        strides=strides,
    )
    base = TextBase(
        opened.family,
        opened.schedule,
        embed(source, opened.family, ("", "a", "b")),
        13,
    )
    info = replace(tiny_bundle().info, latent_mean=(0.0,) * 4)
    return Bundle(
        info,
        opened.autoencoder,
        opened.network,
        structure,
        base=base,
    )


@pytest.mark.parametrize("preset", ["cross-attention", "attention", "attention+conv"])
def test_an_adapter_has_as_many_parameters_as_with_peft(tmp_path, preset):
    folder = tiny_base(tmp_path, "sd15", width=64)
    network = open_base(BaseLocation(str(folder), Path())).network
    plan = AdapterPlan(rank=4, targets=(preset,))
    expected = adapter_size(network, plan)
    add_adapter(
        network,
        "global",
        rank=4,
        alpha=4,
        targets=plan.layers,
    )
    assert sum(each.numel() for each in adapter_parameters(network, "global")) == expected > 0


def test_cost_grows_with_the_work_and_shrinks_with_the_saving_options(bundle):
    plan = AdapterPlan(targets=("cross-attention",), structure=True)
    usual = cost_of(bundle, plan, LOOP, side=128, items=4)
    larger = cost_of(bundle, plan, LOOP, side=256, items=4)
    assert 3.5 < larger.gflop_per_item / usual.gflop_per_item < 6
    assert larger.memory_gb > usual.memory_gb
    for thrift in ({"accumulate": 4}, {"checkpointing": True}, {"precision": "bf16"}):
        assert (
            cost_of(
                bundle,
                plan,
                replace(LOOP, **thrift),
                side=128,
                items=4,
            ).memory_gb
            < usual.memory_gb
        )
    assert usual.hours == pytest.approx(usual.seconds_per_step * 100 / 3600)
    assert 0 < usual.saved < 1 and usual.parameters == sum(
        each.numel() for each in bundle.unet.parameters()
    )


def test_a_compact_bundle_has_a_cost_too():
    told = cost_of(
        tiny_bundle(),
        AdapterPlan(rank=4),
        LOOP,
        side=64,
        items=2,
    )
    assert told.gflop_per_item > 0 and told.trained > 0


def test_few_steps_cost_their_teachers_steps_and_their_own(bundle, monkeypatch):
    monkeypatch.setattr(cost, "measure_speed", lambda device, dtype: 1e9)
    plan = AdapterPlan(rank=4)
    few = replace(plan, start="x", few_steps=FewStepsPlan(2, 8))
    plain, learnt = (cost_of(bundle, each, LOOP, side=64, items=2) for each in (plan, few))
    assert learnt.trained == plain.trained
    assert learnt.memory_gb > 1.2 * plain.memory_gb  # two graphs are kept
    # 8 passes of the teacher and two steps of 2 passes, in place of 2
    assert learnt.seconds_per_step == pytest.approx(6 * plain.seconds_per_step)
