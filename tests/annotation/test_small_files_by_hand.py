"""Small files that people write and draw by hand: empty classes, regions, and true refusals."""

import json
import math

import numpy as np
import pytest

from histosynth.annotation.agreement.reading import read_two
from histosynth.annotation.chosen_nuclei import read_chosen
from histosynth.core.errors import BadNuclei
from histosynth.core.nuclei import ANY
from histosynth.pipeline.inspecting import inspect_files

MPP = 0.5


def drawn(x, name, radius, object_type="annotation"):
    """A polygon of 32 corners; of 90 px radius it covers 6,321 um2, of 5 px 19.5 um2."""
    angles = np.arange(33) * math.pi / 16
    ring = [[x + radius * math.cos(angle), 100 + radius * math.sin(angle)] for angle in angles]
    properties = {"objectType": object_type, "classification": {"name": name}}
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": properties,
    }


def write(path, data):
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def refusal(path):
    """The same whole sentence of a verb that reads nuclei and of `prepare inspect`."""
    with pytest.raises(BadNuclei) as caught:
        read_chosen(path, MPP)
    (facts,) = inspect_files([path])
    assert facts == {"type": "annotations", "path": str(path), "refused": [str(caught.value)]}
    return str(caught.value).removeprefix(str(path))


def test_an_empty_class_of_a_csv_is_any(tmp_path):
    path = write(tmp_path / "a.csv", 'x,y,class\n29,57,\n30,58,  \n31,59,"\t"\n32,60,Tumor\n')
    assert read_chosen(path, MPP).names == [ANY, ANY, ANY, "Tumor"]


@pytest.mark.parametrize(
    "properties",
    [
        {"classification": " "},
        {"classification": {"name": ""}},
        {"classification": {"name": "\u00a0 "}},
        {"class": "\t"},
        {"type": ""},
        {"label": " "},
    ],
)
def test_blanks_are_no_class_in_geojson(tmp_path, properties):
    point = {"type": "Point", "coordinates": [60, 60]}
    feature = {"type": "Feature", "geometry": point, "properties": properties}
    assert read_chosen(write(tmp_path / "a.geojson", [feature]), MPP).names == [ANY]


@pytest.mark.parametrize("name", ["", "  ", None])
def test_blanks_are_no_class_in_json_of_nuclei(tmp_path, name):
    data = {"nuc": {"1": {"centroid": [5, 6], "type": name}}}
    assert read_chosen(write(tmp_path / "a.json", data), MPP).names == [ANY]


def test_a_frame_around_nuclei_drawn_by_hand_is_a_region_for_all_verbs(tmp_path):
    nuclei = [drawn(60 + 20 * number, "Tumor", 5) for number in range(5)]
    path = write(tmp_path / "a.geojson", [drawn(100, "ROI", 90), *nuclei])
    found = read_chosen(path, MPP)
    places = [[59.5 + 20 * number, 99.5] for number in range(5)]
    assert found.names == ["Tumor"] * 5 and found.xy.round(6).tolist() == places
    reason = "regions (classes of 1,000 um2 and more, next to smaller ones)"
    assert found.left_out == {reason: 1}
    assert found.notes == (f"{path}: left out {reason} (1).",)
    for annotation in read_two(path, path, mpp=MPP, mapping={}):
        assert annotation.marks.xy.round(6).tolist() == places
        assert [region.name for region in annotation.regions] == ["ROI"]


def test_the_median_of_a_class_decides_and_not_one_shape(tmp_path):
    """Areas at 0.5 um/px: 40 px radius 1,249 um2, 35 px 956 um2, 5 px 19.5 um2."""
    radii = {"Giant": [35, 35, 40], "Frame": [40, 40, 5], "Tumor": [5]}
    features = [drawn(60, name, radius) for name, of_class in radii.items() for radius in of_class]
    found = read_chosen(write(tmp_path / "a.geojson", features), MPP)
    assert found.names == ["Giant"] * 3 + ["Tumor"]
    assert sum(found.left_out.values()) == 3


@pytest.mark.parametrize("names", [("ROI", "ROI"), ("ROI", "Tumor")])
def test_large_shapes_alone_are_nuclei_up_to_the_limit_of_one(tmp_path, names):
    first, second = names
    data = [drawn(100, first, 90), drawn(100, second, 60), drawn(300, first, 150)]
    found = read_chosen(write(tmp_path / "a.geojson", data), MPP)
    assert found.names == [first, second]
    assert found.left_out == {"shapes over 10,000 um2": 1}


