"""What a run takes, as a dry run shows it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a run will take.

    Attributes:
        parameters: of the network.
        trained: of adapter and structure encoder.
        saved: 1 - trained / all that full fine-tuning would train; SarcoDiff reports 0.92.
        gflop_per_item: of one item's forward pass.
        memory_gb: weights, state and activations of one part of a batch; about.
        seconds_per_step: at the speed of plain products on this machine; at best.
        hours: of all steps; at best.
    """

    parameters: int
    trained: int
    saved: float
    gflop_per_item: float
    memory_gb: float
    seconds_per_step: float
    hours: float
