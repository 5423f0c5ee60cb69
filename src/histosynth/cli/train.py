"""`histosynth train`: a recipe in, a run folder out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Device, Json, Quiet
from .output import Output
from .recipe import recipe_facts, recipe_lines

if TYPE_CHECKING:
    from ..training.dry_run import DryRun

Recipe = Annotated[
    str | None,
    typer.Argument(
        help="Recipe (TOML file), or the name of one in the package.  [required]",
        show_default=False,
    ),
]
RecipeDtype = Annotated[
    str | None,
    typer.Option("--dtype", help="In place of the recipe's number type: bf16, fp32, fp16."),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Run folder; run again to continue.  [required]", show_default=False),
]
ListOption = Annotated[
    bool,
    typer.Option("--list", help="List the recipes in the package, train nothing."),
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
    recipe: Recipe = None,
    out: Out = None,
    list_recipes: ListOption = False,
    dry_run: DryRunOption = False,
    device: Device = None,
    dtype: RecipeDtype = None,
    threads: Threads = None,
    base: Base = None,
    root: Root = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train an autoencoder, a base or an adapter. Stopped runs continue when run again.

    Example: histosynth train sarcodiff --base SD21 --root tiles --out runs/sarcoma --dry-run
    """
    output = Output(as_json, quiet)
    if list_recipes:
        output.done(recipe_facts(), recipe_lines(), part="list")
        return
    if recipe is None:
        raise typer.BadParameter("it is missing", param_hint="'RECIPE'")
    if out is None:
        raise typer.BadParameter("it is missing", param_hint="'--out'")

    from ..pipeline.train_options import TrainOptions, choose_recipe

    options = TrainOptions(
        base=base,
        root=root,
        device=device,
        dtype=dtype,
        threads=threads,
    )
    chosen = choose_recipe(recipe, options)  # refused before torch is loaded

    from dataclasses import asdict

    from ..pipeline import train as training

    if dry_run:
        plan = training.plan_training(chosen, out, device=device)
        output.done(asdict(plan), _plan_lines(plan), part="plan")
        return
    if not training.is_first_process():
        output = Output(quiet=True)  # one of several processes reports
    with (
        output.progress("encoding tiles") as on_encoded,
        output.steps("training", chosen.recipe.loop.steps) as on_step,
    ):
        result = training.run_training(
            chosen,
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
