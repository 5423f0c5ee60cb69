"""What each door of `histosynth prepare` does once its arguments are parsed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .output import Output

if TYPE_CHECKING:
    from ..core.outcome import Outcome
    from ..prepare.recipe import PrepareRecipe

Place = tuple[str, int | None, str | None]
"""Engine, workers, address."""


def run(
    recipe: Path,
    out: Path,
    *,
    mpp: float | None,
    dry: bool,
    place: Place,
    output: Output,
) -> None:
    """`histosynth prepare run`."""
    from ..prepare import run as preparing
    from ..prepare.recipe import read_prepare_recipe

    plan = read_prepare_recipe(recipe)
    here = recipe.parent
    if mpp is not None:
        plan = replace(plan, mpp=mpp)
    if dry:
        facts = preparing.dry_run(plan, here)
        output.done(facts, [f"{key.replace('_', ' ')}: {value}" for key, value in facts.items()])
        return
    _prepare(
        plan,
        out,
        here=here,
        place=place,
        output=output,
    )


def tiles(
    slides: list[str],
    out: Path,
    *,
    grid: dict[str, Any],
    mpp: float | None,
    place: Place,
    output: Output,
) -> None:
    """`histosynth prepare tiles`: a recipe with every gate off."""
    from ..core.recipe import build
    from ..prepare.quality import pass_all_limits
    from ..prepare.recipe import PrepareRecipe

    values: dict[str, Any] = {
        "slides": [str(Path(each).absolute()) for each in slides],
        "tiles": grid,
        "quality": pass_all_limits(),
        "stain": {"method": "none"},
        "nuclei": {"source": "none"},
    }
    plan = build(
        values | ({} if mpp is None else {"mpp": mpp}),
        PrepareRecipe,
        name="the options",
    )
    _prepare(
        plan,
        out,
        here=Path(),
        place=place,
        output=output,
    )


def _prepare(
    plan: PrepareRecipe,
    out: Path,
    *,
    here: Path,
    place: Place,
    output: Output,
) -> None:
    from ..engine import open_engine
    from ..prepare import run as preparing

    engine = open_engine(place[0], workers=place[1], address=place[2])
    with output.bars("looking at slides", "making tiles") as (surveyed, tiled):
        result = preparing.prepare(
            plan,
            out,
            base_folder=here,
            engine=engine,
            progress=preparing.PrepareProgress(surveyed, tiled),
        )
    summary = result.summary
    output.done(
        summary | {"out": str(out), "made_files": result.made}, _in_words(result.made, summary, out)
    )
    refused = [
        f"{each['slide']}: {each['refused']}" for each in summary["slides"] if "refused" in each
    ]
    output.refused(refused)
    if refused:
        raise SystemExit(1)


def _in_words(made: int, summary: dict[str, Any], out: Path) -> list[str]:
    slides = [each for each in summary["slides"] if "refused" not in each]
    begin = "" if made else "Nothing to do, all of it is there: "
    lines = [
        f"{begin}{summary['kept']:,} of {summary['tiles']:,} tiles kept, "
        f"{len(slides)} of {len(summary['slides'])} slides.",
        *(f"  refused, {gate}: {count:,}" for gate, count in summary["refused"].items()),
    ]
    if slides:
        lines += [
            f"Look at   {out / 'look' / 'contact.png'}, and "
            f"{out / 'look' / slides[0]['slide']}.png",
            f"Tile set  {out}   sha256 {summary['sha256'][:16]}",
        ]
    return lines


def stain(
    images: Path,
    out: Path,
    *,
    method: str,
    target: Path | None,
    output: Output,
) -> None:
    """`histosynth prepare stain`."""
    from ..prepare.files import stain_files

    with output.progress("staining") as on_progress:
        outcome = stain_files(
            images,
            out,
            method=method,
            target=target,
            on_progress=on_progress,
        )
    _report(
        outcome,
        {},
        [
            f"{len(outcome.written)} pictures of one stain in {out}; look at "
            f"{out / 'look' / 'contact.png'}"
        ],
        output,
    )


def check(
    images: Path,
    out: Path,
    *,
    mpp: float,
    output: Output,
) -> None:
    """`histosynth prepare quality check`."""
    from ..prepare.files import check_files

    with output.progress("judging") as on_progress:
        outcome, failed = check_files(images, out, mpp=mpp, on_progress=on_progress)
    lines = [f"{name}: {count}" for name, count in sorted(failed.items())]
    _report(
        outcome,
        {"gates": failed},
        [*lines, f"Look at {out / 'look' / 'contact.png'} and {out / 'quality.csv'}"],
        output,
    )


def train_quality(
    folder: Path,
    out: Path,
    *,
    patient: str,
    mpp: float,
    ask: tuple[str, int, str | None],
    output: Output,
) -> None:
    """`histosynth prepare quality train`."""
    from ..pipeline.train_quality import train_quality as train_classifier

    start, steps, device = ask
    with output.progress("training") as on_progress:
        result = train_classifier(
            folder,
            out,
            patient=patient,
            mpp=mpp,
            start=start,
            steps=steps,
            on_step=lambda step, numbers: on_progress(step, steps),
            device=device,
        )
    auc = result["card"]["auc"]
    output.done(
        result,
        [
            f"ROC AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}), "
            f"{auc['n']} held-out patients",
            f'Use it:  quality_model = "{result["weights"]}"  in a recipe of prepare run',
        ],
    )


def nuclei(
    images: Path,
    out: Path,
    *,
    mpp: float,
    detector: str,
    form: str,
    output: Output,
) -> None:
    """`histosynth prepare nuclei`."""
    from ..core.errors import BadOption
    from ..prepare.files import find_nuclei_files

    if form not in ("csv", "geojson"):
        raise BadOption("--format", form, "csv or geojson")
    with output.progress("finding nuclei") as on_progress:
        outcome, counts = find_nuclei_files(
            images,
            out,
            mpp=mpp,
            detector=detector,
            form=form,  # type: ignore[arg-type]
            on_progress=on_progress,
        )
    lines = [f"{name}: {count:,}" for name, count in counts.items()]
    _report(
        outcome,
        {"nuclei": counts},
        [*lines, f"Look at {out / 'look' / 'contact.png'}"],
        output,
    )


def split(
    table: Path,
    out: Path,
    *,
    shares: tuple[float, float, float],
    ask: tuple[int, str],
    output: Output,
) -> None:
    """`histosynth prepare split`."""
    from ..core.errors import BadOption
    from ..prepare.files import split_table
    from ..prepare.recipe import SplitPlan

    try:
        plan = SplitPlan(*shares)
    except ValueError as error:
        raise BadOption("--train, --validation, --test", shares, "shares that sum to 1") from error
    result = split_table(
        table,
        out,
        shares=plan,
        seed=ask[0],
        pattern=ask[1],
    )
    names = list(plan.as_dict())
    lines = [f"{'label':24}" + "".join(f"{name:>12}" for name in names)]
    for label, counts in result["by_label"].items():
        lines.append(f"{label:24}" + "".join(f"{counts[name]:>12}" for name in names))
    output.done(
        result, [*lines, f"{result['patients']} patients, {result['slides']} slides: {out}"]
    )


def agreement(
    first: Path,
    second: Path,
    out: Path,
    *,
    mpp: float,
    ask: dict[str, Any],
    output: Output,
) -> None:
    """`histosynth prepare agreement`."""
    from ..pipeline.agreement import compare_annotators

    with output.progress("drawing") as on_progress:
        found = compare_annotators(
            first,
            second,
            out,
            mpp=mpp,
            on_progress=on_progress,
            **ask,
        )
    lines: list[str] = []

    def say(name: str, each: Any) -> None:
        value = f"{each.value:.3f} ({each.low:.3f} to {each.high:.3f})"
        lines.append(f"{name:44} {each.reason or value}   {each.interval}, n {each.n:,}")

    if found.nuclei:
        say("nuclei, kappa of classes of matched pairs", found.nuclei.kappa)
        say("nuclei, kappa with not marked as a class", found.nuclei.kappa_marked)
        say("nuclei, F1 of detection", found.nuclei.f1)
    if found.regions:
        say("regions, kappa inside either's regions", found.regions.inside)
        say("regions, kappa over the whole picture", found.regions.whole)
        for name, dice in found.regions.dice.items():
            say(f"regions, Dice of {name}", dice)
    output.done(
        found.as_dict() | {"out": str(out)},
        [*lines, f"Look at {out}, one picture a file; numbers in agreement.json"],
    )


def fetch(
    project: str,
    out: Path,
    *,
    limit: int | None,
    ask: tuple[bool, Path | None, str],
    output: Output,
) -> None:
    """`histosynth prepare fetch`."""
    from ..prepare.fetch.project import fetch_project

    list_only, extra, endpoint = ask
    with output.progress("fetching (bytes)") as on_progress:
        outcome, facts = fetch_project(
            project,
            out,
            limit=limit,
            list_only=list_only,
            extra=extra,
            endpoint=endpoint,
            on_progress=on_progress,
        )
    size = facts["bytes"] / 1e9
    lines = [
        f"{facts['slides']} slides of {facts['patients']} patients, {size:.1f} GB: "
        f"{facts['fetched']} fetched, "
        f"{facts['already']} already there.",
        *(f"  {label or 'no label'}: {count}" for label, count in facts["labels"].items()),
        f"Labels    {facts['table']}   (table = of a recipe)",
    ]
    _report(outcome, facts, lines, output)


def _report(
    outcome: Outcome,
    facts: dict[str, Any],
    lines: list[str],
    output: Output,
) -> None:
    """What was written, and what was refused; some refused is exit code 1."""
    output.done(outcome.as_dict() | facts, lines if outcome.written else ["Nothing was written."])
    if outcome.refused:
        output.refused(outcome.refused.values())
        raise SystemExit(1)
