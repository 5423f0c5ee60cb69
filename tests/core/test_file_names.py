"""Names that strangers chose: on every system one plain file in its folder, or a reason."""

import pytest

from histosynth.core.file_names import name_key, name_problem, path_problem

DOT = "it begins or ends with a space, or ends with a dot"
DEVICE = "Windows keeps it for a device"


@pytest.mark.parametrize(
    "name",
    ["a", "a.svs", "Prä-01 (2).svs", "con-1.svs", "com10.txt", "a.con", "-x", "x~1", "\u7d44.tif"],
)
def test_names_that_people_use_are_taken(name):
    assert name_problem(name) == path_problem(f"folder/{name}") == ""


@pytest.mark.parametrize(
    "name, problem",
    [
        ("", "it is empty"),
        (" ", "it is empty"),
        (".a", "it begins with a dot"),
        ("..", "it begins with a dot"),
        ("a ", DOT),
        ("a.", DOT),
        (" a", DOT),
        ("a\u3000", DOT),
        ("a/b", "it holds the character /"),
        ("a\\b", "it holds the character \\"),
        ("a:b", "it holds the character :"),
        ("a\0", "it holds the character \\u0000"),
        ("a\n", "it holds the character \\n"),
        ("a\u2066", "it holds the character \\u2066"),
        ("a\udcff", "it holds the character \\udcff"),
        ("NUL", DEVICE),
        ("nul.tar.gz", DEVICE),
        ("Aux .svs", DEVICE),
        ("COM1", DEVICE),
        ("lpt\u00b2.a", DEVICE),
        ("CONOUT$", DEVICE),
        ("\u00e4" * 121, "it has 242 bytes, and 240 are the most"),
    ],
)
def test_other_names_have_a_reason(name, problem):
    assert name_problem(name) == problem


@pytest.mark.parametrize("name", ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/."])
def test_paths_stay_in_their_folder(name):
    assert path_problem(name) == "it leads elsewhere"


def test_names_of_one_file_have_one_key():
    assert name_key("A\u0308.SVS") == name_key("\u00e4.svs") == name_key("\u00c4.Svs")
    assert name_key("STRASSE") == name_key("stra\u00dfe") and name_key("a") != name_key("b")
