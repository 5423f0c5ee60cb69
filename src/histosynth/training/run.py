"""From a recipe to a run folder: takes what was opened and checked, and starts the one loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ..core.store import digest, ensure_folder
from ..core.tile import Pixels
from ..detectors.network import CentroidNet
from ..encoders.network import HistoNet
from ..model.adapters import AdapterInfo, add_adapter, base_sha256
from ..model.autoencoder import Autoencoder, build_autoencoder
from ..model.bundle import Bundle
from ..model.device import DTYPES, convert
from ..model.fused_lora import fuse_lora_layers
from ..model.parts import part_weights, save_part
from .balance.rare_labels import write_data_sheet
from .checks import Opened, check
from .data.sources import Example
from .data.views import VIEW_SEED, LatentView, open_views, tiles_sha256
from .loop.fit import StepCallback, fit, module_weights
from .loop.processes import join_processes
from .loop.state import TrainState
from .new_bundle import fresh_bundle
from .recipes import AutoencoderRecipe, DetectorRecipe, DiffusionRecipe
from .resume import remember, remember_inputs
from .tasks.autoencoder import AutoencoderTask
from .tasks.detector import DetectorTask
from .tasks.diffusion import Batch, DiffusionTask, Paint
from .tasks.encoder import EncoderTask
from .tasks.encoder_recipe import EncoderRecipe
from .tasks.stable_recipe import StableRecipe


@dataclass(frozen=True)
class TrainCallbacks:
    """Who wants to know: of each step, and of each tile encoded."""

    step: StepCallback | None = None
    encoded: Callable[[int, int], None] | None = None


class Guard(Protocol):
    """Paints validation pictures, and ends the run with a sentence where they are not to be
    trusted.
    """

    def paint(self, bundle: Bundle, batch: Batch) -> list[Pixels]:
        """See `diffusion.Paint`."""

    def __call__(self, step: int, numbers: Mapping[str, float]) -> str | None:
        """See `loop.StopRule`."""


Guarding = Callable[[Sequence[Example], Sequence[Example]], Guard]
"""Of training and validation tiles."""


def train_autoencoder(
    recipe: AutoencoderRecipe,
    run: Path,
    *,
    here: Path,
    watch: TrainCallbacks | None = None,
    device: str = "cpu",
) -> TrainState:
    """Train the compact autoencoder."""
    opened = check(recipe, here)
    remember(recipe, run)
    torch.manual_seed(recipe.seed)
    plan = recipe.model
    model = opened.autoencoder or build_autoencoder(
        latent_channels=plan.latent_channels,
        widths=plan.widths,
        encoder_layers=plan.encoder_layers,
        decoder_layers=plan.decoder_layers,
    )
    model.requires_grad_(True)
    if plan.decoder_only:
        model.encoder.requires_grad_(False)
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    convert(model, device=device, dtype=DTYPES[recipe.loop.precision])
    task = AutoencoderTask(
        model,
        opened.train,
        [example.tile.pixels for example in opened.held_out],
        batch=recipe.loop.batch,
        data=recipe.data,
        plan=plan,
        kept=kept,
    )
    return fit(
        task,
        recipe.loop,
        run,
        seed=recipe.seed,
        on_step=watch.step if watch else None,
    )


def train_detector(
    recipe: DetectorRecipe,
    run: Path,
    *,
    here: Path,
    watch: TrainCallbacks | None = None,
    device: str = "cpu",
) -> TrainState:
    """Train a centroid detector."""
    opened = check(recipe, here)
    remember(recipe, run)
    torch.manual_seed(recipe.seed)
    plan = recipe.model
    loop = recipe.loop
    data = recipe.data
    network = CentroidNet(len(data.classes), widths=plan.widths, blocks=plan.blocks)
    convert(network, device=device, dtype=DTYPES[loop.precision])
    task = DetectorTask(
        network,
        opened.train,
        opened.held_out,
        batch=loop.batch,
        data=data,
        plan=plan,
        name=recipe.name,
    )
    return fit(
        task,
        loop,
        run,
        seed=recipe.seed,
        on_step=watch.step if watch else None,
    )


def train_encoder(
    recipe: EncoderRecipe,
    run: Path,
    *,
    here: Path,
    watch: TrainCallbacks | None = None,
    device: str = "cpu",
) -> TrainState:
    """Train a histology encoder."""
    opened = check(recipe, here)
    remember(recipe, run)
    torch.manual_seed(recipe.seed)
    plan = recipe.model
    loop = recipe.loop
    network = HistoNet(plan.widths, plan.blocks)
    convert(network, device=device, dtype=DTYPES[loop.precision])
    task = EncoderTask(
        network,
        opened.train,
        opened.held_out,
        batch=loop.batch,
        data=recipe.data,
        plan=plan,
        name=recipe.name,
    )
    return fit(
        task,
        loop,
        run,
        seed=recipe.seed,
        on_step=watch.step if watch else None,
    )


def train_diffusion(
    recipe: DiffusionRecipe | StableRecipe,
    run: Path,
    *,
    here: Path,
    paint: Paint,
    guarding: Guarding | None = None,
    watch: TrainCallbacks | None = None,
    device: str = "cpu",
) -> TrainState:
    """Train a base, or one adapter on a bundle's base.

    Args:
        recipe: which of them, on what.
        run: folder for state, log, pictures, latent views and weights.
        here: folder that the recipe's paths start from.
        paint: makes the validation pictures.
        guarding: makes who paints in its place, and may end the run.
        watch: told of progress.
        device: where to compute; views are encoded there too.
    """
    opened = check(recipe, here)
    remember(recipe, run)
    remember_inputs(run, _inputs(opened))
    if isinstance(recipe, StableRecipe):
        write_data_sheet(recipe, here, run, opened)
    torch.manual_seed(recipe.seed)
    autoencoder = opened.autoencoder
    if autoencoder is None:
        raise ValueError("a diffusion recipe starts from an autoencoder or a base")
    # what is written stays as it was before anything is rounded to bfloat16
    kept = _kept(recipe, opened)
    encoder_sha256 = base_sha256(autoencoder)
    convert(autoencoder, device=device, dtype=DTYPES[recipe.loop.precision])
    # encoded once, by the first of several processes
    made = join_processes(device).on_first_process(
        lambda: _views(
            recipe,
            run,
            opened,
            weights=encoder_sha256,
            watch=watch,
        )
    )
    views, probes = made or _views(
        recipe,
        run,
        opened,
        weights=encoder_sha256,
        watch=watch,
    )
    if opened.bundle is None and isinstance(recipe, DiffusionRecipe):
        bundle = fresh_bundle(recipe, autoencoder, views, opened.train)
        kept |= {name: part_weights(getattr(bundle, name)) for name in ("unet", "structure")}
    elif opened.bundle is not None:
        bundle = opened.bundle
    else:
        raise ValueError("this recipe starts from a base")
    guard = guarding(opened.train, opened.held_out) if guarding else None
    bundle.to(dtype=DTYPES[recipe.loop.precision], device=device)
    bundle.order_for_training()
    trained, save = _trained(recipe, bundle, kept)
    task = DiffusionTask(
        bundle,
        trained,
        views,
        probes,
        plan=recipe.conditions,
        loop=recipe.loop,
        paint=guard.paint if guard else paint,
        save=save,
        guided=(recipe.task, guidance) if (guidance := recipe.adapter.guided) else None,
    )
    report = watch.step if watch else None
    return fit(
        task,
        recipe.loop,
        run,
        seed=recipe.seed,
        on_step=report,
        stop_rule=guard,
    )


def _inputs(opened: Opened) -> dict[str, str]:
    """Digests of base, words and tiles."""
    inputs = {"train": tiles_sha256(opened.train), "validation": tiles_sha256(opened.held_out)}
    bundle = opened.bundle
    if bundle is not None:
        inputs["base"] = bundle.base_sha256
    return inputs


def _kept(recipe: DiffusionRecipe | StableRecipe, opened: Opened) -> dict[str, dict[str, Tensor]]:
    """Weights as they were loaded, of all parts that will be written."""
    bundle = opened.bundle
    if bundle is None:
        return {"autoencoder": part_weights(opened.autoencoder)}
    return {name: part_weights(getattr(bundle, name)) for name in bundle.family.held_parts}


def _views(
    recipe: DiffusionRecipe | StableRecipe,
    run: Path,
    opened: Opened,
    *,
    weights: str,
    watch: TrainCallbacks | None,
) -> tuple[list[list[LatentView]], list[LatentView]]:
    # runs on the same tiles and autoencoder share one cache, whatever their recipe's other keys
    cache = ensure_folder(run.parent / "views")
    count = recipe.data.views
    jitter = recipe.data.stain_jitter
    precision = recipe.loop.precision
    sides = []
    for examples, views, stain_jitter in ((opened.train, count, jitter), (opened.held_out, 1, 0.0)):
        facts = [tiles_sha256(examples), weights, views, stain_jitter, VIEW_SEED, precision]
        key = digest([*facts, *(["whole"] if recipe.data.whole else [])])[:16]
        sides.append(
            open_views(
                cache / f"{key}.safetensors",
                examples,
                cast(Autoencoder, opened.autoencoder),
                views=views,
                stain_jitter=stain_jitter,
                seed=VIEW_SEED,
                whole=recipe.data.whole,
                on_progress=watch.encoded if watch else None,
            )
        )
    return sides[0], [view for (view,) in sides[1]]


def _trained(
    recipe: DiffusionRecipe | StableRecipe, bundle: Bundle, kept: Mapping[str, Mapping[str, Tensor]]
) -> tuple[dict[str, nn.Module], Callable[[Path, Mapping[str, Tensor]], None]]:
    """Which modules learn, and how their averages are written."""
    for part in (bundle.autoencoder, bundle.unet, bundle.structure):
        part.requires_grad_(False)
    if isinstance(recipe, DiffusionRecipe) and recipe.task == "base":
        bundle.unet.requires_grad_(True)
        bundle.structure.requires_grad_(recipe.base.sees_structure)

        def save_base(folder: Path, averaged: Mapping[str, Tensor]) -> None:
            weights = {
                name: {**own, **module_weights(averaged, name)} for name, own in kept.items()
            }
            bundle.save(folder, weights=weights)

        return {"unet": bundle.unet, "structure": bundle.structure}, save_base
    plan = recipe.adapter
    add_adapter(
        bundle.unet,
        recipe.task,
        rank=plan.rank,
        alpha=plan.alpha,
        targets=plan.layers,
        dropout=plan.dropout,
    )
    if bundle.family.fuses_lora:
        fuse_lora_layers(bundle.unet)
    info = AdapterInfo(
        name=recipe.task,
        rank=plan.rank,
        alpha=plan.alpha,
        targets=plan.layers,
        base_sha256=bundle.base_sha256,
        classes=bundle.info.classes,
        mpp=bundle.info.mpp,
        guidance=(plan.guided.nuclei, plan.guided.classes) if plan.guided else None,
        licence=bundle.info.licence,
        data=bundle.info.data,
    )
    trained: dict[str, nn.Module] = {"unet": bundle.unet}
    if plan.structure:
        bundle.structure.requires_grad_(True)
        trained["structure"] = bundle.structure

    def save_adapted(folder: Path, averaged: Mapping[str, Tensor]) -> None:
        if not bundle.family.holds_base:  # the result is a new bundle, which names its base
            bundle.save(folder, weights=kept)
            folder = folder / "adapters" / recipe.task
        bundle.save_adapter(info, folder, weights=module_weights(averaged, "unet"))
        if plan.structure:
            weights = {**kept["structure"], **module_weights(averaged, "structure")}
            save_part(bundle.structure, folder / "structure", weights=weights)

    return trained, save_adapted
