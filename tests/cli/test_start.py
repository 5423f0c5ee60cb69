"""Ctrl-C while the program is loaded ends in its sentence; before, next to nothing is loaded."""

import signal
import subprocess
import sys

import pytest

SENTENCE = "histosynth: Stopped by Ctrl-C: nothing was written. Run the same command again.\n"
INTERRUPTED = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
            print("not interrupted")

sys.meta_path.insert(0, Interrupting())
sys.argv = ["histosynth", "--version"]
from histosynth.cli.start import start
start()
"""
LOADED = """
import signal, sys
before = set(sys.modules)
import histosynth.cli.start
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to this process alone")
@pytest.mark.parametrize(
    "module",
    ["histosynth.core.stopping", "histosynth.cli.main", "typer", "histosynth.core.errors"],
)
def test_ctrl_c_while_loading_is_one_sentence(module):
    code = INTERRUPTED.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        # a shell starts its background jobs with Ctrl-C ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", SENTENCE)


def test_nothing_that_takes_time_is_loaded_before_signals_are_understood():
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {name for name in done.stdout.split() if name.startswith("histosynth")}
    assert found == {
        "histosynth",
        "histosynth.cli",
        "histosynth.cli.start",
        "histosynth.core",
        "histosynth.core.version",
    }
    others = {name.partition(".")[0] for name in done.stdout.split()} - {"histosynth"}
    assert others <= {"__future__", "importlib", "warnings"}


WAITING = """
import os, sys
import histosynth.cli.main
from histosynth.cli.start import start
loaded = "torch" in sys.modules
names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
histosynth.cli.main.run = lambda: print(*(os.environ.get(name) for name in names), loaded)
start()
"""


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, "1000 1 None"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "None None ACTIVE"),
        ({"GOMP_SPINCOUNT": "5"}, "5 1 None"),
    ],
)
def test_threads_spin_briefly_unless_a_user_states_otherwise(stated, expected, monkeypatch):
    """It is read when OpenMP is loaded, with torch."""
    for name in ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in stated.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, "-c", WAITING],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [*expected.split(), "False"]
