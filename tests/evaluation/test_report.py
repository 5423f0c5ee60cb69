"""The judges' report: JSON that any program reads, a page that opens offline and lets nothing
in."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from pages import Page, assert_accessible, assert_closed_to_the_outside, colours, contrast

from histosynth.core.errors import NotWritable
from histosynth.core.estimate import Estimate, undefined
from histosynth.core.number_format import format_count, format_estimate, format_number
from histosynth.evaluation.report import Material, Report, write_report
from histosynth.evaluation.report.fact_words import key_in_words
from histosynth.evaluation.report.facts import fact_of, take_matrices
from histosynth.evaluation.report.forest import Axis
from histosynth.evaluation.report.model import json_value
from histosynth.evaluation.report.page import overview_findings, render
from histosynth.evaluation.report.pictures import MAX_CHARACTERS, encode_galleries
from histosynth.evaluation.report.plots import draw
from histosynth.metrics.finding import Finding, Gallery, Plot, Section, Series
from histosynth.metrics.standing import standing

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
WHY = "5 tiles of 2 patients; it takes at least 16 tiles"


def estimate(value, low=math.nan, high=math.nan, reason="", **of):
    return Estimate(
        value,
        low,
        high,
        of.pop("n", 64),
        "bootstrap over 8 patients",
        reason,
        groups=8,
        **of,
    )


def pixels(seed, side=64):
    return np.random.default_rng(seed).integers(
        0,
        256,
        (side, side, 3),
        dtype=np.uint8,
    )


def report(name="tile.png"):
    values = np.random.default_rng(0).normal(size=60)
    findings = (
        Finding(
            "FD",
            estimate(17.31, 14.9, 21.2),
            "low",
            estimate(9.6, 8, 12.4),
            estimate(1.8, 1.4, 2.3),
        ),
        Finding("FD", undefined(WHY, n=5), "low", label=name),
        Finding(
            "precision",
            estimate(0.5, reason="there is 1 patient"),
            "high",
            note=name,
        ),
    )
    plots = (
        Plot(
            name,
            name,
            "",
            (Series("real", name, [*values, math.nan]), Series("synthetic", "", [1.0] * 9)),
            "density",
            (0.3, name),
        ),
        Plot(
            "points",
            name,
            name,
            (Series("requested", name, [0, 1], [0, 1]), Series("real", "r", values, values)),
            "scatter",
        ),
        Plot(
            "none",
            "x",
            "y",
            (Series("real", "r", [math.nan], [1.0]),),
        ),
    )
    facts = {
        "confusion": {
            "rows": [name, "b"],
            "columns": ["a", "b"],
            "counts": [[3, 1], [0, 1200]],
        },
        name: [math.inf, np.float32(2.5), np.arange(3)],
        "per patient": [{"patient": name, "FD": math.nan}],
    }
    gallery = Gallery("Worst", ("synthetic", name), ((name, (pixels(0), pixels(1))),))
    section = Section(
        "realism",
        "Realism " + name,
        "How far?",
        findings,
        facts,
        plots,
        (gallery,),
        name,
    )
    return Report(
        "Judged " + name,
        Material(name, 64, 8, (64, 64), 0.5, "png", "ab" * 32),
        Material("real", 120, note=name),
        encoder={"name": name, "mpp": 0.5},
        sections=(section, Section("stain", "Stain", "Dyes.")),
        warnings=(name,),
        refused={name: "the file ends early"},
        created={"seed": 7, "settings": {"where": name, "seconds": math.nan}},
    )


@pytest.fixture(scope="module")
def page():
    return render(report(EVIL))


def test_json_is_finite_and_comes_back(tmp_path):
    given = report()
    plain = given.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["schema"] == 2 and plain["reference"] is None
    assert plain["sections"]["realism"]["facts"]["tile.png"] == [None, 2.5, [0, 1, 2]]
    assert plain["sections"]["realism"]["findings"][1]["value"]["reason"] == WHY
    paths = write_report(given, tmp_path / "new")
    assert [path.name for path in paths] == ["report.json", "report.html"]
    assert json.loads(paths[0].read_text()) == plain
    assert paths[1].read_text(encoding="utf-8") == render(given)


def test_anything_becomes_finite():
    odd = {
        1: {"b", "a"},
        "n": np.int64(3),
        "nan": [np.float64("nan"), -math.inf],
        "p": sys,
        "yes": np.bool_(1),
    }
    assert json_value(odd) == {
        "1": ["a", "b"],
        "n": 3,
        "nan": [None, None],
        "p": str(sys),
        "yes": True,
    }


def test_two_sections_of_one_key_are_refused():
    with pytest.raises(ValueError, match="one key"):
        Report(
            "t",
            Material("s", 1),
            sections=(Section("a", "A", ""), Section("a", "B", "")),
        )


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritable):
        write_report(report(), tmp_path / "file" / "folder")


def test_the_page_is_balanced_and_asks_for_nothing_from_outside(page):
    assert_closed_to_the_outside(page)
    assert "http:" not in page and "https:" not in page


def test_hostile_names_are_text_and_nothing_else(page):
    parsed = Page(page)
    assert not parsed.all("script") and "<script" not in page
    assert {image["src"][:10] for image in parsed.all("img")} == {"data:image"}
    assert sum(EVIL in piece for piece in parsed.text) >= 12
    # plots hold the numbers of ticks and no other words
    drawn = "".join(re.findall(r"<svg viewBox=\"0 0 440.*?</svg>", page, re.DOTALL))
    words = re.findall(r"<text[^>]*>([^<]*)<", drawn)
    assert words and all(re.fullmatch(r"[−\d.e+]+", word) for word in words)


def test_what_utf8_cannot_hold_and_what_turns_text_around_is_shown_as_its_code(tmp_path):
    name = "a\udcff\u202egnp.exe\x00\x1b[31m"
    path = write_report(report(name), tmp_path)[1]
    text = path.read_text(encoding="utf-8")
    assert r"a\udcff\u202egnp.exe\u0000\u001b[31m" in text and "\u202e" not in text
    assert json.loads((tmp_path / "report.json").read_text())["warnings"] == [name]


def test_pictures_plots_tables_and_headings_are_accessible(page):
    assert_accessible(page)
    parsed = Page(page)
    roles = [attrs for _, attrs in parsed.elements if attrs.get("role") == "img"]
    assert len(parsed.all("img")) == 2 and len(roles) == 2 + 1  # plots, and one ratio


def test_contents_lead_to_every_part_and_details_are_folded(page):
    parsed = Page(page)
    headings = [attrs["id"] for tag, attrs in parsed.elements if tag == "h2"]
    links = [
        attrs["href"].removeprefix("#")
        for (tag, attrs), parents in zip(parsed.elements, parsed.parents, strict=True)
        if tag == "a" and "nav" in parents
    ]
    assert links == headings
    assert links == ["glance", "warnings", "s1", "s2", "materials", "reading"]
    tables = [
        parents
        for (tag, attrs), parents in zip(parsed.elements, parsed.parents, strict=True)
        if tag == "table" and attrs.get("class") in ("findings", "pairs", "grid", "heat")
    ]
    assert tables and all("details" in parents for parents in tables)
    open_ones = [attrs for attrs in parsed.all("details") if "open" in attrs]
    assert len(open_ones) == 1  # of the refused tiles


def test_plain_names_stand_first_and_units_are_spelt():
    off = Finding(
        "localisation_blobs",
        estimate(0.71, 0.7, 1.0, unit="um"),
        "low",
        title="Distance of nuclei from their requested places",
    )
    section = Section("structure", "Structure", "About.", (off,))
    material = Material("a", 2, 1, (64, 32), 0.5)
    text = " ".join(" ".join(Page(render(Report("t", material, sections=(section,)))).text).split())
    assert (
        "Distance of nuclei from their requested places localisation_blobs in micrometres" in text
    )
    assert "64 × 32 pixels" in text and "0.5 micrometres per pixel" in text
    assert "2 tiles of 1 patient are synthetic." in text
    assert " um " not in text and "µm" not in text


def test_a_light_and_a_dark_page_can_be_read(page):
    """WCAG AA: 4.5 for text, 3 for marks."""
    style = page[page.index("<style>") : page.index("</style>")]
    for palette in colours(style):
        for ground in ("paper", "band", "note"):
            assert contrast(palette["ink"], palette[ground]) >= 7
            assert contrast(palette["link"], palette[ground]) >= 4.5
        assert contrast(palette["soft"], palette["paper"]) >= 4.5
        for role in ("real", "synthetic", "reference"):
            assert contrast(palette[role], palette["paper"]) >= 3


def test_what_cannot_be_told_says_why(page):
    text = " ".join(Page(page).text)
    assert WHY in text and "there is 1 patient" in text
    assert "there are no values to draw" in text and "no ratio" not in text.split("At a glance")[0]
    assert "not for diagnosis" in text and "17.3" in text and "(14.9 to 21.2)" in text


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("reach_um", "reach (micrometres)"),
        ("area_um2", "area (square micrometres)"),
        ("tile_size_px", "tile size (pixels)"),
        ("trained_at_mpp", "trained at (micrometres per pixel)"),
        ("given_nuclei", "given nuclei"),
        ("um", "um"),
    ],
)
def test_units_in_keys_are_spelt(key, name):
    assert key_in_words(key) == name


def test_estimates_among_facts_are_one_line():
    facts = {"chance": estimate(0.47, 0.38, 0.52, unit="um", n=1256).as_dict()}
    ((name, fact),) = fact_of(facts).pairs
    assert (name, fact.text) == ("chance", "0.47 (0.38 to 0.52) micrometres, n 1\u202f256")
    assert fact_of({"a": undefined(WHY).as_dict()}).pairs[0][1].text == WHY
    odd = estimate(0.47).as_dict() | {"value": "many"}
    assert fact_of(odd).form == "pairs"


def test_confusion_matrices_are_lifted_out_of_the_facts_and_others_stay():
    sides = {
        "requested": ["a", "b"],
        "found": ["a", "missed"],
        "synthetic": [[3, 1], [0, 4]],
        "real": None,
    }
    odd = {
        "rows": ["a"],
        "columns": ["b"],
        "counts": [[1, 2]],
    }
    facts = {
        "confusion": {"histo": sides},
        "k": 5,
        "odd": odd,
        "empty": {},
    }
    tables, rest = take_matrices(facts)
    assert [title for title, _ in tables] == ["confusion, histo, synthetic"]
    assert [[cell.share for cell in row] for row in tables[0][1].cells] == [
        ["75%", "25%"],
        ["0%", "100%"],
    ]
    assert rest == {"k": 5, "odd": odd, "empty": {}}


def test_equal_reports_give_equal_bytes(page):
    assert render(report(EVIL)) == page


@pytest.mark.parametrize(
    "series",
    [
        [],
        [5.0],
        [5.0] * 50,
        [0.0, 1.0] * 20,
        [1e-300, 2e-300] * 9,
        [*np.linspace(0, 1, 50), 1e9],
        [math.nan] * 9,
        [math.inf, 1.0],
        [-3.0] * 4,
    ],
)
def test_distributions_of_any_values_are_drawn_or_it_is_said(series):
    plot = Plot(
        "t",
        "x",
        "",
        (Series("real", "r", series), Series("real", "other", [1.5, 2.5])),
        "density",
    )
    drawing = draw(plot, "p")
    assert drawing.svg.startswith("<svg") and "nan" not in drawing.svg
    assert draw(Plot("t", "x", "", plot.series[:1], "density"), "p").notes or len(series) > 7
    looks = [entry.style for entry in drawing.legend]
    assert len({(look.dash, look.opacity) for look in looks}) == len(looks)


def test_many_points_are_thinned():
    x = np.arange(9000.0)
    drawing = draw(
        Plot(
            "t",
            "x",
            "y",
            (Series("synthetic", "s", x, x),),
            "scatter",
        ),
        "p",
    )
    assert drawing.svg.count("<use") == 2000 and "2\u202f000 of 9\u202f000" in drawing.notes[0]


def test_pictures_shrink_until_the_page_is_small_enough():
    noise = Gallery(
        "noise",
        ("one", "two"),
        tuple(("row", (pixels(i, 300), pixels(i, 300))) for i in range(32)),
    )
    shown = encode_galleries([noise])[0]
    size = sum(len(each.uri) for _, row in shown.rows for each in row)
    assert 0.8 * MAX_CHARACTERS < size <= MAX_CHARACTERS and shown.missing == 0
    small = Gallery("many", ("one",), (("row", (pixels(0, 8),)),) * 300)
    assert [len(each.rows) for each in encode_galleries([small, small])] == [256, 0]
    assert encode_galleries([small])[0].missing == 44


@pytest.mark.parametrize(
    ("ratio", "better", "stands"),
    [
        ((1.0, 0.8, 1.2), "low", "like"),
        ((2.0, 1.5, 3.0), "low", "worse"),
        ((2.0, 1.5, 3.0), "high", "better"),
        ((0.5, 0.3, 0.8), "low", "better"),
        ((0.5, 0.3, 0.8), "high", "worse"),
        ((0.5, 0.3, 0.8), "real", "worse"),
        ((1.0, 0.2, 5.0), "low", "wide"),
        ((1.0, math.nan, math.nan), "low", "open"),
        ((-0.1, -1.0, 0.3), "zero", "better"),
    ],
)
def test_where_a_ratio_stands(ratio, better, stands):
    finding = Finding("a", estimate(1), better, ratio=estimate(*ratio))
    assert standing(finding)[0] == stands
    axis = Axis.of([finding.ratio])
    strip = axis.strip(finding)
    assert 0 <= strip.mark <= 100 and axis.position(1) == 50
    assert strip.span is None or strip.span[0] <= strip.mark <= strip.span[1]
    assert any(text == "1" for _, text in axis.ticks)


def test_an_axis_reaches_as_far_as_it_must_and_no_farther():
    assert Axis.of([]).reach == pytest.approx(2.1)
    assert Axis.of([estimate(1, 0.1, 2)]).reach == pytest.approx(10.5)
    far = Finding(
        "a",
        estimate(1),
        "low",
        ratio=estimate(5000, 0.0, 9000),
    )
    assert Axis.of([far.ratio]).reach == 100 and Axis.of([far.ratio]).strip(far).beyond == (
        True,
        True,
    )


def test_the_overview_takes_what_holds_for_all_tiles_first():
    of_all = [
        Finding(
            name,
            estimate(1),
            "low",
            ratio=estimate(1, 0.5, 1.5),
        )
        for name in "abcd"
    ]
    of_one = Finding(
        "z",
        estimate(1),
        "low",
        ratio=estimate(1, 0.5, 1.5),
        label="TNBC",
    )
    bare = Finding("y", estimate(1), "low")
    assert [f.name for f in overview_findings(Section("k", "t", "", (of_one, bare, *of_all)))] == [
        "a",
        "b",
        "c",
    ]
    assert [f.name for f in overview_findings(Section("k", "t", "", (bare, of_one)))] == ["z"]
    assert [
        f.name
        for f in overview_findings(
            Section(
                "k",
                "t",
                "",
                (Finding("u", undefined("no"), "low"), bare),
            )
        )
    ] == ["y"]


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ((0.81, 0.67, 1.02), "0.81 (0.67 to 1.02)"),
        ((17.31, 14.9, 21.2), "17.3 (14.9 to 21.2)"),
        ((12345.6, 12001, 12900), "12\u202f346 (12\u202f001 to 12\u202f900)"),
        ((-0.0001, -0.2, 0.3), "0.00 (−0.20 to 0.30)"),
        (
            (0.00002, 0.00001, 0.00004),
            "2.0\u202f×\u202f10⁻⁵ (1.0\u202f×\u202f10⁻⁵ to 4.0\u202f×\u202f10⁻⁵)",
        ),
        ((0.0, 0.0, 0.0), "0.00 (0.00 to 0.00)"),
        ((1.0, 1.0, 1.0), "1.00 (1.00 to 1.00)"),
    ],
)
def test_estimates_in_words(of, text):
    assert format_estimate(estimate(*of)).text == text


def test_numbers_in_words():
    assert [format_number(v) for v in (0.0, 1234.5, 0.5, 3e-9, -2.345, math.nan)] == [
        "0",
        "1\u202f234",
        "0.500",
        "3.00\u202f×\u202f10⁻⁹",
        "−2.35",
        "–",
    ]
    assert (
        format_count(1_234_567) == "1\u202f234\u202f567"
        and format_estimate(undefined("why")).text == "why"
    )


def test_page_and_plots_are_loaded_only_when_written():
    code = (
        "import sys, histosynth.evaluation.report; print({'jinja2', 'matplotlib'} & "
        "set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == "set()"
