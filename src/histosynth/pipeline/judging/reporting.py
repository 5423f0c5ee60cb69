"""What goes into the report besides what the judges say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...core.errors import HistosynError
from ...core.store import digest
from ...core.version import __version__
from ...evaluate.finding import Section
from ...evaluate.measures import recoded
from ...evaluate.report import Material, Report
from .collections import Collection
from .items import content, read_items, spread_over
from .question import Opened, Question

MEMBERS = 128
"""Tiles of each side whose loss is asked for."""


def make_report(
    opened: Opened,
    question: Question,
    sections: Sequence[Section],
    refused: dict[str, str],
    *,
    seconds: float,
) -> Report:
    """Everything in words, with the warnings that come before any number."""
    warnings = []
    for side in (opened.real, opened.made):
        tiles = len({(item.path, item.tile_id) for item in side.items})
        if len(side.patients) == tiles > 1 and not question.ask.table:
            warnings.append(
                f"Each tile of {side.path.name} counts as a patient of its own. If patients have "
                "several tiles, give --patient or --table: the intervals are too narrow now."
            )
    if opened.reference is None:
        warnings.append(
            "Without --reference (the training set) no copies are looked for, and floors are "
            "taken between "
            "halves of the real patients."
        )
    codecs = {codec for side in (opened.real, opened.made) for codec in side.codecs}
    if len(codecs) > 1:
        warnings.append(
            f"The files are of different formats ({', '.join(sorted(codecs))}): a codec can "
            "be told "
            "from features, and moves every distance."
        )
    return Report(
        title=f"{opened.made.path.name} beside {opened.real.path.name}",
        synthetic=_material(opened.made),
        real=_material(opened.real),
        reference=None if opened.reference is None else _material(opened.reference),
        encoder=_encoder_facts(opened),
        sections=tuple(sections),
        warnings=tuple(warnings),
        refused=refused,
        created={
            "histosynth": __version__,
            "judges": list(opened.what),
            "seed": question.seed,
            "detectors": list(opened.plan.detectors),
            "kinds": list(opened.plan.kinds),
            "seconds": round(seconds, 1),
        },
    )


def _encoder_facts(opened: Opened) -> dict[str, str]:
    if not {"realism", "copying"} & set(opened.what):
        return {}
    return dict(opened.plan.open_encoder().about)


def _material(side: Collection) -> Material:
    scales = {item.mpp for item in side.items}
    mpp = scales.pop() if len(scales) == 1 else None
    size = side.size if len(side.sizes) == 1 else None
    codecs = ", ".join(f"{codec} ({count})" for codec, count in sorted(side.codecs.items()))
    files = sorted({item.path for item in side.items})
    sha256 = digest([[path.name, content(path)] for path in files])
    return Material(
        side.path.name,
        len(side.items),
        len(side.patients),
        size,
        mpp,
        codecs,
        sha256,
    )


def membership(
    question: Question, opened: Opened, tick: Callable[[int, int], None] | None = None
) -> Section:
    """The bundle's loss on training crops and on unseen ones: `train` measures, a judge is handed
    numbers.
    """
    from ...evaluate.membership import judge_membership
    from ...train.membership import tile_losses
    from .. import open_bundle

    bundle = open_bundle(question.bundle)
    kinds = bundle.info.kinds
    losses = []
    patients = []
    both = [each for each in (opened.reference, opened.real) if each is not None]
    sides = [spread_over(each.items, MEMBERS) for each in both]
    total = sum(map(len, sides))
    for place, some in enumerate(sides):
        before = len(sides[0]) if place else 0
        tiles = []
        whose = []
        for item, found in zip(
            some,
            read_items(some, opened.plan.kinds, dict(opened.plan.mapping)),
            strict=True,
        ):
            if isinstance(found, HistosynError):  # told among the refused tiles
                continue
            pixels, nuclei = found
            fits = nuclei is not None and set(nuclei.kinds) <= set(kinds)
            tiles.append((pixels, recoded(nuclei, kinds) if nuclei is not None and fits else None))
            whose.append(item.patient)

        def told(done: int, _: int, before: int = before) -> None:
            if tick:
                tick(before + done, total)

        losses.append(tile_losses(bundle, tiles, tick=told))
        patients.append(whose)
    return judge_membership(
        losses[0],
        losses[1],
        patients=(patients[0], patients[1]),
        seed=question.seed,
    )
