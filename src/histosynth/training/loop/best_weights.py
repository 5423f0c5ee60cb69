"""The weights of the lowest validation loss, kept next to the last ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ...core.numbers_read import is_finite
from ...core.plain_files import read_plain_text
from ...core.store import replace_folder, write_json

_BEST_FOLDER = "best"
_BEST_CARD = "best.json"


class BestWeights:
    """`run/best`, with its step and validation loss in `run/best.json`.

    Args:
        run: the run folder; the best weights of an earlier session of the run count.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.loss = self._read_loss()

    def _read_loss(self) -> float:
        """The loss of the weights that are kept; infinite without weights or a valid card."""
        if not (self.run / _BEST_FOLDER).is_dir():
            return math.inf
        try:
            card = json.loads(read_plain_text(self.run / _BEST_CARD))
            loss = card["validation_loss"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return math.inf
        return float(loss) if is_finite(loss) else math.inf

    def offer(
        self,
        step: int,
        loss: float,
        weights: Path,
    ) -> bool:
        """Keep a copy of the folder `weights` if their loss is the lowest so far; returns whether.

        The folder is written first and the card last: after a crash between them the step is
        validated again, and is better than the card states once more.

        Raises:
            NotWritable: there is no room for the copy.
        """
        if not loss < self.loss:
            return False
        replace_folder(weights, self.run / _BEST_FOLDER)
        card = {"step": step, "validation_loss": loss}
        write_json(self.run / _BEST_CARD, card)
        self.loss = loss
        return True
