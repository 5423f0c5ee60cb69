"""Another process that works in a folder, as long as a block lasts."""

import json
import subprocess
import sys
from contextlib import contextmanager

CODE = """
import json, sys
from pathlib import Path
from histosynth.core.folder_lock import own_folder, share_folder
folder, names = json.loads(sys.argv[1])
with share_folder(Path(folder), names) if names else own_folder(Path(folder)):
    print(flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_run(folder, names=()):
    """Own a folder in another process, or share it with claims of names; yields the process."""
    command = [sys.executable, "-c", CODE, json.dumps([str(folder), list(names)])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.stdin.close()
