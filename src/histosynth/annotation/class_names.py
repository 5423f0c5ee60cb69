"""The class and the object type of a GeoJSON feature, from its properties."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..core.nuclei import ANY
from .objects import ANNOTATION, CELL, DETECTION, UNSTATED

OBJECT_TYPES = {
    "detection": DETECTION,
    "pathdetectionobject": DETECTION,
    "cell": CELL,
    "pathcellobject": CELL,
    "annotation": ANNOTATION,
    "pathannotationobject": ANNOTATION,
    "tile": "tile",
    "pathtileobject": "tile",
    "tmacore": "tmaCore",
    "tma_core": "tmaCore",
    "tmacoreobject": "tmaCore",
    "root": "root",
    "pathrootobject": "root",
}
"""Names of QuPath's object types in all of its versions, in lower case."""
CLASS_PROPERTIES = ("classification", "class", "type")
"""Properties that state a class: QuPath's, those of this project's own files and TIAToolbox's."""
_TYPE_PROPERTIES = ("objectType", "object_type")
_LIKE_A_CLASS = re.compile(r"class|category|phenotype|label|(^|[_\- ])type|type$|^group$")
_MAX_NESTED = 4
"""Texts that hold JSON, e.g. after geopandas wrote a file again, lie no deeper than this."""


def object_type_of(feature: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """QuPath's object type; "" where none is stated.

    Raises:
        ValueError: it is no text.
    """
    for key in _TYPE_PROPERTIES:
        value = properties.get(key)
        if value is not None:
            if not isinstance(value, str):
                raise ValueError(f"its {key} is {value!r}")
            # QuPath takes what it does not know for an annotation
            return OBJECT_TYPES.get(value.lower(), ANNOTATION)
    for value in (properties.get("type"), feature.get("id")):  # the id: QuPath 0.2
        if isinstance(value, str) and value.lower() in OBJECT_TYPES:
            return OBJECT_TYPES[value.lower()]
    return UNSTATED


def class_of(properties: Mapping[str, Any], object_type: str) -> str:
    """The class of a feature; `any` where it states none.

    Raises:
        ValueError: a property states a class, but not as one of the known ones do.
    """
    for key in CLASS_PROPERTIES:
        value = properties.get(key)
        if key == "type" and isinstance(value, str) and value.lower() in OBJECT_TYPES:
            continue
        name = _name_in(value)
        if name:
            return name
    _refuse_unknown(properties, object_type)
    return ANY


def _name_in(value: Any, nested: int = 0) -> str:
    """The class name in a property's value; "" where it states none."""
    if value is None or value == {}:
        return ""
    if isinstance(value, dict):
        return _name_in_classification(value)
    if isinstance(value, str):
        return _name_in_text(value, nested)
    if isinstance(value, list):
        return _joined(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"its class is {value!r}")
    return class_number(value)


def class_number(value: float) -> str:
    """A class that is a number, as text: 1 and 1.0 are the same.

    Raises:
        ValueError: it is no whole number.
    """
    if value != value or int(value) != value:
        raise ValueError(f"its class is the number {value!r}")
    return str(int(value))


def _name_in_classification(value: Mapping[str, Any]) -> str:
    """QuPath's classification: a name, or the names of a derived class."""
    names = value.get("names")
    if names is not None:
        return _joined(names)
    if "name" not in value:
        raise ValueError("it has no class name")
    name = value["name"]
    if name is None:
        return ""
    if not isinstance(name, str):
        raise ValueError("it has no class name")
    return name if name.strip() else ""


def _name_in_text(value: str, nested: int) -> str:
    """Text is the name, unless it is blank or the JSON of a classification."""
    if not value.strip():
        return ""
    if not value.lstrip().startswith(("{", "[")):
        return value
    if nested >= _MAX_NESTED:
        raise ValueError("its class is JSON in JSON")
    return _name_in(json.loads(value), nested + 1)


def _joined(names: Any) -> str:
    """A derived class as QuPath shows it, e.g. `Tumor: Positive`."""
    if not isinstance(names, list):
        raise ValueError(f"its class names are {names!r}")
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"its class names are {names!r}")
    return ": ".join(names)


def may_matter(key: str) -> bool:
    """Whether a property of this name decides on the class or the type of an object, or is refused
    where another one does not.
    """
    lower = key.lower()
    is_known = key in (*CLASS_PROPERTIES, *_TYPE_PROPERTIES)
    return is_known or lower == "name" or _LIKE_A_CLASS.search(lower) is not None


def _refuse_unknown(properties: Mapping[str, Any], object_type: str) -> None:
    """Refuse a property that looks like a class: without it the class would be lost.

    Raises:
        ValueError: naming it.
    """
    known = {*CLASS_PROPERTIES, *_TYPE_PROPERTIES}
    for key, value in properties.items():
        # QuPath's objects have names of their own, which are no classes
        is_name = key.lower() == "name" and object_type == UNSTATED
        is_like = _LIKE_A_CLASS.search(key.lower()) is not None and key not in known
        if (is_name or is_like) and _may_be_class(key, value):
            raise ValueError(
                f"its property {key!r} is {value!r}, which may be a class, and the properties "
                f"that are read as one ({', '.join(CLASS_PROPERTIES)}) state none"
            )


def _may_be_class(key: str, value: Any) -> bool:
    """Text may be a class, and so may a whole number, unless it is the number of a label."""
    if isinstance(value, str):
        return bool(value.strip())
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and "label" not in key.lower()
