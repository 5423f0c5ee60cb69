"""What every verb shows: progress on stderr, one result on stdout, one sentence on refusal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.errors import HistosynthError
from ..core.progress import ProgressCallback, StepCallback
from ..core.refusals import grouped_refusals
from ..core.stopping import Stopped
from ..core.visible import json_line
from .heartbeat import Heartbeat, Stage, beating
from .json_schemas import ERROR, schema_id
from .logs import current_verb, log
from .streams import raw_stream, write_line

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..core.outcome import Outcome


PARTLY_REFUSED = 3
"""Exit code where some of the inputs were refused, and the work was done for the others."""


@dataclass
class Amount:
    """What a stage works through in all, its total set once it is known.

    Attributes:
        unit: of the amount, e.g. Mpx.
        total: of the whole stage.
    """

    unit: str
    total: float = 0.0

    def of(self, steps: float, all_steps: int) -> float:
        """The amount of so many steps."""
        return self.total * steps / max(all_steps, 1)


@dataclass
class Output:
    """What the user wants to see.

    Attributes:
        as_json: one JSON object on stdout instead of text.
        quiet: no progress, no text but refusals.
    """

    as_json: bool = False
    quiet: bool = False
    _heartbeat: Heartbeat | None = field(default=None, init=False, repr=False)

    @property
    def shows_bars(self) -> bool:
        """Whether progress is wanted and stderr is a terminal that is not logged to."""
        return not self.quiet and not current_verb.is_json and sys.stderr.isatty()

    @contextmanager
    def _beating(self) -> Iterator[Heartbeat]:
        """One heartbeat, which blocks of progress inside one another share."""
        if self._heartbeat is not None:
            yield self._heartbeat
            return
        with beating() as heartbeat:
            self._heartbeat = heartbeat
            try:
                yield heartbeat
            finally:
                self._heartbeat = None

    @contextmanager
    def bars(
        self,
        *names: str,
        amounts: Mapping[str, Amount] | None = None,
    ) -> Iterator[tuple[ProgressCallback, ...]]:
        """One progress bar a name on stderr, each shown from its first call on.

        Where stderr is no terminal it gets lines, and so does the log.

        Args:
            names: of the stages.
            amounts: by name, what a stage works through; its speed is given in that unit.
        """
        amounts = amounts or {}
        with ExitStack() as stack:
            heartbeat = stack.enter_context(self._beating())
            logged = [_logging_callback(heartbeat, name, amounts.get(name)) for name in names]
            if not self.shows_bars:
                yield tuple(logged)
                return
            progress = stack.enter_context(_open_progress("{task.fields[speed_text]}"))
            callbacks = []
            for name, on_logged in zip(names, logged, strict=True):
                task = progress.add_task(
                    name,
                    total=None,
                    visible=False,
                    speed_text="",
                )
                amount = amounts.get(name)
                callbacks.append(_bar_callback(progress, task, on_logged, amount))
            yield tuple(callbacks)

    @contextmanager
    def progress(self, name: str) -> Iterator[ProgressCallback]:
        """One such bar."""
        with self.bars(name) as (on_progress,):
            yield on_progress

    @contextmanager
    def steps(self, name: str, total: int) -> Iterator[StepCallback]:
        """A bar of training steps with their loss, images a second and the time left."""
        with ExitStack() as stack:
            heartbeat = stack.enter_context(self._beating())
            stage = Stage(name)
            if not self.shows_bars:
                yield lambda step, numbers: heartbeat.update(stage, step, total, numbers)
                return
            progress = stack.enter_context(_open_progress("{task.fields[numbers_text]}"))
            task = progress.add_task(
                name,
                total=total,
                visible=False,
                numbers_text="",
            )

            def on_step(step: int, numbers: Mapping[str, float]) -> None:
                heartbeat.update(stage, step, total, numbers)
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
        log("note", text)
        if not self.quiet and not current_verb.is_json:
            write_line(sys.stderr, text)

    def done(
        self,
        result: Mapping[str, Any],
        lines: Sequence[str],
        *,
        part: str = "",
    ) -> None:
        """Show the result: JSON, or the lines.

        Args:
            result: values for JSON; its schema is added.
            lines: text.
            part: of the verb, where it has several results: `plan` for a dry run.
        """
        if self.as_json:
            name = f"{current_verb.verb} {part}".strip()
            write_line(sys.stdout, json_line({**result, "schema": schema_id(name)}))
        elif not self.quiet:
            for line in lines:
                write_line(sys.stdout, line)

    def report(
        self,
        outcome: Outcome,
        facts: Mapping[str, Any] | None = None,
        lines: Sequence[str] | None = None,
    ) -> None:
        """Show what was written and what was refused.

        Exit code 3 if some inputs were refused, and 1 if all of them were.

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
            raise SystemExit(PARTLY_REFUSED if outcome.written else 1)

    def refused(self, errors: Iterable[HistosynthError | str]) -> None:
        """Show sentences on what was refused while the rest went on, even if quiet."""
        for error in errors:
            log("refused", str(error), logging.WARNING)
            self._sentence(error)

    def refuse(self, error: HistosynthError) -> None:
        """Show a refusal: one sentence with the numbers, one with the next step."""
        self._sentence(error)
        if self.as_json:
            fact = {
                "schema": schema_id(ERROR),
                "error": type(error).__name__,
                "problem": error.problem,
                "remedy": error.remedy,
            }
            write_line(sys.stdout, json_line(fact))

    def stopped(self, stop: Stopped) -> None:
        """Show what a run had done when a signal stopped it, and the next step."""
        self._sentence(stop)
        if self.as_json:
            fact = {
                "schema": schema_id(ERROR),
                "error": "Stopped",
                "problem": stop.problem,
                "remedy": stop.remedy,
            }
            write_line(sys.stdout, json_line(fact))

    def _sentence(self, text: object) -> None:
        """What was refused, on stderr: where that is JSON, the log has it already."""
        if current_verb.is_json:
            return
        lines = text.lines() if isinstance(text, HistosynthError) else [text]
        write_line(sys.stderr, f"histosynth: {lines[0]}")
        for line in lines[1:]:
            write_line(sys.stderr, line)


def _open_progress(extra_text: str) -> Progress:
    """Bars with count and times; `extra_text` is a format string of one more column."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(extra_text, markup=False),
        TimeElapsedColumn(),  # moves while a batch is sampled and nothing is counted
        TimeRemainingColumn(),
        console=Console(file=raw_stream(sys.stderr)),
    )


def _logging_callback(
    heartbeat: Heartbeat,
    name: str,
    amount: Amount | None,
) -> ProgressCallback:
    stage = Stage(name)

    def on_progress(done: int, total: int) -> None:
        numbers = {}
        speed = stage.speed(done)
        if amount is not None and speed:
            numbers[f"{amount.unit}/s"] = amount.of(speed, total)
        heartbeat.update(stage, done, total, numbers)

    return on_progress


def _bar_callback(
    progress: Progress,
    task: TaskID,
    on_logged: ProgressCallback,
    amount: Amount | None,
) -> ProgressCallback:
    def on_progress(done: int, total: int) -> None:
        on_logged(done, total)
        speed = progress.tasks[task].speed
        speed_text = f"{speed:.1f}/s" if speed else ""
        if amount is not None and speed:
            speed_text = f"{amount.of(speed, total):.2g} {amount.unit}/s"
        progress.update(
            task,
            completed=done,
            total=total,
            visible=True,
            speed_text=speed_text,
        )

    return on_progress
