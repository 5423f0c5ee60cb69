"""The bundle's default settings and appearance, with the user's options in their place."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..core.errors import BadOption
from ..core.tile import Pixels, check_rgb
from ..model.bundle import Bundle
from ..tissue.appearance import Appearance, measure_appearance
from .options import SamplingOptions
from .painter import SamplingSettings
from .provenance import verb_adapter
from .solvers import check_solver, check_steps

Verb = Literal["synthesize", "complete"]
MAX_GUIDANCE = 20


def resolve_appearance(appearance: Pixels | Appearance | str | None, bundle: Bundle) -> Appearance:
    """The appearance that a picture, a name or None stands for.

    Raises:
        BadOption: no palette entry of that name.
    """
    if isinstance(appearance, Appearance):
        return appearance
    if appearance is None or isinstance(appearance, str):
        return _palette_appearance(appearance, bundle)
    check_rgb(appearance, "the appearance")
    return measure_appearance(appearance)


def _palette_appearance(name: str | None, bundle: Bundle) -> Appearance:
    """The palette's entry of that name; None: its first."""
    palette = {entry.name: entry.appearance for entry in bundle.info.palette}
    if name is None:
        return next(iter(palette.values()))
    if name not in palette:
        raise BadOption(
            "the appearance",
            name,
            f"a picture or one of {', '.join(palette)}",
        )
    return palette[name]


def settings_for(bundle: Bundle, verb: Verb, options: SamplingOptions) -> SamplingSettings:
    """The bundle's default settings for a verb, with the user's options in their place.

    Raises:
        BadOption: an option that cannot be used.
    """
    settings = default_settings(bundle, verb)
    if options.guidance is not None:
        if not 0 <= options.guidance <= MAX_GUIDANCE:
            raise BadOption("--guidance", options.guidance, f"from 0 to {MAX_GUIDANCE}")
        settings = replace(settings, guidance=options.guidance)
    if options.steps is not None:
        check_steps(options.steps)
        settings = replace(settings, steps=options.steps)
    if options.solver is not None:
        check_solver(options.solver)
        settings = replace(settings, solver=options.solver)
    return replace(settings, exemplar=options.exemplar)


def default_settings(bundle: Bundle, verb: Verb) -> SamplingSettings:
    """The bundle's own settings for a verb.

    An adapter into which guidance is distilled needs none: with it the default is 1.
    """
    info = bundle.info
    name = verb_adapter(bundle, verb)
    adapter = None if name is None else bundle.adapters.get(name)
    is_distilled = adapter is not None and adapter.guidance is not None
    return SamplingSettings(
        steps=info.steps,
        guidance=1.0 if is_distilled else info.guidance,
        solver=info.solver,
        shift=info.shift,
        guidance_span=info.guidance_span,
    )
