"""YOLO's labels: `class x y width height` a line in shares of the picture, and a list."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...core.nuclei import Nuclei
from .boxes import LABEL_NOTICE, NOMINAL_DIAMETER_UM, boxes_of, class_numbers

_DIGITS = 6


def yolo_text(nuclei: Nuclei) -> str:
    """The labels of one picture, a line a nucleus; "" without nuclei."""
    width, height = nuclei.size
    lines = []
    for number, box in zip(class_numbers(nuclei), boxes_of(nuclei), strict=True):
        left, top, right, bottom = box.tolist()
        values = [
            (left + right) / 2 / width,
            (top + bottom) / 2 / height,
            (right - left) / width,
            (bottom - top) / height,
        ]
        shares = " ".join(f"{value:.{_DIGITS}f}" for value in values)
        lines.append(f"{number} {shares}\n")
    return "".join(lines)


def yolo_data(names: Sequence[str]) -> str:
    """The list of classes for pictures and labels in its own folder."""
    lines = [
        f"# {LABEL_NOTICE}",
        f"# Each box has {NOMINAL_DIAMETER_UM:g} um a side, cut at the picture's border.",
        "train: .",
        "# YOLO requires val: these are the same tiles. Name real tiles of other patients instead.",
        "val: .",
        "names:",
    ]
    lines += [f"  {number}: {json.dumps(name)}" for number, name in enumerate(names)]
    return "\n".join(lines) + "\n"
