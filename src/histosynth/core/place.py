"""Where networks that measure run: encoders, detectors, classifiers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ComputePlace:
    """A device and a number type, by name.

    Attributes:
        device: as torch names it. The CPU, unless another one is wanted: the numbers of reports
            are compared, and those of a GPU differ in their last digits.
        bf16: convolutions and products run in bfloat16, norms and sums in float32.
    """

    device: str = "cpu"
    bf16: bool = False

    @property
    def suffix(self) -> str:
        """What a name of weights is followed by where results may differ; "" on the CPU."""
        return ", bf16" if self.bf16 else ""


CPU_PLACE = ComputePlace()
