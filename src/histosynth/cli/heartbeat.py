"""Progress as lines of the log: one where a stage begins and ends, and one every 30 s between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .logs import log

BEAT_S = 30.0


class Stage:
    """One stage of a verb, e.g. sampling.

    Args:
        name: of the stage.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.began = 0.0
        self.first = 0
        self.done = 0
        self.total = 0
        self.numbers: Mapping[str, float] = {}

    def text(self) -> str:
        """Where the stage is, in one line."""
        parts = [f"{self.name}: {self.done:,} of {self.total:,}"]
        parts += [f"{name} {value:.4g}" for name, value in self.numbers.items()]
        seconds = self._seconds_left()
        if seconds is not None:
            parts.append(f"about {duration_text(seconds)} left")
        return ", ".join(parts)

    def facts(self) -> dict[str, Any]:
        """The same for JSON."""
        left = self._seconds_left()
        return {
            "stage": self.name,
            "done": self.done,
            "total": self.total,
            "seconds": round(time.monotonic() - self.began, 3),
            "seconds_left": None if left is None else round(left, 1),
            "numbers": dict(self.numbers),
        }

    def speed(self, done: int) -> float | None:
        """Steps a second if so many are done now; None where there is none yet."""
        passed = time.monotonic() - self.began
        if self.began == 0 or done <= self.first or passed <= 0:
            return None
        return (done - self.first) / passed

    def _seconds_left(self) -> float | None:
        """By the speed so far; None where there is none yet."""
        passed = time.monotonic() - self.began
        steps = self.done - self.first
        if steps <= 0 or self.done >= self.total:
            return None
        return passed / steps * (self.total - self.done)


class Heartbeat:
    """Logs where the stages of a verb are."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._stage: Stage | None = None

    def update(
        self,
        stage: Stage,
        done: int,
        total: int,
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        """Take in where a stage is; its first and its last call are logged."""
        is_new = stage.began == 0
        if is_new:
            stage.began = time.monotonic()
            stage.first = done
        was_finished = not is_new and stage.done >= stage.total
        with self._lock:
            self._stage = stage
            stage.done = done
            stage.total = total
            stage.numbers = numbers or {}
        is_finished = done >= total
        if is_new or (is_finished and not was_finished):
            log("stage", stage.text(), **stage.facts())

    def beat(self) -> None:
        """Log where the present stage is."""
        with self._lock:
            stage = self._stage
            if stage is not None and stage.done < stage.total:
                log("progress", stage.text(), **stage.facts())
                return
        seconds = time.monotonic() - self._began
        after = f"after {stage.name}" if stage else "opening"
        log(
            "progress",
            f"{after}, {duration_text(seconds)} so far",
            stage=after,
            seconds=round(seconds, 3),
        )


@contextmanager
def beating() -> Iterator[Heartbeat]:
    """A heartbeat for a block of work, from a thread of its own: stages may be silent for long."""
    heartbeat = Heartbeat()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            heartbeat.beat()

    thread = threading.Thread(target=beat, name="histosynth-log", daemon=True)
    thread.start()
    try:
        yield heartbeat
    finally:
        ended.set()
        thread.join(1)


def duration_text(seconds: float) -> str:
    """Seconds in the two largest units: 45 s, 2 min 10 s, 3 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"
