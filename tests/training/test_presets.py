"""The presets: what they promise, and that each dry-runs on a base and tiles that lie here."""

import tomllib
from dataclasses import asdict

import numpy as np
import pytest

from histosynth.core.geometry import Box
from histosynth.core.images import encode_png
from histosynth.core.nuclei import Nuclei
from histosynth.core.shipped_recipes import shipped_recipes
from histosynth.core.tile import TileRef
from histosynth.core.tileset import Row, write_rows
from histosynth.pipeline.train import dry_run
from histosynth.pipeline.train_options import TrainOptions, read_train_recipe
from histosynth.testing_bases import tiny_base

CLASSES = ("epithelial", "lymphocyte", "stromal")
SIDE = 1024


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """A tile set of six patients: four to train on, two for validation."""
    folder = tmp_path_factory.mktemp("tiles")
    random = np.random.default_rng(0)
    rows = []
    for index in range(6):
        picture = np.broadcast_to(
            random.integers(120, 230, (32, 32, 3), np.uint8).repeat(32, 0).repeat(32, 1),
            (SIDE, SIDE, 3),
        )
        names = [CLASSES[i % 3] for i in range(40)]
        nuclei = Nuclei.of(
            random.uniform(20, 1000, (40, 2)),
            names,
            size=(SIDE, SIDE),
            mpp=0.5,
            classes=CLASSES,
        )
        ref = TileRef(
            f"S{index}",
            f"P{index}",
            Box(0, 0, SIDE, SIDE),
            0.5,
        )
        split = "train" if index < 4 else "validation"
        rows.append(
            Row(
                ref,
                "Leiomyosarcoma",
                split,
                encode_png(np.ascontiguousarray(picture)),
                nuclei,
            )
        )
    write_rows(folder / "set.parquet", rows, {})
    return folder


@pytest.mark.parametrize(
    ("preset", "which"),
    [
        ("sarcodiff", "sd21"),
        ("dual-global", "sd15"),
        ("dual-local", "sd15-inpainting"),
        ("pixart-global", "pixart"),
    ],
)
def test_each_preset_dry_runs_offline_and_reports_its_cost(
    tiles,
    tmp_path,
    preset,
    which,
):
    base = tiny_base(tmp_path / "base", which, width=None if which == "pixart" else 64)
    before = sorted(tmp_path.rglob("*"))
    plan = dry_run(
        preset,
        tmp_path / "run",
        TrainOptions(base=str(base), root=tiles),
    )
    assert (plan.tiles, plan.patients, plan.validation_patients) == (4, 4, 2)
    cost = asdict(plan.cost)
    assert 0 < cost["trained"] < cost["parameters"] and cost["memory_gb"] > 0 and cost["hours"] > 0
    assert plan.prompts[0] == "" and "state.safetensors" in plan.writes
    assert sorted(tmp_path.rglob("*")) == before


def needs_base(path):
    return isinstance(tomllib.loads(path.read_text()).get("base"), str)


def test_every_preset_is_tried():
    tried = {
        args[0]
        for mark in test_each_preset_dry_runs_offline_and_reports_its_cost.pytestmark
        for args in mark.args[1]
    }
    assert tried == {name for name, each in shipped_recipes().items() if needs_base(each.path)}


def test_sarcodiff_has_the_settings_of_the_paper():
    recipe = read_train_recipe("sarcodiff")
    loop = recipe.loop
    adapter = recipe.adapter
    assert (loop.steps, loop.batch, loop.learning_rate, loop.warmup) == (50_000, 16, 3e-5, 500)
    assert (loop.cooldown, loop.min_learning_rate_share, loop.precision, loop.checkpointing) == (
        1.0,
        0.0,
        "fp16",
        True,
    )
    assert adapter.rank == 16 and all(name.startswith("attn2.") for name in adapter.layers)
    assert recipe.conditions.nucleus_weights["mitotic figure"] == 2.3
    assert len(recipe.labels) == 20
    values = tomllib.loads(shipped_recipes()["sarcodiff"].path.read_text())
    assert values["prompts"]["template"] == "H&E, {subtype}, {site}"
