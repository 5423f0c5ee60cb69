"""What each door of `histosynth prepare` does once its arguments are parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .output import Output

Place = tuple[str, int | None, str | None]
"""Engine, workers, address."""


def run(recipe: Path, out: Path, *, dry: bool, place: Place, output: Output) -> None:
    """`histosynth prepare run`."""
    from ..engine import open_engine
    from ..pipeline import preparing

    plan, here = preparing.read_prepare_recipe(recipe), recipe.parent
    if dry:
        facts = preparing.dry_run(plan, here)
        output.done(facts, [f"{key.replace('_', ' ')}: {value}" for key, value in facts.items()])
        return
    engine = open_engine(place[0], workers=place[1], address=place[2])
    with output.bars("looking at slides", "making tiles") as (surveyed, tiled):
        result = preparing.prepare(
            plan, out, here=here, engine=engine, watch=preparing.Watch(surveyed, tiled)
        )
    summary = result.summary
    output.done(summary | {"out": str(out), "made_files": result.made}, _in_words(result.made, summary, out))
    refused = [each for each in summary["slides"] if "refused" in each]
    for each in refused:
        output.note(f"histosynth: {each['slide']}: {each['refused']}")
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
            f"Look at   {out / 'look' / 'contact.png'}, and {out / 'look' / slides[0]['slide']}.png",
            f"Tile set  {out}   sha256 {summary['sha256'][:16]}",
        ]
    return lines
