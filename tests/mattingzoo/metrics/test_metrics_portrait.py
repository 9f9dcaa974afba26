"""Errors of mobile portrait matting: the values of the specification, and a slow reference."""

import math

import pytest
import torch
from torch import Tensor

from mattingzoo.metrics import gradient_distance, portrait_scores

RAMP = (torch.arange(64) / 63).expand(1, 1, 64, 64)


def slow_gradient_distance(pred: Tensor, alpha: Tensor) -> float:
    """Pixel by pixel, from the Gaussian's formula, each matte filtered by itself."""
    sigma, radius = 1.4, 4
    taps = {
        (y, x): math.exp(-(x * x + y * y) / (2 * sigma**2))
        for y in range(-radius, radius + 1)
        for x in range(-radius, radius + 1)
    }
    total = sum(taps.values())
    lengths = []
    height, width = pred.shape[-2:]
    for row in range(radius, height - radius):
        for column in range(radius, width - radius):
            vector = []
            for axis in (0, 1):
                sums = [0.0, 0.0]
                for offset, tap in taps.items():
                    weight = -offset[axis] / sigma**2 * tap / total
                    for which, matte in enumerate((alpha, pred)):
                        value = matte[0, 0, row + offset[0], column + offset[1]].item()
                        sums[which] += weight * value
                vector.append(sums[0] - sums[1])
            lengths.append(math.hypot(*vector))
    return sum(lengths) / len(lengths)


def test_values_on_a_ramp() -> None:
    scores = portrait_scores(RAMP, RAMP.square(), size=(64, 64))
    assert scores["gradient"].item() == pytest.approx(0.006967, abs=1e-6)
    assert scores["MAD"].item() == pytest.approx(0.164021, abs=1e-6)


def test_gradient_equals_a_slow_reference() -> None:
    torch.manual_seed(0)
    pred, alpha = torch.rand(2, 1, 1, 11, 13)
    assert gradient_distance(pred, alpha).item() == pytest.approx(
        slow_gradient_distance(pred, alpha), rel=1e-5
    )


def test_equal_mattes_have_no_error_and_images_are_scored_apart() -> None:
    torch.manual_seed(0)
    alpha = torch.rand(3, 1, 20, 20)
    pred = alpha.clone()
    pred[1] = 1 - pred[1]
    scores = portrait_scores(pred, alpha, size=(40, 30))
    for value in scores.values():
        assert value.shape == (3,) and value[0] == value[2] == 0 and value[1] > 0.01


def test_mattes_of_any_size_are_scored_at_the_papers() -> None:
    half = torch.zeros(1, 1, 256, 256)
    half[..., 128:] = 1
    full = torch.zeros(1, 1, 800, 600)
    full[..., 300:] = 1
    scores = portrait_scores(half, full)
    # Only the pixels of the enlarged edge differ, two or three of 600 columns, by a quarter or so.
    assert 0 < scores["MAD"] < 3 * 0.5 / 600


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="shape"):
        gradient_distance(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 17))
    with pytest.raises(ValueError, match="at least 9 x 9 pixels, got 8 x 20"):
        gradient_distance(torch.rand(1, 1, 8, 20), torch.rand(1, 1, 8, 20))
