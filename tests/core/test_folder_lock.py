"""Folders in use: refused by name, free again after a kill, shared by runs of other files."""

import os

import pytest
from locking import another_run

from histosynth.core.errors import BadOption, FolderInUse, NotWritable
from histosynth.core.folder_lock import LOCK_FILE, own_folder, share_folder
from histosynth.core.stopping import Stopped
from histosynth.core.temporary import PREFIX, temporary_file


def test_a_folder_in_use_is_refused_with_its_owner_and_is_free_after_a_kill(tmp_path):
    with another_run(tmp_path) as other:
        with pytest.raises(FolderInUse) as error, own_folder(tmp_path):
            pass
        host = os.uname().nodename
        assert str(error.value) == (
            f"{tmp_path} cannot be written: another run (process {other.pid} on {host}) works in "
            "it. Wait until it ends and run again, or choose another --out."
        )
        with pytest.raises(FolderInUse), share_folder(tmp_path, ["a"]):
            pass
        other.kill()
        other.wait()
        assert (tmp_path / LOCK_FILE).exists()
        with own_folder(tmp_path), own_folder(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []


def test_runs_share_a_folder_unless_they_write_the_same_file(tmp_path):
    with another_run(tmp_path, ["a.png", "b.png"]) as other:
        with share_folder(tmp_path, ["c.png"]):
            pass
        with pytest.raises(FolderInUse) as error, share_folder(tmp_path, ["b.png"]):
            pass
        assert error.value.path == tmp_path / "b.png"
        assert "writes it" in error.value.problem
        with pytest.raises(FolderInUse, match="works in it"), own_folder(tmp_path):
            pass
        other.kill()
        other.wait()
        with share_folder(tmp_path, ["b.png"]):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_locks_place_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK_FILE).symlink_to(tmp_path / "mine")
    with (
        pytest.raises(NotWritable, match="histosynth-lock cannot be written"),
        own_folder(tmp_path),
    ):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_new_folder_of_a_run_that_is_refused_does_not_stay(tmp_path):
    with pytest.raises(BadOption), own_folder(tmp_path / "a" / "b"):
        raise BadOption("a", 1, "2")
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_runs_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "inner").mkdir()
    kept = [".hidden-abcdefgh.png", ".histosynth-tmp-notes.txt", "a.png"]
    gone = [
        f"{PREFIX}abcdefgh.png",
        f"inner/{PREFIX}abcd_123.safetensors",
        f"{PREFIX}abcdefg1.lock",
    ]
    for name in (*kept, *gone):
        (tmp_path / name).write_text("x")
    (tmp_path / f"{PREFIX}abcdefg1.folder").mkdir()
    (tmp_path / f"{PREFIX}abcdefg1.folder" / "a").write_text("x")
    with temporary_file(tmp_path, ".png") as living, own_folder(tmp_path):
        assert living.exists()
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "inner"}
    assert list((tmp_path / "inner").iterdir()) == []


def test_what_a_lost_worker_leaves_is_removed_at_the_end(tmp_path):
    with own_folder(tmp_path):
        (tmp_path / f"{PREFIX}abcdefgh.parquet").write_text("")
        (tmp_path / "a.parquet").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_stop_states_how_far_the_run_is(tmp_path):
    with pytest.raises(Stopped) as stop, own_folder(tmp_path / "out") as run:
        run.count(8, 200, "pictures are written to")
        raise Stopped(15)
    assert str(stop.value) == (
        f"Stopped by SIGTERM: 8 of 200 pictures are written to {tmp_path / 'out'}. "
        "Run the same command again to go on."
    )
    assert stop.value.exit_code == 143
