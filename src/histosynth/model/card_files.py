"""A bundle's card, rewritten from `bundle.json` and the weights; text that only people can write is
kept.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..core.errors import InputError
from ..core.markdown import escaped_markdown, markdown_code
from ..core.plain_files import read_plain_text
from ..tensors.header import count_numbers, read_tensor_header
from .adapters import ADAPTER_FILE, read_adapter
from .card import data_list, write_card
from .info import BundleInfo, adapter_folders

_MAX_TEXT_BYTES = 64 << 20
_NAMED_BASE = (
    "Its adapters need a base that is not in here, with a licence and training data of its own:\n"
    "{source}, sha256 of its weights {sha256}."
)
_LICENCE = "Licence of the weights: "
_GENERATED = (
    "Its adapters need a base that is not in here",
    "Worn on a base that is not in here",  # in cards of earlier versions
    _LICENCE,
)
"""Beginnings of the paragraphs under "Trained on" that are generated."""


def rewrite_card(
    folder: Path,
    info: BundleInfo,
    measured: str,
) -> str:
    """The card's new text.

    Of the card before, patients, measurements and additional sections are kept.

    Args:
        folder: the bundle.
        info: `bundle.json`.
        measured: Markdown of what was measured; "": what the card has now.
    """
    card = folder / "README.md"
    before = _sections(read_text(card)) if card.is_file() else {}
    # its headings become parts of the section
    measured = re.sub(r"^#{1,2} ", "### ", measured.strip(), flags=re.MULTILINE)
    text = write_card(
        info,
        network_sizes(folder),
        measured or before.get("Measured", ""),
        _few_steps(folder),
    )
    sections = _sections(text)
    sections["Trained on"] = _trained_on(info, before.get("Trained on", ""))
    for title, content in before.items():
        sections.setdefault(title, content)
    blocks = []
    for title, content in sections.items():
        blocks.append(f"## {title}\n\n{content}" if title else content)
    return "\n\n".join(blocks) + "\n"


def _few_steps(folder: Path) -> dict[str, int]:
    """Steps of each adapter that has learnt few of them."""
    steps = {}
    for path in adapter_folders(folder):
        info, _ = read_adapter(path / ADAPTER_FILE)
        if info.few_steps is not None:
            steps[info.name] = info.few_steps.steps
    return steps


def _trained_on(info: BundleInfo, before: str) -> str:
    """The section "Trained on": data, patients as before, base and licence."""
    patients = _patients(before) or "Which patients it was trained on is not stated."
    paragraphs = [data_list(info), patients]
    if info.base is not None:
        source = markdown_code(info.base.source)
        sha256 = markdown_code(info.base.sha256)
        base = _NAMED_BASE.format(source=source, sha256=sha256)
        paragraphs.append(base)
    paragraphs.append(f"{_LICENCE}{escaped_markdown(info.licence)}.")
    return "\n\n".join(paragraphs)


def _patients(section: str) -> str:
    """What people wrote about the patients in the section "Trained on"."""
    paragraphs = [each for each in section.split("\n\n") if not each.startswith("- ")]
    generated = "|".join(_GENERATED)
    text = re.sub(
        rf"\s*({generated}).*",
        "",
        "\n\n".join(paragraphs),
        flags=re.DOTALL,
    )
    return text.strip()


def _sections(text: str) -> dict[str, str]:
    """A card's text by its headings of the second level; the text before them is under ""."""
    first, *others = re.split(r"^## ", text, flags=re.MULTILINE)
    sections = {"": first.strip()}
    for other in others:
        title, _, body = other.partition("\n")
        sections[title.strip()] = body.strip()
    return sections


def network_sizes(folder: Path) -> dict[str, int]:
    """Parameters of each network and each adapter, read from the headers of the weights files."""
    folders = {}
    for path in sorted(folder.glob("*/")):
        if path.name != "adapters" and not path.name.startswith("."):
            folders[path.name] = path
    for path in adapter_folders(folder):
        folders[f"adapter {path.name}"] = path
    sizes = {}
    for name, path in folders.items():
        count = sum(count_parameters(file) for file in sorted(path.rglob("*.safetensors")))
        if count:
            sizes[name] = count
    return sizes


def count_parameters(path: Path) -> int:
    """How many numbers a safetensors file holds.

    Raises:
        BadWeights: it is none.
    """
    return count_numbers(read_tensor_header(path).shapes)


def read_text(path: Path) -> str:
    """A text file in UTF-8.

    Raises:
        InputError: it cannot be read, is too large or no text.
    """
    try:
        if path.stat().st_size > _MAX_TEXT_BYTES:
            raise ValueError(f"it has more than {_MAX_TEXT_BYTES:,} bytes")
        return read_plain_text(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as text: {error}.",
            "Give a file of text in UTF-8.",
        ) from error
