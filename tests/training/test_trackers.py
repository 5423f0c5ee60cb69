"""Trackers get the rows of the log; those that are named must be installed."""

import math

import numpy as np
import pytest
from toy import Killed, Toy, killed_at, plan, rows_of

from histosynth.core.errors import Diverged, NeedsExtra
from histosynth.training.loop import trackers
from histosynth.training.loop.fit import fit


class Fake:
    """A tracker as accelerate has them."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = folder
        self.logged = []
        self.seen = []
        self.ended = 0

    def start(self):
        self.logged.append("start")

    def log(self, values, step):
        self.logged.append({"step": step, **values})

    def log_images(self, values, step, **options):
        self.seen.append((step, values["validation"], options))

    def log_artifact(self, file, folder):
        self.seen.append((file, folder))

    def finish(self):
        self.ended += 1


@pytest.fixture
def fakes(monkeypatch):
    """Fakes in place of every tracker, by name, all of them installed."""
    made = {}
    for name in ("tensorboard", "wandb", "mlflow"):
        monkeypatch.setattr(f"accelerate.utils.is_{name}_available", lambda: True)
        maker = lambda run, folder, name=name: made.setdefault(name, Fake(name, folder))  # noqa: E731
        monkeypatch.setitem(trackers._TRACKERS, name, maker)
    return made


def test_trackers_get_the_rows_of_the_log_and_the_picture(tmp_path, fakes):
    fit(
        Toy(),
        plan(steps=3, trackers=("tensorboard", "wandb", "mlflow")),
        tmp_path,
        seed=0,
    )
    for fake in fakes.values():
        assert fake.logged == ["start", *rows_of(tmp_path)] and fake.ended == 1
        assert fake.folder == tmp_path / "trackers"
    step, sheets, options = fakes["tensorboard"].seen[0]
    assert step == 2 and sheets.shape == (1, 8, 8, 3) and options == {"dataformats": "NHWC"}
    assert fakes["wandb"].seen[1][0] == 3 and isinstance(fakes["wandb"].seen[1][1][0], np.ndarray)
    assert fakes["mlflow"].seen[0] == (str(tmp_path / "pictures" / "0000002.png"), "pictures")


def test_trackers_are_ended_however_the_run_ends(tmp_path, fakes):
    settings = plan(steps=4, trackers=("wandb",))
    with pytest.raises(Killed):
        fit(
            Toy(),
            settings,
            tmp_path / "interrupted",
            seed=0,
            on_step=killed_at(1),
        )
    assert fakes.pop("wandb").ended == 1
    with pytest.raises(Diverged):
        fit(
            Toy(losses=[math.nan]),
            settings,
            tmp_path / "diverged",
            seed=0,
        )
    assert fakes["wandb"].ended == 1


def test_what_is_not_installed_is_passed_over_if_it_is_tensorboard_and_refused_if_not(
    tmp_path, monkeypatch
):
    for name in ("tensorboard", "wandb", "mlflow"):
        monkeypatch.setattr(f"accelerate.utils.is_{name}_available", lambda: False)
    fit(
        Toy(),
        plan(steps=1, trackers=("tensorboard",)),
        tmp_path / "usual",
        seed=0,
    )
    assert rows_of(tmp_path / "usual") and not (tmp_path / "usual" / "trackers").exists()
    for name in ("wandb", "mlflow"):
        with pytest.raises(
            NeedsExtra, match=rf"{name}, which loop\.trackers names, is not installed"
        ):
            fit(
                Toy(),
                plan(steps=1, trackers=("tensorboard", name)),
                tmp_path / name,
                seed=0,
            )
        assert not (tmp_path / name / "weights").exists()
    with pytest.raises(ValueError, match="trackers must be different"):
        plan(trackers=("wandb", "wandb"))


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_real_tracker_leaves_its_files_in_the_run(tmp_path, name, monkeypatch):
    pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    fit(
        Toy(),
        plan(steps=2, trackers=(name,)),
        tmp_path / "run",
        seed=0,
    )
    assert any(path.is_file() for path in (tmp_path / "run" / "trackers").rglob("*"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
