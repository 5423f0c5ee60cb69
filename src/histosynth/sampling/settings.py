"""The bundle's default settings and appearance, with the user's options in their place."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from ..annotation.chosen_nuclei import warn_of
from ..core.errors import BadOption
from ..core.pictures import PictureInput
from ..core.synthetic import stated_mpp
from ..model.bundle import Bundle
from ..tissue.appearance import Appearance
from ..tissue.reference import ReferenceNotes, measure_reference
from .batches import check_scale
from .few_steps import FEW_STEPS_SOLVER
from .options import SamplingOptions
from .painter import SamplingSettings
from .provenance import adapter_of_verb, verb_adapter
from .solvers import check_solver, check_steps

Verb = Literal["synthesize", "complete"]
MAX_GUIDANCE = 20


def resolve_appearance(
    appearance: PictureInput | Appearance | None,
    bundle: Bundle,
) -> Appearance:
    """The appearance that a picture, a name or None stands for.

    A text is a name of the palette if the palette has it, else the path of a picture.

    Raises:
        BadOption: neither a palette entry nor a file of that name.
        ScaleMismatch: the picture states a scale too far from the bundle's.
        NotRGB, UnreadableImage: the picture cannot be used.
        StainNotFound: the picture shows no stain.
    """
    if isinstance(appearance, Appearance):
        return appearance
    if appearance is None:
        return palette_appearance(None, bundle)
    if isinstance(appearance, str):
        names = [entry.name for entry in bundle.info.palette]
        if appearance in names or not os.path.isfile(appearance):
            return palette_appearance(appearance, bundle)
    mpp = stated_mpp(appearance)
    if mpp is not None:
        check_scale(mpp, bundle.info)
    measured = measure_reference(appearance, "the appearance")
    for sentence in ReferenceNotes.of([("given as appearance", measured)]).sentences():
        warn_of(sentence)
    return measured


def palette_appearance(name: str | None, bundle: Bundle) -> Appearance:
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
    # of another solver fewer steps are not known to do
    is_default_solver = options.solver in (None, bundle.info.solver)
    settings = replace(
        default_settings(
            bundle,
            verb,
            exemplar=options.exemplar and is_default_solver,
        ),
        few_steps=_allows_few_steps(bundle, verb, options),
    )
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
    return replace(
        settings,
        exemplar=options.exemplar,
        grain=options.grain,
    )


def _allows_few_steps(bundle: Bundle, verb: Verb, options: SamplingOptions) -> bool:
    """Whether a user leaves steps, solver and guidance to the bundle, or states those of its few
    steps, as recipes of their pictures do.
    """
    if options.steps is None:
        return options.solver is None and options.guidance is None
    info = bundle.few_steps_of(adapter_of_verb(verb))
    if info is None or info.few_steps is None:
        return False
    is_of_few = options.solver in (None, FEW_STEPS_SOLVER) and options.guidance in (None, 1)
    return is_of_few and info.few_steps.steps == options.steps


def default_settings(
    bundle: Bundle,
    verb: Verb,
    *,
    exemplar: bool = True,
) -> SamplingSettings:
    """The bundle's own settings for a verb.

    Args:
        bundle: whose.
        verb: `synthesize` or `complete`.
        exemplar: whether a completion begins with copied tissue, so that its own number of steps
            does.
    """
    settings = adapter_settings(bundle, verb_adapter(bundle, verb))
    completion_steps = bundle.info.completion_steps
    if verb == "complete" and exemplar and completion_steps:
        return replace(settings, steps=completion_steps)
    return settings


def adapter_settings(bundle: Bundle, name: str | None) -> SamplingSettings:
    """The bundle's own settings for an adapter; None: for its base alone.

    An adapter into which guidance is distilled needs none: with it the default is 1.
    """
    info = bundle.info
    adapter = None if name is None else bundle.adapters.get(name)
    is_distilled = adapter is not None and adapter.guidance is not None
    return SamplingSettings(
        steps=info.steps,
        guidance=1.0 if is_distilled else info.guidance,
        solver=info.solver,
        shift=info.shift,
        guidance_span=info.guidance_span,
        few_steps=True,
    )
