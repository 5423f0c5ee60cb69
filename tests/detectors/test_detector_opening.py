"""Detectors by name."""

from histosynth.detectors.opening import DETECTORS, detector_name, open_artefact_gate, open_detector


def test_a_name_opens_its_detector_and_no_other_name_does():
    assert list(DETECTORS) == ["centroids", "centroids-fast", "blobs", "instanseg"]
    assert open_detector("files") is None and detector_name("none") == ""
    assert open_artefact_gate(None) is None


def test_the_shipped_detector_is_named_from_its_card_as_it_names_itself():
    for name in ("centroids", "centroids-fast", "blobs"):
        detector = open_detector(name)
        assert detector is not None and detector_name(name) == detector.name
