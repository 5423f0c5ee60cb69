"""Shared by all tests: one thread, a tiny bundle on disk, an artificial tissue tile."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from histosynth.testing import tiny_bundle

os.environ["HISTOSYNTH_DEVICE"] = "cpu"  # the same results on a machine with a GPU
torch.set_num_threads(1)
settings.register_profile("histosynth", deadline=None)  # a busy machine is no failure
settings.load_profile("histosynth")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests that want a GPU are skipped without one."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Names of files that are no UTF-8 are written out: pytest-xdist cannot send them."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections
    ]
    return report


SHARED_FOLDERS = ("bundle_folder", "world")
"""Fixtures that are made once: folders that tests read and do not change."""


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle saved to disk; do not change it."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bundle().save(folder)
    return folder


@pytest.fixture(autouse=True)
def shared_folders_stay_as_they_are(request: pytest.FixtureRequest) -> Iterator[None]:
    """Names the test that changes a folder of all tests, and not a later one that reads it."""
    names = [name for name in SHARED_FOLDERS if name in request.fixturenames]
    folders = [request.getfixturevalue(name) for name in names]
    before = [_state_of_files(folder) for folder in folders]
    yield
    for name, folder, state in zip(names, folders, before, strict=True):
        assert _state_of_files(folder) == state, f"a test changed {name}: it is to copy it first"


def _state_of_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of each file."""
    state = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            facts = path.stat()
            state[str(path)] = (facts.st_size, facts.st_mtime_ns)
    return state


@pytest.fixture
def tile() -> np.ndarray:
    """(136, 128, 3) uint8 that is stained like H&E: pink ground, violet discs, some glass."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:136, :128]
    ground = np.array([225.0, 170.0, 205.0]) + 12 * random.standard_normal((136, 128, 1))
    picture = np.broadcast_to(ground, (136, 128, 3)).copy()
    for _ in range(40):
        y = random.uniform(0, 136)
        x = random.uniform(0, 128)
        inside = np.hypot(rows - y, columns - x) < random.uniform(3, 7)
        picture[inside] = np.array([95.0, 65.0, 140.0]) + 15 * random.standard_normal(
            (int(inside.sum()), 1)
        )
    picture[:20, :20] = 246
    return picture.clip(0, 255).astype(np.uint8)
