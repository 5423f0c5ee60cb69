"""JSON files that do not fit memory as they are, in any form, in one pass.

Which form it is may be known only at the end, since keys come in any order: what may be features,
cells or nuclei by number is collected apart, and the form takes its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np

from .cells_json import (
    CELLVIT,
    FACT_KEYS,
    HOVERNET,
    TIATOOLBOX,
    CellReader,
    is_entry,
)
from .collecting import ObjectCollector
from .geojson import FORM, FeatureReader, is_feature
from .json_text import LARGE, JsonText, no_json, twice
from .large_features import LargeFeature, LargeFeatures
from .objects import AnnotationFile

_CELLS = {"nuc": HOVERNET, "cells": CELLVIT}
_FEATURE_KEYS = (
    "type",
    "id",
    "geometry",
    "properties",
    "nucleusGeometry",
    "coordinates",
)
_OTHER_FEATURE_KEYS = (
    "geometries",
    "childObjects",
    "children",
)
_KEPT_KEYS = (
    *FACT_KEYS,
    "wsi_metadata",
    "type",
    "id",
)
NewCollector = Callable[[], ObjectCollector]


def read_large_list(text: JsonText, new_collector: NewCollector) -> AnnotationFile:
    """A list of features, or of nuclei, as its first value shows."""
    features = FeatureReader(new_collector())
    cells = CellReader(new_collector())
    large = LargeFeatures(text, features)
    form = ""
    for _ in text.elements():
        if form == TIATOOLBOX:
            cells.read(text.value())
            continue
        if form == FORM:
            large.read()
            continue
        first = text.small_value()
        form = TIATOOLBOX if is_entry(first) else FORM
        if form == TIATOOLBOX:
            cells.read(first)
        elif first is LARGE:
            large.read()
        else:
            features.read(first)
    text.end()
    return cells.as_file(form, {}) if form == TIATOOLBOX else features.as_file()


class LargeObject:
    """An object that holds features or nuclei, or is a feature.

    Args:
        text: of the file, before that object.
        new_collector: makes one for each thing that it may be.
    """

    def __init__(self, text: JsonText, new_collector: NewCollector) -> None:
        self._text = text
        self._listed = FeatureReader(new_collector())
        self._rooted = FeatureReader(new_collector())
        self._bare = FeatureReader(new_collector())
        self._numbered = CellReader(new_collector())
        self._cells = {key: CellReader(new_collector()) for key in _CELLS}
        self._feature: LargeFeature | None = None
        self._data: dict[str, Any] = {}
        self._has_entries = False
        self._keys = _Keys()

    def read(self) -> AnnotationFile | None:
        """The objects; None: it is of no known form."""
        for key in self._text.members():
            if key in self._data:
                raise twice(key)
            self._keys.add(key)
            self._read_member(key)
        self._text.end()
        self._keys.check()
        return self._as_file()

    def _as_file(self) -> AnnotationFile | None:
        for key, form in _CELLS.items():
            if key in self._data:
                return self._cells[key].as_file(form, self._data)
        if self._has_entries:
            return self._numbered.as_file(TIATOOLBOX, self._data)
        if isinstance(self._data.get("features"), list):
            return self._listed.as_file()
        if is_feature(self._data) and self._feature:
            self._feature.settle()
            return self._bare.as_file()
        return self._rooted.as_file() if "root" in self._data else None

    def _read_member(self, key: str) -> None:
        bracket = self._text.peek()
        if key in _CELLS:
            self._data[key] = bracket
            self._read_cells(self._cells[key])
        elif (key, bracket) == ("features", "["):
            self._data[key] = []
            LargeFeatures(self._text, self._listed).read_list()
        elif (key, bracket) == ("root", "{"):
            self._data[key] = {}
            LargeFeatures(self._text, self._rooted).read()
        elif key in (*_FEATURE_KEYS, *_OTHER_FEATURE_KEYS):
            self._read_feature_member(key)
        else:
            self._read_other(key)

    def _read_cells(self, reader: CellReader) -> None:
        cells = self._text.small_value()
        if cells is not LARGE:
            reader.read_all(cells)
        elif self._text.peek() == "[":
            for _ in self._text.elements():
                reader.read(self._text.value())
        elif self._text.peek() == "{":
            keys = _Keys()
            for key in self._text.members():
                keys.add(key)
                reader.read(self._text.value())
            keys.check()
        else:
            reader.read_all(self._text.value())

    def _read_feature_member(self, key: str) -> None:
        """A member of a bare feature or geometry."""
        if self._feature is None:
            self._feature = LargeFeature(
                self._text,
                self._bare,
                0,
            )
        self._feature.read_member(key)
        value = self._feature.members.get(key)
        self._data[key] = value if key in _KEPT_KEYS else None
        self._number(value)

    def _read_other(self, key: str) -> None:
        if key in _KEPT_KEYS:
            self._data[key] = self._text.value()
            return
        value: Any = []
        if self._text.peek() == "[":
            self._text.skip()
        else:
            value = self._text.value()
        self._number(value)

    def _number(self, value: Any) -> None:
        """Take a value as a nucleus, in case the members are nuclei by number."""
        self._has_entries = self._has_entries or is_entry(value)
        self._numbered.read(value)


class _Keys:
    """Keys of an object of millions of members, by their hashes."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, key: str) -> None:
        """Note a key."""
        self._hashes.append(hash(key))

    def check(self) -> None:
        """Refuse keys that stand twice: which of the values counts is not known."""
        _, counts = np.unique(np.frombuffer(self._hashes, np.int64), return_counts=True)
        if (counts > 1).any():
            raise no_json(f"an object holds {int((counts > 1).sum()):,} of its keys twice")