def test_detections_are_nuclei_whatever_their_size(tmp_path):
    data = [drawn(100, "Giant", 40, "detection"), drawn(100, "Tumor", 5, "detection")]
    found = read_chosen(write(tmp_path / "a.geojson", data), MPP)
    assert found.names == ["Giant", "Tumor"] and not found.left_out


XML = (
    " is XML; annotations in XML (of ASAP, Aperio ImageScope and others) are not read. "
    "Instead export GeoJSON, or write points as CSV x,y,class."
)
ASAP = '<?xml version="1.0"?>\n<ASAP_Annotations><Annotation Name="A"/></ASAP_Annotations>'
COMMAS = "Write it as x,y,class with commas, and with points in numbers (60.5)."


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.xml", ASAP, XML),
        ("a.csv", "\ufeff\n<Annotations MicronsPerPixel='0.5'></Annotations>", XML),
        ("a.json", ASAP, XML),
        ("a.csv", "<!DOCTYPE html><html>", " is a web page (HTML). Download the file again."),
        (
            "a.csv",
            '{"type": "FeatureCollection"}',
            " is JSON by its text and not by its suffix. Name it .geojson or .json.",
        ),
        (
            "a.csv",
            "x;y;class\n60,5;60,5;Tumor\n",
            f" is separated by semicolons, not by commas. {COMMAS}",
        ),
        ("a.csv", "x\ty\tclass\n1\t2\tT\n", f" is separated by tabs, not by commas. {COMMAS}"),
        (
            "a.csv",
            ",x,y,class,Score\n0,1,2,T,0.3\n",
            " has more columns than x, y and class: '', 'Score'. "
            "Only x, y and class are read, and area_um2, elongation and angle after them, in this "
            "order: remove the others.",
        ),
        (
            "a.csv",
            "y,x,class\n1,2,T\n",
            " begins with 'y,x,class', not with the header x,y,class. "
            "Write each of these columns once, in this order.",
        ),
        (
            "a.csv",
            "X_centroid,Y_centroid,Label\n1,2,T\n",
            " begins with 'X_centroid,Y_centroid,Label', not with the header x,y,class. "
            "Write the columns x, y (in pixels) and class; a class may be empty.",
        ),
        (
            "a.csv",
            "60,61.5,Tumor\n",
            " begins with '60,61.5,Tumor', not with the header x,y,class. Add that header.",
        ),
    ],
)
def test_a_file_is_refused_by_what_it_is(tmp_path, name, text, sentence):
    assert refusal(write(tmp_path / name, text)) == sentence


@pytest.mark.parametrize(
    ("facts", "x"),
    [
        ({"wsi_metadata": {"base_mpp": "0.5"}}, 60.0),
        ({"wsi_metadata": {"base_mpp": "0.25"}}, 29.75),
        ({"mag": "20"}, 60.0),
        ({"mag": "10"}, 120.5),
    ],
)
def test_a_scale_as_text_is_the_number_it_is(tmp_path, facts, x):
    data = facts | {"cells" if "wsi_metadata" in facts else "nuc": [{"centroid": [60, 60]}]}
    assert read_chosen(write(tmp_path / "a.json", data), MPP).xy.tolist() == [[x, x]]


@pytest.mark.parametrize(
    ("mag", "problem"),
    [
        ("20x", "mag is '20x', not a number"),
        ("2_0", "mag is '2_0', not a number"),
        ("", "mag is '', not a number"),
        ("nan", "mag is nan, which is no microscope's magnification"),
        (-20, "mag is -20, which is no microscope's magnification"),
    ],
)
def test_a_scale_that_is_none_is_refused_as_a_scale(tmp_path, mag, problem):
    path = write(tmp_path / "a.json", {"mag": mag, "nuc": {"1": {"centroid": [60, 60]}}})
    assert refusal(path) == (
        f" states a scale that cannot be read: {problem}. "
        "Correct it, or remove it where the coordinates are pixels of the picture."
    )


def test_a_type_map_that_is_none_is_refused_as_one(tmp_path):
    data = {"type_map": {"1": " "}, "nuc": {"1": {"centroid": [60, 60], "type": 1}}}
    assert refusal(write(tmp_path / "a.json", data)) == (
        " holds a type_map that cannot be read: type_map names 1 ' '. "
        "Write it as a number and a name for each type, or remove it."
    )
