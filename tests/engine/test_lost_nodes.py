"""A node that is lost for good: a sentence, whatever Ray's name for it is."""

import pytest

from histosynth.core.errors import WorkerLost
from histosynth.engine import open_engine

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
    monkeypatch.setattr(ray, "wait", lambda waiting, num_returns: (waiting[:1], waiting[1:]))
    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(WorkerLost) as caught:
        list(open_engine("ray", address="127.0.0.1:6379").map(str, [1, 2]))
    assert str(caught.value) == (
        f"Ray lost a worker, a node or a result ({REASONS[what]}); "
        "2 pieces of work are left. Look at the nodes with `ray status`. Give the workers more "
        "memory or use fewer --workers, and run again: what is done is kept."
    )
