"""Workers of a pool end with their parent, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CODE = """
import os, sys, time
from pathlib import Path
from histosynth.engine import open_engine

def work(place):
    (Path(place) / str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    from histosynth.core.stopping import stop_signals
    with stop_signals():
        list(open_engine("pool", workers=2).map(work, [sys.argv[1]] * 2))
"""


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_their_parent(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text(CODE)
    place = tmp_path / "place"
    place.mkdir()
    with subprocess.Popen(
        [sys.executable, str(script), str(place)], stderr=subprocess.PIPE
    ) as parent:
        until = time.monotonic() + 120
        while len(os.listdir(place)) < 2:
            assert time.monotonic() < until and parent.poll() is None
            time.sleep(0.01)
        parent.send_signal(number)
        parent.communicate(timeout=120)
    workers = [int(name) for name in os.listdir(place)]
    until = time.monotonic() + 60
    while any(map(is_alive, workers)):
        assert time.monotonic() < until, "workers live on"
        time.sleep(0.01)
