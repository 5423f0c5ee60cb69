"""From a recipe to a run folder: opens what the recipe names and starts the one loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderDC
from torch import nn

from ..core import recipe as recipes
from ..core.appearance import STYLE_NAMES, measure_appearance
from ..core.errors import ResumeMismatch
from ..core.store import digest, ensure_folder, sha256_of, write_json
from ..model.adapters import AdapterInfo, add_adapter, base_sha256, save_adapter
from ..model.autoencoder import build_autoencoder
from ..model.bundle import Bundle, BundleInfo, PaletteEntry, load_bundle
from ..model.denoiser import build_unet
from ..model.maps import style_length
from ..model.structure import StructureEncoder
from ..prepare.palette import choose_palette
from ..prepare.sources import Example, open_source, refuse_leaks
from .autoencoder import AutoencoderTask
from .diffusion import DiffusionTask, Paint
from .loop import Report, fit
from .plan import AutoencoderRecipe, DataPlan, DiffusionRecipe
from .state import TrainState
from .views import View, open_views

PALETTE = 8
"""Appearances that a bundle offers."""

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


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
    task = AutoencoderTask(
        model.to(device, DTYPES[recipe.loop.precision]).to(memory_format=torch.channels_last),
        [example.tile.pixels for example in train],
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
        weights = sha256_of(start / "diffusion_pytorch_model.safetensors")
    else:
        bundle = load_bundle(start)
        autoencoder, weights = (
            bundle.autoencoder,
            bundle.info.hashes["autoencoder/diffusion_pytorch_model.safetensors"],
        )
    autoencoder.to(device, DTYPES[recipe.loop.precision]).to(memory_format=torch.channels_last)
    views, probes = _views(recipe, run, examples, held_out, autoencoder, weights, watch)
    if recipe.task == "base":
        bundle = _fresh_bundle(recipe, autoencoder, views, examples)
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
    )
    return fit(task, recipe.loop, run, seed=recipe.seed, report=watch.step if watch else None)


def _views(
    recipe: DiffusionRecipe,
    run: Path,
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


def _fresh_bundle(
    recipe: DiffusionRecipe,
    autoencoder: AutoencoderDC,
    views: Sequence[Sequence[View]],
    examples: Sequence[Example],
) -> Bundle:
    """A bundle with a random base, standardised on the training views."""
    plan, data = recipe.base, recipe.data
    cells = torch.cat([view.latents.float().flatten(1) for each in views for view in each[:4]], dim=1)
    styles = torch.cat([view.styles for each in views for view in each])
    info = BundleInfo(
        name=recipe.name,
        mpp=data.mpp,
        kinds=data.kinds,
        labels=plan.labels,
        latent_mean=tuple(cells.mean(1).tolist()),
        latent_std=tuple(cells.std(1).tolist()),
        style_mean=tuple(styles.mean(0).tolist()),
        style_std=tuple(styles.std(0).clamp_min(1e-3).tolist()),
        palette=_palette(examples),
        data=tuple(f"{source.images}: {source.licence}" for source in data.train),
    )
    unet = build_unet(
        latent_channels=len(info.latent_mean),
        fine=plan.fine,
        style=style_length(len(STYLE_NAMES), len(plan.labels)),
        widths=plan.widths,
        layers=plan.layers,
        head=plan.head,
    )
    strides = [min(2 ** (level + 1), 2 ** (len(plan.widths) - 1)) for level in range(len(plan.widths))]
    structure = StructureEncoder(
        kinds=len(data.kinds),
        fine=plan.fine,
        widths=plan.structure_widths,
        outputs=plan.widths,
        strides=strides,
    )
    return Bundle(info, autoencoder, unet, structure)


def _palette(examples: Sequence[Example]) -> tuple[PaletteEntry, ...]:
    """Appearances of tiles whose nuclei are known: those are the tissue the bundle paints best."""
    marked = [example for example in examples if example.nuclei is not None] or list(examples)
    measured = [measure_appearance(example.tile.pixels) for example in marked]
    return tuple(
        PaletteEntry(
            f"stain-{place}",
            measured[index].frame.scale,
            tuple(measured[index].style.tolist()),
        )
        for place, index in enumerate(choose_palette(measured, PALETTE), start=1)
    )


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
            bundle.structure.save_pretrained(folder / "structure")

    return trained, save


def remember(recipe: AutoencoderRecipe | DiffusionRecipe, run: Path) -> None:
    """Save the recipe in the run folder; a folder begun with another one is refused.

    The number of steps and the intervals may change: that is how a run is prolonged.

    Raises:
        ResumeMismatch: naming what changed.
    """
    ensure_folder(run)
    saved, now = run / "recipe.json", recipes.as_dict(recipe)
    if saved.exists():
        before = json.loads(saved.read_text(encoding="utf-8"))
        free = {
            f"loop.{key}"
            for key in (
                "steps",
                "cooldown",
                "validate_every",
                "checkpoint_every",
                "log_every",
            )
        }
        changed = sorted(set(_differences(before, json.loads(json.dumps(now)))) - free)
        if changed:
            raise ResumeMismatch(run, changed)
    write_json(saved, now)


def _differences(before: object, now: object, at: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [found for key in keys for found in _differences(before.get(key), now.get(key), f"{at}{key}.")]
    return [] if before == now else [at.rstrip(".")]
