"""How every verb shows itself: progress on stderr, one result on stdout, one sentence on
refusal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from ..core.errors import HistosynthError
from ..core.progress import ProgressCallback

if TYPE_CHECKING:
    from rich.progress import TaskID

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no text.")]


def _ignore(done: int, total: int) -> None:
    pass


@dataclass
class Output:
    """What the user asked to see.

    Attributes:
        as_json: one JSON object on stdout instead of text.
        quiet: no progress, no text but refusals.
    """

    as_json: bool = False
    quiet: bool = False

    @contextmanager
    def bars(self, *names: str) -> Iterator[tuple[ProgressCallback, ...]]:
        """One bar a name on stderr where that is a terminal, shown once it is told; silent
        otherwise.
        """
        if self.quiet or not sys.stderr.isatty():
            yield tuple(_ignore for _ in names)
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.text import Text

        class Speed(ProgressColumn):
            """Items a second, once there are some."""

            def render(self, task: Task) -> Text:
                return Text(f"{task.speed:.1f}/s" if task.speed else "")

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Speed(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            tasks = [progress.add_task(name, total=None, visible=False) for name in names]

            def tick_of(task: TaskID) -> ProgressCallback:
                return lambda done, total: progress.update(
                    task,
                    completed=done,
                    total=total,
                    visible=True,
                )

            yield tuple(tick_of(task) for task in tasks)

    @contextmanager
    def progress(self, name: str) -> Iterator[ProgressCallback]:
        """One such bar."""
        with self.bars(name) as (on_progress,):
            yield on_progress

    @contextmanager
    def live(self, name: str, total: int) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
        """A bar of steps with their loss, images a second and the time left."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda step, numbers: None
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        words = TextColumn("{task.fields[words]}")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            words,
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(
                name,
                total=total,
                words="",
                visible=False,
            )

            def stepped(step: int, numbers: Mapping[str, float]) -> None:
                loss = numbers.get("loss", float("nan"))
                speed = numbers.get("images_per_s", 0)
                words = f"loss {loss:.4f}  {speed:.1f} images/s"
                progress.update(
                    task,
                    completed=step,
                    words=words,
                    visible=True,
                )

            yield stepped

    def note(self, text: str) -> None:
        """A line for people while work goes on."""
        if not self.quiet:
            _say(sys.stderr, f"{text}\n")

    def done(self, result: dict[str, Any], lines: Sequence[str]) -> None:
        """The result: JSON, or the lines."""
        if self.as_json:
            _say(sys.stdout, json.dumps(result) + "\n")
        elif not self.quiet:
            _say(sys.stdout, "".join(f"{line}\n" for line in lines))

    def refused(self, errors: Iterable[HistosynthError | str]) -> None:
        """What was passed over while the rest went on, one line each; said even where quiet is
        asked for.
        """
        for error in errors:
            _say(sys.stderr, f"histosynth: {error}\n")

    def refuse(self, error: HistosynthError) -> None:
        """The refusal: one sentence with the numbers, one with the next step."""
        self.refused([error])
        if self.as_json:
            fact = {
                "error": type(error).__name__,
                "problem": error.problem,
                "remedy": error.remedy,
            }
            _say(sys.stdout, json.dumps(fact) + "\n")


def _say(stream: TextIO, text: str) -> None:
    """Write text; what the stream cannot show, say a file name that is no UTF-8, as an escape."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        coding = stream.encoding or "ascii"
        stream.write(text.encode(coding, "backslashreplace").decode(coding))
