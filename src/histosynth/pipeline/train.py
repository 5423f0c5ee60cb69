"""`train`: a recipe file in, a run folder out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadOption, BadRecipe
from ..core.tile import Pixels
from ..detectors.artefact import ARTEFACT_CARD
from ..model.bundle import Bundle
from ..model.device import pick_device
from ..sampling.painter import SamplingSettings, decode_canonical, paint_latents
from ..sampling.solvers import item_generator, item_noise
from ..training import run as runs
from ..training.checks import Opened, check
from ..training.cost import Cost, cost_of
from ..training.loop.processes import join_processes
from ..training.recipes import AutoencoderRecipe, DetectorRecipe, DiffusionRecipe
from ..training.resume import refuse_place
from ..training.tasks.artefact_recipe import ALL_RECIPES, AnyRecipe, ArtefactRecipe, artefact_recipe
from ..training.tasks.artefact_run import Labelled, open_artefact, train_artefact
from ..training.tasks.diffusion import Batch, items_of
from ..training.tasks.encoder_recipe import EncoderRecipe
from ..training.tasks.stable_recipe import StableRecipe
from .copy_guard import CopyWatch

VALIDATION_STEPS = 16
_ALWAYS = (
    "recipe.json",
    "inputs.json",
    "log.jsonl",
    "state.safetensors",
    "pictures/",
    "weights/",
    "best/",
    "best.json",
)
WRITES = {
    False: _ALWAYS,
    True: (*_ALWAYS, "datasheet.json", "datasheet.md", "../views/ (latents, shared)"),
}
"""In the run folder."""


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
    cost: Cost | None = None
    """Of an adapter."""
    prompts: tuple[str, ...] = ()
    """What a base that reads is told."""
    writes: tuple[str, ...] = ()


def read_train_recipe(path: Path) -> AnyRecipe:
    """Read a training recipe.

    Raises:
        BadRecipe: with all its problems.
    """
    values = recipes.read_toml(path)
    if isinstance(values.get("base"), str):
        return recipes.build(values, StableRecipe, name=str(path))
    task = values.get("task")
    if not isinstance(task, str) or task not in ALL_RECIPES:
        raise BadRecipe(str(path), [f"task is {task!r}, not one of {', '.join(ALL_RECIPES)}"])
    return recipes.build(values, ALL_RECIPES[str(task)], name=str(path))


def placed(recipe: AnyRecipe, base: str | None, root: Path | None) -> AnyRecipe:
    """A recipe with another base or folder of tiles, named from the current folder.

    Raises:
        BadOption: the recipe takes none.
    """
    if base is not None:
        if not isinstance(recipe, StableRecipe):
            raise BadOption("--base", base, "left out: this recipe has no base of another make")
        near = Path(base).expanduser()
        recipe = replace(recipe, base=str(near.resolve()) if near.exists() else base)
    if root is not None:
        recipe = replace(recipe, data=replace(recipe.data, root=root.expanduser().resolve()))  # type: ignore[arg-type]
    return recipe


def dry_run(
    path: Path,
    run: Path | None = None,
    *,
    device: str | None = None,
    base: str | None = None,
    root: Path | None = None,
) -> Dry:
    """Open and check everything a recipe names, and train nothing.

    Args:
        path: the recipe.
        run: folder that the run would have; refused as `train` refuses it, and not touched.
        device: whose speed is tried for the cost.
        base: see `train`.
        root: see `train`.
    """
    recipe = placed(read_train_recipe(path), base, root)
    here = path.parent
    if run is not None:
        refuse_place(recipe, run)
    opened: Labelled | Opened = (
        open_artefact(recipe, here)[1]
        if isinstance(recipe, ArtefactRecipe)
        else check(recipe, here)
    )
    train = opened.train
    held_out = opened.held_out
    return Dry(
        task=recipe.task,
        tiles=len(train),
        patients=len({example.tile.ref.patient for example in train}),
        nuclei=sum(len(example.nuclei) for example in train if example.nuclei is not None),
        validation_tiles=len(held_out),
        validation_patients=len({example.tile.ref.patient for example in held_out}),
        steps=recipe.loop.steps,
        batch=recipe.loop.batch,
        cost=_cost(recipe, opened, str(pick_device(device))),
        prompts=opened.bundle.info.prompts if isinstance(opened, Opened) and opened.bundle else (),
        writes=WRITES[isinstance(recipe, StableRecipe)],
    )


def _cost(recipe: AnyRecipe, opened: Labelled | Opened, device: str) -> Cost | None:
    """What an adapter costs; of other tasks nothing is told."""
    if not isinstance(recipe, DiffusionRecipe | StableRecipe) or not isinstance(opened, Opened):
        return None
    if opened.bundle is None:
        return None
    plan = recipe.conditions
    side = max(crop for crop, share in zip(plan.crops, plan.crop_shares, strict=True) if share)
    items = items_of(
        plan,
        recipe.loop,
        side,
        family=opened.bundle.family,
    )
    return cost_of(
        opened.bundle,
        recipe.adapter,
        recipe.loop,
        side=side,
        items=items,
        device=device,
    )


def train(
    path: Path,
    run: Path,
    *,
    on_step: Callable[[int, Mapping[str, float]], None] | None = None,
    on_encoded: Callable[[int, int], None] | None = None,
    device: str | None = None,
    base: str | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """Train what a recipe says, going on if `run` was begun before.

    Args:
        path: the recipe.
        run: folder of the run.
        on_step: told of each step and its numbers.
        on_encoded: told of tiles encoded.
        device: where to compute; None: a GPU if there is one.
        base: in place of the recipe's base; from the current folder.
        root: in place of `data.root`; from the current folder.
    """
    recipe = placed(read_train_recipe(path), base, root)
    here = path.parent
    join_processes(
        device or os.environ.get("HISTOSYNTH_DEVICE")
    )  # of several processes each has a device of its own
    watch = runs.TrainCallbacks(on_step, on_encoded)
    where = str(pick_device(device))
    if isinstance(recipe, ArtefactRecipe):
        state = train_artefact(
            recipe,
            run,
            here=here,
            report=on_step,
            device=where,
        )
    elif isinstance(recipe, AutoencoderRecipe):
        state = runs.train_autoencoder(
            recipe,
            run,
            here=here,
            watch=watch,
            device=where,
        )
    elif isinstance(recipe, DetectorRecipe):
        state = runs.train_detector(
            recipe,
            run,
            here=here,
            watch=watch,
            device=where,
        )
    elif isinstance(recipe, EncoderRecipe):
        state = runs.train_encoder(
            recipe,
            run,
            here=here,
            watch=watch,
            device=where,
        )
    else:
        guarding = guard_of(recipe) if isinstance(recipe, StableRecipe) else None
        state = runs.train_diffusion(
            recipe,
            run,
            here=here,
            paint=paint_batch,
            guarding=guarding,
            watch=watch,
            device=where,
        )
    result = {
        "task": recipe.task,
        "steps": state.step,
        "weights": str(run / "weights"),
    }
    return result | ({"stopped": state.stopped} if state.stopped else {})


def guard_of(recipe: StableRecipe) -> runs.Guarding | None:
    """Who ends a run that begins to copy; None where the recipe allows it all."""
    if recipe.stop_copying >= 1:
        return None
    return lambda train, held_out: CopyWatch(
        paint_batch,
        train,
        held_out,
        limit=recipe.stop_copying,
    )


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
    recipe = artefact_recipe(
        folder.resolve(),
        patient,
        mpp,
        start=start,
        steps=steps,
    )
    state = train_artefact(
        recipe,
        run,
        here=Path(),
        report=on_step,
        device=str(pick_device(device)),
    )
    card = json.loads((run / "weights" / ARTEFACT_CARD).read_text(encoding="utf-8"))
    return {
        "task": recipe.task,
        "steps": state.step,
        "weights": str(run / "weights"),
        "card": card,
    }


def paint_batch(bundle: Bundle, batch: Batch) -> list[Pixels]:
    """Pictures of a training batch's conditions, for its validation sheet."""
    _, channels, height, width = batch.latents.shape
    generators = [item_generator(0, index) for index in range(len(batch.latents))]
    noise = item_noise((channels, height, width), generators)
    latents = paint_latents(
        bundle,
        batch.maps,
        batch.style,
        noise,
        SamplingSettings(steps=VALIDATION_STEPS),
    )
    return list(decode_canonical(bundle, latents).round().byte().numpy())
