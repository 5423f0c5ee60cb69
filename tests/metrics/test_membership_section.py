"""The section on membership: the area, its interval, chance, and the losses shown."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from histosynth.core.roc import auc_interval
from histosynth.metrics.finding import Plot, Series
from histosynth.metrics.membership import conclude_membership

TRAINED = np.array([[0.5, 0.7], [1.0, 0.6], [0.2, 0.4], [0.9, 1.3]])
UNSEEN = np.array([[1.0, 1.4], [0.8, 0.8], [1.5, 1.1]])
PATIENTS = (["a", "a", "b", "c"], ["x", "y", "y"])


def test_the_section_on_membership():
    section = conclude_membership(TRAINED, UNSEEN, patients=PATIENTS)
    trained = TRAINED.mean(axis=1)
    unseen = UNSEEN.mean(axis=1)
    scores = [*-trained, *-unseen]
    truth = [True] * 4 + [False] * 3
    value, low, high = auc_interval(scores, truth, [*PATIENTS[0], *PATIENTS[1]], seed=0)
    assert value == pytest.approx(roc_auc_score(truth, scores))
    assert section.key == "membership"
    assert section.as_dict() == {
        "title": "Membership",
        "about": "Loss of the model on tiles of its training set and of unseen patients, at fixed "
        "noise levels and noise. An area of 0.5 is the result of guessing which patients were in "
        "the training set; near 1 the model has memorised its patients, whatever its pictures look "
        "like.",
        "verdict": "",
        "findings": [
            {
                "name": "membership_AUC",
                "label": "",
                "value": {
                    "value": value,
                    "low": low,
                    "high": high,
                    "n": 7,
                    "interval": "bootstrap over 5 patients",
                    "reason": "",
                    "unit": "",
                    "groups": 5,
                },
                "real": {
                    "value": 0.5,
                    "low": 0.5,
                    "high": 0.5,
                    "n": 7,
                    "interval": "by definition",
                    "reason": "",
                    "unit": "",
                    "groups": 0,
                },
                "ratio": None,
                "better": "real",
                "note": "loss gap at fixed noise",
            }
        ],
        "facts": {
            "mean_loss": {
                "training": pytest.approx(TRAINED.mean()),
                "unseen": pytest.approx(UNSEEN.mean()),
            }
        },
    }
    series = (
        Series("reference", "training tiles", trained.tolist()),
        Series("real", "unseen tiles", unseen.tolist()),
    )
    assert section.plots == (Plot("Loss by tile", "mean squared error", "", series, "density"),)


def test_another_seed_gives_another_interval_of_the_same_area():
    random = np.random.default_rng(0)
    trained = random.normal(0.9, 0.2, (20, 3))
    unseen = random.normal(1.0, 0.2, (20, 3))
    patients = ([f"a{i}" for i in range(20)], [f"b{i}" for i in range(20)])
    first, same, other = (
        conclude_membership(trained, unseen, patients=patients, **seed).findings[0].value
        for seed in ({}, {"seed": 0}, {"seed": 1})
    )
    assert first == same
    assert first.value == other.value
    assert (first.low, first.high) != (other.low, other.high)


def test_too_few_patients_have_no_area_and_the_reason_is_stated():
    section = conclude_membership(TRAINED[:2], UNSEEN, patients=(["a", "a"], PATIENTS[1]))
    found = section.findings[0].value
    assert not found.is_defined
    assert found.n == 5
    assert found.reason.startswith("An interval needs at least 2 patients with items of each class")
    assert section.facts["mean_loss"]["training"] == pytest.approx(0.7)
