"""Ray in this process: a node lost for good gets a sentence, stdout and signals stay ours."""

import json
import signal
import sys
import threading

import pytest

from histosynth.cli.logs import LogOptions, logged_verb
from histosynth.core.errors import BadOption, InputError, WorkerLost
from histosynth.core.stopping import Stopped
from histosynth.engine import open_engine
from histosynth.engine.ray_process import own_signals, own_stdout

ray = pytest.importorskip("ray")
LOST = {
    "node": ray.exceptions.NodeDiedError("the node is gone"),
    "worker": ray.exceptions.WorkerCrashedError(),
    "memory": ray.exceptions.OutOfMemoryError("the node was low on memory"),
    "result": ray.exceptions.ObjectLostError("ab" * 28, None, ""),
}
REASONS = {
    "node": "NodeDiedError: the node is gone",
    "worker": "WorkerCrashedError: The worker died unexpectedly while executing this task",
    "memory": "OutOfMemoryError: the node was low on memory",
    "result": f"ObjectLostError: Failed to retrieve object {'ab' * 28}",
}


class Task:
    def remote(self, *_):
        return object()


@pytest.mark.parametrize("what", LOST)
def test_what_is_lost_gets_a_sentence(what, monkeypatch):
    def get(_):
        raise LOST[what]

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: Task())
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "wait", lambda waiting, **_: (waiting[:1], waiting[1:]))
    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(WorkerLost) as caught:
        list(open_engine("ray").map(str, [1, 2]))
    assert str(caught.value) == (
        f"Ray lost a worker, a node or a result ({REASONS[what]}); "
        "2 pieces of work are left. Look at the nodes with `ray status`. Give the workers more "
        "memory or use fewer --workers, and run again: what is done is kept."
    )


@pytest.mark.parametrize("call", ["wait", "get"])
def test_what_a_signal_raises_comes_out_of_ray_as_it_is(call, monkeypatch):
    def stopped(*_, **__):
        raise SystemError("returned a result with an exception set") from Stopped(signal.SIGINT)

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: Task())
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    monkeypatch.setattr(ray, "wait", lambda waiting, **_: (waiting[:1], waiting[1:]))
    monkeypatch.setattr(ray, call, stopped)
    with pytest.raises(Stopped):
        list(open_engine("ray").map(str, [1, 2]))


LINES = "\x1b[33m(raylet)\x1b[0m Task failed.\n\n\t(2) lagging\n"
"""As Ray prints them."""


def print_as_ray():
    thread = threading.Thread(target=print, args=(LINES,), name="ray_print_logs")
    thread.start()
    thread.join()


def test_what_ray_prints_is_logged_and_what_the_program_prints_is_not(capsys, caplog):
    before = sys.stdout
    with own_stdout():
        print("result")
        print_as_ray()
        assert sys.stdout.isatty() is before.isatty()
    assert sys.stdout is before
    assert capsys.readouterr().out == "result\n"
    assert caplog.messages == ["(raylet) Task failed.", "(2) lagging"]


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("quiet", [False, True])
def test_what_ray_prints_is_in_the_logs_of_a_verb_in_their_form(
    log_format, quiet, tmp_path, capsys
):
    file = tmp_path / "verb.log"
    with logged_verb("prepare run", LogOptions(str(file), log_format, quiet)), own_stdout():
        print_as_ray()
    told = [line for line in capsys.readouterr().err.splitlines() if "raylet" in line]
    logged = [line for line in file.read_text().splitlines() if "raylet" in line]
    assert len(logged) == 1 and len(told) == (not quiet)
    for line in [*told, *logged]:
        if log_format == "json":
            found = json.loads(line)
            assert (found["event"], found["level"]) == ("note", "warning")
            assert found["message"] == "(raylet) Task failed."
        else:
            assert line.endswith(" WARNING histosynth prepare run: (raylet) Task failed.")


def test_the_handler_of_sigterm_stays():
    before = signal.getsignal(signal.SIGTERM)
    with own_signals():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "ray://head"])
def test_an_address_without_a_host_or_a_port_is_refused(address):
    with pytest.raises(BadOption) as refused:
        open_engine("ray", address=address)
    assert str(refused.value) == (
        f"--address is {address}, but must be a host and a port, e.g. head:6379. Give another "
        "value."
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            ray.exceptions.AuthenticationError("No token was found. Ensure that there is one."),
            "AuthenticationError: No token was found",
        ),
        (ConnectionError("no answer"), "ConnectionError: no answer"),
    ],
)
def test_a_cluster_that_lets_nobody_in_gets_a_sentence(error, reason, monkeypatch):
    def init(**_):
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError) as refused:
        list(open_engine("ray").map(str, [1]))
    assert str(refused.value).startswith(
        f"No Ray cluster lets this verb in at this machine ({reason}"
    )
    assert str(refused.value).endswith(
        "Check --address with `ray status`, and export the cluster's RAY_AUTH_TOKEN if it has one."
    )
