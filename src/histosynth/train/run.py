"""From a recipe to a run folder: opens what the recipe names and starts the one loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderDC
from torch import nn

from ..core import recipe as recipes
from ..core.errors import BadRecipe
from ..core.store import digest, ensure_folder
from ..model.adapters import AdapterInfo, add_adapter, base_sha256, save_adapter
from ..model.autoencoder import build_autoencoder
from ..model.bundle import Bundle, load_bundle, save_part
from ..model.device import DTYPES, convert
from ..prepare.sources import Example, open_source, refuse_leaks
from .autoencoder import AutoencoderTask
from .diffusion import DiffusionTask, Paint
from .fresh import fresh_bundle
from .loop import Report, fit
from .plan import AutoencoderRecipe, DataPlan, DiffusionRecipe
from .resume import remember
from .state import TrainState
from .views import View, open_views


@dataclass(frozen=True)
class Watch:
    """Who wants to know: of each step, and of each tile encoded."""

    step: Report | None = None
    encoded: Callable[[int, int], None] | None = None


def open_examples(data: DataPlan, here: Path) -> tuple[list[Example], list[Example]]:
    """Training and validation tiles, patient-disjoint or refused."""
    sides = []
    for sources in (data.train, data.validation):
        opened = [
            open_source(
                source,
                root=(here / data.root).resolve(),
                mpp=data.mpp,
                kinds=data.kinds,
            )
            for source in sources
        ]
        sides.append([example for source in opened for example in source])
    refuse_leaks(sides[0], sides[1])
    return sides[0], sides[1]


def train_autoencoder(
    recipe: AutoencoderRecipe,
    run: Path,
    *,
    here: Path,
    watch: Watch | None = None,
    device: str = "cpu",
) -> TrainState:
    """Train the compact autoencoder."""
    train, held_out = open_examples(recipe.data, here)
    remember(recipe, run)
    torch.manual_seed(recipe.seed)
    plan = recipe.model
    if recipe.start:
        model = AutoencoderDC.from_pretrained(here / recipe.start, use_safetensors=True).float()
    else:
        model = build_autoencoder(
            latent_channels=plan.latent_channels,
            widths=plan.widths,
            encoder_layers=plan.encoder_layers,
            decoder_layers=plan.decoder_layers,
        )
    if plan.decoder_only:
        model.encoder.requires_grad_(False)
    convert(model, device=device, dtype=DTYPES[recipe.loop.precision])
    task = AutoencoderTask(
        model,
        train,
        [example.tile.pixels for example in held_out],
        batch=recipe.loop.batch,
        data=recipe.data,
        plan=plan,
    )
    return fit(task, recipe.loop, run, seed=recipe.seed, report=watch.step if watch else None)


def train_diffusion(
    recipe: DiffusionRecipe,
    run: Path,
    *,
    here: Path,
    paint: Paint,
    watch: Watch | None = None,
    device: str = "cpu",
) -> TrainState:
    """Train a base, or one adapter on a bundle's base.

    Args:
        recipe: which of them, on what.
        run: folder for state, log, pictures, latent views and weights.
        here: folder that the recipe's paths start from.
        paint: makes the validation pictures.
        watch: told of progress.
        device: where to compute; views are encoded there too.
    """
    examples, held_out = open_examples(recipe.data, here)
    remember(recipe, run)
    torch.manual_seed(recipe.seed)
    start = here / recipe.start
    if recipe.task == "base":
        autoencoder = AutoencoderDC.from_pretrained(start, use_safetensors=True).float().eval()
    else:
        bundle = load_bundle(start)
        autoencoder = bundle.autoencoder
        if recipe.adapter.guided.kinds and not bundle.info.any_kind:
            problem = f"adapter.guided.kinds needs a base trained with drop_kinds, and {start} is none"
            raise BadRecipe(recipe.task, [problem])
    weights = base_sha256(autoencoder)  # the same for a run's weights and for a bundle's
    convert(autoencoder, device=device, dtype=DTYPES[recipe.loop.precision])
    views, probes = _views(
        recipe,
        run,
        examples=examples,
        held_out=held_out,
        autoencoder=autoencoder,
        weights=weights,
        watch=watch,
    )
    if recipe.task == "base":
        bundle = fresh_bundle(recipe, autoencoder, views, examples)
    bundle.to(dtype=DTYPES[recipe.loop.precision], device=device)
    trained, save = _trained(recipe, bundle)
    task = DiffusionTask(
        bundle,
        trained,
        views,
        probes,
        plan=recipe.conditions,
        loop=recipe.loop,
        paint=paint,
        save=save,
        guided=(recipe.task, guidance) if (guidance := recipe.adapter.guided) else None,
    )
    return fit(task, recipe.loop, run, seed=recipe.seed, report=watch.step if watch else None)


def _views(
    recipe: DiffusionRecipe,
    run: Path,
    *,
    examples: Sequence[Example],
    held_out: Sequence[Example],
    autoencoder: AutoencoderDC,
    weights: str,
    watch: Watch | None,
) -> tuple[list[list[View]], list[View]]:
    # runs on the same tiles and autoencoder share one cache, whatever their recipe's other keys
    key = digest([recipes.as_dict(recipe.data), weights, 1])[:16]
    cache = ensure_folder(run.parent / "views")
    tick = watch.encoded if watch else None
    jitter = recipe.data.stain_jitter
    views = open_views(
        cache / f"{key}-train.safetensors",
        examples, autoencoder, views=recipe.data.views, stain_jitter=jitter, seed=1, tick=tick,
    )  # fmt: skip
    probes = open_views(
        cache / f"{key}-validation.safetensors",
        held_out, autoencoder, views=1, stain_jitter=0.0, seed=1, tick=tick,
    )  # fmt: skip
    return views, [view for (view,) in probes]


def _trained(recipe: DiffusionRecipe, bundle: Bundle) -> tuple[dict[str, nn.Module], Callable[[Path], None]]:
    """Which modules learn, and how their weights are written."""
    for part in (bundle.autoencoder, bundle.unet, bundle.structure):
        part.requires_grad_(False)
    if recipe.task == "base":
        bundle.unet.requires_grad_(True)
        bundle.structure.requires_grad_(recipe.base.sees_structure)
        return {
            "unet": bundle.unet,
            "structure": bundle.structure,
        }, lambda folder: bundle.save(folder)
    plan = recipe.adapter
    sha256 = base_sha256(bundle.unet)
    add_adapter(bundle.unet, recipe.task, rank=plan.rank, alpha=plan.alpha, targets=plan.targets)
    info = AdapterInfo(
        name=recipe.task,
        rank=plan.rank,
        alpha=plan.alpha,
        targets=plan.targets,
        base_sha256=sha256,
        kinds=bundle.info.kinds,
        mpp=bundle.info.mpp,
        data=bundle.info.data,
    )
    trained: dict[str, nn.Module] = {"unet": bundle.unet}
    if plan.structure:
        bundle.structure.requires_grad_(True)
        trained["structure"] = bundle.structure

    def save(folder: Path) -> None:
        save_adapter(bundle.unet, info, folder)
        if plan.structure:
            save_part(bundle.structure, folder / "structure")

    return trained, save
