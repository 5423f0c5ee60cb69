"""The algebra between network outputs, clean latents and loss weights."""

import pytest
import torch

from histosynth.model.prediction import NoiseLevel, flow_level, min_snr_weight, target_for, x0_from

PREDICTION_TYPES = ("flow", "epsilon", "v_prediction")


def level_of(prediction_type, count=16):
    time = torch.linspace(0.05, 0.95, count)
    if prediction_type == "flow":
        return flow_level(time)
    return NoiseLevel(torch.cos(time * torch.pi / 2), torch.sin(time * torch.pi / 2))


def draw(count=16):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(count, 3, 4, 4, generator=generator) for _ in range(2))


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_a_perfect_output_gives_back_the_clean_latents(prediction_type):
    clean, noise = draw()
    level = level_of(prediction_type)
    output = target_for(prediction_type, clean, noise, level)
    torch.testing.assert_close(
        x0_from(prediction_type, output, level.mix(clean, noise), level),
        clean,
        atol=2e-5,
        rtol=0,
    )


@pytest.mark.parametrize("prediction_type", PREDICTION_TYPES)
def test_min_snr_weights_the_clean_estimate_alike_in_all_units(prediction_type):
    """Hang et al. 2023: whatever the units, an error of the clean estimate counts min(SNR,
    gamma)."""
    clean, noise = draw()
    level = level_of(prediction_type)
    gamma = 5.0
    noisy = level.mix(clean, noise)
    output = target_for(prediction_type, clean, noise, level)
    wrong = output + 0.1
    in_output = min_snr_weight(prediction_type, level, gamma) * 0.1**2
    clean_error = (x0_from(prediction_type, wrong, noisy, level) - clean)[:, 0, 0, 0]
    expected = level.snr.clamp(max=gamma) * clean_error**2
    torch.testing.assert_close(
        in_output,
        expected,
        rtol=1e-3,
        atol=1e-7,
    )
