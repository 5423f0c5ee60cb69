"""A folder of weights: `model.safetensors` and a JSON card that holds its sha256.

Nothing here imports torch: the tensors themselves are read and written by the caller.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from . import recipe as recipes
from .errors import BadRecipe, BadWeights, first_line
from .plain_files import read_plain_text
from .store import sha256_of

WEIGHTS_FILE = "model.safetensors"

Card = TypeVar("Card")


def read_card(path: Path, card_type: type[Card]) -> Card:
    """Read a card as the frozen dataclass `card_type`.

    Raises:
        BadWeights: the file is absent, or its values are not those of such a card.
    """
    try:
        values = json.loads(read_plain_text(path))
        return recipes.build(values, card_type, name=str(path))
    except (OSError, ValueError, RecursionError, BadRecipe) as error:
        raise BadWeights(path, first_line(error)) from error


def checked_weights(folder: Path, sha256: str, *, card: str) -> Path:
    """The weights file of a folder, after its sha256 was compared with the card's.

    Args:
        folder: holds `model.safetensors`.
        sha256: of the file, hex, as the card states it.
        card: name of the card, for the message.

    Raises:
        BadWeights: the file has another sha256.
        OSError: it cannot be read.
    """
    path = folder / WEIGHTS_FILE
    if sha256_of(path) != sha256:
        raise BadWeights(path, f"its sha256 is not the one that {card} names")
    return path


def write_weights(
    folder: Path,
    save: Callable[[Path], object],
) -> str:
    """Write the weights file of a folder.

    Args:
        folder: gets `model.safetensors`.
        save: writes the tensors to the path that it is called with, whole or not at all.

    Returns:
        The file's sha256, hex.
    """
    path = folder / WEIGHTS_FILE
    save(path)
    return sha256_of(path)
