"""Synthetic tissue as an image of Pillow that keeps its mark when it is saved."""

from __future__ import annotations

import os
from typing import Any

from PIL import Image

from .marking import RECIPE_KEY, save_options
from .tile import Pixels

_OF_THE_USER = ("compression", "dpi")
"""Options of a format that are no part of the mark."""


class MarkedImage(Image.Image):
    """A PIL image whose `save` marks the file as synthetic, with the recipe inside.

    What Pillow derives from it (`resize`, `crop`, `copy`) is a plain image without a mark.
    """

    def save(
        self,
        fp: Any,
        format: str | None = None,
        **params: Any,
    ) -> None:
        """Write it as `PIL.Image.Image.save` does, with the mark.

        Raises:
            BadOption: a format other than PNG, TIFF, JPEG and WebP: it has no place for the mark.
        """
        form = format.upper() if format else _form_of(fp)
        mark = save_options(form, self.info[RECIPE_KEY])
        for key in _OF_THE_USER:
            if key in params:
                mark.pop(key, None)
        params.update(mark)
        super().save(fp, format, **params)


def marked_image(pixels: Pixels, recipe: dict[str, Any]) -> MarkedImage:
    """(H, W, 3) uint8 RGB as an image of Pillow with its mark."""
    image = MarkedImage()
    vars(image).update(vars(Image.fromarray(pixels)))
    image.info = {RECIPE_KEY: recipe}
    return image


def _form_of(path: Any) -> str:
    """Pillow's name of a file's format, by its ending; the ending itself where it has none."""
    name = os.fspath(getattr(path, "name", path))
    _, ending = os.path.splitext(name)
    forms = Image.registered_extensions()
    return forms.get(ending.lower(), ending or "missing")
