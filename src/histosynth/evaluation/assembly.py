"""The report around the sections: what was compared, with what, and what to be careful about."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.barcode import barcodes_in
from ..core.contents import content_digest
from ..core.store import digest
from ..core.version import __version__
from ..metrics.finding import Section
from ..metrics.metric import Tool
from .config import EvaluationConfig, InputOptions
from .inputs.checks import tools_of
from .inputs.collections import Collection
from .inputs.items import Item
from .inputs.opening import OpenedInputs
from .report.model import Material, Report


def make_report(
    opened: OpenedInputs,
    config: EvaluationConfig,
    sections: Sequence[Section],
    refused: dict[str, str],
    *,
    seconds: float,
) -> Report:
    """The report, with its warnings.

    Args:
        opened: the sides.
        config: what was compared.
        sections: of all metrics.
        refused: tiles that could not be measured, with the reason.
        seconds: that the run took.
    """
    return Report(
        title=f"{opened.synthetic.path.name} compared with {opened.real.path.name}",
        synthetic=_material(opened.synthetic),
        real=_material(opened.real),
        reference=None if opened.reference is None else _material(opened.reference),
        encoder=_encoder_facts(opened),
        sections=tuple(sections),
        warnings=tuple(warnings_of(opened, config)),
        refused=refused,
        created={
            "histosynth": __version__,
            "metrics": list(opened.metrics),
            "seed": config.seed,
            "detectors": list(opened.measurement.detectors),
            "classes": list(opened.measurement.classes),
            "seconds": round(seconds, 1),
        },
    )


def warnings_of(opened: OpenedInputs, config: EvaluationConfig) -> list[str]:
    """Sentences on what to be careful about."""
    sides = (opened.real, opened.synthetic)
    warnings = list(opened.notes)
    for side in sides:
        if _lacks_patients(side, config.inputs):
            warnings.append(
                f"Each tile of {side.path.name} counts as a patient of its own. If patients have "
                "several tiles, give --patient or --table: the intervals are too narrow now."
            )
    if opened.reference is None:
        warnings.append(
            "Without --reference (the training set) there is no search for copies, and baselines "
            "are taken between halves of the real patients."
        )
    codecs = {codec for side in sides for codec in side.codecs}
    if len(codecs) > 1:
        warnings.append(
            f"The files are of different formats ({', '.join(sorted(codecs))}): features depend "
            "on the format, and so does every distance."
        )
    return warnings


def _lacks_patients(side: Collection, inputs: InputOptions) -> bool:
    """Whether no tile's patient is stated, by a table, a pattern, a barcode or the tile set."""
    tiles = {(item.path, item.tile_id): item for item in side.items}
    if inputs.table or len(tiles) < 2 or len(side.patients) < len(tiles):
        return False
    return not any(_states_patient(item, inputs.patient) for item in tiles.values())


def _states_patient(item: Item, pattern: str) -> bool:
    """Whether an item's patient is more than the name of the tile."""
    of_slide = item.tile_id.rsplit("_", 2)[0]  # a tile's id is its slide and corner
    if item.patient not in (item.stem, of_slide):
        return True
    if pattern:
        return re.search(pattern, item.stem) is not None
    return bool(barcodes_in(item.stem))


def _encoder_facts(opened: OpenedInputs) -> dict[str, str]:
    if Tool.ENCODER not in tools_of(opened.metrics):
        return {}
    return dict(opened.measurement.open_encoder().about)


def _material(side: Collection) -> Material:
    scales = {item.mpp for item in side.items}
    codecs = [f"{codec} ({count})" for codec, count in sorted(side.codecs.items())]
    files = sorted({item.path for item in side.items})
    return Material(
        side.path.name,
        len(side.items),
        len(side.patients),
        side.size if len(side.sizes) == 1 else None,
        scales.pop() if len(scales) == 1 else None,
        ", ".join(codecs),
        digest([[path.name, content_digest(path)] for path in files]),
    )
