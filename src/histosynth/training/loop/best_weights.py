"""The weights of the lowest validation loss, kept next to the last ones."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

from ...core.errors import NotWritable
from ...core.store import read_plain_text, write_json

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
            loss = float(card["validation_loss"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return math.inf
        return loss if math.isfinite(loss) else math.inf

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
        self._replace_folder(weights)
        card = {"step": step, "validation_loss": loss}
        write_json(self.run / _BEST_CARD, card)
        self.loss = loss
        return True

    def _replace_folder(self, weights: Path) -> None:
        folder = self.run / _BEST_FOLDER
        new = self.run / f".{_BEST_FOLDER}-new"
        old = self.run / f".{_BEST_FOLDER}-old"
        try:
            for leftover in (new, old):
                shutil.rmtree(leftover, ignore_errors=True)
            shutil.copytree(weights, new)
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise NotWritable(folder, error.strerror or str(error)) from error
