"""Labels in the conventions of each format: read back by ours and by those of the format."""

import json

import numpy as np
import pytest
import yaml
from pycocotools.coco import COCO

from histosynth.annotation.labels.boxes import NOMINAL_DIAMETER_UM, boxes_of
from histosynth.annotation.labels.coco import coco_picture, coco_text
from histosynth.annotation.labels.files import LABEL_FORMATS, LabelFiles, parse_label_formats
from histosynth.annotation.labels.qupath import qupath_text
from histosynth.annotation.labels.yolo import yolo_data, yolo_text
from histosynth.annotation.nuclei_files import read_nuclei
from histosynth.core.dots import ANY_CLASS_COLOUR, CLASS_COLOURS
from histosynth.core.errors import BadOption, NotWritable
from histosynth.core.nuclei import ANY, Nuclei
from histosynth.core.sheet import class_colour

SIZE = (64, 48)
MPP = 0.5
CLASSES = ("epithelial", "lymphocyte", "stromal")
XY = [[-0.5, -0.5], [10.0, 20.0], [63.25, 47.25], [30.5, 8.125]]
NAMES = ["epithelial", "stromal", "lymphocyte", ANY]
SIDE = NOMINAL_DIAMETER_UM / MPP


def nuclei_of(xy=XY, names=NAMES):
    return Nuclei.of(xy, names, size=SIZE, mpp=MPP, classes=CLASSES)


EMPTY = Nuclei.none(SIZE, MPP, CLASSES)


def write(folder, pictures, formats=LABEL_FORMATS):
    labels = LabelFiles(folder, formats, pictures)
    for name in pictures:
        (folder / name).touch()
        labels.write(name)
    labels.write_lists()
    return labels


def files_in(folder):
    found = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.relative_to(folder).as_posix() for path in found)


def centres_of(boxes):
    """Centres of boxes (N, 4) left, top, right, bottom, of which the border cut parts."""
    left, top, right, bottom = boxes.T
    x = np.where(left > 0, left + SIDE / 2, right - SIDE / 2)
    y = np.where(top > 0, top + SIDE / 2, bottom - SIDE / 2)
    return np.stack([x, y], 1)


def test_each_format_has_its_files_and_no_nuclei_are_an_empty_label(tmp_path):
    write(tmp_path, {"a_0.png": nuclei_of(), "b_0.png": EMPTY})
    assert files_in(tmp_path) == [
        ".histosynth.jsonl",
        "a_0.png",
        "a_0.txt",
        "b_0.png",
        "b_0.txt",
        "coco/annotations.json",
        "csv/a_0.csv",
        "csv/b_0.csv",
        "data.yaml",
        "geojson/a_0.geojson",
        "geojson/b_0.geojson",
    ]
    assert (tmp_path / "csv" / "b_0.csv").read_bytes() == b"x,y,class\r\n"
    assert json.loads((tmp_path / "geojson" / "b_0.geojson").read_text())["features"] == []
    assert (tmp_path / "b_0.txt").read_text() == ""
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a_0.png", "b_0.png"]
    assert len(coco["annotations"]) == 4


@pytest.mark.parametrize("name", ["csv/a_0.csv", "geojson/a_0.geojson"])
def test_our_readers_read_them_back(tmp_path, name):
    write(tmp_path, {"a_0.png": nuclei_of(), "b_0.png": EMPTY}, ("csv", "geojson"))
    notes = []
    options = {"size": SIZE, "mpp": MPP, "classes": CLASSES, "on_note": notes.append}
    found = read_nuclei(tmp_path / name, **options)
    np.testing.assert_allclose(found.xy, XY, atol=0.0011)
    assert found.names() == NAMES and not notes
    assert len(read_nuclei(tmp_path / name.replace("a_0", "b_0"), **options)) == 0


def test_geojson_has_classes_and_colours_as_qupath_states_them():
    collection = json.loads(qupath_text(nuclei_of()))
    assert collection["type"] == "FeatureCollection"
    assert collection["notice"] == "Synthetic. For research use; not for diagnosis."
    assert collection["features"][1] == {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [10.5, 20.5]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": "stromal", "color": list(CLASS_COLOURS[2])},
        },
    }
    assert collection["features"][3]["properties"] == {"objectType": "detection"}
    assert class_colour(255) == ANY_CLASS_COLOUR


