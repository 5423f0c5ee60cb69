"""Progress bar and callback of a pipeline of diffusers, driven by the callback per solver step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ..core.errors import BadOption
from ..sampling.steps import SamplingStep, StepOfSampling

CallbackOnStepEnd = Callable[[Any, int, float, dict[str, Any]], Mapping[str, Any] | None]
"""(pipeline, step from 0, timestep from 1000 to 0, {"step": a `SamplingStep`}) => nothing, or what
it received."""
_TIMESTEPS = 1000
"""The timestep of pure noise, as diffusers counts."""
_STEP = "step"
_RECEIVES = (
    f'left out: a callback receives {{"{_STEP}": step}}, and step.preview() are the pictures'
)
_RETURNS = "nothing, or what it received: seed and settings alone make a picture again"


class PipelineWithSteps(Protocol):
    """What a pipeline of diffusers has for callbacks."""

    _interrupt: bool
    _num_timesteps: int

    def progress_bar(
        self,
        iterable: Any = None,
        total: int | None = None,
    ) -> AbstractContextManager[Any]:
        """See diffusers."""


def check_callback(callback: CallbackOnStepEnd | None, tensors: Sequence[str] | None) -> None:
    """Refuse callbacks that want tensors.

    Args:
        callback: the user's; those of diffusers itself name the tensors that they change.
        tensors: `callback_on_step_end_tensor_inputs`.

    Raises:
        BadOption: it wants any.
    """
    wanted = tensors or getattr(callback, "tensor_inputs", None)
    if wanted:
        found = ", ".join(wanted)
        raise BadOption("callback_on_step_end_tensor_inputs", found, _RECEIVES)


def call_with_steps(
    pipe: PipelineWithSteps,
    verb: Callable[..., Any],
    arguments: Mapping[str, Any],
    callback: CallbackOnStepEnd | None,
) -> Any:
    """Call a verb with the progress bar of a pipeline, and a callback as diffusers calls it.

    The bar counts solver steps of single pictures. Where the callback sets `_interrupt` of the
    pipeline, sampling ends.

    Raises:
        BadOption: the callback returns values that it was not given.
        Cancelled: it interrupted.
    """
    pipe._interrupt = False
    with pipe.progress_bar(total=0) as bar:
        return verb(**arguments, on_step=_watching(pipe, bar, callback))


def _watching(
    pipe: PipelineWithSteps,
    bar: Any,
    callback: CallbackOnStepEnd | None,
) -> StepOfSampling:
    """The callback per solver step that moves the bar and calls the user's."""

    def on_step(step: SamplingStep) -> None:
        pipe._num_timesteps = step.steps
        bar.total = step.steps * step.pictures
        done = step.steps * step.finished + step.step * len(step.places)
        bar.update(done - bar.n)
        if callback is not None:
            timestep = _TIMESTEPS * step.time
            _check_returned(callback(pipe, step.step - 1, timestep, {_STEP: step}))
        if pipe._interrupt:
            step.cancel()

    return on_step


def _check_returned(values: Mapping[str, Any] | None) -> None:
    """Refuse what a callback wants to change."""
    changed = [name for name in values or {} if name != _STEP]
    if changed:
        raise BadOption("what the callback returns", ", ".join(changed), _RETURNS)
