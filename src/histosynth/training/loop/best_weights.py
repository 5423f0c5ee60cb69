"""The weights of the lowest validation loss, kept beside the last ones."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

from ...core.errors import NotWritable
from ...core.store import write_json

BEST = "best"
CARD = "best.json"


class Best:
    """`run/best`, and in `run/best.json` of which step it is and how good.

    Args:
        run: the run folder; what an earlier sitting found best there counts.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        try:
            card = json.loads((run / CARD).read_text(encoding="utf-8"))
            loss = float(card["validation_loss"]) if (run / BEST).is_dir() else math.inf
        except (OSError, ValueError, KeyError, TypeError, RecursionError):  # none yet, or spoilt
            loss = math.inf
        self.loss = loss if math.isfinite(loss) else math.inf

    def offer(
        self,
        step: int,
        loss: float,
        weights: Path,
    ) -> bool:
        """Keep a copy of the folder `weights` if their loss is the lowest so far; returns whether.

        The folder comes first and the card last: after a crash between them the step is looked at
            again,
        and is better than the card says once more.

        Raises:
            NotWritable: there is no room for the copy.
        """
        if not loss < self.loss:
            return False
        place = self.run / BEST
        fresh, old = (self.run / f".{BEST}-{name}" for name in ("new", "old"))
        try:
            for leftover in (fresh, old):
                shutil.rmtree(leftover, ignore_errors=True)
            shutil.copytree(weights, fresh)
            if place.exists():
                place.rename(old)
            fresh.rename(place)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise NotWritable(place, error.strerror or str(error)) from error
        write_json(self.run / CARD, {"step": step, "validation_loss": loss})
        self.loss = loss
        return True
