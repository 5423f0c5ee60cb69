"""One torch thread for a block."""

import sys

import pytest
import torch

from histosynth.engine.threads import one_thread


def test_torch_runs_on_one_thread_inside_and_on_as_many_as_before_afterwards():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="inside"), one_thread():
            assert torch.get_num_threads() == 1
            raise ValueError("inside")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_torch_is_not_loaded_for_it(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    with one_thread():
        assert "torch" not in sys.modules
