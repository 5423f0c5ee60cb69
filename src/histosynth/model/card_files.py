"""A bundle's card, written anew from `bundle.json` and the weights, keeping what only people
know.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..core.errors import BadWeights, InputError
from .card import write_card
from .info import BundleInfo, adapter_folders

MOST_TEXT = 64 << 20
_BASE = """Worn on a base that is not in here and has a licence and training data of its own:
`{source}`, sha256 of its weights `{sha256}`."""


def write_anew(folder: Path, info: BundleInfo, measured: str) -> str:
    """The card, written anew; what only people know is kept from the one before: patients, what was
    measured, sections of their own.
    """
    before = _sections(read_text(folder / "README.md")) if (folder / "README.md").is_file() else {}
    deeper = re.sub(r"^#{1,2} ", "### ", measured.strip(), flags=re.MULTILINE)
    now = _sections(write_card(info, sizes(folder), deeper or before.get("Measured", "")))
    prose = [
        line for line in before.get("Trained on", "").split("\n\n") if not line.startswith("- ")
    ]
    ours = r"\s*(Worn on a base that is not in here|Licence of the weights: ).*"
    patients = re.sub(ours, "", "\n\n".join(prose), flags=re.DOTALL)
    now["Trained on"] = "\n\n".join(
        [
            "\n".join(f"- {line}" for line in info.data) or "- not stated",
            patients.strip() or "Which patients it was trained on is not stated.",
            *(
                []
                if info.base is None
                else [_BASE.format(source=info.base.source, sha256=info.base.sha256)]
            ),
            f"Licence of the weights: {info.licence}.",
        ]
    )
    kept = {title: text for title, text in before.items() if title not in now}
    return (
        "\n\n".join(
            f"## {title}\n\n{text}" if title else text for title, text in {**now, **kept}.items()
        )
        + "\n"
    )


def _sections(text: str) -> dict[str, str]:
    """A card's text by its headings of the second order; what comes before them under ""."""
    first, *others = re.split(r"^## ", text, flags=re.MULTILINE)
    split = (each.partition("\n") for each in others)
    return {"": first.strip()} | {title.strip(): body.strip() for title, _, body in split}


def sizes(folder: Path) -> dict[str, int]:
    """Parameters of each network and of each adapter, read from the heads of the weights files."""
    parts = {place.name: place for place in sorted(folder.glob("*/")) if place.name != "adapters"}
    parts |= {f"adapter {place.name}": place for place in adapter_folders(folder)}
    counts = {
        name: sum(map(parameters, sorted(place.rglob("*.safetensors"))))
        for name, place in parts.items()
        if not name.startswith(".")
    }
    return {name: count for name, count in counts.items() if count}


def parameters(path: Path) -> int:
    """How many numbers a safetensors file holds.

    Raises:
        BadWeights: it is none.
    """
    try:
        with safe_open(path, framework="np") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadWeights(path, str(error)) from error
    return sum(math.prod(shape) for shape in shapes)


def read_text(path: Path) -> str:
    """A text file in UTF-8.

    Raises:
        InputError: it cannot be read, is too large or no text.
    """
    try:
        if path.stat().st_size > MOST_TEXT:
            raise ValueError(f"it has more than {MOST_TEXT:,} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as text: {error}.", "Give a file of text in UTF-8."
        ) from error
