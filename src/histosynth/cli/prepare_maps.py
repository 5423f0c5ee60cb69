"""`histosynth prepare regions` and `orientation`: maps of pictures, for `synthesize`."""

from __future__ import annotations

from .options import ImageMpp, Images, Json, Out, Quiet
from .output import Output


def regions(
    images: Images,
    out: Out,
    mpp: ImageMpp,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find places without tissue in pictures (lumina, glass, fat): masks for synthesize --regions.

    Example: histosynth prepare regions tiles --mpp 0.5 --out regions
    """
    from ..pipeline.prepare_steps import find_empty_files

    output = Output(as_json, quiet)
    with output.progress("finding regions") as on_progress:
        outcome, shares = find_empty_files(
            images,
            out,
            mpp=mpp,
            on_progress=on_progress,
        )
    lines = [f"{name}: {share:.1%} without tissue" for name, share in shares.items()]
    lines.append(f"Preview: {out / 'look' / 'contact.png'}")
    output.report(outcome, {"empty_shares": shares}, lines)


def orientation(
    images: Images,
    out: Out,
    mpp: ImageMpp,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how fibres run in pictures: lines for synthesize --orientation.

    Example: histosynth prepare orientation tiles --mpp 0.5 --out orientation
    """
    from ..pipeline.prepare_steps import find_orientation_files

    output = Output(as_json, quiet)
    with output.progress("measuring orientation") as on_progress:
        outcome, strengths = find_orientation_files(
            images,
            out,
            mpp=mpp,
            on_progress=on_progress,
        )
    lines = [f"{name}: median strength {strength:.2f}" for name, strength in strengths.items()]
    lines.append(f"Preview: {out / 'look' / 'contact.png'}")
    output.report(outcome, {"strengths": strengths}, lines)
