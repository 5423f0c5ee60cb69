"""Tiny numbers in training: counted as zero there, and there only."""

import pytest
import torch

from histosynth.tensors.denormals import counts_denormals_as_zero, denormals_as_zero

pytestmark = pytest.mark.skipif(
    not torch.set_flush_denormal(False),
    reason="this CPU cannot count denormals as zero",
)


def test_a_block_counts_them_as_zero_and_leaves_the_thread_as_it_was() -> None:
    assert not counts_denormals_as_zero()
    with denormals_as_zero():
        assert counts_denormals_as_zero()
        with denormals_as_zero():
            pass
        assert counts_denormals_as_zero()
    assert not counts_denormals_as_zero()


def test_an_error_in_the_block_leaves_the_thread_as_it_was() -> None:
    with pytest.raises(ValueError, match="of the block"), denormals_as_zero():
        raise ValueError("of the block")
    assert not counts_denormals_as_zero()


def test_gradients_of_silu_that_small_become_zero() -> None:
    values = torch.tensor([-95.0, -1.0, 2.0], requires_grad=True)
    with denormals_as_zero():
        torch.nn.functional.silu(values).sum().backward()
    assert values.grad is not None
    assert values.grad[0] == 0
    assert values.grad[1:].abs().min() > 0.01
