"""Ray on two nodes of this machine: the same files as anywhere else, and a killed worker loses
nothing."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from glass import write_slide

from histosynth.core.errors import BadOption, InputError
from histosynth.core.recipe import build
from histosynth.engine import open_engine
from histosynth.preparation.recipe import PrepareRecipe
from histosynth.preparation.run import prepare

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
PORT = 6391


def die_once(item: tuple[str, int]) -> int:
    """Kills its own process the first time that it meets item 2."""
    mark = Path(item[0])
    number = item[1]
    if number == 2 and not mark.exists():
        mark.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.fixture(scope="module")
def cluster():
    """The address of two nodes with one CPU each."""
    here = Path(__file__).parent
    support = here.with_name("support")
    quiet = {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": os.pathsep.join([str(here), str(support), os.environ.get("PYTHONPATH", "")]),
        "RAY_DISABLE_IMPORT_WARNING": "1",
        "RAY_raylet_start_wait_time_s": "300",  # a busy machine
        "RAY_AUTH_MODE": "disabled",  # a token that an earlier Ray left would join no second node
    }
    ray = [str(Path(sys.executable).with_name("ray"))]
    common = ["--num-cpus=1", "--disable-usage-stats"]
    # every process of this cluster names its folder: those of other clusters are left alone
    folder = tempfile.mkdtemp(prefix="ray-")
    own = [f"--port={PORT}", f"--temp-dir={folder}", "--include-dashboard=false"]
    head = [*ray, "start", "--head", *own, *common]
    try:
        for command in (head, [*ray, "start", f"--address=127.0.0.1:{PORT}", *common]):
            subprocess.run(
                command,
                check=True,
                env=quiet,
                capture_output=True,
            )
        yield f"127.0.0.1:{PORT}"
    finally:
        _kill_processes_that_name(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _kill_processes_that_name(folder):
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(folder in each for each in process.cmdline()):
                process.kill()


def test_two_nodes_give_the_files_that_the_pool_gives(cluster, tmp_path):
    for number in range(3):
        write_slide(tmp_path / f"s{number}.tiff", seed=number)
    recipe = build(
        {
            "slides": ["*.tiff"],
            "tiles": {"size": 128},
            "nuclei": {"source": "blobs"},
        },
        PrepareRecipe,
    )
    sums = {}
    for name in ("pool", "ray"):
        engine = open_engine(name, workers=2, address=cluster if name == "ray" else None)
        sums[name] = prepare(
            recipe,
            tmp_path / name,
            base_folder=tmp_path,
            engine=engine,
        ).summary
    assert sums["ray"] == sums["pool"] and sums["ray"]["kept"] > 50


def test_a_killed_worker_loses_nothing_and_stdout_stays_empty(cluster, tmp_path, capsys):
    items = [(str(tmp_path / "mark"), number) for number in range(6)]
    engine = open_engine("ray", workers=2, address=cluster)
    assert sorted(dict(engine.map(die_once, items)).values()) == list(range(6))
    assert (tmp_path / "mark").exists()
    assert capsys.readouterr().out == ""


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


UNTIL_STOPPED = """
import sys
from histosynth.core.stopping import Stopped, stop_signals
from histosynth.engine import open_engine
from test_ray import sleep
with stop_signals():
    try:
        for _ in open_engine("ray", address=sys.argv[1]).map(sleep, [0, 60, 60]):
            print("works", flush=True)
    except Stopped as stopped:
        print(stopped, flush=True)
        sys.exit(stopped.exit_code)
"""


@pytest.mark.parametrize(
    ("number", "name"),
    [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")],
)
def test_a_signal_ends_the_run_as_it_does_elsewhere(cluster, number, name):
    here = Path(__file__).parent
    paths = [str(here), str(here.with_name("support")), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, "-c", UNTIL_STOPPED, cluster],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert process.stdout.readline() == "works\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert out == f"Stopped by {name}: nothing was written. Run the same command again.\n"
    assert process.returncode == 128 + number


def test_an_address_where_nobody_is_gets_a_sentence_before_anything_is_written():
    with pytest.raises(BadOption, match="--address"):
        open_engine("ray", address="127.0.0.1:1")


def folder_of(number: int) -> str:
    return os.getcwd()


def test_relative_paths_start_where_the_verb_was_called(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = open_engine("ray", workers=2, address=cluster)
    assert set(dict(engine.map(folder_of, range(4))).values()) == {str(tmp_path)}


def test_a_folder_that_a_node_lacks_is_named(cluster, monkeypatch):
    monkeypatch.setattr("os.getcwd", lambda: "/no/such/folder")
    with pytest.raises(InputError) as refused:
        list(open_engine("ray", workers=2, address=cluster).map(folder_of, [1]))
    assert str(refused.value) == (
        f"The node {socket.gethostname()} cannot work in /no/such/folder, where the verb was "
        "called: No such file or directory. Call it in a folder that every node has, e.g. that of "
        "the results."
    )
