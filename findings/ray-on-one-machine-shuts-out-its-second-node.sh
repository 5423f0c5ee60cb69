#!/bin/sh
# After one local ray.init, `ray start` makes a head with a token, and a second node is not let in.
#
# Packages: ray 2.60.0. Run on 2026-11-29.
# Expected: `ray start --head` and `ray start --address` of the same user on the same machine, with the
#   same environment, make a cluster of two nodes, whatever ran before.
# Seen: in a new home they do. A script that calls ray.init() once leaves ~/.ray/auth_token. From then
#   on the head turns token authentication on by itself, and `ray start --address` beside it reports
#   that RAY_AUTH_MODE is 'disabled' and ends with AuthenticationError. RAY_AUTH_MODE=disabled (or
#   =token) for both makes it work.
# Why it matters: the first try on a workstation, one script with ray.init, breaks the cluster that is
#   made of two `ray start` the day after.
set -eu
folder=$(mktemp -d)
trap 'pkill -9 -f "$folder/ray" || true; sleep 1; rm -rf "$folder"' EXIT
cd "$folder"
python3.11 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'ray[default]==2.60.0' || exit 2
export HOME="$folder/home" RAY_USAGE_STATS_ENABLED=0
unset RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH
mkdir "$HOME"
port=6397

two_nodes() { # 0: the second node joined the head
  venv/bin/ray start --head --port=$port --temp-dir="$folder/ray$port" --include-dashboard=false \
    --num-cpus=1 --disable-usage-stats > head.txt 2>&1 || return 2
  joined=0
  venv/bin/ray start --address=127.0.0.1:$port --num-cpus=1 --disable-usage-stats > second.txt 2>&1 || joined=1
  pkill -9 -f "$folder/ray$port" || true
  sleep 2
  port=$((port + 1))
  return $joined
}

echo "ray $(venv/bin/python -c 'import ray; print(ray.__version__)')"
two_nodes && echo "a new home: two nodes" || exit 1
venv/bin/python -c 'import ray; ray.init(num_cpus=1, include_dashboard=False); ray.shutdown()' > init.txt 2>&1
ls "$HOME/.ray"
if two_nodes; then exit 1; fi
grep -o "Token authentication is enabled for this Ray cluster" head.txt
grep -o "RAY_AUTH_MODE is currently 'disabled' (not 'token')" second.txt | head -n 1
export RAY_AUTH_MODE=disabled
two_nodes && echo "with RAY_AUTH_MODE=disabled: two nodes"
