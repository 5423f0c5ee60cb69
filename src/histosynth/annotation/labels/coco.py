"""COCO's labels: one JSON with pictures, categories, and a keypoint and a box for each nucleus.

Boxes count from the corner of the first pixel, keypoints from its centre, as COCO's tools read
them. The number of a picture comes from its name, and that of a nucleus from its picture, so that
they are the same in every run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import BadNuclei
from ...core.nuclei import Nuclei
from ...core.version import __version__
from .boxes import LABEL_NOTICE, NOMINAL_DIAMETER_UM, boxes_of, class_numbers

MAX_COCO_NUCLEI = 99_999
"""Of a picture: its nuclei are numbered within its own hundred thousand."""
_IDS = 2**36
"""Numbers of pictures; a nucleus' stays below 2^53, so that every reader keeps it whole."""
_VISIBLE = 2
"""COCO's sign of a keypoint that is labelled and visible."""
_DIGITS = 3
CocoPicture = dict[str, Any]
"""`image` and `annotations` of one picture, without their numbers."""


def coco_picture(name: str, nuclei: Nuclei) -> CocoPicture:
    """The labels of one picture.

    Raises:
        BadNuclei: there are more than can be numbered.
    """
    if len(nuclei) > MAX_COCO_NUCLEI:
        raise BadNuclei(
            f"{name} has {len(nuclei):,} nuclei, and COCO's labels hold {MAX_COCO_NUCLEI:,} a "
            "picture.",
            "Make smaller tiles.",
        )
    width, height = nuclei.size
    annotations = []
    for number, centre, box in zip(
        class_numbers(nuclei),
        nuclei.xy.tolist(),
        boxes_of(nuclei).tolist(),
        strict=True,
    ):
        left, top, right, bottom = box
        sides = [right - left, bottom - top]
        x, y = centre
        annotations.append(
            {
                "category_id": number + 1,
                "bbox": _rounded([left, top, *sides]),
                "area": round(sides[0] * sides[1], _DIGITS),
                "iscrowd": 0,
                "keypoints": [*_rounded([x, y]), _VISIBLE],
                "num_keypoints": 1,
            }
        )
    image = {
        "file_name": name,
        "width": width,
        "height": height,
        "mpp": nuclei.mpp,
    }
    return {"image": image, "annotations": annotations}


def coco_text(pictures: Mapping[str, CocoPicture], names: Sequence[str]) -> str:
    """The JSON of pictures by file name, with categories of these names."""
    categories = []
    for number, name in enumerate(names, start=1):
        categories.append(
            {
                "id": number,
                "name": name,
                "supercategory": "nucleus",
                "keypoints": ["centre"],
                "skeleton": [],
            }
        )
    images = []
    annotations = []
    for name, image_id in _image_ids(sorted(pictures)).items():
        picture = pictures[name]
        images.append({"id": image_id, **picture["image"]})
        for number, annotation in enumerate(picture["annotations"], start=1):
            own_id = image_id * (MAX_COCO_NUCLEI + 1) + number
            annotations.append({"id": own_id, "image_id": image_id, **annotation})
    values = {
        "info": {
            "description": LABEL_NOTICE,
            "contributor": f"histosynth {__version__}",
            "synthetic": True,
            "box_um": NOMINAL_DIAMETER_UM,
        },
        "licenses": [],
        "categories": categories,
        "images": images,
        "annotations": annotations,
    }
    return json.dumps(values, separators=(",", ":")) + "\n"


def read_coco_text(text: str) -> tuple[dict[str, CocoPicture], list[str]]:
    """Pictures by file name and the names of categories, as `coco_text` wrote them.

    Raises:
        ValueError, LookupError, TypeError: it is something else.
    """
    values = json.loads(text)
    names = [str(category["name"]) for category in values["categories"]]
    by_id: dict[int, CocoPicture] = {}
    for image in values["images"]:
        plain = {key: value for key, value in image.items() if key != "id"}
        by_id[image["id"]] = {"image": plain, "annotations": []}
    for annotation in values["annotations"]:
        plain = {key: value for key, value in annotation.items() if key not in ("id", "image_id")}
        by_id[annotation["image_id"]]["annotations"].append(plain)
    return {str(each["image"]["file_name"]): each for each in by_id.values()}, names


def _image_ids(names: Sequence[str]) -> dict[str, int]:
    """A number from 1 for each name, the same whatever the other names are.

    Two names of one number are one in 14 million for 100 pictures; the later one takes the next.
    """
    ids: dict[str, int] = {}
    taken: set[int] = set()
    for name in names:
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        number = int.from_bytes(digest[:8], "big") % (_IDS - 1) + 1
        while number in taken:
            number = number % (_IDS - 1) + 1
        taken.add(number)
        ids[name] = number
    return ids


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, _DIGITS) for value in values]
