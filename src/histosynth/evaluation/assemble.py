"""What goes into the report besides what the judges say."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.store import digest
from ..core.version import __version__
from ..metrics.finding import Section
from .inputs.collections import Collection
from .inputs.config import EvaluationConfig, OpenedInputs
from .inputs.items import content
from .report import Material, Report


def make_report(
    opened: OpenedInputs,
    config: EvaluationConfig,
    sections: Sequence[Section],
    refused: dict[str, str],
    *,
    seconds: float,
) -> Report:
    """Everything in words, with the warnings that come before any number."""
    warnings = []
    for side in (opened.real, opened.synthetic):
        tiles = len({(item.path, item.tile_id) for item in side.items})
        if len(side.patients) == tiles > 1 and not config.inputs.table:
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
    codecs = {codec for side in (opened.real, opened.synthetic) for codec in side.codecs}
    if len(codecs) > 1:
        warnings.append(
            f"The files are of different formats ({', '.join(sorted(codecs))}): a codec can "
            "be told "
            "from features, and moves every distance."
        )
    return Report(
        title=f"{opened.synthetic.path.name} beside {opened.real.path.name}",
        synthetic=_material(opened.synthetic),
        real=_material(opened.real),
        reference=None if opened.reference is None else _material(opened.reference),
        encoder=_encoder_facts(opened),
        sections=tuple(sections),
        warnings=tuple(warnings),
        refused=refused,
        created={
            "histosynth": __version__,
            "judges": list(opened.what),
            "seed": config.seed,
            "detectors": list(opened.plan.detectors),
            "classes": list(opened.plan.classes),
            "seconds": round(seconds, 1),
        },
    )


def _encoder_facts(opened: OpenedInputs) -> dict[str, str]:
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
