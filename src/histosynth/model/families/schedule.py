"""The noise of a discrete base (Ho et al. 2020), as angles: x = cos(a) x0 + sin(a) e at each of its
steps.

An angle grows from about 0 (clean) to about a right one (noise). The straight way of flow matching,
(1 - t) x0 + t e, passes through the same mixtures but for their size, at tan(a) = t / (1 - t): that
is all a solver of flows needs to lead such a base.
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
from ..prediction import Level, PredictionType

MOST_STEPS = 100_000


@dataclass(frozen=True, eq=False)
class Schedule:
    """Steps of a base.

    Attributes:
        prediction_type: what the base predicts.
        angles: (N,) float64 rising, of its N steps.
    """

    prediction_type: PredictionType
    angles: Tensor

    def step_of(self, time: Tensor) -> Tensor:
        """(B,) times in [0, 1] => the base's own numbers of steps, 0 to N - 1; whole ones stay
        whole.
        """
        return (time.double() * (len(self.angles) - 1)).to(torch.float32)

    def level(self, time: Tensor) -> Level:
        """Scales at (B,) times in [0, 1]; between two steps by the angle."""
        return level_of(self._angle(time.double() * (len(self.angles) - 1)))

    def along_flow(self, time: Tensor) -> tuple[Tensor, Tensor, Level]:
        """Where a flow's times (B,) lie on the base's way.

        Returns:
            What to multiply the flow's latents with, (B,); the base's times (B,); its level there.
            Noise beyond the base's last step, or below its first, counts as that step's.
        """
        angle = torch.atan2(time.double(), 1 - time.double())
        size = (angle.cos() + angle.sin()).float()
        known = self.angles.to(angle.device)
        inside = angle.clamp(known[0], known[-1])
        above = torch.searchsorted(known, inside).clamp(1, len(known) - 1)
        low = known[above - 1]
        high = known[above]
        step = above - 1 + (inside - low) / (high - low)
        return size, (step / (len(known) - 1)).float(), level_of(inside)

    def _angle(self, step: Tensor) -> Tensor:
        known = self.angles.to(step.device)
        below = step.floor().long().clamp(0, len(known) - 2)
        return torch.lerp(known[below], known[below + 1], step - below)


def level_of(angle: Tensor) -> Level:
    """(B,) angles => scales, float32."""
    return Level(angle.cos().float(), angle.sin().float())


def read_schedule(config: Mapping[str, Any], where: Path) -> Schedule:
    """A schedule from diffusers' `scheduler_config.json`, whatever scheduler it names.

    Args:
        config: its values.
        where: for the sentence.

    Raises:
        BadWeights: it predicts what no solver here knows, or its betas are none.
    """
    prediction_type = str(config.get("prediction_type", "epsilon"))
    if prediction_type not in get_args(PredictionType) or prediction_type == "flow":
        raise BadWeights(
            where,
            f"its scheduler predicts {prediction_type}",
            "Give a base that predicts epsilon or v.",
        )
    known = {
        "num_train_timesteps",
        "beta_start",
        "beta_end",
        "beta_schedule",
        "trained_betas",
        "rescale_betas_zero_snr",
        "timestep_spacing",
    }
    steps = config.get("num_train_timesteps", 1000)
    if not isinstance(steps, int) or not 2 <= steps <= MOST_STEPS:
        raise BadWeights(where, f"its scheduler has {steps} steps, not 2 to {MOST_STEPS:,}")
    if prediction_type == "epsilon" and config.get("rescale_betas_zero_snr"):
        raise BadWeights(where, "its scheduler ends in pure noise, of which epsilon says nothing")
    try:
        ddpm = DDPMScheduler(**{key: value for key, value in config.items() if key in known})
    except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        reason = f"its scheduler's settings make no sense: {first_line(error)}"
        raise BadWeights(where, reason) from error
    kept = ddpm.alphas_cumprod.double()
    angles = torch.atan2((1 - kept).sqrt(), kept.sqrt())
    if len(angles) < 2 or not (angles.diff() > 0).all() or not angles[-1] <= math.pi / 2 + 1e-9:
        raise BadWeights(where, "its scheduler's noise does not rise from step to step")
    return Schedule(cast(PredictionType, prediction_type), angles)
