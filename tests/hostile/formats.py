"""All formats by name. A new one is one file with `FORMATS`, and one line here."""

from __future__ import annotations

from . import annotations, own_files, pictures, recipe_files, slide_files, tile_sets
from .trial import Format

_MODULES = (pictures, slide_files, annotations, tile_sets, recipe_files, own_files)
FORMATS: dict[str, Format] = {form.name: form for module in _MODULES for form in module.FORMATS}
