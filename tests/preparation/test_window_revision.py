"""Keys of jobs: tiles whose nuclei another way of windowing found are not mixed with new ones."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from histosynth.preparation.jobs import _window_revision


@pytest.mark.parametrize(
    ("source", "is_keyed"),
    [("centroids", True), ("centroids-fast", True), ("blobs", False), ("files", False)],
)
def test_an_embedded_detectors_windows_are_in_the_key(source, is_keyed):
    recipe = SimpleNamespace(nuclei=SimpleNamespace(source=source))
    assert bool(_window_revision(SimpleNamespace(recipe=recipe))) == is_keyed
