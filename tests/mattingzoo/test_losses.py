import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mattingzoo.losses import (
    alpha_prediction_loss,
    compositional_loss,
    gradient_loss,
    l1_loss,
    laplacian_pyramid_loss,
)


def some_mask(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(7)) < 0.4


def compositional_on_pred(pred: Tensor, alpha: Tensor, mask: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(3)
    colours = torch.rand(2, len(pred), 3, *pred.shape[2:], generator=rng)
    return compositional_loss(pred, alpha, colours[0], colours[1], mask)


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
MASKED: list[Loss] = [l1_loss, alpha_prediction_loss, compositional_on_pred, gradient_loss]


def test_l1_loss_by_hand() -> None:
    pred = torch.tensor([[[[0.0, 0.5], [1.0, 0.25]]]])
    mask = torch.tensor([[[[True, True], [False, False]]]])
    assert l1_loss(pred, torch.zeros_like(pred)).item() == pytest.approx(1.75 / 4)
    assert l1_loss(pred, torch.zeros_like(pred), mask).item() == pytest.approx(0.25)


def test_l1_loss_of_colours_is_a_mean_over_channels() -> None:
    pred, target = torch.rand(2, 2, 3, 4, 4)
    mask = some_mask(2, 1, 4, 4)
    expected = (pred - target).abs()[mask.expand_as(pred)].mean()
    torch.testing.assert_close(l1_loss(pred, target, mask), expected)


def test_alpha_prediction_loss_of_a_perfect_matte_is_eps() -> None:
    alpha = torch.rand(2, 1, 5, 7)
    loss = alpha_prediction_loss(alpha, alpha, some_mask(2, 1, 5, 7))
    assert loss.item() == pytest.approx(1e-6, rel=1e-4)


def test_alpha_prediction_loss_by_hand() -> None:
    pred, alpha = torch.tensor([[[[0.3, 0.9, 0.5]]]]), torch.tensor([[[[0.0, 0.5, 0.0]]]])
    mask = torch.tensor([[[[True, True, False]]]])
    loss = alpha_prediction_loss(pred, alpha, mask, eps=0.3)
    expected = (math.hypot(0.3, 0.3) + math.hypot(0.4, 0.3)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_the_mean_is_pooled_over_the_batch() -> None:
    pred = torch.stack([torch.full((1, 2, 2), 0.2), torch.full((1, 2, 2), 0.8)])
    mask = torch.tensor([[[[True, False], [False, False]]], [[[True, True], [True, False]]]])
    loss = alpha_prediction_loss(pred, torch.zeros_like(pred), mask)
    assert loss.item() == pytest.approx((0.2 + 3 * 0.8) / 4, rel=1e-6)


def test_compositional_loss_equals_the_difference_of_two_composites() -> None:
    pred, alpha = torch.rand(2, 2, 1, 6, 6)
    foreground, background = torch.rand(2, 2, 3, 6, 6)
    mask = some_mask(2, 1, 6, 6)
    composite = pred * foreground + (1 - pred) * background
    truth = alpha * foreground + (1 - alpha) * background
    squares = (composite - truth).square() + 1e-12
    expected = (squares.sqrt() * mask).sum() / (3 * mask.sum())
    loss = compositional_loss(pred, alpha, foreground, background, mask)
    torch.testing.assert_close(loss, expected)


def test_compositional_loss_is_eps_where_foreground_equals_background() -> None:
    pred, alpha = torch.rand(2, 1, 1, 4, 4)
    colour = torch.rand(1, 3, 4, 4)
    mask = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    loss = compositional_loss(pred, alpha, colour, colour, mask)
    assert loss.item() == pytest.approx(1e-6, rel=1e-4)


@pytest.mark.parametrize("loss", MASKED)
def test_pixels_outside_the_mask_have_no_gradient_and_no_say(loss: Loss) -> None:
    pred, alpha = torch.rand(2, 2, 1, 8, 8)
    pred.requires_grad_()
    mask = some_mask(2, 1, 8, 8)
    value = loss(pred, alpha, mask)
    (gradient,) = torch.autograd.grad(value, pred)
    assert gradient[~mask].count_nonzero() == 0
    assert gradient[mask].count_nonzero() > 0
    altered = torch.where(mask, pred, torch.rand_like(pred))
    assert loss(altered, alpha, mask).item() == value.item()


@pytest.mark.parametrize("loss", MASKED)
def test_empty_mask_gives_zero_and_a_zero_gradient(loss: Loss) -> None:
    pred = torch.rand(2, 1, 4, 4, requires_grad=True)
    value = loss(pred, torch.rand(2, 1, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(value, pred)
    assert value.item() == 0
    assert gradient.count_nonzero() == 0


@pytest.mark.parametrize("loss", [*MASKED, lambda p, a, _: laplacian_pyramid_loss(p, a, 2)])
def test_float32_under_autocast(loss: Loss) -> None:
    pred, alpha = torch.rand(2, 1, 1, 16, 16).bfloat16()
    mask = some_mask(1, 1, 16, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(pred, alpha, mask)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(pred.float(), alpha.float(), mask), rtol=0, atol=0)


def test_gradient_loss_by_hand() -> None:
    pred = torch.tensor([[[[0.0, 1.0, 1.0], [0.0, 0.0, 0.5]]]])
    # across: 1, 0 and 0, 0.5, mean 1.5/4; down: 0, 1, 0.5, mean 1.5/3
    assert gradient_loss(pred, torch.zeros_like(pred)).item() == pytest.approx(0.375 + 0.5)


def test_gradient_loss_ignores_a_constant_offset() -> None:
    alpha = torch.rand(1, 1, 6, 6, dtype=torch.float64)
    assert gradient_loss(alpha + 0.25, alpha).item() == pytest.approx(0, abs=1e-7)


def slow_blur(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    taps = np.array([1, 4, 6, 4, 1]) / 16
    padded = np.pad(picture, 2, mode="reflect")
    blurred = np.zeros_like(picture)
    for y, x in np.ndindex(*picture.shape):
        blurred[y, x] = (padded[y : y + 5, x : x + 5] * np.outer(taps, taps)).sum()
    return blurred


def slow_pyramid(picture: NDArray[np.float64], levels: int) -> list[NDArray[np.float64]]:
    bands = []
    for _ in range(levels):
        height, width = (side - side % 2 for side in picture.shape)
        picture = picture[:height, :width]
        smaller = slow_blur(picture)[::2, ::2]
        sparse = np.zeros_like(picture)
        sparse[::2, ::2] = 4 * smaller
        bands.append(picture - slow_blur(sparse))
        picture = smaller
    return bands


def test_laplacian_pyramid_loss_equals_a_slow_reference() -> None:
    pred, alpha = torch.rand(2, 1, 1, 33, 47)
    bands = [slow_pyramid(matte[0, 0].double().numpy(), levels=3) for matte in (pred, alpha)]
    means = [np.abs(p - a).mean() for p, a in zip(*bands, strict=True)]
    expected = (means[0] + 2 * means[1] + 4 * means[2]) / 3
    assert laplacian_pyramid_loss(pred, alpha, levels=3).item() == pytest.approx(expected, rel=1e-5)


def test_laplacian_pyramid_loss_of_a_ramp() -> None:
    ramp = (torch.arange(64) / 63).expand(1, 1, 64, 64)
    loss = laplacian_pyramid_loss(ramp, ramp.square())
    assert loss.item() == pytest.approx(0.165190, abs=1e-6)  # SEMat's code on the same ramp


def test_laplacian_pyramid_loss_refuses_small_pictures() -> None:
    small = torch.rand(1, 1, 63, 64)
    with pytest.raises(ValueError, match="5 levels needs pictures of at least 64 x 64, got 63"):
        laplacian_pyramid_loss(small, small)


def test_shapes_that_would_broadcast_are_refused() -> None:
    pred, mask = torch.rand(2, 1, 4, 4), some_mask(2, 1, 4, 4)
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 4\) and \(2, 4, 4\)"):
        alpha_prediction_loss(pred, pred[:, 0], mask)
    with pytest.raises(ValueError, match=r"shape \(2, 1, 4, 4\), got \(1, 1, 4, 4\)"):
        alpha_prediction_loss(pred, pred, mask[:1])


def test_mask_must_be_bool() -> None:
    pred = torch.rand(1, 1, 4, 4)
    with pytest.raises(ValueError, match="mask must be bool, got torch"):
        gradient_loss(pred, pred, torch.ones_like(pred))
