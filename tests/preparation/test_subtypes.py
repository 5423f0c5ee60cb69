"""Names of sarcomas: what the Genomic Data Commons writes finds its entity, and nothing stands for
two."""

import re

import pytest

from histosynth.core.errors import BadRecipe
from histosynth.preparation.subtypes import SHIPPED_SUBTYPES, load_subtypes

# As TCGA-SARC's primary_diagnosis and histological_type write them.
AT_THE_COMMONS = {
    "Undifferentiated sarcoma": "UPS",
    "Malignant fibrous histiocytoma": "UPS",
    "Giant cell sarcoma": "UPS",
    "Pleomorphic 'MFH' / Undifferentiated pleomorphic sarcoma": "UPS",
    "Undifferentiated Pleomorphic Sarcoma (UPS)": "UPS",
    "Leiomyosarcoma, NOS": "LMS",
    "Myxoid leiomyosarcoma": "LMS",
    "Leiomyosarcoma (LMS)": "LMS",
    "Dedifferentiated liposarcoma": "DDLPS",
    "Liposarcoma, well differentiated": "WDLPS",
    "Pleomorphic liposarcoma": "PLPS",
    "Fibromyxosarcoma": "MFS",
    "Synovial sarcoma, spindle cell": "SS",
    "Synovial Sarcoma - Biphasic": "SS",
    "Sarcoma; synovial; poorly differentiated": "SS",
    "Malignant peripheral nerve sheath tumor": "MPNST",
    "Malignant Peripheral Nerve Sheath Tumors (MPNST)": "MPNST",
}


def test_twenty_entities_ship_each_with_a_code_and_an_abbreviation_of_its_own():
    subtypes = load_subtypes()
    assert len(subtypes) == 20
    assert len({each.abbreviation for each in subtypes}) == 20
    assert all(each.icd_o_3 and each.synonyms for each in subtypes)


@pytest.mark.parametrize("text, abbreviation", AT_THE_COMMONS.items())
def test_what_the_commons_writes_finds_its_entity(text, abbreviation):
    subtypes = load_subtypes()
    assert subtypes.name_of(text) == subtypes.name_of(abbreviation) is not None


def test_every_name_code_and_synonym_finds_its_own_entity_in_any_case():
    subtypes = load_subtypes()
    for each in subtypes:
        for text in (each.name, each.abbreviation, *each.icd_o_3, *each.synonyms):
            assert subtypes.name_of(text) == each.name
            assert subtypes.name_of(re.sub(r"[ ,/-]+", " - ", f" {text.upper()}.")) == each.name


@pytest.mark.parametrize(
    "text", ["", " ", "/", "Sarcoma", "Adenocarcinoma, NOS", "8140/3", "88903"]
)
def test_what_is_unknown_has_no_name(text):
    assert load_subtypes().name_of(text) is None


def test_a_file_of_ones_own_adds_and_replaces(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        """
        [[subtype]]
        name = "Desmoid fibromatosis"
        abbreviation = "DES"
        icd_o_3 = ["8821/1"]
        synonyms = ["Aggressive fibromatosis", "Abdominal fibromatosis"]
        [[subtype]]
        name = "leiomyosarcoma"
        synonyms = ["LMS of our lab"]
        """
    )
    subtypes = load_subtypes(own)
    assert len(subtypes) == 21
    assert (
        subtypes.name_of("aggressive FIBROMATOSIS")
        == subtypes.name_of("8821/1")
        == "Desmoid fibromatosis"
    )
    assert subtypes.name_of("lms of our lab") == "leiomyosarcoma"
    assert subtypes.name_of("8890/3") is None  # the own entity replaces the shipped one


def test_all_that_stands_for_two_entities_is_listed(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[subtype]]\nname = "Mine"\nabbreviation = "LMS"\n'
        'icd_o_3 = ["8811/3"]\nsynonyms = ["Synovial Sarcoma (NOS)"]\n'
    )
    with pytest.raises(BadRecipe) as caught:
        load_subtypes(own)
    assert len(caught.value.problems) == 3
    assert "8811/3 stands for Myxofibrosarcoma and Mine" in str(caught.value)
    assert "Leiomyosarcoma and Mine" in str(caught.value) and "Synovial sarcoma and Mine" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ('[[subtype]]\nname = "A"\n[[subtype]]\nname = "a."\n', "stands for A and a."),
        ('[[subtype]]\nname = "A"\nicd_o_3 = ["889/3"]\n', "889/3"),
        ('[[subtype]]\nname = "..."\n', "no letter"),
        ('[[subtype]]\nname = "A"\nsynonym = ["B"]\n', "unknown key"),
        ('[[subtype]]\nabbreviation = "A"\n', "missing key"),
        ("subtype = 3\n", "must be a list"),
        ("[[subtype\n", "own.toml"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path, text, message):
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(BadRecipe, match=re.escape(message)):
        load_subtypes(own)


def test_the_file_lies_in_the_package():
    assert SHIPPED_SUBTYPES.is_file() and SHIPPED_SUBTYPES.parent.name == "preparation"
