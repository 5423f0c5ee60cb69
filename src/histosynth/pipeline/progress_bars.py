"""Progress bars of verbs that are called from Python: in notebooks, terminals and logs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ..core.progress import ProgressCallback, ignore_progress

ProgressOption = bool | ProgressCallback
"""True: a bar; False: nothing; a function: called with (done, total)."""


@contextmanager
def shown_stages(progress: ProgressOption, *names: str) -> Iterator[tuple[ProgressCallback, ...]]:
    """The callbacks for the stages of a verb.

    Args:
        progress: what the caller wants.
        names: of the stages, each before its bar.
    """
    if callable(progress):
        yield tuple(progress for _ in names)
        return
    if not progress:
        yield tuple(ignore_progress for _ in names)
        return
    with ExitStack() as stack:
        yield tuple(stack.enter_context(_bar(name)) for name in names)


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
