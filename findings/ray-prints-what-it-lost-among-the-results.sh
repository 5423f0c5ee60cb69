#!/bin/sh
# ray prints a lost worker to stdout, also with log_to_driver=False, and takes the handler of SIGTERM.
#
# Packages: ray 2.60.0. Run on 2026-11-29.
# Expected: with log_to_driver=False and logging_level="ERROR" a program's stdout holds what the program
#   prints, and its own handler of SIGTERM stays.
# Seen: a thread of Ray prints "(raylet) Task ... failed" to stdout when a worker ends, although the task
#   is done again and ends well; and after ray.init the handler of SIGTERM is Ray's.
# Why it matters: a verb that prints one JSON object prints no JSON on the day that a node is lost, with
#   exit code 0; and a job that is ended by the scheduler keeps none of its own promises.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ray==2.60.0 || exit 2
export HOME="$folder" RAY_USAGE_STATS_ENABLED=0 RAY_AUTH_MODE=disabled
cat > lost.py <<'PY'
import os
import signal
import sys
from pathlib import Path

import ray


def own(number, frame):
    raise SystemExit(9)


@ray.remote(max_retries=2)
def end_once(mark):
    if not Path(mark).exists():
        Path(mark).touch()
        os._exit(1)
    return 42


signal.signal(signal.SIGTERM, own)
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
print("handler kept:", signal.getsignal(signal.SIGTERM) is own, file=sys.stderr)
result = ray.get(end_once.remote(sys.argv[1]))
ray.shutdown()
print(result)
PY
venv/bin/python lost.py "$folder/mark" > out.txt 2> err.txt
echo "ray $(venv/bin/python -c 'import ray; print(ray.__version__)')"
echo "stdout:"; cut -c1-120 out.txt
grep "handler kept" err.txt
grep -q "handler kept: False" err.txt
test "$(tail -n 1 out.txt)" = 42
test "$(wc -l < out.txt)" -gt 1