def test_boxes_have_the_nominal_side_and_end_at_the_border():
    boxes = boxes_of(nuclei_of())
    np.testing.assert_allclose(boxes[0], [0, 0, 8, 8])
    np.testing.assert_allclose(boxes[1], [2.5, 12.5, 18.5, 28.5])
    np.testing.assert_allclose(boxes[2], [55.75, 39.75, 64, 48])


def test_yolo_lines_are_shares_of_the_picture():
    text = yolo_text(nuclei_of())
    values = np.array([line.split() for line in text.splitlines()], float)
    assert values[:, 0].tolist() == [0, 2, 1, 3]
    assert (values[:, 1:] >= 0).all() and (values[:, 1:] <= 1).all()
    scale = np.array(SIZE)
    centre = values[:, 1:3] * scale
    half = values[:, 3:] * scale / 2
    boxes = np.concatenate([centre - half, centre + half], 1).round(3)
    np.testing.assert_allclose(centres_of(boxes) - 0.5, XY, atol=0.001)


def test_yolo_data_is_yaml_in_its_own_folder():
    values = yaml.safe_load(yolo_data(["a: b", "tumour #1"]))
    assert values == {"train": ".", "val": ".", "names": {0: "a: b", 1: "tumour #1"}}
    assert yolo_data(["a"]).startswith("# Synthetic. For research use; not for diagnosis.\n")


def test_coco_states_keypoints_from_the_pixel_and_boxes_from_its_corner():
    picture = coco_picture("a_0.png", nuclei_of())
    coco = json.loads(coco_text({"a_0.png": picture}, [*CLASSES, ANY]))
    assert coco["info"]["synthetic"] is True and coco["info"]["box_um"] == NOMINAL_DIAMETER_UM
    assert coco["categories"][2] == {
        "id": 3,
        "name": "stromal",
        "supercategory": "nucleus",
        "keypoints": ["centre"],
        "skeleton": [],
    }
    (image,) = coco["images"]
    assert (image["width"], image["height"], image["mpp"]) == (64, 48, 0.5)
    assert coco["annotations"][1] == {
        "id": image["id"] * 100_000 + 2,
        "image_id": image["id"],
        "category_id": 3,
        "bbox": [2.5, 12.5, 16.0, 16.0],
        "area": 256.0,
        "iscrowd": 0,
        "keypoints": [10.0, 20.0, 2],
        "num_keypoints": 1,
    }
    assert max(each["id"] for each in coco["annotations"]) < 2**53


def test_coco_is_read_by_its_own_library(tmp_path):
    write(tmp_path, {"a_0.png": nuclei_of(), "b_0.png": EMPTY}, ("coco",))
    coco = COCO(str(tmp_path / "coco" / "annotations.json"))
    by_name = {image["file_name"]: image["id"] for image in coco.loadImgs(coco.getImgIds())}
    assert set(by_name) == {"a_0.png", "b_0.png"}
    assert coco.getAnnIds(imgIds=[by_name["b_0.png"]]) == []
    found = coco.loadAnns(coco.getAnnIds(imgIds=[by_name["a_0.png"]]))
    np.testing.assert_allclose([each["keypoints"][:2] for each in found], XY, atol=0.0006)
    names = [coco.loadCats(each["category_id"])[0]["name"] for each in found]
    assert names == NAMES


def test_numbers_of_coco_are_the_same_whatever_else_is_there():
    one = coco_picture("a_0.png", nuclei_of())
    other = coco_picture("b_0.png", nuclei_of())
    alone = json.loads(coco_text({"b_0.png": other}, CLASSES))
    both = json.loads(coco_text({"b_0.png": other, "a_0.png": one}, CLASSES))
    assert both["images"][1] == alone["images"][0]
    assert both["annotations"][4:] == alone["annotations"]


def test_another_run_adds_its_pictures_and_nothing_else_changes(tmp_path):
    write(tmp_path, {"b_0.png": nuclei_of()})
    before = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    write(tmp_path, {"a_0.png": nuclei_of()})
    after = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert [image["file_name"] for image in after["images"]] == ["a_0.png", "b_0.png"]
    assert after["images"][1] == before["images"][0]
    (tmp_path / "b_0.png").unlink()
    write(tmp_path, {"c_0.png": EMPTY})
    last = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert [image["file_name"] for image in last["images"]] == ["a_0.png", "c_0.png"]


