"""Progress bars of verbs that are called from Python: in notebooks, terminals and logs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..core.progress import ProgressCallback

ProgressOption = bool | ProgressCallback
"""True: a bar; False: nothing; a function: called with (done, total)."""


@contextmanager
def shown_progress(progress: ProgressOption, name: str) -> Iterator[ProgressCallback | None]:
    """The callback for one stage of a verb.

    Args:
        progress: what the caller wants.
        name: of the stage, before its bar.
    """
    if callable(progress):
        yield progress
    elif progress:
        with _bar(name) as on_progress:
            yield on_progress
    else:
        yield None


@contextmanager
def _bar(name: str) -> Iterator[ProgressCallback]:
    """A bar of tqdm, as widgets where the notebook has them; it is shown from the first call on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of notebooks without widgets: text is shown instead
        from tqdm.auto import tqdm
    bars: list[Any] = []

    def on_progress(done: int, total: int) -> None:
        if not bars:
            bars.append(tqdm(desc=name, total=total))
        bar = bars[0]
        bar.total = total
        bar.update(done - bar.n)

    try:
        yield on_progress
    finally:
        for bar in bars:
            bar.close()
