"""`train`: a recipe file in, a run folder out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadRecipe
from ..core.tile import Pixels
from ..model.bundle import Bundle
from ..model.device import pick_device
from ..sample.painter import Settings, decode_canonical, paint_latents
from ..sample.solver import item_generator, item_noise
from ..train import run as runs
from ..train.diffusion import Batch
from ..train.plan import RECIPES, AutoencoderRecipe, DetectorRecipe, TrainRecipe

VALIDATION_STEPS = 16


@dataclass(frozen=True)
class Dry:
    """What a training run would do."""

    task: str
    tiles: int
    patients: int
    nuclei: int
    validation_tiles: int
    validation_patients: int
    steps: int
    batch: int


def read_train_recipe(path: Path) -> TrainRecipe:
    """Read a training recipe.

    Raises:
        BadRecipe: with all its problems.
    """
    values = recipes.read_toml(path)
    task = values.get("task")
    if not isinstance(task, str) or task not in RECIPES:
        raise BadRecipe(str(path), [f"task is {task!r}, not one of {', '.join(RECIPES)}"])
    return recipes.build(values, RECIPES[str(task)], name=str(path))


def dry_run(path: Path) -> Dry:
    """Open and check everything a recipe names, and train nothing."""
    recipe = read_train_recipe(path)
    opened = runs.check(recipe, path.parent)
    train, held_out = opened.train, opened.held_out
    return Dry(
        task=recipe.task,
        tiles=len(train),
        patients=len({example.tile.ref.patient for example in train}),
        nuclei=sum(len(example.nuclei) for example in train if example.nuclei is not None),
        validation_tiles=len(held_out),
        validation_patients=len({example.tile.ref.patient for example in held_out}),
        steps=recipe.loop.steps,
        batch=recipe.loop.batch,
    )


def train(
    path: Path,
    run: Path,
    *,
    on_step: Callable[[int, Mapping[str, float]], None] | None = None,
    on_encoded: Callable[[int, int], None] | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Train what a recipe says, going on if `run` was begun before."""
    recipe = read_train_recipe(path)
    watch, where = runs.Watch(on_step, on_encoded), str(pick_device(device))
    if isinstance(recipe, AutoencoderRecipe):
        state = runs.train_autoencoder(recipe, run, here=path.parent, watch=watch, device=where)
    elif isinstance(recipe, DetectorRecipe):
        state = runs.train_detector(recipe, run, here=path.parent, watch=watch, device=where)
    else:
        state = runs.train_diffusion(
            recipe, run, here=path.parent, paint=paint_batch, watch=watch, device=where
        )
    return {"task": recipe.task, "steps": state.step, "weights": str(run / "weights")}


def paint_batch(bundle: Bundle, batch: Batch) -> list[Pixels]:
    """Pictures of a training batch's conditions, for its validation sheet."""
    _, channels, height, width = batch.latents.shape
    generators = [item_generator(0, index) for index in range(len(batch.latents))]
    noise = item_noise((channels, height, width), generators)
    latents = paint_latents(bundle, batch.maps, batch.style, noise, Settings(steps=VALIDATION_STEPS))
    return list(decode_canonical(bundle, latents).round().byte().numpy())
