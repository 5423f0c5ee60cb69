"""What each door does once its arguments are parsed: one call, then the result in words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.geometry import parse_size
from .output import Output

if TYPE_CHECKING:
    from ..core.outcome import Outcome


def demo(
    out: Path,
    *,
    seed: int,
    bundle: Path | None,
    output: Output,
) -> None:
    """`histosynth demo`."""
    from ..model.opening import open_bundle
    from ..pipeline.demo import run_demo

    with output.progress("painting") as on_progress:
        result = run_demo(open_bundle(bundle), out, seed=seed, on_progress=on_progress)
    output.done(
        result,
        [
            f"Made {result['pictures']} pictures in {result['seconds']:.0f} s.",
            f"Look at        {result['contact']}",
            f"All of it in   {result['report']}   (opens offline)",
            "Try next       histosynth synthesize --nuclei "
            f"{result['nuclei']} --appearance YOUR_TILE.png -n 4 --out tiles",
            "               histosynth complete --image YOUR_TILE.png --mask YOUR_MASK.png "
            "--out mended.png",
            "Synthetic tissue, for research use; not for diagnosis.",
        ],
    )


def synthesize(
    nuclei: Path,
    out: Path,
    size: str,
    appearance: str | None,
    variants: int,
    *,
    options: dict[str, Any],
    bundle: Path | None,
    output: Output,
) -> None:
    """`histosynth synthesize`."""
    box = parse_size(size)
    from ..pipeline.synthesize_files import synthesize_files
    from ..sampling.options import SamplingOptions

    with output.progress("painting") as on_progress:
        outcome = synthesize_files(
            nuclei,
            out,
            size=box,
            appearance=appearance,
            variants=variants,
            options=SamplingOptions(**options),
            bundle=bundle,
            on_progress=on_progress,
        )
    _report(outcome, output)


def complete(
    image: Path,
    mask: Path,
    out: Path,
    nuclei: Path | None,
    *,
    options: dict[str, Any],
    bundle: Path | None,
    output: Output,
) -> None:
    """`histosynth complete`."""
    from ..pipeline.complete_files import complete_files
    from ..sampling.options import SamplingOptions

    with output.progress("completing") as on_progress:
        outcome = complete_files(
            image,
            mask,
            out,
            nuclei=nuclei,
            options=SamplingOptions(**options),
            bundle=bundle,
            on_progress=on_progress,
        )
    _report(outcome, output)


def _report(outcome: Outcome, output: Output) -> None:
    """Say what was written and refused; some refused is exit code 1."""
    output.done(outcome.as_dict(), [str(path) for path in outcome.written])
    if outcome.refused:
        output.refused(outcome.refused.values())
        raise SystemExit(1)


def train(
    recipe: Path,
    out: Path,
    *,
    dry: bool,
    place: dict[str, Any],
    threads: int | None,
    output: Output,
) -> None:
    """`histosynth train`."""
    from ..pipeline import train as training

    if dry:
        from dataclasses import asdict

        plan = asdict(training.dry_run(recipe, out, **place))
        output.done(plan, _planned(plan))
        return
    if int(os.environ.get("RANK", "0") or 0):
        output = Output(quiet=True)  # one of several processes speaks
    if threads:
        import torch

        torch.set_num_threads(threads)
    total = training.read_train_recipe(recipe).loop.steps
    with output.progress("encoding tiles") as encoded, output.live("training", total) as stepped:
        result = training.train(
            recipe,
            out,
            on_step=stepped,
            on_encoded=encoded,
            **place,
        )
    lines = [f"{result['task']}: {result['steps']} steps, weights in {result['weights']}"]
    output.done(result, lines + ([f"stopped {result['stopped']}"] if "stopped" in result else []))


def _planned(plan: dict[str, Any]) -> list[str]:
    """A dry run in words."""
    shown = {key: value for key, value in plan.items() if key not in ("cost", "prompts", "writes")}
    lines = [f"{key.replace('_', ' ')}: {value}" for key, value in shown.items()]
    if cost := plan["cost"]:
        lines += [
            f"network: {cost['parameters'] / 1e6:.1f} M parameters, frozen",
            f"trained: {cost['trained'] / 1e6:.2f} M, {cost['saved']:.1%} fewer than "
            "fine-tuning all",
            f"memory: about {cost['memory_gb']:.1f} GB",
            f"time: at best {cost['seconds_per_step']:.3g} s a step, {cost['hours']:.3g} h in all",
        ]
    lines += [f"prompt: {prompt!r}" for prompt in plan["prompts"]]
    return [*lines, f"writes: {', '.join(plan['writes'])}"]


def doctor(bundle: Path | None, *, output: Output) -> None:
    """`histosynth doctor`."""
    from ..pipeline.doctor import examine

    facts = examine(bundle)
    output.done(
        facts,
        [
            f"{key:24} {', '.join(value) if isinstance(value, list) else value}"
            for key, value in facts.items()
            if not isinstance(value, dict)
        ],
    )
