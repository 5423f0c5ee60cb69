"""`train`: a recipe file in, a run folder out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadRecipe
from ..core.tile import Pixels
from ..detectors.artefact import CARD
from ..model.bundle import Bundle
from ..model.device import pick_device
from ..sample.painter import Settings, decode_canonical, paint_latents
from ..sample.solver import item_generator, item_noise
from ..train import run as runs
from ..train.artefact_plan import ALL_RECIPES, AnyRecipe, ArtefactRecipe, artefact_recipe
from ..train.artefact_run import Labelled, open_artefact, train_artefact
from ..train.checks import Opened, check
from ..train.diffusion import Batch
from ..train.encoder_plan import EncoderRecipe
from ..train.plan import AutoencoderRecipe, DetectorRecipe
from ..train.resume import refuse_place

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


def read_train_recipe(path: Path) -> AnyRecipe:
    """Read a training recipe.

    Raises:
        BadRecipe: with all its problems.
    """
    values = recipes.read_toml(path)
    task = values.get("task")
    if not isinstance(task, str) or task not in ALL_RECIPES:
        raise BadRecipe(str(path), [f"task is {task!r}, not one of {', '.join(ALL_RECIPES)}"])
    return recipes.build(values, ALL_RECIPES[str(task)], name=str(path))


def dry_run(path: Path, run: Path | None = None) -> Dry:
    """Open and check everything a recipe names, and train nothing.

    Args:
        path: the recipe.
        run: folder that the run would have; refused as `train` refuses it, and not touched.
    """
    recipe = read_train_recipe(path)
    if run is not None:
        refuse_place(recipe, run)
    opened: Labelled | Opened = (
        open_artefact(recipe, path.parent)[1]
        if isinstance(recipe, ArtefactRecipe)
        else check(recipe, path.parent)
    )
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
    if isinstance(recipe, ArtefactRecipe):
        state = train_artefact(recipe, run, here=path.parent, report=on_step, device=where)
    elif isinstance(recipe, AutoencoderRecipe):
        state = runs.train_autoencoder(recipe, run, here=path.parent, watch=watch, device=where)
    elif isinstance(recipe, DetectorRecipe):
        state = runs.train_detector(recipe, run, here=path.parent, watch=watch, device=where)
    elif isinstance(recipe, EncoderRecipe):
        state = runs.train_encoder(recipe, run, here=path.parent, watch=watch, device=where)
    else:
        state = runs.train_diffusion(
            recipe, run, here=path.parent, paint=paint_batch, watch=watch, device=where
        )
    return {"task": recipe.task, "steps": state.step, "weights": str(run / "weights")}


def train_quality(
    folder: Path,
    run: Path,
    *,
    patient: str,
    mpp: float,
    start: str = "",
    steps: int = 2000,
    on_step: Callable[[int, Mapping[str, float]], None] | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Train an artefact classifier on a folder of sorted tiles with the usual recipe.

    Args:
        folder: holds `good` and folders of artefacts.
        run: as for `train`.
        patient: pattern on file stems whose first group is the patient.
        mpp: scale of the files, um/px, and of the classifier.
        start: folder of a published ResNet-18 to go on from; empty: from scratch.
        steps: how long.
        on_step: told of each step.
        device: where to compute; None: a GPU if there is one.

    Returns:
        The weights' folder, and `artefact.json` with the area under the ROC curve.
    """
    recipe = artefact_recipe(folder.resolve(), patient, mpp, start=start, steps=steps)
    state = train_artefact(recipe, run, here=Path(), report=on_step, device=str(pick_device(device)))
    card = json.loads((run / "weights" / CARD).read_text(encoding="utf-8"))
    return {"task": recipe.task, "steps": state.step, "weights": str(run / "weights"), "card": card}


def paint_batch(bundle: Bundle, batch: Batch) -> list[Pixels]:
    """Pictures of a training batch's conditions, for its validation sheet."""
    _, channels, height, width = batch.latents.shape
    generators = [item_generator(0, index) for index in range(len(batch.latents))]
    noise = item_noise((channels, height, width), generators)
    latents = paint_latents(bundle, batch.maps, batch.style, noise, Settings(steps=VALIDATION_STEPS))
    return list(decode_canonical(bundle, latents).round().byte().numpy())
