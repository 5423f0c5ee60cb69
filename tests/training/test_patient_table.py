"""The table of patients: what is stated is read once, what is not is marked so, nothing is
run."""

from pathlib import Path

import pytest

from histosynth.core.errors import BadTable
from histosynth.training.balance import patient_table as module
from histosynth.training.balance.patient_table import NOT_STATED, PatientTraits, read_patient_traits


def table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "patients.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_traits_are_read_by_patient_and_sites_by_slide(tmp_path):
    people = read_patient_traits(
        table(
            tmp_path,
            "\ufeffSlide, Patient,Sex,Race,Site,Age,notes\n"
            "s1.svs,P1,F,White,thigh,61,=1+1\n"
            "s2,P1,female,white,Lung,64.5,\n"
            "s3.png,P2,Male,not reported,thigh,95,\n"
            "\n"
            's4,P3,,"Black or African American",Thigh,--,\n',
        )
    )
    assert people.columns == ("sex", "race", "site", "age") and people.missing == []
    values = {
        (s, p): [people.value(s, p, t) for t in people.columns]
        for s, p in people.patient_of.items()
    }
    assert values == {
        ("s1", "P1"): ["female", "White", "thigh", "60-69"],
        ("s2", "P1"): ["female", "White", "Lung", "60-69"],
        ("s3", "P2"): ["Male", NOT_STATED, "thigh", "90+"],
        ("s4", "P3"): [NOT_STATED, "Black or African American", "thigh", NOT_STATED],
    }
    assert people.value("other", "P1", "site") == NOT_STATED, (
        "of two sites, only the slide can tell"
    )
    assert people.value("other", "P3", "site") == "thigh"
    assert people.value("s1", "", "sex") == "female", "the slide tells its patient"
    assert people.value("nobody", "nobody", "sex") == NOT_STATED


def test_a_table_of_patients_alone_is_enough(tmp_path):
    people = read_patient_traits(table(tmp_path, "patient,ethnicity\nP1,Hispanic\nP2,\n"))
    assert people.value("any", "P1", "ethnicity") == "Hispanic"
    assert people.missing == ["sex", "site", "age"] and PatientTraits().missing == list(
        module.TRAIT_COLUMNS
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slide,sex\ns1,f\n", "the columns slide, sex, and none named patient"),
        ("", "the columns nothing"),
        ("patient,sex,SEX\nP1,f,m\n", "sex for more than one column"),
        ("patient,sex\n ,f\n", "line 2, names no patient"),
        ("slide,patient\ns1,P1\ns1.svs,P2\n", "line 3, names slide s1 again"),
        ("patient,sex\nP1,f\nP1,m\n", "has sex 'male' for patient P1, before 'female'"),
        ("patient,site\nP1,=HYPERLINK(0)\n", "takes for a formula"),
        ("patient,site\nP1,@x\n", "takes for a formula"),
        ("patient,site\nP1,a\x1b[0m\n", "a control character for site"),
        ("patient,site\nP1,a\u202eb\n", "a control character for site"),
        ("patient,site\nP1," + "a" * 121 + "\n", "121 characters for site"),
        ("patient,age\nP1,22000\n", "'22000', which is no age in years"),
        ("patient,age\nP1,old\n", "'old', which is no age"),
        ("patient,age\nP1,inf\n", "no age"),
        ("patient,sex\nP1,f,x\n", "line 2, has 3 cells for 2 columns"),
        ('patient,sex\nP1,"f\n', "cannot be read"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, text, message):
    with pytest.raises(BadTable, match=message):
        read_patient_traits(table(tmp_path, text))


def test_a_column_of_notes_is_refused(tmp_path):
    rows = "".join(f"P{i},note {i}\n" for i in range(module.MAX_VALUES + 1))
    with pytest.raises(BadTable, match="201 different values for site"):
        read_patient_traits(table(tmp_path, "patient,site\n" + rows))


def test_tables_too_large_or_not_text_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "patients.csv"
    path.write_bytes(b"patient,sex\n\xff\xfe,f\n")
    with pytest.raises(BadTable, match="cannot be read"):
        read_patient_traits(path)
    with pytest.raises(BadTable, match="cannot be read"):
        read_patient_traits(tmp_path / "absent.csv")
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    with pytest.raises(BadTable, match="more than 2 lines"):
        read_patient_traits(table(tmp_path, "patient,sex\nP1,f\nP2,f\nP3,f\n"))
    monkeypatch.setattr(module, "MAX_TABLE_BYTES", 8)
    with pytest.raises(BadTable, match="larger than 8 bytes"):
        read_patient_traits(path)
