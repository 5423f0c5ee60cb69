"""What every verb shows: progress on stderr, one result on stdout, one sentence on refusal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.errors import HistosynthError
from ..core.progress import ProgressCallback, StepCallback
from ..core.refusals import grouped_refusals
from ..core.stopping import Stopped
from ..core.visible import json_line
from .streams import raw_stream, write_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..core.outcome import Outcome


def _ignore(done: int, total: int) -> None:
    pass


@dataclass
class Output:
    """What the user wants to see.

    Attributes:
        as_json: one JSON object on stdout instead of text.
        quiet: no progress, no text but refusals.
    """

    as_json: bool = False
    quiet: bool = False

    @property
    def shows_progress(self) -> bool:
        """Whether progress is wanted and stderr is a terminal."""
        return not self.quiet and sys.stderr.isatty()

    @contextmanager
    def bars(self, *names: str) -> Iterator[tuple[ProgressCallback, ...]]:
        """One progress bar a name on stderr, each shown from its first call on."""
        if not self.shows_progress:
            yield tuple(_ignore for _ in names)
            return
        with _open_progress("{task.fields[speed_text]}") as progress:
            tasks = [
                progress.add_task(
                    name,
                    total=None,
                    visible=False,
                    speed_text="",
                )
                for name in names
            ]
            yield tuple(_bar_callback(progress, task) for task in tasks)

    @contextmanager
    def progress(self, name: str) -> Iterator[ProgressCallback]:
        """One such bar."""
        with self.bars(name) as (on_progress,):
            yield on_progress

    @contextmanager
    def steps(self, name: str, total: int) -> Iterator[StepCallback]:
        """A bar of training steps with their loss, images a second and the time left."""
        if not self.shows_progress:
            yield lambda step, numbers: None
            return
        with _open_progress("{task.fields[numbers_text]}") as progress:
            task = progress.add_task(
                name,
                total=total,
                visible=False,
                numbers_text="",
            )

            def on_step(step: int, numbers: Mapping[str, float]) -> None:
                loss = numbers.get("loss", float("nan"))
                speed = numbers.get("images_per_s", 0)
                progress.update(
                    task,
                    completed=step,
                    visible=True,
                    numbers_text=f"loss {loss:.4f}  {speed:.1f} images/s",
                )

            yield on_step

    def note(self, text: str) -> None:
        """A line for people while work goes on."""
        if not self.quiet:
            write_line(sys.stderr, text)

    def done(self, result: Mapping[str, Any], lines: Sequence[str]) -> None:
        """Show the result: JSON, or the lines."""
        if self.as_json:
            write_line(sys.stdout, json_line(result))
        elif not self.quiet:
            for line in lines:
                write_line(sys.stdout, line)

    def report(
        self,
        outcome: Outcome,
        facts: Mapping[str, Any] | None = None,
        lines: Sequence[str] | None = None,
    ) -> None:
        """Show what was written and what was refused; exit code 1 if anything was refused.

        Args:
            outcome: of the verb.
            facts: more values for JSON.
            lines: text of the result; None: the files written.
        """
        for note in outcome.notes:
            self.note(f"Note: {note}")
        if lines is None:
            lines = [str(path) for path in outcome.written]
        elif not outcome.written:
            lines = ["Nothing was written."]
        self.done(outcome.as_dict() | dict(facts or {}), lines)
        if outcome.refused:
            self.refused(grouped_refusals(outcome.refused))
            raise SystemExit(1)

    def refused(self, errors: Iterable[HistosynthError | str]) -> None:
        """Show sentences on what was refused while the rest went on, even if quiet."""
        for error in errors:
            lines = error.lines() if isinstance(error, HistosynthError) else [error]
            write_line(sys.stderr, f"histosynth: {lines[0]}")
            for line in lines[1:]:
                write_line(sys.stderr, line)

    def refuse(self, error: HistosynthError) -> None:
        """Show a refusal: one sentence with the numbers, one with the next step."""
        self.refused([error])
        if self.as_json:
            fact = {
                "error": type(error).__name__,
                "problem": error.problem,
                "remedy": error.remedy,
            }
            write_line(sys.stdout, json_line(fact))

    def stopped(self, stop: Stopped) -> None:
        """Show what a run had done when a signal stopped it, and the next step."""
        write_line(sys.stderr, f"histosynth: {stop}")
        if self.as_json:
            fact = {
                "error": "Stopped",
                "problem": stop.problem,
                "remedy": stop.remedy,
            }
            write_line(sys.stdout, json_line(fact))


def _open_progress(extra_text: str) -> Progress:
    """Bars with count and time left; `extra_text` is a format string of one more column."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(extra_text, markup=False),
        TimeRemainingColumn(),
        console=Console(file=raw_stream(sys.stderr)),
    )


def _bar_callback(progress: Progress, task: TaskID) -> ProgressCallback:
    def on_progress(done: int, total: int) -> None:
        speed = progress.tasks[task].speed
        progress.update(
            task,
            completed=done,
            total=total,
            visible=True,
            speed_text=f"{speed:.1f}/s" if speed else "",
        )

    return on_progress
