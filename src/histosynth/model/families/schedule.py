"""The noise of a discrete base (Ho et al. 2020), as angles: x = cos(a) x0 + sin(a) e at each of its
steps.

An angle grows from about 0 (clean) to about pi / 2 (noise). The straight path of flow matching,
(1 - t) x0 + t e, passes through the same mixtures but for a factor, at tan(a) = t / (1 - t). So a
solver of flows can sample from such a base.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from ...core.errors import BadWeights, first_line
from ...tensors.faults import BROKEN
from ..prediction import NoiseLevel, PredictionType

_MAX_STEPS = 100_000
_MAX_NAME = 100
_MAX_ANGLE = math.pi / 2 + 1e-9
_SETTINGS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
    "timestep_spacing",
)
"""Of `scheduler_config.json`: those that decide the noise."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Steps of a base.

    Attributes:
        prediction_type: what the base predicts.
        angles: (N,) float64 rising, of its N steps.
    """

    prediction_type: PredictionType
    angles: Tensor

    @property
    def last(self) -> int:
        """Number of the last step."""
        return len(self.angles) - 1

    def step_of(self, time: Tensor) -> Tensor:
        """(B,) times in [0, 1] => the base's own step numbers, 0 to N - 1; whole ones stay
        whole.
        """
        step = time.double() * self.last
        return step.to(torch.float32)

    def level(self, time: Tensor) -> NoiseLevel:
        """Scales at (B,) times in [0, 1]; between two steps the angle is interpolated."""
        step = time.double() * self.last
        return level_of(self._angle_at(step))

    def along_flow(self, time: Tensor) -> tuple[Tensor, Tensor, NoiseLevel]:
        """The base's times and scales at a flow's times (B,).

        Returns:
            The factor from the flow's latents to the base's, (B,); the base's times (B,); its level
            there. Noise above the base's last step, or below its first, counts as that step's.
        """
        noise = time.double()
        angle = torch.atan2(noise, 1 - noise)
        factor = angle.cos() + angle.sin()
        known = self.angles.to(angle.device)
        inside = angle.clamp(known[0], known[-1])
        above = torch.searchsorted(known, inside)
        above = above.clamp(1, self.last)
        low = known[above - 1]
        high = known[above]
        step = above - 1 + (inside - low) / (high - low)
        base_time = step / self.last
        return factor.float(), base_time.float(), level_of(inside)

    def _angle_at(self, step: Tensor) -> Tensor:
        known = self.angles.to(step.device)
        below = step.floor().long()
        below = below.clamp(0, self.last - 1)
        return torch.lerp(
            known[below],
            known[below + 1],
            step - below,
        )


def level_of(angle: Tensor) -> NoiseLevel:
    """(B,) angles => scales, float32."""
    signal = angle.cos().float()
    noise = angle.sin().float()
    return NoiseLevel(signal, noise)


def read_schedule(config: Mapping[str, Any], path: Path) -> Schedule:
    """A schedule from diffusers' `scheduler_config.json`, whatever scheduler it names.

    Args:
        config: its values.
        path: of the base, for the message.

    Raises:
        BadWeights: it predicts what no solver supports, or its betas make no sense.
    """
    prediction_type = _read_prediction_type(config, path)
    _check_steps(config, path)
    if prediction_type == "epsilon" and config.get("rescale_betas_zero_snr"):
        raise BadWeights(
            path,
            "its scheduler ends in pure noise, where epsilon does not determine the picture",
        )
    angles = _read_angles(config, path)
    return Schedule(prediction_type, angles)


def _read_prediction_type(
    config: Mapping[str, Any],
    path: Path,
) -> PredictionType:
    prediction_type = str(config.get("prediction_type", "epsilon"))
    if prediction_type not in get_args(PredictionType) or prediction_type == "flow":
        raise BadWeights(
            path,
            f"its scheduler predicts {prediction_type[:_MAX_NAME]}",
            "Give a base that predicts epsilon or v.",
        )
    return cast(PredictionType, prediction_type)


def _check_steps(config: Mapping[str, Any], path: Path) -> None:
    steps = config.get("num_train_timesteps", 1000)
    if type(steps) is not int or not 2 <= steps <= _MAX_STEPS:
        found = str(steps)[:_MAX_NAME]
        raise BadWeights(path, f"its scheduler has {found} steps, not 2 to {_MAX_STEPS:,}")


def _read_angles(config: Mapping[str, Any], path: Path) -> Tensor:
    settings = {key: value for key, value in config.items() if key in _SETTINGS}
    try:
        scheduler = DDPMScheduler(**settings)
    except BROKEN as error:
        reason = f"its scheduler's settings make no sense: {first_line(error)}"
        raise BadWeights(path, reason) from error
    signal_power = scheduler.alphas_cumprod.double()
    noise_power = 1 - signal_power
    angles = torch.atan2(noise_power.sqrt(), signal_power.sqrt())
    is_rising = bool((angles.diff() > 0).all())
    if len(angles) < 2 or not is_rising or not angles[-1] <= _MAX_ANGLE:
        raise BadWeights(path, "its scheduler's noise does not rise from step to step")
    return angles
