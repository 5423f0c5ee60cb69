"""How a bundle paints unless told otherwise: its default settings, and the appearance to take."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from ..core.errors import BadOption
from ..core.tile import Pixels, check_rgb
from ..model.bundle import Bundle
from ..tissue.appearance import Appearance, measure_appearance
from .painter import Settings
from .provenance import verb_adapter

Verb = Literal["synthesize", "complete"]


def resolve_appearance(appearance: Pixels | Appearance | str | None, bundle: Bundle) -> Appearance:
    """An appearance from whatever the user gave.

    Raises:
        BadOption: no palette entry of that name.
    """
    if isinstance(appearance, Appearance):
        return appearance
    if appearance is None or isinstance(appearance, str):
        palette = {entry.name: entry.appearance for entry in bundle.info.palette}
        if appearance is None:
            return next(iter(palette.values()))
        if appearance not in palette:
            raise BadOption(
                "the appearance",
                appearance,
                f"a picture or one of {', '.join(palette)}",
            )
        return palette[appearance]
    check_rgb(appearance, "the appearance")
    return measure_appearance(appearance)


def settings_for(
    bundle: Bundle,
    verb: Verb,
    steps: int | None,
    guidance: float | None,
) -> Settings:
    """The bundle's default settings for a verb, with the user's in their place.

    An adapter that has learnt guidance needs none: with it the default is 1.
    """
    info = bundle.info
    adapter = bundle.adapters.get(verb_adapter(bundle, verb) or "")
    usual = info.guidance if adapter is None or adapter.guidance is None else 1.0
    settings = Settings(
        info.steps,
        usual,
        info.solver,
        info.shift,
        info.guidance_span,
    )
    if guidance is not None and not 0 <= guidance <= 20:
        raise BadOption("--guidance", guidance, "from 0 to 20")
    if steps is not None and not 1 <= steps <= 200:
        raise BadOption("--steps", steps, "from 1 to 200")
    return replace(
        settings,
        steps=settings.steps if steps is None else steps,
        guidance=settings.guidance if guidance is None else guidance,
    )
