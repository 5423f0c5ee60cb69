"""Ray in this process: a node lost for good gets a sentence, stdout and signals stay ours."""

import signal
import sys
import threading

import pytest

from histosynth.core.errors import WorkerLost
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
        list(open_engine("ray", address="127.0.0.1:6379").map(str, [1, 2]))
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
        list(open_engine("ray", address="127.0.0.1:6379").map(str, [1, 2]))


def test_threads_of_ray_print_to_stderr_and_the_program_to_stdout(capsys):
    before = sys.stdout
    with own_stdout():
        print("result")
        thread = threading.Thread(target=print, args=("lost",), name="ray_print_logs")
        thread.start()
        thread.join()
        assert sys.stdout.isatty() is before.isatty()
    assert sys.stdout is before
    assert capsys.readouterr() == ("result\n", "lost\n")


def test_the_handler_of_sigterm_stays():
    before = signal.getsignal(signal.SIGTERM)
    with own_signals():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGTERM) is before
