"""An adapter that `train` wrote for the compact base opens as the compact bundle with it."""

from dataclasses import replace

import pytest

from histosynth.core.errors import AdapterMismatch
from histosynth.core.shipped import COMPACT
from histosynth.core.store import digest, sha256_of
from histosynth.model.adapters import ADAPTER_FILE
from histosynth.model.bundle import Bundle
from histosynth.model.opening import open_bundle

NAME = f"adapters/global/{ADAPTER_FILE}"


@pytest.fixture(scope="module")
def compact():
    return open_bundle(COMPACT, device="cpu", dtype="fp32")


def written(compact: Bundle, folder, change=lambda info: info):
    """The compact bundle's adapter in a folder of its own, as `train` writes it."""
    folder.mkdir()
    compact.save_adapter(change(compact.adapters["global"]), folder)
    return folder


def test_it_stands_in_place_of_the_adapter_of_its_name(compact, tmp_path):
    folder = written(compact, tmp_path / "weights")
    opened = open_bundle(folder, device="cpu", dtype="fp32")
    assert sorted(opened.adapters) == ["global", "global-few-steps", "local"]
    assert opened.info.hashes[NAME] == sha256_of(folder / ADAPTER_FILE)
    others = {name: value for name, value in opened.info.hashes.items() if name != NAME}
    assert others == {name: value for name, value in compact.info.hashes.items() if name != NAME}


def test_pictures_state_that_it_is_another_bundle(compact, tmp_path):
    folder = written(compact, tmp_path / "weights", lambda info: replace(info, data=("mine",)))
    opened = open_bundle(folder, device="cpu", dtype="fp32")
    assert opened.info.hashes[NAME] != compact.info.hashes[NAME]
    assert digest(opened.info.hashes) != digest(compact.info.hashes)


def test_an_adapter_of_another_base_is_refused(compact, tmp_path):
    folder = written(
        compact, tmp_path / "weights", lambda info: replace(info, base_sha256="0" * 64)
    )
    with pytest.raises(AdapterMismatch, match="global"):
        open_bundle(folder, device="cpu")
