"""`histosynth train`: a recipe in, a run folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Device, Json, Quiet
from .output import Output

if TYPE_CHECKING:
    from ..training.dry_run import DryRun

Recipe = Annotated[
    Path,
    typer.Argument(help="Training recipe (TOML), see recipes/."),
]
Out = Annotated[
    Path,
    typer.Option(help="Run folder; run again to continue."),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Check everything, train nothing."),
]
Threads = Annotated[
    int | None,
    typer.Option(help="CPU threads.", min=1, max=1024),
]
Base = Annotated[
    str | None,
    typer.Option(
        help="In place of the recipe's base: a diffusers folder, owner/name, or .safetensors."
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(help="In place of the recipe's folder of tiles."),
]


def train(
    recipe: Recipe,
    out: Out,
    dry_run: DryRunOption = False,
    device: Device = None,
    threads: Threads = None,
    base: Base = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train an autoencoder, a base or an adapter. Stopped runs continue when run again.

    Example: histosynth train presets/sarcodiff.toml --base SD21 --root tiles --out runs/sarcoma
        --dry-run
    """
    from dataclasses import asdict

    from ..pipeline import train as training
    from ..pipeline.train_options import TrainOptions, read_train_recipe

    output = Output(as_json, quiet)
    options = TrainOptions(
        base=base,
        root=root,
        device=device,
        threads=threads,
    )
    if dry_run:
        plan = training.dry_run(recipe, out, options)
        output.done(asdict(plan), _plan_lines(plan))
        return
    if not training.is_first_process():
        output = Output(quiet=True)  # one of several processes reports
    steps = read_train_recipe(recipe).loop.steps
    with (
        output.progress("encoding tiles") as on_encoded,
        output.steps("training", steps) as on_step,
    ):
        result = training.run_training(
            recipe,
            out,
            options,
            on_step=on_step,
            on_encoded=on_encoded,
        )
    lines = [f"{result['task']}: {result['steps']} steps, weights in {result['weights']}"]
    if "stopped" in result:
        lines.append(f"stopped {result['stopped']}")
    output.done(result, lines)


def _plan_lines(plan: DryRun) -> list[str]:
    """A dry run in words."""
    lines = [
        f"task: {plan.task}",
        f"tiles: {plan.tiles}",
        f"patients: {plan.patients}",
        f"nuclei: {plan.nuclei}",
        f"validation tiles: {plan.validation_tiles}",
        f"validation patients: {plan.validation_patients}",
        f"steps: {plan.steps}",
        f"batch: {plan.batch}",
    ]
    cost = plan.cost
    if cost:
        lines += [
            f"network: {cost.parameters / 1e6:.1f} M parameters, frozen",
            f"trained: {cost.trained / 1e6:.2f} M, {cost.saved:.1%} fewer than fine-tuning all",
            f"memory: about {cost.memory_gb:.1f} GB",
            f"time: at best {cost.seconds_per_step:.3g} s a step, {cost.hours:.3g} h in all",
        ]
    lines += [f"prompt: {prompt!r}" for prompt in plan.prompts]
    lines.append(f"writes: {', '.join(plan.writes)}")
    return lines