def test_the_same_labels_once_more_leave_every_file(tmp_path):
    pictures = {"a_0.png": nuclei_of(), "b_0.png": EMPTY}
    write(tmp_path, pictures)
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in files_in(tmp_path)}
    write(tmp_path, pictures)
    after = {name: (tmp_path / name).stat().st_mtime_ns for name in files_in(tmp_path)}
    del before["a_0.png"], before["b_0.png"], after["a_0.png"], after["b_0.png"]
    assert after == before


def test_the_class_any_is_the_last_one_and_only_where_it_is_needed(tmp_path):
    known = nuclei_of(XY[:3], NAMES[:3])
    write(tmp_path, {"a_0.png": known})
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["names"] == dict(enumerate(CLASSES))
    write(tmp_path, {"b_0.png": nuclei_of()})
    names = dict(enumerate([*CLASSES, ANY]))
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["names"] == names
    write(tmp_path, {"a_0.png": known})  # stays, since the labels of b_0 count on it
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["names"] == names
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert [each["name"] for each in coco["categories"]] == [*CLASSES, ANY]


@pytest.mark.parametrize(
    ("label_format", "name"), [("coco", "coco/annotations.json"), ("yolo", "data.yaml")]
)
def test_labels_of_other_classes_are_not_mixed(tmp_path, label_format, name):
    write(tmp_path, {"a_0.png": nuclei_of()}, (label_format,))
    other = Nuclei.of([[1, 1]], ["mitosis"], size=SIZE, mpp=MPP, classes=("mitosis",))
    with pytest.raises(NotWritable) as refusal:
        LabelFiles(tmp_path, (label_format,), {"b_0.png": other})
    assert str(refusal.value) == (
        f"{tmp_path / name} cannot be written: it lists other classes than this bundle's. Choose "
        "another --out."
    )


@pytest.mark.parametrize("name", ["csv/a_0.csv", "a_0.txt", "data.yaml", "coco/annotations.json"])
def test_files_of_the_user_and_labels_that_were_changed_stay(tmp_path, name):
    pictures = {"a_0.png": nuclei_of()}
    write(tmp_path, pictures)
    (tmp_path / name).write_text("mine")
    with pytest.raises(NotWritable, match="histosynth did not write what is there"):
        LabelFiles(tmp_path, LABEL_FORMATS, pictures)
    assert (tmp_path / name).read_text() == "mine"


def test_labels_that_are_there_follow_a_picture_that_is_replaced(tmp_path):
    write(tmp_path, {"a_0.png": nuclei_of()})
    write(tmp_path, {"a_0.png": EMPTY}, formats=())
    assert (tmp_path / "csv" / "a_0.csv").read_bytes() == b"x,y,class\r\n"
    assert (tmp_path / "a_0.txt").read_text() == ""
    coco = json.loads((tmp_path / "coco" / "annotations.json").read_text())
    assert len(coco["images"]) == 1 and coco["annotations"] == []


def test_nuclei_that_are_not_known_are_no_empty_label(tmp_path):
    with pytest.raises(BadOption) as refusal:
        LabelFiles(tmp_path, ("csv", "yolo"), {"a.png": None})
    assert str(refusal.value) == (
        "--labels is csv,yolo for a.png, of which no nuclei are known, but must be given together "
        "with --nuclei. Give another value."
    )
    write(tmp_path, {"a.png": nuclei_of()}, ("csv", "coco"))
    with pytest.raises(NotWritable, match=r"its labels are there \(coco, csv\), and the nuclei of"):
        LabelFiles(tmp_path, (), {"a.png": None})
    write(tmp_path, {"b.png": None}, ())


def test_yolo_below_a_folder_of_images_is_refused(tmp_path):
    folder = tmp_path / "images" / "train"
    folder.mkdir(parents=True)
    with pytest.raises(BadOption, match=r"looks for the labels of images/a.png in labels/a.txt"):
        LabelFiles(folder, ("yolo",), {"a_0.png": EMPTY})
    LabelFiles(folder, ("csv", "coco"), {"a_0.png": EMPTY})


def test_names_of_formats():
    assert parse_label_formats("YOLO, csv,csv") == ("csv", "yolo")
    for text in ("", "csv,", "voc"):
        with pytest.raises(BadOption, match="must be csv, geojson, coco or yolo, separated by"):
            parse_label_formats(text)
